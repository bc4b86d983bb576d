# What a request must be: every field of every dialect, JSON, content type, method, size, framing. Everything is refused before a model is asked.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use AIGW::Client;
use AIGW::Log;
use AIGW::Raw qw(tag);

my $port = Apache::Test::vars('port');
my $INVALID = 'invalid_request_error';

# ------------------------------------------------ chat completions: a member, its JSON (undef: left out), what param says, what the message says
my $hi   = '[{"role":"user","content":"hi"}]';
my $long = 'x' x 257;
my @numbers = map { my ($name, $min, $max) = @$_; map { [$name => $_, $name, qr/from $min to $max/] } ($min - 0.1, $max + 0.1, "\"$max\"", 'true', '[]', '{}', '1e999', '-1e999') }
    ([temperature => 0, 2], [top_p => 0, 1], [presence_penalty => -2, 2], [frequency_penalty => -2, 2]);
my @limits = map { my $name = $_; map { [$name => $_, $name, qr/integer/] } ('0', '-1', '1.5', '"5"', 'true', '[1]', '{}', '99999999999999999999', '1e30') } qw(max_tokens max_completion_tokens);
my @chat = (
    [messages => undef,                              'messages',                  qr/required/],
    [messages => 'null',                             'messages',                  qr/array/],
    [messages => '"hi"',                             'messages',                  qr/array/],
    [messages => '{"role":"user","content":"hi"}',   'messages',                  qr/array/],
    [messages => '[]',                               'messages',                  qr/empty/],
    [messages => '[null]',                           'messages[0]',               qr/object/],
    [messages => '["hi"]',                           'messages[0]',               qr/object/],
    [messages => '[[]]',                             'messages[0]',               qr/object/],
    [messages => '[{}]',                             'messages[0].role',          qr/required/],
    [messages => '[{"content":"hi"}]',               'messages[0].role',          qr/required/],
    [messages => '[{"role":"wizard","content":"x"}]', 'messages[0].role',         qr/system.*user.*assistant/],
    [messages => '[{"role":"User","content":"x"}]',  'messages[0].role',          qr/one of/],
    [messages => '[{"role":1,"content":"x"}]',       'messages[0].role',          qr/one of/],
    [messages => '[{"role":null,"content":"x"}]',    'messages[0].role',          qr/one of|required/],
    [messages => '[{"role":"user"}]',                'messages[0].content',       qr/required/],
    [messages => '[{"role":"user","content":null}]', 'messages[0].content',       qr/required/],
    [messages => '[{"role":"system","content":null}]', 'messages[0].content',     qr/required/],
    [messages => '[{"role":"tool","tool_call_id":"x"}]', 'messages[0].content',   qr/required/],
    [messages => '[{"role":"user","content":5}]',    'messages[0].content',       qr/string/],
    [messages => '[{"role":"user","content":true}]', 'messages[0].content',       qr/string/],
    [messages => '[{"role":"user","content":{}}]',   'messages[0].content',       qr/string/],
    [messages => '[{"role":"assistant","content":7}]', 'messages[0].content',     qr/string/],
    [messages => '[{"role":"user","content":["hi"]}]', 'messages[0].content[0]',  qr/object/],
    [messages => '[{"role":"user","content":[null]}]', 'messages[0].content[0]',  qr/object/],
    [messages => '[{"role":"user","content":[{}]}]', 'messages[0].content[0].type', qr/string/],
    [messages => '[{"role":"user","content":[{"type":1}]}]', 'messages[0].content[0].type', qr/string/],
    [messages => '[{"role":"user","content":[{"type":"text"}]}]', 'messages[0].content[0].text', qr/string/],
    [messages => '[{"role":"user","content":[{"type":"text","text":5}]}]', 'messages[0].content[0].text', qr/string/],
    [messages => '[{"role":"user","content":[{"type":"text","text":null}]}]', 'messages[0].content[0].text', qr/string/],
    [messages => '[{"role":"user","content":[{"type":"image_url"}]}]', 'messages[0].content[0].image_url', qr/object/],
    [messages => '[{"role":"user","content":[{"type":"image_url","image_url":"http://x"}]}]', 'messages[0].content[0].image_url', qr/object/],
    [messages => '[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]', 'messages[0].content[0].image_url.url', qr/string/],
    [messages => '[{"role":"user","content":[{"type":"image_url","image_url":{"url":7}}]}]', 'messages[0].content[0].image_url.url', qr/string/],
    [messages => '[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text"}]}]', 'messages[0].content[1].text', qr/string/],
    [messages => '[{"role":"system","content":"a"},{"role":"user"}]', 'messages[1].content', qr/required/],
    [messages => '[{"role":"system","content":"a"},17]', 'messages[1]',           qr/object/],
    [messages => '[{"role":"assistant","tool_calls":{}}]', 'messages[0].tool_calls', qr/array/],
    [messages => '[{"role":"assistant","content":"x","tool_calls":"f"}]', 'messages[0].tool_calls', qr/array/],
    [model => 'null',            'model', qr/string/],
    [model => '5',               'model', qr/string/],
    [model => '["echo"]',        'model', qr/string/],
    [model => '""',              'model', qr/1 to 256/],
    [model => "\"$long\"",       'model', qr/1 to 256/],
    [model => '"ec\u0000ho"',    'model', qr/control/],
    [model => '"ec\nho"',        'model', qr/control/],
    [model => '"ec\u007fho"',    'model', qr/control/],
    [stream => '"true"',         'stream', qr/boolean/],
    [stream => '1',              'stream', qr/boolean/],
    [stream => '{}',             'stream', qr/boolean/],
    [stream_options => '{"include_usage":true}', 'stream_options', qr/stream/],
    [n => '0',                   'n', qr/1 to 128/],
    [n => '129',                 'n', qr/1 to 128/],
    [n => '-1',                  'n', qr/1 to 128/],
    [n => '1.5',                 'n', qr/1 to 128/],
    [n => '"2"',                 'n', qr/1 to 128/],
    [n => '4294967297',          'n', qr/1 to 128/],
    [tools => '{}',              'tools', qr/array/],
    [tools => '"x"',             'tools', qr/array/],
    [tools => '["x"]',           'tools[0]', qr/object/],
    [tools => '[{},null]',       'tools[1]', qr/object/],
    [stop => '5',                'stop', qr/string/],
    [stop => '{}',               'stop', qr/string/],
    [stop => '[1]',              'stop[0]', qr/string/],
    [stop => '["a",null]',       'stop[1]', qr/string/],
    [user => '5',                'user', qr/string/],
    [user => '{}',               'user', qr/string/],
    [response_format => '"json"', 'response_format', qr/object/],
    [response_format => '[]',    'response_format', qr/object/],
    ['stream":true,"stream_options' => '"x"', 'stream_options', qr/object/],
    ['stream":true,"stream_options' => '[]', 'stream_options', qr/object/],
    ['stream":true,"stream_options' => '{"include_usage":"yes"}', 'stream_options.include_usage', qr/boolean/],
    ['stream":true,"stream_options' => '{"include_usage":1}', 'stream_options.include_usage', qr/boolean/],
    ['stream":false,"stream_options' => '{"include_usage":true}', 'stream_options', qr/stream/],
    @numbers, @limits,
);
# … and in a stream, which has no head yet
my @streamed = ([messages => '[]', 'messages', qr/empty/], [temperature => '3', 'temperature', qr/0 to 2/]);

