#!/usr/bin/env bash
# No path of the machine that this clone is on, and no download address of a package registry, in any file of ours.
set -u
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"
cd "$TOP" || exit 1
files=$(source_files '*')
[ -n "$files" ] || { echo 'no file found'; exit 1; }
bad=0
# what is above this folder; a clone right under / or in a home folder has too common a name there
above=$(dirname "$TOP")
case $above in
/ | /tmp | /home | /root) above=$TOP ;;
esac
look() { # TEXT GREP-ARGUMENT...
    local text=$1 found
    shift
    found=$(tr '\n' '\0' <<<"$files" | xargs -0 grep -nI "$@" /dev/null | cut -c 1-160)
    [ -n "$found" ] || return 0
    bad=1
    printf '%s\n%s\n' "$text" "$found"
}
escaped=$(sed 's/[][\.*^$+?(){}|]/\\&/g' <<<"$above")
look 'paths of this machine:' -E "(^|[^A-Za-z0-9_.*/-])$escaped/"
look 'paths of a home folder:' -E '(^|[^A-Za-z0-9])/(home|Users)/[a-z]'
look 'addresses of a package registry:' -E 'registry[.]npmjs[.]|registry[.]yarnpkg[.]|files[.]pythonhosted[.]|"resolved": *"http'
exit $bad
