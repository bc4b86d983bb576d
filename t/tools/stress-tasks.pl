#!/usr/bin/env perl
# Tasks, everything at once, against a gateway of its own that runs under a tool that looks for mistakes in the use of memory or of threads; once for each store that can be had here, side by side.
#   t/tools/stress-tasks.pl --tree BUILD --tool tsan|memcheck|none [--load AIGW-LOAD] [--out FOLDER] [--size 1.0] [--stores sqlite,redis,pgsql]      (as t/tools/stress.pl)
# Many clients do at the same time what clients do: make tasks that end well and badly, of which most are to be told to a receiver (slow, broken and well by turns); watch them as events, hang up and
# come again; wait for them; cancel them, also two at once; list them; stream answers beside them. Meanwhile the gateway is restarted gracefully; then it is stopped gracefully with
# tasks that end within the drain and tasks that do not, is started again, and is stopped by the hard way with everything under way.
use strict;
use warnings FATAL => 'all';
use FindBin ();
use lib "$FindBin::RealBin/../lib";
use Digest::SHA qw(sha256_hex);
use IO::Socket::INET ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Time::HiRes qw(sleep time);
use AIGW::Client ();
use AIGW::Postgres ();
use AIGW::Raw;
use AIGW::Redis ();
use AIGW::Services qw(free_port slurp spew);
use AIGW::Stress;

options('stress-tasks.pl', 'stores=s');
my $services = surroundings();
my $model_port = start_model();
my ($hook_port, $hooks) = start_receiver();

my %key = map { $_ => "aigw_${_}_" . substr sha256_hex("secret of $_"), 0, 43 } qw(alice bob);
my $PATH = '/api/v1/tasks';

# ------------------------------------------------------------------ who is called back

# The port, and the file that has a line for each that it took ("msg_ID").
sub start_receiver {
    my ($port, $file) = (free_port(), "$o{out}/hooks");
    spew($file, '');
    my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1) or die "port $port: $@\n";
    my $pid = fork // die "fork: $!\n";
    return ends_with_us($pid) && ($port, $file) if $pid;
    $SIG{PIPE} = 'IGNORE';
    open my $took, '>>', $file or POSIX::_exit(1);
    $took->autoflush(1);
    $SIG{TERM} = 'DEFAULT';
    for (my $n = 0;; $n++) {
        my $c = $listen->accept or next;
        my ($in, $id) = ('');
        while ($in !~ /\r\n\r\n.*\}\z/s && sysread $c, $in, 65_536, length $in) { }
        ($id) = $in =~ /^webhook-id: (\S+)/mi or next;
        sleep 0.05 if $n % 6 == 1;
        next if $n % 6 == 3;    # without a word
        my $status = $n % 6 == 5 ? '500 No' : '204 Yes';
        print {$took} "$id\n" if $status =~ /204/;
        syswrite $c, "HTTP/1.1 $status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    }
    POSIX::_exit(0);
}

# A name has libcurl ask a thread of its own.
sub hook_url { my ($i) = @_; return sprintf 'http://%s:%d/hook', $i % 2 ? 'localhost' : '127.0.0.1', $hook_port }

# ------------------------------------------------------------------ the gateway

sub conf {
    my ($s, $store) = @_;
    my $location = sub { my ($path, $handler) = @_; return "<Location $path>\nAuthType AIGW\nRequire valid-user\nSetHandler $handler\n</Location>\n" };
    return <<"CONF"
$store
LogLevel info aigw:debug aigw_tasks:debug
${ONE_CHILD}AIGWReactors 2
AIGWKeyFile $s->{dir}/keys
AIGWTaskWorkers 30
AIGWTaskLease 6s
AIGWTaskAttempts 50
AIGWTaskDrain 1s 60s
AIGWStoreTimeout 500ms
AIGWTasksPerUser 0
AIGWTaskWaitMax 5s
AIGWCallbackSecret env:HOOK_SECRET
AIGWCallbackAllow http://127.0.0.1:$hook_port http://localhost:$hook_port
AIGWCallbackNetwork 127.0.0.0/8 ::1
AIGWCallbackTimeout 1s
AIGWCallbackRetry first=100ms max=500ms for=1h
AIGWDefaultModel echo
<AIGWTier pro>
    AIGWLimit requests 100000/second
    AIGWLimit tokens 100000000/minute
    AIGWLimit concurrent 8
</AIGWTier>
<Location "/test/race">
    SetHandler aigw-test-race
</Location>
CONF
        . model('echo', 'echo') . model('slow', 'echo words=100000 delay=20ms') . model('bench', "openai http://127.0.0.1:$model_port/v1")
        . model('raw', "openai http://127.0.0.1:$services->{vars}{raw_port}/v1") . model('dead', "openai http://127.0.0.1:$services->{vars}{dead_port}/v1")
        . join '', map { $location->($_, 'aigw-tasks') } $PATH, '/ai/jobs';
}

