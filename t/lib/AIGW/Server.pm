package AIGW::Server;
# A gateway of a test's own, for what would disturb others: signals, restarts, broken surroundings.
#
#   my $s = AIGW::Server->new(conf => "...", mpm => 'event');   # conf comes behind the modules, a port and the log files
#   $s->{port}; $s->signal('USR1'); $s->children; $s->wait_gone(@children); $s->stop; $s->log
# Further: tls => 1 makes a second port, {tls_port}, with everything that the first has; env => { NAME => value } is httpd's environment,
# limits => ['--nofile=90:90'] are options of prlimit(1) for it; wrap => ['valgrind', ...] comes before httpd, start => N are seconds that it may take.
# vars => { t_logs, httpd, tls_dir }: outside of Apache::Test. AIGW_WRAP in the environment is such a wrap of every one of these servers (scripts/valgrind.sh --cases),
# and all that waits then has ten times the patience.
#
# What runs out: limit(nofile => N, $pid), descriptors($pid), leave_free(K, @pids) (so many descriptors), cpu($pid) (seconds).
#
# It is stopped when the object goes, by process ID. Everything it writes is in a folder of its own below the logs.
use strict;
use warnings FATAL => 'all';
use Apache::Test ();
use Cwd ();
use File::Temp ();
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep time);
use AIGW::Services qw(end_process free_port load_modules slurp spew who);

use constant SLOW  => $ENV{AIGW_WRAP} ? 10 : 1;
use constant START => 30;

sub new {
    my ($class, %o) = @_;
    my $v = $o{vars} || Apache::Test::vars();
    my ($mpm) = $o{mpm} || map { /(\w+)/ } grep { Apache::Test::have_module("mpm_$_") } qw(event worker prefork);
    my $self = bless { pid => 0, port => free_port(), owner => $$, dir => File::Temp->newdir('server-XXXXXX', DIR => $v->{t_logs}, CLEANUP => !$ENV{AIGW_KEEP}) }, $class;
    chmod 0755, "$self->{dir}";
    my $modules = load_modules("$ENV{AIGW_BUILD}/base.conf", $mpm);
    $self->{httpd} = $v->{httpd};
    $self->{user} = $> ? '' : join '', "User nobody\nGroup ", scalar getgrgid((getpwnam 'nobody')[3]), "\n";
    $self->{head} = "ServerName localhost\nServerRoot $self->{dir}\nPidFile $self->{dir}/pid\nDefaultRuntimeDir $self->{dir}\n"
        . "$modules\n$self->{user}Listen 127.0.0.1:$self->{port}\nErrorLog $self->{dir}/error_log\nLogLevel info\nTypesConfig /dev/null\n"
        . "LogFormat \"id=%{AIGW_REQUEST_ID}e status=%>s error=%{AIGW_ERROR}e aborted=%X\" t\nCustomLog $self->{dir}/access_log t\n";
    $self->{env} = $o{env} || {};
    $self->{limits} = $o{limits} || [];
    $self->{wrap} = $o{wrap} || [split ' ', $ENV{AIGW_WRAP} // ''];
    $self->{patience} = $o{start} || START * SLOW;
    if ($o{tls}) {
        $self->{tls_port} = free_port();
        $self->{head} .= "Listen 127.0.0.1:$self->{tls_port}\n<VirtualHost 127.0.0.1:$self->{tls_port}>\nSSLEngine on\n"
            . "SSLCertificateFile $v->{tls_dir}/server.pem\nSSLCertificateKeyFile $v->{tls_dir}/server.key\n</VirtualHost>\n";
    }
    $self->configure($o{conf});
    $self->start if !$o{stopped};
    return $self;
}

sub configure { my ($self, $conf) = @_; spew("$self->{dir}/httpd.conf", "$self->{head}$conf\n"); return }

sub start {
    my ($self) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/start";
        open STDERR, '>&', \*STDOUT;
        @ENV{ keys %{ $self->{env} } } = values %{ $self->{env} };
        # a test that is killed takes it along
        exec('setpriv', '--pdeathsig', 'TERM', (@{ $self->{limits} } ? ('prlimit', @{ $self->{limits} }) : ()), @{ $self->{wrap} }, $self->{httpd}, '-d', "$self->{dir}", '-f', "$self->{dir}/httpd.conf", '-DFOREGROUND') or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    for (my $until = time + $self->{patience}; !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}); sleep 0.02) {
        die 'httpd does not start: ', slurp("$self->{dir}/start") // '', $self->log, "\n" if time > $until || waitpid($pid, POSIX::WNOHANG()) == $pid;
    }
    # the port is open while the configuration is read for the second time
    for (my $until = time + $self->{patience}; $self->log !~ /resuming normal operations/; sleep 0.01) { die 'httpd does not come up: ', $self->log if time > $until }
    return;
}

