# Watching tasks: events as they happen, from another gateway too; going on after a lost connection, a restart, a killed child; many at once; Prefer: wait=N; and progress that is real.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use AIGW::Client qw(get now post_json);
use AIGW::Many;
use AIGW::Postgres;
use AIGW::Raw;
use AIGW::Redis;
use AIGW::Server;
use AIGW::Services qw(slurp spew);
use List::Util qw(sum);
use Time::HiRes qw(sleep time);

my ($mpm) = grep { Apache::Test::have_module("mpm_$_") } qw(event worker prefork);
my @stores = ('sqlite', AIGW::Postgres->available ? 'pgsql' : (), AIGW::Redis->available ? 'redis' : ());
my %SHORT  = (redis => 1);    # what watching asks of the store, without what is the same on each
my $PATIENCE = 60;

# Signs of life are seldom on SQLite, so that what is seen of progress was written for who watches; on the others they are not, and children are killed.
my %LEASE = (sqlite => @stores > 1 ? 60 : 2, pgsql => 2, redis => 2);

# watchers at once, and what waits: on event many more than there are threads
my %SIZE  = (event => 500, worker => 20, prefork => 12);
my %WAITS = (event => 100, worker => 10, prefork => 6);
my %CONF  = (
    event   => "StartServers 1\nServerLimit 4\nThreadsPerChild 16\nMaxRequestWorkers 16\nMinSpareThreads 1\nMaxSpareThreads 64\nAsyncRequestWorkerFactor 60\n",
    worker  => "StartServers 1\nServerLimit 4\nThreadsPerChild 32\nMaxRequestWorkers 64\nMinSpareThreads 1\nMaxSpareThreads 128\n",
    prefork => "StartServers 4\nServerLimit 60\nMaxRequestWorkers 40\nMinSpareServers 2\nMaxSpareServers 40\n",
);
plan tests => sum(map { ($SHORT{$_} ? 26 : 65) + ($LEASE{$_} == 2 ? 3 : 0) } @stores), need_module('mod_aigw', 'mod_aigw_auth', 'mod_aigw_stream', 'mod_aigw_tasks');

my %key = map { $_ => "aigw_${_}_" . substr sha256_hex("secret of $_"), 0, 43 } qw(alice bob);
my $keys = join '', map { qq({"id":"$_","sha256":"@{[sha256_hex($key{$_})]}","user":"$_"}\n) } sort keys %key;
sub as { my ($who, @more) = @_; return (headers => { 'X-API-Key' => $key{$who}, @more }, timeout => $PATIENCE) }

