# mod_aigw_ratelimit, tokens: what is reserved before a call, what is charged after it, however it ends; by model; what clients are told.
# An estimate here is a token for 4 bytes and 7 for the message (AIGWTokenEstimate bytes=4, so that nothing is learned), and /v1/me says what is left.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);
use IO::Select ();
use AIGW::Client qw(get);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Server;
use AIGW::Services qw(spew);

my $json = JSON::PP->new->canonical;
my @tiers = qw(address hour small cached model day dry kinds both bucket reserve);
my $users = 150; # of each tier: every case has one of its own
my $dir = File::Temp->newdir('tokens-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
sub key { my ($user) = @_; return "aigw_${user}_" . substr sha256_hex("secret of $user"), 0, 43 }
my @keys = map { my $tier = $_; map { { id => "$tier$_", user => "$tier$_", tier => $tier, sha256 => sha256_hex(key("$tier$_")) } } 1 .. $users } @tiers;
push @keys, { id => 'narrow', user => 'narrow', tier => 'hour', models => ['echo'], sha256 => sha256_hex(key('narrow')) };
spew("$dir/keys", join '', map { $json->encode($_) . "\n" } @keys);
chmod 0644, "$dir/keys";

my $raw = "http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1";
my $at = '/v1/chat/completions';
my $s = AIGW::Server->new(conf => <<"CONF");
AIGWKeyFile $dir/keys
AIGWErrors on
LogFormat "id=%{AIGW_REQUEST_ID}e status=%>s limit=%{AIGW_LIMIT}e estimated=%{AIGW_TOKENS_ESTIMATED}e" limits
CustomLog limits_log limits
<AIGWTier hour>
    AIGWLimit tokens 1000/hour
</AIGWTier>
<AIGWTier address>
    AIGWLimit tokens 1000/hour
    AIGWLimitBy address model
</AIGWTier>
<AIGWTier small>
    AIGWLimit tokens 100/hour
</AIGWTier>
<AIGWTier cached>
    AIGWLimit tokens 1000/hour
    AIGWLimitCached 25%
</AIGWTier>
<AIGWTier model>
    AIGWLimit tokens 100/hour
    AIGWLimit requests 3/hour
    AIGWLimitBy user model
</AIGWTier>
<AIGWTier day>
    AIGWLimit tokens 50/day
</AIGWTier>
<AIGWTier dry>
    AIGWLimit tokens 30/hour
    AIGWLimitMode dry-run
</AIGWTier>
<AIGWTier kinds>
    AIGWLimit input-tokens 500/hour
    AIGWLimit output-tokens 400/hour
</AIGWTier>
<AIGWTier both>
    AIGWLimit requests 10/hour
    AIGWLimit tokens 1000/hour 5000/day
</AIGWTier>
<AIGWTier bucket>
    AIGWLimit tokens 600/minute algorithm=token-bucket burst=50
</AIGWTier>
<AIGWTier reserve>
    AIGWLimit tokens 1000/hour
    AIGWLimitReserve 200
</AIGWTier>
<AIGWModel echo>
    AIGWUpstream echo
    AIGWTokenEstimate bytes=4
</AIGWModel>
<AIGWModel raw>
    AIGWUpstream openai $raw
    AIGWTokenEstimate bytes=4 image=85
</AIGWModel>
<AIGWModel raw-drain>
    AIGWUpstream openai $raw disconnect=drain
    AIGWTokenEstimate bytes=4
</AIGWModel>
<AIGWModel raw-300>
    AIGWUpstream openai $raw
    AIGWTokenEstimate bytes=4
    AIGWMaxTokens 300
</AIGWModel>
<AIGWModel raw-window>
    AIGWUpstream openai $raw
    AIGWTokenEstimate bytes=4
    AIGWContextWindow 100
</AIGWModel>
<AIGWModel learns>
    AIGWUpstream openai $raw
</AIGWModel>
<AIGWModel dead>
    AIGWUpstream openai http://127.0.0.1:1/v1
    AIGWTokenEstimate bytes=4
</AIGWModel>
<AIGWModel test-refused-last>
    AIGWUpstream echo
</AIGWModel>
AIGWDefaultModel echo
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
<Location /v1/chat/stream>
    SetHandler aigw-chat-stream
</Location>
<Location /v1/generate>
    SetHandler aigw-generate
</Location>
<Location /v1/detached>
    SetHandler aigw-test-detached
</Location>
<Location /v1/free>
    SetHandler aigw-chat-completions
    AIGWLimitExempt "%{HTTP:X-Monitor} == 'yes'"
</Location>
<Location /v1/me>
    SetHandler aigw-me
</Location>
<Location /status>
    SetHandler server-status
</Location>
<Location /by-team>
    SetHandler aigw-chat-completions
    AIGWLimit tokens 100/hour
    AIGWLimitBy header:X-Team
</Location>
CONF
my $port = $s->{port};

my %next = map { $_ => 1 } @tiers;
sub someone { my ($tier) = @_; return $tier . $next{$tier}++ }
sub auth { my ($who) = @_; return (Authorization => 'Bearer ' . key($who)) }
sub limits { my ($who) = @_; return get('/v1/me', port => $port, headers => [auth($who)])->json->{limits} }
sub left { my ($who, $kind) = @_; return limits($who)->{ $kind // 'tokens' }[0]{remaining} }

# What is left once the call is settled: that may come after the answer.
sub settled {
    my ($who, $left, $kind) = @_;
    my $now;
    for (my $until = time + 10 * AIGW::Server::SLOW; time < $until; sleep 0.01) { last if ($now = left($who, $kind)) == $left }
    return $now;
}
# … of all calls: where /v1/me does not show it, or would be counted itself.
sub all_settled { return $s->wait_for('calls that are settled', 20, sub { get('/status?auto', port => $port)->content =~ /^AIGWLimitReserved: 0$/m }) }
sub body { my ($model, %o) = @_; my $text = delete $o{text} // 'hello'; return { model => $model, messages => [{ role => 'user', content => $text }], %o } }
sub ask { my ($who, $model, %o) = @_; my $path = delete $o{path} // $at; return AIGW::Client::post_json($path, body($model, %o), port => $port, headers => [auth($who)]) }
sub begin {
    my ($who, $body, $path, @fields) = @_;
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $path // $at, headers => [auth($who), @fields], json => $body);
    return $c;
}
sub what { my ($r) = @_; my $e = $r->{status} >= 400 ? $r->json->{error} : undef; return $e ? join ' ', $r->{status}, $e->{type}, $e->{code} // 'null' : $r->{status} }

my $rounds = 10;
my @settles = (
    # name, model, members of the body, tokens that it cost in the end
    ['no stream',                         'echo', { text => 'one two three' }, 6],
    ['a stream',                          'echo', { text => 'one two three', stream => \1 }, 6],
    ['two answers',                       'echo', { text => 'one two three', n => 2 }, 9],
    ['an upstream',                       'raw',  { scenario => 'ok:5' }, 12],
    ['an upstream\'s stream',             'raw',  { scenario => 'ok:5', stream => \1 }, 12],
    ['more than was reserved',            'raw',  { scenario => 'counted:400:0:300', max_tokens => 5 }, 700],
    ['cached tokens count as any',        'raw',  { scenario => 'counted:100:80:10' }, 110],
    ['a stream without usage',            'raw',  { scenario => 'no-usage:5', stream => \1 }, 9 + 7],
    ['… of no more than was asked for',   'raw',  { scenario => 'no-usage:5', stream => \1, max_tokens => 4 }, 9 + 4],
    ['an error of the upstream',          'raw',  { scenario => 'status:500' }, 0],
    ['its refusal',                       'raw',  { scenario => 'rate-limit' }, 0],
    ['an upstream that is not there',     'dead', {}, 0],
    ['lost before it answered',           'raw',  { scenario => 'reset-before', stream => \1 }, 0],
    ['lost in the middle',                'raw',  { scenario => 'reset-mid-event:3', stream => \1 }, 9 + 3],
    ['an error in the middle',            'raw',  { scenario => 'error-event:3', stream => \1 }, 9 + 3],
    ['another module\'s refusal',         'test-refused-last', {}, 0],
);
my @leaves = (
    # name, model, scenario, stream, events until the client leaves, cost, more of the body
    ['before the first token', 'raw',       'silent',  1, 0, 9],
    ['in mid-stream',          'raw',       'stall:3', 1, 3, 9 + 3],
    ['while it drains',        'raw-drain', 'gate:3',  1, 3, 12],
    ['who asked for 1 by one name and for 100 by the other', 'raw', 'stall:3', 1, 3, 9 + 3, { max_completion_tokens => 1 }],
);
my @reserves = (
    # name, tier, model, members of the body, tokens that are reserved
    ['max_tokens',                                  'hour',  'raw',        { max_tokens => 50 }, 9 + 50],
    ['max_completion_tokens goes before max_tokens', 'hour', 'raw',        { max_tokens => 50, max_completion_tokens => 20 }, 9 + 20],
    ['… in any order',                              'hour',  'raw',        { max_completion_tokens => 20, max_tokens => 90 }, 9 + 20],
    ['n answers',                                   'hour',  'raw',        { max_tokens => 50, n => 3 }, 9 + 150],
    ['the model\'s AIGWMaxTokens',                  'hour',  'raw-300',    {}, 9 + 300],
    ['… for each answer',                           'hour',  'raw-300',    { n => 2 }, 9 + 600],
    ['… but what is asked for goes before',         'hour',  'raw-300',    { max_tokens => 10 }, 9 + 10],
    ['nobody says: AIGWLimitReserve',               'reserve', 'raw',      {}, 9 + 200],
    ['… by default a tenth of the limit',           'hour',  'raw',        {}, 9 + 100],
    ['… and no more than the context has room for', 'hour',  'raw-window', {}, 100],
    ['… and no more than the limit',                'hour',  'raw-300',    { n => 4 }, 1000],
    ['a long text',                                 'hour',  'raw',        { text => 'x' x 400, max_tokens => 1 }, 100 + 7 + 1],
    ['other letters are three bytes a token',       'hour',  'raw',        { text => "\x{3042}" x 10, max_tokens => 1 }, 10 + 7 + 1],
    ['an image is a constant',                      'hour',  'raw',        { max_tokens => 1, messages => [{ role => 'user', content => [{ type => 'text', text => 'what?' }, { type => 'image_url', image_url => { url => 'data:image/png;base64,' . 'A' x 100_000 } }] }] }, 2 + 7 + 85 + 1],
    ['two messages and a tool',                     'hour',  'raw',        { max_tokens => 1, tools => [{ type => 'function' }], messages => [{ role => 'system', content => 'abcd' }, { role => 'user', content => 'abcd' }] }, 8 + 11 + 1],
);

plan tests => $rounds * 4 + @reserves + 2 * @settles + 2 * @leaves + 73, need_module('mod_aigw', 'mod_aigw_auth', 'mod_aigw_ratelimit', 'mod_aigw_test', 'mod_status');

# ------------------------------------------------------------------ parallel calls: never more than the limit

my %five = (text => 'x' x 12, max_tokens => 30, scenario => 'gate'); # 3 + 7 + 30
my $said;
for my $round (1 .. $rounds) {
    my $who = someone('small');
    my $tag = tag();
    my @calls = map { begin($who, body('raw', %five, tag => $tag)) } 1 .. 5;
    raw_wait('request', tag => $tag, n => 2);
    is settled($who, 20), 20, "round $round: two of five calls are let in";
    # the refused have their answers; nothing more comes upstream
    my @refused;
    for (my $until = time + 20; time < $until && @refused < 3;) {
        for my $c (grep { !$_->{r} } @calls) { push @refused, $c->response if IO::Select->new($c->{fh})->can_read(0.02) }
    }
    is scalar(@refused), 3, '… and three are not';
    $said = $refused[0];
    is scalar(@{ raw_log($tag)->{requests} }), 2, '… which the model server does not hear of';
    raw_go($tag);
    is settled($who, 100 - 2 * 12), 76, '… and what they really used is charged';
    $_->close for @calls;
}
is what($said), '429 rate_limit_error rate_limit_exceeded', 'a refusal';
like $said->json->{error}{message}, qr{\AThe limit of tokens 100/hour is reached\. Try again in \S+\.\z}, '… says which limit it was';
cmp_ok $said->header('Retry-After'), '>=', 1, '… when to try again';
is $said->header('Retry-After'), POSIX::ceil($said->header('retry-after-ms') / 1000), '… to the millisecond';
is $said->header('x-should-retry'), 'false', '… which is not worth waiting for';
is $said->header('x-ratelimit-remaining-tokens'), 20, '… and what is left';

# ------------------------------------------------------------------ what is reserved: it shows in the answer's headers

for (@reserves) {
    my ($name, $tier, $model, $more, $cost) = @$_;
    my $who = someone($tier);
    my $r = ask($who, $model, scenario => 'ok', %$more);
    is $r->header('x-ratelimit-remaining-tokens'), 1000 - $cost, "reserved: $name" or diag $r->content;
}

# ------------------------------------------------------------------ how it is settled

for (@settles) {
    my ($name, $model, $more, $cost) = @$_;
    for my $path ($at, '/v1/blocking') {
        my $who = someone('hour');
        ask($who, $model, path => $path, max_tokens => 100, %$more);
        is settled($who, 1000 - $cost), 1000 - $cost, "$path: $name";
    }
}
for (@leaves) {
    my ($name, $model, $scenario, $stream, $events, $cost, $more) = @$_;
    for my $path ($at, '/v1/blocking') {
        my $who = someone('hour');
        my $tag = tag();
        my $c = begin($who, body($model, scenario => $scenario, tag => $tag, stream => \1, max_tokens => 100, %{ $more || {} }), $path);
        raw_wait('request', tag => $tag);
        if ($events) { $c->head; $c->event for 1 .. $events }
        $c->close;
        raw_go($tag) if $scenario =~ /gate/;
        is settled($who, 1000 - $cost), 1000 - $cost, "$path: the client leaves $name";
    }
}
{
    my $who = someone('hour');
    my $r = AIGW::Client::post_json('/v1/chat/stream', { message => 'one two' }, port => $port, headers => [auth($who)]);
    is settled($who, 996), 996, 'another dialect';
    $r = AIGW::Client::post_json('/v1/generate', { prompt => 'one two', max_tokens => 1 }, port => $port, headers => [auth($who)]);
    is settled($who, 993), 993, '… and another';
    is $r->header('x-ratelimit-remaining-tokens'), 1000 - 4 - 9 - 1, '… with its own max_tokens';
    like get('/v1/detached?model=echo&text=one%20two%20three', port => $port, headers => [auth($who)])->content, qr/finish=stop/, 'a call without a client';
    is settled($who, 987), 987, '… is charged to the one who asked for it';
    like get('/v1/detached?model=raw&text=' . 'x' x 4000, port => $port, headers => [auth($who)])->content, qr/error=rate_limit_exceeded/, '… and refused';
    is settled($who, 987), 987, '… for nothing';
}

{
    # who is not the one who is known, but his address: of a call without a client it is that of the request on whose behalf it is made
    my @two = map { someone('address') } 1 .. 2;
    like get('/v1/detached?model=raw&text=' . 'x' x 400, port => $port, headers => [auth($two[0])])->content, qr/finish=stop/, 'a call without a client, by address';
    my $left = sub { all_settled(); return ask($two[1], 'raw', max_tokens => 1, scenario => 'counted:1:0:0')->header('x-ratelimit-remaining-tokens') };
    is $left->(), 1000 - 12 - 9 - 1, '… counts for a request from there';
    is $left->(), 1000 - 12 - 1 - 9 - 1, '… and that for the next';
}

# ------------------------------------------------------------------ refusals that are somebody else's, or for good

is what(AIGW::Client::post_json($at, body('raw'), port => $port, headers => [auth('narrow')])), '403 permission_error model_not_allowed', 'a model that is not allowed';
is left('narrow'), 1000, '… costs nothing';
my $who = someone('hour');
my $r = ask($who, 'raw', max_tokens => 2000);
is what($r), '429 rate_limit_error rate_limit_exceeded', 'more than the limit ever holds';
is $r->header('x-should-retry'), 'false', '… is not worth a retry';
like $r->json->{error}{message}, qr{\AThe request is too large for the limit of tokens 1000/hour: it needs up to 2009\.}, '… and says why';
is left($who), 1000, '… and costs nothing';
$who = someone('both');
ask($who, 'test-refused-last');
is left($who, 'requests'), 9, 'a limit of another module refunds the request, too: the look at it is one';
$r = ask($who, 'raw', max_tokens => 2000);
is $r->header('x-ratelimit-remaining-requests'), 9, '… as ours does';
is $r->header('x-ratelimit-limit-tokens'), 1000, '… and shows the others';
is left($who, 'requests'), 8, '… which is so';
is what(AIGW::Client::post_json('/v1/free', body('raw', max_tokens => 2000, scenario => 'ok'), port => $port, headers => [auth($who), 'X-Monitor' => 'yes'])), 200, 'who is exempt is not asked';
is what(AIGW::Client::post_json('/v1/free', body('raw', max_tokens => 2000), port => $port, headers => [auth($who)])), '429 rate_limit_error rate_limit_exceeded', '… others are';

# ------------------------------------------------------------------ a quota

$who = someone('day');
is what(ask($who, 'raw', max_tokens => 40, scenario => 'counted:10:0:40')), 200, 'a day\'s tokens';
is settled($who, 0), 0, '… are used';
$r = ask($who, 'raw', max_tokens => 40);
is what($r), '429 rate_limit_error quota_exceeded', '… and gone';
is $r->header('x-should-retry'), 'false', '… for hours';
like $r->json->{error}{message}, qr{tokens 50/day is reached}, '… says the message';
cmp_ok $r->header('Retry-After'), '>', 3600, '… and Retry-After';

# ------------------------------------------------------------------ cached tokens, kinds of tokens

$who = someone('cached');
ask($who, 'raw', max_tokens => 10, scenario => 'counted:100:80:10');
is settled($who, 1000 - 20 - 20 - 10), 950, 'cached tokens count for a quarter';
$who = someone('kinds');
$r = ask($who, 'raw', max_tokens => 100, scenario => 'counted:50:0:20');
is $r->header('RateLimit-Policy'), '"input-tokens";q=500;w=3600, "output-tokens";q=400;w=3600', 'input and output apart';
is $r->header('x-ratelimit-remaining-tokens'), 300, '… and the tightest for OpenAI\'s SDKs';
is join(' ', settled($who, 450, 'input-tokens'), settled($who, 380, 'output-tokens')), '450 380', '… each settled by its own';

# ------------------------------------------------------------------ by model

$who = someone('model');
ask($who, 'raw', max_tokens => 80, scenario => 'counted:10:0:80');
is what(ask($who, 'raw', max_tokens => 80)), '429 rate_limit_error rate_limit_exceeded', 'a model\'s tokens are used';
$r = ask($who, 'echo', max_tokens => 20); # all that follow may come before it is settled
is what($r), 200, '… another\'s are not';
is $r->header('x-ratelimit-remaining-requests'), 2, '… and its requests are counted apart';
ask($who, 'echo', max_tokens => 1) for 1 .. 2;
$r = ask($who, 'echo', max_tokens => 1);
like $r->json->{error}{message}, qr{limit of requests 3/hour}, '… up to their limit';
is get('/v1/me', port => $port, headers => [auth($who)])->{status}, 200, '… and what is no call is not counted';
is_deeply limits($who), { requests => [{ limit => 3, window_seconds => 3600, per => 'model' }], tokens => [{ limit => 100, window_seconds => 3600, per => 'model' }] }, '/v1/me says that they are each model\'s';

# ------------------------------------------------------------------ headers, /v1/me

$who = someone('both');
$r = ask($who, 'raw', max_tokens => 100, scenario => 'ok');
is $r->header('RateLimit-Policy'), '"requests";q=10;w=3600, "tokens";q=1000;w=3600, "tokens-2";q=5000;w=86400', 'all limits in the draft\'s fields';
like $r->header('RateLimit'), qr/\A"requests";r=9;t=\d+, "tokens";r=891;t=\d+, "tokens-2";r=4891;t=\d+\z/, '… and what is left of them';
is join(' ', map { $r->header($_) } qw(x-ratelimit-limit-tokens x-ratelimit-remaining-tokens X-RateLimit-Limit X-RateLimit-Remaining)), '1000 891 10 9', 'OpenAI\'s, and the common ones: of requests';
like $r->header('x-ratelimit-reset-tokens'), qr/\A1h\d+m[\d.]+s\z/, '… and when all is back';
like $r->header('Server-Timing'), qr/\blimit;dur=/, 'Server-Timing';
all_settled(); # /v1/me is a request, of which there are ten
my $me = limits($who);
is join(' ', (map { "$_->{limit}/$_->{window_seconds}:$_->{remaining}" } @{ $me->{tokens} }), (map { "$_->{limit}/$_->{window_seconds}" } @{ $me->{requests} })),
    '1000/3600:988 5000/86400:4988 10/3600', '/v1/me';

# ------------------------------------------------------------------ a dry run

$who = someone('dry');
is what(ask($who, 'raw', max_tokens => 25, scenario => 'ok')), 200, 'a dry run lets it through';
is what(ask($who, 'raw', max_tokens => 25, scenario => 'ok')), 200, '… again';
$r = ask($who, 'raw', max_tokens => 100, scenario => 'ok');
is what($r), 200, '… whatever it is';
is $r->header('x-ratelimit-limit-tokens'), undef, '… and tells no client';
is scalar(() = $s->log =~ /AIGW0421: \[\S+\] dry run: this would be refused by the limit of tokens 30\/hour/g), 3, '… but the log';
is_deeply limits($who), {}, '… nor /v1/me';

# ------------------------------------------------------------------ a bucket: what it owes has to flow in

$who = someone('bucket');
is what(ask($who, 'raw', max_tokens => 30, scenario => 'counted:10:0:1000')), 200, 'a bucket of 50';
settled($who, 0);
$r = ask($who, 'raw', max_tokens => 30);
is what($r), '429 rate_limit_error rate_limit_exceeded', '… that owes 960';
cmp_ok $r->header('Retry-After'), '>=', 5, '… gives nothing before it has them back' or diag $r->header('Retry-After');
is what(ask($who, 'raw', max_tokens => 100)), '429 rate_limit_error rate_limit_exceeded', '… and never more than it holds';

# ------------------------------------------------------------------ without users

sub team { my ($team, %o) = @_; return AIGW::Client::post_json('/by-team', body('raw', max_tokens => 50, scenario => 'ok', %o), port => $port, headers => ['X-Team' => $team]) }
is team('red')->header('x-ratelimit-remaining-tokens'), 41, 'by a header';
is team('blue')->header('x-ratelimit-remaining-tokens'), 41, '… each for itself';
is team('blue', max_tokens => 91)->{status}, 429, '… up to its limit';
like team('blue', max_tokens => 92)->json->{error}{message}, qr/too large/, '… and no further';

# ------------------------------------------------------------------ what the model server counts is learned, in each child

{
    my $c = AIGW::Client->new(port => $port);
    my @left;
    for my $i (1 .. 30) {
        my $asker = someone('hour');
        $c->request(POST => $at, headers => [auth($asker)], json => body('learns', text => 'x' x 400, max_tokens => 1, scenario => 'counted:214:0:1'));
        push @left, $c->response->header('x-ratelimit-remaining-tokens');
    }
    is $left[0], 1000 - 108, 'a model that nothing is known of';
    my ($last) = sort { $a <=> $b } @left;
    is $last, 1000 - 214 - 1, '… counts twice as much: learned';
    is scalar(grep { $_ < 1000 - 214 - 1 } @left), 0, '… and never more';
    is $left[-1], $last, '… to the end';
}

# ------------------------------------------------------------------ the access log

my $log = AIGW::Services::slurp("$s->{dir}/limits_log") // '';
like $log, qr/status=200 limit=- estimated=9$/m, 'the log says what was estimated';
like $log, qr{status=429 limit=tokens 100/hour estimated=}, '… and which limit refused';
like $log, qr{status=200 limit=tokens 30/hour }, '… or would have';
$s->stop;
is_deeply [$s->crashes], [], 'nobody crashed';
log_clean();
