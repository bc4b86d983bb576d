# An upstream that says no: its status and its words reach the client in our shape, except where they are about the gateway itself.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use AIGW::Client;
use AIGW::Listener;
use AIGW::Log;
use AIGW::Raw qw(tag);

my $port  = Apache::Test::vars('port');
my $key   = 'sk-test-of-the-gateway';
my @where = ('', '/block');
my @kinds = ([0, 'whole'], [1, 'stream']);
my $json  = JSON::PP->new->canonical->utf8->allow_nonref;

my $generic = qr/^The model server answered with status \d+\.$/;
my $unusable = "The model server's answer could not be used.";
my $foreign = qr/^(?!.*idempotency)/;
my ($no, $rate, $server, $upstream) = qw(invalid_request_error rate_limit_error server_error upstream_error);
sub error { my ($message, $code, %more) = @_; return { error => { message => $message, type => 'their_type', param => undef, code => $code, %more } } }

# What the upstream answers, and what the client sees: status, type, code, message, and more of the error.
my @cases = (
    # the status, in OpenAI's shape
    [400, error('Bad one.', 'bad_thing', param => 'messages[0]'), 400, $no, 'bad_thing', 'Bad one.', { param => 'messages[0]' }],
    [400, error('Too long.', 'context_length_exceeded', param => 'messages'), 400, $no, 'context_length_exceeded', 'Too long.', { param => 'messages' }],
    [402, error('Pay.', 'no_money'),       402, $no,       'no_money',           'Pay.'],
    [404, error('No model.', 'model_not_found'), 404, $no, 'model_not_found',    'No model.'],
    [408, error('Slow.', undef),           408, $no,       'request_timeout',    'Slow.'],
    [409, error('Conflict.', 'conflict'),  409, $no,       'conflict',           'Conflict.'],
    [413, error('Large.', undef),          413, $no,       'request_too_large',  'Large.'],
    [422, error('Wrong.', 'wrong'),        422, $no,       'wrong',              'Wrong.'],
    [429, error('Slowly.', 'rate_limit_exceeded'), 429, $rate, 'rate_limit_exceeded', 'Slowly.'],
    [429, error('Paid?', 'insufficient_quota'),    429, $rate, 'insufficient_quota',  'Paid?'],
    [500, error('Broken.', 'broken'),      500, $server,   'broken',             'Broken.'],
    [502, error('Behind.', undef),         502, $upstream, 'upstream_invalid_response', 'Behind.'],
    [503, error('Loading.', 'loading'),    503, $server,   'loading',            'Loading.'],
    [504, error('Late.', undef),           504, $upstream, 'upstream_timeout',   'Late.'],
    [529, error('Overloaded.', 'overloaded'), 529, $server, 'overloaded',        'Overloaded.'],
    # other shapes
    [400, { detail => 'Not so.' },         400, $no,       'bad_request',        'Not so.'],
    # not this gateway's idempotency: that is about a key that nobody has sent
    [409, { detail => 'Busy.' },           409, $no,       $foreign,             'Busy.'],
    [422, { detail => [{ loc => ['body', 'x'], msg => 'field required' }] }, 422, $no, $foreign, $generic],
    [400, { message => 'Not so.', object => 'error', type => 'BadRequestError', param => undef, code => 400 }, 400, $no, 'bad_request', 'Not so.'],
    [503, { error => 'model is loading' }, 503, $server,   'no_upstream_available', 'model is loading'],
    [400, { error => { message => 'Not so.', code => 400 } }, 400, $no, 'bad_request', 'Not so.'],
    [400, { error => { message => 'Not so.', code => 'x', status => 'INVALID_ARGUMENT', details => [{ reason => 'y' }] } }, 400, $no, 'x', 'Not so.'],
    [400, { error => { message => '', code => '' } }, 400, $no, 'bad_request', $generic],
    [400, { error => undef },              400, $no,       'bad_request',        $generic],
    [400, { error => 17, message => { a => 1 } }, 400, $no, 'bad_request',       $generic],
    [400, error("\x{fc}ml\x{e4}ut \x{1f600} <b>&", 'ok'), 400, $no, 'ok',        "\x{fc}ml\x{e4}ut \x{1f600} <b>&"],
    # what is not JSON at all
    [400, '',                              400, $no,       'bad_request',        $generic],
    [500, 'null',                          500, $server,   'internal_error',     $generic],
    [500, '"words"',                       500, $server,   'internal_error',     $generic],
    [500, '[1,2]',                         500, $server,   'internal_error',     $generic],
    [502, "<html><h1>502 at 10.1.2.3</h1></html>\n", 502, $upstream, 'upstream_invalid_response', $generic, { type => 'text/html' }],
    [503, "upstream connect error, 10.1.2.3:8000\n", 503, $server, 'no_upstream_available', $generic, { type => 'text/plain' }],
    [400, '{"error":{"message":"cut o',    400, $no,       'bad_request',        $generic],
    [400, qq({"error":{"message":"\xff\xfe"}}), 400, $no,  'bad_request',        $generic],
    [500, 'x' x 200_000,                   500, $server,   'internal_error',     $generic],
    [400, '{"error":{"message":"' . 'y' x 20_000 . '"}}', 400, $no, 'bad_request', qr/^y{1000,4096}\.\.\.$/],
    # about the gateway, not about the client
    [401, error('Incorrect API key.', 'invalid_api_key'), 502, $upstream, 'upstream_auth_failed', undef],
    [403, error('Not you.', 'forbidden'),  502, $upstream, 'upstream_auth_failed', undef],
    [400, error("Incorrect API key provided: $key.", 'x'), 400, $no, 'x',        $generic],
    [400, { detail => "header was Bearer $key" }, 400, $no, 'bad_request',       $generic],
    [400, error('Not so.', "key-$key", param => $key), 400, $no, 'bad_request',  'Not so.'],
    [400, '{"error":{"message":"your key sk\u002dtest\u002dof-the-gateway"}}', 400, $no, 'bad_request', $generic],
    # what is neither an answer nor an error
    [301, '',                              502, $upstream, 'upstream_invalid_response', $unusable, { headers => ['Location: http://10.1.2.3/'] }],
    [302, '<a href="http://10.1.2.3/">',   502, $upstream, 'upstream_invalid_response', $unusable, { headers => ['Location: http://10.1.2.3/'], type => 'text/html' }],
    [304, undef,                           502, $upstream, 'upstream_invalid_response', $unusable],
    [307, '',                              502, $upstream, 'upstream_invalid_response', $unusable, { headers => ['Location: https://elsewhere.example/'] }],
    [600, error('What?', 'what'),          502, $upstream, 'upstream_invalid_response', $unusable],
    [999, '',                              502, $upstream, 'upstream_invalid_response', $unusable],
);
my @retry = ('7', '0', '120', 'Wed, 21 Oct 2037 07:28:00 GMT');
my @dialects = (['/v1/chat', 'message'], ['/v1/chat/stream', 'message'], ['/api/v1/stream/generate', 'prompt'], ['/api/v1/generate', 'prompt'], ['/api/v2/generate', 'prompt']);
plan tests => @where * (@kinds * (@cases * 8 + 2 * 3 + @retry * 2 + 1 + 2) + @dialects * 9 + 3) + 1, need_module('mod_aigw', 'mod_aigw_stream');
expect_log(qr/AIGW0182: .* model own:/);
my $up = AIGW::Listener->new(port => own_port('statuses'));

