# shellcheck shell=bash
# title: tools (aigw-key)
# quick: yes
# packages: openssl
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree gcc || exit 1
rm -f "$TREE"/tools/*.log "$TREE"/tools/*.trs
make -C "$TREE/tools" check VERBOSE=1
rc=$?
libcheck_totals "$TREE/tools"
verdict $rc
