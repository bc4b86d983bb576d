# POST /v1/chat/completions: what comes out, streamed and whole, built from the events of the built-in model and handed through from an upstream.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use AIGW::Client qw(chat post_json);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Scenarios ();

my $port  = Apache::Test::vars('port');
my @where = ('', '/block');
my $json  = JSON::PP->new->canonical->utf8->allow_nonref;
my $text_json = JSON::PP->new;    # of characters, not of bytes
my @names = ([echo => 'echo'], [parrot => 'echo'], ['org/parrot-1' => 'echo'], [undef, 'echo'], [up => 'echo']);
my @cut   = ([max_tokens => 2], [max_completion_tokens => 2], [max_completion_tokens => 2, max_tokens => 1], [max_tokens => 4], [max_tokens => 3]);

plan tests => @where * (2 * 8 + 4 * 5 + 4 + 5 + @names * 4 + @cut * 4 + 8 + 7 + 6 + 8 + 8 + 6 + 8 + 5 + 7 + 4 * 3) + 1, need_module('mod_aigw', 'mod_aigw_stream');

sub user { my ($text) = @_; return [{ role => 'user', content => $text }] }

sub ask {
    my ($path, %body) = @_;
    my $tag = delete $body{tag};
    return post_json($path, \%body, port => $port, $tag ? (headers => { 'X-Request-ID' => $tag }) : ());
}

