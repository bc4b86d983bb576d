# The header fields of every answer: X-Request-ID, X-Process-Time, Server-Timing, those of a stream; and the trace that goes on to the upstream.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use IO::Uncompress::Gunzip qw(gunzip);
use AIGW::Client qw(get);
use AIGW::Log;
use AIGW::Raw;

my $port  = Apache::Test::vars('port');
my $vhost = Apache::Test::vars('errors_port');
my @where = ('', '/block');
my $uuid  = qr/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/;

my $messages = '"messages":[{"role":"user","content":"a b c"}]';
# What is asked (method, path, body, more), the status, and whether it is a stream, a whole answer of an upstream ("call") or something else.
my @asked = (
    ['POST', '/v1/chat/completions',    "{\"model\":\"raw\",$messages}",                  200, 'call'],
    ['POST', '/v1/chat/completions',    "{\"model\":\"raw\",\"stream\":true,$messages}",  200, 'stream'],
    ['POST', '/v1/chat/completions',    "{\"model\":\"echo\",$messages}",                 200, 'call'],
    ['POST', '/v1/chat/completions',    "{\"model\":\"echo\",\"stream\":true,$messages}", 200, 'stream'],
    ['POST', '/v1/chat',                '{"message":"a b"}',                              200, 'call'],
    ['POST', '/v1/chat/stream',         '{"message":"a b"}',                              200, 'stream'],
    ['POST', '/api/v1/generate',        '{"prompt":"a b"}',                               200, 'call'],
    ['POST', '/api/v2/generate',        '{"prompt":"a b","model":"raw:ok"}',              200, 'call'],
    ['POST', '/api/v1/stream/generate', '{"prompt":"a b","model":"raw:ok"}',              200, 'stream'],
    ['GET',  '/v1/models',              undef,                                            200, 'other'],
    ['HEAD', '/v1/models',              undef,                                            200, 'other'],
    ['GET',  '/v1/models/echo',         undef,                                            200, 'other'],
    ['GET',  '/v1/models/nobody',       undef,                                            404, 'other'],
    ['GET',  '/v1/chat',                undef,                                            405, 'other'],
    ['POST', '/v1/chat/nowhere',        '{}',                                             404, 'other'],
    ['POST', '/v1/chat',                '{',                                              400, 'other'],
    ['POST', '/v1/chat',                '{"message":""}',                                 400, 'other'],
    ['POST', '/v1/chat/completions',    "{\"model\":\"nobody\",$messages}",               404, 'other'],
    ['POST', '/v1/chat/completions',    "{\"model\":\"echo-429\",\"stream\":true,$messages}", 429, 'other'],
    ['POST', '/v1/chat/completions',    "{\"model\":\"dead\",$messages}",                 502, 'other'],
    ['POST', '/v1/chat/completions',    "{\"model\":\"raw\",\"scenario\":\"status:503\",\"stream\":true,$messages}", 503, 'other'],
    ['POST', '/v1/chat/completions',    "{\"model\":\"raw\",\"scenario\":\"close-before\",$messages}", 502, 'other'],
    ['POST', '/v1/chat',                '{}',                                             415, 'other', 'Content-Type' => 'text/plain'],
    ['POST', '/v1/chat',                undef,                                            413, 'other', 'Content-Type' => 'application/json', 'Content-Length' => 2_000_000],
);
my @httpd = (['/t/errors/nowhere', 404], ['/t/errors/v1/nowhere', 404]); # httpd's own errors, where AIGWErrors is on
my @taken = ('a', 'x' x 128, 'A-Za-z0-9._:-', '0', '-', '....', '550e8400-e29b-41d4-a716-446655440000');
my @not_taken = ('', ' ', 'x' x 129, 'x' x 1000, 'a b', 'a,b', "gr\xc3\xbcezi", '<script>', 'a/b', "a\tb", 'a"b', 'a%0d%0aSet-Cookie:x', '{}', 'a;b', 'a@b');
my @streams = (['/v1/chat/completions', "{\"model\":\"raw\",\"stream\":true,$messages}"], ['/v1/chat/completions', "{\"stream\":true,$messages}"], ['/v1/chat/stream', '{"message":"a b c"}'],
    ['/api/v1/stream/generate', '{"prompt":"a b c"}']);
