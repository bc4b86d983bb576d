# Logging out, where virtual hosts have the same issuer with clocks that may differ by different times: a token that is out stays out as long as any of them takes it.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use File::Temp ();
use Time::HiRes qw(sleep);
use AIGW::Client qw(get post_json);
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(free_port spew);
use AIGW::Token qw(jwt key);

use constant ROOM => 16;    # the least of AIGWRevocations

my $dir = File::Temp->newdir('logout-hosts-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
my $key = key('HS256');
spew("$dir/secret", $key);
chmod 0640, "$dir/secret";
my $other = free_port();
my $issuer = "<AIGWJwtIssuer x>\nAIGWJwtAudience any\nAIGWJwtKey file:$dir/secret\nAIGWJwtSkew %s\n</AIGWJwtIssuer>\n";
my $s = AIGW::Server->new(conf => <<"CONF");
AIGWErrors on
AIGWRevocations @{[ROOM]}
Listen 127.0.0.1:$other
@{[sprintf $issuer, '0s']}
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
<VirtualHost 127.0.0.1:$other>
@{[sprintf $issuer, '10min']}
</VirtualHost>
CONF
my $jti = 0;
sub token { my ($seconds) = @_; return jwt('HS256', $key, { iss => 'x', sub => 'alice', iat => int time, exp => int(time) + $seconds, jti => 'j' . ++$jti }) }
sub me { my ($token, $port) = @_; return get('/me', port => $port, headers => [Authorization => "Bearer $token"])->{status} }
sub out { my ($token, $port) = @_; return post_json('/logout', {}, port => $port, headers => [Authorization => "Bearer $token"])->{status} }

plan tests => 7, need_module('mod_aigw', 'mod_aigw_auth');

my $token = token(2);
is out($token, $s->{port}), 200, 'logged out, where clocks are the same';
is me($token, $other), 401, '… and so on the other host, where they may differ by ten minutes';
sleep 3;
is me($token, $s->{port}), 401, 'it has expired on the first';
# the table makes room when it has to: by what nobody takes any more
my @rest = map { token(600) } 1 .. ROOM;
is scalar(grep { out($_, $s->{port}) == 200 } @rest), ROOM - 1, '… and it has its place in the table, for the other still takes it';
is me($token, $other), 401, '… but that it is logged out';
is_deeply [$s->crashes], [], 'nobody crashed';
log_clean();