# The chunks of a stream as data; [DONE] and what is no JSON are left out.
sub chunks { my ($r) = @_; return map { /^\{/ ? $json->decode($_) : () } $r->data }

# The same without what is different each time.
sub bare { return map { my %c = %$_; delete @c{qw(id created)}; \%c } @_ }

# An event stream that has nothing but data lines, none of them empty, and [DONE] as its last event and nowhere else.
sub is_plain {
    my ($name, $r) = @_;
    my $data = qr/data: [^\r\n]+\n\n/;
    like $r->content, qr/\A$data*data: \[DONE\]\n\n\z/, "$name: data lines, then [DONE]";
    is scalar(() = $r->content =~ /\[DONE\]/g), 1, "$name: one [DONE]";
    return;
}

sub chunk {
    my ($model, $index, $delta, $finish, %more) = @_;
    my $choice = { index => $index, delta => $delta, logprobs => undef, finish_reason => $finish };
    return { object => 'chat.completion.chunk', model => $model, choices => [$choice], %more };
}

sub built {
    my ($model, $index, $finish, $words, %more) = @_;
    return (chunk($model, $index, { role => 'assistant', content => '' }, undef, %more), (map { chunk($model, $index, { content => $_ }, undef, %more) } @$words),
        chunk($model, $index, {}, $finish, %more));
}

sub counted {
    my ($prompt, $completion) = @_;
    return { prompt_tokens => $prompt, completion_tokens => $completion, total_tokens => $prompt + $completion,
        prompt_tokens_details => { cached_tokens => 0 }, completion_tokens_details => { reasoning_tokens => 0 } };
}

# What all of them are.
sub same { my %seen = map { ($_ // 'undef') => 1 } @_; return keys %seen == 1 ? (keys %seen)[0] : 'not the same' }

for my $where (@where) {
    my $path = "$where/v1/chat/completions";

    # ------------------------------------------------ a stream that is built from events, its usage asked for or not
    for my $asked (0, 1) {
        my $name = "$where built stream" . ($asked ? ' with usage' : '');
        my $r = ask($path, model => 'echo', messages => user('one two three'), stream => \1, $asked ? (stream_options => { include_usage => \1 }) : ());
        is $r->{status}, 200, "$name: 200";
        ok $r->complete, "$name: complete";
        is_plain($name, $r);
        my @all  = chunks($r);
        my @want = built('echo', 0, 'stop', ['one', ' two', ' three'], $asked ? (usage => undef) : ());
        push @want, { object => 'chat.completion.chunk', model => 'echo', choices => [], usage => counted(3, 3) } if $asked;
        is_deeply [bare(@all)], \@want, "$name: the chunks" or diag explain \@all;
        like same(map { $_->{id} } @all), qr/^chatcmpl-[A-Za-z0-9]{10,}$/, "$name: the same ID in all";
        my $created = same(map { $_->{created} } @all);
        like $created, qr/^\d+$/, "$name: the same time in all";
        cmp_ok abs($created - time), '<', 60, "$name: … which is now";
    }

    # ------------------------------------------------ one that is handed through: the upstream's own bytes
    for my $scenario ([ok => 0], [ok => 1], ['usage-null' => 0], ['usage-null' => 1]) {
        my ($what, $asked) = @$scenario;
        my $name = "$where raw stream, $what" . ($asked ? ' with usage' : '');
        my $r = ask($path, model => 'raw', messages => user('hi'), scenario => $what, stream => \1, $asked ? (stream_options => { include_usage => \1 }) : ());
        is $r->{status}, 200, "$name: 200";
        is_plain($name, $r);
        my ($n) = $r->content =~ /"chatcmpl-raw(\d+)"/;
        my %more = $what eq 'ok' ? () : (more => ',"usage":null');
        is $r->content, join('', AIGW::Scenarios::events({ n => $n // 0, model => 'raw', include_usage => $asked }, 5, %more)), "$name: as it came";
        is scalar(grep { ref $_->{usage} } chunks($r)), $asked, "$name: the usage " . ($asked ? 'once' : 'is taken out');
    }
    # what is no usage chunk though its choices are empty (Azure)
    my $r = ask($path, model => 'raw', messages => user('hi'), scenario => 'azure', stream => \1);
    my @all = chunks($r);
    is_deeply $all[0]{choices}, [], "$where azure: the first chunk stays";
    ok exists $all[0]{prompt_filter_results}, "$where azure: … with what it says";
    is scalar(grep { ref $_->{usage} } @all), 0, "$where azure: the usage chunk goes";
    is $r->text, 'one two three four five', "$where azure: the text";

    # ------------------------------------------------ whole
    $r = ask($path, model => 'echo', messages => user('one two three'));
    my $got = $r->json;
    is $r->header('Content-Type'), 'application/json', "$where whole: JSON";
    is $r->header('Content-Length'), length $r->content, "$where whole: its length";
    like delete $got->{id}, qr/^chatcmpl-[A-Za-z0-9]{10,}$/, "$where whole: an ID";
    cmp_ok abs(delete($got->{created}) - time), '<', 60, "$where whole: created now";
    my $choice = { index => 0, message => { role => 'assistant', content => 'one two three', refusal => undef }, logprobs => undef, finish_reason => 'stop' };
    is_deeply $got, { object => 'chat.completion', model => 'echo', choices => [$choice], usage => counted(3, 3) }, "$where whole: the rest" or diag explain $got;

    # ------------------------------------------------ names of a model
    for my $case (@names) {
        my ($asked, $is) = @$case;
        my $name = "$where model " . ($asked // 'not said');
        my @model = $asked ? (model => $asked) : ();
        $r = ask($path, @model, messages => user('a b'));
        is $r->json->{model}, $is, "$name: its own name, whole";
        is $r->text, 'a b', "$name: the answer, whole";
        $r = ask($path, @model, messages => user('a b'), stream => \1);
        is same(map { $_->{model} } chunks($r)), $is, "$name: its own name, in each chunk";
        is $r->text, 'a b', "$name: the answer, streamed";
    }

    # ------------------------------------------------ as many tokens as are wanted
    for my $case (@cut) {
        my %limit = @$case;
        my $limit = $limit{max_completion_tokens} // $limit{max_tokens};
        my $name = "$where " . join ' ', map { "$_ $limit{$_}" } sort keys %limit;
        my @words = ('a', ' b', ' c')[0 .. ($limit < 3 ? $limit : 3) - 1];
        my $finish = $limit < 3 ? 'length' : 'stop';
        $r = ask($path, model => 'echo', messages => user('a b c'), %limit);
        is $r->text, join('', @words), "$name: the text, whole";
        is "$r->{status} " . $r->json->{choices}[0]{finish_reason} . ' ' . $r->json->{usage}{completion_tokens}, "200 $finish " . @words, "$name: finish_reason, whole";
        $r = ask($path, model => 'echo', messages => user('a b c'), %limit, stream => \1);
        is_deeply [bare(chunks($r))], [built('echo', 0, $finish, \@words)], "$name: streamed";
        is(($r->data)[-1], '[DONE]', "$name: [DONE]");
    }

    # ------------------------------------------------ n = 2
    $r = ask($path, model => 'echo', messages => user('a b'), n => 2, stream => \1, stream_options => { include_usage => \1 });
    is_plain("$where n=2", $r);
    @all = chunks($r);
    for my $index (0, 1) {
        my @own = grep { @{ $_->{choices} } && $_->{choices}[0]{index} == $index } @all;
        is_deeply [bare(@own)], [built('echo', $index, 'stop', ['a', ' b'], usage => undef)], "$where n=2: choice $index";
    }
    like same(map { $_->{id} } @all), qr/^chatcmpl-/, "$where n=2: one ID";
    is_deeply [map { $_->{usage} // () } @all], [counted(2, 4)], "$where n=2: one usage, of both";
    is_deeply $all[-1]{choices}, [], "$where n=2: … at the end";
    $r = ask($path, model => 'echo', messages => user('a b'), n => 2);
    is_deeply [map { "$_->{index} $_->{message}{content} $_->{finish_reason}" } @{ $r->json->{choices} }], ['0 a b stop', '1 a b stop'], "$where n=2: whole";

    # ------------------------------------------------ parts: text is understood, images pass
    my $image = { type => 'image_url', image_url => { url => 'data:image/png;base64,iVBORw0KGgo=', detail => 'low' } };
    my @parts = ({ type => 'text', text => 'look at' }, $image, { type => 'text', text => 'this one' }, { type => 'a_new_kind', x => 1 });
    my @with  = (messages => [{ role => 'system', content => [{ type => 'text', text => 'be brief' }] }, { role => 'user', content => \@parts }]);
    $r = ask($path, model => 'echo', @with);
    is $r->text, 'look at this one', "$where parts: the words of all text parts";
    is $r->json->{usage}{prompt_tokens}, 6, "$where parts: and of the system message, counted";
    is ask($path, model => 'echo', @with, stream => \1)->text, 'look at this one', "$where parts: streamed";
    my $tag = tag();
    is ask($path, model => 'raw', @with, tag => $tag)->{status}, 200, "$where parts: to an upstream";
    my $sent = $json->decode(raw_log($tag)->{requests}[0]{body});
    is_deeply $sent->{messages}[1]{content}, \@parts, "$where parts: as they were";
    my $big = { type => 'image_url', image_url => { url => 'data:image/png;base64,' . 'iVBORw0K' x 300_000 } };
    is ask($path, model => 'echo', messages => [{ role => 'user', content => [$big, $parts[0]] }])->text, 'look at', "$where parts: an image of 2.4 MB";
    is ask($path, model => 'raw', messages => [{ role => 'user', content => [$big] }], stream => \1)->text, 'one two three four five', "$where … to an upstream";

    # ------------------------------------------------ tools
    my %tools = (tools => [{ type => 'function', function => { name => 'get_weather', parameters => { type => 'object' } } }], tool_choice => 'auto');
    $r = ask($path, model => 'raw', messages => user('weather?'), scenario => 'tools', %tools);
    $got = $r->json->{choices}[0];
    is $got->{finish_reason}, 'tool_calls', "$where tools, whole: finish_reason";
    is_deeply [map { "$_->{type} $_->{id} $_->{function}{name}" } @{ $got->{message}{tool_calls} }],
        ['function call_raw1 get_weather', 'function call_raw2 get_time'], "$where tools, whole: the calls";
    $r = ask($path, model => 'raw', messages => user('weather?'), scenario => 'tools', %tools, stream => \1);
    my (%name, %arguments);
    for my $delta (map { @{ $_->{choices}[0]{delta}{tool_calls} || [] } } chunks($r)) {
        $name{ $delta->{index} } //= $delta->{function}{name};
        $arguments{ $delta->{index} } .= $delta->{function}{arguments};
    }
    is_deeply \%name, { 0 => 'get_weather', 1 => 'get_time' }, "$where tools, streamed: the names";
    is_deeply [map { $text_json->decode($_) } @arguments{ 0, 1 }], [{ city => "Z\xfcrich", unit => 'c' }, { zone => 'Europe/Zurich' }],
        "$where tools, streamed: the arguments";
    is +(grep { $_ } map { @{ $_->{choices} } ? $_->{choices}[0]{finish_reason} : () } chunks($r))[-1], 'tool_calls', "$where tools, streamed: finish_reason";
    my @history = (
        { role => 'developer', content => 'use tools' }, { role => 'user', content => 'weather?' },
        { role => 'assistant', content => undef, tool_calls => [{ id => 'c1', type => 'function', function => { name => 'f', arguments => '{}' } }] },
        { role => 'tool', tool_call_id => 'c1', content => 'sunny' }, { role => 'assistant', tool_calls => [] },
        { role => 'function', name => 'f', content => 'x' },
    );
    is ask($path, model => 'echo', messages => \@history)->text, 'weather?', "$where tools: a history with calls and their results";

    # ------------------------------------------------ what nobody knows passes
    $tag = tag();
    my %unknown = (a_new_parameter => { deep => [undef, \1, 'x'] }, seed => 7, logit_bias => { 50256 => -100 }, '' => 0, store => \0, metadata => { a => 'b' });
    $r = ask($path, model => 'raw', messages => user('hi'), %unknown, tag => $tag);
    is $r->{status}, 200, "$where unknown members: taken";
    $sent = $json->decode(raw_log($tag)->{requests}[0]{body});
    is_deeply { map { $_ => $sent->{$_} } keys %unknown }, $json->decode($json->encode(\%unknown)), "$where unknown members: passed on";
    ok !exists $sent->{stream_options}, "$where whole: no stream_options are added";
    ok !exists $sent->{stream}, "$where whole: nor stream";
    is ask($path, model => 'echo', messages => user('hi'), %unknown)->text, 'hi', "$where unknown members: no matter to the built-in model";
    $tag = tag();
    ask($path, model => 'raw', messages => user('hi'), stream => \1, stream_options => { include_obfuscation => \0 }, tag => $tag);
    $sent = $json->decode(raw_log($tag)->{requests}[0]{body});
    is $json->encode($sent->{stream_options}), '{"include_obfuscation":false,"include_usage":true}', "$where stream: usage is asked for, other options stay";
    $tag = tag();
    $r = ask($path, model => 'raw', messages => user('hi'), stream => \1, stream_options => { include_usage => \0 }, tag => $tag);
    $sent = $json->decode(raw_log($tag)->{requests}[0]{body});
    is $json->encode($sent->{stream_options}), '{"include_usage":true}', "$where stream: also where the client does not want it";
    is scalar(grep { ref $_->{usage} } chunks($r)), 0, "$where stream: … who then does not see it";

    # ------------------------------------------------ null is "not said"
    my %null = map { $_ => undef } qw(stream stream_options max_tokens max_completion_tokens n temperature top_p presence_penalty frequency_penalty tools stop user response_format);
    is ask($path, model => 'echo', messages => user('a b'), %null)->text, 'a b', "$where null everywhere: whole";
    $r = ask($path, model => 'echo', messages => user('a b'), %null, stream => \1);
    is_deeply [bare(chunks($r))], [built('echo', 0, 'stop', ['a', ' b'])], "$where null everywhere: streamed";
    is ask($path, model => 'echo', messages => user('a b'), stream => \1, stream_options => { include_usage => undef })->text, 'a b', "$where include_usage null";
    is ask($path, model => 'echo', messages => user('a b'), stream => \1, stream_options => {})->text, 'a b', "$where no stream option";
    # what is said for more than one reason
    my @usual = (temperature => 2, top_p => 1, presence_penalty => -2, frequency_penalty => 2.0, stop => ['x', 'y'], user => 'me', response_format => { type => 'text' }, tools => []);
    is ask($path, model => 'echo', messages => user('a b'), @usual)->text, 'a b', "$where all usual parameters";
    is ask($path, model => 'echo', messages => user('a b'), temperature => 0, top_p => 0, presence_penalty => 2, frequency_penalty => -2, stop => 'x', n => 1)->text, 'a b', "$where … and at their other ends";
    is scalar @{ ask($path, model => 'echo', messages => user('a'), n => 128)->json->{choices} }, 128, "$where n=128";
    is ask($path, model => 'echo', messages => [{ role => 'user', content => 'first' }, { role => 'assistant', content => 'so' }, { role => 'user', content => 'last' }, { role => 'system', content => 'x' }])->text,
        'last', "$where the last word of the user";

    # ------------------------------------------------ any character
    for my $text ("gr\xfcezi \x{4f60}\x{597d} \x{1f469}\x{200d}\x{1f467} ok", "quote\" back\\slash </script> \x{2028} \x{7f}", "nul\0bell\a tab") {
        my $want = $text =~ s/[ \t]+/ /gr;
        is ask($path, model => 'echo', messages => user($text))->text, $want, "$where characters, whole";
        is ask($path, model => 'echo', messages => user($text), stream => \1)->text, $want, "$where characters, streamed";
    }

    # ------------------------------------------------ nothing to say
    for my $empty ('', "  \n ") {
        $r = ask($path, model => 'echo', messages => user($empty));
        is $r->{status}, 200, "$where an empty prompt: 200";
        is $r->json->{choices}[0]{finish_reason}, 'stop', "$where an empty prompt: stop";
        $r = ask($path, model => 'echo', messages => user($empty), stream => \1);
        is_plain("$where an empty prompt", $r);
    }

    # ------------------------------------------------ HTTP/1.0
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $path, version => '1.0', json => { model => 'echo', stream => \1, messages => user('a b c') });
    $r = $c->response;
    is $r->{status}, 200, "$where HTTP/1.0: 200";
    is $r->header('Transfer-Encoding'), undef, "$where HTTP/1.0: not chunked";
    is $r->header('Content-Length'), undef, "$where HTTP/1.0: no length";
    is $r->text, 'a b c', "$where HTTP/1.0: the answer";
    is(($r->data)[-1], '[DONE]', "$where HTTP/1.0: [DONE], then the end of the connection");

    # ------------------------------------------------ failures: before the stream has begun a status, after it an event
    $r = ask($path, model => 'echo-429', messages => user('a'), stream => \1);
    is "$r->{status} " . $r->header('Content-Type'), '429 application/json', "$where a failure before the stream";
    $r = ask($path, model => 'echo-reset', messages => user('a b c d e'), stream => \1);
    is $r->{status}, 200, "$where a failure in the stream: 200 it was";
    ok $r->complete, "$where a failure in the stream: a body with an end";
    my @data = $r->data;
    my $last = $json->decode($data[-1]);
    is join(' ', keys %$last, sort keys %{ $last->{error} || {} }), 'error code message param type', "$where a failure in the stream: the last event is the error";
    is "$last->{error}{type} $last->{error}{code}", 'upstream_error upstream_reset', "$where … which says what";
    unlike $r->content, qr/\[DONE\]|"finish_reason":"/, "$where … and nothing says that it was finished";
    $r = ask($path, model => 'echo-reset', messages => user('a b c d e'));
    is "$r->{status} " . $r->json->{error}{code}, '502 upstream_reset', "$where the same, whole";

    # ------------------------------------------------ what upstreams may say between events never reaches an OpenAI client
    for my $what (qw(comments crlf ok-chunked ok-length)) {
        $r = ask($path, model => 'raw', messages => user('hi'), scenario => $what, stream => \1);
        unlike $r->content, qr/^(?:id|retry|event)\b|^data: *\r?$/m, "$where $what: no line that breaks a client";
        is $r->text, 'one two three four five', "$where $what: the text";
        is(($r->data)[-1], '[DONE]', "$where $what: [DONE]");
    }
}

log_clean();
