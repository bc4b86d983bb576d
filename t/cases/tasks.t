# Tasks: made, read, listed, cancelled; run to their end; those of others.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(get post_json);
use AIGW::Postgres;
use AIGW::Redis;
use AIGW::Server;
use Time::HiRes qw(sleep time);

my @stores = ('sqlite', AIGW::Postgres->available ? 'pgsql' : (), AIGW::Redis->available ? 'redis' : ());
plan tests => 22 * @stores, need_module('mod_aigw', 'mod_aigw_stream', 'mod_aigw_tasks');

for my $name (@stores) {
    my $server = { pgsql => 'AIGW::Postgres', redis => 'AIGW::Redis' }->{$name};
    $server &&= $server->new;
    my $store = { sqlite => sub { 'AIGWStore sqlite:data/aigw.db' }, pgsql => sub { 'AIGWStore "pgsql:' . $server->conninfo . '"' }, redis => sub { "AIGWStore redis\nAIGWRedis " . $server->url } }->{$name}->();
    my $gw = AIGW::Server->new(conf => "$store\n<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\n<AIGWModel slow>\nAIGWUpstream echo words=1000 delay=50ms\n</AIGWModel>\nAIGWDefaultModel echo\n"
        . "<Location /api/v1/tasks>\nSetHandler aigw-tasks\n</Location>\n<Location /ai/jobs>\nSetHandler aigw-tasks\n</Location>\n");
    my %at = (port => $gw->{port}, timeout => 60);
    my $ended = sub { my ($id) = @_; my $task; $gw->wait_for("the end of $id", 30, sub { $task = get("/api/v1/tasks/$id", %at)->json; $task->{status} =~ /completed|failed|cancelled/ }); return $task };

    my $r = post_json('/api/v1/tasks', { prompt => 'one two three' }, %at);
    is $r->{status}, 202, "$name: a task is taken";
    my $task = $r->json;
    like $r->header('Location'), qr{\A/api/v1/tasks/\Q$task->{task_id}\E\z}, '… it says where it is';
    ok $r->header('Retry-After'), '… and when to look';
    is $task->{status}, 'pending', '… it waits';
    $task = $ended->($task->{task_id});
    is $task->{status}, 'completed', '… and is completed';
    is $task->{result}{choices}[0]{message}{content}, 'one two three', '… with its answer';
    is_deeply [$task->{progress} + 0, $task->{usage}{completion_tokens}, $task->{error}], [1, 3, undef], '… all of it';
    is $ended->(post_json('/api/v1/tasks', { endpoint => '/api/v2/generate', body => { prompt => 'x y', metadata => { a => 1 } } }, %at)->json->{task_id})->{result}{meta}{a}, 1, 'another endpoint';
    is_deeply [@{ post_json('/api/v1/tasks', { endpoint => '/v1/chat', body => { massage => 'x' } }, %at)->json->{error} }{qw(param code)}], ['body.massage', 'validation_error'], 'a mistake in it';
    is post_json('/api/v1/tasks', { endpoint => '/v1/nothing', body => {} }, %at)->json->{error}{param}, 'endpoint', 'no such endpoint';
    is post_json('/api/v1/tasks', { prompt => 'x', model => 'nobody' }, %at)->{status}, 404, 'no such model';
    is get('/api/v1/tasks/' . '0' x 32, %at)->{status}, 404, 'no such task';
    my $list = get('/api/v1/tasks?limit=1', %at)->json;
    is_deeply [scalar @{ $list->{tasks} }, defined $list->{next_cursor} ? 1 : 0], [1, 1], 'a page';
    is scalar @{ get("/api/v1/tasks?limit=1&cursor=$list->{next_cursor}", %at)->json->{tasks} }, 1, '… and the next';
    is get('/api/v1/tasks?status=what', %at)->{status}, 400, 'no such status';

    my %once = (%at, headers => { 'Idempotency-Key' => 'k' });
    my $first = post_json('/ai/jobs', { prompt => 'once' }, %once)->json;
    is post_json('/ai/jobs', { prompt => 'once' }, %once)->json->{job_id}, $first->{job_id}, 'the same key: the same job';
    is post_json('/ai/jobs', { prompt => 'twice' }, %once)->{status}, 422, '… another one: a mistake';

    my $slow = post_json('/api/v1/tasks', { prompt => 'x', model => 'slow', steps => 1000 }, %at)->json->{task_id};
    ok $gw->wait_for('it runs', 20, sub { get("/api/v1/tasks/$slow", %at)->json->{status} eq 'running' }), 'a long one runs';
    is AIGW::Client::once(DELETE => "/api/v1/tasks/$slow", %at)->{status}, 200, '… and is cancelled';
    is $ended->($slow)->{status}, 'cancelled', '… so it is';
    is AIGW::Client::once(PUT => '/api/v1/tasks', %at)->{status}, 405, 'PUT is not for tasks';
    $gw->stop;
    is_deeply [$gw->crashes], [], 'nothing crashed';
}
