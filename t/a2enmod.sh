#!/usr/bin/env bash
# a2enmod on a private tree: are our .load files right, whatever the order of names makes of them?
#   t/a2enmod.sh BUILD-FOLDER [APACHE2-PACKAGE-ROOT]
# The second argument is where the files of Debian's package apache2 are unpacked (a2enmod, mods-available); by default it is installed.
# Ends with "checks: N" and, where some failed, "failed: N" and status 1.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
build=$(cd "$1" && pwd -P) || exit 1
package=${2:-}
# shellcheck disable=SC2034
TOP=$top
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"
a2enmod=$package/usr/sbin/a2enmod
available=$package/etc/apache2/mods-available
httpd=$(sed -n 's/^HTTPD = //p' "$build/Makefile")
[ -e "$a2enmod" ] && [ -d "$available" ] || { echo "no a2enmod: Debian's package apache2 is needed" >&2; exit 1; }

tree=$(mktemp -d "${TMPDIR:-/tmp}/aigw-a2enmod.XXXXXX") || exit 1
chmod 755 "$tree"
httpd_pid=''
cleanup() {
    [ -z "$httpd_pid" ] || { kill "$httpd_pid" && wait "$httpd_pid"; } 2>/dev/null
    rm -rf "$tree"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

checks=0 failed=0
said=$tree/said
check() { # STATUS TITLE
    checks=$((checks + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $checks - $2"
    else
        failed=$((failed + 1))
        echo "not ok $checks - $2"
        [ ! -s "$said" ] || sed 's/^/  # /' "$said"
    fi
}
passes() { # TITLE COMMAND...
    local title=$1
    shift
    "$@" >"$said" 2>&1
    check $? "$title"
}
fails() {
    local title=$1
    shift
    ! "$@" >"$said" 2>&1
    check $? "$title"
}
says() { # TITLE PATTERN: of what was printed last
    grep -qE "$2" "$said"
    check $? "$1"
}

# --- the tree: the package's files and ours, as make install would put them there ---
port=$(free_port)
mkdir -p "$tree/mods-available" "$tree/mods-enabled" "$tree/run" "$tree/htdocs"
if [ -n "$package" ]; then
    cp "$available"/* "$tree/mods-available/"
else
    # what the package brought, not what this machine's administrator, or our own make install, added to it
    dpkg-query -L apache2 | grep '^/etc/apache2/mods-available/' | while IFS= read -r f; do cp "$f" "$tree/mods-available/"; done
fi
make -s -C "$build/conf" install modsavailabledir="$tree/mods-available" examplesdir="$tree/examples" >"$said" 2>&1
check $? 'make install puts our files there'
# they name the folder that the modules would be installed to
sed -i "s|^\\(LoadModule aigw[a-z_]* \\).*/|\\1$build/modules/.libs/|" "$tree"/mods-available/aigw*.load
: >"$tree/envvars"
cat >"$tree/apache2.conf" <<TXT
ServerRoot "$tree"
ServerName localhost
PidFile run/httpd.pid
DefaultRuntimeDir run
ErrorLog run/error.log
DocumentRoot htdocs
Listen 127.0.0.1:$port
IncludeOptional mods-enabled/*.load
IncludeOptional mods-enabled/*.conf
<IfDefine GATEWAY>
    Include "$top/conf/aigw.conf"
</IfDefine>
TXT
export APACHE_CONFDIR=$tree APACHE_ENVVARS=$tree/envvars APACHE_STATE_DIRECTORY=$tree/state
export APACHE_RUN_DIR=$tree/run APACHE_LOG_DIR=$tree/run APACHE_LOCK_DIR=$tree/run

enable() {
    "$a2enmod" -m "$@"
}
disable() {
    "${a2enmod%/a2enmod}/a2dismod" -m -f "$@"
}
httpd_t() {
    "$httpd" -f "$tree/apache2.conf" -t "$@"
}
has_all_three() {
    "$httpd" -f "$tree/apache2.conf" -M 2>/dev/null >"$said" && [ "$(grep -cE ' (proxy|aigw|aigw_stream)_module ' "$said")" -eq 3 ]
}

passes 'httpd starts without us' enable mpm_event authz_core
passes 'and its configuration is good' httpd_t

# --- we alone ---
passes 'a2enmod aigw_stream' enable aigw_stream
[ -L "$tree/mods-enabled/aigw.load" ] && [ -L "$tree/mods-enabled/aigw.conf" ]
check $? 'which enables aigw as well'
[ ! -e "$tree/mods-enabled/proxy.load" ]
check $? 'but not proxy: aigw.load loads it'
passes 'the configuration is good' httpd_t
! grep -q . <(grep -v '^Syntax OK' "$said")
check $? 'and httpd has nothing to say about it'
has_all_three
check $? 'proxy, aigw and aigw_stream are loaded'

# --- proxy enabled as well ---
passes 'a2enmod proxy, after us' enable proxy
passes 'the configuration is good' httpd_t
says 'httpd says that proxy is loaded already' 'AH01574.*proxy_module is already loaded, skipping'
has_all_three
check $? 'proxy, aigw and aigw_stream are loaded'
passes 'a2enmod proxy_http proxy_balancer' enable proxy_http proxy_balancer
passes 'the configuration is good' httpd_t
passes 'a2dismod aigw_stream aigw' disable aigw_stream aigw
passes 'a2enmod aigw_stream, after proxy' enable aigw_stream
passes 'the configuration is good' httpd_t
has_all_three
check $? 'proxy, aigw and aigw_stream are loaded'

# --- who may call what ---
passes 'a2enmod aigw_auth' enable aigw_auth
[ -L "$tree/mods-enabled/authz_user.load" ] && [ -L "$tree/mods-enabled/authn_core.load" ]
check $? 'which enables what its examples use of httpd as well'
passes 'the configuration is good' httpd_t
"$httpd" -f "$tree/apache2.conf" -M 2>/dev/null >"$said" && grep -q ' aigw_auth_module ' "$said"
check $? 'aigw_auth is loaded'

# --- how much of what ---
passes 'a2enmod aigw_ratelimit' enable aigw_ratelimit
passes 'the tiers of conf/aigw.conf are good' httpd_t -DGATEWAY

# --- what outlives a request ---
passes 'a2enmod aigw_tasks' enable aigw_tasks
passes 'the configuration is good' httpd_t
[ "$(sed -n 's/^AIGWStore //p' "$tree/mods-enabled/aigw_tasks.conf")" = sqlite:/var/lib/aigw/aigw.db ]
check $? 'tasks are kept where a machine keeps what its services know'
# on this machine that may be somebody's
sed -i "s|^AIGWStore .*|AIGWStore sqlite:$tree/state/aigw/aigw.db|" "$tree/mods-available/aigw_tasks.conf"
mkdir -p "$tree/state"
[ ! -e "$tree/state/aigw" ]
check $? 'a look at the configuration makes no store'

# --- why aigw.load does this: without it the order of names is wrong ---
cp "$tree/mods-available/aigw.load" "$tree/kept"
sed -i '/<IfModule/,/<\/IfModule/d' "$tree/mods-available/aigw.load"
fails 'without that <IfModule> httpd does not start' httpd_t
says 'for want of a symbol of mod_proxy' 'undefined symbol: .*prox'
cp "$tree/kept" "$tree/mods-available/aigw.load"

# --- and it serves ---
if [ "$(id -u)" -eq 0 ]; then
    printf 'User nobody\nGroup nogroup\n' >>"$tree/apache2.conf"
fi
setsid "$httpd" -f "$tree/apache2.conf" -DFOREGROUND -DGATEWAY >"$said" 2>&1 </dev/null &
httpd_pid=$!
for _ in $(seq 100); do
    models=$(curl -fsS --noproxy '*' --max-time 2 "http://127.0.0.1:$port/v1/models" 2>/dev/null) && break
    kill -0 "$httpd_pid" 2>/dev/null || break
    sleep 0.1
done
cat "$tree/run/error.log" >>"$said" 2>/dev/null
[[ $models == *'"echo"'* ]]
check $? 'httpd serves the endpoints of conf/aigw.conf'
task=$(curl -fsS --noproxy '*' --max-time 20 -H 'Content-Type: application/json' -H 'Prefer: wait=15' -d '{"prompt": "out of the box"}' "http://127.0.0.1:$port/api/v1/tasks" 2>>"$said")
printf '%s\n' "$task" >>"$said"
[[ $task == *'"completed"'*'"out of the box"'* ]]
check $? 'and tasks'
[ "$(id -u)" -ne 0 ] || [ "$(stat -c '%U %a' "$tree/state/aigw/aigw.db")" = 'nobody 600' ]
check $? 'whose file is of the user that httpd runs as, and nobody else reads it'

echo "checks: $checks"
[ $failed -eq 0 ] && exit 0
echo "failed: $failed"
exit 1