# ------------------------------------------------ the simple dialects: their text field is required, what is not theirs is refused
my %text = ('/v1/chat' => 'message', '/v1/chat/stream' => 'message', '/api/v1/generate' => 'prompt', '/api/v2/generate' => 'prompt', '/api/v1/stream/generate' => 'prompt');
my @simple = sort keys %text;
my @every = (
    [TEXT => undef,    'TEXT', qr/required/], [TEXT => 'null',  'TEXT', qr/string/],  [TEXT => '5',   'TEXT', qr/string/], [TEXT => '["a"]', 'TEXT', qr/string/],
    [TEXT => '{}',     'TEXT', qr/string/],   [TEXT => 'true',  'TEXT', qr/string/],  [TEXT => '""',  'TEXT', qr/empty/],
    [TEXT => '" \n\t"', 'TEXT', qr/empty|white/],
    [model => '5',     'model', qr/string/],  [model => '[]',   'model', qr/string/], [model => '""', 'model', qr/1 to 256/], [model => "\"$long\"", 'model', qr/1 to 256/],
    [model => '"ec\nho"', 'model', qr/control/],
    [max_token => '5', 'max_token', qr/not known/], [messages => $hi, 'messages', qr/not known/], [user_id => '"x"', 'user_id', qr/not known/],
    ['' => '1',        '', qr/not known/],    [Model => '"echo"', 'Model', qr/not known/], [stream => 'true', 'stream', qr/not known/],
);
my @generate = (
    (map { [max_tokens => $_, 'max_tokens', qr/1 to 4096/] } '0', '-1', '4097', '1.5', '"5"', 'true', '[]', '{}', '1e300', '99999999999999999999'),
    (map { [temperature => $_, 'temperature', qr/0 to 2/] } '-0.1', '2.1', '"1"', 'false', '[]', '{}', '1e999'),
    [prompt => '"' . 'x' x 4001 . '"', 'prompt', qr/4001/],
    [prompt => '"' . "\xc3\xbc" x 4001 . '"', 'prompt', qr/4001/],
    [message => '"x"', 'message', qr/not known/],
);
my @chat_only  = ([prompt => '"x"', 'prompt', qr/not known/], [max_tokens => '5', 'max_tokens', qr/not known/], [temperature => '1', 'temperature', qr/not known/]);
my @v2         = map { [metadata => $_, 'metadata', qr/object/] } '"x"', '5', '[]', 'true';
my @not_v2     = ([metadata => '{}', 'metadata', qr/not known/]);
my @good       = (
    [TEXT => '"x"'], [model => 'null'], [model => '"parrot"'], [TEXT => '"\u0000"'],
);
my @good_generate = (
    [max_tokens => '1'], [max_tokens => '4096'], [max_tokens => 'null'], [temperature => '0'], [temperature => '2'], [temperature => '2e0'], [temperature => 'null'],
    [prompt => '"' . 'x' x 4000 . '"'], [prompt => '"' . "\xf0\x9f\x98\x80" x 4000 . '"'], [prompt => '"' . '\ud83d\ude00' x 4000 . '"'],
);
my @good_v2 = ([metadata => '{}'], [metadata => 'null'], [metadata => '{"a":{"b":[1]}}']);

