# shellcheck shell=bash
# title: format (clang-format)
# quick: yes
# packages: clang-format
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

source_files 'modules/*.[ch]' 'include/*.h' 'unit/*.[ch]' 'fuzz/*.[ch]' 'bench/*.[ch]' 'tools/*.[ch]' 't/tools/*.[ch]' | each clang-format --dry-run -Werror
