# Tasks: made, read, listed, cancelled; run to their end; those of others.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha1_base64);
use IO::Socket::INET ();
use POSIX ();
use MIME::Base64 qw(encode_base64);
use AIGW::Client qw(get post_json);
use AIGW::Postgres;
use AIGW::Redis;
use AIGW::Server;
use AIGW::Services qw(slurp spew);
use Time::HiRes qw(sleep time);

my @stores = ('sqlite', AIGW::Postgres->available ? 'pgsql' : (), AIGW::Redis->available ? 'redis' : ());
plan tests => 32 * @stores + 15, need_module('mod_aigw', 'mod_aigw_stream', 'mod_aigw_tasks');

for my $name (@stores) {
    my $server = { pgsql => 'AIGW::Postgres', redis => 'AIGW::Redis' }->{$name};
    $server &&= $server->new;
    my $store = { sqlite => sub { 'AIGWStore sqlite:data/aigw.db' }, pgsql => sub { 'AIGWStore "pgsql:' . $server->conninfo . '"' }, redis => sub { "AIGWStore redis\nAIGWRedis " . $server->url } }->{$name}->();
    my $gw = AIGW::Server->new(conf => "$store\n<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\n<AIGWModel slow>\nAIGWUpstream echo words=1000 delay=50ms\n</AIGWModel>\nAIGWDefaultModel echo\n"
        . "<Location /v1/chat/completions>\nSetHandler aigw-chat-completions\n</Location>\n<Location /api/v1/tasks>\nSetHandler aigw-tasks\n</Location>\n<Location /ai/jobs>\nSetHandler aigw-tasks\n</Location>\n");
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
    my $said = sub { my ($body) = @_; my $choice = $ended->(post_json('/api/v1/tasks', $body, %at)->json->{task_id})->{result}{choices}[0]; return "$choice->{message}{content}: $choice->{finish_reason}" };
    is $said->({ prompt => 'a b', steps => 5 }), 'a b a b a: stop', 'the built-in model says as many words as there are steps';
    is $said->({ prompt => 'a b', steps => 1 }), 'a: stop', '… also where it would say more';
    is post_json('/v1/chat/completions', { messages => [{ role => 'user', content => 'a b' }], aigw_steps => 5 }, %at)->json->{choices}[0]{message}{content}, 'a b', '… of a task alone';
    is $ended->(post_json('/api/v1/tasks', { endpoint => '/api/v2/generate', body => { prompt => 'x y', metadata => { a => 1 } } }, %at)->json->{task_id})->{result}{meta}{a}, 1, 'another endpoint';
    is_deeply [@{ post_json('/api/v1/tasks', { endpoint => '/v1/chat', body => { massage => 'x' } }, %at)->json->{error} }{qw(param code)}], ['body.massage', 'validation_error'], 'a mistake in it';
    is post_json('/api/v1/tasks', { endpoint => '/v1/nothing', body => {} }, %at)->json->{error}{param}, 'endpoint', 'no such endpoint';
    is post_json('/api/v1/tasks', { prompt => 'x', model => 'nobody' }, %at)->{status}, 404, 'no such model';
    is get('/api/v1/tasks/' . '0' x 32, %at)->{status}, 404, 'no such task';
    my $list = get('/api/v1/tasks?limit=1', %at)->json;
    is_deeply [scalar @{ $list->{tasks} }, defined $list->{next_cursor} ? 1 : 0], [1, 1], 'a page';
    is scalar @{ get("/api/v1/tasks?limit=1&cursor=$list->{next_cursor}", %at)->json->{tasks} }, 1, '… and the next';
    is get('/api/v1/tasks?status=what', %at)->{status}, 400, 'no such status';
    is_deeply [map { scalar @{ get("/api/v1/tasks?$_", %at)->json->{tasks} } } 'state=failed', 'status=%66ailed', 'x=1&status=failed'], [0, 0, 0], '… of one status, however it is written';
    is_deeply [map { my $e = get("/api/v1/tasks?$_", %at)->json->{error}; "$e->{param} $e->{code}" } 'limit=1x', 'limit=', 'limit=101', 'state=%zz', 'cursor=%00'],
        [('limit validation_error') x 3, 'status validation_error', 'cursor validation_error'], '… and what is wrong is named';

    my %once = (%at, headers => { 'Idempotency-Key' => 'k' });
    my $first = post_json('/ai/jobs', { prompt => 'once' }, %once)->json;
    is post_json('/ai/jobs', { prompt => 'once' }, %once)->json->{job_id}, $first->{job_id}, 'the same key: the same job';
    is post_json('/ai/jobs', { prompt => 'twice' }, %once)->{status}, 422, '… another one: a mistake';
    is_deeply [map { my $e = post_json('/ai/jobs', { prompt => 'x' }, %at, headers => { 'Idempotency-Key' => $_ })->json->{error}; "$e->{code} $e->{param}" } "\xe9", 'k' x 256], [('validation_error Idempotency-Key') x 2], '… and so is one that is too long or not UTF-8';

    my $slow = post_json('/api/v1/tasks', { prompt => 'x', model => 'slow', steps => 1000 }, %at)->json->{task_id};
    ok $gw->wait_for('it runs', 20, sub { get("/api/v1/tasks/$slow", %at)->json->{status} eq 'running' }), 'a long one runs';
    my $cancelled = AIGW::Client::once(DELETE => "/api/v1/tasks/$slow", %at);
    is $cancelled->{status}, 200, '… and is cancelled';
    is $cancelled->json->{status}, 'cancelled', '… which the answer says';
    is $ended->($slow)->{status}, 'cancelled', '… so it is';
    is AIGW::Client::once(DELETE => "/api/v1/tasks/$slow", %at)->json->{status}, 'cancelled', '… and stays';
    is AIGW::Client::once(DELETE => "/api/v1/tasks/$task->{task_id}", %at)->json->{status}, 'completed', 'what is over is not cancelled';
    is AIGW::Client::once(DELETE => '/ai/jobs/' . post_json('/ai/jobs', { prompt => 'x', model => 'slow', steps => 1000 }, %at)->json->{job_id}, %at)->json->{status}, 'cancelled', 'nor run what is cancelled at once';
    is AIGW::Client::once(PUT => '/api/v1/tasks', %at)->{status}, 405, 'PUT is not for tasks';
    $gw->stop;
    is_deeply [$gw->crashes], [], 'nothing crashed';
}

