package AIGW::Scenarios;
# What the raw upstream can do with a request, by name. A scenario is a list of actions:
#   a string                 these bytes are sent, in a write of their own
#   { wait => seconds }
#   { stall => 1 }           nothing more, until the peer goes
#   { gate => 1 }            nothing more, until POST /_go says so
#   { close => 'fin'|'rst' } the connection is closed, what was said before having been delivered
#   { later => 'fin'|'rst' } the connection is closed so when the answer is over: at once, or (rst) when a second request comes
#   sub { … }                more actions, made when their turn comes
# At the end of the list the connection is kept for the next request.
use strict;
use warnings;
use JSON::PP ();

my $json = JSON::PP->new->canonical->utf8;
my @WORDS = qw(one two three four five six seven eight nine ten);
use constant CREATED => 1_700_000_000;

# The actions for a question: { model, stream, include_usage, scenario, n (number of the request), close (it wants its connection closed) }.
my %scenario;
sub actions {
    my ($q) = @_;
    my ($name, $arg) = split /:/, $q->{scenario}, 2;
    my $sub = $scenario{$name} or return answer_json($q, 500, error_json("there is no scenario $name", 'rawup', 'no_scenario'));
    $q->{args} = [split /[:,]/, $arg // ''];
    return $sub->($q);
}

sub names { return sort keys %scenario }

sub arg {
    my ($q, $i, $default) = @_;
    my $given = $q->{args}[$i];
    return defined $given && length $given ? $given : $default;
}

# ------------------------------------------------------------------ JSON

sub words {
    my ($n) = @_;
    return map { ($_ ? ' ' : '') . $WORDS[$_ % @WORDS] } 0 .. $n - 1;
}

sub usage { return sprintf '{"prompt_tokens":7,"completion_tokens":%d,"total_tokens":%d}', $_[0], $_[0] + 7 }

# What the scenario says, a JSON text, '' for none; or of so many words.
sub usage_of { my ($q, $n) = @_; return $q->{usage} // usage($n) }

# The members that all chunks of an answer share, in OpenAI's order.
sub envelope {
    my ($q, $object) = @_;
    return sprintf '"id":"chatcmpl-raw%d","object":"%s","created":%d,"model":%s,"system_fingerprint":"fp_raw"', $q->{n}, $object, CREATED,
        $json->allow_nonref->encode($q->{model});
}

# $more: further members, with a leading comma
sub chunk_json {
    my ($q, $delta, $finish, $more) = @_;
    return sprintf '{%s,"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}]%s}', envelope($q, 'chat.completion.chunk'),
        $delta, $finish ? qq("$finish") : 'null', $more // '';
}

sub completion_json {
    my ($q, $message, $finish, $n) = @_;
    return sprintf '{%s,"choices":[{"index":0,"message":%s,"logprobs":null,"finish_reason":"%s"}],"usage":%s}',
        envelope($q, 'chat.completion'), $message, $finish, usage_of($q, $n) || 'null';
}

sub text_json { return sprintf '{"role":"assistant","content":%s,"refusal":null}', $json->allow_nonref->encode($_[0]) }

sub error_json {
    my ($message, $type, $code) = @_;
    return $json->encode({ error => { message => $message, type => $type, param => undef, code => $code } });
}

# ------------------------------------------------------------------ server-sent events

sub sse { return "data: $_[0]\n\n" }

sub text_event {
    my ($q, $text, $more) = @_;
    return sse(chunk_json($q, '{"content":' . $json->allow_nonref->encode($text) . '}', undef, $more));
}

# All events of an answer of so many words. o: more, text (sub: a word's content), finish, done (0: leave it out)
sub events {
    my ($q, $n, %o) = @_;
    my @text = map { $o{text} ? $o{text}->($_) : $_ } words($n);
    return (
        sse(chunk_json($q, '{"role":"assistant","content":"","refusal":null}', undef, $o{more})),
        (map { text_event($q, $_, $o{more}) } @text),
        ending($q, $n, %o),
    );
}

sub ending {
    my ($q, $n, %o) = @_;
    return (
        ($o{finish} // 1) ? sse(chunk_json($q, '{}', 'stop', $o{more})) : (),
        $q->{include_usage} && usage_of($q, $n) ? sse(sprintf '{%s,"choices":[],"usage":%s}', envelope($q, 'chat.completion.chunk'), usage_of($q, $n)) : (),
        ($o{done} // 1) ? sse('[DONE]') : (),
    );
}

# ------------------------------------------------------------------ HTTP

my %REASON = (200 => 'OK', 204 => 'No Content', 400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden', 404 => 'Not Found',
    429 => 'Too Many Requests', 500 => 'Internal Server Error', 502 => 'Bad Gateway', 503 => 'Service Unavailable');

sub head {
    my ($q, $status, @fields) = @_;
    push @fields, 'Connection: close' if $q->{close} && !grep { /^connection:/i } @fields;
    return join "\r\n", "HTTP/1.1 $status " . ($REASON{$status} || 'Whatever'), 'Server: rawup', @fields, '', '';
}

sub chunk { return sprintf "%x\r\n%s\r\n", length $_[0], $_[0] }
use constant LAST_CHUNK => "0\r\n\r\n";

my @SSE = ('Content-Type: text/event-stream; charset=utf-8', 'Cache-Control: no-cache');

sub sse_head { my ($q, @fields) = @_; return head($q, 200, @SSE, 'Transfer-Encoding: chunked', @fields) }

sub answer_json {
    my ($q, $status, $body, @fields) = @_;
    return (head($q, $status, 'Content-Type: application/json', 'Content-Length: ' . length $body, @fields) . $body);
}

# The answer that a question wants: these events, each in a chunk of its own, or a whole completion of so many words.
sub answer {
    my ($q, $n, @events) = @_;
    return $q->{stream} ? (sse_head($q), (map { chunk($_) } @events), LAST_CHUNK) : whole($q, $n);
}

sub whole {
    my ($q, $n, @fields) = @_;
    return answer_json($q, 200, completion_json($q, text_json(join '', words($n)), 'stop', $n), @fields);
}

# Without chunks: the same as one string, with its content type.
sub body {
    my ($q, $n, @events) = @_;
    return (join('', @events), @SSE) if $q->{stream};
    return (completion_json($q, text_json(join '', words($n)), 'stop', $n), 'Content-Type: application/json');
}

# The same actions with the head as an action of its own.
sub apart {
    my ($first, @rest) = @_;
    return ((split /(?<=\r\n\r\n)/, $first, 2), @rest);
}

# The first so many events of a stream, or the first half of a whole answer that promises more: then something breaks.
sub broken {
    my ($q, $events, $how, $rest) = @_;
    return (sse_head($q), (map { chunk($_) } (events($q, 8))[0 .. $events - 1]), $rest // (), $how) if $q->{stream};
    my ($head, $body) = apart(whole($q, 8));
    return ($head, substr($body, 0, length($body) / 2), $how);
}

sub paced {
    my ($ms, @parts) = @_;
    return map { ($_, { wait => $ms / 1000 }) } @parts;
}

sub part_of_event { return substr chunk((events($_[0], 8))[4]), 0, 40 }

# ------------------------------------------------------------------ scenarios: answers that are right

%scenario = (
    # ok:WORDS
    ok => sub { my ($q) = @_; my $n = arg($q, 0, 5); return answer($q, $n, events($q, $n)) },
    # chunks that know nothing of events, with extensions
    'ok-chunked' => sub {
        my ($q) = @_;
        my ($body, @type) = body($q, 5, events($q, 5));
        my @chunks = map { sprintf "%X;x=\"y\"\r\n%s\r\n", length $_, $_ } $body =~ /(.{1,70})/gs;
        return (head($q, 200, @type, 'Transfer-Encoding: chunked'), @chunks, LAST_CHUNK);
    },
    'ok-length' => sub {
        my ($q) = @_;
        my ($body, @type) = body($q, 5, events($q, 5));
        return (head($q, 200, @type, 'Content-Length: ' . length $body), $body =~ /(.{1,700})/gs);
    },
    'ok-close' => sub {
        my ($q) = @_;
        my ($body, @type) = body($q, 5, events($q, 5));
        return (head($q, 200, @type, 'Connection: close'), $body =~ /(.{1,700})/gs, { close => 'fin' });
    },
    crlf => sub { my ($q) = @_; return answer($q, 5, map { s/\n/\r\n/gr } events($q, 5)) },
    # everything that the format allows and that clients of OpenAI trip over
    comments => sub {
        my ($q) = @_;
        my ($role, @more) = events($q, 5);
        (my $two_lines = shift @more) =~ s/,"choices"/,\ndata: "choices"/;
        return answer($q, 5, ": welcome\n\n", "retry: 3000\n\n", "\n\n", $role, "id: 7\nevent: message\n$two_lines", "event: ping\n\n",
            "data:\n\n", "data: \n\n", map { ("id: 8\n: in between\n$_", ":\n\n") } @more);
    },
    azure => sub {
        my ($q) = @_;
        my $filter = '{"hate":{"filtered":false,"severity":"safe"}}';
        my $first = sprintf '{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[%s]}',
            qq({"prompt_index":0,"content_filter_results":$filter});
        return answer($q, 5, sse($first), events($q, 5));
    },
    tools => \&tools,
    # slow-head:MS a byte
    'slow-head' => sub {
        my ($q) = @_;
        my ($head, @rest) = apart(answer($q, 5, events($q, 5)));
        return (paced(arg($q, 0, 2), split //, $head), @rest);
    },
    # ttft:MS nothing at all before; head-then:MS nothing after the head
    ttft => sub { my ($q) = @_; return ({ wait => arg($q, 0, 100) / 1000 }, answer($q, 5, events($q, 5))) },
    'head-then' => sub {
        my ($q) = @_;
        my ($head, @rest) = apart(answer($q, 5, events($q, 5)));
        return ($head, { wait => arg($q, 0, 100) / 1000 }, @rest);
    },
    # delay:MS:WORDS
    delay => sub {
        my ($q) = @_;
        my ($ms, $n) = (arg($q, 0, 20), arg($q, 1, 10));
        my ($head, @rest) = answer($q, $n, events($q, $n));
        return ($head, paced($ms, @rest));
    },
    # pad:BYTES:WORDS each event so large, one in 5 ms
    pad => sub {
        my ($q) = @_;
        my ($bytes, $n) = (arg($q, 0, 1000), arg($q, 1, 100));
        my ($head, @rest) = answer($q, $n, events($q, $n, text => sub { 'x' x ($bytes > 250 ? $bytes - 250 : 1) }));
        return ($head, paced(5, @rest));
    },
    # long:EVENTS of 1 KB; endless:MS
    long => sub { my ($q) = @_; return flood($q, arg($q, 0, 1000), 0) },
    endless => sub { my ($q) = @_; return flood($q, undef, arg($q, 0, 0)) },
    'two-at-once' => sub {
        my ($q) = @_;
        return whole($q, 5) unless $q->{stream};
        my @e = map { chunk($_) } events($q, 5);
        my @split = $e[3] =~ /\A(.{60})(.*)\z/s;
        return (sse_head($q) . join('', @e[0 .. 2]), paced(20, @split), join('', @e[4 .. $#e]) . LAST_CHUNK);
    },
    'usage-null' => sub { my ($q) = @_; return answer($q, 5, events($q, 5, more => ',"usage":null')) },
    # no-usage:WORDS; counted:PROMPT:CACHED:COMPLETION whatever it says
    'no-usage' => sub { my ($q) = @_; my $n = arg($q, 0, 5); $q->{usage} = ''; return answer($q, $n, events($q, $n)) },
    counted => sub {
        my ($q) = @_;
        my ($prompt, $cached, $completion) = map { arg($q, $_, 0) } 0 .. 2;
        $q->{usage} = sprintf '{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}',
            $prompt, $completion, $prompt + $completion, $cached;
        return answer($q, 5, events($q, 5));
    },
    'no-done' => sub { my ($q) = @_; return answer($q, 5, events($q, 5, done => 0)) },
    interim => sub {
        my ($q) = @_;
        return ("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", answer($q, 5, events($q, 5)));
    },
    trailers => sub {
        my ($q) = @_;
        my ($body, @type) = body($q, 5, events($q, 5));
        return (head($q, 200, @type, 'Transfer-Encoding: chunked', 'Trailer: X-Sum'), chunk($body), "0\r\nX-Sum: 42\r\n\r\n");
    },
    # gate:EVENTS, then POST /_go for the rest
    gate => sub {
        my ($q) = @_;
        my ($n, $head, @rest) = (arg($q, 0, 2), answer($q, 5, events($q, 5)));
        return $q->{stream} ? ($head, splice(@rest, 0, $n), { gate => 1 }, @rest) : ({ gate => 1 }, $head);
    },
    # progress:PART it says so, and of its prompt something else; then as gate
    progress => sub {
        my ($q) = @_;
        my ($head, @rest) = answer($q, 5, events($q, 5));
        my $said = sprintf '{%s,"choices":[],"progress":%s,"prompt_progress":{"total":10,"cache":0,"processed":9,"time_ms":5}}', envelope($q, 'chat.completion.chunk'), arg($q, 0, '0.5');
        return $q->{stream} ? ($head, shift @rest, chunk(sse($said)), { gate => 1 }, @rest) : ({ gate => 1 }, $head);
    },
    # it cannot stream, whoever asks
    whole => sub { my ($q) = @_; return whole($q, 5) },
    stale => sub { my ($q) = @_; return ({ later => 'fin' }, answer($q, 5, events($q, 5))) },
    'stale-rst' => sub { my ($q) = @_; return ({ later => 'rst' }, answer($q, 5, events($q, 5))) },
);

sub tools {
    my ($q) = @_;
    my @calls = (['call_raw1', 'get_weather', '{"city": "Zürich", "unit": "c"}'], ['call_raw2', 'get_time', '{"zone": "Europe/Zurich"}']);
    my $enc = JSON::PP->new->allow_nonref; # this file is bytes already
    if (!$q->{stream}) {
        my $call = '{"id":"%s","type":"function","function":{"name":"%s","arguments":%s}}';
        my $all = join ',', map { sprintf $call, $_->[0], $_->[1], $enc->encode($_->[2]) } @calls;
        my $message = qq({"role":"assistant","content":null,"tool_calls":[$all],"refusal":null});
        return answer_json($q, 200, completion_json($q, $message, 'tool_calls', 9));
    }
    my @deltas = ('{"role":"assistant","content":null,"refusal":null}');
    for my $i (0 .. $#calls) {
        my ($id, $name, $arguments) = @{ $calls[$i] };
        push @deltas, qq({"tool_calls":[{"index":$i,"id":"$id","type":"function","function":{"name":"$name","arguments":""}}]});
        for my $piece ($arguments =~ /(\W*\w+\W*)/g) {
            push @deltas, sprintf '{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}', $i, $enc->encode($piece);
        }
    }
    return answer($q, 9, (map { sse(chunk_json($q, $_)) } @deltas), sse(chunk_json($q, '{}', 'tool_calls')), ending($q, 9, finish => 0));
}

# As many events as asked for (undef: for ever), made as the peer takes them.
sub flood {
    my ($q, $n, $ms) = @_;
    my ($role, @rest) = events($q, 0);
    my $left = $n;
    my $more;
    $more = sub {
        my $now = defined $left && $left < 32 ? $left : 32;
        $left -= $now if defined $left;
        my @batch = map { chunk(text_event($q, 'x' x 800)) } 1 .. $now;
        return ($ms ? paced($ms, @batch) : join('', @batch), !defined $left || $left ? $more : ((map { chunk($_) } @rest), LAST_CHUNK));
    };
    return (sse_head($q), chunk($role), $more) if $q->{stream};
    return answer_json($q, 200, completion_json($q, text_json('x' x (800 * ($n // 1000))), 'stop', 5));
}

# ------------------------------------------------------------------ scenarios: silence, broken connections, things that are not answers

my $half = sub { my ($how) = @_; return sub { my ($q) = @_; return broken($q, arg($q, 0, 3), { close => $how }, part_of_event($q)) } };
my $plain = sub {
    my ($status, $type, $body, @fields) = @_;
    return sub { my ($q) = @_; return head($q, $status, "Content-Type: $type", 'Content-Length: ' . length $body, @fields) . $body };
};
my $slow_down = error_json('upstream says slow down', 'requests', 'rate_limit_exceeded');

%scenario = (
    %scenario,
    silent => sub { return { stall => 1 } },
    # stall:EVENTS
    stall => sub { my ($q) = @_; return broken($q, arg($q, 0, 3), { stall => 1 }) },
    'reset-before' => sub { return { close => 'rst' } },
    'close-before' => sub { return { close => 'fin' } },
    # …:EVENTS before the broken one
    'reset-mid-event' => $half->('rst'),
    'close-mid-event' => $half->('fin'),
    # cut:EVENTS: the body ends as it should, the answer does not
    cut => sub {
        my ($q) = @_;
        return $scenario{'garbage-json'}->($q) unless $q->{stream};
        return (sse_head($q), (map { chunk($_) } (events($q, 8))[0 .. arg($q, 0, 2) - 1]), LAST_CHUNK);
    },
    # garbage-event:EVENTS before it
    'garbage-event' => sub {
        my ($q) = @_;
        return $scenario{'garbage-json'}->($q) unless $q->{stream};
        return (sse_head($q), (map { chunk($_) } (events($q, 8))[0 .. arg($q, 0, 2) - 1], sse('<p>It works!')), { stall => 1 });
    },
    # all but [DONE], and in its place a part of an event; the body ends as it should
    'half-done' => sub {
        my ($q) = @_;
        return (sse_head($q), (map { chunk($_) } events($q, 5, done => 0), 'data: {"choices":[],'), LAST_CHUNK);
    },
    garbage => sub { return ("\x15\x03\x01\x00\x02\x02\x46SSH-2.0-nothing here\r\n\r\n", { close => 'fin' }) },
    'garbage-json' => $plain->(200, 'application/json', '{"id":"chatcmpl-raw","choices":[{"index":0,"mess'),
    html => $plain->(200, 'text/html; charset=utf-8', "<!doctype html>\n<title>Welcome</title>\n<p>It works!\n"),
    'bad-chunk' => sub { my ($q) = @_; return bad_chunk($q, "zz\r\ndata: {}\r\n", { stall => 1 }) },
    # chunk-size:TEXT in the place of a size; chunk-end: bytes where a chunk should end
    'chunk-size' => sub { my ($q) = @_; return bad_chunk($q, arg($q, 0, '-1') . "\r\ndata: {}\r\n", { stall => 1 }) },
    'chunk-end' => sub { my ($q) = @_; return bad_chunk($q, "2\r\n\n\nX\r\n", { stall => 1 }) },
    # one after the other, for ever; another protocol; a first line without an end
    'interim-only' => sub { my $more; $more = sub { return ("HTTP/1.1 100 Continue\r\n\r\n", { wait => 0.05 }, $more) }; return $more },
    switch => sub { return ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", { stall => 1 }) },
    'status-line' => sub { return ('HTTP/1.1 200 ' . 'x' x 100_000, { stall => 1 }) },
    'short-chunk' => sub { my ($q) = @_; return bad_chunk($q, "100\r\ndata: {", { close => 'fin' }) },
    'big-header' => sub { my ($q) = @_; return with_fields($q, 'X-Big: ' . 'x' x 100_000) },
    # each of its lines, and their number, is as it may be: it is all of them that are too long; and the other way round
    'big-head' => sub { my ($q) = @_; return with_fields($q, map { "X-$_: " . 'x' x 15_000 } 1 .. 6) },
    'many-headers' => sub { my ($q) = @_; return with_fields($q, map { "X-$_: $_" } 1 .. 250) },
    # huge-event:MB
    'huge-event' => sub {
        my ($q) = @_;
        my $text = 'x' x (arg($q, 0, 5) * 1_048_576);
        return answer_json($q, 200, completion_json($q, text_json($text), 'stop', 1)) unless $q->{stream};
        my ($role, @rest) = events($q, 0);
        return answer($q, 1, $role, text_event($q, $text), @rest);
    },
    # odd:KIND: a whole answer that no model server should give; a stream is as any other
    odd => sub {
        my ($q) = @_;
        return answer($q, 5, events($q, 5)) if $q->{stream};
        my $said = sub { '{"index":0,"message":{"role":"assistant","content":' . $_[0] . '},"finish_reason":"stop"}' };
        my $good = '"choices":[' . $said->('"good"') . '],"usage":' . usage(5);
        my %odd = (
            escapes => '"choices":[' . $said->('"\\u00fc\\n\\ud83d\\ude00\\"\\\\"') . ']',
            types   => '"choices":[' . $said->('{"content":"no"}') . '],"usage":[]',
            places  => '"choices":[null,' . $said->('"good"') . '],"usage":' . usage(5),
            twice   => '"choices":[' . $said->('"no"') . '],' . $good,
            nul     => '"choices":[' . $said->('"a\\u0000"') . ']',
            utf8    => '"choices":[' . $said->(qq("\xff")) . ']',
            deep    => '"x":' . '[' x 130 . ']' x 130 . ",$good",
            number  => qq("x":1e999,"y":99999999999999999999,$good),
            empty   => '"choices":[]',
            many    => '"x":[' . '{},' x 1_000_000 . "0],$good",
            error   => '"error":{"message":"upstream says no","code":"odd_code"}',
            'large-error' => '"error":{"message":"' . 'x' x 70_000 . '"}',
        );
        return answer_json($q, 200, '{"id":"chatcmpl-raw",' . $odd{ arg($q, 0, 'escapes') } . '}');
    },
    'body-on-204' => sub { my ($q) = @_; return head($q, 204, 'Content-Type: application/json', 'Content-Length: 12') . qq({"ok":true}\n) },
    # status:N, status:N:CODE
    status => sub {
        my ($q) = @_;
        my $n = arg($q, 0, 500);
        return answer_json($q, $n, error_json("upstream says $n", 'upstream_type', arg($q, 1, 'upstream_code')));
    },
    'status-html' => sub {
        my ($q) = @_;
        my $n = arg($q, 0, 502);
        return $plain->($n, 'text/html', "<html><h1>$n by a proxy at 10.1.2.3</h1></html>\n")->($q);
    },
    'rate-limit'       => $plain->(429, 'application/json', $slow_down, 'Retry-After: 7'),
    'retry-after-date' => $plain->(429, 'application/json', $slow_down, 'Retry-After: Wed, 21 Oct 2037 07:28:00 GMT'),
    # error-event:EVENTS before it
    'error-event' => sub {
        my ($q) = @_;
        my $error = error_json('upstream says no', 'server_error', 'upstream_code');
        return answer_json($q, 200, $error) unless $q->{stream};
        return (sse_head($q), (map { chunk($_) } (events($q, 8))[0 .. arg($q, 0, 3) - 1], sse($error)), LAST_CHUNK);
    },
);

sub bad_chunk {
    my ($q, @bad) = @_;
    my ($body, @type) = body($q, 5, (events($q, 5))[0, 1]);
    return (head($q, 200, @type, 'Transfer-Encoding: chunked'), chunk($body), @bad);
}

sub with_fields {
    my ($q, @fields) = @_;
    return whole($q, 5, @fields) unless $q->{stream};
    return (sse_head($q, @fields), (map { chunk($_) } events($q, 5)), LAST_CHUNK);
}

1;
