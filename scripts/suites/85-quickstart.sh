# shellcheck shell=bash
# title: ./quickstart, tried
# packages: curl=curl
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

# What a new user does, in the shell's eyes: words one by one, a quick second start, clear words for a busy port, nothing left behind.
n=0 bad=0
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
ok() { # STATUS TITLE
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        bad=$((bad + 1))
        echo "not ok $n - $2"
    fi
}
gone() { # PID FILE OF HTTPD
    [ ! -s "$1" ] || ! kill -0 "$(cat "$1")" 2>/dev/null
}
port=$(free_port)
answers() {
    curl -fsS --noproxy '*' -o /dev/null "http://127.0.0.1:$port/$1" 2>/dev/null
}

"$TOP/quickstart" --once --port "$port" 2>&1 | tee "$out/first"
ok "${PIPESTATUS[0]}" '--once ends well'
grep -qE '[0-9]{2,} pieces in [0-9]+ ms' "$out/first"
ok $? 'the answer came in pieces'
grep -qE 'task [0-9a-f]{32}: completed' "$out/first"
ok $? 'the task was completed'
gone "$BUILD/quickstart/run-$port/httpd.pid"
ok $? 'no httpd is left'

began=$EPOCHREALTIME
"$TOP/quickstart" --serve --port "$port" >"$out/second" 2>&1 &
pid=$!
until answers v1/models || ! kill -0 $pid 2>/dev/null || [ "$(seconds_since "$began")" -ge 20 ]; do sleep 0.05; done
ms=$(((${EPOCHREALTIME/[.,]/} - ${began/[.,]/}) / 1000))
echo "second start: $ms ms"
[ $ms -lt 3000 ]
ok $? 'the second start takes under 3 s'
answers index.html
ok $? 'the page is served'
httpd=$(cat "$BUILD/quickstart/run-$port/httpd.pid")
"$TOP/quickstart" --once --port "$port" >"$out/busy" 2>&1
[ $? -eq 1 ] && grep -q 'in use' "$out/busy" && grep -q -- '--port [0-9]' "$out/busy"
ok $? 'a busy port is named, with the remedy'
kill -TERM $pid
wait $pid
ok $? 'TERM ends it well'
! kill -0 "$httpd" 2>/dev/null && ! answers v1/models
ok $? 'no httpd is left'

"$TOP/quickstart" --serve --port "$port" >"$out/third" 2>&1 &
pid=$!
began=$EPOCHREALTIME
until answers v1/models || ! kill -0 $pid 2>/dev/null || [ "$(seconds_since "$began")" -ge 20 ]; do sleep 0.05; done
httpd=$(cat "$BUILD/quickstart/run-$port/httpd.pid")
kill -KILL $pid
wait $pid 2>/dev/null
began=$EPOCHREALTIME
while kill -0 "$httpd" 2>/dev/null && [ "$(seconds_since "$began")" -lt 15 ]; do sleep 0.05; done
! kill -0 "$httpd" 2>/dev/null
ok $? 'not even when the script is killed with -9'
[ $bad -eq 0 ] || cat "$out"/second "$out"/busy "$out"/third
checks $n $bad
