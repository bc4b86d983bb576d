# <AIGWTier>: what stands inside holds for the users of the tier: models, time-outs, caps, and what another module says. What cannot hold is refused by configtest.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use AIGW::Client qw(chat get);
use AIGW::Conf qw(conf_check);
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(spew);

# ------------------------------------------------------------------ what may stand inside

my $may = join ', ', sort qw(AIGWAllowModels AIGWLimit AIGWLimitBy AIGWLimitCached AIGWLimitExempt AIGWLimitMode AIGWLimitReserve AIGWTestTier), my @of_a_call = qw(AIGWFirstByteTimeout AIGWIdleTimeout AIGWTotalTimeout
    AIGWKeepAliveInterval AIGWStreamMaxTime AIGWStreamMaxBytes AIGWMaxEventSize AIGWMaxAnswerSize);
my @refused = ('SetHandler aigw-chat', 'Require valid-user', 'AuthType AIGW', 'AIGWErrors on', 'AIGWPark off', 'AIGWEchoRequestSettings on', 'AIGWLoginFloor 1s', 'AIGWKeyFile x',
    'AIGWCorsOrigin *', 'AIGWGenerateVersion 1', 'Listen 1', "<Location /x>\n</Location>", "<If \"true\">\nAIGWAllowModels x\n</If>", "<AIGWTier y>\n</AIGWTier>");

sub key { my ($who) = @_; return "aigw_${who}_" . substr sha256_hex("secret of $who"), 0, 43 }

plan tests => 3 * @refused + 4 + 13 + 9 + 4 + 2 + 3 + 9 + 1, need_module('mod_aigw', 'mod_aigw_auth', 'mod_aigw_test');

for my $inside (@refused) {
    my ($status, $out) = conf_check("ServerAdmin x\n<AIGWTier pro>\nAIGWAllowModels x\n$inside\n</AIGWTier>\n");
    my ($name) = $inside =~ /\A(<?\w+)/;
    isnt $status, 0, "$name inside a tier: fails";
    like $out, qr/\Q$name\E>? cannot occur within <AIGWTier pro>, where it would have no effect: write it outside\. Inside may stand .*AIGWAllowModels, /, '… says why, and what may';
    like $out, qr/line 4 of snippet/, '… and where';
}
my ($status, $out) = conf_check(join "\n", '<AIGWTier x>', 'AIGWAllowModels all', (map { "$_ 5000" } @of_a_call), 'aigwlimitBY key', 'AIGWTestTier x', "</AIGWTier>\n");
is $status, 0, 'all that may' or diag $out;
like +(conf_check("<AIGWTier x>\nListen 1\n</AIGWTier>\n"))[1], qr/Inside may stand \Q$may\E$/m, '… is all that is said';
like +(conf_check("<AIGWTier x>\nAIGWLimitt requests 1/minute\n</AIGWTier>\n"))[1], qr/Invalid command 'AIGWLimitt'/, 'a directive that nobody knows';
is +(conf_check("<AIGWTier x>\n<IfModule !nobody_module>\nAIGWAllowModels x\n</IfModule>\n<IfModule nobody_module>\nListen 1\n</IfModule>\n</AIGWTier>\n"))[0], 0, '<IfModule> inside';

# ------------------------------------------------------------------ a gateway

