# shellcheck shell=bash
# title: headless Chromium
# packages: node=nodejs chromium=chromium curl=curl
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree gcc || exit 1
node_tests "$TOP/t/clients/browser"
