# shellcheck shell=bash
# title: fuzz corpora, replayed
# quick: yes
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree gcc || exit 1
rm -f "$TREE"/fuzz/*.log "$TREE"/fuzz/*.trs
make -C "$TREE/fuzz" check -j"$(cores)" VERBOSE=1
rc=$?
automake_totals "$TREE/fuzz"
verdict $rc
