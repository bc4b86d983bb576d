# shellcheck shell=bash
# title: cppcheck
# quick: yes
# packages: cppcheck
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

cd "$TOP" || exit 1
files=$(source_files 'modules/*.c' 'bench/*.c' 'tools/*.c')
n=$(grep -c . <<<"$files")
mkdir -p "$BUILD/cppcheck" || exit 1
# the headers of httpd and APR are not read: cppcheck does without them, and they are not ours
cppcheck --quiet --std=c11 --language=c --enable=warning,portability,performance --inline-suppr --error-exitcode=1 -j "$(cores)" \
    --cppcheck-build-dir="$BUILD/cppcheck" --suppress=missingInclude --suppress=missingIncludeSystem --suppress=unknownMacro \
    --suppress=unmatchedSuppression -Iinclude -Imodules/lib --file-list=- <<<"$files" || checks "$n" 1
checks "$n"
