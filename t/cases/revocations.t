# AIGWRevocationStore redis: a token that is logged out on one machine is out on all of them, and what holds while there is no Redis.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use File::Temp ();
use AIGW::Client qw(get post_json);
use AIGW::Conf qw(conf_check);
use AIGW::Log;
use AIGW::Redis;
use AIGW::Server;
use AIGW::Services qw(spew);
use AIGW::Token qw(jwt key);

plan tests => 2 * 4 + 1 + 10 + 11 + 8 + 6 + 4 + 1, AIGW::Redis->available ? need_module("mod_aigw", "mod_aigw_auth") : skip_reason("there is no redis-server");

# ------------------------------------------------------------------ what configtest says

for (['AIGWRevocationStore redis',  qr/AIGW0380: AIGWRevocationStore redis: there is no Redis: say where it is \(AIGWRedis redis:\/\/host:port\), or memory/],
    ['AIGWRevocationStore disk',    qr/AIGWRevocationStore: "disk" is neither memory nor redis/],
    ["<VirtualHost *:1>\nAIGWRevocationStore memory\n</VirtualHost>", qr/AIGWRevocationStore cannot occur within <VirtualHost>/],
    ["<Location /x>\nAIGWRevocationStore redis\n</Location>", qr/AIGWRevocationStore/]) {
    my ($status, $out) = conf_check("$_->[0]\n");
    isnt $status, 0, $_->[0] =~ s/\n/ /gr . ': fails';
    like $out, $_->[1], '… and says why';
}
is +(conf_check("AIGWRevocationStore redis\nAIGWRedis redis://127.0.0.1:1\n"))[0], 0, 'with a Redis: passes';

# ------------------------------------------------------------------ two machines, as it were

