# mod_aigw_ratelimit, what calls hold: children are killed under load, clients vanish, httpd restarts; afterwards nothing is held and the limits are exact. mod_status says so.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get);
use AIGW::Conf qw(conf_check);
use AIGW::Log;
use AIGW::Many qw(many);
use AIGW::Server;
use AIGW::Services qw(slurp spew);

use constant { CLIENTS => 8, SLOTS => 6, KILLS => 12 };

my $prefork = Apache::Test::have_module('mpm_prefork');
my $s = AIGW::Server->new(conf => <<"CONF");
AIGWErrors on
<AIGWModel slow>
    AIGWUpstream echo words=30 delay=20
</AIGWModel>
<AIGWModel quick>
    AIGWUpstream echo
</AIGWModel>
<Location /v1/chat/completions>
    SetHandler aigw-chat-completions
    AIGWLimit concurrent @{[SLOTS]}
    AIGWLimit tokens 100M/hour
    AIGWLimitBy header:X-Team
</Location>
<Location /status>
    SetHandler server-status
</Location>
ExtendedStatus off
KeepAlive off
MaxConnectionsPerChild 150
GracefulShutdownTimeout 20
<IfModule mpm_prefork_module>
    StartServers 20
    ServerLimit 40
    MaxRequestWorkers 20
    MinSpareServers 4
    MaxSpareServers 20
</IfModule>
<IfModule !mpm_prefork_module>
    StartServers 2
    ServerLimit 8
    ThreadsPerChild 16
    MaxRequestWorkers 32
    MinSpareThreads 16
    MaxSpareThreads 32
</IfModule>
CONF
my $port = $s->{port};

plan tests => 3 + 7 + 6 + 5 + 3 + 1, need_module('mod_aigw', 'mod_aigw_stream', 'mod_aigw_ratelimit', 'mod_status');

# What mod_status says; () while nobody answers. Those that wait in the listen queue of a child that is killed are reset.
sub status { my $r = eval { get('/status?auto', port => $port) } or return; return $r->{status} == 200 ? $r->content =~ /^(AIGWLimit\w+): (-?\d+)$/mg : () }
sub wait_status { my ($what, $timeout, $is) = @_; my %last; my $ok = eval { $s->wait_for($what, $timeout, sub { %last = status(); %last && $is->(\%last) }) }; return $ok ? \%last : do { diag "$what: ", explain \%last; undef } }
sub ask { my ($team, $model, $stream) = @_; return { headers => ['X-Team' => $team], json => { model => $model, stream => $stream ? \1 : \0, max_tokens => 100, messages => [{ role => 'user', content => 'one two three' }] } } }
sub nothing_held { my ($name) = @_; return ok wait_status('nothing is held', 40, sub { my ($x) = @_; return !grep { $x->{"AIGWLimit$_"} } qw(Holds Slots Reserved) }), $name }

# So many at once for one team: exactly the limit is let in.
sub is_exact {
    my ($team, $name) = @_;
    my $all = many(2 * SLOTS, port => $port, %{ ask($team, 'slow', 1) }, timeout => 40);
    return is_deeply $all->{status}, { 200 => SLOTS, 429 => SLOTS }, $name;
}

# ------------------------------------------------------------------ mod_status

my %x = status();
is_deeply [sort keys %x], [map { "AIGWLimit$_" } sort qw(Entries EntriesUsed Evicted HoldsMax Holds Slots Reserved Reaped Mended Children)], 'mod_status: for programs';
like get('/status', port => $port)->content, qr{<h2>AI gateway: limits in shared memory</h2>.*<dt>Slots taken: 0</dt>}s, '… for people';
is +(conf_check("AIGWLimit requests 1/second\n", without => qr/status_module/))[0], 0, '… and nobody needs it';

# ------------------------------------------------------------------ load

# One client: calls that are read to the end, that are left in the middle, that are not streams; whatever comes of it. Until the pipe is closed.
sub client {
    my ($until, $team) = @_;
    for (my $i = 0; !IO::Select->new($until)->can_read(0); $i++) {
        eval {
            my $stream = $i % 3 != 2;
            my $c = AIGW::Client->new(port => $port, timeout => 10);
            $c->request(POST => '/v1/chat/completions', %{ ask($team, 'slow', $stream) });
            my $r = $c->head;
            if ($r->{status} == 200 && $i % 3 == 0) { $c->event }
            else { $c->rest }
            1;
        } or sleep 0.02; # nobody is there just now
    }
    POSIX::_exit(0);
}

