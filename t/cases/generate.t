# The dialect {prompt, model?, max_tokens?, temperature?}: POST /api/v1/generate (deprecated) answers {text}, /api/v2/generate {text, meta},
# /api/v1/stream/generate tells {"token", "index"} by {"token", "index"} and ends with an event of its own.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use AIGW::Client qw(post_json);
use AIGW::Log;
use AIGW::Raw;

my $port  = Apache::Test::vars('port');
my @where = ('', '/block');
my $json  = JSON::PP->new->canonical->utf8->allow_nonref;
my $uuid  = qr/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/;

# Requests that an endpoint refuses in one way or another: all of them say that it is deprecated, if it is.
my @refused = ([200 => {}], [400 => { body => '{' }], [400 => { body => '{}' }], [404 => { body => '{"prompt":"x","model":"nobody"}' }], [405 => { method => 'GET' }],
    [413 => { headers => ['Content-Type' => 'application/json', 'Content-Length' => 2_000_000] }], [415 => { headers => ['Content-Type' => 'text/plain'], body => '{}' }],
    [429 => { body => '{"prompt":"x","model":"echo-429"}' }], [502 => { body => '{"prompt":"x","model":"echo-reset"}' }]);
my @metadata = (
    ['{}' => undef], ['null' => undef], ['{"a":1}' => '"a":1'], ['{"a":1.0,"b":1e30,"c":12345678901234567890,"d":-0}' => '"a":1.0,"b":1e30,"c":12345678901234567890,"d":-0'],
    ['{ "a" : { "b" : [ 1 , null , true , "\u00fc\/" ] } }' => '"a" : { "b" : [ 1 , null , true , "\u00fc\/" ] }'],
    ['{"model":"mine","usage":0,"finish_reason":7,"request_id":null,"x":"stays"}' => '"x":"stays"'],
);
my @late = ('echo-reset', 'raw:cut', 'raw:reset-mid-event', 'raw:error-event');
plan tests => @where * (4 + 2 * 4 + 5 * @metadata + 3 + 10 + 5 + 4 + 4 + 3 * 8 + 4 * @late + 3 + 3 + 3 * @refused * 2) + 1, need_module('mod_aigw', 'mod_aigw_stream');
expect_log(qr/AIGW018\d: .* model raw:/, qr/AIGW0202: .* model raw:/);

sub ask {
    my ($path, $body, %o) = @_;
    return post_json($path, $body, port => $port, $o{tag} ? (headers => { 'X-Request-ID' => $o{tag} }) : ());
}

