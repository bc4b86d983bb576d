#!/usr/bin/env bash
# The gateway under stress (t/tools/stress.pl) with valgrind's memcheck: every endpoint, upstream faults, clients that leave, drains, TLS on both sides, restart
# and stops. Fails on any invalid access and on any definite leak with a frame of ours. The reports are in build/gcc/t/stress-memcheck/reports.
#   scripts/valgrind.sh [SIZE]     how much of everything: 0.2 unless told
set -u
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

build_folder
# shellcheck disable=SC2086
packages $PACKAGES_BUILD valgrind libapache2-mod-perl2 libcryptx-perl libio-socket-ssl-perl openssl=openssl
tree gcc || exit 1
exec perl "$TOP/t/tools/stress.pl" --tree "$TREE" --tool memcheck --size "${1:-0.2}"
