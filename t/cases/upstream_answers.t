# An upstream that answers rightly, in every form that HTTP and server-sent events allow: the client gets the same answer whatever the form, the access log
# counts what was used, and the usage chunk, which the gateway always asks for, is there when the client asked and not otherwise.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use AIGW::Client;
use AIGW::Log;
use AIGW::Raw;

my $port  = Apache::Test::vars('port');
my $json  = JSON::PP->new->allow_nonref->utf8;
my $parks = Apache::Test::have_module('mpm_event');
my @where = ('', '/block');
my $text  = 'one two three four five';

my @forms = ('ok', 'ok:1', 'ok:50', 'ok-chunked', 'ok-length', 'ok-close', 'crlf', 'comments', 'azure', 'two-at-once', 'usage-null', 'interim', 'trailers', 'slow-head:1',
    'head-then:50', 'ttft:50', 'delay:5:5', 'no-done', 'tools');
my @options = (
    # what the client sends as stream_options, what the upstream gets, usage for the client
    [undef,                                                  { include_usage => \1 },                                   0],
    [{},                                                     { include_usage => \1 },                                   0],
    [{ include_usage => \0 },                                { include_usage => \1 },                                   0],
    [{ include_usage => \1 },                                { include_usage => \1 },                                   1],
    [{ include_obfuscation => \0 },                          { include_usage => \1, include_obfuscation => \0 },        0],
    [{ a => [1, { include_usage => \0 }], include_usage => \0, z => 'ü"' }, { include_usage => \1, a => [1, { include_usage => \0 }], z => 'ü"' }, 0],
    [{ include_obfuscation => \1, include_usage => \1 },     { include_usage => \1, include_obfuscation => \1 },        1],
);
my @dialects = (
    ['/v1/chat',                'message', 0, '7+5'],
    ['/v1/chat/stream',         'message', 1, '[DONE]'],
    ['/api/v1/stream/generate', 'prompt',  1, 'done, 5'],
    ['/api/v2/generate',        'prompt',  0, '7+5 stop'],
);
my @told     = qw(azure comments no-done usage-null ok);
plan tests => @where * (@forms * (2 * 13 + 10) + @options * 4 + 3 + @dialects * @told * 3 + 6) + 1, need_module('mod_aigw', 'mod_aigw_stream');

sub ask {
    my ($path, $data) = @_;
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $path, headers => { 'X-Request-ID' => $tag }, json => $data);
    my $r = $c->response;
    return ($r, $tag);
}

sub chat_body { my ($scenario, %more) = @_; return { model => 'raw', scenario => $scenario, messages => [{ role => 'user', content => 'hello' }], %more } }

# The choice of a chunk; {} in one that has none.
sub choice { my ($chunk) = @_; return @{ $chunk->{choices} } ? $chunk->{choices}[0] : {} }

sub words { my ($n) = @_; my @w = qw(one two three four five six seven eight nine ten); return join ' ', map { $w[$_ % 10] } 0 .. $n - 1 }

# What is to come of a scenario: text, completion tokens, finish_reason.
sub expected {
    my ($form) = @_;
    return (undef, 9, 'tool_calls') if $form eq 'tools';
    return (words($1), $1, 'stop') if $form =~ /^ok:(\d+)/;
    return ($text, 5, 'stop');
}

