# shellcheck shell=bash
# Shell functions that ./quickstart, ./runtests and the suites share: steps with visible progress, Debian packages, builds.
# The caller sets TOP (the source tree) and sources this. Nothing here runs by itself.

BUILD=${AIGW_BUILD_DIR:-$TOP/build}
LOGS=$BUILD/logs
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin   # Debian keeps httpd, apxs and a2enmod out of a plain user's way
export PATH

# What the modules need to be built and run, and what a script needs to make it so. COMMAND=PACKAGE: the command will do, wherever it is from.
# shellcheck disable=SC2034
PACKAGES_BUILD='apache2-bin apache2-dev libcurl4-openssl-dev libhiredis-dev libjansson-dev libjwt-dev libpq-dev libsqlite3-dev libssl-dev autoconf automake libtool pkg-config gcc libc6-dev make=make'

# --- saying things --------------------------------------------------------------------------------------------------------------------

IS_TTY=no
BOLD='' DIM='' RED='' GREEN='' PLAIN=''
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
    IS_TTY=yes
    if [ -z "${NO_COLOR:-}" ]; then
        BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
    fi
fi

say() {
    printf '%s\n' "$*"
}

# die MESSAGE [REMEDY]: says both on stderr and ends the script.
die() {
    printf '%s%s%s\n' "$RED" "$1" "$PLAIN" >&2
    [ $# -lt 2 ] || printf '  %s\n' "$2" >&2
    exit 1
}

# The folder that everything is written to. A clone of somebody else's is the usual reason why it cannot be made.
build_folder() {
    mkdir -p "$LOGS" 2>/dev/null && [ -w "$BUILD" ] && [ -w "$LOGS" ] ||
        die "Cannot write to $BUILD (it belongs to $(stat -c %U "$BUILD" 2>/dev/null || stat -c %U "$TOP"), you are $(id -un))." \
            'Work in a clone of your own, or remove that folder.'
}

# --- steps ----------------------------------------------------------------------------------------------------------------------------

STEP_PID=''        # what runs in the background for the current step
STEP_DETAIL=''     # a function that prints what the step is at; by default the log's last line
STEP_NOTE=''       # a function that prints what to add to the line in the end; gets the log
STEP_KEEP=''       # the name of something that must not be cut off

last_line() { # LOG
    tail -n 1 "$1" 2>/dev/null | tr -d '\000-\037\177'
}

seconds_since() { # EPOCHREALTIME of then
    local now=${EPOCHREALTIME/[.,]/}
    printf '%d' $(((now - ${1/[.,]/}) / 1000000))
}

# step TITLE LOG COMMAND...: runs the command with its output in LOG, one line on the terminal. Returns its status; says nothing more.
step() {
    local title=$1 log=$2 began=$EPOCHREALTIME rc=0 n=0 width detail
    shift 2
    mkdir -p "$(dirname "$log")"
    printf '\n== %s: %s\n' "$title" "$*" >>"$log"
    [ $IS_TTY = yes ] || printf '  %-46s' "$title ..."
    set -m # a process group of its own: see abandon_step
    "$@" >>"$log" 2>&1 </dev/null &
    STEP_PID=$!
    set +m
    if [ $IS_TTY = yes ]; then
        width=$(($(tput cols 2>/dev/null || echo 80) - 60))
        [ "$width" -ge 8 ] || width=8
        while kill -0 "$STEP_PID" 2>/dev/null; do
            detail=$(${STEP_DETAIL:-last_line} "$log")
            printf '\r\e[K%s %-46s %s%3d s  %s%s' "$(spin $((n++)))" "$title" "$DIM" "$(seconds_since "$began")" "${detail:0:width}" "$PLAIN"
            sleep 0.1
        done
        printf '\r\e[K  %-46s' "$title"
    fi
    wait "$STEP_PID" || rc=$?
    STEP_PID=''
    if [ $rc -eq 0 ]; then
        printf ' %sok%s %9d s%s\n' "$GREEN" "$PLAIN" "$(seconds_since "$began")" "${STEP_NOTE:+$("$STEP_NOTE" "$log")}"
    else
        printf ' %sFAILED%s %5d s%s\n' "$RED" "$PLAIN" "$(seconds_since "$began")" "${STEP_NOTE:+$("$STEP_NOTE" "$log")}"
    fi
    return $rc
}

spin() {
    local marks='|/-\'
    printf '%s' "${marks:$(($1 % 4)):1}"
}

# abandon_step: what a trap calls. A package manager is left to finish, anything else is ended with all its processes.
abandon_step() {
    [ -n "$STEP_PID" ] || return 0
    if [ -n "$STEP_KEEP" ]; then
        printf '\n%s is left to finish in the background.\n' "$STEP_KEEP" >&2
    else
        kill -TERM -- "-$STEP_PID" 2>/dev/null
    fi
    STEP_PID=''
}

# must_step TITLE LOG REMEDY COMMAND...: the same, but a failure shows the end of the log and the remedy and ends the script.
must_step() {
    local title=$1 log=$2 remedy=$3 from
    shift 3
    from=$(($(wc -l <"$log" 2>/dev/null || echo 0) + 1))
    step "$title" "$log" "$@" && return 0
    printf '\n%sThe last lines of %s:%s\n' "$BOLD" "$log" "$PLAIN" >&2
    tail -n "+$from" "$log" | tail -n 25 | sed 's/^/  | /' >&2
    printf '\n%s\n' "$remedy" >&2
    exit 1
}

# --- packages -------------------------------------------------------------------------------------------------------------------------

# packages_missing SPEC...: the Debian packages among them that are not here, one a line. dpkg knows; apt-get is not asked.
packages_missing() {
    local spec names='' have
    for spec in "$@"; do
        case $spec in
        *=*) command -v "${spec%%=*}" >/dev/null || names="$names ${spec#*=}" ;;
        *) names="$names $spec" ;;
        esac
    done
    [ -n "$names" ] || return 0
    # shellcheck disable=SC2086
    have=" $(dpkg-query -W -f='${db:Status-Status}:${Package} ' $names 2>/dev/null)"
    for spec in $names; do
        case $have in *" installed:$spec "*) ;; *) printf '%s\n' "$spec" ;; esac
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# what apt-get is at, from its own status lines ("pmstatus:gcc:41.5:Unpacking gcc")
apt_detail() {
    tail -n 1 "$LOGS/apt.status" 2>/dev/null | awk -F: '{ printf "%s %d%%  %s", ($1 == "dlstatus" ? "download" : "install"), $3, $4 }'
}

