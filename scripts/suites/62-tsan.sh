# shellcheck shell=bash
# title: the gateway under stress, ThreadSanitizer
# packages: check libapache2-mod-perl2 libcryptx-perl libio-socket-ssl-perl openssl=openssl redis-server=redis-server postgresql sqlite3=sqlite3
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

# The clients are not what is looked at, and need not be slow.
tree gcc || exit 1
load=$TREE/bench/aigw-load
tree tsan || exit 1
# functions of ours that TSan was built into: without them it would find nothing wrong
for so in "$TREE"/modules/.libs/mod_aigw.so "$TREE"/modules/.libs/mod_aigw_stream.so "$TREE"/modules/.libs/mod_aigw_tasks.so; do
    n=$(nm -D --undefined-only "$so" | grep -c ' __tsan_')
    printf '%s: %d entry points of TSan\n' "$(basename "$so")" "$n"
    [ "$n" -ge 10 ] || checks 1 1
done
# Limits in shared memory: threads of one process and of several. None is killed: TSan takes a lock that pthread_mutex_timedlock() got from a dead process for one that is not locked.
# The unit suites do that, also with ASan.
make -C "$TREE/unit" limit-stress || exit 1
for how in '--processes 1 --threads 4 --kills 0 --decisions 200000' '--processes 2 --threads 3 --kills 0 --decisions 200000'; do
    # shellcheck disable=SC2086
    "$TREE/unit/limit-stress" $how || checks 1 1
done
n=0 bad=0
for what in stress stress-tasks; do
    perl "$TOP/t/tools/$what.pl" --tree "$TREE" --load "$load" --tool tsan --out "$TREE/t/$what" | tee "$TREE/t/$what.log"
    counted=$(sed -n 's/^checks: //p' "$TREE/t/$what.log")
    failed=$(sed -n 's/^failed: //p' "$TREE/t/$what.log")
    [ -n "$counted" ] || counted=1 failed=1 # it did not come to its end
    n=$((n + counted)) bad=$((bad + ${failed:-0}))
done
checks "$n" "$bad"
