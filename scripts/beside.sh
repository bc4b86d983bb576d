# shellcheck shell=bash
# Commands side by side, for ./runtests: each with a log, a process group and a range of ports of its own. lib.sh must be sourced before.

BESIDE_SLOTS=()              # by slot: what runs in it, a name; '' or unset: free
declare -A BESIDE_PID=() BESIDE_BEGAN=()
BESIDE_PORTS_LOW=10240       # below what outgoing connections take theirs from (t/lib/AIGW/Services.pm)

# beside_start SLOT SLOTS NAME LOG COMMAND...: in the background. Tests of this slot take their ports (AIGW_TEST_PORTS) from a part of all: who looks for a free port
# must not get one that another suite is about to use, or counts on being closed.
beside_start() {
    local slot=$1 slots=$2 name=$3 log=$4 high share
    shift 4
    high=$(cut -f1 /proc/sys/net/ipv4/ip_local_port_range 2>/dev/null)
    share=$(((${high:-32768} - BESIDE_PORTS_LOW) / slots))
    [ "$share" -gt 1000 ] || share=0 # no room: any port
    BESIDE_SLOTS[slot]=$name
    BESIDE_BEGAN[$name]=$EPOCHREALTIME
    set -m # a process group of its own: see beside_abandon
    AIGW_TEST_PORTS=$((BESIDE_PORTS_LOW + slot * share)):$share "$@" >>"$log" 2>&1 </dev/null 9>&- &
    BESIDE_PID[$name]=$!
    set +m
}

# beside_free SLOTS: the first free slot, or nothing.
beside_free() {
    local slot
    for ((slot = 0; slot < $1; slot++)); do
        [ -n "${BESIDE_SLOTS[slot]:-}" ] || { printf '%d' "$slot" && return; }
    done
}

# What runs, with seconds, for the terminal.
beside_running() {
    local name all=''
    for name in "${BESIDE_SLOTS[@]}"; do
        [ -z "$name" ] || all+="${all:+, }$name $(seconds_since "${BESIDE_BEGAN[$name]}") s"
    done
    printf '%s' "$all"
}

# beside_wait: until one of them ends, whose name is then in BESIDE_ENDED and whose status is returned.
beside_wait() {
    local name slot rc=0 n=0
    BESIDE_ENDED=''
    while [ -z "$BESIDE_ENDED" ]; do
        for slot in "${!BESIDE_SLOTS[@]}"; do
            name=${BESIDE_SLOTS[slot]}
            [ -z "$name" ] || kill -0 "${BESIDE_PID[$name]}" 2>/dev/null || { BESIDE_ENDED=$name && break; }
        done
        [ -z "$BESIDE_ENDED" ] || break
        [ $IS_TTY = no ] || printf '\r\e[K%s %s%s%s' "$(spin $((n++)))" "$DIM" "$(beside_running)" "$PLAIN"
        sleep 0.1
    done
    [ $IS_TTY = no ] || printf '\r\e[K'
    wait "${BESIDE_PID[$BESIDE_ENDED]}" || rc=$?
    unset "BESIDE_PID[$BESIDE_ENDED]"
    BESIDE_SLOTS[slot]=''
    return $rc
}

# beside_abandon: what a trap calls. All that run are told to end, and waited for: they have servers to stop. Who takes longer than 20 s is killed.
beside_abandon() {
    local pid n=0
    for pid in "${BESIDE_PID[@]}"; do kill -TERM -- "-$pid" 2>/dev/null; done
    for pid in "${BESIDE_PID[@]}"; do
        # the group, not its leader, which goes first
        while kill -0 -- "-$pid" 2>/dev/null && [ $((n++)) -lt 200 ]; do sleep 0.1; done
        kill -KILL -- "-$pid" 2>/dev/null
    done
}
