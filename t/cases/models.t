# GET /v1/models and /v1/models/{id}.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(chat get);
use AIGW::Log;
use AIGW::Raw qw(tag);
use AIGW::Server;

my $port  = Apache::Test::vars('port');
my @where = ('', '/block', '/t/errors');
my @asked = (['echo' => 'echo'], ['parrot' => 'echo'], ['org/parrot-1' => 'echo'], ['org%2Fparrot-1' => 'echo'], ['org%2fparrot-1' => 'echo'], ['%65cho' => 'echo'], ['echo?x=%2F&y' => 'echo'],
    ['raw:delay:100:10' => 'raw:delay:100:10'], ['raw%3Aok' => 'raw:ok'], ['echo-slow' => 'echo-slow']);
my @absent = ('nobody', 'Echo', 'echo/', 'echo/x', 'org', 'org/', 'ech', 'echoo', '%20echo', 'raw:', '..%2Fmodels', '%3Cscript%3E', '%22%5C%0A', '%FF%FE', 'x' x 500, 'models', '*');
plan tests => @where * (9 + 6 * @asked + 5 * @absent + 10 + 2) + 15 + 1, need_module('mod_aigw', 'mod_aigw_stream');

for my $where (@where) {
    my $path = "$where/v1/models";
    my $r = get($path, port => $port);
    is $r->{status}, 200, "$path: 200";
    is $r->header('Content-Type'), 'application/json', "$path: JSON";
    my $list = $r->json;
    is join(' ', sort keys %$list), 'data object', "$path: object and data";
    is $list->{object}, 'list', "$path: a list";
    my @data = @{ $list->{data} };
    is scalar(grep { join(' ', sort keys %$_) ne 'created id object owned_by' || $_->{object} ne 'model' || $_->{created} !~ /^[1-9]\d+$/ || !length $_->{owned_by} } @data), 0,
        "$path: each with id, object, created and owned_by";
    my %seen;
    $seen{ $_->{id} }++ for @data;
    is scalar(grep { $_ > 1 } values %seen), 0, "$path: each once";
    is_deeply [grep { $seen{$_} } qw(echo up raw bal raw:stall:3 parrot org/parrot-1)], [qw(echo up raw bal raw:stall:3)], "$path: those there are, without their aliases";
    is((grep { $_->{id} eq 'echo' } @data)[0]{owned_by}, 'tests', "$path: AIGWOwner");
    is join(' ', grep { /^(?:echo|echo-slow|up|bal|raw)\z/ } map { $_->{id} } @data), 'echo echo-slow up bal raw', "$path: in the order of the configuration";

    for my $case (@asked) {
        my ($id, $model) = @$case;
        $r = get("$path/$id", port => $port);
        is $r->{status}, 200, "$path/$id: 200";
        my $got = $r->{status} == 200 ? $r->json : {};
        is $got->{id}, $model, "$path/$id: that model";
        is join(' ', sort keys %$got), 'created id object owned_by', "$path/$id: its members";
        is_deeply $got, (grep { $_->{id} eq $model } @data)[0], "$path/$id: the same as in the list";

        my $c = AIGW::Client->new(port => $port);
        $c->request(HEAD => "$path/$id");
        my $head = $c->response;
        is join(' ', $head->{status}, map { $head->header($_) // '' } qw(Content-Type Content-Length)), '200 application/json ' . length $r->content, "HEAD $path/$id: the same";
        $c->request(GET => '/static.txt');
        is $c->response->content, "static\n", "HEAD $path/$id: … without the body";
    }

    for my $id (@absent) {
        my $name = "$path/" . substr $id, 0, 40;
        $r = get("$path/$id", port => $port);
        my $e = $r->{status} == 404 ? $r->json->{error} : {};
        is $r->{status}, 404, "$name: 404";
        is $r->header('Content-Type'), 'application/json', "$name: JSON";
        is join(' ', sort keys %$e), 'code message param type', "$name: all keys";
        is join(' ', map { $_ // 'null' } @$e{qw(type param code)}), 'invalid_request_error model model_not_found', "$name: what it is";
        cmp_ok length($e->{message} // ''), '<', 250, "$name: what was asked is not repeated at length";
    }

    # the list by its other names, and without a body
    for my $also ("$path/", "$path?limit=20", "$path/?x") {
        $r = get($also, port => $port);
        is $r->{status}, 200, "$also: 200";
        is_deeply $r->json, $list, "$also: the list";
    }
    my $c = AIGW::Client->new(port => $port);
    $c->request(HEAD => $path);
    my $head = $c->response;
    is $head->{status}, 200, "HEAD $path";
    is $head->header('Content-Length'), length get($path, port => $port)->content, "HEAD $path: the length";
    $c->request(GET => '/static.txt');
    is $c->response->content, "static\n", "HEAD $path: no body";
    my $gone = AIGW::Client->new(port => $port);
    $gone->request(HEAD => "$path/nobody", headers => [Connection => 'close']);
    my $not = $gone->response;
    is "$not->{status} " . $gone->{in}, '404 ', "HEAD $path/nobody: 404, no body";
    unlike get($path, port => $port)->content, qr/127\.0\.0\.1|sk-test|AIGW_TEST_KEY|balancer|http:/, "$path: nothing of the upstreams";
    is get($path, port => $port)->header('Cache-Control'), 'private, no-cache', "$path: not for shared caches";
}

# A virtual host has its own models first, then those of the main server whose names it does not use itself.
my $s = AIGW::Server->new(conf => <<'CONF');
<AIGWModel main-1>
    AIGWUpstream echo
    AIGWAlias    one
</AIGWModel>
<AIGWModel both>
    AIGWUpstream echo words=1
    AIGWOwner    main
</AIGWModel>
AIGWDefaultModel main-1
<Location "/models">
    SetHandler aigw-models
</Location>
<Location "/chat">
    SetHandler aigw-chat-completions
</Location>
<VirtualHost *:*>
    ServerName main.example
</VirtualHost>
<VirtualHost *:*>
    ServerName own.example
    <AIGWModel own-1>
        AIGWUpstream echo
        AIGWAlias    two
    </AIGWModel>
    <AIGWModel both>
        AIGWUpstream echo words=2
        AIGWOwner    own
    </AIGWModel>
    AIGWDefaultModel own-1
</VirtualHost>
CONF
my %of;
for my $host ('main.example', 'own.example') {
    my $r = get('/models', port => $s->{port}, headers => { Host => $host });
    is $r->{status}, 200, "$host: 200";
    $of{$host} = $r->json->{data};
}
is join(' ', map { $_->{id} } @{ $of{'main.example'} }), 'main-1 both', 'a virtual host without models: those of the main server';
is join(' ', map { $_->{id} } @{ $of{'own.example'} }), 'own-1 both main-1', 'one with models: its own, then the main server\'s';
is_deeply [map { my $host = $_; map { $_->{owned_by} } grep { $_->{id} eq 'both' } @{ $of{$host} } } 'main.example', 'own.example'], [qw(main own)], 'a name of both: its own';
for my $case (['main.example', 'own-1', 404], ['main.example', 'two', 404], ['main.example', 'one', 200], ['own.example', 'two', 200], ['own.example', 'one', 200], ['own.example', 'nobody', 404]) {
    my ($host, $id, $status) = @$case;
    is get("/models/$id", port => $s->{port}, headers => { Host => $host })->{status}, $status, "$host: $id";
}
for my $case (['main.example', 'a', 'main-1'], ['own.example', 'a a', 'own-1']) {
    my ($host, $text, $model) = @$case;
    my %both = map { $_ => chat($_, 'a', port => $s->{port}, path => '/chat', headers => { Host => $host })->text } 'both';
    is $both{both}, $text, "$host: its model is asked";
    my $c = AIGW::Client->new(port => $s->{port});
    $c->request(POST => '/chat', headers => { Host => $host }, json => { messages => [{ role => 'user', content => 'x' }] });
    is $c->response->json->{model}, $model, "$host: its default";
}

log_clean();