sub is_counted {
    my ($name, $path, $tag, $tokens, $finish) = @_;
    my $logged = access_wait($tag);
    is join('/', map { $_ // '-' } @$logged{qw(prompt completion finish error)}), "7/$tokens/$finish/-", "$name: counted in the access log";
    is $logged->{mode}, $parks && $path !~ m{^/block} ? 'parked' : 'blocking', "$name: how it ran";
    return;
}

# The tool calls of a stream, put together.
sub tool_calls {
    my (@chunks) = @_;
    my @calls;
    for my $part (map { @{ (choice($_)->{delta} || {})->{tool_calls} || [] } } @chunks) {
        my $call = $calls[$part->{index}] ||= { name => '', arguments => '' };
        $call->{id} //= $part->{id};
        $call->{$_} .= $part->{function}{$_} // '' for qw(name arguments);
    }
    return \@calls;
}
my $calls = [{ id => 'call_raw1', name => 'get_weather', arguments => '{"city": "Zürich", "unit": "c"}' },
    { id => 'call_raw2', name => 'get_time', arguments => '{"zone": "Europe/Zurich"}' }];
utf8::decode($_->{arguments}) for @$calls;

sub is_stream {
    my ($name, $path, $form, $asked) = @_;
    my ($expect, $tokens, $finish) = expected($form);
    my ($r, $tag) = ask($path, chat_body($form, stream => \1, $asked ? (stream_options => { include_usage => \1 }) : ()));
    is $r->{status}, 200, "$name: 200";
    is $r->header('Content-Type'), 'text/event-stream; charset=utf-8', "$name: server-sent events";
    ok $r->complete, "$name: a whole body";
    # each of these has broken a released SDK
    unlike $r->content, qr/^(?:id|event|retry)|^data:\s*$|\r/m, "$name: nothing but data and comments";
    my @data = $r->data;
    is pop @data, '[DONE]', "$name: [DONE] at the end";
    my @chunks = map { eval { $json->decode($_) } || $_ } @data;
    ok !(grep { !ref } @chunks), "$name: all else is JSON" or diag grep { !ref } @chunks;
    if (defined $expect) { is join('', map { (choice($_)->{delta} || {})->{content} // '' } @chunks), $expect, "$name: the text" }
    else                 { is_deeply tool_calls(@chunks), $calls, "$name: the tool calls" }
    is_deeply [grep { defined } map { choice($_)->{finish_reason} } @chunks], [$finish], "$name: one finish_reason";
    my @usage = grep { ref $_->{usage} } @chunks;
    is scalar(@usage), $asked ? 1 : 0, "$name: usage as asked for";
    my $last = $chunks[-1];
    is_deeply $asked ? [$last->{choices}, $last->{usage}{completion_tokens}] : [], $asked ? [[], $tokens] : [], "$name: … in a chunk of its own, the last";
    ok !(grep { @{ $_->{choices} } && $_->{model} ne 'raw' } @chunks), "$name: the upstream's model in all";
    is_counted($name, $path, $tag, $tokens, $finish);
    return;
}

sub is_whole {
    my ($name, $path, $form) = @_;
    my ($expect, $tokens, $finish) = expected($form);
    my ($r, $tag) = ask($path, chat_body($form));
    is $r->{status}, 200, "$name: 200";
    is $r->header('Content-Type'), 'application/json', "$name: JSON";
    is $r->header('Content-Length'), length $r->content, "$name: its length is told";
    is $r->header('Transfer-Encoding') // 'none', 'none', "$name: … and it is not chunked";
    ok $r->complete, "$name: a whole body";
    my $choice = eval { $r->json->{choices}[0] } || {};
    if (defined $expect) { is $choice->{message}{content}, $expect, "$name: the text" }
    else { is_deeply [map { { id => $_->{id}, %{ $_->{function} } } } @{ $choice->{message}{tool_calls} }], $calls, "$name: the tool calls" }
    is $choice->{finish_reason}, $finish, "$name: finish_reason";
    is $r->json->{usage}{completion_tokens}, $tokens, "$name: usage";
    is_counted($name, $path, $tag, $tokens, $finish);
    return;
}

# The text of the dialects that tell nothing else, and how they end.
sub told_in_stream {
    my ($r) = @_;
    my @data = $r->data;
    my $last = pop @data;
    my $end = $last eq '[DONE]' ? $last : $json->decode($last);
    return (join('', map { $json->decode($_)->{token} } @data), ref $end ? ($end->{done} ? 'done' : 'not done') . ", $end->{total_tokens}" : $end);
}

sub told_whole {
    my ($r) = @_;
    my $said = $r->json;
    my $usage = $said->{usage} || $said->{meta}{usage};
    return ($said->{content} // $said->{text}, join ' ', "$usage->{prompt_tokens}+$usage->{completion_tokens}", $said->{meta} ? $said->{meta}{finish_reason} : ());
}

for my $where (@where) {
    my $path = "$where/v1/chat/completions";
    for my $form (@forms) {
        is_stream("$where $form, stream", $path, $form, 0);
        is_stream("$where $form, stream with usage", $path, $form, 1);
        is_whole("$where $form, whole", $path, $form);
    }

    # What the upstream is asked for.
    for my $case (@options) {
        my ($sent, $got, $usage) = @$case;
        my $name = "$where stream_options " . (defined $sent ? JSON::PP->new->canonical->encode($sent) : 'none');
        my ($r, $tag) = ask($path, chat_body('ok', stream => \1, defined $sent ? (stream_options => $sent) : ()));
        my ($request) = @{ raw_log($tag)->{requests} };
        my $body = JSON::PP->new->decode($request->{body});
        is_deeply $body->{stream_options}, JSON::PP->new->decode(JSON::PP->new->encode($got)), "$name: what the upstream got";
        is scalar(() = $request->{body} =~ /"stream_options"/g), 1, "$name: … once";
        is scalar(grep { /"usage":\{/ } $r->data), $usage, "$name: usage for the client";
        is access_wait($tag)->{completion}, 5, "$name: counted";
    }
    for my $not (['stream false', stream => \0], ['no stream', ()]) {
        my ($name, @stream) = @$not;
        my ($r, $tag) = ask($path, chat_body('ok', @stream));
        unlike raw_log($tag)->{requests}[0]{body}, qr/stream_options/, "$where $name: no stream_options";
    }
    my ($nothing) = ask($path, chat_body('usage-null', stream => \1));
    is scalar(grep { /"usage":null/ } $nothing->data), 7, "$where usage: null stays as it came";

    # Dialects that tell the text alone.
    for my $form (@told) {
        for my $dialect (@dialects) {
            my ($below, $field, $stream, $expect) = @$dialect;
            my $name = "$where$below $form";
            my ($r, $tag) = ask("$where$below", { model => "raw:$form", $field => 'hello' });
            my ($said, $end) = $stream ? told_in_stream($r) : told_whole($r);
            is $said, $text, "$name: the text";
            is $end, $expect, "$name: its end";
            is access_wait($tag)->{completion}, 5, "$name: counted";
        }
    }

    # A long stream arrives byte for byte: 1000 events of 1 KB.
    my ($long) = ask($path, chat_body('long:1000', stream => \1));
    is scalar(grep { /"content":"x{800}"/ } $long->data), 1000, "$where long: every event";
    is(($long->data)[-1], '[DONE]', "$where long: to the end");
    ok $long->complete, "$where long: a whole body";
    my ($whole) = ask($path, chat_body('huge-event:3'));
    is length($whole->json->{choices}[0]{message}{content}), 3 * 1_048_576, "$where 3 MB in one answer";
    is $whole->header('Content-Length'), length $whole->content, "$where … whole";
    my ($read) = ask("$where/v1/chat", { model => 'raw:huge-event:3', message => 'hello' });
    is length($read->json->{content}), 3 * 1_048_576, "$where 3 MB in one answer, read";
}

log_clean();
