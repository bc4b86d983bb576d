# shellcheck shell=bash
# title: benchmarks, a short form
# packages: python3=python3 openssl=openssl libssl-dev redis-server=redis-server postgresql
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

# Whether the tools work and the gateway loses nothing. How fast anything is says nothing here: other suites, other people, other machines.
tree gcc || exit 1
n=0 bad=0
out=$TREE/bench/out-suite
ok() { # STATUS TITLE
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        bad=$((bad + 1))
        echo "not ok $n - $2"
    fi
}
rm -rf "$out" && mkdir -p "$out" || exit 1
# where a token is measured a second key will do; the keys are the same in each run
"$TREE/bench/aigw-lookup" --keys 1000 --write "$out/keys.jsonl" | sed 's/.*"key": "\([^"]*\)".*/\1/' >"$out/token"
"$TOP/bench/run" --quick --gateway-build "$TREE" --who gateway --rows streams5000,memory-tls,json1,json64,pace64,leave,lookup,limit,auth,limited \
    --token-file "$out/token" --out "$out"
ok $? 'bench/run ends well'

# has EXPRESSION TITLE: rows is the "rows" of the results, gateway(row) what was measured there.
has() {
    python3 - "$out/results.json" "$1" <<'PY'
import json, sys
rows = json.load(open(sys.argv[1], encoding="utf-8"))["rows"]
gateway = lambda row: rows[row]["rounds"]["gateway"][0]
sys.exit(0 if eval(sys.argv[2]) else f"{sys.argv[2]} does not hold: {json.dumps({r: {k: v for k, v in (gateway(r) or {}).items() if k != 'histogram'} for r in rows})}")
PY
    ok $? "$2"
}
has 'len(rows) == 10 and all(gateway(r)["lost"] == 0 for r in rows)' 'no row has lost a stream'
has 'gateway("streams5000")["completed"] == 500 and gateway("streams5000")["tokens"] == 500 * 41' 'each stream had each of its tokens, once'
has 'all(gateway("streams5000")[k] > 0 for k in ("cpu_per_m", "added_p50", "added_p99", "ttft_p99", "threads", "memory_mb"))' 'streams: all numbers are there'
has 'sum(n for _, n in gateway("streams5000")["histogram"]) == 500 * 41' 'the histogram has every token'
has 'gateway("memory-tls")["opened"] == 300 and gateway("memory-tls")["pss_kb"] > 0' 'memory: TLS streams were open'
has 'all(gateway(r)["requests_per_s"] > 0 and 0 < gateway(r)["p50"] <= gateway(r)["p99"] for r in ("json1", "json64"))' 'requests: all numbers are there'
has 'gateway("pace64")["tokens"] > 0 and gateway("pace64")["cpu_per_m"] > 0' 'full pace: all numbers are there'
has 'gateway("leave")["unseen"] == 0 and gateway("leave")["worst"] > 0' 'every client that left was noticed upstream, in every phase'
has 'all(gateway("lookup")[k] > 0 for k in ("hit_p50", "hit_p99", "miss_p50", "miss_p99", "read_ms"))' 'keys are looked up: all numbers are there'
has 'all(gateway("limit")[k] > 0 for k in ("key_p50", "one_p50", "one_p99", "two_p50", "four_p50", "call_p50", "call_p99"))' 'limits are decided: all numbers are there'
has '"limit" in rows and gateway("limit")["key_p50"] < gateway("limit")["one_p50"] < gateway("limit")["four_p50"]' 'four limits cost more than one, and that more than its key'
has 'all(gateway("auth")[k] > 0 for k in ("p50_open", "p50_key", "p50_token")) and {"added_key", "added_token"} <= gateway("auth").keys()' 'authentication: all numbers are there'
has 'all(gateway("limited")[k] > 0 for k in ("ratio_memory", "p50_open")) and "added_memory" in gateway("limited")' 'a location with limits: all numbers are there'
has '0.99 < gateway("limited").get("asked_redis", 1) < 1.05' 'Redis is asked once a request'
[ -s "$out/results.md" ]
ok $? 'there is a table'

# tasks: on each store that can be here, and none is lost or torn while children are killed
"$TOP/bench/tasks" --quick --seconds 0.5 --tasks 60 --gateway-build "$TREE" --out "$out/tasks"
ok $? 'bench/tasks ends well'
python3 - "$out/tasks/tasks.json" <<'PY'
import json, sys
found = json.load(open(sys.argv[1], encoding="utf-8"))
assert set(found["pace"]) == {"sqlite", "sqlite-normal", "pgsql", "redis"}, found["pace"].keys()
assert all(n["lost"] == 0 and n["created"] > 0 and n["create_p99"] > 0 and n["completions_per_s"] > 0 for n in found["pace"].values())
assert found["running"]["sqlite"]["lost"] == 0 and found["running"]["sqlite"]["kb"] > 0
assert all(n["lost"] == 0 and n["killed"] > 0 and n["restarts"] == 2 for n in found["chaos"].values()) and len(found["chaos"]) == 3
PY
ok $? 'with all its numbers, of each store'

# a tool that sees no failure measures nothing
echo aigw_nobody_x >"$out/token"
"$TOP/bench/run" --quick --gateway-build "$TREE" --who gateway --rows auth --token-file "$out/token" --out "$out/refused" >/dev/null
grep -q 'loses none | [1-9][0-9]* | MISS' "$out/refused/results.md"
ok $? 'a token that is refused is a loss'
load=$TREE/bench/aigw-load
"$load" --port 1 --streams 3 >"$out/refused.json"
[ $? -eq 1 ] && grep -q '"connect": 3' "$out/refused.json"
ok $? 'the load client tells that it could not connect'
"$TREE/bench/aigw-model" >"$out/model.port" &
model=$!
until [ -s "$out/model.port" ] || ! kill -0 $model 2>/dev/null; do sleep 0.02; done
port=$(tr -dc 0-9 <"$out/model.port")
"$load" --port "$port" --streams 20 --tokens 5 --rate 0 --done never >"$out/undone.json"
[ $? -eq 1 ] && grep -q '"no_done": 20' "$out/undone.json"
ok $? 'and that the end of a stream was missing'
"$load" --port "$port" --streams 20 --total 200 --tokens 5 --rate 100 --abort-percent 30 >"$out/aborted.json"
[ $? -eq 0 ] && grep -q '"lost": 0' "$out/aborted.json" && ! grep -q '"aborted": 0' "$out/aborted.json"
ok $? 'and hangs up on purpose without counting that as a loss'
"$load" --port "$port" --streams 20 --tokens 1 --delay-ms 30000 --rate 1 --timeout 1 >"$out/silent.json"
[ $? -eq 1 ] && grep -q '"timeout": 20' "$out/silent.json"
ok $? 'and waits for silent streams no longer than it should'
"$load" --port "$port" --streams 1 --json --tokens 1 --status 202 >"$out/status.json"
[ $? -eq 1 ] && grep -q '"status": 1' "$out/status.json"
ok $? 'and takes no other status for the one that it must have'
kill $model
wait $model 2>/dev/null
checks $n $bad
