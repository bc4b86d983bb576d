# aigw-login, aigw-logout, aigw-me: passwords checked by httpd's own providers, tokens, what failures look like and cost, logging out, and what a restart and a killed
# child leave of it.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA ();
use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64url encode_base64);
use POSIX ();
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get post_json);
use AIGW::Conf qw(conf_check);
use AIGW::Ldap;
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(slurp spew);

my $prefork = Apache::Test::have_module('mpm_prefork');
my $json = JSON::PP->new->canonical->utf8;
my $dir  = File::Temp->newdir('login-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";

# a slow and a quick hash of the same kind
sub bcrypt { my ($password, $cost) = @_; return crypt $password, sprintf '$2y$%02d$%s', $cost // 4, 'abcdefghijklmnopqrstuv' }
sub put { my ($name, $text) = @_; spew("$dir/$name", $text); chmod 0644, "$dir/$name"; return "$dir/$name" }

my %password = (alice => 'correct horse', bob => "b\xc3\xb6b & co=100%+1", carol => 'carol-secret', zoe => 'slow-secret', lena => 'ldap-secret', dora => 'dbd-secret');
my $users = put('users', join '', map({ "$_:" . bcrypt($password{$_}) . "\n" } qw(alice bob carol)), 'zoe:' . bcrypt($password{zoe}, 11) . "\n");
my $tiers = put('tiers', "# who pays\npro: alice lena\nfree: bob\n");
my ($libexec) = slurp("$ENV{AIGW_BUILD}/base.conf") =~ m{"([^"]+)/mod_authn_file\.so"};
my $ldap = AIGW::Ldap->new(lena => { password => $password{lena} }, Lou => { password => 'lou-secret', employeeType => 'gold' });
my $have_dbd = !system 'sqlite3', "$dir/users.db", "CREATE TABLE u (n TEXT, p TEXT, tier TEXT); INSERT INTO u VALUES ('dora', '" . bcrypt($password{dora}) . "', 'silver')";
chmod 0644, "$dir/users.db" if $have_dbd;

my $modules = join '', map { my ($name, $file) = @$_; -e "$libexec/mod_$file.so" ? "LoadModule ${name}_module \"$libexec/mod_$file.so\"\n" : '' }
    (['ldap', 'ldap'], ['authnz_ldap', 'authnz_ldap'], ['authn_socache', 'authn_socache'], ['remoteip', 'remoteip'], $have_dbd ? (['dbd', 'dbd'], ['authn_dbd', 'authn_dbd']) : ());
my $two = $prefork ? "StartServers 2\nMinSpareServers 2\nMaxSpareServers 8\nServerLimit 8\nMaxRequestWorkers 8\n"
    : "ThreadsPerChild 4\nThreadLimit 4\nStartServers 2\nServerLimit 2\nMaxRequestWorkers 8\nMinSpareThreads 8\nMaxSpareThreads 8\n";
my $issuer = "<AIGWJwtIssuer https://gw.example/>\nAIGWJwtSign env:LOGIN_SECRET HS256\nAIGWJwtAudience aigw\n</AIGWJwtIssuer>\n";
my $models = "AIGWErrors on\nAIGWDefaultModel echo\n<AIGWModel echo>\nAIGWUpstream echo words=3 delay=0\n</AIGWModel>\n<AIGWModel big-1>\nAIGWUpstream echo words=3 delay=0\n</AIGWModel>\n";
my $pg = $have_dbd ? "DBDriver sqlite3\nDBDParams $dir/users.db\n" : '';
my %env = (LOGIN_SECRET => 'a secret that is long enough for HS256, surely');

sub conf {
    my ($more) = @_;
    return $modules . $two . $models . $issuer . $pg . <<"CONF" . ($more // '');
RemoteIPHeader X-Client
RemoteIPInternalProxy 127.0.0.1
AIGWTierFile $tiers
AIGWKeyFile $dir/keys
AIGWLoginWorkers 8
<Macro Login \$path>
<Location \$path>
    SetHandler aigw-login
    AIGWLoginIssuer https://gw.example/
    AuthUserFile $users
    AIGWLoginScope chat read
    AIGWLoginFloor 250ms
</Location>
</Macro>
Use Login /auth/login
Use Login /auth/ldap
<Location /auth/ldap>
    AIGWLoginProvider file ldap
    AuthLDAPURL "ldap://127.0.0.1:$ldap->{port}/ou=people,dc=example,dc=com?uid,employeeType"
    AuthLDAPRemoteUserAttribute uid
    AIGWLoginTier %{reqenv:AUTHENTICATE_EMPLOYEETYPE}
</Location>
Use Login /auth/broken
<Location /auth/broken>
    AIGWLoginProvider ldap
    AuthLDAPURL "ldap://127.0.0.1:@{[Apache::Test::vars('dead_port')]}/ou=people,dc=example,dc=com?uid"
</Location>
Use Login /auth/socache
<Location /auth/socache>
    AIGWLoginProvider socache file
    AuthnCacheProvideFor file
    AuthnCacheContext here
</Location>
Use Login /auth/dbd
<IfModule authn_dbd_module>
<Location /auth/dbd>
    AIGWLoginProvider dbd
    AuthDBDUserPWQuery "SELECT p, tier FROM u WHERE n = %s"
    AIGWLoginTier %{reqenv:AUTHENTICATE_TIER}
</Location>
</IfModule>
Use Login /auth/slow
<Location /auth/slow>
    AIGWLoginFloor 40ms
    AIGWLoginThrottle off
</Location>
Use Login /auth/short
<Location /auth/short>
    AIGWLoginLifetime 90s
    AIGWLoginFloor 1ms
</Location>
Use Login /auth/free
<Location /auth/free>
    AIGWLoginFloor 1ms
    AIGWLoginThrottle off
</Location>
Use Login /auth/by-user
<Location /auth/by-user>
    AIGWLoginFloor 1ms
    AIGWLoginThrottle pair=3/1h address=off user=6/1h
</Location>
Use Login /auth/by-address
<Location /auth/by-address>
    AIGWLoginFloor 1ms
    AIGWLoginThrottle pair=off address=4/1h user=off
</Location>
<Location /auth/nowhere>
    SetHandler aigw-login
</Location>
<Location /auth/logout>
    SetHandler aigw-logout
    AuthType AIGW
    Require all granted
</Location>
<Location /v1>
    AuthType AIGW
    AuthName gw
    Require valid-user
</Location>
<Location /v1/models>
    SetHandler aigw-models
</Location>
<Location /v1/chat/completions>
    SetHandler aigw-chat-completions
    Require aigw-scope chat
</Location>
<Location /v1/me>
    SetHandler aigw-me
</Location>
<Location /pro/me>
    SetHandler aigw-me
    AuthType AIGW
    Require aigw-tier pro
</Location>
<Location /open/me>
    SetHandler aigw-me
    AIGWAllowModels big-*
</Location>
<Location /basic/me>
    SetHandler aigw-me
    AuthType Basic
    AuthName b
    AuthUserFile $users
    Require valid-user
</Location>
<Location /basic/pro>
    SetHandler aigw-me
    AuthType Basic
    AuthName b
    AuthUserFile $users
    Require aigw-tier pro
</Location>
<Location /basic/logout>
    SetHandler aigw-logout
    AuthType Basic
    AuthName b
    AuthUserFile $users
    Require valid-user
</Location>
CONF
}

my $api_key = 'aigw_kim_' . 'K' x 43;
put('keys', $json->encode({ id => 'kim', sha256 => Digest::SHA::sha256_hex($api_key), user => 'kim', tier => 'free', scopes => ['chat'], models => ['big-*'], expires => '2099-01-31T00:00:00Z' }) . "\n");

my $s = AIGW::Server->new(conf => conf("LogLevel trace8\nCustomLog access_pid \"%P %s %u\"\n"), env => \%env);
my $port = $s->{port};

my $address = 0;
sub fresh { return '10.0.' . int(++$address / 250) . '.' . (1 + $address % 250) }    # an address that has not failed yet

# o: path, from, form
sub login {
    my ($user, $password, %o) = @_;
    my @headers = ('X-Client' => $o{from} // fresh());
    my %body = (username => $user, password => $password, %{ $o{more} || {} });
    if ($o{form}) {
        my $escape = sub { my ($t) = @_; $t =~ s/([^A-Za-z0-9 ._-])/sprintf '%%%02X', ord $1/ge; return $t =~ tr/ /+/r };
        my $body = join '&', map { $escape->($_) . '=' . $escape->($body{$_}) } sort keys %body;
        return AIGW::Client::once(POST => $o{path} // '/auth/login', port => $port, body => $body, headers => [@headers, 'Content-Type' => 'application/x-www-form-urlencoded']);
    }
    my $text = JSON::PP->new->canonical->encode(\%body);    # these are bytes already
    return AIGW::Client::once(POST => $o{path} // '/auth/login', port => $port, body => $text, headers => [@headers, 'Content-Type' => 'application/json']);
}
sub send_body { my ($type, $body, @more) = @_; return AIGW::Client::once(POST => '/auth/login', port => $port, body => $body, headers => ['X-Client' => fresh(), defined $type ? ('Content-Type' => $type) : ('Content-Type' => ''), @more]) }
sub bearer { return [Authorization => "Bearer $_[0]"] }
sub token { my $r = login(@_); return $r->{status} == 200 ? $r->json->{access_token} : die "no token: $r->{status} $r->{content}" }
sub claims { return $json->decode(decode_base64url((split /\./, $_[0])[1])) }
sub ask { my ($path, $token) = @_; return get($path, port => $port, headers => defined $token ? bearer($token) : []) }
sub logout { my ($token) = @_; return AIGW::Client::once(POST => '/auth/logout', port => $port, headers => bearer($token)) }
sub what { my ($r) = @_; my $e = $r->{status} >= 400 ? $r->json->{error} : undef; return $e ? join ' ', $r->{status}, $e->{type}, $e->{code} // 'null' : $r->{status} }
sub count { my ($pattern) = @_; my $n = () = $s->log =~ /$pattern/g; return $n }
my @seen;    # tokens that must not be in a log

my @bad = (
    ['no username', 'username', '{"password":"x"}'], ['no password', 'password', '{"username":"alice"}'], ['an empty name', 'username', '{"username":"","password":"x"}'],
    ['an empty password', 'password', '{"username":"alice","password":""}'], ['a number', 'password', '{"username":"alice","password":1}'],
    ['null', 'username', '{"username":null,"password":"x"}'], ['a control character', 'username', '{"username":"al\u0007ice","password":"x"}'],
    ['a colon', 'username', '{"username":"al:ice","password":"x"}'], ['a long name', 'username', '{"username":"' . 'a' x 257 . '","password":"x"}'],
    ['a long password', 'password', '{"username":"alice","password":"' . 'a' x 1025 . '"}'], ['a NUL', 'password', '{"username":"alice","password":"x\u0000y"}'],
    ['a field too many', 'admin', '{"username":"alice","password":"x","admin":true}'], ['another grant', 'grant_type', '{"username":"alice","password":"x","grant_type":"refresh_token"}'],
    ['an array', undef, '[]'],
);
my @bad_forms = (
    ['twice', 'username', 'username=a&username=b&password=x', 'validation_error'], ['not encoded', 'password', 'username=a&password=%zz', 'bad_request'],
    ['a NUL', 'password', 'username=a&password=%00', 'bad_request'], ['empty', undef, '', 'bad_request'], ['no UTF-8', 'username', 'username=%ff&password=x', 'validation_error'],
);

plan tests => 224, need_module('mod_aigw', 'mod_aigw_auth', 'mod_macro');

# ------------------------------------------------------------------ a token

my $r = login('alice', $password{alice});
is what($r), 200, 'a login';
my $answer = $r->json;
is join(' ', sort keys %$answer), 'access_token expires_in token_type', '… what is in the answer';
is "$answer->{token_type} $answer->{expires_in}", 'bearer 1800', '… 30 minutes';
is $r->header('Cache-Control'), 'no-store', '… nobody keeps it';
my $alice = $answer->{access_token};
push @seen, $alice;
my $claims = claims($alice);
is "@$claims{qw(sub tier scope iss aud)}", 'alice pro chat read https://gw.example/ aigw', '… the claims';
cmp_ok abs($claims->{iat} - time), '<', 30, '… iat is now';
is $claims->{exp} - $claims->{iat}, 1800, '… exp';
like $claims->{jti}, qr/\A[0-9a-f]{32}\z/, '… jti';
is join(' ', sort keys %$claims), 'aud exp iat iss jti scope sub tier', '… and no others';
is what(ask('/v1/models', $alice)), 200, 'it opens /v1/models';
is what(AIGW::Client::chat('echo', 'hi', port => $port, headers => bearer($alice))), 200, '… and a model';
is what(ask('/v1/models', substr($alice, 0, -2) . 'xx')), '401 authentication_error invalid_token', '… not with another signature';
my $short = token('alice', $password{alice}, path => '/auth/short');
is claims($short)->{exp} - claims($short)->{iat}, 90, 'AIGWLoginLifetime';
isnt claims($short)->{jti}, $claims->{jti}, '… each has a jti of its own';
is claims(token('carol', $password{carol}))->{tier}, undef, 'nobody in AIGWTierFile: no tier';
$r = login('alice', $password{alice}, more => { scope => 'read admin read', grant_type => 'password' });
is $r->json->{scope}, 'read', 'scopes that are asked for: those that there are';
is claims($r->json->{access_token})->{scope}, 'read', '… in the token too';

# ------------------------------------------------------------------ bodies

is what(login('bob', $password{bob}, form => 1)), 200, 'a form, with a password that needs encoding';
is what(login('bob', $password{bob})), 200, '… the same in JSON';
is what(login('alice', $password{alice}, form => 1, more => { grant_type => 'password', scope => '', client_id => '', client_secret => '' })), 200, 'a form as OAuth clients send it';
is what(send_body('text/plain', 'x')), '415 invalid_request_error unsupported_media_type', 'text';
is what(send_body('application/json', '{}', 'Content-Encoding' => 'br')), '415 invalid_request_error unsupported_media_type', 'encoded';
is what(send_body('application/json', '{"username":"' . 'x' x 17_000 . '"}')), '413 invalid_request_error request_too_large', 'a long body';
is what(send_body('application/json', '{"username"')), '400 invalid_request_error invalid_json', 'half of one';
for (@bad) {
    my ($name, $param, $body) = @$_;
    $r = send_body('application/json; charset=utf-8', $body);
    is what($r), '400 invalid_request_error validation_error', $name;
    is $r->json->{error}{param}, $param, '… param';
}
for (@bad_forms) {
    my ($name, $param, $body, $code) = @$_;
    $r = send_body('application/x-www-form-urlencoded', $body);
    is what($r), "400 invalid_request_error $code", "a form: $name";
    is $r->json->{error}{param}, $param, '… param';
}
for (['/auth/login', 'GET', 'POST'], ['/auth/logout', 'GET', 'POST'], ['/open/me', 'POST', 'GET, HEAD']) {
    my ($path, $method, $allow) = @$_;
    $r = AIGW::Client::once($method => $path, port => $port);
    is what($r), '405 invalid_request_error method_not_allowed', "$method $path";
    is $r->header('Allow'), $allow, '… Allow';
}
is what(login('alice', $password{alice}, path => '/auth/nowhere')), '500 server_error internal_error', 'a location without an issuer';
like $s->log, qr/AIGW0360: nobody can log in here/, '… is logged';
is what(login('alice', $password{alice}, form => 1, more => { username => 'carol' })), '401 authentication_error invalid_credentials', "another's password";

# ------------------------------------------------------------------ unknown users and wrong passwords

sub timed { my (@login) = @_; my $began = AIGW::Client::now(); my $answer = login(@login); return (AIGW::Client::now() - $began, $answer) }
sub shape { my ($answer) = @_; return join "\n", $answer->{status}, map { "$_->[0]: $_->[1]" } grep { $_->[0] !~ /\A(?:X-Request-ID|Date|X-Process-Time|Server-Timing)\z/i } @{ $answer->{fields} } }
{
    my ($t1, $wrong) = timed('alice', 'wrong');
    my ($t2, $unknown) = timed('nobody-such', 'wrong');
    my ($t3, $case) = timed('ALICE', $password{alice});
    is what($wrong), '401 authentication_error invalid_credentials', 'a wrong password';
    is shape($unknown), shape($wrong), '… an unknown user: the same status and headers';
    is $unknown->content, $wrong->content, '… and the same body';
    is shape($case) . $case->content, shape($wrong) . $wrong->content, '… another case of a name too';
    is $wrong->json->{error}{param}, undef, '… no param';
    ok $wrong->header('WWW-Authenticate'), '… WWW-Authenticate';
    cmp_ok $t1, '>=', 0.25, 'a wrong password: not before the floor';
    cmp_ok $t2, '>=', 0.25, '… an unknown user neither';
    cmp_ok $t3, '>=', 0.25, '… nor another case';
    my ($t4, $good) = timed('alice', $password{alice});
    is what($good), 200, 'a success';
    cmp_ok $t4, '>=', 0.25, '… neither';
    # the clock starts when the body is there: who sends it slowly sees no less
    my $c = AIGW::Client->new(port => $port);
    my $body = '{"username":"nobody-such","password":"wrong"}';
    $c->send_raw("POST /auth/login HTTP/1.1\r\nHost: x\r\nX-Client: @{[fresh()]}\r\nContent-Type: application/json\r\nContent-Length: @{[length $body]}\r\n\r\n");
    push @{ $c->{asked} }, 'POST';
    sleep 0.4;
    my $began = AIGW::Client::now();
    $c->send_raw($body);
    is what($c->response), '401 authentication_error invalid_credentials', 'a body that comes late';
    cmp_ok AIGW::Client::now() - $began, '>=', 0.25, '… is answered as late after it';
    like $s->log, qr/AIGW0361: .*password of alice is wrong/, 'the log says whose password was wrong';
    unlike $s->log, qr/AIGW036[0-9]: [^\n]*nobody-such/, '… but no name that nobody has';
}
{
    # a hash that takes longer than the floor: everybody waits as long from then on
    my ($t1, $slow) = timed('zoe', 'wrong', path => '/auth/slow');
    is what($slow), '401 authentication_error invalid_credentials', 'a slow hash';
    ok log_has(qr/AIGW0366: /), '… is warned of';
    my ($t2, $unknown) = timed('nobody-such', 'wrong', path => '/auth/slow');
    is shape($unknown), shape($slow), '… an unknown user: the same answer';
    cmp_ok $t2, '>=', 0.08, '… no earlier than twice the floor';
}
sub log_has { my ($pattern) = @_; return eval { $s->wait_for("$pattern", 10, sub { $s->log =~ $pattern }) } }

# ------------------------------------------------------------------ LDAP, socache, dbd, and a broken one

is what(login('lena', $password{lena}, path => '/auth/ldap')), 200, 'LDAP';
is claims(token('lena', $password{lena}, path => '/auth/ldap'))->{tier}, 'pro', '… with a tier from the file';
$claims = claims(token('LOU', 'lou-secret', path => '/auth/ldap'));
is $claims->{sub}, 'Lou', '… called as the directory says';
is $claims->{tier}, 'gold', '… with a tier from the directory';
is what(login('lena', 'wrong', path => '/auth/ldap')), '401 authentication_error invalid_credentials', '… a wrong password';
is what(login('nobody-such', 'wrong', path => '/auth/ldap')), '401 authentication_error invalid_credentials', '… nobody';
is what(login('l*', $password{lena}, path => '/auth/ldap')), '401 authentication_error invalid_credentials', '… no pattern';
is what(login('alice', $password{alice}, path => '/auth/ldap')), 200, '… and the file before it';
my ($took, $broken) = timed('lena', $password{lena}, path => '/auth/broken');
is what($broken), '503 server_error store_unavailable', 'a directory that is not there';
cmp_ok $took, '>=', 0.25, '… not before the floor';
like $s->log, qr/AIGW0363: .*provider ldap has failed/, '… is logged';
is what(login('alice', $password{alice}, path => '/auth/socache')), 200, 'a cache';
is what(login('alice', $password{alice}, path => '/auth/socache')), 200, '… again, out of it';
is what(login('alice', 'wrong', path => '/auth/socache')), '401 authentication_error invalid_credentials', '… a wrong password';
is what(login('nobody-such', 'x', path => '/auth/socache')), '401 authentication_error invalid_credentials', '… nobody';
SKIP: {
    skip 'no SQLite', 3 unless $have_dbd;
    is claims(token('dora', $password{dora}, path => '/auth/dbd'))->{tier}, 'silver', 'a database, with the tier from it';
    is what(login('dora', 'wrong', path => '/auth/dbd')), '401 authentication_error invalid_credentials', '… a wrong password';
    is what(login("x' OR 1=1 --", 'wrong', path => '/auth/dbd')), '401 authentication_error invalid_credentials', '… nobody';
}

# ------------------------------------------------------------------ throttled

sub fails { my ($n, $user, $from, $path) = @_; return join ' ', map { login($user, 'wrong', path => $path, from => $from)->{status} } 1 .. $n }
for my $user ('alice', 'nobody-else') {
    my $here = fresh();
    is fails(4, $user, $here, '/auth/by-user'), '401 401 401 429', "$user: so often from one address";
    $r = login($user, $password{alice}, path => '/auth/by-user', from => $here);
    is what($r), '429 rate_limit_error rate_limit_exceeded', '… and not even with the right password';
    cmp_ok $r->header('Retry-After'), '<=', 1200, '… Retry-After';
    cmp_ok $r->header('Retry-After'), '>', 1100, '… which is right';
    cmp_ok abs($r->header('retry-after-ms') / 1000 - $r->header('Retry-After')), '<=', 1, '… retry-after-ms';
}
my $home = fresh();
is what(login('alice', $password{alice}, path => '/auth/by-user', from => $home)), 200, 'from another address alice logs in';
is fails(2, 'alice', $home, '/auth/by-user'), '401 401', '… which makes her failures as good as none';
is fails(3, 'bob', fresh(), '/auth/by-user') . ' ' . fails(4, 'bob', fresh(), '/auth/by-user'), '401 401 401 401 401 401 429', 'one user from several addresses';
is what(login('bob', $password{bob}, path => '/auth/by-user')), '429 rate_limit_error rate_limit_exceeded', '… then from none';
is fails(2, 'alice', fresh(), '/auth/by-user') . ' ' . fails(3, 'ALICE', fresh(), '/auth/by-user') . ' ' . fails(2, 'Ali ce', fresh(), '/auth/by-user'), '401 401 401 401 401 401 429', 'other ways to write a name do not help';
is what(login('alice', $password{alice}, path => '/auth/by-user')), '429 rate_limit_error rate_limit_exceeded', '… alice is locked out where she is not known';
is what(login('alice', $password{alice}, path => '/auth/by-user', from => $home)), 200, '… but not at home';
my $there = fresh();
is join(' ', map { login("user$_", 'wrong', path => '/auth/by-address', from => $there)->{status} } 1 .. 6), '401 401 401 401 429 429', 'one address, many names';
is what(login('alice', $password{alice}, path => '/auth/by-address', from => $there)), '429 rate_limit_error rate_limit_exceeded', '… nobody from there';
is join(' ', map { login("user$_", 'wrong', path => '/auth/by-address', from => "2001:db8:1:2:$_\::$_")->{status} } 1 .. 5), '401 401 401 401 429', 'an IPv6 network is one address';
is login('user', 'wrong', path => '/auth/by-address', from => '2001:db8:1:3::1')->{status}, 401, '… another is another';
$there = fresh();
is join(' ', map { login('alice', $password{alice}, path => '/auth/by-address', from => $there)->{status} } 1 .. 9), join(' ', (200) x 9), 'successes do not count';
like $s->log, qr/AIGW0364: a login is refused: too many/, 'the log says so';

# every child knows what another has seen; and so do those that come after a graceful restart
sub pid { return (split m{/}, $_[0])[0] }
{
    my @children = $s->wait_for('two children', 20, sub { my @all = sort $s->children; @all >= 2 && \@all })->@*;
    my ($one) = @children;
    $there = fresh();
    my $revoked = token('carol', $password{carol});
    push @seen, $revoked;
    is what(ask('/v1/models', $revoked)), 200, 'a token';
    $s->pause($one);
    is fails(4, 'carol', $there, '/auth/by-user'), '401 401 401 429', 'so often';
    ask('/v1/models', $revoked) for 1 .. 8;    # those who go on remember it
    is what(logout($revoked)), 200, '… and logged out';
    is what(ask('/v1/models', $revoked)), '401 authentication_error invalid_token', '… which is known at once';
    $s->resume($one);
    $s->pause(grep { $_ ne $one } $s->children);
    is what(login('carol', $password{carol}, path => '/auth/by-user', from => $there)), '429 rate_limit_error rate_limit_exceeded', 'another child: too often';
    is what(ask('/v1/models', $revoked)), '401 authentication_error invalid_token', '… and logged out';
    # prefork may have made another child meanwhile, and that may have answered
    $s->wait_for('the log', 10, sub { $prefork || (slurp("$s->{dir}/access_pid") // '') =~ /^@{[pid($one)]} 429 /m });
    pass '… it was that one';
    $s->resume($s->children);
    restart();
    is what(login('carol', $password{carol}, path => '/auth/by-user', from => $there)), '429 rate_limit_error rate_limit_exceeded', 'a graceful restart: still too often';
    is what(ask('/v1/models', $revoked)), '401 authentication_error invalid_token', '… and still logged out';
    is what(login('carol', $password{carol}, path => '/auth/by-user')), 200, '… others are let in';
    is count('AIGW0370|AIGW0375'), 0, '… in the same memory';
}
sub restart {
    my ($signal) = @_;
    my $before = count('resuming normal operations');
    my @old = $s->children;
    $s->signal($signal // 'USR1');
    $s->wait_for('the restart', 30, sub { count('resuming normal operations') > $before });
    $s->wait_gone(30, @old);
    return;
}

# ------------------------------------------------------------------ logging out

my $t = token('alice', $password{alice});
push @seen, $t;
is what(ask('/v1/me', $t)), 200, 'a token is good';
$r = logout($t);
is $r->content, "{\"status\":\"logged_out\"}\n", '… logged out';
is what(ask('/v1/me', $t)), '401 authentication_error invalid_token', '… it is not';
is what(logout($t)), '401 authentication_error invalid_token', '… nor can it be logged out again';
is what(ask('/v1/me', $alice)), 200, '… another one of hers is';
is what(AIGW::Client::once(POST => '/auth/logout', port => $port)), '401 authentication_error missing_api_key', 'nobody';
$r = logout($api_key);
is what($r), '400 invalid_request_error bad_request', 'an API key';
like $r->json->{error}{message}, qr/aigw-key/, '… says what to do';
is what(AIGW::Client::once(POST => '/basic/logout', port => $port, headers => [Authorization => 'Basic ' . encode_base64("alice:$password{alice}", '')])), '400 invalid_request_error bad_request', 'a password';
my $no_jti = sign({ sub => 'alice', iss => 'https://gw.example/', aud => 'aigw', exp => int(time) + 600 });
is what(ask('/v1/me', $no_jti)), 200, 'a token without a jti is good';
$r = logout($no_jti);
is what($r), '400 invalid_request_error bad_request', '… but not to log out';
like $r->json->{error}{message}, qr/jti/, '… which is said';
sub sign {
    my ($data) = @_;
    my $text = join '.', map { MIME::Base64::encode_base64url($json->encode($_)) } { alg => 'HS256', typ => 'JWT' }, $data;
    return "$text." . MIME::Base64::encode_base64url(Digest::SHA::hmac_sha256($text, $env{LOGIN_SECRET}));
}

# ------------------------------------------------------------------ who am I?

sub me { my ($path, @headers) = @_; return get($path, port => $port, headers => \@headers)->json }
my $me = me('/v1/me', @{ bearer($alice) });
is join(' ', sort keys %$me), 'expires_at limits method models scopes tier user_id', 'me: what there is';
is "@$me{qw(user_id tier method)}", 'alice pro jwt', '… of a token';
is "@{ $me->{scopes} } | @{ $me->{models} }", 'chat read | echo big-1', '… scopes and models';
is $json->encode($me->{limits}), '{}', '… no limits yet';
like $me->{expires_at}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/, '… expires_at';
$me = me('/v1/me', @{ bearer($api_key) });
is "@$me{qw(user_id tier method expires_at)} @{ $me->{models} }", 'kim free api_key 2099-01-31T00:00:00Z big-1', 'a key, and its models';
my @basic = (Authorization => 'Basic ' . encode_base64("alice:$password{alice}", ''));
$me = me('/basic/me', @basic);
is join(' ', sort keys %$me), 'limits method models scopes tier user_id', 'a password of httpd\'s: no expires_at';
is "@$me{qw(user_id tier method)} @{ $me->{scopes} }", 'alice pro Basic ', '… the tier from the file';
is what(get('/basic/pro', port => $port, headers => \@basic)), 200, '… which counts for Require';
is what(get('/basic/pro', port => $port, headers => [Authorization => 'Basic ' . encode_base64("bob:$password{bob}", '')])), '401 authentication_error missing_api_key', '… another does not';
is what(ask('/pro/me', $no_jti)), 200, 'a token without a tier has that of the file';
is what(ask('/pro/me', token('carol', $password{carol}))), '403 permission_error null', '… who is not in it has none';
is what(get('/open/me', port => $port)), '401 authentication_error missing_api_key', 'nobody';
is what(get('/v1/me', port => $port)), '401 authentication_error missing_api_key', '… where somebody is needed';
$r = get('/v1/me', port => $port, headers => bearer($alice));
is $r->header('Cache-Control'), 'no-store', 'nobody keeps it';

# the tier file changes
sub tier_becomes { my ($tier, $name) = @_; my $got; for (my $until = time + 20; time < $until; sleep 0.1) { last if ($got = me('/basic/me', @basic)->{tier} // 'none') eq $tier } return is $got, $tier, $name }
sub new_tiers { my ($text) = @_; put('tiers.new', $text); rename "$dir/tiers.new", $tiers or die $!; return }
{
    # of one child: each reads the file for itself
    my $one = $prefork ? "StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\nServerLimit 1\nMaxRequestWorkers 1\n"
        : "ThreadsPerChild 4\nThreadLimit 4\nStartServers 1\nServerLimit 1\nMaxRequestWorkers 4\nMinSpareThreads 4\nMaxSpareThreads 4\n";
    my $main = $s;
    $s = AIGW::Server->new(conf => conf() =~ s/\Q$two\E/$one/r, env => \%env);
    $port = $s->{port};
    new_tiers("gold: alice\n");
    tier_becomes('gold', 'another tier, without a restart');
    new_tiers("gold: alice\nsilver: alice\n");
    $s->wait_for('AIGW0311', 20, sub { me('/basic/me', @basic); count('AIGW0311') });
    like $s->log, qr/AIGW0311: \Q$tiers\E, line 2: The user alice is in the tier gold already/, 'a mistake is logged, with its line';
    is me('/basic/me', @basic)->{tier}, 'gold', '… and the tiers stay as they were';
    unlink $tiers;
    $s->wait_for('AIGW0310', 20, sub { me('/basic/me', @basic); count('AIGW0310') });
    is me('/basic/me', @basic)->{tier}, 'gold', 'no file: the same';
    new_tiers("pro: alice lena\nfree: bob\n");
    tier_becomes('pro', 'back again');
    $s = $main;
    $port = $s->{port};
}

# ------------------------------------------------------------------ children that are killed in the middle of it

{
    my @pids;
    for my $n (1 .. 4) {
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            $SIG{ALRM} = 'DEFAULT';
            alarm 60;
            for (my $until = time + 4; time < $until;) {
                eval {
                    login('nobody', 'wrong', path => '/auth/free', from => "10.9.$n.1");
                    logout(token('alice', $password{alice}, path => '/auth/free', from => "10.9.$n.2"));
                };
            }
            POSIX::_exit(0);
        }
        push @pids, $pid;
    }
    my ($killed, @killed) = (0);
    for (1 .. 8) { sleep 0.45; my @children = $s->children or next; push @killed, $children[rand @children]; $killed += kill KILL => pid($killed[-1]) }
    waitpid $_, 0 for @pids;
    $s->wait_gone(20, @killed); # until then they may take a connection that comes
    cmp_ok $killed, '>=', 3, "children are killed while logins and logouts run ($killed)";
    my $again = token('alice', $password{alice});
    is what(ask('/v1/me', $again)), 200, '… logins go on';
    is what(logout($again)), 200, '… and logouts';
    is what(ask('/v1/me', $again)), '401 authentication_error invalid_token', '… which count';
    is what(ask('/v1/me', $t)), '401 authentication_error invalid_token', '… as those from before do';
    is_deeply [fails(4, 'carol', fresh(), '/auth/by-user')], ['401 401 401 429'], '… and failures';
    is count('AIGW0372|AIGW0365'), 0, '… no lock was lost';
    is_deeply [grep { !/exit signal Killed/ } $s->crashes], [], '… nobody crashed';
}

# ------------------------------------------------------------------ secrets

$s->stop;
my $log = $s->log . $s->access . (slurp("$s->{dir}/access_pid") // '');
for (['a password', grep { !/^b/ } values %password], ['a password in a form', 'b%C3%B6b', "b\xc3\xb6b"], ['a token', map { (split /\./)[2] } @seen], ['the secret', $env{LOGIN_SECRET}]) {
    my ($name, @secrets) = @$_;
    my @found = map { my $secret = $_; grep { index($_, $secret) >= 0 } split /\n/, $log } @secrets;
    is_deeply [@found > 3 ? @found[0 .. 2] : @found], [], "$name is in no log at trace8";
}
is scalar(grep { / alice$/ } split /\n/, slurp("$s->{dir}/access_pid")) > 0, 1, 'the access log has who logged in';
is scalar(grep { / nobody-such$/ } split /\n/, slurp("$s->{dir}/access_pid")), 0, '… and not what somebody typed who did not';

# ------------------------------------------------------------------ a table that is full, and one that grows

{
    $s = AIGW::Server->new(conf => conf("AIGWRevocations 16\n"), env => \%env);
    $port = $s->{port};
    my @all = map { token('alice', $password{alice}, path => '/auth/free') } 1 .. 18;
    is join(' ', map { logout($_)->{status} } @all[0 .. 15]), join(' ', (200) x 16), 'as many as there is room for';
    $r = logout($all[16]);
    is what($r), '503 server_error store_unavailable', '… and one more: 503';
    ok $r->header('Retry-After'), '… Retry-After';
    ok log_has(qr/AIGW0373: /), '… which is logged';
    is what(ask('/v1/me', $all[16])), 200, '… it is still good';
    is join(' ', map { ask('/v1/me', $_)->{status} } @all[0 .. 15]), join(' ', (401) x 16), '… and the others are not';
    $s->configure(conf("AIGWRevocations 32\n"));
    restart();
    ok log_has(qr/AIGW0375: .*from 16 to 32/), 'more room, by a graceful restart';
    is join(' ', map { ask('/v1/me', $_)->{status} } @all[0 .. 15]), join(' ', (401) x 16), '… nothing is lost';
    is join(' ', map { logout($_)->{status} } @all[16, 17]), '200 200', '… and there is room';
    $s->configure(conf("AIGWRevocations 16\n"));
    restart('HUP');
    is join(' ', map { ask('/v1/me', $_)->{status} } @all), join(' ', (401) x 18), 'less room, by a restart: nothing is lost';
    # those who come at the same time have their places
    $s->configure(conf("AIGWLoginWorkers 1\n") =~ s/^AIGWLoginWorkers 8\n//mr);
    restart();
    my $first = AIGW::Client->new(port => $port);
    $first->request(POST => '/auth/login', json => { username => 'alice', password => 'wrong' });
    $s->wait_for('somebody at work', 10, sub { what(login('carol', 'wrong')) eq '429 rate_limit_error concurrency_limit_exceeded' or do { $first = AIGW::Client->new(port => $port); $first->request(POST => '/auth/login', json => { username => 'alice', password => 'wrong' }, headers => { 'X-Client' => fresh(), 'Content-Type' => 'application/json' }); 0 } });
    pass 'AIGWLoginWorkers: no place';
    sleep 0.6;
    is what(login('carol', $password{carol})), 200, '… but later';
}

# ------------------------------------------------------------------ configurations

my $ok = "$issuer<Location /l>\nSetHandler aigw-login\nAIGWLoginIssuer https://gw.example/\n";
my @wrong = (
    ['AIGWLoginProvider nothing', qr/AIGWLoginProvider: there is no provider 'nothing': it is one of httpd's/],
    ['AIGWLoginProvider ldap', qr/AIGWLoginProvider: there is no provider 'ldap': load the module authnz_ldap_module/],
    ['AIGWLoginLifetime 0', qr/AIGWLoginLifetime: '0' is not a time from 1s to 720h/], ['AIGWLoginFloor 11s', qr/AIGWLoginFloor: '11s' is not a time from 1ms to 10s/],
    ['AIGWLoginThrottle user=5', qr{AIGWLoginThrottle: 'user=5' is not of the form pair=5/15min}], ['AIGWLoginThrottle host=5/1h', qr/AIGWLoginThrottle: 'host=5/],
    ['AIGWLoginScope "a b"', qr/AIGWLoginScope: names of scopes/], ['AIGWLoginTier "%{"', qr/AIGWLoginTier: .* is no expression/],
);
for (@wrong) {
    my ($line, $pattern) = @$_;
    my ($status, $said) = conf_check("$ok$line\n</Location>\n", env => \%env, without => qr/ldap/);
    like "$status $said", qr/\A1 .*$pattern/s, $line;
}
for (['AIGWRevocations 15', qr/AIGWRevocations: '15' is not a number from 16/], ['AIGWLoginWorkers 0', qr/AIGWLoginWorkers: '0' is not a number from 1/],
    ["AIGWTierFile $dir/none", qr/AIGW0310/], ["AIGWTierFile $dir/a\nAIGWTierFile $dir/b", qr/AIGWTierFile: there is one already/],
    ["<VirtualHost *:1>\nAIGWRevocations 100\n</VirtualHost>", qr/AIGWRevocations cannot occur within <VirtualHost>/],
    ["<Location /l>\nAIGWLoginIssuer https://other.example/\n</Location>", qr/AIGW0368: .*there is no <AIGWJwtIssuer> of this name/],
    [($issuer =~ s/AIGWJwtSign \S+ HS256/AIGWJwtKey env:LOGIN_SECRET/r) . "<Location /l>\nAIGWLoginIssuer https://gw.example/\n</Location>", qr/AIGW0368: .*cannot sign: give it an AIGWJwtSign/]) {
    my ($text, $pattern) = @$_;
    my ($status, $said) = conf_check("$text\n", env => \%env);
    like "$status $said", qr/\A1 .*$pattern/s, (split /\n/, $text)[-1] =~ /Location/ ? 'AIGWLoginIssuer' : (split /\n/, $text)[0];
}

# ------------------------------------------------------------------ conf/login.conf, beside aigw.conf

{
    my $example = AIGW::Server->new(stopped => 1, conf => '');
    spew("$example->{dir}/aigw.users", "alice:" . bcrypt($password{alice}) . "\n");
    spew("$example->{dir}/aigw.tiers", "pro: alice\n");
    spew("$example->{dir}/aigw.secret", 'S' x 48);
    chmod 0644, map { "$example->{dir}/aigw.$_" } qw(users tiers secret);
    $example->configure("Include \"$ENV{AIGW_SRC}/../conf/aigw.conf\"\nInclude \"$ENV{AIGW_SRC}/../conf/login.conf\"\n");
    $example->start;
    $port = $example->{port};
    is what(ask('/v1/models')), '401 authentication_error missing_api_key', 'login.conf: nobody';
    is what(login('alice', 'wrong')), '401 authentication_error invalid_credentials', '… a wrong password';
    my $mine = token('alice', $password{alice});
    is what(ask('/v1/models', $mine)), 200, '… alice';
    is what(AIGW::Client::chat('echo', 'hi', port => $port, headers => bearer($mine))), 200, '… and a model';
    is ask('/v1/me', $mine)->json->{tier}, 'pro', '… her tier';
    is what(logout($mine)), 200, '… logs out';
    is what(ask('/v1/models', $mine)), '401 authentication_error invalid_token', '… and is out';
    is_deeply [$example->crashes], [], '… nobody crashed';
}
log_clean();
