#!/usr/bin/env bash
# The gateway under stress (t/tools/stress.pl) with valgrind's memcheck: every endpoint, upstream faults, clients that leave, drains, TLS on both sides, restart
# and stops. Fails on any invalid access and on any definite leak with a frame of ours. The reports are in build/gcc/t/stress-memcheck/reports.
#   scripts/valgrind.sh [SIZE]               how much of everything: 0.2 unless told
#   scripts/valgrind.sh --tasks [SIZE]       instead: tasks (t/tools/stress-tasks.pl)
#   scripts/valgrind.sh --cases NAME,…       instead: these of t/cases that run a server of their own (auth,secrets,key_reload); reports in
#                                            build/gcc/t/cases-memcheck. Whether the tests themselves pass is theirs to say: some do not like to wait
set -u
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

build_folder
# shellcheck disable=SC2086
packages $PACKAGES_BUILD valgrind libapache2-mod-perl2 libcryptx-perl libio-socket-ssl-perl openssl=openssl
tree gcc || exit 1
[ "${1:-}" != --tasks ] || exec perl "$TOP/t/tools/stress-tasks.pl" --tree "$TREE" --tool memcheck --size "${2:-0.2}"
[ "${1:-}" = --cases ] || exec perl "$TOP/t/tools/stress.pl" --tree "$TREE" --tool memcheck --size "${1:-0.2}"

[ -n "${2:-}" ] || die '--cases needs names.' 'For example: scripts/valgrind.sh --cases auth,secrets,key_reload'
reports=$TREE/t/cases-memcheck
rm -rf "$reports" && mkdir -m 1777 "$reports" || exit 1   # children run as nobody
cases=''
for name in ${2//,/ }; do cases="$cases t/cases/$name.t"; done
export AIGW_TEST_KEYS=${AIGW_TEST_KEYS:-1000}
export AIGW_WRAP="valgrind --tool=memcheck --trace-children=yes --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=none --num-callers=40
    --child-silent-after-fork=no --log-file=$reports/memcheck.%p"
make -C "$TREE/t" check TEST_ARGS="-verbose $cases"
rc=$?
perl -I"$TOP/t/lib" -MAIGW::Memcheck -e 'exit(AIGW::Memcheck::judge(@ARGV))' "$reports" && exit $rc