my $dir = File::Temp->newdir('revocations-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
my $secret = key('HS256');
spew("$dir/secret", $secret);
my $key = "aigw_k_" . substr sha256_hex('secret'), 0, 43;
spew("$dir/keys", qq({"id":"k","sha256":"@{[sha256_hex($key)]}","user":"bob"}\n));
chmod 0644, "$dir/secret", "$dir/keys";
my $redis = AIGW::Redis->new(users => { map { $_->[0] => { password => 'p', rules => $_->[1] } } ['reads', '~* +@all -set'], ['writes', '~* +@all -pttl'] });

sub server {
    my (@more) = @_;
    return AIGW::Server->new(conf => join "\n", <<"CONF", @more);
AIGWErrors on
AIGWKeyFile $dir/keys
<AIGWJwtIssuer x>
    AIGWJwtAudience any
    AIGWJwtKey      file:$dir/secret
</AIGWJwtIssuer>
<Location /me>
    AuthType AIGW
    Require valid-user
    SetHandler aigw-me
</Location>
<Location /logout>
    AuthType AIGW
    Require valid-user
    SetHandler aigw-logout
</Location>
AIGWRedisTimeout connect=200ms command=200ms
# one child: each finds out by itself that Redis is away, and back
StartServers 1
ServerLimit 1
<IfModule !mpm_prefork_module>
    ThreadsPerChild 16
    MinSpareThreads 1
    MaxSpareThreads 16
</IfModule>
MaxRequestWorkers @{[Apache::Test::have_module('mpm_prefork') ? 1 : 16]}
CONF
}
my $number = 0;
sub token { return jwt('HS256', $secret, { iss => 'x', sub => 'alice', iat => int time, exp => int(time) + 600, jti => 'j' . ++$number }) }
sub what { my ($r) = @_; return $r->{status} . ($r->{status} >= 400 ? ' ' . $r->json->{error}{code} : '') }
sub me { my ($s, $credential) = @_; return what(get('/me', port => $s->{port}, headers => [Authorization => "Bearer $credential"])) }
sub out { my ($s, $token) = @_; return what(post_json('/logout', {}, port => $s->{port}, headers => [Authorization => "Bearer $token"])) }

my @shared = ('AIGWRevocationStore redis', 'AIGWRedis ' . $redis->url, 'AIGWRedisPrefix {t}:');
my ($one, $two) = map { server(@shared) } 1 .. 2;
my ($token, $other) = (token(), token());
is me($two, $token), 200, 'a token is good';
is out($one, $token), 200, '… it is logged out on one machine';
is me($one, $token), '401 invalid_token', '… it is out there';
is me($two, $token), '401 invalid_token', '… and on the other, which had verified it before';
is out($two, $token), '401 invalid_token', '… where it cannot be logged out again';
is me($_, $other), 200, '… and another is good' for $one, $two;
my $name = '{t}:revoked:' . sha256_hex("x\0j1");
is_deeply $redis->cmd('KEYS', '*'), [$name], 'Redis has one key, of the hash of issuer and jti';
my $ttl = $redis->cmd('TTL', $name);
cmp_ok $ttl, '>', 600, '… for as long as anybody may take the token';
cmp_ok $ttl, '<=', 600 + 600, '… and no longer';

# ------------------------------------------------------------------ without Redis: AIGWRedisFailure local, the default

$redis->stop;
is me($two, $token), '401 invalid_token', 'without Redis: what this machine was told before holds';
is me($one, $other), 200, '… and what nobody was told of is good';

is out($one, $other), 200, 'a logout without Redis';
is me($one, $other), '401 invalid_token', '… holds here';
is me($two, $other), 200, '… and here alone';
like $one->log, qr/AIGW0381: a token is logged out on this machine alone, and good on others until it expires: Redis cannot keep it: /, '… which the log says';
$redis->start;
for my $s ($one, $two) {
    ok $s->wait_for('Redis to be asked again', 30, sub { me($s, $other); me($s, token()); (() = $s->log =~ /AIGW0196/g) == (() = $s->log =~ /AIGW0197/g) }), 'Redis is back, and is asked again';
}
is out($one, my $fourth = token()), 200, '… a logout';
is me($two, $fourth), '401 invalid_token', '… and a logout is everybody\'s again';
is_deeply [map { $_->crashes } $one, $two], [], '… and nobody crashed';
$_->stop for $one, $two;

# ------------------------------------------------------------------ AIGWRedisFailure closed

my $closed = server(@shared, 'AIGWRedisFailure closed');
$token = token();
is me($closed, $token), 200, 'closed: with Redis';
$redis->stop;
is me($closed, $token), '503 store_unavailable', '… without it nobody can tell whether a token was logged out';
is me($closed, $key), 200, '… a key needs none';
is me($closed, jwt('HS256', $secret, { iss => 'x', sub => 'alice', exp => int(time) + 600 })), 200, '… nor does a token that cannot be logged out';
is me($closed, $fourth), '503 store_unavailable', '… one that was logged out elsewhere: nobody can tell';
like $closed->log, qr/AIGW0383: a token cannot be verified now: whether it was logged out Redis does not say: /, '… which the log says';
$redis->start;
ok $closed->wait_for('Redis is back', 30, sub { me($closed, $token) eq '200' }), '… and with Redis again';
is_deeply [$closed->crashes], [], '… and nobody crashed';
$closed->stop;

# Redis answers, but not as it should
$ENV{AIGW_T_REDIS} = 'p';
my ($reads, $writes) = map { server('AIGWRevocationStore redis', 'AIGWRedisFailure closed', 'AIGWRedis ' . $redis->url . " user=$_ password=env:AIGW_T_REDIS") } qw(reads writes);
is out($reads, $token), '503 store_unavailable', 'a logout that Redis does not keep';
is me($reads, $token), 200, '… the token is still good, and can be sent again';
like $reads->log, qr/AIGW0382: a token could not be logged out: Redis cannot keep it: NOPERM/, '… and the log says why';
is me($writes, $token), '503 store_unavailable', 'a question that Redis does not answer';
like $writes->log, qr/AIGW0383: .*NOPERM/, '… and the log says why';
is_deeply [map { $_->crashes } $reads, $writes], [], 'nobody crashed';
$_->stop for $reads, $writes;

# memory, the default: Redis is for others
my ($alone, $apart) = map { server('AIGWRevocationStore memory', $shared[1]) } 1 .. 2;
$redis->cmd('FLUSHALL');
is out($alone, $token), 200, 'memory: a logout';
is me($alone, $token), '401 invalid_token', '… holds here';
is me($apart, $token), 200, '… and here alone';
is_deeply $redis->cmd('KEYS', '*'), [], '… and Redis knows nothing of it';
log_clean();
