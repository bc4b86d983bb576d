# shellcheck shell=bash
# title: build and unit tests (clang, -Werror)
# packages: clang check
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree clang || exit 1
n=$(find "$TREE" -name '*.o' ! -path '*/.libs/*' | wc -l)
rm -f "$TREE"/unit/*.log "$TREE"/unit/*.trs
make -C "$TREE/unit" check VERBOSE=1 -j"$(cores)"
rc=$?
libcheck_totals "$TREE/unit"
CHECKED=$((CHECKED + n))
verdict $rc