sub start {
    my ($store) = @_;
    my $s = gateway(env => { HOOK_SECRET => 'whsec_' . encode_base64('k' x 32, '') });
    spew("$s->{dir}/keys", join '', map { qq({"id":"$_","sha256":"@{[sha256_hex($key{$_})]}","user":"$_","tier":"@{[$_ eq 'bob' ? 'pro' : 'free']}"}\n) } sort keys %key);
    chmod 0644, "$s->{dir}/keys";
    $s->configure(conf($s, $store));
    $s->start;
    return $s;
}

# ------------------------------------------------------------------ clients

sub as { my ($s, $who, @more) = @_; return (port => $s->{port}, timeout => $PATIENCE, headers => { 'X-API-Key' => $key{$who}, @more }) }

# Under such a tool, or on a loaded machine, a store may take longer than AIGWStoreTimeout: then it is asked again.
sub again {
    my ($ask) = @_;
    my $r;
    for (my $until = time + $PATIENCE; ($r = $ask->())->{status} == 503 && time < $until; sleep 0.1) { }
    return $r;
}

sub post_once { my ($s, $who, $body, @more) = @_; return AIGW::Client::post_json($PATH, $body, as($s, $who, @more)) }
sub post { my @args = @_; return again(sub { post_once(@args) }) }
sub task { my ($s, $who, $id, @more) = @_; return again(sub { AIGW::Client::get("$PATH/$id", as($s, $who, @more)) })->json }
sub cancel { my ($s, $who, $id) = @_; return again(sub { AIGW::Client::once(DELETE => "$PATH/$id", as($s, $who)) }) }
sub slow { my ($s, $who, $steps, %more) = @_; my $r = post($s, $who, { prompt => 'a b c', model => 'slow', steps => $steps, %more }); return $r->json->{task_id} // die 'no task: ' . $r->content . "\n" }

sub is_over { my ($task) = @_; return ($task->{status} // '') =~ /completed|failed|cancelled/ }
sub ended { my ($s, $who, $id) = @_; my $task; $s->wait_for("the end of $id", $PATIENCE, sub { $task = task($s, $who, $id); is_over($task) || (sleep(0.1), 0)[1] }); return $task }

my $messages = [{ role => 'user', content => 'one two three' }];
my @KINDS = (
    [{ prompt => 'one two three' }, 'completed'],
    [{ endpoint => '/v1/chat/completions', body => { model => 'bench', messages => $messages } }, 'completed'],
    [{ endpoint => '/api/v2/generate', body => { prompt => 'one two', metadata => { a => 1 } } }, 'completed'],
    [{ endpoint => '/v1/chat', body => { message => 'one two three', model => 'dead' } }, 'failed'],
    [{ endpoint => '/v1/chat/completions', body => { model => 'raw', scenario => 'reset-mid-event', messages => $messages } }, 'failed'],
    [{ prompt => 'a b c', model => 'slow', steps => 15 }, 'completed'],
);

# Makes tasks of each kind, and waits for their ends. What is to be told is in "told-…".
sub makers {
    my ($s, $who, $name, $n) = @_;
    my (%expected, @told, @wrong);
    for my $i (1 .. $n) {
        my ($body, $end) = @{ $KINDS[$i % @KINDS] };
        my %body = (%$body, $i % 4 ? (callback_url => hook_url($i)) : ());
        my @more = $i % 5 == 0 ? ('Idempotency-Key' => "$name-$i") : $i % 7 == 0 ? (Prefer => 'wait=5') : ();
        my $r = post($s, $who, \%body, @more);
        my $id = $r->json->{task_id} // return 'no task: ' . $r->content;
        push @wrong, "$id again: " . $r->content if $i % 5 == 0 && ($r = post($s, $who, \%body, @more))->json->{task_id} ne $id;
        $expected{$id} = $end;
        push @told, "msg_$id" if $body{callback_url};
    }
    for my $id (sort keys %expected) {
        my $task = ended($s, $who, $id);
        push @wrong, "$id: $task->{status} instead of $expected{$id}: " . JSON::PP::encode_json($task->{error} // {}) if $task->{status} ne $expected{$id};
    }
    spew("$o{out}/told-$name", join "\n", @told);
    return @wrong;
}

sub follow {
    my ($s, $who, $id, $last) = @_;
    my $c = AIGW::Client->new(port => $s->{port}, timeout => $PATIENCE);
    $c->request(GET => "$PATH/$id/events", headers => { 'X-API-Key' => $key{$who}, defined $last ? ('Last-Event-ID' => $last) : () });
    $c->head;
    return $c;
}

# Follows it to its end, however often the stream ends before; the last event.
sub follow_to_end {
    my ($s, $who, $id) = @_;
    my ($last, $end);
    for (my $until = time + $PATIENCE; !$end && time < $until;) {
        my $c = follow($s, $who, $id, $last);
        next if $c->{r}{status} == 503 && sleep 0.1;
        return "status $c->{r}{status}" if $c->{r}{status} != 200;
        while (my $e = $c->event) {
            $last = $e->{id} // $last;
            $end = $e->{event} if ($e->{event} // '') =~ /completed|failed|cancelled/;
        }
    }
    return $end // 'no end';
}

sub watchers {
    my ($s, $n) = @_;
    my @wrong;
    for my $i (1 .. $n) {
        my $id = slow($s, 'alice', 20);
        my @leave = map { follow($s, 'alice', $id) } 1 .. 4;
        $_->event for @leave;
        $leave[0]->close;
        $leave[1]->rst;
        my $end = follow_to_end($s, 'alice', $id);
        push @wrong, "$id: $end" if $end ne 'task.completed';
    }
    return @wrong;
}

# One task, many who watch it, and come and go all the time.
sub crowd {
    my ($s, $id, $n) = @_;
    my @c;
    for my $i (1 .. $n) {
        push @c, my $c = AIGW::Client->new(port => $s->{port}, timeout => $PATIENCE);
        $c->request(GET => ($i % 3 ? $PATH : '/ai/jobs') . "/$id/events", headers => { 'X-API-Key' => $key{alice} });
        (shift @c)->rst if @c > 12;
    }
    $_->close for @c;
    return;
}

sub waiters {
    my ($s, $n) = @_;
    my @wrong;
    for my $i (1 .. $n) {
        my $id = slow($s, 'bob', 15);
        my @c = map { AIGW::Client->new(port => $s->{port}, timeout => $PATIENCE) } 1 .. 3;
        $_->request(GET => "$PATH/$id", headers => { 'X-API-Key' => $key{bob}, Prefer => 'wait=5' }) for @c;
        (shift @c)->rst;
        for (@c) { my $r = $_->response; push @wrong, "waiting: $r->{status}" if $r->{status} !~ /\A(?:200|503)\z/ }
        my $task = ended($s, 'bob', $id);
        push @wrong, "$id: $task->{status}" if $task->{status} ne 'completed';
    }
    return @wrong;
}

# At once, while it runs, and two at the same time.
sub cancellers {
    my ($s, $n) = @_;
    my @wrong;
    for my $i (1 .. $n) {
        my $who = $i % 2 ? 'alice' : 'bob';
        my $id = slow($s, $who, 100_000, callback_url => hook_url($i));
        my $watcher = $i % 4 ? undef : follow($s, $who, $id);
        $s->wait_for('a run', $PATIENCE, sub { task($s, $who, $id)->{status} ne 'pending' || (sleep(0.05), 0)[1] }) if $i % 3;
        my @c = map { AIGW::Client->new(port => $s->{port}, timeout => $PATIENCE) } 1 .. 2;
        $_->request(DELETE => "$PATH/$id", headers => { 'X-API-Key' => $key{$who} }) for @c;
        for (@c) { my $r = $_->response; push @wrong, "cancelled: $r->{status}" if $r->{status} !~ /\A(?:20[02]|503)\z/ }
        cancel($s, $who, $id);
        my $task = ended($s, $who, $id);
        push @wrong, "$id: $task->{status}" if $task->{status} ne 'cancelled';
        $watcher->rst if $watcher;
    }
    return @wrong;
}

sub readers {
    my ($s, $n) = @_;
    my @wrong;
    for my $i (1 .. $n) {
        my ($cursor, $pages) = ('', 0);
        do {
            my $r = again(sub { AIGW::Client::get("$PATH?limit=10&status=" . (qw(completed failed cancelled running pending))[$i % 5] . ($cursor ? "&cursor=$cursor" : ''), as($s, $i % 2 ? 'alice' : 'bob')) });
            push @wrong, "list: $r->{status}" if $r->{status} != 200;
            $cursor = $r->{status} == 200 ? $r->json->{next_cursor} : undef;
        } while $cursor && ++$pages < 4;
        for (['GET', "$PATH/" . '0' x 32, 404], ['GET', "$PATH?limit=x", 400], ['PUT', $PATH, 405]) {
            my $ask = $_;
            my $r = again(sub { AIGW::Client::once($ask->[0], $ask->[1], as($s, 'bob')) });
            push @wrong, "$_->[0] $_->[1]: $r->{status}" if $r->{status} != $_->[2];
        }
    }
    return @wrong;
}

# While the store comes and goes: what is taken ends, what is refused is told so.
sub unlucky {
    my ($s, $who, $n) = @_;
    my (@taken, @wrong, %seen);
    for my $i (1 .. $n) {
        my $r = post_once($s, $who, $KINDS[$i % @KINDS][0]);
        $seen{ $r->{status} }++;
        if ($r->{status} == 202) { push @taken, $r->json->{task_id} }
        elsif ($r->{status} != 503) { push @wrong, "made: $r->{status} " . $r->content }
        my $id = $taken[-1] // next;
        for (['GET', "$PATH/$id"], ['GET', "$PATH?limit=5"], $i % 5 ? () : ['DELETE', "$PATH/$id"]) {
            $r = AIGW::Client::once(@$_, as($s, $who));
            push @wrong, "$_->[0]: $r->{status} " . $r->content if $r->{status} !~ /\A(?:200|202|503)\z/;
        }
        my $c = follow($s, $who, $id);
        $i % 2 ? $c->close : $c->rst;
    }
    for my $id (@taken) {
        $s->wait_for("the end of $id", $PATIENCE, sub { my $r = AIGW::Client::get("$PATH/$id", as($s, $who)); ($r->{status} == 200 && is_over($r->json)) || (sleep(0.1), 0)[1] });
    }
    return @wrong, $seen{202} ? () : 'none was taken';
}

# What makers() wanted to be told, and the receiver was not.
sub untold {
    my ($name) = @_;
    my %took = map { $_ => 1 } split /\n/, slurp($hooks) // '';
    return grep { !$took{$_} } map { split /\n/, slurp($_) // '' } glob "$o{out}/told-$name-*";
}

# ------------------------------------------------------------------ the run

# fault: two subs, of which the first takes the store away and the second gives it back.
sub run {
    my ($name, $store, @fault) = @_;
    my $s = start($store);
    said("$name: the gateway runs");
    ok(race($s), "$name: two threads have raced for a number");
    my $long = slow($s, 'alice', 100_000);
    for my $i (1 .. 3) { group("$name: makers of tasks $i", sub { return makers($s, $i % 2 ? 'alice' : 'bob', "$name-$i", sized(100)) }) }
    group("$name: watchers",           sub { return watchers($s, sized(6)) });
    group("$name: a crowd",            sub { return crowd($s, $long, sized(400)) });
    group("$name: clients that wait",  sub { return waiters($s, sized(6)) });
    group("$name: who cancels",        sub { return cancellers($s, sized(30)) });
    group("$name: readers of lists",   sub { return readers($s, sized(60)) });
    sleep 1;
    my @old = $s->children;
    $s->signal('USR1');
    said("$name: graceful restart");
    join_groups();
    said("$name: all clients are done");
    ok(scalar eval { $s->wait_for('new children', $PATIENCE, sub { my %was = map { $_ => 1 } @old; return scalar grep { !$was{$_} } $s->children }) }, "$name: there are new children", $@);
    ok(race($s), "$name: another race, in the new child");
    my $r = cancel($s, 'alice', $long);
    ok(ended($s, 'alice', $long)->{status} eq 'cancelled', "$name: a task that ran all the time is cancelled", "$r->{status} " . $r->content);
    ok(scalar eval { $s->wait_gone($PATIENCE, @old); 1 }, "$name: the old child goes", $@);

    for my $who (qw(alice bob)) { group("$name: while the store comes and goes, $who", sub { return unlucky($s, $who, sized(40)) }) }
    for (1 .. 3) { sleep 0.3; $fault[0]->($s); sleep 0.8; $fault[1]->($s) }
    join_groups();
    ok(scalar eval { $s->wait_for('the store', $PATIENCE, sub { post_once($s, 'alice', { prompt => 'x' })->{status} == 202 }) }, "$name: tasks are taken again", $@);
    said("$name: the store is back");

    # a graceful stop: some end within the drain, the others are handed back
    my @short = map { slow($s, 'alice', 40) } 1 .. sized(5);
    my @rest  = map { slow($s, 'alice', 100_000, callback_url => hook_url($_)) } 1 .. sized(5);
    my @watch = map { follow($s, 'alice', $_) } @rest, @rest, @short;
    $s->wait_for('runs', $PATIENCE, sub { !grep { task($s, 'alice', $_)->{status} eq 'pending' } @short, @rest });
    $s->signal('WINCH');
    ok(scalar eval { $s->wait_end($PATIENCE) }, "$name: the graceful stop has ended", $@);
    $_->close for @watch;
    said("$name: stopped gracefully");

    # the hard way, with everything under way
    $s->start;
    my @wrong = grep { ended($s, 'alice', $_)->{status} ne 'completed' } @short;
    $s->wait_for('runs', $PATIENCE, sub { !grep { task($s, 'alice', $_)->{status} ne 'running' } @rest });
    my @attempts = map { task($s, 'alice', $_)->{attempts} } @rest;
    ok(!@wrong && !(grep { $_ != 1 } @attempts), "$name: tasks end, or are handed back", "@wrong; attempts: @attempts");
    ok(scalar eval { $s->wait_for('callbacks', $PATIENCE, sub { !untold($name) }) }, "$name: all callbacks have arrived", join ' ', untold($name));
    said("$name: all are told");
    my $cancelled = shift @rest;
    cancel($s, 'alice', $cancelled);
    post($s, 'bob', { prompt => 'x', callback_url => hook_url($_) }) for 1 .. sized(10);
    @watch = map { follow($s, 'alice', $_) } @rest, @rest;
    for (@rest) {
        push @watch, my $c = AIGW::Client->new(port => $s->{port}, timeout => $PATIENCE);
        $c->request(GET => "$PATH/$_", headers => { 'X-API-Key' => $key{alice}, Prefer => 'wait=5' });
    }
    $s->signal('TERM');
    ok(scalar eval { $s->wait_end($PATIENCE) }, "$name: the hard stop has ended", $@);
    $_->close for @watch;
    said("$name: stopped");
    my @crashes = $s->crashes;
    ok(!@crashes, "$name: no crash in the error log", @crashes);
    return;
}

# Another process that writes, and takes its time.
my $lock;

sub lock_file {
    my ($s) = @_;
    open my $sqlite, '|-', 'sqlite3', "$s->{dir}/data/aigw.db" or die "sqlite3: $!\n";
    $sqlite->autoflush(1);
    print {$sqlite} ".timeout 5000\nBEGIN IMMEDIATE;\n";
    $lock = $sqlite;
    return;
}

sub on_redis {
    my $redis = AIGW::Redis->new;
    my $proxy = $redis->proxy;
    my @modes = qw(reset hold lose);
    return run('redis', "AIGWStore redis\nAIGWRedis $proxy->{url}\nAIGWRedisTimeout command=500ms", sub { $proxy->mode(shift @modes) }, sub { $proxy->mode('pass') });
}

sub on_postgres {
    my $postgres = AIGW::Postgres->new;
    my $n = 0;
    return run('pgsql', 'AIGWStore "pgsql:' . $postgres->conninfo . "\"\nAIGWStoreConnections 3",
        sub { $n++ % 2 ? $postgres->kill_hard : $postgres->pause }, sub { $n % 2 ? $postgres->resume : $postgres->start });
}

my $wanted = join '|', split /,/, $o{stores} // 'sqlite,redis,pgsql';
my %run = (sqlite => sub { run('sqlite', 'AIGWStore sqlite:data/aigw.db', \&lock_file, sub { close $lock }) },
    AIGW::Redis->available ? (redis => \&on_redis) : (), AIGW::Postgres->available ? (pgsql => \&on_postgres) : ());
beside(map { ($_ => $run{$_}) } grep { /\A(?:$wanted)\z/ } sort keys %run);
exit judge();
