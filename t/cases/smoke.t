# Does it work at all? The model list, and a chat completion in both forms from the built-in model, here and behind HTTP.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(chat get);
use AIGW::Log;
use AIGW::Raw;

my @models = qw(echo up raw);
plan tests => 5 + 12 * @models + 1, need need_module('mod_aigw'), need_module('mod_aigw_stream');
my $port = Apache::Test::vars('port');

my $list = get('/v1/models', port => $port);
is $list->{status}, 200, 'models: 200';
like $list->header('Content-Type'), qr{^application/json\b}, 'models: JSON';
is $list->json->{object}, 'list', 'models: a list';
ok((grep { $_->{id} eq 'echo' && $_->{owned_by} eq 'tests' } @{ $list->json->{data} }), 'models: the built-in one is in it');
is get('/static.txt', port => $port)->content, "static\n", 'httpd serves files too';

for my $model (@models) {
    my $text = $model eq 'raw' ? 'one two three four five' : 'Say this again';
    my $id = tag();
    my %own = (port => $port, headers => { 'X-Request-ID' => $id });

    my $r = chat($model, 'Say this again', %own);
    is $r->{status}, 200, "$model: 200";
    is $r->text, $text, "$model: the answer";
    is $r->json->{choices}[0]{finish_reason}, 'stop', "$model: finish_reason";
    cmp_ok $r->json->{usage}{completion_tokens}, '>', 0, "$model: usage";
    is $r->header('X-Request-ID'), $id, "$model: the request ID";

    $own{headers}{'X-Request-ID'} = $id = tag();
    $r = chat($model, 'Say this again', %own, stream => 1);
    is $r->{status}, 200, "$model, stream: 200";
    like $r->header('Content-Type'), qr{^text/event-stream\b}, "$model, stream: server-sent events";
    is $r->text, $text, "$model, stream: the answer";
    is(($r->data)[-1], '[DONE]', "$model, stream: [DONE]");
    ok $r->complete, "$model, stream: a complete body";
    my $logged = access_wait($id);
    is $logged->{finish}, 'stop', "$model, stream: finish is logged";
    is $logged->{model}, $model, "$model, stream: model is logged";
}

log_clean();