for my $where (@where) {
    my ($v1, $v2, $stream) = map { "$where/api/$_" } 'v1/generate', 'v2/generate', 'v1/stream/generate';

    # ------------------------------------------------ whole
    my $r = ask($v1, { prompt => 'one two three' });
    is $r->{status}, 200, "$v1: 200";
    is $r->header('Content-Type'), 'application/json', "$v1: JSON";
    is_deeply $r->json, { text => 'one two three' }, "$v1: the text and nothing else";
    is_deeply ask($v1, { prompt => 'a b', model => 'up', max_tokens => 1, temperature => 0 })->json, { text => 'a' }, "$v1: with everything said";

    for my $case ([echo => 'echo'], [up => 'up']) {
        my ($model, $is) = @$case;
        my $tag = tag();
        my $usage = { prompt_tokens => 3, completion_tokens => 3, total_tokens => 6 };
        $r = ask($v2, { prompt => 'one two three', model => $model }, tag => $tag);
        is $r->header('Content-Type'), 'application/json', "$v2, $model: JSON";
        is $r->header('Content-Length'), length $r->content, "$v2, $model: its length";
        is_deeply $r->json, { text => 'one two three', meta => { model => $is, usage => $usage, finish_reason => 'stop', request_id => $tag } }, "$v2, $model: the answer";
        $r = ask($v2, { prompt => 'one two three', model => $model, max_tokens => 2 });
        is join(' ', $r->json->{text}, $r->json->{meta}{finish_reason}, $r->json->{meta}{usage}{completion_tokens}), 'one two length 2', "$v2, $model: as many tokens as are wanted";
    }

    # What the client says of its request comes back as it was written; what the gateway says of it wins.
    for my $case (@metadata) {
        my ($metadata, $back) = @$case;
        my $tag = tag();
        my $c = AIGW::Client->new(port => $port);
        $c->request(POST => $v2, headers => { 'X-Request-ID' => $tag }, body => "{\"prompt\":\"hi\",\"metadata\":$metadata}");
        $r = $c->response;
        is $r->{status}, 200, "$v2 $metadata: 200";
        my $meta = $r->json->{meta};
        is "$meta->{model} $meta->{finish_reason} $meta->{request_id} $meta->{usage}{total_tokens}", "echo stop $tag 2", "$v2 $metadata: the gateway's own";
        if (defined $back) { ok index($r->content, $back) > 0, "$v2 $metadata: … and the client's, as it was" or diag $r->content }
        else               { is join(' ', sort keys %$meta), 'finish_reason model request_id usage', "$v2 $metadata: … and nothing else" }
        is scalar(() = $r->content =~ /"(?:model|usage|finish_reason|request_id)":/g), 4, "$v2 $metadata: nothing twice";
        is join(' ', sort keys %{ $r->json }), 'meta text', "$v2 $metadata: text and meta";
    }
    $r = ask($v2, { prompt => 'hi' });
    like $r->json->{meta}{request_id}, qr/^$uuid$/, "$v2: a request ID that was made";
    is $r->json->{meta}{request_id}, $r->header('X-Request-ID'), "$v2: … the one in the header";
    is ask($v2, { prompt => 'hi', model => 'org/parrot-1' })->json->{meta}{model}, 'echo', "$v2: an alias";

    # ------------------------------------------------ streamed
    my $tag = tag();
    $r = ask($stream, { prompt => 'one two three' }, tag => $tag);
    is $r->{status}, 200, "$stream: 200";
    is $r->header('Content-Type'), 'text/event-stream; charset=utf-8', "$stream: server-sent events";
    ok $r->complete, "$stream: complete";
    my @events = $r->events;
    my $last = pop @events;
    is_deeply [map { $json->decode($_->{data}) } @events], [map { { token => $_->[0], index => $_->[1] } } ['one', 1], [' two', 2], [' three', 3]], "$stream: tokens, counted from 1";
    is scalar(grep { exists $_->{event} } @events), 0, "$stream: … of the usual kind";
    is $last->{event}, 'done', "$stream: event: done";
    my $done = $json->decode($last->{data});
    is join(' ', sort keys %$done), 'done duration_ms total_tokens', "$stream: done: what it says";
    like $last->{data}, qr/"done":true/, "$stream: done";
    is $done->{total_tokens}, 3, "$stream: done: total_tokens";
    like $last->{data}, qr/"duration_ms":\d+[,}]/, "$stream: done: duration_ms, whole";

    $r = ask($stream, { prompt => 'one two three', max_tokens => 2 });
    is join('', map { defined $_->{event} ? " $_->{event}" : $json->decode($_->{data})->{token} } $r->events), 'one two done', "$stream: as many tokens as are wanted";
    $r = ask($stream, { prompt => 'a b c', model => 'raw:ok' });
    is join('', map { defined $_->{event} ? " $_->{event}" : $json->decode($_->{data})->{token} } $r->events), 'one two three four five done', "$stream: from an upstream";
    is $json->decode(($r->events)[-1]{data})->{total_tokens}, 5, "$stream: … which counts itself";
    unlike $r->content, qr/\[DONE\]/, "$stream: no [DONE]";
    $r = ask($stream, { prompt => 'a b', model => 'echo-slow' });
    cmp_ok $json->decode(($r->events)[-1]{data})->{duration_ms}, '>=', 1000, "$stream: duration_ms of what took 19 times 50 ms and 100 ms before it";

    my $c = AIGW::Client->new(port => $port);
    $tag = tag();
    $c->request(POST => $stream, headers => { 'X-Request-ID' => $tag }, json => { prompt => 'hi', model => 'raw:gate:2' });
    $c->head;
    is_deeply $json->decode($c->event->{data}), { token => 'one', index => 1 }, "$stream: the first token is here while the upstream waits";
    is raw_go($tag), 1, "$stream: … it does";
    is scalar(my @rest = $c->events), 5, "$stream: the others, and done";
    is $rest[-1]{event}, 'done', "$stream: … last";

    # ------------------------------------------------ what is not said
    my $words = join ' ', ('w') x 1500;
    is scalar(split / /, ask($v1, { prompt => $words })->json->{text}), 1024, "$v1: 1024 tokens where nothing is said";
    $r = ask($v2, { prompt => $words })->json;
    is "$r->{meta}{finish_reason} $r->{meta}{usage}{completion_tokens}", 'length 1024', "$v2: 1024 tokens";
    is $json->decode((ask($stream, { prompt => $words })->events)[-1]{data})->{total_tokens}, 1024, "$stream: 1024 tokens";
    is ask($v2, { prompt => $words, max_tokens => 4096 })->json->{meta}{usage}{completion_tokens}, 1500, "$v2: more, if wanted";
    for my $path ($v1, $v2, $stream) {
        $tag = tag();
        ask($path, { prompt => 'hello there', model => 'raw' }, tag => $tag);
        my $sent = $json->decode(raw_log($tag)->{requests}[0]{body});
        is_deeply $sent->{messages}, [{ role => 'user', content => 'hello there' }], "$path: the prompt, as the user's";
        is $sent->{max_tokens}, 1024, "$path: max_tokens is 1024";
        cmp_ok abs($sent->{temperature} - 0.7), '<', 1e-9, "$path: temperature is 0.7";
        is !!$sent->{stream}, !!($path eq $stream), "$path: a stream or not";
        $tag = tag();
        ask($path, { prompt => 'hello', model => 'raw', max_tokens => 77, temperature => 0 }, tag => $tag);
        $sent = $json->decode(raw_log($tag)->{requests}[0]{body});
        is $sent->{max_tokens}, 77, "$path: max_tokens as said";
        cmp_ok $sent->{temperature}, '==', 0, "$path: temperature as said";
        ok !exists $sent->{metadata}, "$path: no metadata";
        ask($path, { prompt => 'hello', model => 'raw', max_tokens => undef, temperature => undef }, tag => $tag = tag());
        is $json->decode(raw_log($tag)->{requests}[0]{body})->{max_tokens}, 1024, "$path: null is not said";
    }

    # ------------------------------------------------ failures of a stream
    for my $model (@late) {
        $r = ask($stream, { prompt => 'a b c d e f', model => $model });
        is $r->{status}, 200, "$stream $model: it had begun";
        @events = $r->events;
        is $events[-1]{event}, 'error', "$stream $model: event: error";
        my $error = $json->decode($events[-1]{data});
        is join(' ', keys %$error, sort keys %{ $error->{error} || {} }), 'error code message param type', "$stream $model: the error";
        ok $r->complete && !grep({ ($_->{event} // '') eq 'done' } @events), "$stream $model: no done, but an end";
    }
    $r = ask($stream, { prompt => 'a', model => 'echo-429' });
    is "$r->{status} " . $r->header('Content-Type'), '429 application/json', "$stream: a failure before it";
    is $r->json->{error}{code}, 'rate_limit_exceeded', "$stream: … its code";
    is_deeply [map { ask($_, { prompt => 'a', model => 'echo-429' })->{status} } $v1, $v2], [429, 429], "$where whole: a failure";

    # A model that calls tools has nothing to say here.
    is ask($v1, { prompt => 'hi', model => 'raw:tools' })->json->{text}, '', "$v1: tools: no text";
    $r = ask($v2, { prompt => 'hi', model => 'raw:tools' })->json;
    is "$r->{text}$r->{meta}{finish_reason}", 'tool_calls', "$v2: tools: no text, and why";
    is scalar(() = ask($stream, { prompt => 'hi', model => 'raw:tools' })->events), 1, "$stream: tools: nothing but done";

    # ------------------------------------------------ deprecated: v1, in whatever it answers; nothing else
    for my $case (@refused) {
        my ($status, $o) = @$case;
        for my $path ($v1, $v2) {
            my %request = (body => '{"prompt":"hi"}', %$o);
            delete $request{body} if ($o->{method} || ($o->{headers} && !$o->{body}));
            $c = AIGW::Client->new(port => $port);
            $c->request($o->{method} || 'POST', $path, %request);
            $r = $c->response;
            my @said = map { [$r->header($_)] } qw(Deprecation Sunset Link);
            is $r->{status}, $status, "$path $status";
            my $old = $path eq $v1;
            is_deeply [@said[0, 1]], $old ? [['@1735689600'], ['Fri, 01 Jan 2027 00:00:00 GMT']] : [[], []], "$path $status: Deprecation and Sunset";
            is_deeply $said[2], $old ? ['</api/v2/generate>; rel="successor-version"'] : [], "$path $status: Link";
        }
    }
}

log_clean();
