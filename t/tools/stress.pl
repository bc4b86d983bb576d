#!/usr/bin/env perl
# Everything at once, against a gateway of its own that runs under a tool that looks for mistakes in the use of memory or of threads.
#   t/tools/stress.pl --tree BUILD --tool tsan|memcheck|none [--load AIGW-LOAD] [--out FOLDER] [--size 1.0]
# BUILD is a build folder (for tsan one with -fsanitize=thread), AIGW-LOAD a bench/aigw-load that need not be built so. Many clients do at the same time what clients
# do: streams and JSON calls, plain and TLS, to an upstream that is plain, TLS, slow or broken; some hang up, some do not read; calls without a client. Meanwhile
# the gateway is restarted gracefully, then stopped gracefully under streams, and once more by the hard way.
# Says "ok" or "not ok" for each check, and in the end "checks: N". What the tool has to say is in FOLDER.
use strict;
use warnings FATAL => 'all';
use FindBin ();
use lib "$FindBin::RealBin/../lib";
use Time::HiRes qw(sleep);
use AIGW::Client ();
use AIGW::Raw;
use AIGW::Redis ();
use AIGW::Stress;

options('stress.pl');
my $services = surroundings();
my $model_port = start_model();
my $redis = AIGW::Redis->new;
my $proxy = $redis->proxy;

my $endpoints = <<'CONF';
<Macro Endpoints $p>
    <Location "$p/v1/models">
        SetHandler aigw-models
    </Location>
    <Location "$p/v1/chat">
        SetHandler aigw-chat
    </Location>
    <Location "$p/v1/chat/completions">
        SetHandler aigw-chat-completions
    </Location>
    <Location "$p/v1/chat/stream">
        SetHandler aigw-chat-stream
    </Location>
    <Location "$p/api/v1/stream/generate">
        SetHandler aigw-generate-stream
    </Location>
    <Location "$p/api/v1/generate">
        SetHandler aigw-generate
        AIGWGenerateVersion 1
    </Location>
    <Location "$p/api/v2/generate">
        SetHandler aigw-generate
        AIGWGenerateVersion 2
    </Location>
</Macro>
Use Endpoints /parked
Use Endpoints /prompt
Use Endpoints /block
<Location "/parked">
    AIGWParkAfter off
</Location>
<Location "/prompt">
    AIGWParkAfter 100ms
</Location>
<Location "/block">
    AIGWPark off
</Location>
<Location "/test/detached">
    SetHandler aigw-test-detached
</Location>
<Location "/test/counts">
    SetHandler aigw-test-counts
</Location>
<Location "/test/redis">
    SetHandler aigw-test-redis
</Location>
<Location "/test/race">
    SetHandler aigw-test-race
</Location>
<Location "/server-status">
    SetHandler server-status
</Location>
CONF

sub conf {
    my ($self_tls) = @_;
    my $raw = $services->{vars}{raw_port};
    return <<"CONF" . $endpoints
LogLevel info aigw:debug
${ONE_CHILD}Timeout 60
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 20
ExtendedStatus On
RequestReadTimeout handshake=0 header=0 body=0
SendBufferSize 65536
AIGWReactors 2
AIGWKeepAliveInterval 50ms
SSLProxyEngine on
SSLProxyVerify require
SSLProxyCACertificateFile "$services->{vars}{tls_dir}/ca.pem"
<Proxy "balancer://half">
    BalancerMember http://127.0.0.1:$services->{vars}{dead_port} retry=0
    BalancerMember http://127.0.0.1:$raw
</Proxy>
AIGWDefaultModel echo
AIGWRedis $proxy->{url}
AIGWRedisConnections 3
AIGWRedisTimeout command=200ms
CONF
        . model('echo', 'echo') . model('echo-slow', 'echo words=20 delay=5ms') . model('test', 'test')
        . model('bench', "openai http://127.0.0.1:$model_port/v1") . model('self', "openai https://localhost:$self_tls/v1 model=echo-slow")
        . model('raw', "openai http://127.0.0.1:$raw/v1") . model('raw-tls', "openai https://localhost:$services->{vars}{raw_tls_port}/v1")
        . model('raw-drain', "openai http://127.0.0.1:$raw/v1 disconnect=drain:3s") . model('half', 'openai balancer://half/v1')
        . model('raw:ok', "openai http://127.0.0.1:$raw/v1 model=s:ok") . model('dead', "openai http://127.0.0.1:$services->{vars}{dead_port}/v1")
        . "<Location /v1/chat/completions>\nSetHandler aigw-chat-completions\n</Location>\n"
}

