# Tasks while everything goes down: children are killed, httpd is restarted gracefully. Every task ends, completed, with its own answer; and two gateways on one PostgreSQL, or one Redis, share the work, of which one is killed.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(get post_json);
use AIGW::Postgres;
use AIGW::Redis;
use AIGW::Server;
use Time::HiRes qw(sleep time);

my $tasks   = $ENV{AIGW_TEST_TASKS} || 200;
my @stores  = ('sqlite', AIGW::Postgres->available ? 'pgsql' : (), AIGW::Redis->available ? 'redis' : ());
my $prefork = Apache::Test::have_module('mpm_prefork');
plan tests => 5 * @stores + 3 * (@stores - 1), need_module('mod_aigw', 'mod_aigw_stream', 'mod_aigw_tasks');

my $mpm = $prefork ? "StartServers 3\nMinSpareServers 2\nMaxSpareServers 4\n" : "StartServers 2\nServerLimit 4\nThreadsPerChild 16\nMaxRequestWorkers 64\nMinSpareThreads 16\nMaxSpareThreads 48\n";

sub gateway {
    my ($store) = @_;
    return AIGW::Server->new(conf => "$store\n${mpm}AIGWTaskLease 2s\nAIGWTaskAttempts 100\nAIGWTasksPerUser 0\nAIGWTaskWorkers 20\nAIGWTaskDrain 5s\n<AIGWModel echo>\nAIGWUpstream echo delay=100ms\n</AIGWModel>\nAIGWDefaultModel echo\n"
        . "<Location /api/v1/tasks>\nSetHandler aigw-tasks\n</Location>\n");
}

# What AIGWStore says, and the server, as long as it is held.
sub store {
    my ($name) = @_;
    my $server = { pgsql => 'AIGW::Postgres', redis => 'AIGW::Redis' }->{$name};
    $server &&= $server->new;
    return ({ sqlite => sub { 'AIGWStore sqlite:data/aigw.db' }, pgsql => sub { 'AIGWStore "pgsql:' . $server->conninfo . "\"\nAIGWStoreConnections 2" }, redis => sub { "AIGWStore redis\nAIGWRedis " . $server->url } }->{$name}->(), $server);
}

sub create { my ($gw, $n) = @_; my $r = eval { post_json('/api/v1/tasks', { prompt => "task $n says its own five words" }, port => $gw->{port}, timeout => 30) } or return; return $r->{status} == 202 ? $r->json->{task_id} : undef }

# All of them, until they have ended: { id => task }
sub all_ended {
    my ($gw, $seconds, @ids) = @_;
    my %ended;
    for (my $until = time + $seconds; time < $until && keys %ended < @ids; sleep 0.2) {
        for my $id (grep { !$ended{$_} } @ids) {
            my $task = eval { get("/api/v1/tasks/$id", port => $gw->{port}, timeout => 30)->json } or next;
            $ended{$id} = $task if ($task->{status} // '') =~ /completed|failed|cancelled/;
        }
    }
    return \%ended;
}

sub wrong { my ($ended, $of) = @_; return [map { "$_: " . ($ended->{$_} ? "$ended->{$_}{status} " . ($ended->{$_}{result}{choices}[0]{message}{content} // '') : 'not over') } grep { !$ended->{$_} || $ended->{$_}{status} ne 'completed' || $ended->{$_}{result}{choices}[0]{message}{content} ne "task $of->{$_} says its own five words" } keys %$of] }

for my $name (@stores) {
    my ($conf, $server) = store($name);
    my $gw = gateway($conf);
    my (%of, $killed);
    for my $n (1 .. $tasks) {
        my $id = create($gw, $n) // redo;
        $of{$id} = $n;
        if ($n % ($tasks / 10) == 0) {
            my ($child) = $gw->children;
            $killed += kill 'KILL', (split m{/}, $child)[0] if $child;
        }
        $gw->signal('USR1') if $n == int($tasks / 3) || $n == int(2 * $tasks / 3);
    }
    is scalar keys %of, $tasks, "$name: $tasks tasks are taken while children are killed and httpd is restarted";
    cmp_ok $killed, '>=', 5, "… $killed children were killed";
    my $ended = all_ended($gw, 120, keys %of);
    is_deeply wrong($ended, \%of), [], '… each is completed, with its own answer';
    cmp_ok scalar(grep { $_->{attempts} > 1 } values %$ended), '>', 0, '… some at another attempt';
    $gw->stop;
    is_deeply [grep { !/signal (?:Killed|SIGKILL)/ } $gw->crashes], [], 'nothing crashed but who was killed';
}

for my $name (grep { $_ ne 'sqlite' } @stores) {
    my ($conf, $server) = store($name);
    my @gw = map { gateway($conf) } 1, 2;
    my %of;
    for my $n (1 .. $tasks) { my $id = create($gw[$n % 2], $n) // redo; $of{$id} = $n }
    is scalar keys %of, $tasks, "$name: two gateways on one server";
    kill 'KILL', map { (split m{/}, $_)[0] } $gw[0]->children, $gw[0]{pid};
    is_deeply wrong(all_ended($gw[1], 120, keys %of), \%of), [], '… one is killed, the other finishes all';
    $gw[1]->stop;
    is_deeply [$gw[1]->crashes], [], '… and does not crash';
}
