# shellcheck shell=bash
# title: unit and fuzz with ASan and UBSan
# packages: check
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree asan || exit 1
rm -f "$TREE"/unit/*.log "$TREE"/fuzz/*.log "$TREE"/fuzz/*.trs
make -C "$TREE/unit" check VERBOSE=1 -j"$(cores)" && make -C "$TREE/fuzz" check VERBOSE=1 -j"$(cores)"
rc=$?
libcheck_totals "$TREE/unit"
verdict $rc