apt_get() {
    # nothing may ask a question; sudo closes all descriptors but three, so the status file is opened behind it
    # shellcheck disable=SC2016
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 sh -c 'status=$1; shift; exec apt-get "$@" 3>"$status"' sh \
        "$LOGS/apt.status" -q -y -o DPkg::Lock::Timeout=120 -o APT::Status-Fd=3 "$@"
}

# Debian's PostgreSQL makes a database and starts a server for it when it is installed, unless this is said before. The tests start their own.
no_database_of_its_own() { # PACKAGE...
    case " $* " in *' postgresql '*) ;; *) return 0 ;; esac
    [ -e /etc/postgresql-common/createcluster.conf ] || [ -d /etc/postgresql ] ||
        as_root sh -c 'mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf'
}

# packages SPEC...: installs what is missing of them, or ends the script with the remedy.
packages() {
    local missing log=$LOGS/packages.log line
    if ! command -v dpkg-query >/dev/null; then
        say "  This is no Debian: packages are up to you (README.md has the list)."
        return 0
    fi
    missing=$(packages_missing "$@" | sort -u | tr '\n' ' ')
    [ -n "${missing// /}" ] || return 0
    line="apt-get update && apt-get install ${missing% }"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die "These packages are missing, and there is no sudo to install them with: ${missing% }" "As root: $line"
        if ! sudo -n true 2>/dev/null; then
            [ -t 0 ] || die "These packages are missing, and sudo wants a password: ${missing% }" "As root: $line"
            say "  sudo, for apt-get install ${missing% }"
            sudo -v || die 'sudo refused.' "As root: $line"
        fi
    fi
    : >"$LOGS/apt.status" || exit 1
    STEP_DETAIL=apt_detail STEP_KEEP=apt-get
    # an out-of-date list is better than none: whether this matters is seen in the next step
    step 'package lists' "$log" apt_get update || :
    # shellcheck disable=SC2086
    no_database_of_its_own $missing
    # shellcheck disable=SC2086
    must_step "install $(wc -w <<<"$missing" | tr -d ' ') packages, and what they need" "$log" "Is the network there? By hand, as root: $line" \
        apt_get install --no-install-recommends $missing
    STEP_DETAIL='' STEP_KEEP=''
    missing=$(packages_missing "$@" | tr '\n' ' ')
    [ -z "${missing// /}" ] || die "apt-get ended well, but these packages are still missing: $missing" "See $log"
}