sub gateway {
    my ($store, $workers, $lease) = @_;
    my $gw = AIGW::Server->new(stopped => 1, conf => '');
    spew("$gw->{dir}/keys", $keys);
    chmod 0644, "$gw->{dir}/keys";
    my $raw = 'http://127.0.0.1:' . ($ENV{AIGW_RAW_PORT} // 1) . '/v1';
    $gw->configure("$CONF{$mpm}$store\nAIGWTaskWorkers $workers\nAIGWTaskLease ${lease}s\nAIGWTaskAttempts 20\nAIGWTaskDrain 1s\nAIGWTaskWaitMax 20s\nAIGWTasksPerUser 0\nAIGWKeyFile $gw->{dir}/keys\n"
        . "<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\n<AIGWModel slow>\nAIGWUpstream echo words=100000 delay=25ms\n</AIGWModel>\nAIGWDefaultModel echo\n"
        . "<AIGWModel raw>\nAIGWUpstream openai $raw\n</AIGWModel>\n"
        . join '', map { "<Location $_>\nAuthType AIGW\nRequire valid-user\nSetHandler aigw-tasks\n</Location>\n" } '/api/v1/tasks', '/ai/jobs');
    $gw->start;
    return $gw;
}

# A stream of events whose head has come.
sub follow {
    my ($gw, $id, %o) = @_;
    my $c = AIGW::Client->new(port => $gw->{port}, timeout => $PATIENCE);
    $c->request(GET => ($o{path} // '/api/v1/tasks') . "/$id/events", as('alice', defined $o{last} ? ('Last-Event-ID' => $o{last}) : ()));
    $c->head;
    return $c;
}

# The next event that says something; undef: the stream is over.
sub next_event {
    my ($c) = @_;
    $c->{until} //= now() + 2 * $PATIENCE;
    while (my $e = $c->event) {
        return $e if defined $e->{data};
        die "nothing but comments for too long\n" if now() > $c->{until};
    }
    return undef;
}
sub rest_of { my ($c) = @_; my @all; while (my $e = next_event($c)) { push @all, $e } return @all }
sub json { return JSON::PP::decode_json($_[0]{data}) }

# Which of these ids is not behind the one before it.
sub out_of_order {
    my %rank = (running => 0, pending => 1, completed => 2, failed => 2, cancelled => 2);
    my @ids = map { [$_, /\A(\d+)-(\w+)-(\d+)-(\d+)\z/] } @_;
    my @wrong;
    for my $i (1 .. $#ids) {
        my ($a, $b) = @ids[$i - 1, $i];
        push @wrong, "$a->[0] $b->[0]" if (($a->[1] <=> $b->[1]) || ($rank{ $a->[2] } <=> $rank{ $b->[2] }) || ($a->[3] <=> $b->[3]) || ($a->[4] <=> $b->[4])) >= 0;
    }
    return \@wrong;
}

sub create { my ($gw, $body, @more) = @_; return post_json('/api/v1/tasks', $body, port => $gw->{port}, as('alice', @more)) }
sub slow { my ($gw, $steps) = @_; return create($gw, { prompt => 'a b c', model => 'slow', steps => $steps })->json->{task_id} }

# Asks the scripted model server: the question's tag, and the task.
sub raw {
    my ($gw, $scenario, $more, %body) = @_;
    my $tag = tag();
    return ($tag, create($gw, { endpoint => '/v1/chat/completions', %$more, body => { model => 'raw', scenario => $scenario, tag => $tag, messages => [{ role => 'user', content => 'x' }], %body } })->json->{task_id});
}

# Again and again until it is there: the listener is away for a moment when all children were killed.
sub follow_again { my ($gw, $id, $last) = @_; my $c; $gw->wait_for('a stream', $PATIENCE, sub { $c = eval { follow($gw, $id, last => $last) }; $c && $c->{r}{status} == 200 }); return $c }

for my $name (@stores) {
    my $server = { pgsql => 'AIGW::Postgres', redis => 'AIGW::Redis' }->{$name};
    $server &&= $server->new;
    my $store = { sqlite => sub { 'AIGWStore sqlite:data/aigw.db' }, pgsql => sub { 'AIGWStore "pgsql:' . $server->conninfo . "\"\nAIGWStoreConnections 2" }, redis => sub { "AIGWStore redis\nAIGWRedis " . $server->url } }->{$name}->();
    my $gw = gateway($store, 50, $LEASE{$name});
    my $at = $server ? gateway($store, 0, $LEASE{$name}) : $gw;    # where they are watched: where there is a server not where they run
    my %at = (port => $at->{port});
    my $short = create($gw, { endpoint => '/v1/chat', body => { message => 'soon gone' }, ttl => 1 })->json->{task_id};

    # --- a life
    my $id = slow($gw, 100);
    my $c = follow($at, $id);
    is $c->{r}{status}, 200, "$name: the events of a task";
    is $c->{r}->header('Content-Type'), 'text/event-stream; charset=utf-8', '… as server-sent events';
    is $c->event->{retry}, 1000, '… first when to come again';
    my @events = rest_of($c);
    ok $c->{r}->complete, '… which end with the task';
    is_deeply out_of_order(map { $_->{id} } @events), [], '… their ids only grow';
    my @names = map { $_->{event} } @events;
    like "@names", qr/\A(?:task\.pending )?(?:task\.running )?(?:task\.progress )+task\.completed\z/, '… named by what happened';
    my @progress = map { json($_)->{progress} } @events;
    is_deeply [grep { $progress[$_] < ($_ ? $progress[$_ - 1] : 0) || $progress[$_] > 1 } 0 .. $#progress], [], '… progress goes from 0 to 1';
    cmp_ok scalar(grep { $_ > 0 && $_ < 1 } @progress), '>', 0, '… over something between';
    my $last = json($events[-1]);
    is_deeply [@$last{qw(task_id status)}, scalar split(' ', $last->{result}{choices}[0]{message}{content}), $last->{usage}{completion_tokens}], [$id, 'completed', 100, 100], '… the last one has the result';
    ok !(grep { exists json($_)->{request} } @events), '… the question is in none';
    is_deeply [map { $_->{event} } rest_of(follow($at, $id))], ['task.completed'], 'of one that is over: the end';
    is follow($at, $id, last => $events[-1]{id})->{r}{status}, 204, '… and to who knows it: nothing more';
    is_deeply [map { $_->{id} } rest_of(follow($at, $id, last => $events[0]{id}))], [$events[-1]{id}], '… to who knows a part: the end';
    is json((rest_of(follow($at, $id, path => '/ai/jobs')))[-1])->{job_id}, $id, 'the same as jobs';

    # --- who may not
    is get("/api/v1/tasks/$id/events", %at, as('bob'))->{status}, 404, "another's task";
    is get('/api/v1/tasks/' . '0' x 32 . '/events', %at, as('alice'))->{status}, 404, 'no task';
    is get("/api/v1/tasks/$id/events", %at)->{status}, 401, 'nobody';
    is post_json("/api/v1/tasks/$id/events", {}, %at, as('alice'))->{status}, 405, 'POST';
    is AIGW::Client::once(HEAD => "/api/v1/tasks/$id/events", %at, as('alice'))->header('Content-Type'), 'text/event-stream; charset=utf-8', 'HEAD';

    # --- a lost connection, and ids that are none of ours
    $id = slow($gw, 120);
    $c = follow($at, $id);
    my $seen;
    do { $seen = next_event($c) } until $seen->{event} eq 'task.progress';
    $c->close;
    my @more = rest_of(follow($at, $id, last => $seen->{id}));
    is_deeply out_of_order(map { $_->{id} } $seen, @more), [], 'who comes again is told nothing twice';
    is $more[-1]{event}, 'task.completed', '… and not robbed of the end';
    is_deeply [map { (rest_of(follow($at, $id, last => $_)))[-1]{event} } 'nonsense', '99-completed-7-1000', ''], [('task.completed') x 3], 'ids that were never ours count for nothing';

    # --- cancelled, while it waits and while it runs; failed
    $id = slow($gw, 10_000);
    $c = follow($at, $id);
    do { $seen = next_event($c) } until $seen->{event} eq 'task.progress';
    AIGW::Client::once(DELETE => "/api/v1/tasks/$id", %at, as('alice'));
    is +(rest_of($c))[-1]{event}, 'task.cancelled', 'a task is cancelled';
    my $failed = (rest_of(follow($at, create($gw, { endpoint => '/v1/chat/completions', body => { model => 'raw', scenario => 'none', messages => [{ role => 'user', content => 'x' }] } })->json->{task_id})))[-1];
    is_deeply [$failed->{event}, json($failed)->{error}{code}], ['task.failed', 'no_scenario'], 'a task fails';

    in_full($gw, $at) if !$SHORT{$name};
    killed($gw, $at) if $LEASE{$name} == 2;
    prefer($gw, $at) if !$SHORT{$name};

    $at->wait_for('the end of what is kept', 40, sub { get("/api/v1/tasks/$short/events", %at, as('alice'))->{status} == 410 });
    pass 'what is not kept any more is gone';
    $_->stop for $gw, $server ? $at : ();
    is_deeply [grep { !/signal (?:Killed|SIGKILL)/ } map { $_->crashes } $gw, $server ? $at : ()], [], 'nothing crashed but who was killed';
}


# Real progress, many that watch, clients that go, a graceful restart.
sub in_full {
    my ($gw, $at) = @_;
    my %at = (port => $at->{port});
    my ($c, $id, $seen, @more);

    # --- progress: of the answer's tokens, or what the model server says; and its answer is the result, with all that it said
    my $asked = sub { my ($tag) = @_; return JSON::PP::decode_json(raw_log($tag)->{requests}[0]{body}) };
    my $usage = { prompt_tokens => 7, completion_tokens => 5, total_tokens => 12 };
    my $answer = { object => 'chat.completion', created => 1_700_000_000, model => 'raw', system_fingerprint => 'fp_raw', usage => $usage,
        choices => [{ index => 0, message => { role => 'assistant', content => 'one two three four five', refusal => undef }, logprobs => undef, finish_reason => 'stop' }] };
    for (['gate:3', 0.5, max_tokens => 4], ['gate:3', 0.25, max_tokens => 4, n => 2], ['progress:0.4', 0.4], ['progress:0.3', 0.3, stream => JSON::PP::true, stream_options => { include_usage => JSON::PP::false }]) {
        my ($scenario, $expected, %body) = @$_;
        my ($tag, $task) = raw($gw, $scenario, {}, %body);
        $c = follow($at, $task);
        do { $seen = next_event($c) } until !$seen || $seen->{event} !~ /pending|running/;
        is_deeply [$seen->{event}, json($seen)->{progress}], ['task.progress', $expected], "progress of $scenario";
        raw_go($tag);
        my $result = json((rest_of($c))[-1])->{result};
        delete @$result{qw(id progress prompt_progress)};
        is_deeply $result, $answer, '… the answer is what the model server said';
        my $body = $asked->($tag);
        is_deeply [@$body{qw(stream stream_options)}], [JSON::PP::true, { include_usage => JSON::PP::true }], '… which was asked for a stream, with usage';
    }
    is +(rest_of(follow($at, (raw($gw, 'tools', {}))[1])))[-1]{data} =~ /"tool_calls":(\[.*?\}\}\])/ ? JSON::PP::decode_json($1)->[1]{function}{arguments} : '', '{"zone": "Europe/Zurich"}', 'tool calls are put together';
    my @ends = map { my $what = $_; map { (rest_of(follow($at, (raw($gw, $what, {}))[1])))[-1] } 1 .. 10 } 'tools', 'whole';
    is scalar(grep { (json($_)->{result}{choices}[0]{message}{content} // '') eq 'one two three four five' } @ends), 10, 'a model server that does not stream';
    is json((rest_of(follow($at, (raw($gw, 'reset-mid-event', {}))[1])))[-1])->{error}{code}, 'upstream_reset', 'one that breaks off';
    {
        my $tag = tag();
        $c = follow($at, create($gw, { endpoint => '/api/v1/generate', body => { model => 'raw', prompt => $tag, max_tokens => 10 } })->json->{task_id});
        is_deeply [map { @$_{qw(progress status)} } json((rest_of($c))[-1])], [1, 'completed'], 'another endpoint';
    }

    # --- a large answer comes whole
    my $word = 'w' x 500;
    $id = create($gw, { endpoint => '/v1/chat', body => { message => join ' ', ($word) x 800 } })->json->{task_id};
    my $slow = AIGW::Client->new(port => $at->{port}, rcvbuf => 4096, timeout => $PATIENCE);
    $slow->request(GET => "/api/v1/tasks/$id/events", as('alice'));
    $slow->head;
    is length json((rest_of($slow))[-1])->{result}{content}, 800 * 501 - 1, 'a large answer';

    # --- many
    my $n = $SIZE{$mpm};
    $id = slow($gw, 10_000);
    my @many = map { slow($gw, 10_000) } 1 .. 5;
    my $threads = sub { my $sum = 0; $sum += (slurp('/proc/' . (split m{/}, $_)[0] . '/status') // '') =~ /^Threads:\s+(\d+)/m ? $1 : 0 for $at->children; return $sum };
    rest_of(follow($at, create($gw, { prompt => 'x' })->json->{task_id}));
    my $before = $threads->();
    my $sum = many($n, port => $at->{port}, method => 'GET', path => "/api/v1/tasks/$id/events", as('alice'), timeout => $PATIENCE, when_open => sub {
        cmp_ok $threads->() - $before, '<=', $mpm eq 'prefork' ? 999 : 1, "$n watch one task, without a thread for each";
        # somebody else gets an answer, and another task can be watched
        is get('/api/v1/tasks?limit=1', %at, as('alice'))->{status}, 200, '… others are served';
        is +(rest_of(follow($at, create($gw, { prompt => 'x' })->json->{task_id})))[-1]{event}, 'task.completed', '… and may watch';
        AIGW::Client::once(DELETE => "/api/v1/tasks/$_", %at, as('alice')) for $id, @many;
    });
    is_deeply [$sum->{complete}, scalar grep { JSON::PP::decode_json($_->{data})->{status} eq 'cancelled' } @{ $sum->{streams} }], [$n, $n], '… all see the end';

    # --- clients that go
    $at->wait_for("an end of what was open", 20, sub { !clients($at) });
    $id = slow($gw, 10_000);
    my @gone = map { follow($at, $id) } 1 .. 5;
    next_event($_) for @gone;
    $_->close for @gone;
    $at->wait_for("an end of what was open", 20, sub { !clients($at) });
    pass 'clients that go are noticed';
    AIGW::Client::once(DELETE => "/api/v1/tasks/$id", %at, as('alice'));

    # --- a graceful restart: the upstream holds the task for as long as it takes
    my ($tag, $held) = raw($gw, 'gate:3', {}, max_tokens => 4);
    $c = follow($at, $held);
    do { $seen = next_event($c) } until $seen->{event} eq 'task.progress';
    my $waiting = AIGW::Client->new(%at, timeout => $PATIENCE);
    $waiting->request(GET => "/api/v1/tasks/$held", as('alice', Prefer => 'wait=20'));
    my $since = now();
    get('/api/v1/tasks?limit=1', %at, as('alice')) for 1 .. 3;    # it is there by now
    my @who = $at->children;
    $at->signal('USR1');
    @more = ($seen, rest_of($c));
    is $waiting->response->json->{status}, 'running', 'graceful restart: who waits is told how it stands';
    cmp_ok now() - $since, '<', 15, '… at once';
    ok $c->{r}->complete, 'graceful restart: the stream ends as it should';
    isnt $more[-1]{event}, 'task.completed', '… before the task';
    $c = follow_again($at, $held, $more[-1]{id});
    raw_go($tag);
    my @after = rest_of($c);
    is_deeply out_of_order(map { $_->{id} } @more, @after), [], '… and goes on elsewhere where it was';
    is_deeply [json($after[-1])->{status}, json($after[-1])->{result}{choices}[0]{message}{content}], ['completed', 'one two three four five'], '… to the end';
    $at->wait_gone($PATIENCE, @who);
    pass '… and holds no child back';
    return;
}

# Prefer: wait=N
sub prefer {
    my ($gw, $at) = @_;
    my %at = (port => $at->{port});
    my $r = create($gw, { prompt => 'one two' }, Prefer => 'respond-async, wait=20');
    is_deeply [$r->{status}, $r->json->{status}, $r->header('Preference-Applied')], [200, 'completed', 'wait=20'], 'Prefer: wait=20, and it is over in time';
    is $r->header('Location'), '/api/v1/tasks/' . $r->json->{task_id}, '… it says where it is';
    is $r->json->{result}{choices}[0]{message}{content}, 'one two', '… with its answer';
    my $began = now();
    $r = create($gw, { prompt => 'a', model => 'slow', steps => 10_000 }, Prefer => 'wait=1');
    is_deeply [$r->{status}, $r->header('Preference-Applied'), $r->header('Retry-After')], [202, 'wait=1', 1], 'it is not over in time';
    cmp_ok now() - $began, '>=', 0.95, '… it was waited for';
    my $id = $r->json->{task_id};
    my $c = AIGW::Client->new(%at, timeout => $PATIENCE);
    $c->request(GET => "/api/v1/tasks/$id", as('alice', Prefer => 'wait=1000'));
    AIGW::Client::once(DELETE => "/api/v1/tasks/$id", %at, as('alice'));
    $r = $c->response;
    is_deeply [$r->{status}, $r->json->{status}, $r->header('Preference-Applied')], [200, 'cancelled', 'wait=20'], 'GET waits too, no longer than it may, and ends with the task';
    $r = get("/api/v1/tasks/$id", %at, as('alice', Prefer => 'wait=5'));
    is_deeply [$r->{status}, $r->header('Preference-Applied')], [200, 'wait=5'], '… of one that is over not at all';
    $r = create($gw, { prompt => 'x' }, Prefer => 'wait=0');
    is_deeply [$r->{status}, scalar $r->header("Preference-Applied")], [202, undef], 'wait=0 does not wait';
    $id = slow($gw, 10_000);
    my $n = $WAITS{$mpm};
    my @waiting = map { my $w = AIGW::Client->new(%at, timeout => $PATIENCE); $w->request(GET => "/api/v1/tasks/$id", as('alice', Prefer => 'wait=20')); $w } 1 .. $n;
    is get('/api/v1/tasks?limit=1', %at, as('alice'))->{status}, 200, "$n wait, and others are served";
    AIGW::Client::once(DELETE => "/api/v1/tasks/$id", %at, as('alice'));
    is scalar(grep { $_->response->json->{status} eq 'cancelled' } @waiting), $n, '… they are told the end';
    return;
}

# All children are killed, those that watch and those that run: the task begins once more, and is followed to its end.
sub killed {
    my ($gw, $at) = @_;
    my ($tag, $held) = raw($gw, 'gate:3', {}, max_tokens => 4);
    my ($c, $seen) = follow($at, $held);
    do { $seen = next_event($c) } until $seen->{event} eq 'task.progress';
    kill KILL => map { (split m{/})[0] } map { $_->children } $gw, $at == $gw ? () : $at;
    my @more = ($seen, rest_of($c));
    ok !$c->{r}->complete, 'killed: the stream breaks';
    $c = follow_again($at, $held, $more[-1]{id});
    raw_wait('request', tag => $tag, n => 2, timeout => $PATIENCE);
    raw_go($tag);
    my @after = rest_of($c);
    is_deeply out_of_order(map { $_->{id} } @more, @after), [], '… it goes on where it was, though the task begins once more';
    is_deeply [json($after[-1])->{status}, json($after[-1])->{attempts}, json($after[-1])->{result}{choices}[0]{message}{content}], ['completed', 2, 'one two three four five'], '… to the end';
    return;
}

# Connections of clients that a gateway has.
sub clients {
    my ($gw) = @_;
    my %open = map { m{^\[?socket:\[(\d+)\]} ? ($1 => 1) : () } map { readlink // '' } map { glob "/proc/@{[m{(\d+)}]}/fd/*" } $gw->children;
    my $port = sprintf ':%04X', $gw->{port};
    return scalar grep { @$_ > 9 && $_->[3] ne '0A' && $_->[1] =~ /$port\z/ && $open{ $_->[9] } } map { [split] } split /\n/, slurp('/proc/net/tcp') // '';
}