sub cases_of {
    my ($path) = @_;
    my @cases = (@every, $path =~ /chat/ ? @chat_only : @generate, $path =~ /v2/ ? @v2 : @not_v2);
    return map { [map { defined && !ref ? s/^TEXT\z/$text{$path}/r : $_ } @$_] } @cases;
}

sub good_of {
    my ($path) = @_;
    return map { [map { s/^TEXT\z/$text{$path}/r } @$_] } @good, $path =~ /chat/ ? () : @good_generate, $path =~ /v2/ ? @good_v2 : ();
}

# ------------------------------------------------ JSON: the bytes, where the mistake is, what it is
my $deep = 100_000;
my @json = (
    ['cut after a brace'    => '{',                                     1, 2],
    ['a value is missing'   => '{"model":}',                            1, 10],
    ['a word'               => "{\"model\":\"echo\",\n \"messages\": nope}", 2, 14],
    ['on the third line'    => "{\"a\":1,\r\n\r\n   x}",                3, 4],
    ['comma at the end'     => '{"model":"echo",}',                     1, 17],
    ['comma at the end of an array' => '{"a":[1,]}',                    1, 9],
    ['single quotes'        => "{'model':'echo'}",                      1, 2],
    ['a comment'            => '{/* x */"model":"echo"}',               1, 2],
    ['NaN'                  => '{"temperature":NaN}',                   1, 16],
    ['Infinity'             => '{"temperature":-Infinity}',             1, undef],
    ['a leading zero'       => '{"n":01}',                              1, undef],
    ['a plus sign'          => '{"n":+1}',                              1, 6],
    ['a bare fraction'      => '{"n":.5}',                              1, 6],
    ['a number cut'         => '{"n":1.}',                              1, undef],
    ['no colon'             => '{"model" "echo"}',                      1, 10],
    ['a string not closed'  => '{"model":"ech',                         1, undef],
    ['a raw tab'            => "{\"model\":\"a\tb\"}",                  1, 12],
    ['a raw line end'       => "{\"model\":\"a\nb\"}",                  1, 12],
    ['a bad escape'         => '{"model":"a\x41"}',                     1, undef],
    ['half a surrogate'     => '{"model":"\ud800"}',                    1, undef],
    ['a NUL byte in a string' => "{\"model\":\"a\0b\"}",                1, 12],
    ['a NUL byte at the end' => "{\"model\":\"echo\"}\0",               1, 17],
    ['a NUL byte first'     => "\0{}",                                  1, 1],
    ['a NUL in a name'      => '{"mod\u0000el":"echo"}',                1, undef],
    ['not UTF-8: a lone byte' => "{\"model\":\"\xff\"}",                1, 11],
    ['not UTF-8: cut'       => "{\"model\":\"\xe2\x82\"}",              1, undef],
    ['not UTF-8: too long'  => "{\"model\":\"\xc0\xaf\"}",              1, undef],
    ['not UTF-8: surrogate' => "{\"model\":\"\xed\xa0\x80\"}",          1, undef],
    ['not UTF-8: beyond'    => "{\"model\":\"\xf4\x90\x80\x80\"}",      1, undef],
    ['not UTF-8: in a name' => "{\"\xff\":1}",                          1, undef],
    ['UTF-16'               => "\xff\xfe{\0}\0",                        1, 1],
    ['two texts'            => '{"model":"echo"}{"model":"echo"}',      1, 17],
    ['a brace too many'     => '{"model":"echo"}}',                     1, 17],
    ['words behind'         => "{\"model\":\"echo\"}\nGET / HTTP/1.1\r\n\r\n", 2, 1],
    ['nothing but space'    => " \n\t ",                                2, undef],
    ['model twice'          => '{"model":"echo","model":"raw"}',        1, 17],
    ['model twice, in other words' => '{"model":"echo","mod\u0065l":"raw"}', 1, 17],
    ['messages twice'       => '{"messages":[],"messages":[]}',         1, 16],
    ['a form'               => 'model=echo&message=hi',                 1, 1],
    ['brackets'             => '[' x $deep,                             1, undef],
    ['braces'               => '{"a":' x $deep,                         1, undef],
    ['brackets, closed'     => '{"a":' . '[' x $deep . ']' x $deep . '}', 1, undef],
);
my @not_objects = ('[]', '"x"', '5', 'null', 'true', '[{"model":"echo"}]');
my @all = ('/v1/chat/completions', @simple);