sub start_gateway {
    my $s = gateway(tls => 1);
    $s->configure(conf($s->{tls_port}));
    # the TLS port is also an upstream: what "self" asks
    $s->start;
    return $s;
}

# ------------------------------------------------------------------ clients, each sort in a process of its own

sub body { my ($model, %more) = @_; return { model => $model, messages => [{ role => 'user', content => 'one two three' }], %more } }

my $true = JSON::PP::true();
my $PATH = '/parked/v1/chat/completions';

# A client of a raw upstream that does what the scenario says.
sub opened {
    my ($port, $model, $scenario, $stream, %c) = @_;
    my $c = AIGW::Client->new(port => $port, timeout => $PATIENCE, %c);
    $c->request(POST => $c{path} || $PATH, json => body($model, scenario => $scenario, $stream ? (stream => $true) : ()));
    return $c;
}

sub every_endpoint {
    my ($s, @models) = @_;
    my @wrong;
    for my $where (qw(/parked /prompt /block)) {
        for my $tls (0, 1) {
            my %c = (port => $tls ? $s->{tls_port} : $s->{port}, tls => $tls, timeout => $PATIENCE);
            for my $model (@models) {
                my @ask = (['/v1/chat', { message => 'hello there', model => $model }], ['/v1/chat/stream', { message => 'hello there', model => $model }],
                    ['/v1/chat/completions', body($model)], ['/v1/chat/completions', body($model, stream => $true)],
                    map { [$_, { prompt => 'hello there', model => $model }] } '/api/v1/generate', '/api/v2/generate', '/api/v1/stream/generate');
                for (@ask) {
                    my $r = AIGW::Client::post_json("$where$_->[0]", $_->[1], %c);
                    push @wrong, "$where$_->[0] $model: $r->{status} $r->{content}" if $r->{status} != 200 || !$r->complete;
                }
            }
            my $r = AIGW::Client::get("$where/v1/models", %c);
            push @wrong, "$where/v1/models: $r->{status}" if $r->{status} != 200;
            $r = AIGW::Client::post_json("$where/v1/chat/completions", { model => 'nobody' }, %c);
            push @wrong, "a mistake: $r->{status}" if $r->{status} < 400;
        }
    }
    return @wrong;
}

my @faults = qw(reset-before close-before close-mid-event reset-mid-event stale stale-rst no-done cut garbage garbage-json bad-chunk short-chunk html error-event status:429 status:500
    usage-null comments crlf interim trailers tools huge-event big-header status-line ok-close ok-length two-at-once);

sub faults {
    my ($s) = @_;
    for my $round (1 .. sized(2)) {
        for my $fault (@faults) {
            for my $stream (0, 1) {
                my $tls = ($round + $stream) % 2;
                my $c = opened($tls ? $s->{tls_port} : $s->{port}, $round % 2 ? 'raw' : 'raw-tls', $fault, $stream, tls => $tls);
                eval { $c->response($PATIENCE) };
                return "$fault: $@" if $@ && $@ !~ /closed|reset/;
                $c->close;
            }
        }
    }
    return;
}

# Clients that leave: at once, in the middle, behind a pipelined request, with a reset; upstreams that are dropped or drained.
sub leavers {
    my ($s) = @_;
    for my $i (1 .. sized(60)) {
        my $tls = $i % 3 == 0;
        my $model = $i % 2 ? 'raw-drain' : $i % 4 ? 'raw' : 'raw-tls';
        my $c = opened($tls ? $s->{tls_port} : $s->{port}, $model, (qw(delay:20:5 stall:3 silent endless gate:2))[$i % 5], $i % 7 ? 1 : 0, tls => $tls);
        if ($i % 5 != 2 && $i % 7 && $i % 4) { $c->head($PATIENCE); $c->event($PATIENCE) for 1 .. $i % 3 }
        $c->send_raw("GET /server-status HTTP/1.1\r\nHost: x\r\n\r\n") if $i % 6 == 0;
        $i % 2 ? $c->close : $c->rst;
    }
    return;
}

