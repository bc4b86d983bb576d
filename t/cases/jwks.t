# Keys from a JWKS: fetched from an https address for all children, with whatever may go wrong on that way; and from a file that changes.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use File::Temp ();
use JSON::PP ();
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get have_tls);
use AIGW::Conf qw(conf_check);
use AIGW::Listener;
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(free_port slurp spew);
use AIGW::Token qw(jwt key jwk);

my $v     = Apache::Test::vars();
my $json  = JSON::PP->new->canonical->utf8;
my $event = Apache::Test::have_module('mpm_event');
my $dir   = File::Temp->newdir('jwks-t-XXXXXX', DIR => $v->{t_logs});
chmod 0755, "$dir";
my %key = (rsa => key('RS256'), ec => key('ES256'), new => key('ES384'), other => key('ES256'), secret => key('HS256'));
my %alg = (rsa => 'RS256', ec => 'ES256', new => 'ES384', other => 'ES256', secret => 'HS256');

sub write_file { my ($file, $text) = @_; spew("$file.new", $text); chmod 0644, "$file.new"; rename "$file.new", $file or die $!; return }
sub set { my (@names) = @_; return $json->encode({ keys => [map { jwk($key{$_}, kid => $_, use => 'sig') } @names] }) }
sub token { my ($name, %o) = @_; return jwt($alg{$name}, $key{$name}, { iss => $o{iss} // 'idp', sub => 'alice', aud => 'aigw', exp => int(time + 600) }, kid => $o{kid} // $name) }
sub ask { my ($s, $token, %o) = @_; return get('/v1/models', port => $s->{port}, headers => [Authorization => "Bearer $token"], %o) }
sub what { my ($r) = @_; return $r->{status} < 400 ? $r->{status} : join ' ', $r->{status}, $r->json->{error}{code} // 'null' }

# ------------------------------------------------------------------ who has the keys: an httpd, and what is wrong with it

my ($badname_port, $selfsigned_port) = (free_port(), free_port());
sub tls_host { my ($port, $name) = @_; return "Listen 127.0.0.1:$port\n<VirtualHost 127.0.0.1:$port>\nSSLEngine on\nSSLCertificateFile $v->{tls_dir}/$name.pem\nSSLCertificateKeyFile $v->{tls_dir}/$name.key\n</VirtualHost>\n" }
sub idp {
    mkdir "$dir/htdocs";
    return AIGW::Server->new(tls => 1, @_, conf => "DocumentRoot $dir/htdocs\nCustomLog $dir/fetches \"%U %>s %{Accept}i %{User-Agent}i\"\nRedirect /moved /keys.json\n"
        . "<Directory $dir/htdocs>\nRequire all granted\n</Directory>\n" . tls_host($badname_port, 'wrongname') . tls_host($selfsigned_port, 'selfsigned'));
}
plan tests => 100, need need_module('mod_aigw', 'mod_aigw_auth', 'mod_ssl'), { 'IO::Socket::SSL is missing' => sub { have_tls() } };

my $idp = idp();
my $at  = "https://localhost:$idp->{tls_port}";
write_file("$dir/htdocs/keys.json", set(qw(rsa ec)));
write_file("$dir/htdocs/garbage.json", '{"keys":[{"kty":"RSA"');
write_file("$dir/htdocs/useless.json", $json->encode({ keys => [jwk($key{secret}, kid => 'secret'), { kty => 'OKP', crv => 'Ed25519', x => 'A' x 43 }] }));
write_file("$dir/htdocs/big.json", $json->encode({ keys => [jwk($key{rsa}, kid => 'rsa')], more => 'x' x 270_000 }));
sub fetches { my ($path) = @_; return scalar grep { m{\A\Q$path\E } } split /\n/, slurp("$dir/fetches") // '' }

# A gateway whose issuers are these: name => address.
sub gateway {
    my ($more, $issuers, @o) = @_;
    my $conf = "AIGWTokenCache 0\nAIGWErrors on\nAIGWJwksCAFile $v->{tls_dir}/ca.pem\nCustomLog $dir/who \"%P %>s %U\"\n$more\n"
        . "<IfModule mpm_event_module>\nStartServers 3\nServerLimit 3\nThreadsPerChild 32\nMaxRequestWorkers 96\nMinSpareThreads 96\nMaxSpareThreads 96\n</IfModule>\n"
        . "<IfModule mpm_worker_module>\nStartServers 3\nServerLimit 3\nThreadsPerChild 32\nMaxRequestWorkers 96\nMinSpareThreads 96\nMaxSpareThreads 96\n</IfModule>\n"
        . "<IfModule mpm_prefork_module>\nStartServers 6\nMinSpareServers 6\nMaxSpareServers 64\nMaxRequestWorkers 64\n</IfModule>\n"
        . "<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\n<Location /v1/models>\nAuthType AIGW\nRequire valid-user\nSetHandler aigw-models\n</Location>\n";
    $conf .= "<AIGWJwtIssuer $_>\nAIGWJwtAudience aigw\nAIGWJwtKey jwks:$issuers->{$_}\n</AIGWJwtIssuer>\n" for sort keys %$issuers;
    return AIGW::Server->new(conf => $conf, @o);
}
sub count { my ($s, $pattern) = @_; my $n = () = $s->log =~ /$pattern/g; return $n }

# The answers of all children to this: each child is asked, however many requests that takes.
sub all_children {
    my ($s, $token) = @_;
    my (%said, %asked);
    my $from = -s "$dir/who" // 0;
    my $n = $event || Apache::Test::have_module('mpm_worker') ? 3 : 4;
    for (my $until = time + 30; time < $until && keys %asked < $n;) {
        my @open = map { AIGW::Client->new(port => $s->{port}) } 1 .. 8;
        $_->request(GET => '/v1/models', headers => { Authorization => "Bearer $token", Connection => 'close' }) for @open;
        $said{ what($_->response) }++ for @open;
        %asked = map { /\A(\d+) / ? ($1 => 1) : () } split /\n/, substr slurp("$dir/who"), $from;
    }
    return join(' ', sort keys %said) . (keys %asked >= $n ? '' : " of only @{[scalar keys %asked]} children");
}

# Until it is so.
sub becomes {
    my ($expected, $name, $get, $seconds) = @_;
    my $got;
    for (my $until = time + ($seconds // 20); time < $until; sleep 0.1) { last if ($got = $get->()) eq $expected }
    return is $got, $expected, $name;
}

# ------------------------------------------------------------------ fetched once, good everywhere

my $s = gateway("LogLevel info aigw_auth:debug\nAIGWJwksMinInterval 2s\n", { idp => "$at/keys.json" });
is all_children($s, token('rsa')), '200', 'RSA: every child accepts it';
is all_children($s, token('ec')), '200', 'EC: every child accepts it';
is fetches('/keys.json'), 1, 'fetched once for all of them';
like slurp("$dir/fetches"), qr{\A/keys.json 200 application/jwk-set\+json, application/json mod_aigw/[\d.]+\n\z}, 'who asks, and for what';
is what(ask($s, token('ec', kid => 'rsa'))), '401 invalid_token', 'the kid of another key';
is what(ask($s, token('other', kid => 'ec'))), '401 invalid_token', 'the key of somebody else';
is fetches('/keys.json'), 1, 'neither is a reason to fetch';
like $s->log, qr/AIGW0353: new keys from \Q$at\E\/keys.json: 2, and 0 of no use here/, 'the log says what came';

# a new key: the first one who shows it has it fetched, and the others wait for that
write_file("$dir/htdocs/keys.json", set(qw(rsa ec new)));
{
    my @open = map { AIGW::Client->new(port => $s->{port}) } 1 .. 20;
    $_->request(GET => '/v1/models', headers => { Authorization => 'Bearer ' . token('new'), Connection => 'close' }) for @open;
    is_deeply [map { what($_->response) } @open], [(200) x 20], 'a new key, asked for by 20 at once: all are let in';
}
is fetches('/keys.json'), 2, '… by one fetch';
is all_children($s, token('new')), '200', '… and in every child';

{
    my ($began, $before) = (time, fetches('/keys.json'));
    my %said;
    # until AIGWJwksMinInterval is over they are no reason to fetch
    $s->wait_for('an unknown kid is a reason again', 20, sub { ask($s, token('other', kid => 'random-0')); fetches('/keys.json') > $before });
    $said{ what(ask($s, token('other', kid => "random-$_"))) }++ for 1 .. 200;
    is_deeply \%said, { '401 invalid_token' => 200 }, '200 unknown kids: all refused';
    my $n = fetches('/keys.json') - $before;
    cmp_ok $n, '<=', 1 + (time - $began) / 2, "… $n fetches";
    cmp_ok $n, '>=', 1, '… the first one was a reason';
}
is what(ask($s, jwt('ES384', $key{new}, { iss => 'idp', sub => 'alice', aud => 'aigw', exp => int(time + 600) }))), 200, 'a token without a kid: any key of its kind';

# ------------------------------------------------------------------ the issuer is down

$idp->stop;
is what(ask($s, token('rsa'))), 200, 'the issuer is down: its tokens are good';
is what(ask($s, token('other'))), '401 invalid_token', '… an unknown kid is refused';
$s->wait_for('AIGW0351', 20, sub { ask($s, token('other')); count($s, 'AIGW0351') });
like $s->log, qr/AIGW0351: no keys from \Q$at\E\/keys.json: .+ The keys that it gave last are used for \d+ s more/, '… which is logged';
$s->wait_for('three more tries', 60, sub { ask($s, token('other')); count($s, 'AIGW0335') >= 3 });
is count($s, 'AIGW0351'), 1, '… once';
my @old = $s->children;
ok $s->signal('USR1'), 'a graceful restart while it is down';
$s->wait_for('the restart', 30, sub { count($s, 'resuming normal operations') == 2 });
$s->wait_gone(30, @old);
is all_children($s, token('rsa')), '200', '… the keys are kept, in every child';
$s->wait_for('AIGW0351', 20, sub { count($s, 'AIGW0351') >= 2 });
pass '… the log says again that it is down';
$idp->start;
$s->wait_for('AIGW0352', 150, sub { count($s, 'AIGW0352') });
like $s->log, qr/AIGW0352: \Q$at\E\/keys.json answers again: 3 keys/, 'it is back: seen without a request';
is count($s, 'AIGW0351'), 2, '… nothing more was said meanwhile';
is what(ask($s, token('new'))), 200, '… all goes on';
ok $s->signal('HUP'), 'a restart';
$s->wait_for('the restart', 30, sub { count($s, 'resuming normal operations') == 3 });
is what(ask($s, token('new'))), 200, '… the keys are there';
is_deeply [$s->crashes], [], 'nobody crashed';
$s->stop;

# ------------------------------------------------------------------ how old they may be

$s = gateway("AIGWJwksTTL 1s\nAIGWJwksStale 4s\nAIGWJwksMinInterval 1s\n", { idp => "$at/keys.json" });
is what(ask($s, token('rsa'))), 200, 'fetched every second';
{
    my ($began, $before) = (time, fetches('/keys.json'));
    ok $s->wait_for('four fetches', 30, sub { fetches('/keys.json') - $before >= 4 }), '… again and again';
    cmp_ok fetches('/keys.json') - $before, '<=', 1 + (time - $began) * 8 / 7, '… by one child at a time';
}
write_file("$dir/htdocs/keys.json", set(qw(ec new)));
becomes('401 invalid_token', 'a key that the issuer has withdrawn: refused', sub { what(ask($s, token('rsa'))) });
write_file("$dir/htdocs/keys.json", '<html>Sorry</html>');
becomes('503 store_unavailable', 'no good document for longer than AIGWJwksStale: no key is used', sub { what(ask($s, token('ec'))) });
like $s->log, qr/AIGW0351: .*it is no JSON/, '… why';
like $s->log, qr/AIGW0354: the keys from \S+ are older than AIGWJwksStale/, '… and since when';
write_file("$dir/htdocs/keys.json", set(qw(rsa ec new)));
becomes('200', '… until there is one', sub { what(ask($s, token('rsa'))) });
$s->stop;

# ------------------------------------------------------------------ issuers that are not well, beside one that is

my $hangs = AIGW::Listener->new(port => my $hang_port = free_port());
my %sick = (
    garbage    => ["$at/garbage.json", qr/it is no JSON, or has a name twice: line 1/],
    useless    => ["$at/useless.json", qr/none of its 2 keys can be used/],
    big        => ["$at/big.json", qr/the answer is larger than 256 KiB/],
    missing    => ["$at/missing.json", qr/the answer's status is 404, not 200/],
    moved      => ["$at/moved", qr/the answer's status is 302, not 200, and redirects are not followed/],
    badname    => ["https://localhost:$badname_port/keys.json", qr/certificate|SSL/],
    selfsigned => ["https://localhost:$selfsigned_port/keys.json", qr/certificate|SSL/],
    nobody     => ["https://localhost:$v->{dead_port}/keys.json", qr/Couldn't connect|connect/],
    plain      => ["https://localhost:$idp->{port}/keys.json", qr/SSL|TLS/],
    hangs      => ["https://localhost:$hang_port/keys.json", qr/Timeout was reached/],
);
$s = gateway("AIGWJwksTimeout 3s\n", { idp => "$at/keys.json", map { $_ => $sick{$_}[0] } keys %sick });
{
    my $began = time;
    is what(ask($s, token('rsa'))), 200, 'a good issuer beside sick ones';
    cmp_ok time - $began, '<', 2.5, '… does not wait for them';
}
for my $name (sort keys %sick) {
    my ($url, $why) = @{ $sick{$name} };
    is what(ask($s, token('rsa', iss => $name))), '503 store_unavailable', "$name: refused";
    $s->wait_for("AIGW0351 of $name", 10, sub { $s->log =~ /AIGW0351: no keys from \Q$url\E: / });
    like $s->log, qr/AIGW0351: no keys from \Q$url\E: [^\n]*$why/, "… $name: the log says why";
}
unlike $s->log, qr/AIGW0351[^\n]*keys of[^\n]*rsa/, 'nothing else';

# ------------------------------------------------------------------ stops while a fetch hangs

for my $how (['graceful', 'WINCH'], ['hard', 'TERM']) {
    my ($name, $signal) = @$how;
    for my $waiting (0, 1) {
        my $hanging = gateway("AIGWJwksTimeout 20s\n", { hangs => "https://localhost:$hang_port/keys.json" });
        my $c = AIGW::Client->new(port => $hanging->{port});
        $c->request(GET => '/v1/models', headers => { Authorization => 'Bearer ' . token('rsa', iss => 'hangs') }) if $waiting && $name eq 'hard';
        sleep 0.3;
        my @who = $hanging->children;
        $hanging->signal($signal);
        cmp_ok $hanging->wait_gone(15, @who), '<', 4, "a $name stop while a fetch hangs" . ($waiting ? ', and a request waits' : '');
        $hanging->wait_end(10);
        is_deeply [$hanging->crashes], [], '… nobody crashed or had to be killed';
    }
}
$s->stop;

# ------------------------------------------------------------------ the child that fetches is killed

# The process that has the other end of a connection to us.
sub at_the_other_end {
    my ($conn, $s) = @_;
    my $port = sprintf '%04X', $conn->{fh}->peerport;
    my ($inode) = map { (split)[9] } grep { /\A\s*\d+: \w+:$port / } split /\n/, slurp('/proc/net/tcp');
    return if !$inode;
    return grep { my $pid = (split m{/})[0]; grep { (readlink // '') eq "socket:[$inode]" } glob "/proc/$pid/fd/*" } $s->children;
}
$hangs->close;
my $up = AIGW::Listener->new(port => my $own_port = free_port());
$s = gateway("AIGWJwksTimeout 4s\n", { own => "https://localhost:$own_port/keys.json" });
{
    my ($conn, $who);
    for (1 .. 5) { $conn = $up->accept; ($who) = at_the_other_end($conn, $s) and last }    # one may have waited for us in vain
    ok $who, 'the child that fetches';
    kill KILL => (split m{/}, $who)[0];
    my $began = time;
    $conn->close;
    $conn = $up->accept(tls => { SSL_cert_file => "$v->{tls_dir}/server.pem", SSL_key_file => "$v->{tls_dir}/server.key" });
    cmp_ok time - $began, '<', 15, 'it was killed: another one fetches';
    like $conn->request->{line}, qr{\AGET /keys.json HTTP/1.1\z}, '… the same';
    # no length: read to the end
    $conn->say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" . set(qw(rsa ec)));
    $conn->close;
    becomes('200', '… and its keys are good', sub { what(ask($s, token('ec', iss => 'own'))) });
}
$s->stop;
# children are killed at any moment, with a lock or a fetch in their hands or without
$s = gateway("AIGWJwksTTL 1s\nAIGWJwksMinInterval 1s\nAIGWJwksTimeout 2s\n", { idp => "$at/keys.json" });
my @killed;
for (1 .. 25) {
    write_file("$dir/htdocs/keys.json", set('rsa', $_ % 2 ? 'ec' : 'new'));
    my @children = $s->children;
    push @killed, $children[rand @children] if @children;
    kill KILL => (split m{/}, $killed[-1])[0] if @children;
    eval { ask($s, token($_), timeout => 2) } for qw(ec new);
    sleep 0.1;
}
$s->wait_gone(20, @killed); # until then they may take a connection that comes
write_file("$dir/htdocs/keys.json", set(qw(rsa other)));
becomes('200', '25 killed children later: a new key comes', sub { eval { what(ask($s, token('other'), timeout => 5)) } // '' });
is all_children($s, token('rsa')), '200', '… and every child has its keys';
$s->stop;
# an endless answer, and an endless head
for my $endless ("HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n") {
    $s = gateway("AIGWJwksTimeout 5s\n", { own => "https://localhost:$own_port/keys.json" });
    my $conn = $up->accept(tls => { SSL_cert_file => "$v->{tls_dir}/server.pem", SSL_key_file => "$v->{tls_dir}/server.key" });
    $conn->request;
    eval { $conn->say($endless); $conn->say("X-More: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n" x 200) for 1 .. 1000 };
    $s->wait_for('AIGW0351', 20, sub { count($s, 'AIGW0351') });
    like $s->log, qr/AIGW0351: [^\n]*the answer is larger than/, 'an endless ' . ($endless =~ /\n\r\n/ ? 'answer' : 'head') . ': no more of it than may be';
    eval { $conn->close };
    $s->stop;
}

# ------------------------------------------------------------------ a file

my $file = "$dir/file.json";
write_file($file, set(qw(rsa)));
$s = gateway('', { idp => $file });
is what(ask($s, token('rsa'))), 200, 'a file: its key';
is what(ask($s, token('ec'))), '401 invalid_token', '… not another';
write_file($file, set(qw(rsa ec)));
becomes('200', 'it changes: the new key is good', sub { what(ask($s, token('ec'))) });
write_file($file, '{"keys": 1}');
$s->wait_for('AIGW0311', 20, sub { count($s, 'AIGW0311') });
like $s->log, qr/AIGW0311: \Q$file\E: it is no JWKS: it has no array "keys"\. The keys stay as they were\./, 'it is broken: logged';
is what(ask($s, token('ec'))), 200, '… the keys stay';
write_file($file, set(qw(ec secret)));
becomes('401 invalid_token', 'a key goes', sub { what(ask($s, token('rsa'))) });
is what(ask($s, token('secret'))), '401 invalid_token', '… and a secret that was not there at the start is not taken';
$s->stop;
write_file($file, set('secret'));
$s = gateway('', { idp => $file });
is what(ask($s, token('secret'))), 200, 'a file with a secret';
like $s->log, qr/AIGW0358: everybody on this machine may read or write \Q$file\E/, '… that everybody may read: a warning';
$s->stop;

# ------------------------------------------------------------------ configtest

sub issuer { my ($key, $more) = @_; return ($more // '') . "<AIGWJwtIssuer x>\nAIGWJwtAudience aigw\nAIGWJwtKey $key\n</AIGWJwtIssuer>\n" }
spew("$dir/short", 'x' x 31 . "\n");
spew("$dir/empty.json", '{"keys":[]}');
my @wrong = (
    [issuer('jwks:http://localhost/keys.json'), qr/is not https/],
    [issuer('jwks:https://user:pw@localhost/keys.json'), qr/has a user name, a password or a fragment/],
    [issuer('jwks:https:///keys.json'), qr/is no address/],
    [issuer("jwks:$dir/nowhere.json"), qr/AIGW0310: the key file \S+nowhere.json cannot be read/],
    [issuer("jwks:$dir/empty.json"), qr/AIGW0311: \S+empty.json: it has no keys/],
    [issuer("file:$dir/nowhere"), qr/AIGW0350: no key from file:\S+nowhere: /],
    [issuer("file:$dir/short"), qr/AIGW0350: no key from file:\S+short: a secret has at least 32 bytes/],
    [issuer('env:AIGW_NOT_SET'), qr/AIGW0350: no key from env:AIGW_NOT_SET: this variable is not set/],
    [issuer('jwks:https://localhost/', "AIGWJwksCAFile $dir/nowhere\n"), qr/AIGW0359: AIGWJwksCAFile: \S+nowhere cannot be read/],
    [issuer('jwks:https://localhost/', "AIGWJwksCAFile $dir/short\n"), qr/AIGW0359: AIGWJwksCAFile: \S+short has no certificate in PEM/],
    ["AIGWJwksTTL 0\n", qr/AIGWJwksTTL: "0" is no time from 1s to 7 days/],
    ["AIGWJwksStale 100d\n", qr/AIGWJwksStale: "100d" is no time/],
    ["AIGWJwksMinInterval 0s\n", qr/AIGWJwksMinInterval: "0s" is no time/],
    ["AIGWJwksTimeout 61s\n", qr/AIGWJwksTimeout: "61s" is no time from 1s to 60s/],
);
my ($status, $out) = conf_check(issuer('jwks:https://localhost/keys.json', "AIGWJwksTTL 2h\nAIGWJwksStale 48h\nAIGWJwksMinInterval 30s\nAIGWJwksTimeout 2s\nAIGWJwksCAFile $v->{tls_dir}/ca.pem\n"));
is $status, 0, "all directives: $out";
for (@wrong) {
    my ($conf, $expected) = @$_;
    my ($status, $out) = conf_check($conf);
    ok $status && $out =~ $expected, "configtest: $expected" or diag $out;
}
log_clean();