my @types_bad  = ('text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/json', 'application/jsonx', 'application/json-seq', 'json', 'application/xml',
    'application/octet-stream', 'text/event-stream');
my @types_good = ('application/json', 'application/json; charset=utf-8', 'Application/JSON', 'application/json;charset=UTF-8', 'application/problem+json', 'application/vnd.api+json; v=1');
my @methods    = qw(GET HEAD PUT DELETE PATCH BREW);
my @methods_models = qw(POST PUT DELETE PATCH BREW);

my %cases = map { $_ => scalar(() = cases_of($_)) } @simple;
my %goods = map { $_ => scalar(() = good_of($_)) } @simple;
my $sum = 0;
$sum += $_ for values %cases;
my $goods = 0;
$goods += $_ for values %goods;
plan tests => 3 * (@chat + @streamed) + 3 * $sum + $goods + 4 * @json + 4 * @all + 2 * @not_objects + 3 * @all + 2 * (@types_bad + @types_good) + 2 * @all
    + 4 * @all * @methods + 4 * 2 * @methods_models + 3 * 4 + 6 * 3 + 2 * @all + 4 + 4 + 3 * 3 + 4 * 2 + 5 + 4 + 6 + 1, need_module('mod_aigw', 'mod_aigw_stream');

sub post {
    my ($path, $body, %o) = @_;
    my $c = AIGW::Client->new(port => $port);
    my $fields = delete $o{headers} || [];
    $c->request(POST => $path, body => $body, headers => [Connection => 'close', @$fields], %o);
    return $c->response;
}

# "status type param code", with all four keys there and nothing else.
sub shape {
    my ($r) = @_;
    my $e = eval { $r->json->{error} };
    return "$r->{status}, no error: " . substr $r->content, 0, 200 unless ref $e eq 'HASH' && join(' ', sort keys %$e) eq 'code message param type' && keys %{ $r->json } == 1;
    return join ' ', $r->{status}, $e->{type}, map { defined ? "'$_'" : 'null' } @$e{qw(param code)};
}

