# shellcheck shell=bash
# title: unit tests
# quick: yes
# packages: check
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree gcc || exit 1
rm -f "$TREE"/unit/*.log "$TREE"/unit/*.trs
make -C "$TREE/unit" check -j"$(cores)" VERBOSE=1
rc=$?
libcheck_totals "$TREE/unit"
verdict $rc
