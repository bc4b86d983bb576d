package AIGW::Postgres;
# A PostgreSQL of a test's own: initdb, a server on a free port and a Unix socket, as the user nobody where the test is root (PostgreSQL refuses to be root).
#
#   my $pg = AIGW::Postgres->new;
#   $pg->conninfo            # "host=127.0.0.1 port=… user=aigw dbname=postgres", for AIGWStore pgsql:
#   $pg->sql('SELECT 1')     # what psql prints, without alignment
#   $pg->pause; $pg->resume; $pg->kill; $pg->stop; $pg->start     # what it holds survives all of these
#
# It answers when new() or start() returns, and ends with the object. AIGW::Postgres->available: is there one?
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use POSIX ();
use Time::HiRes qw(sleep time);
use AIGW::Services qw(free_port slurp);

use constant START => 60 * ($ENV{AIGW_WRAP} ? 10 : 1);    # seconds

sub bin { my ($newest) = sort { ($b =~ m{/(\d+)/})[0] <=> ($a =~ m{/(\d+)/})[0] } grep { -x "$_/initdb" } glob '/usr/lib/postgresql/*/bin'; return $newest }
sub available { return defined bin() }

# As nobody, where this is root.
sub as_user { return $> ? () : qw(setpriv --reuid=nobody --regid=nogroup --clear-groups) }

sub new {
    my ($class, %o) = @_;
    my $dir = File::Temp->newdir('aigw-pg-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{AIGW_KEEP});
    my $self = bless { %o, dir => $dir, owner => $$ }, $class;
    chown +(getpwnam 'nobody')[2, 3], "$dir" if !$>;
    chmod 0755, "$dir";
    my $said = join ' ', as_user(), bin() . '/initdb', '-D', "$dir/data", qw(-U aigw -A trust -E UTF8 --locale=C --no-sync);
    $said = `cd $dir && $said 2>&1`;
    die "initdb: $said\n" if $?;
    # a port that was free is somebody else's a moment later, where many tests run at once
    for my $left (reverse 0 .. 4) {
        $self->{port} = $o{port} || free_port();
        last if eval { $self->start; 1 };
        die $@ if $o{port} || !$left || $@ !~ /Address already in use/;
        delete $self->{pid};
    }
    return $self;
}

sub start {
    my ($self) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        POSIX::setsid();
        chdir "$self->{dir}";
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        # it must not outlive a test that is killed: SIGQUIT is its way to stop at once
        exec as_user(), 'setpriv', '--pdeathsig', 'QUIT', bin() . '/postgres', '-D', "$self->{dir}/data", '-p', $self->{port}, '-k', "$self->{dir}",
            map { ('-c', $_) } 'listen_addresses=127.0.0.1', 'fsync=off', 'max_connections=100', 'logging_collector=off' or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    for (my $until = time + START; ($self->sql('SELECT 1') // '') ne '1'; sleep 0.05) {
        die 'PostgreSQL does not start: ', slurp("$self->{dir}/log") // '', "\n" if time > $until || waitpid($pid, POSIX::WNOHANG()) == $pid;
    }
    return;
}

sub conninfo { my ($self) = @_; return "host=127.0.0.1 port=$self->{port} user=aigw dbname=postgres" }

# By its socket: at a port may be another test's.
sub sql {
    my ($self, $text) = @_;
    open my $psql, '-|', 'env', 'PGCONNECT_TIMEOUT=5', 'sh', '-c', 'exec "$@" 2>/dev/null', 'sh', bin() . '/psql', '-qAtX', '-h', "$self->{dir}", '-p', $self->{port}, '-U', 'aigw', 'postgres', '-c', $text
        or return;
    local $/;
    my $said = <$psql>;
    return close $psql ? $said =~ s/\n\z//r : undef;
}

# The server and what it has made: a stopped parent alone would go on answering.
sub all { my ($self) = @_; return ($self->{pid}, split ' ', `pgrep -P $self->{pid}`) }
sub pause  { my ($self) = @_; return kill 'STOP', $self->all }
sub resume { my ($self) = @_; return kill 'CONT', $self->all }

sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return;
    kill $_, $pid for 'CONT', $signal // 'INT';
    waitpid $pid, 0;
    return;
}

sub kill_hard { my ($self) = @_; my @all = $self->all; kill 'KILL', @all; waitpid delete $self->{pid}, 0; return }

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local $?;
    $self->resume if $self->{pid};
    $self->stop('QUIT');
    return;
}

1;