sub is_refused {
    my ($name, $r, $param, $message) = @_;
    is shape($r), "400 $INVALID '$param' 'validation_error'", "$name: refused";
    like eval { $r->json->{error}{message} } // '', $message, "$name: it says why";
    is $r->header('Content-Type'), 'application/json', "$name: as JSON";
    return;
}

sub short { my ($s) = @_; return 'left out' unless defined $s; $s =~ s/[^\x20-\x7e]/./g; return length $s > 60 ? substr($s, 0, 57) . '...' : $s }

# ------------------------------------------------------------------ fields

for my $case ((map { ['', @$_] } @chat), (map { [',"stream":true', @$_] } @streamed)) {
    my ($more, $member, $value, $param, $message) = @$case;
    my %members = (model => '"echo"', messages => $hi);
    if (defined $value) { $members{$member} = $value }
    else                { delete $members{$member} }
    my $r = post('/v1/chat/completions', '{' . join(',', map { "\"$_\":$members{$_}" } sort keys %members) . "$more}");
    is_refused("completions, $member " . short($value) . $more, $r, $param, $message);
}

for my $path (@simple) {
    for my $case (cases_of($path)) {
        my ($member, $value, $param, $message) = @$case;
        my %members = ($text{$path} => '"hi"');
        if (defined $value) { $members{$member} = $value }
        else                { delete $members{$member} }
        is_refused("$path, $member " . short($value), post($path, '{' . join(',', map { "\"$_\":$members{$_}" } sort keys %members) . '}'), $param, $message);
    }
    for my $case (good_of($path)) {
        my ($member, $value) = @$case;
        my %members = ($text{$path} => '"hi"', $member => $value);
        my $r = post($path, '{' . join(',', map { "\"$_\":$members{$_}" } sort keys %members) . '}');
        is $r->{status}, 200, "$path, $member " . short($value) . ': taken' or diag $r->content;
    }
}

# ------------------------------------------------------------------ JSON

for my $case (@json) {
    my ($name, $body, $line, $column) = @$case;
    my $r = post('/v1/chat/completions', $body);
    is shape($r), "400 $INVALID null 'invalid_json'", "$name: refused";
    my $message = eval { $r->json->{error}{message} } // '';
    my ($at_line, $at_column) = $message =~ /line (\d+), column (\d+)/;
    is $at_line, $line, "$name: the line";
    is $at_column, $column // $at_column, "$name: the column" or diag $message;
    like $message, qr/column \d+: \w/, "$name: what it is";
}
for my $path (@all) {
    for my $body ('{"model":"echo",', '{"model":"echo","model":"raw"}') {
        my $r = post($path, $body);
        is shape($r), "400 $INVALID null 'invalid_json'", "$path: no JSON";
        like eval { $r->json->{error}{message} } // '', qr/line 1, column 17/, "$path: where";
    }
}
for my $body (@not_objects) {
    is shape(post('/v1/chat/completions', $body)), "400 $INVALID null 'validation_error'", "completions, $body is no object";
    is shape(post('/v1/chat', $body)), "400 $INVALID null 'validation_error'", "chat, $body is no object";
}
for my $path (@all) {
    is shape(post($path, '')), "400 $INVALID null 'invalid_json'", "$path: an empty body";
    is shape(post($path, undef)), "400 $INVALID null 'invalid_json'", "$path: no body";
    is shape(post($path, '', chunked => 1)), "400 $INVALID null 'invalid_json'", "$path: an empty chunked body";
}

# ------------------------------------------------------------------ content type

my %body = (map({ $_ => "{\"$text{$_}\":\"hi\"}" } @simple), '/v1/chat/completions' => "{\"model\":\"echo\",\"messages\":$hi}");
for my $type (@types_bad) {
    is shape(post($_, $body{$_}, headers => ['Content-Type' => $type])), "415 $INVALID null 'unsupported_media_type'", "$_: $type" for '/v1/chat/completions', '/v1/chat';
}
for my $type (@types_good) {
    is post($_, $body{$_}, headers => ['Content-Type' => $type])->{status}, 200, "$_: $type" for '/v1/chat/completions', '/v1/chat';
}
for my $path (@all) {
    is shape(post($path, $body{$path}, headers => ['Content-Type' => 'text/plain'])), "415 $INVALID null 'unsupported_media_type'", "$path: text/plain";
    is shape(post($path, "\x1f\x8b\x08\0", headers => ['Content-Encoding' => 'gzip'])), "415 $INVALID null 'unsupported_media_type'", "$path: gzip";
}

