# mod_aigw_ratelimit, requests: how many of whom, to the last one, in all children together; what clients are told; what survives.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get);
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(slurp spew);

my $json = JSON::PP->new->canonical;
my %key = map { $_ => "aigw_${_}_" . substr sha256_hex("secret of $_"), 0, 43 } qw(alice bob carol dave erin frank hammer);
my %tier = (alice => 'free', bob => 'pro', carol => undef, dave => 'gold', erin => 'free', frank => 'pro', hammer => 'big');
my $dir = File::Temp->newdir('ratelimit-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
spew("$dir/keys", join '', map { $json->encode({ id => $_, sha256 => sha256_hex($key{$_}), user => $_, tier => $tier{$_} }) . "\n" } sort keys %key);
chmod 0644, "$dir/keys";

my $s = AIGW::Server->new(conf => <<"CONF");
AIGWKeyFile $dir/keys
AIGWErrors on
<AIGWTier free>
    AIGWLimit requests 3/minute 100/hour
</AIGWTier>
<AIGWTier pro>
    AIGWLimit requests 6/minute
</AIGWTier>
<AIGWTier big>
    AIGWLimit requests 100/hour
</AIGWTier>
AIGWDefaultTier free
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
<Location /v1>
    AuthType AIGW
    Require valid-user
</Location>
<Location /v1/models>
    SetHandler aigw-models
</Location>
<Location /v1/small>
    SetHandler aigw-models
    AIGWLimit requests 2/minute
</Location>
<Location /by-address>
    AuthType AIGW
    Require valid-user
    SetHandler aigw-models
    AIGWLimit requests 4/minute
    AIGWLimitBy address
</Location>
# once more: it counts once, and the tighter one holds
<Location /by-address>
    AIGWLimit requests 9/minute
    AIGWLimitBy address
</Location>
<Location /none>
    SetHandler aigw-models
</Location>
<IfModule !mpm_prefork_module>
    StartServers 3
    ServerLimit 3
    ThreadsPerChild 16
    MaxRequestWorkers 48
    MinSpareThreads 48
    MaxSpareThreads 48
</IfModule>
CONF
my $port = $s->{port};

sub ask { my ($path, $who, @fields) = @_; return get($path, port => $port, headers => [($who ? (Authorization => "Bearer $key{$who}") : ()), @fields]) }
sub what { my ($r) = @_; my $e = $r->{status} >= 400 ? $r->json->{error} : undef; return $e ? join ' ', $r->{status}, $e->{type}, $e->{code} // 'null' : $r->{status} }
my $refused = '429 rate_limit_error rate_limit_exceeded';

plan tests => 3 + 17 + 13 + 4 + 9 + 5 + 5 + 9 + 8 + 6, need_module('mod_aigw', 'mod_aigw_auth', 'mod_aigw_ratelimit');

# ------------------------------------------------------------------ a tier's limit, and what the client is told

my $r = ask('/v1/models', 'alice');
is what($r), 200, 'the first';
is $r->header('x-ratelimit-limit-requests'), 3, '… the limit that is tightest';
is $r->header('x-ratelimit-remaining-requests'), 2, '… what is left';
like $r->header('x-ratelimit-reset-requests'), qr/\A1m\d(?:\.\d{3})?s\z/, '… when all of it is back';
is $r->header('X-RateLimit-Limit'), 3, '… the same in another family';
is $r->header('X-RateLimit-Remaining'), 2, '… what is left';
is $r->header('RateLimit-Policy'), '"requests";q=3;w=60, "requests-2";q=100;w=3600', '… the draft\'s policies';
like $r->header('RateLimit'), qr/\A"requests";r=2;t=6\d, "requests-2";r=99;t=3\d{3}\z/, '… and what is left of them';
is $r->header('Retry-After'), undef, '… nothing to wait for';
is what(ask('/v1/models', 'alice')), 200, 'the second';
is what(ask('/v1/models', 'alice')), 200, 'the third';
$r = ask('/v1/models', 'alice');
is what($r), $refused, 'the fourth is refused';
like $r->json->{error}{message}, qr{\AThe limit of requests 3/minute is reached\. Try again in 1?[\dm.]+s\.\z}, '… which limit it was';
cmp_ok $r->header('Retry-After'), '>=', 1, '… Retry-After';
is $r->header('Retry-After'), POSIX::ceil($r->header('retry-after-ms') / 1000), '… in whole seconds of retry-after-ms';
is $r->header('x-ratelimit-remaining-requests'), 0, '… nothing is left';
is $r->header('RateLimit') =~ /"requests-2";r=(\d+)/ && $1, 97, '… and the other limit was not charged for it';

# ------------------------------------------------------------------ who counts where

is what(ask('/v1/models', 'erin')), 200, 'another of the same tier';
is what(ask('/v1/models', 'bob')), 200, 'another tier' for 1 .. 6;
is what(ask('/v1/models', 'bob')), $refused, '… its own number';
is ask('/v1/models', 'dave')->header('x-ratelimit-limit-requests'), 3, 'a tier that is not configured: the default one';
is ask('/v1/models', 'carol')->header('x-ratelimit-limit-requests'), 3, 'none: the default one';
is ask('/none')->header('x-ratelimit-limit-requests'), 3, 'nobody known: the default one, by address';
is ask('/none')->header('x-ratelimit-remaining-requests'), 1, '… the second of the address';
is what(ask('/none')), 200, '… the third';

# ------------------------------------------------------------------ a location's on top: all or none

is ask('/v1/small', 'frank')->header('x-ratelimit-remaining-requests'), 1, 'a location with a limit of its own: the tightest is shown';
is ask('/v1/small', 'frank')->{status}, ask('/v1/small', 'erin')->{status}, '… for each user';
is what(ask('/v1/small', 'frank')), $refused, '… is refused by it';
is ask('/v1/models', 'frank')->header('x-ratelimit-remaining-requests'), 3, '… and what it refused cost nothing elsewhere: two and this';

# ------------------------------------------------------------------ by address: before anybody is asked who he is

is what(ask('/by-address', undef, 'X-API-Key' => 'wrong')), '401 authentication_error invalid_api_key', "a wrong key: try $_" for 1 .. 2;
is what(ask('/by-address')), '401 authentication_error missing_api_key', 'no key';
$r = ask('/by-address', 'hammer');
is what($r), 200, 'a good one';
is $r->header('RateLimit-Policy'), '"requests";q=4;w=60, "requests-2";q=100;w=3600', '… its tier counts too, whomever the location counts';
is what(ask('/by-address', undef, 'X-API-Key' => 'wrong')), $refused, 'the fifth is refused before it is looked at';
is what(ask('/by-address', 'hammer')), $refused, '… a good one too';
is ask('/by-address', 'hammer')->header('x-ratelimit-limit-requests'), 4, '… by this limit';
is what(ask('/v1/models', 'hammer')), 200, 'elsewhere it counts for nothing';

$s->stop;

# ------------------------------------------------------------------ without tiers: by a header, a bucket, a dry run, an exemption

my ($libexec) = slurp("$ENV{AIGW_BUILD}/base.conf") =~ m{"([^"]+)/mod_authn_file\.so"};
my $hammered = '<Location /hammer>
    SetHandler aigw-models
    AIGWLimit requests 100/hour
    AIGWLimitBy header:X-Team
</Location>';
my $plain = AIGW::Server->new(conf => <<"CONF");
<IfModule !access_compat_module>
    LoadModule access_compat_module "$libexec/mod_access_compat.so"
</IfModule>
AIGWErrors on
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
<Location /by-header>
    SetHandler aigw-models
    AIGWLimit requests 1/hour
    AIGWLimitBy header:X-Team
</Location>
<Location /bucket>
    SetHandler aigw-models
    AIGWLimit requests 60/minute algorithm=token-bucket burst=2
</Location>
<Location /cors>
    SetHandler aigw-models
    AIGWCorsOrigin https://app.example
    AIGWLimit requests 1/hour
    AIGWLimitBy address
</Location>
<Location /satisfy>
    SetHandler aigw-models
    AIGWLimit requests 1/hour
    AIGWLimitBy address header:X-Team
    AuthType Basic
    AuthName x
    AuthBasicProvider file
    AuthUserFile /dev/null
    Require valid-user
    Satisfy any
    Order allow,deny
    Allow from all
</Location>
<Location /dry>
    SetHandler aigw-models
    AIGWLimit requests 1/hour
    AIGWLimitMode dry-run
</Location>
<Location /exempt>
    SetHandler aigw-models
    AIGWLimit requests 1/hour
    AIGWLimitExempt "%{HTTP:X-Monitor} == 'yes'"
</Location>
<IfModule !remoteip_module>
    LoadModule remoteip_module "$libexec/mod_remoteip.so"
</IfModule>
RemoteIPHeader X-Client
<Location /network>
    SetHandler aigw-models
    AIGWLimit requests 3/hour
    AIGWLimitBy address
</Location>
$hammered
KeepAlive on
KeepAliveTimeout 60
MaxKeepAliveRequests 0
<IfModule mpm_prefork_module>
    StartServers 9
    ServerLimit 9
    MaxRequestWorkers 9
    MaxSpareServers 9
</IfModule>
<IfModule !mpm_prefork_module>
    StartServers 3
    ServerLimit 3
    ThreadsPerChild 16
    MaxRequestWorkers 48
    MinSpareThreads 1
    MaxSpareThreads 48
</IfModule>
CONF
$port = $plain->{port};

is what(ask('/by-header', undef, 'X-Team' => 'red')), 200, 'a team';
$r = ask('/by-header', undef, 'X-Team' => 'red');
is what($r), $refused, '… again';
is $r->header('x-should-retry'), 'false', '… an hour is not worth waiting for';
is what(ask('/by-header', undef, 'X-Team' => 'blue')), 200, 'another team';
is what(ask('/by-header')), 200, 'none is one, too';

# on a machine that is busy another one may have come by then: one a second
my ($let_in, $first) = (0, time);
$let_in++ while ($r = ask('/bucket'))->{status} == 200 && time < $first + 20;
cmp_ok $let_in, '>=', 2, 'a bucket holds two';
cmp_ok $let_in, '<=', 2 + time - $first, '… and no more';
is what($r), $refused, '… which is a refusal';
is $r->header('Retry-After'), 1, '… for a second';
my $again;
for (my $until = time + 20; time < $until; sleep 0.1) { last if ($again = what(ask('/bucket'))) eq '200' }
is $again, 200, '… and then one';

my @preflight = (Origin => 'https://app.example', 'Access-Control-Request-Method' => 'GET');
is AIGW::Client::once(OPTIONS => '/cors', port => $port, headers => [@preflight])->{status}, 204, "a preflight costs nothing: $_" for 1 .. 3;
is what(ask('/cors', undef, Origin => 'https://app.example')), 200, '… the request behind it does';
$r = ask('/cors', undef, Origin => 'https://app.example');
is what($r), $refused, '… and its refusal';
like $r->header('Access-Control-Expose-Headers'), qr/x-ratelimit-reset-requests/i, '… can be read by the page';
is what(ask('/satisfy')), 200, 'Satisfy any: the first';
is what(ask('/satisfy')), $refused, '… the second is refused all the same';

# addresses as mod_remoteip says: of IPv6 the network counts
my $from = sub { return ask('/network', undef, 'X-Client' => $_[0])->header('x-ratelimit-remaining-requests') };
is join(' ', map { $from->($_) } qw(2001:db8:1:2::1 2001:db8:1:2:ffff::9)), '2 1', 'two addresses of a /64 are one';
is join(' ', map { $from->($_) } qw(2001:db8:1:3::1 192.0.2.1 192.0.2.2)), '2 2 2', '… others are not';
is $from->('::ffff:192.0.2.1'), 1, '… an IPv4 address is itself in IPv6, too';

is what(ask('/dry')), 200, "dry-run refuses nothing: $_" for 1 .. 3;
is scalar(() = $plain->log =~ /AIGW0421: \[\S+\] dry run: this would be refused by the limit of requests 1\/hour/g), 2, '… and says what it would refuse';
is what(ask('/exempt', undef, 'X-Monitor' => 'yes')), 200, "exempt: $_" for 1 .. 3;
is what(ask('/exempt')), 200, 'who is not';
is what(ask('/exempt')), $refused, '… is counted';

# ------------------------------------------------------------------ eight clients and all children: to the last one

# how many of so many requests of eight clients got an answer; $during runs meanwhile
sub hammer {
    my ($team, $each, $during) = @_;
    my @pipes;
    for (1 .. 8) {
        pipe my $in, my $out or die $!;
        my $pid = fork // die $!;
        if (!$pid) {
            my %count;
            for (1 .. $each) { $count{ eval { get('/hammer', port => $port, headers => ['X-Team' => $team])->{status} } // 'lost' }++ }
            syswrite $out, join(' ', map { "$_=$count{$_}" } sort keys %count) . "\n";
            POSIX::_exit(0);
        }
        push @pipes, [$pid, $in];
        close $out;
    }
    $during->() if $during;
    my %all;
    for (@pipes) {
        my ($pid, $in) = @$_;
        my $line = <$in> // '';
        /(\w+)=(\d+)/ and $all{$1} += $2 for split ' ', $line;
        waitpid $pid, 0;
    }
    return \%all;
}
my $all = hammer('one', 50);
is_deeply $all, { 200 => 100, 429 => 300 }, 'eight clients, 400 requests, a limit of 100: exactly 100' or diag explain $all;
ok $plain->signal('USR1'), 'a graceful restart';
$plain->wait_for('the restart', 20, sub { (() = $plain->log =~ /resuming normal operations/g) == 2 });
is what(ask('/hammer', undef, 'X-Team' => 'one')), $refused, '… forgets nothing';
my @killed;
$all = hammer('two', 200, sub {
    for (1 .. 5) {
        sleep 0.1;
        my ($child) = $plain->children or next;
        kill KILL => (split m{/}, $child)[0];
        push @killed, $child;
    }
});
$plain->wait_gone(20, @killed); # until then they may take a connection that comes
cmp_ok $all->{200}, '<=', 100, 'children are killed in the middle of it: never more than 100' or diag explain $all;
cmp_ok $all->{429} // 0, '>=', 1, '… and the others are refused';
is what(ask('/hammer', undef, 'X-Team' => 'two')), $refused, '… and it goes on';
$plain->stop;
