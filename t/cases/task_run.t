# Tasks are run as their owner's requests would be, at the time they run: limits (slots, tokens), what his key, his tier and his token say then, and the configuration of where they were made.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get post_json);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Server;
use AIGW::Services qw(spew);
use AIGW::Token qw(jwt key);

my $json = JSON::PP->new->canonical;
my $dir = File::Temp->newdir('task-run-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
my $secret = key('HS256');
spew("$dir/secret", $secret);
chmod 0644, "$dir/secret";

# Each user has a key that his tasks are made with, and one to look at them: only the first changes.
my @users = qw(slot tokens dead off gone scope tier new few);
my %line = map { ("$_-1" => { user => $_, tier => 'one', scopes => ['chat', 'x'] }, "$_-2" => { user => $_, tier => 'one' }) } @users;
$line{"tokens-$_"}{tier} = 'tokens' for 1, 2;
sub secret_of { my ($id) = @_; return "aigw_key_" . substr sha256_hex("secret of $id"), 0, 43 }

sub write_keys {
    spew("$dir/keys.tmp", join '', map { $json->encode({ id => $_, sha256 => sha256_hex(secret_of($_)), %{ $line{$_} } }) . "\n" } sort keys %line);
    chmod 0644, "$dir/keys.tmp";
    return rename "$dir/keys.tmp", "$dir/keys";
}
write_keys();

my $tasks = '/api/v1/tasks';
my $s = AIGW::Server->new(conf => <<"CONF");
AIGWErrors on
AIGWStore sqlite:data/aigw.db
AIGWTaskLease 2s
AIGWKeyFile $dir/keys
<AIGWJwtIssuer x>
    AIGWJwtAudience any
    AIGWJwtSkew 0s
    AIGWJwtKey file:$dir/secret
</AIGWJwtIssuer>
<AIGWTier one>
    AIGWLimit concurrent 1
</AIGWTier>
<AIGWTier none>
    AIGWAllowModels echo
</AIGWTier>
<AIGWTier tokens>
    AIGWLimit tokens 1000/hour
</AIGWTier>
<AIGWModel raw>
    AIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1
</AIGWModel>
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
AIGWDefaultModel echo
<Location />
    AuthType AIGW
    Require valid-user
</Location>
<Location $tasks>
    SetHandler aigw-tasks
</Location>
<Location /few/tasks>
    SetHandler aigw-tasks
    AIGWLimit tokens 50/hour
    AIGWLimit requests 3/hour
    AIGWLimitExempt "%{REQUEST_METHOD} == 'GET'"
</Location>
<LocationMatch ^/v1/chat\$>
    SetHandler aigw-chat
    Require aigw-scope other
</LocationMatch>
<Location /me>
    SetHandler aigw-me
</Location>
<Location /logout>
    SetHandler aigw-logout
</Location>
CONF
my $port = $s->{port};
plan tests => 46, need_module('mod_aigw', 'mod_aigw_auth', 'mod_aigw_ratelimit', 'mod_aigw_stream', 'mod_aigw_tasks');

sub at { my ($who) = @_; return (port => $port, headers => [Authorization => 'Bearer ' . ($line{$who} ? secret_of($who) : $who)]) }
sub make { my ($who, $body, $path) = @_; return post_json($path // $tasks, $body, at($who)) }
sub raw { my ($tag, %o) = @_; return { endpoint => '/v1/chat/completions', body => { model => 'raw', messages => [{ role => 'user', content => 'hello' }], scenario => 'ok', tag => $tag, %o } } }
sub task { my ($who, $id, $path) = @_; return get(($path // $tasks) . "/$id", at($who))->json }
sub ended { my ($who, $id, $path) = @_; my $t; $s->wait_for("the end of $id", 60, sub { $t = task($who, $id, $path); $t->{status} =~ /completed|failed|cancelled/ }); return $t }
sub limits { my ($who) = @_; return get('/me', at($who))->json->{limits} }
sub code { my ($r) = @_; return join ' ', $r->{status}, $r->{status} >= 400 ? $r->json->{error}{code} : () }
sub said { my ($t) = @_; return join ' ', $t->{status}, $t->{error} ? $t->{error}{code} : () }

# Two tasks of somebody who may have one call at a time: the first is at the upstream, which waits; the second waits for it. Their ids, and the tag of the first.
sub two {
    my ($who) = @_;
    my $tag = tag();
    my $first = make($who, raw($tag, scenario => 'gate'))->json->{task_id};
    raw_wait('request', tag => $tag, timeout => 30);
    return ($tag, $first, make($who, raw(tag()))->json->{task_id});
}

# ------------------------------------------------------------------ slots
{
    my ($tag, $first, $second) = two('slot-1');
    is limits('slot-2')->{concurrent}[0]{remaining}, 0, 'a task that runs has a slot of its owner';
    ok $s->wait_for('a refusal', 30, sub { $s->log =~ /AIGW0420: .*the limit of concurrent 1/ }), '… another one meets the limit';
    $s->wait_for('it is handed back', 30, sub { task('slot-2', $second)->{status} eq 'pending' });
    my $waits = task('slot-2', $second);
    is_deeply [@$waits{qw(attempts error started_at)}], [0, undef, undef], '… and waits, which is no attempt';
    raw_go($tag);
    is said(ended('slot-2', $first)), 'completed', 'the first is over';
    is said(my $t = ended('slot-2', $second)), 'completed', '… and the second runs then';
    is $t->{attempts}, 1, '… once';
    ok $s->wait_for('the slot', 30, sub { limits('slot-2')->{concurrent}[0]{remaining} == 1 }), '… the slot is free again';
}

# ------------------------------------------------------------------ tokens
{
    my $tag = tag();
    my $task = make('tokens-1', raw($tag, scenario => 'gate', max_tokens => 500))->json->{task_id};
    raw_wait('request', tag => $tag, timeout => 30);
    cmp_ok limits('tokens-2')->{tokens}[0]{remaining}, '<=', 500, 'tokens of its owner are reserved';
    raw_go($tag);
    is ended('tokens-2', $task)->{usage}{total_tokens}, 12, '… it says what it used';
    ok $s->wait_for('the settlement', 30, sub { limits('tokens-2')->{tokens}[0]{remaining} == 988 }), '… and that is what it is charged';
    my $t = ended('tokens-2', make('tokens-1', raw(tag(), max_tokens => 5000))->json->{task_id});
    is said($t), 'failed rate_limit_exceeded', 'what is larger than the limit fails at once';
    like $t->{error}{message}, qr/too large for the limit of tokens 1000/, '… and says why';
}

# ------------------------------------------------------------------ a gateway behind this one that stops
{
    my $tag = tag();
    my $began = time;
    my $task = make('dead-1', raw($tag, scenario => 'status:503:shutting_down'))->json->{task_id};
    raw_wait('request', tag => $tag, n => 3, timeout => 60);
    cmp_ok time - $began, '>=', 2, 'a gateway that is asked and says that it is stopping is asked again, after a pause';
    AIGW::Client::once(DELETE => "$tasks/$task", at('dead-2'));
    is said(my $t = ended('dead-2', $task)), 'cancelled', '… until its owner has had enough';
}

# ------------------------------------------------------------------ much to be swept away
{
    my $tag = tag();
    my $task = make('dead-1', raw($tag, scenario => 'gate'))->json->{task_id};
    raw_wait('request', tag => $tag, timeout => 30);
    my $db = "$s->{dir}/data/aigw.db";
    my $n = 60_000;
    my $left = sub { my $said = `sqlite3 -cmd '.timeout 20000' '$db' "SELECT count(*) FROM aigw_task WHERE owner = 'old'"`; return $said =~ /^(\d+)/ ? $1 : -1 };
    system('sqlite3', '-cmd', '.timeout 20000', $db, "INSERT INTO aigw_task (id, owner, server, identity, endpoint, model, request, priority, state, attempts, cancelling, progress, tokens, created, started, completed, expires, ttl, lease_number, lease_until, later) "
            . "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < $n) SELECT printf('%032x', x), 'old', '', '', '', '', '', 0, 2, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0 FROM c");
    cmp_ok $left->(), '>', 0, 'many tasks whose time is over';
    ok $s->wait_for('the sweeping', 300, sub { $left->() == 0 }), '… are swept away';
    is_deeply [@{ task('dead-2', $task) }{qw(status attempts)}], ['running', 1], '… and what runs goes on meanwhile';
    raw_go($tag);
    is said(ended('dead-2', $task)), 'completed', '… to its end';
    is scalar @{ raw_log($tag)->{requests} }, 1, '… and was asked once';
}

# ------------------------------------------------------------------ a child that dies with a slot
{
    my $tag = tag();
    my $task = make('dead-1', raw($tag, scenario => 'gate'))->json->{task_id};
    raw_wait('request', tag => $tag, timeout => 30);
    kill KILL => map { (split m{/})[0] } $s->children;
    raw_wait('request', tag => $tag, n => 2, timeout => 60);
    is raw_go($tag), 1, 'the child is killed: its task is asked anew by another, with the slot that was held';
    is said(my $t = ended('dead-2', $task)), 'completed', '… and is completed';
    is $t->{attempts}, 2, '… at the second attempt';
}

# ------------------------------------------------------------------ who is not what he was
{
    my %of = map { $_ => [two("$_-1")] } qw(off gone scope tier new);
    $line{'off-1'}{disabled} = JSON::PP::true;
    delete $line{'gone-1'};
    $line{'scope-1'}{scopes} = ['chat'];
    $line{'tier-1'}{tier} = 'none';
    $line{'new-1'} = { user => 'new', tier => 'one', scopes => ['chat', 'x', 'more'], expires => '2020-01-01T00:00:00Z' };
    write_keys();
    $s->wait_for('all children have read it', 60, sub { (() = $s->log =~ /AIGW0313/g) >= $s->children });
    raw_go($_->[0]) for values %of;
    is said(ended("$_-2", $of{$_}[1])), 'completed', "$_: what runs goes on" for sort keys %of;
    is said(ended("$_->[0]-2", $of{ $_->[0] }[2])), $_->[1], "$_->[0]: $_->[2]" for
        ['off', 'failed invalid_api_key', 'a key that is disabled'], ['gone', 'failed invalid_api_key', 'a key that is not there any more'],
        ['scope', 'failed insufficient_scope', 'a key that has lost a scope'], ['tier', 'failed model_not_allowed', 'a tier without this model'],
        ['new', 'completed', 'a key with more, which has expired: the task was accepted before'];
    like task('off-2', $of{off}[2])->{error}{message}, qr/has been disabled/, '… the error says what it is';
}

# ------------------------------------------------------------------ tokens of logins
{
    my $n = 0;
    my $token = sub { my ($user, $seconds) = @_; return jwt('HS256', $secret, { iss => 'x', sub => $user, tier => 'one', iat => int time, exp => int(time) + $seconds, jti => "$$-" . ++$n }) };
    my ($short, $out) = ($token->('jane', 3), $token->('joe', 600));
    my @jane = two($short);
    my @joe = two($out);
    ok $s->wait_for('the token', 30, sub { code(get('/me', at($short))) eq '401 token_expired' }), 'a token expires';
    is post_json('/logout', {}, at($out))->{status}, 200, '… another one is logged out';
    raw_go($_->[0]) for \@jane, \@joe;
    is said(ended($token->('jane', 600), $jane[2])), 'completed', 'what was accepted is run when its token has expired';
    my $t = ended($token->('joe', 600), $joe[2]);
    is said($t), 'failed invalid_token', '… and not when it was logged out';
    like $t->{error}{message}, qr/logged out/, '… and says so';
}

# ------------------------------------------------------------------ where it was made
{
    my $r = make('few-1', { prompt => 'one two', steps => 100 }, '/few/tasks');
    is $r->{status}, 202, 'a location with limits of its own';
    is said(ended('few-2', $r->json->{task_id}, '/few/tasks')), 'failed rate_limit_exceeded', '… its limit of tokens holds when the task runs';
    is said(ended('few-2', make('few-1', { prompt => 'one two', steps => 20 }, '/few/tasks')->json->{task_id}, '/few/tasks')), 'completed', '… also for one that fits';
    make('few-1', { prompt => 'x', steps => 1 }, '/few/tasks');
    is code(make('few-1', { prompt => 'x', steps => 1 }, '/few/tasks')), '429 rate_limit_exceeded', '… and its limit of requests when it is made; who looks is exempt here';
    is code(make('few-1', { endpoint => '/v1/chat', body => { message => 'x' } })), '403 insufficient_scope', 'who may not ask an endpoint may not by a task';
    is code(make('few-1', { endpoint => '/api/v1/generate', body => { prompt => 'x' } })), 202, '… one that is at no address here is for all';
}
$s->stop;
is_deeply [grep { !/signal (?:Killed|SIGKILL)/ } $s->crashes], [], 'nothing crashed but who was killed';
log_clean();