# --- builds ---------------------------------------------------------------------------------------------------------------------------

cores() {
    getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1
}

configure_is_old() {
    local f
    [ -x "$TOP/configure" ] || return 0
    for f in "$TOP/configure.ac" "$TOP"/m4/aigw.m4 "$TOP"/Makefile.am "$TOP"/*/Makefile.am; do
        [ -f "${f%.am}.in" ] || [ "${f%.am}" = "$f" ] || return 0
        [ ! "$f" -nt "$TOP/configure" ] || return 0
    done
    return 1
}

run_autoreconf() {
    # automake leaves an unchanged Makefile.in as old as it was: the time of configure is what configure_is_old() goes by
    (cd "$TOP" && autoreconf -fi && touch configure && rm -f configure~)
}

# Out of source, with a relative path to the sources: configure refuses an absolute one with a space in it.
run_configure() { # FOLDER ARGUMENT...
    local folder=$1
    shift
    rm -rf "$folder" && mkdir -p "$folder" && cd "$folder" || return 1
    "$(realpath --relative-to=. "$TOP")/configure" "$@" || return 1
    configured_for "$@" >configured-for
}

# What a configured folder depends on: the place of the sources, the arguments, and what configure found or did not find.
configured_for() {
    printf '%s\n' "$TOP" "$*"
    dpkg-query -W -f='${Package} ${Version} ${db:Status-Status}\n' apache2-bin apache2-dev libjansson-dev check libapache2-mod-perl2 gcc clang 2>/dev/null || :
}

configure_differs() { # FOLDER ARGUMENT...
    local folder=$1
    shift
    [ ! -f "$folder/Makefile" ] || [ "$(cat "$folder/configured-for" 2>/dev/null)" != "$(configured_for "$@")" ]
}

# configured FOLDER ARGUMENT...: autoreconf and configure where needed, as steps. Variables of configure (CC=clang) are arguments too.
configured() {
    local folder=$1 log
    log=$LOGS/$(basename "$folder").log
    shift
    if configure_is_old; then
        [ -w "$TOP" ] || die "Cannot write to $TOP, where autoreconf must put configure." 'Work in a clone of your own.'
        must_step autoreconf "$log" 'configure.ac or a Makefile.am is at fault, or a package is missing (README.md).' run_autoreconf
    fi
    configure_differs "$folder" "$@" || return 0
    must_step configure "$log" "What configure found out is in $folder/config.log." run_configure "$folder" "$@"
}

# tree gcc|clang|asan|tsan: the same for suites, all of it built, in $BUILD/NAME; sets TREE. Its output is the suite's.
tree() {
    TREE=$BUILD/$1
    case $1 in
    gcc) set -- --enable-werror CC=gcc ;;
    clang) set -- --enable-werror CC=clang ;;
    asan) set -- --enable-werror --enable-sanitizers CC=gcc CFLAGS='-O1 -g' ;;
    tsan) set -- --enable-werror CC=gcc CFLAGS='-O1 -g -fsanitize=thread -fno-omit-frame-pointer' ;;
    *) die "tree $1?" ;;
    esac
    # suites run side by side, and one of them builds
    { flock 8 && build_tree "$@" 8>&-; } 8>"$BUILD/tree.lock"
}

build_tree() { # ARGUMENT of configure...
    if configure_is_old; then run_autoreconf || return 1; fi
    # a subshell: run_configure changes the folder
    if configure_differs "$TREE" "$@"; then (run_configure "$TREE" "$@") || return 1; fi
    make -C "$TREE" -j"$(cores)"
}

# value FOLDER NAME: what configure found out, from the top Makefile
value() {
    sed -n "s/^$2 = //p" "$1/Makefile"
}

# free_port: one of 127.0.0.1 that is free, outside of the range that outgoing connections take theirs from: it stays free until it is used. As t/lib/AIGW/Services.pm.
free_port() {
    local low=10240 range port
    range=$(($(cut -f1 /proc/sys/net/ipv4/ip_local_port_range 2>/dev/null || echo 32768) - low))
    if [[ ${AIGW_TEST_PORTS:-} =~ ^([0-9]+):([1-9][0-9]+)$ ]]; then
        low=${BASH_REMATCH[1]} range=$((BASH_REMATCH[2] - 32))
    fi
    [ "$range" -gt 900 ] || low=20000 range=20000 # no room: any port
    while port=$((low + (RANDOM * 32768 + RANDOM) % range)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

# --- sources --------------------------------------------------------------------------------------------------------------------------

# source_files PATTERN...: git's idea of our files (new ones too), or in a tarball all there are; relative to TOP, one a line
source_files() {
    if [ -e "$TOP/.git" ] && git -C "$TOP" rev-parse >/dev/null 2>&1; then
        git -C "$TOP" ls-files -co --exclude-standard -- "$@" | while IFS= read -r f; do
            [ ! -f "$TOP/$f" ] || printf '%s\n' "$f"
        done
    else
        local p
        for p in "$@"; do
            case $p in
            */*) (cd "$TOP" && find "${p%/*}" -path '*/node_modules' -prune -o -type f -name "${p##*/}" -print) ;;
            *) (cd "$TOP" && find . \( -path ./build -o -name node_modules \) -prune -o -type f -name "$p" -printf '%P\n') ;;
            esac
        done
    fi 2>/dev/null | sort -u
}

