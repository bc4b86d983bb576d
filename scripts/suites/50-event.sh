# shellcheck shell=bash
# title: Apache::Test on event
# beside: 1020
# quick: yes
# packages: libapache2-mod-perl2 libcryptx-perl libio-socket-ssl-perl faketime curl=curl openssl=openssl slowhttptest=slowhttptest redis-server=redis-server postgresql sqlite3=sqlite3
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree gcc || exit 1
apache_tests "$TREE" event