sub log      { my ($self) = @_; return slurp("$self->{dir}/error_log") // '' }
sub access   { my ($self) = @_; return slurp("$self->{dir}/access_log") // '' }
sub signal   { my ($self, $signal) = @_; $self->calm if $signal =~ /\A(?:TERM|HUP)\z/; return kill $signal, $self->{pid} }
sub children { my ($self) = @_; return grep { defined } map { who($_) } split ' ', `pgrep -P $self->{pid}` }

# Seconds until none of these processes is left; dies when it takes too long.
sub wait_gone {
    my ($self, $timeout, @who) = @_;
    my $began = time;
    while (grep { my ($pid) = split m{/}; (who($pid) // '') eq $_ } @who) {
        die "processes @who are not gone after $timeout s\n" if time - $began > $timeout;
        sleep 0.01;
    }
    return time - $began;
}

# Waits for the main process to end by itself.
sub wait_end {
    my ($self, $timeout) = @_;
    for (my $until = time + $timeout; waitpid($self->{pid}, POSIX::WNOHANG()) == 0; sleep 0.02) {
        die "httpd does not end within $timeout s\n" if time > $until;
    }
    $self->{pid} = 0;
    return 1;
}

# Waits until this gives something, and returns it; dies when it does not.
sub wait_for {
    my ($self, $what, $timeout, $look) = @_;
    for (my $until = time + $timeout * SLOW;; sleep 0.01) {
        my $found = $look->();
        return $found if $found;
        die "$what: not within $timeout s\n" if time > $until;
    }
}

# Stops processes, and returns once each of their threads stands still; goes on with them.
sub pause {
    my ($self, @who) = @_;
    my @pids = map { (split m{/})[0] } @who;
    kill STOP => @pids;
    $self->wait_for('a stop', 20, sub { !grep { (slurp($_) // ') T') !~ /\) [TtZX]/ } map { glob "/proc/$_/task/*/stat" } @pids });
    return;
}

sub resume { my ($self, @who) = @_; return kill CONT => map { (split m{/})[0] } @who }

# ------------------------------------------------------------------ limits (pid may be what children() gave: PID/…)

# The soft limit of a running process. Set as its own user: root needs a capability for that which containers do not give.
sub limit {
    my ($self, $what, $value, $pid) = @_;
    ($pid) = split m{/}, $pid;
    my ($user, $group) = (stat "/proc/$pid")[4, 5];
    system($> ? () : ('setpriv', "--reuid=$user", "--regid=$group", '--clear-groups'), 'prlimit', '--pid', $pid, "--$what=$value:") == 0 or die "prlimit --pid $pid --$what=$value: failed\n";
    return;
}

# The numbers of its open descriptors.
sub descriptors { my ($self, $pid) = @_; ($pid) = split m{/}, $pid; return map { m{(\d+)\z} } glob "/proc/$pid/fd/*" }

# Waits until the children have so many TCP connections, of clients and to upstreams: whatever was open before is closed then.
sub settle {
    my ($self, $connections) = @_;
    $self->wait_for("$connections connections", 20, sub {
        my %open = map { m{^\[?socket:\[(\d+)\]} ? ($1 => 1) : () } map { readlink // '' } map { glob "/proc/@{[m{(\d+)}]}/fd/*" } $self->children;
        # state 0A listens; the inode is the tenth column
        my @all = map { [split] } split /\n/, slurp('/proc/net/tcp') // '';
        $connections == grep { @$_ > 9 && $_->[3] ne '0A' && $open{ $_->[9] } } @all;
    });
    return;
}

# The states of its clients' connections that no child has closed yet, as the kernel has them: 01 is open on both sides.
sub connections {
    my ($self) = @_;
    my %port = map { sprintf('%04X', $_) => 1 } grep { $_ } @$self{qw(port tls_port)};
    my @all = map { [split] } split /\n/, slurp('/proc/net/tcp') // '';
    # the local address is the second column; state 0A listens; one that is closed has no inode
    return map { $_->[3] } grep { @$_ > 9 && $_->[3] ne '0A' && $_->[9] && $_->[1] =~ /:(\w+)\z/ && $port{$1} } @all;
}

# Waits until no child has a connection of a client's any more.
sub wait_closed { my ($self) = @_; return $self->wait_for('no clients', 20, sub { !$self->connections }) }

# From now on each of these processes can open this many more.
sub leave_free {
    my ($self, $k, @pids) = @_;
    for my $pid (@pids) {
        my %used = map { $_ => 1 } $self->descriptors($pid);
        my ($limit, $free) = (0, 0);
        while ($free < $k || $used{$limit}) { $free++ unless $used{ $limit++ } }
        $self->limit(nofile => $limit, $pid);
    }
    return;
}

# Its private memory, in bytes, as RLIMIT_DATA counts it.
sub data_size { my ($self, $pid) = @_; ($pid) = split m{/}, $pid; return (slurp("/proc/$pid/status") // '') =~ /^VmData:\s+(\d+)/m ? 1024 * $1 : 0 }

# Seconds of processor time that a process has had, all threads together.
sub cpu {
    my ($self, $pid) = @_;
    ($pid) = split m{/}, $pid;
    my @fields = split / /, (slurp("/proc/$pid/stat") // return 0) =~ s/.*\) //sr;
    return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# What no httpd may write: crashes, assertions, sanitizers.
sub crashes {
    my ($self) = @_;
    return grep { /AH0005[012]|AH0004[67]|exit signal|Sanitizer|runtime error:|[Aa]ssertion/ } split /\n/, $self->log . (slurp("$self->{dir}/start") // '');
}

# Before a hard stop or restart, not in the middle of a close: httpd's event MPM may crash then (docs/faults.md). A moment; a child that stands still is not waited for.
sub calm {
    my ($self) = @_;
    for (my $until = time + 2; $self->{pid} && time < $until && grep { $_ ne '01' } $self->connections; sleep 0.01) { }
    return;
}

sub stop {
    my ($self) = @_;
    $self->calm;
    my $who = $self->{pid} ? who($self->{pid}) : undef;
    end_process($who) if $who;
    waitpid $self->{pid}, 0 if $self->{pid};
    $self->{pid} = 0;
    return;
}

sub DESTROY { my ($self) = @_; local ($@, $?, $!); $self->stop if $self->{owner} == $$; return }

1;