# --- counting checks: what a suite ends with -----------------------------------------------------------------------------------------

# checks N [FAILED]: the suite's last lines; ends it.
checks() {
    printf 'checks: %d\n' "$1"
    [ "${2:-0}" -eq 0 ] && exit 0
    printf 'failed: %d\n' "$2"
    exit 1
}

# each COMMAND...: runs the command with each file (one a line on stdin) as last argument and counts. Ends the suite.
each() {
    local f n=0 bad=0
    while IFS= read -r f; do
        n=$((n + 1))
        (cd "$TOP" && "$@" "$f") </dev/null || {
            bad=$((bad + 1))
            printf 'FAILED: %s\n' "$f"
        }
    done
    checks $n $bad
}

# Sums of what libcheck says in automake's logs of a folder ("100%: Checks: 12, Failures: 0, Errors: 0"): CHECKED, UNWELL.
libcheck_totals() { # FOLDER
    # shellcheck disable=SC2046
    set -- $(cat "$1"/*.log 2>/dev/null | sed -nE 's/.*Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+).*/\1 \2 \3/p' |
        awk '{ n += $1; bad += $2 + $3 } END { print n + 0, bad + 0 }')
    CHECKED=$1 UNWELL=$2
}

# The same of the programs that automake's test driver ran in a folder.
automake_totals() { # FOLDER
    CHECKED=$(cat "$1"/*.trs 2>/dev/null | grep -c '^:test-result: PASS')
    UNWELL=$(cat "$1"/*.trs 2>/dev/null | grep -cE '^:test-result: (FAIL|ERROR|XPASS)')
    CHECKED=$((CHECKED + UNWELL))
}

# The same of prove's last lines ("Files=7, Tests=213", "3/213 subtests failed") in a log.
prove_totals() { # LOG
    CHECKED=$(sed -nE 's/^Files=[0-9]+, Tests=([0-9]+),.*/\1/p' "$1" | awk '{ n += $1 } END { print n + 0 }')
    UNWELL=$(sed -nE 's,.* ([0-9]+)/[0-9]+ subtests failed.*,\1,p' "$1" | awk '{ n += $1 } END { print n + 0 }')
}

# And of TAP's ("# tests 12", "# fail 0"), as node --test writes it.
tap_totals() { # LOG
    CHECKED=$(sed -nE 's/^# tests ([0-9]+)$/\1/p' "$1" | tail -n 1)
    UNWELL=$(sed -nE 's/^# fail ([0-9]+)$/\1/p' "$1" | tail -n 1)
    CHECKED=${CHECKED:-0} UNWELL=${UNWELL:-0}
}

# verdict STATUS: checks CHECKED, with at least one failure where the command's status says so.
verdict() {
    [ "$1" -eq 0 ] || [ "$UNWELL" -gt 0 ] || UNWELL=1
    checks "$CHECKED" "$UNWELL"
}

# apache_tests TREE MPM: Apache::Test on that MPM; ends the suite. Cases with a line "# any MPM" have nothing to do with it (configuration, stores): they run on event only.
apache_tests() {
    local out rc=0 work=work-$2 args=''
    if [ "$2" != event ]; then
        args=$(cd "$TOP/t" && grep -L '^# any MPM' cases/*.t | sed 's,^,t/,' | tr '\n' ' ')
        echo "On event only, as they are the same on any MPM: $(cd "$TOP/t/cases" && grep -l '^# any MPM' -- *.t | tr '\n' ' ')"
    fi
    out=$(mktemp) || exit 1
    # several suites use one tree, side by side: what another one leaves must not answer for this one
    rm -rf "$1/t/$work"
    AIGW_TEST_WORK=$work MPM=$2 make -C "$1/t" check ${args:+"TEST_ARGS=$args"} 2>&1 | tee "$out"
    rc=${PIPESTATUS[0]}
    prove_totals "$out"
    rm -f "$out"
    verdict "$rc"
}

# node_tests FOLDER: its *.test.mjs under node --test, on a copy in build/, with what its package-lock.json names and what it shares with the folders beside it (../*.mjs); ends the suite.
# They start what they need by themselves: AIGW_HTTPD, AIGW_LIBEXEC, AIGW_MODULES, AIGW_TOOLS and AIGW_TOP say where things are.
node_tests() {
    local folder out rc shared
    [ -d "$1" ] || die "$1 is not there."
    folder=$BUILD/clients/$(basename "$1")
    mkdir -p "$folder" && find "$folder" -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} + || exit 1
    (cd "$1" && tar -c --exclude=node_modules .) | tar -x -C "$folder" --no-same-owner || exit 1
    for shared in "$1"/../*.mjs; do # never half a file for the suite beside this one
        cp "$shared" "$folder.new" && mv -f "$folder.new" "$BUILD/clients/$(basename "$shared")" || exit 1
    done
    cd "$folder" || exit 1
    if [ -f package-lock.json ] && ! cmp -s package-lock.json node_modules/installed-for; then
        npm ci --no-audit --no-fund --ignore-scripts || exit 1
        cp package-lock.json node_modules/installed-for
    fi
    AIGW_HTTPD=$(value "$TREE" HTTPD) AIGW_LIBEXEC=$(value "$TREE" HTTPD_LIBEXECDIR)
    AIGW_MODULES=$TREE/modules/.libs AIGW_TOOLS=$TREE/tools AIGW_TOP=$TOP
    export AIGW_HTTPD AIGW_LIBEXEC AIGW_MODULES AIGW_TOOLS AIGW_TOP
    out=$(mktemp) || exit 1
    node --test --test-reporter=tap 2>&1 | tee "$out"
    rc=${PIPESTATUS[0]}
    tap_totals "$out"
    rm -f "$out"
    verdict "$rc"
}