# Clients that do not read for a while, and then everything or nothing.
sub sleepers {
    my ($s) = @_;
    my @slow = map { opened($_ % 2 ? $s->{tls_port} : $s->{port}, $_ % 3 ? 'raw' : 'raw-drain', 'long:3000', 1, tls => $_ % 2, rcvbuf => 4096) } 1 .. sized(12);
    push @slow, map { opened($s->{port}, 'raw', 'endless', 1, rcvbuf => 4096) } 1 .. sized(6);
    my @pads = map { opened($s->{port}, 'raw', 'pad:2000000', 0, rcvbuf => 4096, path => $_ % 2 ? '/prompt/v1/chat/completions' : $PATH) } 1 .. sized(6);
    $_->head($PATIENCE) for @slow;
    sleep 1;
    my @wrong;
    for my $i (0 .. $#slow) {
        if ($i >= sized(12)) { $slow[$i]->rst; next }
        if ($i % 4 == 3)     { $slow[$i]->close; next }
        1 while $slow[$i]->event($PATIENCE);
    }
    for (@pads) {
        my $r = $_->response($PATIENCE);
        push @wrong, "a large answer: $r->{status}, $r->{broken}" unless $r->complete;
    }
    return @wrong;
}

sub detached {
    my ($s) = @_;
    my @wrong;
    for my $i (1 .. sized(40)) {
        my ($query, $want) = @{ (['model=echo&text=one', 'text=one'], ['model=raw:ok', 'finish=stop'], ['model=test', 'third party'], ['model=echo-slow&cancel=1', 'shutting_down'],
            ['model=self&text=x', 'finish=stop'], ['model=dead', 'upstream_connect_failed'])[$i % 6] };
        my $r = AIGW::Client::get("/test/detached?$query", port => $s->{port}, timeout => $PATIENCE);
        push @wrong, "$query: $r->{content}" if index($r->{content}, $want) < 0;
    }
    return @wrong;
}

