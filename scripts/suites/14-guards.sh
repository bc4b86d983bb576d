# shellcheck shell=bash
# title: guards (scripts/check-*.sh)
# quick: yes
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

(cd "$TOP" && printf '%s\n' scripts/check-*.sh) | each bash
