# Whose task is next, how many and how large they may be, how long they are kept; and the store away: nothing that was accepted is lost.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get post_json);
use AIGW::Log;
use AIGW::Postgres;
use AIGW::Raw;
use AIGW::Server;

my $pg = AIGW::Postgres->available;
plan tests => 52 + ($pg ? 16 : 0), need_module('mod_aigw', 'mod_aigw_ratelimit', 'mod_aigw_stream', 'mod_aigw_tasks');

# Users are addresses: whoever says X-Client. One child: what AIGWTaskWorkers says is for each.
my ($libexec) = map { m{^LoadModule\s+status_module\s+"?(.*)/mod_status\.so} } split /\n/, AIGW::Services::slurp("$ENV{AIGW_BUILD}/base.conf");
sub conf {
    my ($store, $more) = @_;
    return <<"CONF";
$store
$more
AIGWErrors on
<AIGWModel raw>
    AIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1
</AIGWModel>
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
AIGWDefaultModel echo
<Location /api/v1/tasks>
    SetHandler aigw-tasks
</Location>
<Location /one/tasks>
    SetHandler aigw-tasks
    AIGWLimit concurrent 1
</Location>
<IfModule !remoteip_module>
    LoadModule remoteip_module "$libexec/mod_remoteip.so"
</IfModule>
RemoteIPHeader X-Client
RemoteIPInternalProxy 127.0.0.1
<IfModule !mpm_prefork_module>
    StartServers 1
    ServerLimit 1
    ThreadsPerChild 16
    MaxRequestWorkers 16
    MinSpareThreads 1
    MaxSpareThreads 16
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 1
    MaxRequestWorkers 1
</IfModule>
CONF
}

my $s;
my $at = '/api/v1/tasks';
sub as { my ($who, %more) = @_; return (port => $s->{port}, timeout => 60, headers => { 'X-Client' => $who =~ /:/ ? $who : "192.0.2.$who", %more }) }
sub make { my ($who, $body, $path) = @_; return post_json($path // $at, $body, as($who)) }
sub raw { my ($tag, $scenario, %more) = @_; return { %more, endpoint => '/v1/chat/completions', body => { model => 'raw', messages => [{ role => 'user', content => 'hello' }], scenario => $scenario, tag => $tag } } }
sub task { my ($who, $id, $path) = @_; return get(($path // $at) . "/$id", as($who))->json }
sub last_lines { return "the last lines of the log:\n", map { "$_\n" } grep { defined } (split /\n/, $s->log)[-40 .. -1] }
sub ended {
    my ($who, $id, $path, $meanwhile) = @_;
    my $t;
    eval { $s->wait_for("the end of $id", 60, sub { $meanwhile->() if $meanwhile; $t = task($who, $id, $path); ($t->{status} // '') =~ /completed|failed|cancelled/ }) } and return $t;
    die $@, 'it is ', JSON::PP->new->canonical->encode($t // {}), '; ', last_lines();
}
sub said { my ($r) = @_; my $e = $r->{status} >= 400 ? $r->json->{error} : {}; return join ' ', $r->{status}, grep { defined } @$e{qw(code param)} }
sub threads { return map { my ($pid) = split m{/}; glob "/proc/$pid/task/*" } $s->children }
sub sent { my ($body, %more) = @_; my %as = as(1, 'Content-Type' => 'application/json', %more); return said(AIGW::Client::once(POST => $at, %as, body => $body)) }

# ------------------------------------------------------------------ whose turn it is
$s = AIGW::Server->new(conf => conf('AIGWStore sqlite:data/aigw.db', join "\n", 'AIGWTaskWorkers 1', 'AIGWTasksPerUser 60', 'AIGWTaskPatience 1s', 'AIGWTaskMaxBody 4k', 'AIGWTaskMaxResult 1K', 'AIGWTaskTTL 1h 2h', 'AIGWReactors 1'));
{
    my $tag = tag();
    my $threads = threads();
    my $gate = make(1, raw($tag, 'gate'))->json->{task_id};
    raw_wait('request', tag => $tag, timeout => 30);
    my @many = map { make(1, raw("$tag-a$_", 'ok', priority => $_ == 40 ? 5 : 0))->json->{task_id} } 1 .. 50;
    my $other = make(2, raw("$tag-b", 'ok'))->json->{task_id};
    raw_go($tag);
    ended(1, $_) for @many;
    # one may be the event loop, which begins with the first call on worker and prefork
    cmp_ok scalar(threads()) - $threads, '>=', 4, 'the helper threads stay: they are not made anew for each call';
    my @order = map { ($_->{tag} // "") =~ /\A\Q$tag\E-(\w+)/ ? $1 : () } sort { $a->{serial} <=> $b->{serial} } @{ raw_log()->{requests} };
    is $order[0], 'b', 'who has one task is next, whoever has fifty';
    is $order[1], 'a40', '… then the most urgent of the other';
    is_deeply [@order[2 .. 50]], [map { "a$_" } 1 .. 39, 41 .. 50], '… and then the oldest';
    is ended(2, $other)->{status}, 'completed', '… all of them';
}

# ------------------------------------------------------------------ how many
{
    my $tag = tag();
    my $gate = make(3, raw($tag, 'gate'))->json->{task_id};
    raw_wait('request', tag => $tag, timeout => 30);
    my @ids = ($gate, map { make(3, { prompt => "n $_" })->json->{task_id} } 1 .. 59);
    my $r = make(3, { prompt => 'one more' });
    is said($r), '429 quota_exceeded', 'one more than AIGWTasksPerUser';
    ok $r->header('Retry-After'), '… comes again later';
    is make(4, { prompt => 'another' })->{status}, 202, '… another one may';
    is AIGW::Client::once(DELETE => "$at/$ids[-1]", as(3))->json->{status}, 'cancelled', 'one is cancelled';
    is make(3, { prompt => 'one more' })->{status}, 202, '… and makes room';
    # others' tasks do not exist
    is said(get("$at/$gate", as(4))), '404 not_found', "another's is not there";
    is said(AIGW::Client::once(DELETE => "$at/$gate", as(4))), '404 not_found', '… nor can it be cancelled';
    is scalar(grep { $_->{task_id} eq $gate } @{ get("$at?limit=100", as(4))->json->{tasks} }), 0, '… nor listed';
    raw_go($tag);
    is ended(3, $gate)->{status}, 'completed', '… it goes on';
    # of IPv6 whoever has an address has all that begin with the same 64 bits
    my $v6 = make('2001:db8:1:2::1', { prompt => 'x' })->json->{task_id};
    is_deeply [map { get("$at/$v6", as($_))->{status} } '2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:db8:1:3::1'], [200, 200, 404], 'an owner by address is a /64, as limits count him';
    is task('::ffff:192.0.2.3', $gate)->{status}, 'completed', '… an IPv4 address is itself in IPv6, too';
}

# ------------------------------------------------------------------ patience, at a limit of the location where they were made
{
    my $tag = tag();
    my $long = make(5, raw($tag, 'gate'), '/one/tasks');
    raw_wait('request', tag => $tag, timeout => 30);
    raw_go($tag);
    ended(5, $long->json->{task_id}, '/one/tasks');
    pass 'a limit of one at a time is no matter with one worker';
    my $t = ended(5, make(5, raw(tag(), 'status:429'))->json->{task_id});
    is "$t->{status} $t->{attempts}", 'failed 1', "an upstream's limit: it is tried until AIGWTaskPatience is over";
}

# ------------------------------------------------------------------ sizes, and what is no task
{
    my $deep = sub { my ($n) = @_; return '[' x $n . ']' x $n };
    is sent('{"prompt":"' . 'x' x 5000 . '"}'), '413 request_too_large', 'a body that is too large';
    is sent($_->[0]), $_->[1], $_->[2] for
        ['{"prompt":"x"', '400 invalid_json', 'half a body'], ['', '400 invalid_json', 'none'], ['[]', '400 validation_error', 'a list'],
        ['{"endpoint":"/v1/chat","body":' . $deep->(1900) . '}', '400 invalid_json', 'one of 1,900 levels'], [$deep->(2000), '400 invalid_json', 'of 2,000'],
        ['{"prompt":"x","ttl":99999999999999999999}', '400 validation_error ttl', 'a huge number'], ['{"prompt":"x","ttl":1e300}', '400 validation_error ttl', 'a larger one'],
        ['{"prompt":"x","ttl":7201}', '400 validation_error ttl', 'a TTL that is too long'], ['{"prompt":"x","ttl":0}', '400 validation_error ttl', '… too short'],
        ['{"prompt":"x","priority":101}', '400 validation_error priority', 'too urgent'], ['{"prompt":"x","priority":1.5}', '400 validation_error priority', '… no whole number'],
        [q({"prompt":"'; DROP TABLE aigw_task; --","ttl":7200}), '202', 'SQL is text'];
    is sent('{"prompt":"x"}', 'Content-Type' => 'text/plain'), '415 unsupported_media_type', 'no JSON';
    is said(get("$at/$_", as(1))), '404 not_found', "no ID: $_" for 'x', '0' x 31, '0' x 33, 'A' x 32, '0' x 32 . '/x', "1'%20OR%20'1'='1";
    is sent('{"prompt":"x"}', 'Idempotency-Key' => 'k' x 256), '400 validation_error Idempotency-Key', 'a key that is too long';
    is ended(1, make(1, { prompt => "a\0b" })->json->{task_id})->{result}{choices}[0]{message}{content}, "a\0b", 'a NUL in it';
    my $r = ended(1, make(1, { prompt => 'long ' x 300 })->json->{task_id});
    is_deeply [$r->{status}, $r->{error}{code}, $r->{result}], ['failed', 'result_too_large', undef], 'an answer that is too large to keep';
}

# ------------------------------------------------------------------ how long they are kept
{
    my %key = as(6, 'Idempotency-Key' => 'kept');
    my $id = post_json($at, { prompt => 'x' }, %key)->json->{task_id};
    ended(6, $id);
    my $ago = sub { my ($seconds) = @_; return system('sqlite3', '-cmd', '.timeout 10000', "$s->{dir}/data/aigw.db", "UPDATE aigw_task SET expires = " . int((time - $seconds) * 1e6) . " WHERE id = '$id'") };
    is $ago->(1), 0, 'the time of a task is over';
    is said(get("$at/$id", as(6))), '410 gone', '… it is gone';
    is said(get("$at/$id", as(7))), '404 not_found', '… for others it never was';
    is said(post_json($at, { prompt => 'x' }, %key)), '410 gone', '… so is what its key stands for';
    is scalar @{ get($at, as(6))->json->{tasks} }, 0, '… it is not listed';
}
$s->stop;
is_deeply [$s->crashes], [], 'nothing crashed';

# ------------------------------------------------------------------ there can be no more threads
$s = AIGW::Server->new(conf => conf('AIGWStore sqlite:data/aigw.db', ''));
{
    my ($child) = map { m{(\d+)} } $s->wait_for('a child', 30, sub { ($s->children)[0] });
    my ($max) = (AIGW::Services::slurp("/proc/$child/limits") // '') =~ /^Max processes\s+(\S+)/m;
    $s->wait_for('its threads', 30, sub { get($at, as(1))->{status} == 200 });
    # any number that is not more than he has already
    $s->limit(nproc => 1, $child);
    my @ids = map { make(1, { prompt => 'one two' })->json->{task_id} } 1 .. 12;
    # on worker and prefork the event loop is missing, too
    ok $s->wait_for('a complaint', 30, sub { $s->log =~ /AIGW0151|AIGW0133/ }), 'no thread can be made to run tasks';
    $s->limit(nproc => $max, $child);
    is_deeply [map { my $t = ended(1, $_); "$t->{status} $t->{attempts}" } @ids], [('completed 1') x 12], '… they are run when there can be';
}
$s->stop;
cmp_ok scalar(() = $s->log =~ /AIGW0151|AIGW0133/g), '<', 100, '… which was not tried all the time';
is_deeply [$s->crashes], [], 'nothing crashed';

# ------------------------------------------------------------------ the store is away
if ($pg) {
    $pg = AIGW::Postgres->new;
    $s = AIGW::Server->new(conf => conf('AIGWStore "pgsql:' . $pg->conninfo . '"', "AIGWStoreTimeout 1s"));

    # The first claim's COMMIT takes longer than AIGWStoreTimeout, and is done.
    my $slow = <<'SQL';
CREATE SEQUENCE commits;
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('commits') = 1 THEN PERFORM pg_sleep(2.5); END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON aigw_task DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.state = 0 AND NEW.state = 1) EXECUTE FUNCTION slow();
SQL
    is $pg->sql("$slow SELECT 1"), 1, 'a COMMIT that takes long';
    my $lost = ended(1, make(1, { prompt => 'x' })->json->{task_id});
    is "$lost->{status} $lost->{attempts}", 'completed 1', '… the task is handed back: it does not lie until its lease is over, and no attempt is counted';
    cmp_ok $pg->sql("SELECT nextval('commits')"), '>', 2, '… so it was claimed twice';

    # Two requests make the same user known: one waits for the other.
    my $other = fork // die;
    if (!$other) { $pg->sql("BEGIN; INSERT INTO aigw_owner VALUES ('address:192.0.2.9', 0, 0, 0, 0); SELECT pg_sleep(0.5); COMMIT"); POSIX::_exit(0) }
    $s->wait_for('the other', 30, sub { $pg->sql("SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") });
    is make(9, { prompt => 'x' })->{status}, 202, 'a user who is new to two requests at once';
    waitpid $other, 0;

    my $tag = tag();
    my @ids = map { make(1, raw($tag, 'gate'))->json->{task_id} } 1 .. 3;
    raw_wait('request', tag => $tag, n => 3, timeout => 30);
    $pg->pause;
    is raw_go($tag), 3, 'the model server answers';
    my @all = ([POST => $at, { prompt => 'x' }], [GET => $at], [GET => "$at/$ids[0]"], [DELETE => "$at/$ids[0]"]);
    for (@all) {
        my ($method, $path, $body) = @$_;
        my $r = AIGW::Client::once($method, $path, as(1), $body ? (json => $body) : ());
        is said($r), '503 store_unavailable', "the store is away: $method";
        cmp_ok $r->header('Retry-After') // 0, '>', 0, '… with a time to come again';
    }
    $pg->resume;
    # one that is asked a second time says so by its attempts, and does not wait for ever
    is_deeply [map { my $t = ended(1, $_, undef, sub { raw_go($tag) }); "$t->{status} $t->{attempts}" } @ids], [('completed 1') x 3], '… what had been accepted ends well: nothing is lost, nothing asked twice'
        or diag last_lines();
    is scalar @{ raw_log($tag)->{requests} }, 3, '… of the upstream neither';
    $s->stop;
    is_deeply [$s->crashes], [], 'nothing crashed';
}
log_clean();