# ------------------------------------------------------------------ method

for my $case ((map { my $path = $_; map { [$path, $_, 'POST'] } @methods } @all), map { my $path = $_; map { [$path, $_, 'GET, HEAD'] } @methods_models } '/v1/models', '/v1/models/echo') {
    my ($path, $method, $allow) = @$case;
    my $c = AIGW::Client->new(port => $port);
    $c->request($method => $path, headers => [Connection => 'close'], $method =~ /^(?:GET|HEAD)$/ ? () : (body => '{}'));
    my $r = $c->response;
    is $r->{status}, 405, "$method $path: 405";
    is_deeply [$r->header('Allow')], [$allow], "$method $path: Allow, once";
    is $r->header('Content-Type'), 'application/json', "$method $path: JSON";
    if ($method eq 'HEAD') { is $r->content . $c->{in}, '', "$method $path: no body" }
    else                   { is shape($r), "405 $INVALID null 'method_not_allowed'", "$method $path: the error" }
}

# What was not read is not taken for the next request.
for my $case (['/v1/models', 'text/plain'], ['/v1/chat/completions', 'text/plain'], ['/v1/chat/nowhere', 'application/json']) {
    my ($path, $type) = @$case;
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $path, headers => ['Content-Type' => $type], body => "GET /static.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $r = $c->response;
    like $r->{status}, qr/^(?:404|405|415)$/, "POST $path: refused without a look at the body";
    is shape($r) =~ / $INVALID null / ? 1 : 0, 1, "POST $path: an error";
    is $r->header('Connection'), 'close', "POST $path: the connection ends";
    $c->wait_eof;
    is $c->{in}, '', "POST $path: … after one answer";
}

# ------------------------------------------------------------------ size

my $mega = 1024 * 1024;
for my $case (['/v1/chat/completions', 32 * $mega], ['/v1/chat', $mega], ['/api/v2/generate', $mega]) {
    my ($path, $limit) = @$case;
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $path, headers => ['Content-Type' => 'application/json', 'Content-Length' => $limit + 1]);
    my $r = $c->response;
    is shape($r), "413 $INVALID null 'request_too_large'", "$path: Content-Length of one byte too many";
    like $r->json->{error}{message}, qr/\b$limit\b/, "$path: how many it may be";
    is $r->header('Connection'), 'close', "$path: the connection ends";

    $c = AIGW::Client->new(port => $port);
    $c->send_raw("POST $path HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    my $chunk = sprintf "%x\r\n%s\r\n", $mega / 2, ' ' x ($mega / 2);
    my $sent  = '';
    $sent ||= $c->send_raw($chunk) for 1 .. 2 * $limit / $mega;
    is $sent, '', "$path: chunks up to the limit are read";
    $c->send_raw("1\r\n \r\n");
    $r = $c->response;
    is shape($r), "413 $INVALID null 'request_too_large'", "$path: chunks, one byte too many";
    is $c->wait_eof, 'closed', "$path: … and the end of the connection";
}

# At the limit; and what is not announced is not believed.
for my $path (@all) {
    my $limit = $path eq '/v1/chat/completions' ? 2 * $mega : $mega; # 32 MiB more do not make it truer
    my $fill = ' ' x ($limit - length $body{$path});
    is post($path, $fill . $body{$path})->{status}, 200, "$path: $limit bytes";
    is post($path, $fill . $body{$path}, chunked => 1)->{status}, 200, "$path: the same in chunks";
}
is shape(post('/v1/chat', $body{'/v1/chat'} . ' ' x $mega)), "413 $INVALID null 'request_too_large'", 'sent as announced, and too much';
for my $length ('-1', '0x10', '99999999999999999999') {
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => '/v1/chat', headers => ['Content-Type' => 'application/json', 'Content-Length' => $length]);
    like $c->response->{status}, qr/^4(?:00|13)$/, "Content-Length: $length";
}

