# mod_aigw_ratelimit, slots: so many calls at a time, and each gives its slot back once, whatever becomes of it. In the end nothing is held.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use IO::Select ();
use JSON::PP ();
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Server;
use AIGW::Services qw(spew);

my $json = JSON::PP->new->canonical;
my @users = map { my $tier = $_; map { "$tier$_" } 1 .. 12 } qw(two one dry);
my $dir = File::Temp->newdir('slots-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
sub key { my ($user) = @_; return "aigw_${user}_" . substr sha256_hex("secret of $user"), 0, 43 }
spew("$dir/keys", join '', map { $json->encode({ id => $_, user => $_, tier => s/\d+//r, sha256 => sha256_hex(key($_)) }) . "\n" } @users);
chmod 0644, "$dir/keys";
mkdir "$dir/web";
mkdir "$dir/web/index";
spew("$dir/web/index/page", 'x');
chmod 0755, map { "$dir/$_" } qw(web web/index);

my $raw = "http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1";
my $at = '/v1/chat/completions';
my $s = AIGW::Server->new(conf => <<"CONF");
AIGWKeyFile $dir/keys
AIGWErrors on
<AIGWTier two>
    AIGWLimit concurrent 2
    AIGWLimit tokens 1M/hour
</AIGWTier>
<AIGWTier one>
    AIGWLimit concurrent 1
    AIGWLimit requests 1000/hour
    AIGWLimitBy user model
</AIGWTier>
<AIGWTier dry>
    AIGWLimit concurrent 1
    AIGWLimitMode dry-run
</AIGWTier>
<AIGWModel raw>
    AIGWUpstream openai $raw
</AIGWModel>
<AIGWModel raw-drain>
    AIGWUpstream openai $raw disconnect=drain
</AIGWModel>
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
<AIGWModel echo-stall>
    AIGWUpstream echo stall=2
</AIGWModel>
<AIGWModel test-refused>
    AIGWUpstream echo
</AIGWModel>
<AIGWModel test-refused-last>
    AIGWUpstream echo
</AIGWModel>
AIGWDefaultModel echo
DocumentRoot $dir/web
<Directory $dir/web>
    AuthType AIGW
    Require valid-user
</Directory>
<Directory $dir/web/index>
    RewriteEngine on
    RewriteRule ^again\$ $at
</Directory>
<Location /v1>
    AuthType AIGW
    Require valid-user
</Location>
<Location $at>
    SetHandler aigw-chat-completions
</Location>
<Location /v1/blocking>
    SetHandler aigw-chat-completions
    AIGWPark off
</Location>
<Location /v1/detached>
    SetHandler aigw-test-detached
</Location>
<Location /v1/me>
    SetHandler aigw-me
</Location>
<Location /status>
    SetHandler server-status
    AuthType None
    Require all granted
</Location>
<IfModule mpm_prefork_module>
    StartServers 12
    ServerLimit 24
    MaxRequestWorkers 24
    MaxSpareServers 24
</IfModule>
CONF
my $port = $s->{port};

my %next = (two => 1, one => 1, dry => 1);
sub someone { my ($tier) = @_; return $tier . $next{$tier}++ }
sub auth { my ($who) = @_; return (Authorization => 'Bearer ' . key($who)) }
sub limits { my ($who) = @_; return get('/v1/me', port => $port, headers => [auth($who)])->json->{limits} }
sub free { my ($who) = @_; return limits($who)->{concurrent}[0]{remaining} }
sub body { my ($model, %o) = @_; return { model => $model, messages => [{ role => 'user', content => 'hello there' }], %o } }
sub begin { my ($who, $body, $path) = @_; my $c = AIGW::Client->new(port => $port); $c->request(POST => $path // $at, headers => [auth($who)], json => $body); return $c }
sub ask { my ($who, $model, %o) = @_; my $path = delete $o{path} // $at; return AIGW::Client::post_json($path, body($model, %o), port => $port, headers => [auth($who)]) }
sub what { my ($r) = @_; my $e = $r->{status} >= 400 ? $r->json->{error} : undef; return $e ? join ' ', $r->{status}, $e->{type}, $e->{code} // 'null' : $r->{status} }

# What comes to be: a slot may come back after the answer.
sub becomes {
    my ($get, $wanted) = @_;
    my $now;
    for (my $until = time + 10 * AIGW::Server::SLOW; time < $until; sleep 0.01) { last if ($now = $get->()) eq $wanted }
    return $now;
}
sub free_again { my ($who, $n) = @_; return becomes(sub { free($who) }, $n) }
my $full = '429 rate_limit_error concurrency_limit_exceeded';
my @ends = (
    # name, model, scenario
    ['complete',              'raw',  'ok'],
    ['an upstream\'s error',  'raw',  'status:500'],
    ['lost in the middle',    'raw',  'reset-mid-event:3'],
    ['refused by a module before', 'test-refused', 'ok'],
    ['refused by a module behind', 'test-refused-last', 'ok'],
);

plan tests => 2 * (14 + @ends) + 28, need_module('mod_aigw', 'mod_aigw_auth', 'mod_aigw_ratelimit', 'mod_aigw_test', 'mod_status', 'mod_rewrite');

# ------------------------------------------------------------------ two at a time

for my $path ($at, '/v1/blocking') {
    my $who = someone('two');
    my @tags = map { tag() } 1 .. 2;
    my @open = map { my $c = begin($who, body('raw', stream => \1, scenario => 'gate:2', tag => $_), $path); raw_wait('request', tag => $_); $c } @tags;
    is free($who), 0, "$path: two calls";
    my $r = ask($who, 'raw', path => $path);
    is what($r), $full, '… and no third';
    is $r->header('Retry-After'), 1, '… for a second';
    is $r->header('x-should-retry'), undef, '… that is worth waiting for';
    is $r->json->{error}{message}, 'The limit of concurrent 2 calls at a time is reached. Try again when one of them is over.', '… and which limit it was';
    like $r->header('RateLimit-Policy'), qr/\A"concurrent";q=2;qu="concurrent-requests", "tokens";q=1000000;w=3600\z/, '… in the draft\'s words';
    like $r->header('RateLimit'), qr/\A"concurrent";r=0, "tokens";r=\d+;t=\d+\z/, '… how many are free';
    is what(ask(someone('two'), 'echo', path => $path)), 200, '… which is nobody else\'s';
    raw_go($tags[0]);
    $open[0]->response;
    is free_again($who, 1), 1, '… one is over: its slot is free';
    is what(ask($who, 'echo', path => $path)), 200, '… for another';
    is free_again($who, 1), 1, '… which gives it back';
    $open[1]->head;
    $open[1]->event;
    $open[1]->close;
    is free_again($who, 2), 2, '… and so does a stream whose client leaves';
    for (@ends) {
        my ($name, $model, $scenario) = @$_;
        ask($who, $model, path => $path, scenario => $scenario, stream => \1) for 1 .. 3;
        is free_again($who, 2), 2, "$path $name: the slot comes back";
    }
    my $tag = tag();
    my $c = begin($who, body('raw-drain', stream => \1, scenario => 'gate:2', tag => $tag), $path);
    raw_wait('request', tag => $tag);
    $c->head;
    $c->event;
    $c->close;
    is free_again($who, 1), 1, "$path: a call that drains keeps its slot";
    raw_go($tag);
    is free_again($who, 2), 2, '… to its end';
}

# ------------------------------------------------------------------ to the last one: twelve at once, of whom two are let in, again and again

for my $round (1 .. 3) {
    my $who = someone('two');
    my $tag = tag();
    my @calls = map { begin($who, body('raw', scenario => 'gate', tag => $tag)) } 1 .. 10;
    my $refused = 0;
    for (my $until = time + 20; time < $until && $refused < 8;) {
        for my $c (grep { !$_->{r} } @calls) { $refused += $c->response->{status} == 429 if IO::Select->new($c->{fh})->can_read(0.02) }
    }
    raw_wait('request', tag => $tag, n => 2);
    is join(' ', $refused, scalar @{ raw_log($tag)->{requests} }), '8 2', "round $round: of ten calls two are let in";
    raw_go($tag);
    is free_again($who, 2), 2, '… and are over';
    $_->close for @calls;
}

# ------------------------------------------------------------------ by model

{
    my $who = someone('one');
    my $tag = tag();
    my $c = begin($who, body('raw', scenario => 'gate', tag => $tag));
    raw_wait('request', tag => $tag);
    is what(ask($who, 'raw')), $full, 'one at a time of a model';
    my $r = ask($who, 'echo');
    is what($r), 200, '… and of another';
    is $r->header('x-ratelimit-remaining-requests'), 999, '… whose requests are counted apart';
    raw_go($tag);
    $c->response;
    is becomes(sub { what(ask($who, 'raw', scenario => 'ok')) }, 200), 200, '… and again when it is over';
}

# ------------------------------------------------------------------ a dry run

{
    my $who = someone('dry');
    my @open = map { my $tag = tag(); my $c = begin($who, body('raw', stream => \1, scenario => 'gate:2', tag => $tag)); raw_wait('request', tag => $tag); [$c, $tag] } 1 .. 3;
    is scalar(() = $s->log =~ /AIGW0421: \[\S+\] dry run: this would be refused by the limit of concurrent 1$/mg), 2, 'a dry run lets all in, and says what it would not';
    for (@open) { raw_go($_->[1]); is $_->[0]->response->{status}, 200, '… each of them' }
    is_deeply limits($who), {}, '… and shows no limits';
}

# ------------------------------------------------------------------ internal redirects

{
    my $who = someone('two');
    my $r = ask($who, 'echo', path => '/index/again');
    is what($r), 200, 'an internal redirect';
    like $r->header('RateLimit'), qr/"concurrent";r=1/, '… takes one slot';
    is free_again($who, 2), 2, '… and gives it back';
}

# ------------------------------------------------------------------ calls without a client

{
    my $who = someone('two');
    like get('/v1/detached?model=echo&text=one', port => $port, headers => [auth($who)])->content, qr/finish=stop/, 'a call without a client';
    like get('/v1/detached?model=echo-stall&cancel=1&text=one%20two%20three%20four', port => $port, headers => [auth($who)])->content, qr/error=shutting_down/, '… one that is cancelled';
    is free_again($who, 2), 2, '… give back their slots';
}

# ------------------------------------------------------------------ streams that are left at any time, on one key, and a graceful restart

my $who = someone('two');
for my $i (1 .. 60) {
    my $c = begin($who, body($i % 3 ? 'echo' : 'raw', stream => \1, scenario => 'delay:2:50'));
    if ($i % 2) { $c->head; $c->event if $c->{r}{status} == 200 && $i % 4 == 1 }
    $i % 5 ? $c->close : $c->rst;
}
is free_again($who, 2), 2, 'sixty streams that were left: no slot is lost';
my $tag = tag();
my $c = begin($who, body('raw', stream => \1, scenario => 'gate:2', tag => $tag));
raw_wait('request', tag => $tag);
$s->signal('USR1');
$s->wait_for('the restart', 20, sub { (() = $s->log =~ /resuming normal operations/g) == 2 });
is free($who), 1, 'a graceful restart: an open stream keeps its slot';
raw_go($tag);
is becomes(sub { eval { free($who) } // '' }, 2), 2, '… to its end';
$c->close;

# ------------------------------------------------------------------ nothing is left

my $status = sub { my %now = get('/status?auto', port => $port)->content =~ /^(AIGWLimit(?:Slots|Holds|Reserved)): (\d+)/mg; return join ' ', map { "$_=" . ($now{$_} // '?') } sort keys %now };
is becomes($status, 'AIGWLimitHolds=0 AIGWLimitReserved=0 AIGWLimitSlots=0'), 'AIGWLimitHolds=0 AIGWLimitReserved=0 AIGWLimitSlots=0', 'in the end nothing is held';
like get('/status?auto', port => $port)->content, qr/^AIGWLimitReaped: 0$/m, '… and nothing had to be given back for the dead';
$s->stop;
is_deeply [$s->crashes], [], 'nobody crashed';
log_clean();
