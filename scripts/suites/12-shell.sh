# shellcheck shell=bash
# title: shell scripts (bash -n, shellcheck)
# quick: yes
# packages: shellcheck
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

script() {
    bash -n "$1" && shellcheck -S warning "$1"
}
{
    printf '%s\n' quickstart runtests .ci/run fuzz/run
    source_files 'scripts/*.sh' 't/*.sh' 'bench/*.sh' 'tools/*.sh'
} | sort -u | each script