my $given = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
my @broken = ('nonsense', '00-00000000000000000000000000000000-00f067aa0ba902b7-01', '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01', 'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    '00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7', "$given-x");
plan tests => @where * (7 * @asked + 4 * @httpd + 2 * @taken + 2 * @not_taken + 11 * 2 * @streams + 4 + 4 + 4 * 3 + 3 + 2 * @broken + 4) + 4 * 3 + 3 + 2 + 6 + 1,
    need_module('mod_aigw', 'mod_aigw_stream', 'mod_deflate');
expect_log(qr/AIGW0173: .* model dead/, qr/AIGW018\d: .* model raw:/);

sub ask {
    my ($method, $path, $body, @fields) = @_;
    my $c = AIGW::Client->new(port => $port);
    $c->request($method => $path, headers => [Connection => 'close', @fields], defined $body ? (body => $body) : ());
    return $c->response;
}

sub all_of { my ($r, $name) = @_; return [$r->header($name)] }

for my $where (@where) {
    for my $case (@asked) {
        my ($method, $below, $body, $status, $kind, @fields) = @$case;
        my $name = "$method $where$below $status" . ($kind eq 'stream' ? ', stream' : '');
        my $tag = tag();
        my $r = ask($method, "$where$below", $body, @fields, 'X-Request-ID' => $tag);
        is $r->{status}, $status, "$name: the status";
        is_deeply all_of($r, 'X-Request-ID'), [$tag], "$name: X-Request-ID, once";
        my @time = $r->header('X-Process-Time');
        like "@time", qr/^\d+\.\d{4}$/, "$name: X-Process-Time, once";
        my @timing = $r->header('Server-Timing');
        my $part = qr/[a-z]+;dur=\d+(?:\.\d+)?/;
        if ($kind eq 'stream') {
            like "@timing", qr/^(?:(?!total)$part, )*upstream;dur=[\d.]+$/, "$name: Server-Timing, the upstream but no total";
        }
        elsif ($kind eq 'call') { like "@timing", qr/^(?:$part, )*upstream;dur=[\d.]+, total;dur=[\d.]+$/, "$name: Server-Timing, the upstream and the total" }
        else                    { like "@timing", qr/^(?:$part, )*total;dur=[\d.]+$/, "$name: Server-Timing, the total" }
        if ($kind eq 'stream') { is $r->header('Content-Length'), undef, "$name: no Content-Length" }
        else                   { like $r->header('Content-Length') // '', qr/^[1-9]\d*$/, "$name: Content-Length" }
        is_deeply all_of($r, 'Content-Type'), [$kind eq 'stream' ? 'text/event-stream; charset=utf-8' : 'application/json'], "$name: Content-Type";
        if ($status >= 400) { is $r->header('Cache-Control'), 'no-store', "$name: an error is not for caches" }
        else                { unlike $r->header('Cache-Control') // '', qr/public|max-age/, "$name: not for caches" }
    }
    for my $case (@httpd) {
        my ($path, $status) = @$case;
        my $tag = tag();
        my $r = ask(GET => "$where$path", undef, 'X-Request-ID' => $tag);
        is $r->{status}, $status, "$where$path: $status";
        is_deeply all_of($r, 'X-Request-ID'), [$tag], "$where$path: X-Request-ID, once";
        like $r->header('X-Process-Time') // '', qr/^\d+\.\d{4}$/, "$where$path: X-Process-Time";
        like $r->header('Server-Timing') // '', qr/^total;dur=[\d.]+$/, "$where$path: Server-Timing";
    }

    # ------------------------------------------------ the ID: the client's, if it is one
    for my $id (@taken) {
        is_deeply all_of(ask(GET => "$where/v1/models", undef, 'X-Request-ID' => $id), 'X-Request-ID'), [$id], "$where ID '" . substr($id, 0, 40) . "': taken";
        is_deeply all_of(ask(POST => "$where/v1/chat", '{"message":"x"}', 'x-request-id' => $id), 'X-Request-ID'), [$id], "$where … of a call too";
    }
    for my $id (@not_taken) {
        my $name = "$where ID '" . substr($id, 0, 40) =~ s/[^ -~]/./gr . "'";
        my @made = map { ask(@$_, 'X-Request-ID' => $id)->header('X-Request-ID') } [GET => "$where/v1/models", undef], [POST => "$where/v1/chat", '{'];
        like "@made", qr/^$uuid $uuid$/, "$name: a new one is made";
        isnt $made[0], $made[1], "$name: … each time";
    }
    my %made = map { scalar ask(GET => "$where/v1/models", undef)->header('X-Request-ID') => 1 } 1 .. 20;
    is scalar(grep { /^$uuid$/ } keys %made), 20, "$where no ID: one is made, each time another";
    like ask(GET => "$where/v1/models", undef, 'X-Request-ID' => 'one', 'X-Request-ID' => 'two')->header('X-Request-ID'), qr/^$uuid$/, "$where two IDs are none";
    my $tag = tag();
    ask(POST => "$where/v1/chat/completions", "{\"model\":\"raw\",$messages}", 'X-Request-ID' => $tag);
    is scalar @{ raw_log($tag)->{requests} }, 1, "$where the ID goes on to the upstream";
    my $own = ask(POST => "$where/v1/chat/completions", "{\"model\":\"raw\",$messages}")->header('X-Request-ID');
    is scalar @{ raw_log($own)->{requests} }, 1, "$where … also one that was made";

    # ------------------------------------------------ a stream, with and without a filter that would compress it
    for my $case (map { (["$where$_->[0]", $_->[1]], ["$where/t/deflate$_->[0]", $_->[1]]) } @streams) {
        my ($path, $body) = @$case;
        my $r = ask(POST => $path, $body, 'Accept-Encoding' => 'gzip, deflate, br');
        is $r->{status}, 200, "$path: 200";
        is_deeply all_of($r, 'Content-Type'), ['text/event-stream; charset=utf-8'], "$path: Content-Type";
        is_deeply all_of($r, 'Cache-Control'), ['no-cache'], "$path: Cache-Control";
        is_deeply all_of($r, 'X-Accel-Buffering'), ['no'], "$path: X-Accel-Buffering";
        is_deeply all_of($r, 'Content-Encoding'), [], "$path: no Content-Encoding";
        is_deeply all_of($r, 'Content-Length'), [], "$path: no Content-Length";
        is_deeply all_of($r, 'Transfer-Encoding'), ['chunked'], "$path: chunked";
        is scalar(grep { $r->header($_) } qw(ETag Last-Modified Content-MD5 Accept-Ranges Expires)), 0, "$path: nothing of a file";
        is scalar(grep { $_->[1] =~ /rawup/ || $_->[0] =~ /openai/i } @{ $r->{fields} }), 0, "$path: nothing of the upstream's";
        like $r->content, qr/\Adata: \{/, "$path: plain text";
        like $r->header('X-Process-Time') // '', qr/^\d+\.\d{4}$/, "$path: X-Process-Time";
    }
    # what is no stream may well be compressed
    my $r = ask(POST => "$where/t/deflate/v1/chat", '{"message":"' . 'again and again ' x 200 . '"}', 'Accept-Encoding' => 'gzip');
    is $r->{status}, 200, "$where whole and compressed: 200";
    is $r->header('Content-Encoding'), 'gzip', "$where whole and compressed";
    my $zipped = $r->content;
    my $text = '';
    ok gunzip(\$zipped => \$text), "$where whole and compressed: gunzip takes it";
    like $text, qr/"content":"again and again /, "$where whole and compressed: the answer";

    # ------------------------------------------------ the trace
    my @calls = (['/v1/chat/completions', "{\"model\":\"raw\",$messages}"], ['/v1/chat/completions', "{\"model\":\"raw\",\"stream\":true,$messages}"], ['/v1/chat', '{"message":"x","model":"raw"}'],
        ['/api/v1/stream/generate', '{"prompt":"x","model":"raw"}']);
    my %span;
    for my $case (@calls) {
        my ($path, $body) = @$case;
        $tag = tag();
        ask(POST => "$where$path", $body, traceparent => $given, 'X-Request-ID' => $tag);
        my ($request) = @{ raw_log($tag)->{requests} };
        my @trace = map { $_->[1] } grep { lc $_->[0] eq 'traceparent' } @{ $request->{headers} };
        is scalar @trace, 1, "$where$path: one traceparent";
        like $trace[0], qr/^00-4bf92f3577b34da6a3ce929d0e0e4736-(?!0{16})[0-9a-f]{16}-01$/, "$where$path: the trace goes on";
        unlike $trace[0], qr/00f067aa0ba902b7/, "$where$path: … in a new span";
        $span{ $trace[0] } = 1;
    }
    is scalar keys %span, @calls, "$where each call has a span of its own";
    $tag = tag();
    ask(POST => "$where/v1/chat", '{"message":"x","model":"raw"}', traceparent => $given =~ s/01$/00/r, 'X-Request-ID' => $tag);
    like raw_log($tag)->{requests}[0]{header}{traceparent}, qr/^00-4bf92f3577b34da6a3ce929d0e0e4736-.*-00$/, "$where what is not sampled stays so";
    $tag = tag();
    ask(POST => "$where/v1/chat", '{"message":"x","model":"raw"}', traceparent => $given =~ s/^00/01/r . '-later', 'X-Request-ID' => $tag);
    like raw_log($tag)->{requests}[0]{header}{traceparent}, qr/^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/, "$where a later version is understood as far as it goes";
    for my $trace (@broken) {
        $tag = tag();
        ask(POST => "$where/v1/chat", '{"message":"x","model":"raw"}', traceparent => $trace, 'X-Request-ID' => $tag);
        my $sent = raw_log($tag)->{requests}[0]{header}{traceparent};
        like $sent, qr/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/, "$where instead of '$trace' a new trace";
        unlike $sent, qr/4bf92f3577b34da6a3ce929d0e0e4736/i, "$where … a new one";
    }

    # ------------------------------------------------ the clock runs until the first byte
    my $slow = ask(POST => "$where/v1/chat/completions", "{\"model\":\"raw\",\"scenario\":\"ttft:300\",\"stream\":true,$messages}");
    cmp_ok $slow->header('X-Process-Time'), '>=', 0.3, "$where X-Process-Time: to the first byte";
    my ($upstream) = $slow->header('Server-Timing') =~ /upstream;dur=([\d.]+)/;
    cmp_ok $upstream // 0, '>=', 300, "$where Server-Timing: upstream, in milliseconds";
    cmp_ok $upstream // 0, '<=', 1000 * $slow->header('X-Process-Time') + 1, "$where … a part of it";
    my $waits = AIGW::Client->new(port => $port);
    $tag = tag();
    $waits->request(POST => "$where/v1/chat/completions", headers => { 'X-Request-ID' => $tag }, body => "{\"model\":\"raw\",\"scenario\":\"gate:2\",\"stream\":true,$messages}");
    like $waits->head->header('X-Process-Time') // '', qr/^\d+\.\d{4}$/, "$where X-Process-Time: there while the upstream waits with the rest";
    raw_go($tag);
    $waits->rest;
}

# Errors before a request is understood have an ID too, one that the gateway made or, where it can be read, the client's.
for my $bytes ("NONSENSE\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n", 'GET /' . 'x' x 2000 . " HTTP/1.1\r\nHost: x\r\n\r\n") {
    my $c = AIGW::Client->new(port => $vhost);
    $c->send_raw($bytes);
    my $r = $c->response;
    my $name = substr($bytes, 0, 20) =~ s/[\r\n]/./gr;
    like $r->{status}, qr/^4/, "$name: an error";
    like join(',', $r->header('X-Request-ID')), qr/^$uuid$/, "$name: X-Request-ID, once";
    like join(',', $r->header('X-Process-Time')), qr/^\d+\.\d{4}$/, "$name: X-Process-Time, once";
    is $r->header('Content-Type'), 'application/json', "$name: JSON";
}

# A connection's next request has an ID of its own; one that is pipelined too.
my $c = AIGW::Client->new(port => $port);
$c->send_raw(join '', map { $c->request_bytes(GET => '/v1/models', @$_) } [headers => { 'X-Request-ID' => 'first' }], [], [headers => { 'X-Request-ID' => 'third' }]);
my @ids = map { scalar $c->response->header('X-Request-ID') } 1 .. 3;
is $ids[0], 'first', 'pipelined: the first';
like $ids[1], qr/^$uuid$/, 'pipelined: the second, its own';
is $ids[2], 'third', 'pipelined: the third';

# What has nothing to do with the gateway is left alone.
my $file = get('/static.txt', port => $port);
is_deeply [map { all_of($file, $_) } qw(X-Request-ID X-Process-Time Server-Timing)], [[], [], []], 'a file: none of ours';
is $file->content, "static\n", 'a file';

# Wherever the answer is no file, it is not taken for another type either.
for my $path ('/v1/models', '/v1/models/nobody') {
    for my $fields ([Range => 'bytes=0-3'], ['If-None-Match' => '*'], ['If-Modified-Since' => 'Wed, 21 Oct 2037 07:28:00 GMT']) {
        my $r = ask(GET => $path, undef, @$fields);
        is $r->{status}, $path =~ /nobody/ ? 404 : 200, "$path, $fields->[0]: a whole answer";
    }
}

log_clean();
