#!/usr/bin/env bash
# Runs aigw-key, the command, on files in a folder of its own. AIGW_KEY says where it is; by default here.
set -u
AIGW_KEY=${AIGW_KEY:-$PWD/aigw-key}
[ -x "$AIGW_KEY" ] || { echo "There is no $AIGW_KEY. Run this in tools/ of a build folder, or set AIGW_KEY."; exit 1; }
DIR=$(mktemp -d) || exit 1
trap 'rm -rf "$DIR"' EXIT
cd "$DIR" || exit 1
umask 022
N=0 BAD=0

# --- checks -----------------------------------------------------------------------------------------------------------------------------

check() { # WHAT COMMAND...
    local what=$1
    shift
    N=$((N + 1))
    "$@" && return 0
    BAD=$((BAD + 1))
    printf 'FAILED: %s\n  %s\n' "$what" "$*"
    printf '  status %s, stdout: %s\n  stderr: %s\n' "$RC" "$OUT" "$ERR"
}

is() { # WHAT GOT EXPECTED
    check "$1" [ "$2" = "$3" ]
}

like() { # WHAT TEXT PATTERN (extended regular expression)
    check "$1" grep -qE -- "$3" <<<"$2"
}

unlike() {
    check "$1" not grep -qE -- "$3" <<<"$2"
}

not() {
    ! "$@"
}

# run ARGUMENT...: aigw-key; RC, OUT, ERR
RC='' OUT='' ERR=''
run() {
    "$AIGW_KEY" "$@" >"$DIR/.out" 2>"$DIR/.err"
    RC=$?
    OUT=$(cat "$DIR/.out") ERR=$(cat "$DIR/.err")
}

# fails WHAT STATUS PATTERN-OF-STDERR ARGUMENT...: says why, and nothing on stdout
fails() {
    local what=$1 status=$2 pattern=$3
    shift 3
    run "$@"
    is "$what: status" "$RC" "$status"
    like "$what: message" "$ERR" "$pattern"
    is "$what: nothing on stdout" "$OUT" ''
}

sha256() {
    if command -v openssl >/dev/null; then
        printf '%s' "$1" | openssl dgst -sha256 | sed 's/.*= *//'
    else
        printf '%s' "$1" | sha256sum | cut -d ' ' -f 1
    fi
}

member() { # FILE ID MEMBER: a string of that key's line
    grep "\"id\":\"$2\"" "$1" | sed -n "s/.*\"$3\":\"\([^\"]*\)\".*/\1/p"
}

state() { # FILE ID
    "$AIGW_KEY" list --file "$1" | awk -v id="$2" '$1 == id { print $NF }'
}

no_leftovers() { # WHAT FILE
    check "$1: no temporary file is left" [ ! -e "$2.new" ]
}

KEY_PATTERN='^aigw_[a-z2-7]{8}_[A-Za-z0-9_-]{43}$'

# --- what it does -----------------------------------------------------------------------------------------------------------------------

test_help() {
    run --help
    is 'help: status' "$RC" 0
    like 'help: names the commands' "$OUT" 'aigw-key rotate'
    is 'help: nothing on stderr' "$ERR" ''
    run create --help
    is 'create --help: status' "$RC" 0
    like 'create --help' "$OUT" 'aigw-key create'
    run --version
    is 'version: status' "$RC" 0
    like 'version' "$OUT" '^aigw-key [0-9]+\.[0-9]+\.[0-9]+$'
    "$AIGW_KEY" --help >/dev/full 2>"$DIR/.err"
    is 'help to a full disk: status' $? 1
}