# ------------------------------------------------------------------ framing

is post('/v1/chat', $body{'/v1/chat'}, chunked => 1)->json->{content}, 'hi', 'chunked, simple';
is post('/v1/chat/completions', $body{'/v1/chat/completions'}, chunked => 1)->text, 'hi', 'chunked, completions';
{
    my $c = AIGW::Client->new(port => $port);
    my $head = "POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    my $chunks = join '', map { sprintf "%X;x=\"y\"\r\n%s\r\n", length, $_ } $body{'/v1/chat'} =~ /(.)/gs;
    $c->send_raw("$head${chunks}0\r\nX-Trailer: x\r\n\r\n" . $c->request_bytes(GET => '/static.txt'));
    is $c->response->json->{content}, 'hi', 'chunks of a byte, with extensions and a trailer';
    is $c->response->content, "static\n", '… and the next request';
}
for my $case (['a size that is none' => "zz\r\n{}\r\n"], ['no line end behind it' => "2\r\n{}xx\r\n"], ['a size beyond all' => "fffffffffffffffff\r\n"]) {
    my ($name, $bytes) = @$case;
    my $c = AIGW::Client->new(port => $port);
    $c->send_raw("POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n$bytes");
    my $r = $c->response;
    like shape($r), qr/^4(?:00 $INVALID null 'bad_request'|13 $INVALID null 'request_too_large')$/, "a chunk with $name: refused";
    is $r->header('Connection'), 'close', "a chunk with $name: the connection ends";
    is $c->wait_eof, 'closed', "a chunk with $name: … indeed";
}
for my $cut ([chunked => "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"me"], [measured => "Content-Length: 500\r\n\r\n{\"me"]) {
    my ($name, $rest) = @$cut;
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    $c->send_raw("POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: $tag\r\nContent-Type: application/json\r\n$rest");
    $c->half_close;
    my $r = $c->response;
    is shape($r), "400 $INVALID null 'bad_request'", "a $name body that ends early: 400";
    is $c->wait_eof, 'closed', "a $name body that ends early: the connection ends";
    my $logged = access_wait($tag);
    is $logged->{status}, 400, "a $name body that ends early: logged";
    is $logged->{model}, undef, "a $name body that ends early: no model was asked";
}

# Expect: 100-continue: the body is asked for, but only where it will be read.
{
    my $c = AIGW::Client->new(port => $port);
    my $body = $body{'/v1/chat/completions'};
    my @expect = ('Content-Length' => length $body, Expect => '100-continue');
    $c->request(POST => '/v1/chat/completions', headers => ['Content-Type' => 'application/json', @expect]);
    $c->fill('100 Continue') until $c->{in} =~ /\r\n\r\n/;
    like $c->{in}, qr{\AHTTP/1\.1 100 Continue\r\n}, 'Expect: 100 Continue before the body';
    $c->send_raw($body);
    my $r = $c->response;
    is $r->{status}, 200, 'Expect: then the answer';
    is $r->text, 'hi', 'Expect: … to what was asked';
    is scalar @{ $r->{interim} }, 1, 'Expect: one 100';
    $c->request(GET => '/static.txt');
    is $c->response->content, "static\n", 'Expect: the connection goes on';
}
for my $case (['text/plain', 5, 415], ['application/json', 64 * $mega, 413]) {
    my ($type, $length, $status) = @$case;
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => '/v1/chat/completions', headers => ['Content-Type' => $type, 'Content-Length' => $length, Expect => '100-continue']);
    my $r = $c->response;
    is $r->{status}, $status, "Expect: $status at once";
    is scalar @{ $r->{interim} }, 0, "Expect: $status without a 100";
}

# ------------------------------------------------------------------ models

for my $case (['/v1/chat/completions', "{\"model\":\"nobody\",\"messages\":$hi}"], ['/v1/chat/completions', "{\"stream\":true,\"model\":\"nobody\",\"messages\":$hi}"],
    map { [$_, "{\"model\":\"nobody\",\"$text{$_}\":\"hi\"}"] } @simple[0 .. 3]) {
    my ($path, $body) = @$case;
    is shape(post($path, $body)), "404 $INVALID 'model' 'model_not_found'", "$path: a model that is not there";
}

log_clean();
