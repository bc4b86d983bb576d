# shellcheck shell=bash
# title: OpenAI's Node SDK
# packages: node=nodejs npm=npm curl=curl htpasswd=apache2-utils openssl=openssl
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree gcc || exit 1
node_tests "$TOP/t/clients/node"
