# The core's client of Redis over TLS (rediss://), against a real redis-server with certificates: who is believed and who is not, both ways; what is in the air beside answers; away and back.
# Where configure found no hiredis_ssl: that the configuration says so.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(get);
use AIGW::Conf qw(conf_check);
use AIGW::Log;
use AIGW::Redis;
use AIGW::Server;
use AIGW::Services qw(free_port spew);
use File::Temp ();

my $prefork = Apache::Test::have_module('mpm_prefork');
my $secret  = 'Sesame-open-7361';
my $dir     = Apache::Test::vars('tls_dir');
my $own     = File::Temp->newdir('aigw-tls-XXXXXX', TMPDIR => 1);
my ($built_status, $built_out) = conf_check("AIGWRedis rediss://h\n");
my $tls = !$built_status;
my @logs;

my $mpm = "StartServers 1\nServerLimit 1\n"
    . ($prefork ? "MinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 1\n" : "ThreadsPerChild 8\nThreadLimit 8\nMaxRequestWorkers 8\nMinSpareThreads 1\nMaxSpareThreads 8\n");

# A machine that is busy must not be taken for a server that is wrong: where time is the matter, $timeout says so.
sub gateway {
    my ($redis, $timeout, %env) = @_;
    my $s = AIGW::Server->new(conf => "${mpm}AIGWRedis $redis\nAIGWRedisTimeout " . ($timeout // 'connect=20s command=20s') . "\n<Location /redis>\nSetHandler aigw-test-redis\n</Location>\n", env => \%env);
    its_child($s);
    return $s;
}

sub its_child { my ($s) = @_; return $s->{child} = $s->wait_for('a child', 20, sub { my @all = $s->children; @all == 1 && $all[0] }) }

sub ended {
    my ($s, $name) = @_;
    my @children = $s->children;
    $s->stop;
    push @logs, $s->log;
    is_deeply [@children, grep { !/AH0005/ } $s->crashes], [$s->{child}], "$name: nothing crashed";
    return;
}

sub cmd {
    my ($s, $words, %o) = @_;
    my $path = '/redis?cmd=' . join('%20', split / /, $words) . join '', map { "&$_=$o{$_}" } sort keys %o;
    return get($path, port => $s->{port}, timeout => 60)->content =~ s/\n\z//r;
}

# A Redis with a port for TLS too.
sub redis {
    my ($certificate, %o) = @_;
    my $port = free_port();
    my @conf = ("tls-port $port", "tls-cert-file $dir/$certificate.pem", "tls-key-file $dir/$certificate.key", "tls-ca-cert-file $dir/ca.pem", 'tls-auth-clients ' . ($o{clients} ? 'yes' : 'no'), @{ $o{conf} || [] });
    my $redis = AIGW::Redis->new(%o, conf => \@conf);
    $redis->{tls_port} = $port;
    return $redis;
}

# How many connections it was asked for since its start, ours to look among them.
sub connections { my ($redis) = @_; return $redis->cmd('INFO', 'stats') =~ /total_connections_received:(\d+)/ ? $1 : die "no count\n" }

# ------------------------------------------------------------------ configuration

spew("$own/empty.pem", '');
my $locked = $tls ? qx{openssl ec -in '$dir/server.key' -aes128 -passout pass:$secret -out '$own/locked.key' 2>&1} : '';
my @wrong = (
    (map { ["redis://h $_", qr/AIGWRedis: ca=, cert= and key= are for rediss:\/\//] } 'ca=/x', 'cert=/x key=/x'),
    ['unix:/x ca=/x',                           qr/AIGWRedis: ca=, cert= and key= are for rediss:\/\//],
    ['redis://h ca=',                           qr/AIGWRedis: ca=, cert= and key= are each the path of a file/],
);
push @wrong, $tls ? (
    (map { ["rediss://h $_", qr/AIGWRedis: cert= and key= go together/] } "cert=$dir/server.pem", "key=$dir/server.key"),
    ["rediss://gw:$secret\@h",                  qr/AIGWRedis: a password does not stand in the URL/],
    ["rediss://h ca=$own/none.pem",             qr/AIGW0107: .*snippet:1: AIGWRedis: TLS cannot be set up: ca=\S+none.pem: No such file/i],
    ["rediss://h ca=$own/empty.pem",            qr/AIGW0107: .*: ca=\S+empty.pem: no certificate/],
    ["rediss://h cert=$own/empty.pem key=$dir/server.key", qr/AIGW0107: .*: cert=\S+empty.pem: \w/],
    ["rediss://h cert=$dir/server.pem key=$dir/wrongname.key", qr/AIGW0107: .*: key=\S+wrongname.key: key values mismatch/],
    ["rediss://h cert=$dir/server.pem key=$own/locked.key", qr/AIGW0107: .*: key=\S+locked.key: \w/],
) : (['rediss://h', qr/AIGWRedis: rediss:\/\/ \(TLS\) is not in this build of mod_aigw, for want of hiredis_ssl .*: use redis:\/\/ or unix: to a TLS tunnel/]);

my $live = $prefork ? 46 : 48;
plan tests => 3 * @wrong + ($tls ? $live + 2 : 0) + 2, need(need_module('mod_aigw'), { 'redis-server (Debian: redis-server)' => sub { AIGW::Redis->available } });

for (@wrong) {
    my ($conf, $like) = @$_;
    my ($status, $out) = conf_check("AIGWRedis $conf\n");
    my $name = $conf =~ s/\s+/ /gr;
    isnt $status, 0, "$name: fails";
    like $out, $like, "$name: says why";
    unlike $out, qr/\Q$secret\E/, "$name: repeats no secret";
}

SKIP: {
    skip 'this build has no TLS to Redis: configure found no hiredis_ssl', 1 if !$tls;
    my ($status, $out) = conf_check("AIGWRedis REDISS://gw\@redis.example:1/3 ca=$dir/ca.pem cert=$dir/server.pem key=$dir/server.key password=env:P\n", env => { P => $secret });
    is $status, 0, 'all of it passes' or diag $out;
}
if ($tls) { over_tls(); is scalar(grep { /\Q$secret\E/ } @logs), 0, 'no log has a password'; is $locked =~ /rror/ ? $locked : '', '', 'a key with a passphrase was made' }
log_clean();

sub over_tls {
    my $redis = redis('server', password => $secret);
    my $port  = $redis->{tls_port};

    # -------------------------------------------------------------- well
    my $s = gateway("rediss://localhost:$port/3 ca=$dir/ca.pem password=env:P", undef, P => $secret);
    is cmd($s, 'SET a one'), 'ok OK/2', 'a name, a password, a database';
    is cmd($s, 'GET a'), 'ok one/3', '… and back';
    $redis->cmd('SELECT', 3);
    is $redis->cmd('GET', 'a'), 'one', '… it was this one';
    $redis->cmd('SET', 'large', 'x' x 900_000);
    is cmd($s, 'GET large'), 'ok .../900000', 'a reply of many records';
    is cmd($s, 'GET large', n => 20), join("\n", ('ok .../900000') x 20), '… again and again';
    $redis->cmd('APPEND', 'large', 'x' x 200_000);
    is cmd($s, 'GET large'), 'reset', 'one that is too large is none';
    is cmd($s, 'GET a'), 'ok one/3', '… and is not taken for another';
    ended($s, 'well');

    # -------------------------------------------------------------- one that waits
    my $open = redis('server');
    if (!$prefork) {
        $s = gateway("rediss://localhost:$open->{tls_port} ca=$dir/ca.pem", "connect=20s command=20s\nAIGWRedisConnections 2");
        my @c = map { AIGW::Client->new(port => $s->{port}, timeout => 60) } 1 .. 6;
        $_->request(GET => '/redis?cmd=INCR%20many&n=20') for @c;
        my @answers = map { split /\n/, $_->response->content } @c;
        is_deeply [sort { $a <=> $b } map { /^ok (\d+)$/ } @answers], [1 .. 120], 'six threads, two connections: each has its own answers';
        $_->close for @c;
        ended($s, 'threads');
    }
    $s = gateway("rediss://127.0.0.1:$open->{tls_port} ca=$dir/ca.pem");
    my $before = connections($open);
    is cmd($s, 'PING'), 'ok PONG/4', 'an address';
    is cmd($s, 'PING'), 'ok PONG/4', '… again';
    is connections($open), $before, '… over the connection that was made at the start: tickets of TLS do not count as something unasked';
    $open->cmd('CONFIG', 'SET', 'tls-protocols', 'TLSv1.2');
    $open->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    is cmd($s, 'PING'), 'ok PONG/4', 'closed by Redis while it waits: nobody notices. And TLS 1.2';
    $open->restart;
    is cmd($s, 'PING'), 'ok PONG/4', 'a restart while nobody asks: nobody notices';
    $open->kill;
    $open->start;
    is cmd($s, 'PING'), 'ok PONG/4', 'killed and restarted: the same';
    unlike $s->log, qr/AIGW019[4-8]/, '… nor does the log';
    $open->kill;
    is cmd($s, 'PING', n => 5), "refused\nrefused\nrefused\nagain\nagain", 'killed: three failures';
    $open->start;
    ok $s->wait_for('Redis is back', 20, sub { cmd($s, 'PING') eq 'ok PONG/4' }), '… it is back by itself';
    $s->signal('USR1');
    $s->wait_gone(30, $s->{child});
    its_child($s);
    is cmd($s, 'PING'), 'ok PONG/4', 'a graceful restart';
    ended($s, 'away');

    # one that stands still: within the connection that there is, and in the handshake of the next
    $s = gateway("rediss://localhost:$open->{tls_port} ca=$dir/ca.pem", 'connect=500ms command=500ms');
    ok $s->wait_for('an answer', 20, sub { cmd($s, 'PING') eq 'ok PONG/4' }), 'short times';
    $open->pause;
    is cmd($s, 'PING', n => 4), "timeup\nrefused\nrefused\nagain", 'stopped: nobody waits for longer than the time-outs';
    like $s->log, qr/AIGW0196: Redis rediss:\S+ is away, no TLS handshake in time/, '… of the handshake too';
    $open->resume;
    ok $s->wait_for('Redis is back', 20, sub { cmd($s, 'PING') eq 'ok PONG/4' }), '… it is back by itself';
    ended($s, 'stopped');

    # -------------------------------------------------------------- who is not believed
    my $other = redis('wrongname');
    my $self  = redis('selfsigned');
    for (['a CA that nobody knows', "rediss://localhost:$open->{tls_port}", qr/its certificate is not accepted: (?:self.signed certificate in certificate chain|unable to get local issuer certificate)/],
        ['a certificate by itself', "rediss://localhost:$self->{tls_port} ca=$dir/ca.pem", qr/its certificate is not accepted: self.signed certificate/],
        ['the name of another', "rediss://localhost:$other->{tls_port} ca=$dir/ca.pem", qr/its certificate is not accepted: hostname mismatch/],
        ['the address of another', "rediss://127.0.0.1:$other->{tls_port} ca=$dir/ca.pem", qr/its certificate is not accepted: IP address mismatch/]) {
        my ($name, $to, $log) = @$_;
        $s = gateway($to);
        like cmd($s, 'PING', n => 4), qr/\A(?:refused\n){2,3}again/, "$name: refused";
        like $s->log, qr/AIGW0198: Redis rediss:\S+: $log/, '… says the log';
        ended($s, $name);
    }
    $s = gateway("rediss://localhost:$open->{port} ca=$dir/ca.pem", 'connect=300ms');
    like cmd($s, 'PING', n => 4), qr/\A(?:refused\n){2,3}again/, 'a port without TLS: refused';
    like $s->log, qr/AIGW0196: Redis rediss:\S+ is away, (?:no TLS handshake in time: is this its TLS port\?|the TLS handshake failed: wrong version number)/, '… says the log';
    ended($s, 'no TLS');
    $s = gateway("redis://localhost:$open->{tls_port}");
    unlike cmd($s, 'PING', n => 4), qr/ok/, 'TLS without TLS: no answer';
    ended($s, 'TLS without TLS');

    # -------------------------------------------------------------- who it believes
    my $strict = redis('server', clients => 1);
    $s = gateway("rediss://localhost:$strict->{tls_port} ca=$dir/ca.pem");
    like cmd($s, 'PING', n => 4), qr/\A(?:refused\n){2,3}again/, 'it wants a certificate, and there is none: refused';
    like $s->log, qr/AIGW0194: Redis rediss:\S+: (?:the connection broke before it answered PING: Connection reset|it closed the connection before it answered PING: \w+ alert certificate required).*: this child starts without it/, '… and the log says so at the start';
    ended($s, 'no certificate');
    $s = gateway("rediss://localhost:$strict->{tls_port} ca=$dir/ca.pem cert=$dir/server.pem key=$dir/server.key");
    is cmd($s, 'PING'), 'ok PONG/4', '… and here is one';
    ended($s, 'a certificate');
    return;
}