my %who = (alice => 'free', bob => 'pro', carol => undef, dave => 'gold', erin => 'narrow');
my $dir = File::Temp->newdir('tiers-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
my $json = JSON::PP->new->canonical;
chmod 0755, "$dir";
spew("$dir/keys", join '', map { $json->encode({ id => $_, sha256 => sha256_hex(key($_)), user => $_, tier => $who{$_}, $_ eq 'dave' ? (models => ['large', 'slow']) : () }) . "\n" } sort keys %who);
chmod 0644, "$dir/keys";

my $s = AIGW::Server->new(conf => <<"CONF");
AIGWKeyFile $dir/keys
AIGWErrors on
<AIGWTier free>
    AIGWAllowModels  small slow
    AIGWTotalTimeout 250ms
    AIGWStreamMaxBytes 16
    AIGWTestTier     "little"
</AIGWTier>
<AIGWTier pro>
    AIGWAllowModels  small large slow
    AIGWTotalTimeout 30s
</AIGWTier>
<AIGWTier gold>
    AIGWAllowModels all
    AIGWTestTier    "much"
</AIGWTier>
<AIGWTier narrow>
    AIGWAllowModels none-*
</AIGWTier>
AIGWDefaultTier free
<AIGWModel small>
    AIGWUpstream echo delay=2
</AIGWModel>
<AIGWModel large>
    AIGWUpstream echo
    AIGWAlias    big
</AIGWModel>
<AIGWModel other>
    AIGWUpstream echo
</AIGWModel>
<AIGWModel slow>
    AIGWUpstream echo ttft=600
</AIGWModel>
<Location /v1>
    AuthType   AIGW
    Require    valid-user
    SetHandler aigw-chat-completions
</Location>
<Location /v1/models>
    SetHandler aigw-models
</Location>
<Location /v1/here>
    SetHandler aigw-chat-completions
    AIGWAllowModels large other
</Location>
<Location /v1/large>
    SetHandler aigw-chat-completions
    Require aigw-model big
</Location>
<Location /v1/short>
    SetHandler aigw-chat-completions
    AIGWTotalTimeout 250ms
</Location>
<Location /v1/tier>
    SetHandler aigw-test-tier
</Location>
<Location /open>
    SetHandler aigw-chat-completions
</Location>
<Location /open/models>
    SetHandler aigw-models
</Location>
<Location /open/tier>
    SetHandler aigw-test-tier
</Location>
<Location /open/detached>
    SetHandler aigw-test-detached
</Location>
CONF
my $port = $s->{port};

sub fields { my ($who) = @_; return (port => $port, headers => [$who ? (Authorization => 'Bearer ' . key($who)) : ()]) }
sub ask {
    my ($who, $model, %o) = @_;
    return chat($model, $o{text} // 'a b', fields($who), path => $o{path} // ($who ? '/v1' : '/open'), stream => $o{stream});
}
sub what { my ($r) = @_; my $e = $r->{status} >= 400 ? $r->json->{error} : undef; return $e ? join ' ', $r->{status}, $e->{code} // 'null' : $r->{status} }
sub models { my ($who, $path) = @_; return join ' ', map { $_->{id} } @{ get($path, fields($who))->json->{data} } }
my $not = '403 model_not_allowed';

# ------------------------------------------------------------------ models: what a tier, a location and a credential give is what all of them give

is what(ask('alice', 'small')), 200, 'free: one of the tier';
is what(ask('alice', 'large')), $not, '… and another';
is what(ask('bob', 'large')), 200, 'pro: one of the tier';
is what(ask('bob', 'other')), $not, '… and another';
is what(ask('dave', 'small')), $not, 'a tier that gives all: the credential still gives its own alone';
is what(ask('carol', 'large')), $not, 'no tier: the default one';
is what(ask(undef, 'large')), $not, 'nobody known: the default one';
is what(ask('erin', 'small')), $not, 'a tier that gives none there is';
is what(ask('bob', 'other', path => '/v1/here')), $not, 'what a location gives and the tier does not';
is what(ask('bob', 'small', path => '/v1/here')), $not, '… what the tier gives and the location does not';
is what(ask('bob', 'large', path => '/v1/here')), 200, '… what both give';
is what(ask('bob', 'large', path => '/v1/large')), 200, 'Require aigw-model: the tier gives it';
is what(ask('alice', 'small', path => '/v1/large')), $not, '… and does not';

is models(alice => '/v1/models'), 'small slow', 'the list: free';
is models(bob   => '/v1/models'), 'small large slow', '… pro';
is models(dave  => '/v1/models'), 'large slow', '… of all, those of the credential';
is models(erin  => '/v1/models'), '', '… none';
is models(undef, '/open/models'), 'small slow', '… nobody known';
is what(get('/v1/models/other', fields('bob'))), '404 model_not_found', 'one that is not given';
is get('/v1/models/big', fields('bob'))->json->{id}, 'large', '… and one that is, by its other name';
like get('/open/detached?model=small', fields())->content, qr/^text=one two three finish=stop/, 'a call without a client: one of the tier of whoever it is for';
like get('/open/detached?model=large', fields())->content, qr/error=model_not_allowed/, '… and another';

# ------------------------------------------------------------------ time-outs and caps: the tier before the location

is what(ask('alice', 'slow')), '504 upstream_timeout', 'AIGWTotalTimeout of a tier';
is what(ask('bob', 'slow')), 200, '… and of another';
is what(ask('bob', 'slow', path => '/v1/short')), 200, '… before what the location says';
is what(ask('dave', 'slow', path => '/v1/short')), '504 upstream_timeout', 'a tier that says nothing of it: the location';

like +(ask('alice', 'small', stream => 1, text => 'word ' x 20)->data)[-1], qr/upstream_invalid_response/, 'AIGWStreamMaxBytes of a tier';
is +(ask('bob', 'small', stream => 1, text => 'word ' x 20)->data)[-1], '[DONE]', '… and of one that says nothing';

# ------------------------------------------------------------------ another module's

is get('/v1/tier', fields('dave'))->content, "much\n", 'a directive of another module';
is get('/v1/tier', fields('bob'))->content, "nothing\n", '… in a tier that does not have it';
is get('/open/tier', fields())->content, "little\n", '… in the default one';
$s->stop;

# ------------------------------------------------------------------ what ships: conf/aigw.conf, with what stands beside it

{
    my $example = AIGW::Server->new(stopped => 1, conf => '');
    spew("$example->{dir}/aigw.keys", join '', map { $json->encode({ id => $_, sha256 => sha256_hex(key($_)), user => $_, tier => $_, scopes => ['chat'] }) . "\n" } qw(pro enterprise));
    chmod 0644, "$example->{dir}/aigw.keys";
    my $conf = "$ENV{AIGW_SRC}/../conf";
    $example->configure(join '', (map { "Include \"$conf/$_.conf\"\n" } qw(aigw auth ratelimit)), map { "<Location \"$_\">\nSetHandler aigw-models\n</Location>\n" } qw(/open /health /ready));
    $example->start;
    $port = $example->{port};
    my $policy = sub { my ($path, $who) = @_; my $r = get($path, fields($who)); return what($r) . ': ' . ($r->header('RateLimit-Policy') // 'none') };
    is $policy->('/open'), '200: "requests";q=10;w=60, "requests-2";q=100;w=3600', 'nobody known: free';
    is $policy->('/v1/models', 'pro'), '200: "requests";q=600;w=60, "requests-2";q=60;w=60, "requests-3";q=1000;w=3600', 'pro, besides what ratelimit.conf says of addresses';
    like $policy->('/v1/models', 'enterprise'), qr/q=300;w=60, "requests-3";q=10000;w=3600\z/, 'enterprise';
    is join(' ', map { what(get('/open', fields())) } 2 .. 10), join(' ', (200) x 9), 'ten a minute';
    is what(get('/open', fields())), '429 rate_limit_exceeded', '… and no more';
    is what(get('/v1/models', fields('pro'))), 200, '… for them alone';
    is what(get('/v1/models', fields())), '401 missing_api_key', '… and where a key is wanted, that is what is said';
    is $policy->("/$_"), '200: none', "/$_ costs nothing" for qw(health ready);
}
log_clean();
