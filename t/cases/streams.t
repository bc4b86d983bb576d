# Streams and connections: keep-alive, pipelining, what else is served meanwhile, a slow client, HTTP/2, TLS, Timeout.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(time);
use AIGW::Client qw(chat get);
use AIGW::Many;
use AIGW::Log;
use AIGW::Raw;

my $port  = Apache::Test::vars('port');
my $event = Apache::Test::have_module('mpm_event');
my $tls   = AIGW::Client::have_tls();
my @where = ([plain => $port], $tls ? [tls => Apache::Test::vars('tls_port')] : ());
plan tests => @where * 24 + 18 + 1, need_module('mod_aigw');

sub body { my ($model, %more) = @_; return { model => $model, stream => \1, messages => [{ role => 'user', content => 'a b c' }], %more } }

for my $where (@where) {
    my ($name, $p) = @$where;
    # one connection: three streams, a JSON answer, an error, a file
    my $c = AIGW::Client->new(port => $p, tls => $name eq 'tls');
    for my $i (1 .. 3) {
        my $tag = tag();
        $c->request(POST => '/v1/chat/completions', headers => { 'X-Request-ID' => $tag }, json => body('up'));
        my $r = $c->response;
        is $r->text, 'a b c', "$name, keep-alive: stream $i";
        is access_wait($tag)->{mode}, $event ? 'parked' : 'blocking', "$name: parked where that is possible";
    }
    $c->request(POST => '/v1/chat/completions', json => { %{ body('up') }, stream => \0 });
    is $c->response->text, 'a b c', "$name, keep-alive: a JSON answer";
    $c->request(POST => '/v1/chat/completions', json => body('nobody'));
    is $c->response->{status}, 404, "$name, keep-alive: an error";
    $c->request(POST => '/v1/chat/completions', json => body('echo-429'));
    is $c->response->{status}, 429, "$name, keep-alive: a model's error";
    $c->request(GET => '/static.txt');
    is $c->response->content, "static\n", "$name, keep-alive: a file";

    # all at once
    $c = AIGW::Client->new(port => $p, tls => $name eq 'tls');
    $c->send_raw(join '', $c->request_bytes(POST => '/v1/chat/completions', json => body('up')), $c->request_bytes(GET => '/static.txt'),
        $c->request_bytes(POST => '/v1/chat/completions', json => body('echo')), $c->request_bytes(POST => '/v1/chat/completions', json => { %{ body('echo') }, stream => \0 }),
        $c->request_bytes(GET => '/static.txt'));
    is $c->response->text, 'a b c', "$name, pipelined: a stream";
    is $c->response->content, "static\n", "$name, pipelined: a file";
    is $c->response->text, 'a b c', "$name, pipelined: another stream";
    is $c->response->text, 'a b c', "$name, pipelined: a JSON answer";
    is $c->response->content, "static\n", "$name, pipelined: and a file";

    # each event by itself: none waits for the next
    my $tag = tag();
    $c = AIGW::Client->new(port => $p, tls => $name eq 'tls');
    $c->request(POST => '/v1/chat/completions', json => body('raw', scenario => 'gate:3', tag => $tag));
    $c->head;
    my @first = map { $c->event->{data} } 1 .. 3;
    is scalar(grep { /chat\.completion\.chunk/ } @first), 3, "$name: what the upstream has said is here before it says more";
    is raw_go($tag), 1, '… it was waiting';
    is(($c->events)[-1]{data}, '[DONE]', '… and then the rest');

    # HTTP/1.0, and a connection that is to be closed
    $c = AIGW::Client->new(port => $p, tls => $name eq 'tls');
    my $json = '{"model":"up","stream":true,"messages":[{"role":"user","content":"a b c"}]}';
    $c->send_raw("POST /v1/chat/completions HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " . length($json) . "\r\n\r\n$json");
    my $r = $c->response;
    is $r->text, 'a b c', "$name: HTTP/1.0";
    is $r->header('Transfer-Encoding'), undef, '… without chunks';
    $c = AIGW::Client->new(port => $p, tls => $name eq 'tls');
    $c->request(POST => '/v1/chat/completions', headers => { Connection => 'close' }, json => body('up'));
    is $c->response->text, 'a b c', "$name: Connection: close";
    is $c->wait_eof, 'closed', '… is closed';

    # a client that does not read: nothing is lost, and others are served
    $tag = tag();
    $c = AIGW::Client->new(port => $p, tls => $name eq 'tls', rcvbuf => 4096);
    $c->request(POST => '/v1/chat/completions', json => body('raw', scenario => 'long:8000', tag => $tag));
    raw_wait('blocked', tag => $tag);
    is chat('up', 'others go on', port => $port, stream => 1)->text, 'others go on', "$name, a client that does not read: the upstream has to wait, others need not";
    $r = $c->response;
    my $events = () = $r->content =~ /^data: \{/mg;
    cmp_ok $events, '>=', 8000, '… and nothing is lost';
}

# Clients that do not read a model that is faster than they are: the event loops are not kept busy by them.
{
    my @deaf = map {
        my $c = AIGW::Client->new(port => $port, rcvbuf => 4096);
        $c->request(POST => '/t/settings/v1/chat/completions', json => body('echo', aigw_echo => { words => 100_000, delay_ms => 1 }));
        $c->head;
        $c
    } 1 .. 8;
    my $c = AIGW::Client->new(port => $port, rcvbuf => 4096);
    $c->request(POST => '/t/settings/v1/chat/completions', json => body('echo', aigw_echo => { words => 40_000 }));
    $c->head;
    my $good = 0;
    $good += (chat('up', 'a b', port => $port, stream => 1)->text // '') eq 'a b' for 1 .. 20;
    is $good, 20, 'nine clients that do not read: others are answered';
    my $words = () = $c->rest =~ /"content":" ?[abc]"/g;
    is $words, 40_000, '… and one that reads in the end has all';
    $_->rst for @deaf;
}

# Longer than Timeout: 2 s there.
my $impatient = Apache::Test::vars('impatient_port');
my $r = chat('raw', 'x', port => $impatient, stream => 1, more => { scenario => 'delay:600:8' });
is(($r->data)[-1], '[DONE]', 'a stream outlives Timeout');
$r = chat('raw', 'x', port => $impatient, stream => 1, more => { scenario => 'ttft:4500' });
is(($r->data)[-1], '[DONE]', 'and so does silence');

# What is not parked says so, and works.
my $tag = tag();
chat('up', 'a', port => $port, path => '/block/v1/chat/completions', stream => 1, headers => { 'X-Request-ID' => $tag });
is access_wait($tag)->{mode}, 'blocking', 'AIGWPark off';
$tag = tag();
$r = chat('up', 'a b', port => $port, path => '/t/ratelimit/v1/chat/completions', stream => 1, headers => { 'X-Request-ID' => $tag });
is $r->text, 'a b', 'with a filter that sleeps';
is access_wait($tag)->{mode}, 'blocking', '… not parked';
$r = chat('up', 'a b', port => $port, path => '/t/deflate/v1/chat/completions', stream => 1, headers => { 'Accept-Encoding' => 'gzip' });
is $r->header('Content-Encoding'), undef, 'mod_deflate leaves a stream alone';
is $r->text, 'a b', '… which arrives';

# Many at once: more than there are threads, where a stream is no thread.
my $n = $event ? 1000 : 40;
my $threads = 0;
my $busy = many($n, port => $port, timeout => 90, json => { %{ body('raw') }, scenario => 'gate:2', tag => 'crowd' }, when_open => sub {
    my $began = time;
    is get('/static.txt', port => $port)->content, "static\n", "$n open streams: a file is served";
    is get('/v1/models', port => $port)->{status}, 200, '… and the model list';
    is chat('echo', 'me too', port => $port, stream => 1)->text, 'me too', '… and another stream';
    cmp_ok time - $began, '<', 10, sprintf '… in %.0f ms', 1000 * (time - $began);
    for my $pid (split ' ', `cat @{[Apache::Test::vars('t_pid_file')]} | xargs pgrep -P`) {
        my @tasks = glob "/proc/$pid/task/*";
        $threads = @tasks if @tasks > $threads;
    }
    raw_go('crowd');
});
is $busy->{done}, $n, "$n streams: all complete";
is $busy->{complete}, $n, '… and their responses too';
is_deeply $busy->{status}, { 200 => $n }, '… each with 200';
SKIP: {
    skip 'a thread a stream', 2 unless $event;
    # 16 workers, up to 4 reactors, listener, main, up to 4 helpers, defer, and mod_http2's own (16 to 24)
    cmp_ok $threads, '<', 70, "$threads threads";
    cmp_ok $threads, '>', 16, '… were counted';
}
log_clean();
