# shellcheck shell=bash
# title: make distcheck
# beside: 150
# packages: check libapache2-mod-perl2 redis-server=redis-server
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree gcc || exit 1
cd "$TREE" || exit 1
rm -rf mod_aigw-*
# a run of its own: MPM and the like must not leak into it. Of the cases these: whether all are in the tarball is looked at below, and what they say of this tree the suites of the MPMs
env -u MPM make distcheck TEST_ARGS="t/cases/conf.t t/cases/smoke.t t/cases/streams.t t/cases/ratelimit.t t/cases/tasks.t" || exit 1
files=$(tar tzf mod_aigw-*.tar.gz | sed 's,^[^/]*/,,' | sort)
n=1 bad=0
git -C "$TOP" rev-parse >/dev/null 2>&1 || checks 1 # no git here, or a release itself: its folder is full of what autoreconf made
while IFS= read -r f; do
    case $f in .git* | .ci/*) continue ;; esac
    n=$((n + 1))
    grep -qxF -- "$f" <<<"$files" || {
        bad=$((bad + 1))
        echo "not in the tarball: $f"
    }
done <<<"$(source_files '*')"
checks $n $bad
