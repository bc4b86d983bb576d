# The dialect {message, model?}: POST /v1/chat answers {content, model, usage}, POST /v1/chat/stream tells {"token"} by {"token"}.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use AIGW::Client qw(post_json);
use AIGW::Log;
use AIGW::Raw;

my $port   = Apache::Test::vars('port');
my @where  = ('', '/block');
my $json   = JSON::PP->new->canonical->utf8->allow_nonref;
my @models = ([undef, 'echo'], [echo => 'echo'], [parrot => 'echo'], ['org/parrot-1' => 'echo'], [up => 'up']);
my @texts  = ("gr\xfcezi \x{4f60}\x{597d} \x{1f600}", "quote\" back\\slash </script> \x{2028}", "nul\0 bell\a", 'x' x 5000);
my @raw    = ([ok => 'one two three four five'], [azure => 'one two three four five'], [comments => 'one two three four five'], ['usage-null' => 'one two three four five'],
    ['no-done' => 'one two three four five'], ['delay:100:10' => 'one two three four five six seven eight nine ten']);
my @early  = (['echo-429' => 429, 'rate_limit_error', 'rate_limit_exceeded'], [dead => 502, 'upstream_error', 'upstream_connect_failed'],
    ['raw:status:400' => 400, 'invalid_request_error', 'upstream_code'], ['raw:status:401' => 502, 'upstream_error', 'upstream_auth_failed'],
    ['raw:status:500' => 500, 'server_error', 'upstream_code'], ['raw:html' => 502, 'upstream_error', 'upstream_invalid_response'],
    ['raw:close-before' => 502, 'upstream_error', 'upstream_reset']);
my @late = (['echo-reset' => 3], ['raw:cut' => undef], ['raw:reset-mid-event' => 2], ['raw:close-mid-event' => 2], ['raw:error-event' => 2], ['raw:bad-chunk' => undef]);
plan tests => @where * (@models * (4 + 4) + @texts * 2 + @raw * 3 + 5 + 5 + @early * 4 + @late * 6 + 4 + 3 + 4) + 1, need_module('mod_aigw', 'mod_aigw_stream');
expect_log(qr/AIGW018\d: .* model raw:/, qr/AIGW0173: .* model dead/, qr/AIGW0202: .* model raw:/, qr/\bAH\d+: .*HTTP: attempt to connect/);

sub ask {
    my ($path, $message, %o) = @_;
    my @model = defined $o{model} ? (model => $o{model}) : ();
    return post_json($path, { message => $message, @model }, port => $port, $o{tag} ? (headers => { 'X-Request-ID' => $o{tag} }) : ());
}

# The tokens of a stream, and whether it is nothing but data lines and ends with [DONE].
sub tokens {
    my ($r) = @_;
    my @data = $r->data;
    my $done = @data && $data[-1] eq '[DONE]' && pop @data;
    my $plain = $r->content =~ /\A(?:data: [^\r\n]+\n\n)*\z/ ? 'plain' : 'not plain';
    return ($plain . ($done ? ', done' : ''), map { $json->decode($_) } @data);
}

