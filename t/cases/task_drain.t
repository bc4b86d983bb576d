# Tasks where their child ends: at a graceful restart and a graceful stop they finish, or are handed back when the drain is over, which is no attempt; at a stop they are handed back at once. The upstream counts.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get post_json);
use AIGW::Log;
use AIGW::Postgres;
use AIGW::Raw;
use AIGW::Server;

my $pg = AIGW::Postgres->available;
plan tests => 29 + ($pg ? 5 : 0), need_module('mod_aigw', 'mod_aigw_stream', 'mod_aigw_tasks');

sub conf {
    my ($more, $store) = @_;
    return ($store // 'AIGWStore sqlite:data/aigw.db') . <<"CONF";

AIGWErrors on
AIGWTaskLease 30s
$more
<AIGWModel raw>
    AIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1
</AIGWModel>
AIGWDefaultModel raw
<Location /api/v1/tasks>
    SetHandler aigw-tasks
</Location>
<IfModule !mpm_prefork_module>
    StartServers 1
    ServerLimit 4
    ThreadsPerChild 8
    MaxRequestWorkers 8
    MinSpareThreads 1
    MaxSpareThreads 8
</IfModule>
<IfModule mpm_worker_module>
    # two slots: docs/faults.md
    MaxRequestWorkers 16
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 2
    MinSpareServers 1
    MaxSpareServers 8
</IfModule>
CONF
}

my $s;
sub make { my ($tag, $scenario) = @_; return post_json('/api/v1/tasks', { endpoint => '/v1/chat/completions', body => { messages => [{ role => 'user', content => 'hello' }], scenario => $scenario, tag => $tag } }, port => $s->{port})->json->{task_id} }
sub task { my ($id) = @_; return eval { get("/api/v1/tasks/$id", port => $s->{port})->json } // {} }
sub ended { my ($id) = @_; my $t; $s->wait_for("the end of $id", 60, sub { $t = task($id); ($t->{status} // '') =~ /completed|failed|cancelled/ }); return $t }
sub asked { my ($tag) = @_; return scalar @{ raw_log($tag)->{requests} } }

# A task that waits at the upstream: its tag and ID.
sub waiting { my $tag = tag(); my $id = make($tag, 'gate'); raw_wait('request', tag => $tag, timeout => 30); return ($tag, $id) }

sub restart {
    my ($signal, $says) = @_;
    my $before = () = $s->log =~ /$says/g;
    $s->signal($signal);
    $s->wait_for('the restart', 60, sub { (() = $s->log =~ /$says/g) > $before });
    return;
}

sub again {
    my $said = () = $s->log =~ /resuming normal operations/g;
    $s->start;
    return $s->wait_for('the start', 60, sub { (() = $s->log =~ /resuming normal operations/g) > $said });
}

# ------------------------------------------------------------------ there is time
$s = AIGW::Server->new(conf => conf(''));
{
    my @all = map { [waiting()] } 1 .. 5;
    my @old = $s->children;
    restart(USR1 => 'resuming normal operations');
    ok $s->wait_for('new children', 30, sub { my %old = map { $_ => 1 } @old; grep { !$old{$_} } $s->children }), 'a graceful restart: new children are there';
    my ($tag, $id) = (tag());
    is ended(make($tag, 'ok'))->{status}, 'completed', '… they take tasks while the old ones still run theirs';
    is_deeply [map { task($_->[1])->{status} } @all], [('running') x 5], '… which go on';
    raw_go($_->[0]) for @all;
    is_deeply [map { my $t = ended($_->[1]); "$t->{status} $t->{attempts}" } @all], [('completed 1') x 5], '… to their end';
    is_deeply [map { asked($_->[0]) } @all], [(1) x 5], '… each was asked once';
    cmp_ok $s->wait_gone(60, @old), '>=', 0, '… and then the old ones go';
}
{
    my ($tag, $id) = waiting();
    $s->signal('WINCH');
    $s->wait_for('a graceful stop', 30, sub { $s->log =~ /AH00492|shutting down gracefully/ });
    raw_go($tag);
    ok $s->wait_end(60), 'a graceful stop: httpd ends when the task has';
    again();
    my $t = ended($id);
    is "$t->{status} $t->{attempts}", 'completed 1', '… it is completed';
    is asked($tag), 1, '… was asked once';
}

# ------------------------------------------------------------------ stop: at once
{
    my ($tag, $id) = waiting();
    $s->signal('TERM');
    ok $s->wait_end(60), 'a stop';
    is_deeply [$s->crashes], [], '… nobody had to be killed';
    again();
    raw_wait('request', tag => $tag, n => 2, timeout => 30);
    raw_go($tag);
    my $t = ended($id);
    is "$t->{status} $t->{attempts}", 'completed 1', '… the task was handed back, which is no attempt, and is run';
    is asked($tag), 2, '… anew';
}

# ------------------------------------------------------------------ GracefulShutdownTimeout
$s->stop;
$s->configure(conf("GracefulShutdownTimeout 1"));
$s->start;
{
    my ($tag, $id) = waiting();
    $s->signal('WINCH');
    ok $s->wait_end(60), 'a graceful stop that may not take so long';
    is_deeply [$s->crashes], [], '… nobody had to be killed';
    again();
    raw_wait('request', tag => $tag, n => 2, timeout => 30);
    raw_go($tag);
    my $t = ended($id);
    is "$t->{status} $t->{attempts}", 'completed 1', '… hands back, too';
}
$s->stop;

# ------------------------------------------------------------------ the drain is over
$s->configure(conf("AIGWTaskDrain 1s 2s"));
$s->start;
{
    my ($tag, $id) = waiting();
    my @old = $s->children;
    restart(USR1 => 'resuming normal operations');
    raw_wait('request', tag => $tag, n => 2, timeout => 30);
    pass 'a restart with a short drain: another child asks again';
    cmp_ok $s->wait_gone(60, @old), '>=', 0, '… and the old one is gone';
    raw_go($tag);
    my $t = ended($id);
    is "$t->{status} $t->{attempts}", 'completed 1', '… it was handed back';
    is asked($tag), 2, '… and asked twice, no more';
}
{
    my ($tag, $id) = waiting();
    is AIGW::Client::once(DELETE => "/api/v1/tasks/$id", port => $s->{port})->{status}, 200, 'one is cancelled';
    restart(USR1 => 'resuming normal operations');
    is ended($id)->{status}, 'cancelled', '… just before a restart: it is not run again';
    is asked($tag), 1, '… nor asked';
}
$s->stop;
# Many at once: while some are written, others end. Those that nobody wrote would run nowhere until their leases are over.
{
    $s->configure(conf("AIGWTaskDrain 1s 1s\nAIGWTaskLease 600s\n<AIGWModel slow>\n    AIGWUpstream echo delay=3600s\n</AIGWModel>"));
    $s->start;
    my @all = map { post_json('/api/v1/tasks', { prompt => "task $_", model => 'slow' }, port => $s->{port})->json->{task_id} } 1 .. 90;
    my $running = sub { scalar grep { (task($_)->{status} // '') eq 'running' } @all };
    $s->wait_for('all of them', 60, sub { $running->() == @all });
    $s->signal('TERM');
    ok $s->wait_end(60), 'a stop while many run';
    $s->configure(conf("AIGWTaskWorkers 0"));
    $s->start;
    is_deeply [grep { $_ ne 'pending 0' } map { my $t = task($_); "$t->{status} $t->{attempts}" } @all], [], '… each is handed back';
    AIGW::Client::once(DELETE => "/api/v1/tasks/$_", port => $s->{port}) for @all;
    $s->stop;
}
is_deeply [$s->crashes], [], 'nothing crashed';

# ------------------------------------------------------------------ and the store is away
if ($pg) {
    $pg = AIGW::Postgres->new;
    $s = AIGW::Server->new(conf => conf("AIGWTaskLease 3s\nAIGWStoreTimeout 1s", 'AIGWStore "pgsql:' . $pg->conninfo . '"'));
    my ($tag, $id) = waiting();
    my @old = $s->children;
    $pg->pause;
    raw_go($tag);
    raw_wait('answered', tag => $tag, timeout => 30);
    $s->signal('TERM');
    ok $s->wait_end(60), 'a stop while the store is away';
    is_deeply [$s->crashes], [], '… nobody had to be killed';
    $pg->resume;
    again();
    raw_wait('request', tag => $tag, n => 2, timeout => 60);
    raw_go($tag);
    my $t = ended($id);
    is "$t->{status} $t->{attempts}", 'completed 2', '… what had ended is run again when its lease is over';
    is asked($tag), 2, '… once';
    $s->stop;
    is_deeply [$s->crashes], [], 'nothing crashed';
}
is_deeply [grep { /AIGW01[3-6]\d/ } split /\n/, $s->log], [], 'the engine has nothing to complain of';
is $s->{pid}, 0, 'all is stopped';
log_clean();