# Without mod_aigw_auth, too, users of httpd's own authentication are not one owner, though all come from one address.
{
    my $gw = AIGW::Server->new(stopped => 1, conf => '');
    $gw->{head} =~ s/^LoadModule aigw_auth_module.*\n//m or die 'mod_aigw_auth is not loaded';
    my @users = ('carol', 'dave', "d\xe1ve", "d\xc3\xa1ve", "e\tve", 'n' x 257);
    spew("$gw->{dir}/users", join '', map { "$_:{SHA}" . sha1_base64('x') . "=\n" } @users);
    chmod 0644, "$gw->{dir}/users";
    $gw->configure("AIGWStore sqlite:data/aigw.db\n<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\nAIGWDefaultModel echo\n"
        . "<Location /api/v1/tasks>\nSetHandler aigw-tasks\nAuthType Basic\nAuthName x\nAuthUserFile $gw->{dir}/users\nRequire valid-user\n</Location>\n<LocationMatch ^/odd/[^/]*/tasks\$>\nSetHandler aigw-tasks\n</LocationMatch>\n");
    $gw->start;
    my ($carol, $dave, $latin, $utf8, @odd) = map { { port => $gw->{port}, headers => { Authorization => 'Basic ' . encode_base64("$_:x", '') } } } @users;
    my $id = post_json('/api/v1/tasks', { prompt => 'a secret' }, %$carol)->json->{task_id};
    is get("/api/v1/tasks/$id", %$carol)->{status}, 200, 'without mod_aigw_auth: a task of a user of AuthType Basic';
    is get("/api/v1/tasks/$id", %$dave)->{status}, 404, "… is not another's";
    is_deeply get('/api/v1/tasks', %$dave)->json->{tasks}, [], '… who does not see it';
    is post_json('/api/v1/tasks', { prompt => 'x' }, %$utf8)->{status}, 202, '… whose name may be any in UTF-8';
    my $says = sub { my ($r) = @_; return join ' ', $r->{status}, $r->{status} == 202 ? () : @{ $r->json->{error} }{qw(type code)} };
    for my $who ($latin, @odd) {
        is_deeply [map { $says->($_) } post_json('/api/v1/tasks', { prompt => 'x' }, %$who), get('/api/v1/tasks', %$who), get("/api/v1/tasks/$id", %$who), AIGW::Client::once(DELETE => "/api/v1/tasks/$id", %$who)], [('400 invalid_request_error bad_request') x 4], '… and no other';
    }
    is $says->(post_json("/odd/%e9/tasks", { prompt => 'x' }, %$carol)), '400 invalid_request_error bad_request', 'an address that is not UTF-8';
    is $says->(post_json("/odd/%c3%a9/tasks", { prompt => 'x' }, %$carol)), '202', '… one that is';
    $gw->stop;
}