sub load {
    my ($during) = @_;
    pipe my $in, my $out or die $!;
    my @pids;
    for my $n (1 .. CLIENTS) {
        my $pid = fork // die $!;
        if (!$pid) { close $out; eval { client($in, $n % 2 ? 'odd' : 'even') }; POSIX::_exit(1) }
        push @pids, $pid;
    }
    my $ok = eval { $during->(); 1 };
    my $why = $@;
    close $out;
    my @ends = map { waitpid($_, 0); $? } @pids;
    die $why if !$ok;
    return !grep { $_ } @ends;
}
sub held { return wait_status('calls hold something', 20, sub { my ($x) = @_; $x->{AIGWLimitSlots} && $x->{AIGWLimitReserved} }) }
# one may be gone before it is killed: with MaxConnectionsPerChild they come and go
sub kill_one { return $s->wait_for('a child', 20, sub { my @all = map { (split m{/})[0] } $s->children; @all && kill KILL => $all[rand @all] }) }

# ------------------------------------------------------------------ children are killed, httpd restarts, clients vanish

is_exact('before', 'at the beginning the limit is exact');
my ($held, $killed, $restarts) = (0, 0, 0);
my @old = $s->children;
ok load(sub {
    for my $i (1 .. KILLS) {
        $held++ if held();
        $killed++ if kill_one();
        next if $i % 4;
        my $before = () = $s->log =~ /resuming normal operations/g;
        $restarts++ if $s->signal('USR1');
        $s->wait_for('a graceful restart', 30, sub { (() = $s->log =~ /resuming normal operations/g) > $before });
    }
}), 'clients under load end';
is $held, KILLS, '… calls held slots and tokens each time';
is $killed, KILLS, '… when a child was killed';
is $restarts, KILLS / 4, '… and graceful restarts came between';
nothing_held('afterwards nothing is held');
%x = status();
cmp_ok $x{AIGWLimitReaped}, '>', 0, '… because it was given back for the dead';

ok eval { $s->wait_gone(40, @old); 1 }, 'no child is stuck: those of the beginning are gone';
is_exact($_, "the limit is exact: $_") for qw(odd even);
nothing_held('… and nothing is held');
my $r = AIGW::Client::once(POST => '/v1/chat/completions', port => $port, %{ ask('odd', 'quick', 0) });
is $r->{status}, 200, '… and it serves';
cmp_ok $r->header('x-ratelimit-remaining-tokens'), '>', 90_000_000, '… and tokens of calls that never ended are back';

# ------------------------------------------------------------------ a restart that is not graceful cuts calls

my $cut = AIGW::Client->new(port => $port);
$cut->request(POST => '/v1/chat/completions', %{ ask('cut', 'slow', 1) });
is $cut->head->{status}, 200, 'a call';
$cut->event;
ok wait_status('it holds', 20, sub { $_[0]{AIGWLimitSlots} == 1 }), '… holds a slot';
my $before = () = $s->log =~ /resuming normal operations/g;
$s->signal('HUP');
$s->wait_for('a restart', 30, sub { (() = $s->log =~ /resuming normal operations/g) > $before });
nothing_held('… which a restart gives back');
is_exact('cut', '… to the last one');
unlike $s->log, qr/AIGW041[02345]/, 'nothing was without room or lock';

# ------------------------------------------------------------------ more counters than there is memory for, at a restart

my ($size) = slurp("/proc/$s->{pid}/status") =~ /^VmSize:\s+(\d+)/m;
$s->limit('as', 1024 * $size + 2 * 2**30, $s->{pid});
spew("$s->{dir}/httpd.conf", slurp("$s->{dir}/httpd.conf") . "AIGWLimitEntries 16777216\n");
$before = () = $s->log =~ /resuming normal operations/g;
$s->signal('USR1');
ok eval { $s->wait_for('a restart', 30, sub { (() = $s->log =~ /resuming normal operations/g) > $before }) }, 'a restart without memory for all counters goes on';
like $s->log, qr/AIGW0410: no shared memory for 16777216 counters/, '… and says so';
is_exact('cut', '… with those that there are');
is join("\n", grep { !/AH00052.*Killed/ } $s->crashes), '', 'nothing has crashed but what was killed';
$s->stop;