test_create() {
    local key id
    run create --file a.keys --user alice
    key=$OUT
    is 'create: status' "$RC" 0
    like 'create: the key' "$key" "$KEY_PATTERN"
    is 'create: one line' "$(wc -l <.out)" 1
    like 'create: says where' "$ERR" 'a\.keys'
    unlike 'create: no secret on stderr' "$ERR" "${key#aigw_*_}"
    id=${key#aigw_} id=${id%%_*}
    like 'create: names the id' "$ERR" "\"$id\""
    is 'create: the digest' "$(member a.keys "$id" sha256)" "$(sha256 "$key")"
    is 'create: the user' "$(member a.keys "$id" user)" alice
    like 'create: when' "$(member a.keys "$id" created)" '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$'
    is 'create: never expires' "$(member a.keys "$id" expires)" ''
    unlike 'create: the secret is not in the file' "$(cat a.keys)" "${key#aigw_*_}"
    is 'create: mode' "$(stat -c %a a.keys)" 640
    no_leftovers create a.keys
    run create --file a.keys --user=bob --id k.1 --tier pro --scope chat --scope models --model 'gpt-*' --model o1 \
        --expires 2100-01-02T03:04:05+01:00 --note 'a "note"'
    is 'create, all options: status' "$RC" 0
    like 'create, all options: the key' "$OUT" '^aigw_k\.1_[A-Za-z0-9_-]{43}$'
    like 'create, all options: the line' "$(tail -n 1 a.keys)" \
        '^\{"id":"k\.1","sha256":"[0-9a-f]{64}","user":"bob","tier":"pro","scopes":\["chat","models"\],"models":\["gpt-\*","o1"\],"expires":"2100-01-02T02:04:05Z","created":"[^"]*","note":"a \\"note\\""\}$'
    is 'create: two keys' "$(wc -l <a.keys)" 2
    run create --file "$DIR/a.keys" --user 'Zoë' --id zoe
    is 'create, UTF-8: the user' "$(member a.keys zoe user)" 'Zoë'
}

# seconds from now until a key's expiry are within a minute of what was asked for
expires_in() { # ID SECONDS
    local at
    at=$(date -u -d "$(member e.keys "$1" expires)" +%s) || return 1
    at=$((at - $(date +%s) - $2))
    [ $at -ge -60 ] && [ $at -le 1 ]
}

test_expires() {
    local bad
    run create --file e.keys --user u --id d --expires 90d
    check 'expires 90d' expires_in d $((90 * 86400))
    run create --file e.keys --user u --id h --expires 12h
    check 'expires 12h' expires_in h $((12 * 3600))
    run create --file e.keys --user u --id far --expires 999999d
    is 'expires 999999d' "$RC" 0
    run create --file e.keys --user u --id date --expires 2100-06-30T12:00:00.5Z
    is 'expires, a date' "$(member e.keys date expires)" '2100-06-30T12:00:00Z'
    cp e.keys before
    for bad in '' d 90 90m 1000000d -1d 2100-02-30T00:00:00Z 2100-01-01 tomorrow '90d '; do
        fails "expires '$bad'" 2 'must be a date such as .* or .*90d' create --file e.keys --user u --expires="$bad"
    done
    fails 'expires 0d' 2 'in the future' create --file e.keys --user u --expires 0d
    fails 'expires, a date that is over' 2 'in the future' create --file e.keys --user u --expires 2020-01-01T00:00:00Z
    fails 'expires, year 10000' 2 'must be a date' create --file e.keys --user u --expires 9999-12-31T23:59:59-01:00
    check 'expires: the file is as it was' cmp -s before e.keys
}

# --- a file with a bit of everything ----------------------------------------------------------------------------------------------------

ZERO=000000000000000000000000000000000000000000000000000000000000000
sample() { # FILE
    {
        printf '# keys of the house\n\n'
        printf '{"id":"one","sha256":"%s1","user":"alice","tier":"pro","scopes":["chat","models"],"models":["gpt-*"]}\n' $ZERO
        printf '  \t\n   # indented, with \xff in it\n'
        printf '{ "user" : "bob",  "sha256":"%s2", "id":"two","expires":"2020-01-01T00:00:00Z","tier":null }\r\n' $ZERO
        printf '{"id":"three","sha256":"%s3","user":"carol","disabled":true,"models":[],"expires":"2020-01-01T00:00:00Z"}\n' $ZERO
        printf '#{"id":"four","sha256":"%s4","user":"dave"}\n' $ZERO
        printf '{"id":"five","sha256":"%s5","user":"eve","note":"last, without a newline"}' $ZERO
    } >"$1"
}

# only_line FILE NUMBER: the file differs from the sample in that line only
only_line() {
    sample sample
    cmp -s <(sed "$2d" "$1") <(sed "$2d" sample) && ! cmp -s "$1" sample
}

test_disable() {
    sample s.keys
    chmod 604 s.keys
    run disable --file s.keys one
    is 'disable: status' "$RC" 0
    is 'disable: nothing on stdout' "$OUT" ''
    like 'disable: says so' "$ERR" '"one" is disabled'
    check 'disable: the other lines stay' only_line s.keys 3
    is 'disable: state' "$(state s.keys one)" disabled
    like 'disable: the rest of the line stays' "$(sed -n 3p s.keys)" '"user":"alice","tier":"pro","scopes":\["chat","models"\],"models":\["gpt-\*"\],"disabled":true\}$'
    is 'disable: mode' "$(stat -c %a s.keys)" 604
    no_leftovers disable s.keys
    cp -p s.keys before
    run disable --file s.keys one
    is 'disable again: status' "$RC" 0
    like 'disable again: says so' "$ERR" 'already'
    check 'disable again: the file is as it was' cmp -s before s.keys
    run enable one --file s.keys --
    is 'enable: status' "$RC" 0
    is 'enable: state' "$(state s.keys one)" active
    sample sample
    check 'enable: the file is as in the beginning' cmp -s sample s.keys
    run enable --file s.keys three
    is 'enable, expired: status' "$RC" 0
    like 'enable, expired: says so' "$ERR" 'has expired'
    is 'enable, expired: state' "$(state s.keys three)" expired
    check 'enable: the other lines stay' only_line s.keys 7
    sample s.keys
    run disable --file s.keys two
    check 'disable, CRLF: the other lines stay' only_line s.keys 6
    is 'disable, CRLF: the line keeps its end' "$(sed -n 6p s.keys | tail -c 2 | od -An -tx1 | tr -d ' ')" 0d0a
    sample s.keys
    run disable --file s.keys five
    check 'disable, no newline: the other lines stay' only_line s.keys 9
    is 'disable, no newline: there is none after it' "$(tail -c 1 s.keys)" '}'
}

test_append() {
    sample s.keys
    run create --file s.keys --user new --id six
    sample sample
    check 'create behind a line without newline: what was there stays' cmp -s sample <(head -c "$(wc -c <sample)" s.keys)
    is 'create behind a line without newline: one line more' "$(wc -l <s.keys)" 10
    is 'create behind a line without newline: it is there' "$(state s.keys six)" active
}

test_rotate() {
    local old new attributes
    sample s.keys
    run create --file s.keys --user alice --id r --tier pro --scope chat --model 'gpt-*' --expires 2100-01-01T00:00:00Z --note n
    old=$OUT
    attributes=$(grep '"id":"r"' s.keys | sed 's/"sha256":"[^"]*"//')
    cp s.keys before
    run rotate --file s.keys r
    new=$OUT
    is 'rotate: status' "$RC" 0
    like 'rotate: a key of the same id' "$new" '^aigw_r_[A-Za-z0-9_-]{43}$'
    check 'rotate: another key' [ "$new" != "$old" ]
    is 'rotate: its digest' "$(member s.keys r sha256)" "$(sha256 "$new")"
    unlike 'rotate: the old digest is gone' "$(cat s.keys)" "$(sha256 "$old")"
    is 'rotate: all else stays' "$(grep '"id":"r"' s.keys | sed 's/"sha256":"[^"]*"//')" "$attributes"
    check 'rotate: the other lines stay' cmp -s <(sed 10d before) <(sed 10d s.keys)
    unlike 'rotate: no secret on stderr' "$ERR" "${new#aigw_r_}"
    run rotate --file s.keys three
    is 'rotate, disabled: status' "$RC" 0
    like 'rotate, disabled: says so' "$ERR" 'is disabled'
    is 'rotate, disabled: state' "$(state s.keys three)" disabled
    run rotate --file s.keys two
    like 'rotate, expired: says so' "$ERR" 'has expired'
}

test_list() {
    sample s.keys
    run list --file s.keys
    is 'list: status' "$RC" 0
    is 'list: the table' "$OUT" "\
ID     USER   TIER  SCOPES       MODELS  EXPIRES               STATE
one    alice  pro   chat,models  gpt-*   never                 active
two    bob    -     -            all     2020-01-01T00:00:00Z  expired
three  carol  -     -            none    2020-01-01T00:00:00Z  disabled
five   eve    -     -            all     never                 active"
    run list --file s.keys --json
    is 'list --json: status' "$RC" 0
    is 'list --json' "$(tr -d ' \n' <.out)" "[\
{\"id\":\"one\",\"user\":\"alice\",\"tier\":\"pro\",\"scopes\":[\"chat\",\"models\"],\"models\":[\"gpt-*\"],\"expires\":null,\"state\":\"active\",\"created\":null,\"note\":null},\
{\"id\":\"two\",\"user\":\"bob\",\"tier\":null,\"scopes\":[],\"models\":null,\"expires\":\"2020-01-01T00:00:00Z\",\"state\":\"expired\",\"created\":null,\"note\":null},\
{\"id\":\"three\",\"user\":\"carol\",\"tier\":null,\"scopes\":[],\"models\":[],\"expires\":\"2020-01-01T00:00:00Z\",\"state\":\"disabled\",\"created\":null,\"note\":null},\
{\"id\":\"five\",\"user\":\"eve\",\"tier\":null,\"scopes\":[],\"models\":null,\"expires\":null,\"state\":\"active\",\"created\":null,\"note\":\"last,withoutanewline\"}]"
    unlike 'list --json: no digest' "$OUT" $ZERO
    : >none.keys
    run list --file none.keys --json
    is 'list --json, empty' "$OUT" '[]'
    check 'list: makes no lock' [ ! -e none.keys.lock ]
    printf '{"id":"z","sha256":"%s1","user":"Zo\xc3\xab"}\n' $ZERO >utf.keys
    run list --file utf.keys
    is 'list: UTF-8 counts as characters' "$OUT" "\
ID  USER  TIER  SCOPES  MODELS  EXPIRES  STATE
z   Zoë   -     -       all     never    active"
    "$AIGW_KEY" list --file s.keys >/dev/full 2>.err
    is 'list to a full disk: status' $? 1
    like 'list to a full disk: message' "$(cat .err)" 'standard output'
}

# --- what it refuses --------------------------------------------------------------------------------------------------------------------

test_misuse() {
    sample s.keys
    fails 'no argument' 2 'first argument must be create, list' --
    run
    is 'nothing: status' "$RC" 2
    fails 'unknown command' 2 'first argument must be' drop --file s.keys one
    fails 'unknown option' 2 'no option --colour\.$' list --file s.keys --colour=blue
    unlike 'unknown option: its value is not shown' "$ERR" blue
    fails 'option of one letter' 2 'options of one letter' list -f s.keys
    fails 'options of one letter' 2 'options of one letter' list --file s.keys -jx
    fails 'option of another command' 2 '"list" does not take --user' list --file s.keys --user u
    fails 'value for a flag' 2 '--json takes no value' list --file s.keys --json=yes
    fails 'no value' 2 '--user needs a value' create --file s.keys --user
    fails 'no file' 2 'needs --file' list
    fails 'empty file name' 2 'needs --file' list --file ''
    fails 'no user' 2 'needs --user' create --file s.keys
    fails 'too much' 2 'nothing but options' list --file s.keys one
    fails 'no ID' 2 'disable needs one ID' disable --file s.keys
    fails 'two IDs' 2 'enable needs one ID' enable --file s.keys one two
    fails 'a key for its ID' 2 'between its first two underscores' rotate --file s.keys aigw_one_SeCrEt
    unlike 'a key for its ID: it is not shown' "$ERR" SeCrEt
    fails 'a key for a command' 2 'first argument must be' aigw_one_SeCrEt
    unlike 'a key for a command: it is not shown' "$ERR" SeCrEt
    fails 'a bad --id' 2 'An ID is 1 to 64' create --file s.keys --user u --id 'a b'
    fails 'a long --id' 2 'An ID is 1 to 64' create --file s.keys --user u --id "$(printf '%065d' 1)"
    fails 'an empty user' 2 '--user must be' create --file s.keys --user ''
    fails 'a control character' 2 '--tier must be' create --file s.keys --user u --tier $'a\nb'
    fails 'a long scope' 2 '--scope must be' create --file s.keys --user u --scope "$(printf '%0257d' 1)"
    fails 'an empty model' 2 '--model must be' create --file s.keys --user u --model ''
    fails 'not UTF-8' 2 '--user must be 1 to 256 bytes of UTF-8' create --file s.keys --user $'\xff'
    # shellcheck disable=SC2046
    fails 'too much for a line' 2 'too long together' create --file s.keys --user u $(printf -- '--scope %0250d ' $(seq 70))
    sample sample
    check 'misuse: the file is as it was' cmp -s sample s.keys
}

test_failures() {
    sample s.keys
    fails 'an ID twice' 1 'a key "one" in s.keys already. Choose another --id' create --file s.keys --user u --id one
    fails 'an ID that is not there' 1 'no key "four" in s.keys. aigw-key list' disable --file s.keys four
    fails 'rotate an ID that is not there' 1 'no key "four"' rotate --file s.keys four
    sample sample
    check 'failures: the file is as it was' cmp -s sample s.keys
    fails 'list without the file' 1 'nowhere.keys: No such file' list --file nowhere.keys
    fails 'disable without the file' 1 'nowhere.keys: No such file' disable --file nowhere.keys one
    check 'disable without the file: makes nothing' [ ! -e nowhere.keys.lock ]
    fails 'no folder' 1 'no such folder' create --file no/where.keys --user u
    fails 'a folder' 1 'not a regular file' create --file "$DIR" --user u
    rm -f "$DIR.lock"
    fails 'a device' 1 'not a regular file' list --file /dev/null
    mkfifo fifo
    fails 'a pipe' 1 'not a regular file' list --file fifo
}

broken() { # WHAT LINE PATTERN: broken.keys cannot be read, whatever the command
    cp broken.keys before
    fails "$1: create" 1 "broken.keys, line $2: .*$3" create --file broken.keys --user u
    fails "$1: disable" 1 "broken.keys, line $2: " disable --file broken.keys one
    fails "$1: rotate" 1 "broken.keys, line $2: " rotate --file broken.keys one
    fails "$1: list" 1 "broken.keys, line $2: " list --file broken.keys
    check "$1: the file is as it was" cmp -s before broken.keys
    no_leftovers "$1" broken.keys
}

test_broken() {
    sample broken.keys
    printf '\n{"id":"x","sha256":"%s6","user":"u","disable":true}\n' $ZERO >>broken.keys
    broken 'unknown member' 10 '"disable" is not known'
    sample broken.keys
    printf '\n{"id":"one","sha256":"%s6","user":"u"}\n' $ZERO >>broken.keys
    broken 'id twice' 10 '"one" is there twice'
    printf 'aigw_x_SeCrEt\n' >broken.keys
    broken 'no JSON' 1 'not a JSON object'
    unlike 'no JSON: the line is not shown' "$ERR" SeCrEt
    printf '{"id":"x","sha256":"%s6","user":"\xc2\x9b2J"}\n' $ZERO >broken.keys
    broken 'a control character of two bytes' 1 '"user" must be'
    printf '{"id":"x","sha256":"%s6","user":"u","expires":"1970-01-01T00:00:00Z"}\n' $ZERO >first.keys
    run disable --file first.keys x
    run enable --file first.keys x
    is 'what expired in the first moment has expired' "$(state first.keys x)" expired
}

# --- the file system --------------------------------------------------------------------------------------------------------------------

test_links() {
    mkdir real
    sample real/s.keys
    ln -s real/s.keys link.keys
    run disable --file link.keys one
    is 'symbolic link: status' "$RC" 0
    check 'symbolic link: it is still one' [ -L link.keys ]
    check 'symbolic link: its target is changed' only_line real/s.keys 3
    check 'symbolic link: the lock is with the target' [ -e real/s.keys.lock ]
    check 'symbolic link: no lock beside it' [ ! -e link.keys.lock ]
    ln -s real/gone.keys dangling.keys
    fails 'dangling link' 1 'symbolic link to a file that is not there' create --file dangling.keys --user u
    check 'dangling link: it is still one' [ -L dangling.keys ]
    check 'dangling link: makes nothing' [ ! -e real/gone.keys ]
    sample kept
    ln -s "$DIR/kept" trap.keys.new
    sample trap.keys
    run disable --file trap.keys one
    is 'a link for the temporary file: status' "$RC" 0
    sample sample
    check 'a link for the temporary file: it is not followed' cmp -s sample kept
    check 'a link for the temporary file: the file is no link' [ ! -L trap.keys ]
}

test_owner() {
    [ "$(id -u)" -eq 0 ] || return 0
    sample o.keys
    chown 65534:65533 o.keys
    chmod 4660 o.keys
    run disable --file o.keys one
    is 'owner: status' "$RC" 0
    is 'owner: kept, and the mode' "$(stat -c %u:%g:%a o.keys)" 65534:65533:4660
    is 'owner: the lock is theirs' "$(stat -c %u:%g:%a o.keys.lock)" 65534:65533:600
}

test_rights() {
    if [ "$(id -u)" -eq 0 ]; then
        command -v setpriv >/dev/null || return 0
        set -- setpriv --reuid=65534 --regid=65534 --clear-groups
        "$@" test -x "$AIGW_KEY" || return 0 # the build is in a folder of root's
    else
        set --
    fi
    mkdir closed
    sample closed/s.keys
    chmod 755 "$DIR"
    chmod 555 closed
    "$@" "$AIGW_KEY" disable --file closed/s.keys one >.out 2>.err
    is 'a folder that cannot be written: status' $? 1
    like 'a folder that cannot be written: message' "$(cat .err)" 'Permission denied. Run it as root or as the owner'
    chmod 000 closed/s.keys
    "$@" "$AIGW_KEY" list --file closed/s.keys >.out 2>.err
    is 'a file that cannot be read: status' $? 1
    like 'a file that cannot be read: message' "$(cat .err)" 'Permission denied. Run it as root or as the owner'
    chmod 755 closed
    chmod 644 closed/s.keys
    sample sample
    check 'no rights: the file is as it was' cmp -s sample closed/s.keys
}

test_full_disk() {
    local i
    sample f.keys
    for i in $(seq 40); do printf '\n# %0100d' "$i" >>f.keys; done
    cp f.keys before
    # a limit of a file's size is as good as a full disk
    OUT=$( (ulimit -f 2 && exec "$AIGW_KEY" create --file f.keys --user u) 2>.err)
    is 'full disk: status' $? 1
    is 'full disk: no key' "$OUT" ''
    like 'full disk: message' "$(cat .err)" 'f.keys.new cannot be written: .* f.keys is as it was'
    check 'full disk: the file is as it was' cmp -s before f.keys
    no_leftovers 'full disk' f.keys
}

test_stdout() {
    local rc
    sample p.keys
    cp p.keys before
    "$AIGW_KEY" create --file p.keys --user u >/dev/full 2>.err
    is 'stdout full: status' $? 1
    like 'stdout full: message' "$(cat .err)" 'could not be written to the standard output: .*Nothing was changed'
    check 'stdout full: the file is as it was' cmp -s before p.keys
    no_leftovers 'stdout full' p.keys
    "$AIGW_KEY" create --file p.keys --user u >&- 2>.err
    is 'stdout closed: status' $? 1
    check 'stdout closed: the file is as it was' cmp -s before p.keys
    "$AIGW_KEY" rotate --file p.keys one </dev/null 2>.err 1</dev/null
    is 'stdout read-only: status' $? 1
    check 'stdout read-only: the file is as it was' cmp -s before p.keys
    # the reader has gone before the key comes
    mkfifo pipe
    exec 7<>pipe 8>pipe 7>&-
    cat pipe >/dev/null &
    exec 9>pipe 8>&-
    kill $! && wait $! 2>/dev/null
    "$AIGW_KEY" rotate --file p.keys one >&9 2>.err
    rc=$?
    exec 9>&-
    is 'stdout a closed pipe: status' $rc 1
    like 'stdout a closed pipe: message' "$(cat .err)" 'Broken pipe'
    check 'stdout a closed pipe: the file is as it was' cmp -s before p.keys
    no_leftovers 'stdout a closed pipe' p.keys
    "$AIGW_KEY" create --file p.keys --user u --id noerr >.out 2>&-
    is 'stderr closed: status' $? 0
    is 'stderr closed: the key is printed' "$(member p.keys noerr sha256)" "$(sha256 "$(cat .out)")"
}

test_concurrency() {
    local i ok=0 pids=''
    for i in $(seq 20); do
        "$AIGW_KEY" create --file c.keys --user "user$i" >"c.$i" 2>"c.$i.err" &
        pids="$pids $!"
    done
    for i in $pids; do wait "$i" && ok=$((ok + 1)); done
    is 'twenty at once: all succeed' $ok 20
    is 'twenty at once: twenty keys' "$(wc -l <c.keys)" 20
    ok=0
    for i in $(seq 20); do
        grep "\"user\":\"user$i\"" c.keys | grep -q "$(sha256 "$(cat "c.$i")")" && ok=$((ok + 1))
    done
    is 'twenty at once: each has its own' $ok 20
    ok=0 pids=''
    for i in $(seq 20); do
        "$AIGW_KEY" disable --file c.keys "$(sed 's/^aigw_//; s/_.*//' "c.$i")" 2>/dev/null &
        pids="$pids $!"
    done
    for i in $pids; do wait "$i" && ok=$((ok + 1)); done
    is 'twenty changes at once: all succeed' $ok 20
    is 'twenty changes at once: none is lost' "$(grep -c '"disabled":true' c.keys)" 20
    is 'twenty changes at once: no key is lost' "$(wc -l <c.keys)" 20
}

test_leftover() {
    sample l.keys
    echo rubbish >l.keys.new
    run disable --file l.keys one
    is 'a killed run has left its file: status' "$RC" 0
    check 'a killed run has left its file: it does not matter' only_line l.keys 3
    no_leftovers 'a killed run' l.keys
}

for t in help create expires disable append rotate list misuse failures broken links owner rights full_disk stdout concurrency leftover; do
    "test_$t"
done
# as libcheck says it
printf '%d%%: Checks: %d, Failures: %d, Errors: 0\n' $(((N - BAD) * 100 / N)) $N $BAD
[ $BAD -eq 0 ]