# A question that is answered so.
sub ask {
    my ($path, $data, $status, $body, %o) = @_;
    my $tag = tag();
    my $c = $o{client} || AIGW::Client->new(port => $port);
    $c->request(POST => $path, headers => { 'X-Request-ID' => $tag }, json => $data);
    my $conn = $up->accept;
    $conn->request or die 'no request';
    my @close = ('Connection: close', @{ $o{headers} || [] });
    if (defined $body) { $conn->answer(status => $status, body => ref $body ? $json->encode($body) : $body, headers => \@close, type => $o{type}) }
    else               { $conn->say(join "\r\n", "HTTP/1.1 $status Whatever", @close, '', '') }
    $conn->close;
    return ($c->response, $tag);
}

sub question { my ($stream) = @_; return { model => 'own', stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'hello' }] } }

my $INTERNAL = qr/\Q$key\E|10\.1\.2\.3|127\.0\.0\.1|localhost|their_type|elsewhere|<h1>|AIGW\d/;

sub is_error {
    my ($name, $r, $status, $type, $code, $message, $param) = @_;
    my $error = eval { $r->json->{error} } || {};
    is $r->{status}, $status, "$name: the status";
    is $r->header('Content-Type'), 'application/json', "$name: JSON";
    is join(' ', sort keys %$error), 'code message param type', "$name: the shape";
    my @said = map { $_ // 'null' } @$error{qw(type param code)};
    my ($their_code) = splice @said, 2;
    is "@said", "$type " . ($param // 'null'), "$name: the type and the parameter";
    if (ref $code) { like $their_code, $code, "$name: the code" }
    else           { is $their_code, $code // 'null', "$name: the code" }
    if (ref $message)        { like $error->{message}, $message, "$name: the message" }
    elsif (defined $message) { is $error->{message}, $message, "$name: the message" }
    else                     { like $error->{message}, qr/^\w.{10,}\.$/, "$name: a message" }
    unlike $r->content . join(' ', map { "@$_" } @{ $r->{fields} }), $INTERNAL, "$name: nothing internal";
    return;
}

for my $where (@where) {
    my $path = "$where/v1/chat/completions";
    for my $kind (@kinds) {
        my ($stream, $kind_name) = @$kind;

        for my $i (0 .. $#cases) {
            my ($status, $body, $seen, $type, $code, $message, $more) = @{ $cases[$i] };
            my $name = "$where $kind_name $i: $status";
            my ($r, $tag) = ask($path, question($stream), $status, $body, %{ $more || {} });
            is_error($name, $r, $seen, $type, $code, $message, $more->{param});
            is access_wait($tag)->{status}, $seen, "$name: logged";
        }

        # The log says which credential it was that was refused, and does not show it.
        for my $status (401, 403) {
            my ($r, $tag) = ask($path, question($stream), $status, error("key $key"));
            my $line = log_wait(qr/AIGW0182: \[\Q$tag\E\]/);
            like $line, qr{ model own: upstream http://127\.0\.0\.1:\d+/v1 .*\b$status\b.*env:AIGW_TEST_KEY}, "$where $kind_name $status: the log names the upstream";
            unlike $line, qr/\Q$key\E/, "$where $kind_name $status: … and not the key";
            is $r->header('WWW-Authenticate'), undef, "$where $kind_name $status: the client is not asked for credentials";
        }

        for my $retry (@retry) {
            my ($r) = ask($path, question($stream), 429, error('Slowly.', 'rate_limit_exceeded'), headers => ["Retry-After: $retry"]);
            is $r->{status}, 429, "$where $kind_name Retry-After $retry: 429";
            is $r->header('Retry-After'), $retry, "$where $kind_name Retry-After $retry: kept";
        }
        my ($r) = ask($path, question($stream), 401, error('x'), headers => ['Retry-After: 3', 'WWW-Authenticate: Bearer', 'Set-Cookie: a=b', 'X-Internal: 10.1.2.3', 'Server: x']);
        is join(' ', map { $r->header($_) // '-' } qw(Retry-After Set-Cookie X-Internal)), '- - -', "$where $kind_name: no other fields of the upstream's";

        # A client's connection lives on.
        my $c = AIGW::Client->new(port => $port);
        ask($path, question($stream), 429, error('Slowly.', 'x'), client => $c);
        ($r) = ask($path, question($stream), 529, error('Overloaded.', 'x'), client => $c);
        is $r->{status}, 529, "$where $kind_name: the client's connection is kept";
        ok length $r->{reason}, "$where $kind_name: 529 has a reason phrase";
    }

    # The other dialects: the same.
    for my $dialect (@dialects) {
        my ($below, $field) = @$dialect;
        my ($r) = ask("$where$below", { model => 'own', $field => 'hello' }, 429, error('Slowly.', 'rate_limit_exceeded'), headers => ['Retry-After: 7']);
        is_error("$where$below", $r, 429, $rate, 'rate_limit_exceeded', 'Slowly.', undef);
        is $r->header('Retry-After'), 7, "$where$below: Retry-After";
        ($r) = ask("$where$below", { model => 'own', $field => 'hello' }, 401, error('x'));
        is "$r->{status} " . $r->json->{error}{code}, '502 upstream_auth_failed', "$where$below: 401";
    }

    # An error that says its code in a stream, with the key in it; and a credential in a whole answer that is an error.
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $path, json => question(1));
    my $conn = $up->accept;
    $conn->request;
    my $first = $json->encode({ choices => [{ index => 0, delta => { content => 'x' }, finish_reason => undef }] });
    $conn->say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: $first\n\ndata: " . $json->encode(error("key $key", $key)) . "\n\n");
    $conn->close;
    my $r = $c->response;
    unlike $r->content, qr/\Q$key\E/, "$where an error event with the key in it: not shown";
    is scalar(grep { /"error"/ } $r->data), 1, "$where … an error event all the same";
    ($r) = ask($path, question(0), 200, error("key $key", 'x'));
    is "$r->{status} " . ($r->content =~ /\Q$key\E/ ? 'shown' : 'not shown'), '502 not shown', "$where a whole answer that is an error with the key in it";
}

log_clean();