# A mistake in the configuration is told by configtest, and is nothing to be tried again (503).
{
    my $gw = AIGW::Server->new(conf => "<Location /api/v1/tasks>\nSetHandler aigw-tasks\n</Location>\n");
    like slurp("$gw->{dir}/start"), qr/AIGW0609: .*AIGWStore sqlite:/, 'without AIGWStore: the log says what is missing';
    my $r = get('/api/v1/tasks', port => $gw->{port});
    is_deeply [$r->{status}, $r->json->{error}{code}], [500, 'internal_error'], '… and tasks are refused';
    is $r->header('Retry-After'), undef, '… for good';
    $gw->stop;
}

# An answer is kept as the model server wrote it, with numbers that are larger than ours; also in an event, which is one line.
{
    my $answer = qq({\n"id": "x", "object": "chat.completion", "created": 99999999999999999999999,\r\n "model": "m", "p": 0.1,\n"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]\n});
    my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "listen: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        while (my $c = $listen->accept) {
            my $in = '';
            while ($in !~ /\r\n\r\n.*\}\z/s && sysread $c, $in, 65536, length $in) { }
            print {$c} "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ", length $answer, "\r\n\r\n$answer";
        }
        POSIX::_exit(0);
    }
    my $gw = AIGW::Server->new(conf => "AIGWStore sqlite:data/aigw.db\n<AIGWModel big>\nAIGWUpstream openai http://127.0.0.1:" . $listen->sockport . "/v1\n</AIGWModel>\nAIGWDefaultModel big\n"
        . "<Location /api/v1/tasks>\nSetHandler aigw-tasks\n</Location>\n");
    my %at = (port => $gw->{port}, timeout => 60);
    my $id = post_json('/api/v1/tasks', { prompt => 'x' }, %at)->json->{task_id};
    $gw->wait_for('its end', 60, sub { get("/api/v1/tasks/$id", %at)->json->{status} =~ /completed|failed/ });
    my $is = qr/"status":"completed".*"result":\{ ?"id": "x".*"created": 99999999999999999999999, .*"p": 0\.1,/;
    like get("/api/v1/tasks/$id", %at)->content, $is, 'an answer with numbers larger than ours is kept';
    my @data = get("/api/v1/tasks/$id/events", %at)->data;
    is scalar @data, 1, '… in an event';
    like $data[0], $is, '… of one line';
    kill TERM => $pid;
    waitpid $pid, 0;
    $gw->stop;
}