# More threads than connections, of a Redis that is well, slow, mute and broken by turns.
sub limits {
    my ($s) = @_;
    my (@wrong, %seen);
    for my $i (1 .. sized(24)) {
        $proxy->mode(@{ (['pass'], ['pass', delay_ms => 20], ['pass'], ['hold'], ['pass'], ['reset'], ['pass'], ['garbage'])[$i % 8] });
        my @c = map { AIGW::Client->new(port => $s->{port}, timeout => $PATIENCE) } 1 .. 6;
        $_->request(GET => '/test/redis?' . ($i % 2 ? 'cmd=INCR%20a' : 'eval=1%20b%203') . '&n=15') for @c;
        for my $answer (map { split /\n/, $_->response->content } @c) {
            my ($how) = $answer =~ /^(ok (?:\d+|\[ \d+ 3\/1 b\/1 \]3)|again|timeup|reset|refused)\z/ or push @wrong, $answer;
            $seen{ ($how // '') =~ s/ .*//r }++;
        }
    }
    return @wrong, $seen{ok} && $seen{again} && $seen{timeup} ? () : 'only seen: ' . join ' ', sort keys %seen;
}

# Several questions on a connection. A child that is being replaced closes those that are idle: then a new one is made.
sub keep_alive {
    my ($s, $tls) = @_;
    my @wrong;
    for (1 .. sized(4)) {
        my $c;
        for my $i (1 .. 10) {
            $c ||= AIGW::Client->new(port => $tls ? $s->{tls_port} : $s->{port}, tls => $tls, timeout => $PATIENCE);
            my @more = ($i % 4 ? () : (stream => $true), aigw_bench => { tokens => 3, rate => 100 });
            my $r = eval {
                $c->request(POST => ($i % 2 ? '/prompt' : '/parked') . '/v1/chat/completions', json => body($i % 3 ? 'echo' : 'bench', @more));
                $c->response($PATIENCE);
            };
            push @wrong, "request $i: $r->{status}" if $r && ($r->{status} != 200 || !$r->complete);
            push @wrong, $@ if !$r && $@ !~ /closed|reset/;
            undef $c if !$r || lc($r->header('Connection') // '') eq 'close';
        }
        # two at once; after the first it may be closed
        my $two = AIGW::Client->new(port => $s->{port}, timeout => $PATIENCE);
        $two->send_raw(join '', map { $two->request_bytes(POST => $PATH, json => body('echo', stream => $true)) } 1, 2);
        push @{ $two->{asked} }, 'POST', 'POST';
        push @wrong, 'pipelined: not whole' unless $two->response($PATIENCE)->complete;
        eval { $two->response($PATIENCE) };
    }
    return @wrong;
}

# ------------------------------------------------------------------ the run

# Connections that are parked: each has an eventfd. A child has a few more.
sub parked { my ($s) = @_; return scalar grep { (readlink // '') eq 'anon_inode:[eventfd]' } map { glob "/proc/@{[m{(\d+)}]}/fd/*" } $s->children }

my $s = start_gateway();
said('the gateway runs');
ok(race($s), 'two threads have raced for a number');
group('every endpoint', sub { return every_endpoint($s, qw(echo bench self raw:ok)) });
join_groups();
said('every endpoint was asked');

my @stream = ('--port', $s->{port}, '--path', $PATH, '--rate', 20);
my @tls    = ('--tls', '--port', $s->{tls_port}, '--path', $PATH, '--rate', 20);
my $self_body = '{"model":"self","stream":true,"messages":[{"role":"user","content":"hello"}]}';
group('streams',                    sub { load(@stream, '--streams', sized(50), '--total', sized(200), '--tokens', 20) });
group('streams that are hung up on', sub { load(@stream, '--streams', sized(20), '--total', sized(120), '--tokens', 20, '--abort-percent', 50) });
group('streams over TLS',           sub { load(@tls, '--streams', sized(20), '--total', sized(80), '--tokens', 20, '--abort-percent', 20) });
group('TLS on both sides',          sub { load(@tls, '--streams', sized(10), '--total', sized(30), '--body', $self_body, '--abort-percent', 20) });
group('a flood',                    sub { load(@stream, '--streams', 4, '--total', sized(12), '--tokens', 300, '--rate', 0) });
group('JSON calls, parked',         sub { load('--port', $s->{port}, '--path', $PATH, '--json', '--streams', 8, '--total', sized(200)) });
group('JSON calls, prompt',         sub { load('--port', $s->{port}, '--path', '/prompt/v1/chat/completions', '--json', '--streams', 4, '--total', sized(200)) });
group('JSON calls that take longer than they used to', sub { load('--port', $s->{port}, '--path', '/prompt/v1/chat/completions', '--json', '--streams', 4, '--total', sized(40), '--delay-ms', 150) });
group('faults of the upstream',     sub { return faults($s) });
group('clients that leave',         sub { return leavers($s) });
group('clients that do not read',   sub { return sleepers($s) });
group('calls without a client',     sub { return detached($s) });
group('Redis',                      sub { return limits($s) });
group('keep-alive',                 sub { return keep_alive($s, 0) });
group('keep-alive over TLS',        sub { return keep_alive($s, 1) });
sleep 2;
my @old = $s->children;
$s->signal('USR1');
said('graceful restart');
join_groups();
said('all clients are done');
ok(scalar eval { $s->wait_for('new children', $PATIENCE, sub { my %was = map { $_ => 1 } @old; return scalar grep { !$was{$_} } $s->children }) }, 'there are new children', $@);
ok(race($s), 'another race, in the new child');

# a graceful stop: what is open is finished
my $hold = sub { load(@_, '--streams', sized(30), '--tokens', 100) };
group('streams through a graceful stop', sub { $hold->(@stream) });
group('TLS streams through a graceful stop', sub { $hold->(@tls) });
my $open = 0;
ok(scalar eval { $s->wait_for('open streams', $PATIENCE / 2, sub { $open = parked($s); $open >= 2 * sized(30) }) }, 'streams are open', "$open: $@");
$s->signal('WINCH');
join_groups();
ok(scalar eval { $s->wait_end($PATIENCE) }, 'the graceful stop has ended', $@);
said('stopped gracefully');
my @crashes = $s->crashes;

# a hard one: streams, and calls that drain, are cut
my $t = start_gateway();
my @open = map { opened($_ % 2 ? $t->{tls_port} : $t->{port}, $_ % 3 ? 'raw' : 'raw-drain', 'stall:3', 1, tls => $_ % 2) } 1 .. sized(20);
for (@open) { $_->head($PATIENCE); $_->event($PATIENCE) }
push @open, map { opened($t->{port}, 'raw', 'silent', 0, path => $_ % 2 ? '/block/v1/chat/completions' : $PATH) } 1 .. 4;
(shift @open)->rst for 1 .. sized(5);
$t->signal('TERM');
ok(scalar eval { $t->wait_end($PATIENCE) }, 'the hard stop has ended', $@);
said('stopped');
push @crashes, $t->crashes;
ok(!@crashes, 'no crash in the error logs', @crashes);
exit judge();
