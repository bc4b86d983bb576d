# shellcheck shell=bash
# title: Apache::Test on event, ASan and UBSan
# beside: 1060
# packages: libapache2-mod-perl2 libcryptx-perl libio-socket-ssl-perl faketime curl=curl openssl=openssl redis-server=redis-server postgresql sqlite3=sqlite3
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree asan || exit 1
apache_tests "$TREE" event