for my $where (@where) {
    my ($whole, $stream) = map { "$where/v1/$_" } 'chat', 'chat/stream';

    for my $case (@models) {
        my ($asked, $model) = @$case;
        my $name = "$where model " . ($asked // 'not said');
        my $r = ask($whole, 'one two  three', model => $asked);
        is $r->{status}, 200, "$name: 200";
        is $r->header('Content-Type'), 'application/json', "$name: JSON";
        is $r->header('Content-Length'), length $r->content, "$name: its length";
        is_deeply $r->json, { content => 'one two three', model => $model, usage => { prompt_tokens => 3, completion_tokens => 3 } }, "$name: the answer";

        $r = ask($stream, 'one two  three', model => $asked);
        is $r->{status}, 200, "$name, stream: 200";
        is $r->header('Content-Type'), 'text/event-stream; charset=utf-8', "$name, stream: server-sent events";
        is_deeply [tokens($r)], ['plain, done', { token => 'one' }, { token => ' two' }, { token => ' three' }], "$name, stream: the tokens, and [DONE]";
        ok $r->complete, "$name, stream: complete";
    }

    for my $text (@texts) {
        my $want = length $text > 1000 ? substr $text, 0, length ask($whole, $text)->json->{content} : $text;
        is ask($whole, $text)->json->{content}, $want, "$where characters";
        my ($how, @tokens) = tokens(ask($stream, $text));
        is join('', $how, ': ', map { $_->{token} } @tokens), "plain, done: $want", "$where characters, streamed";
    }

    for my $case (@raw) {
        my ($scenario, $text) = @$case;
        my $got = ask($whole, 'hi', model => "raw:$scenario")->json;
        is "$got->{model} $got->{content}", "raw:$scenario $text", "$where $scenario: the answer";
        is_deeply $got->{usage}, { prompt_tokens => 7, completion_tokens => $text =~ tr/ // + 1 }, "$where $scenario: the usage";
        my ($how, @tokens) = tokens(ask($stream, 'hi', model => "raw:$scenario"));
        is join('', $how, ': ', map { join ',', keys %$_, $_->{token} } @tokens), 'plain, done: token,' . join(' token,', split / /, $text) =~ s/ token,/token, /gr,
            "$where $scenario: the tokens";
    }

    # What an upstream is asked.
    for my $case ([$whole => 0], [$stream => 1]) {
        my ($path, $is_stream) = @$case;
        my $tag = tag();
        my $r = ask($path, 'hello there', model => 'raw', tag => $tag);
        my $sent = $json->decode(raw_log($tag)->{requests}[0]{body});
        is_deeply $sent->{messages}, [{ role => 'user', content => 'hello there' }], "$path: the message, as the user's";
        is $sent->{model}, 'raw', "$path: the model";
        ok !(exists $sent->{max_tokens} || exists $sent->{temperature} || exists $sent->{n}), "$path: nothing that nobody said";
        is !!$sent->{stream}, !!$is_stream, "$path: as a stream or not";
        ok !exists $sent->{stream_options} == !$is_stream, "$path: with usage, where it is a stream";
    }

    # Errors: a status before the first token, whole or not; after it an event, and nothing that looks like an end.
    for my $case (@early) {
        my ($model, $status, $type, $code) = @$case;
        for my $path ($whole, $stream) {
            my $r = ask($path, 'a b c', model => $model);
            my $e = $r->{status} == 200 ? {} : $r->json->{error};
            is "$r->{status} " . $r->header('Content-Type'), "$status application/json", "$path $model: the status";
            is join(' ', (sort keys %$e), map { $_ // 'null' } @$e{qw(type code)}), "code message param type $type $code", "$path $model: the error";
        }
    }
    for my $case (@late) {
        my ($model, $tokens) = @$case;
        my $r = ask($whole, 'a b c d e f', model => $model);
        like $r->{status}, qr/^50[02]$/, "$whole $model: no half answer";
        is join(' ', sort keys %{ $r->json->{error} }), 'code message param type', "$whole $model: the error";

        $r = ask($stream, 'a b c d e f', model => $model);
        my ($how, @events) = tokens($r);
        is $r->{status} . ', ' . $how, '200, plain', "$stream $model: it had begun, and is not [DONE]";
        ok $r->complete, "$stream $model: the body has an end";
        my $last = pop @events;
        is join(' ', keys %$last, sort keys %{ $last->{error} || {} }), 'error code message param type', "$stream $model: the last event is the error";
        if (defined $tokens) { is scalar(grep { exists $_->{token} } @events), $tokens, "$stream $model: after what was said" }
        else                 { is scalar(grep { !exists $_->{token} } @events), 0, "$stream $model: after what was said" }
    }

    # A model that calls tools has nothing to say here.
    my $r = ask($whole, 'hi', model => 'raw:tools');
    is $r->{status}, 200, "$where tools: 200";
    is $r->json->{content}, '', "$where tools: no text";
    my ($how, @tokens) = tokens(ask($stream, 'hi', model => 'raw:tools'));
    is $how, 'plain, done', "$where tools, streamed";
    is scalar @tokens, 0, "$where tools, streamed: no token";

    # Each token leaves at once.
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $stream, headers => { 'X-Request-ID' => $tag }, json => { message => 'hi', model => 'raw:gate:2' });
    $c->head;
    is $c->event->{data}, '{"token":"one"}', "$where the first token is here while the upstream waits";
    is raw_go($tag), 1, "$where … it does";
    is join(' ', map { $_->{data} } $c->events), '{"token":" two"} {"token":" three"} {"token":" four"} {"token":" five"} [DONE]', "$where the others, after it";

    # … and one connection serves both.
    $c = AIGW::Client->new(port => $port);
    for my $path ($whole, $stream, $stream, $whole) {
        $c->request(POST => $path, json => { message => 'again' });
        like $c->response->content, qr/"(?:content|token)":"again"/, "$path: on one connection";
    }
}

log_clean();
