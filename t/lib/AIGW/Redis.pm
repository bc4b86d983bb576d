package AIGW::Redis;
# A Redis of a test's own, a real redis-server; and between it and the gateway, where a test asks for it, a proxy that is slow, or lies.
#
#   my $redis = AIGW::Redis->new(password => 'x', users => { gw => { password => 'y', rules => '~* +@all' } }, databases => 4);
#   $redis->{port}, $redis->{socket}         # 127.0.0.1 and a Unix socket; both always
#   $redis->url                              # redis://127.0.0.1:PORT
#   $redis->cmd(qw(GET key))                 # '', a number, a string, undef (nil) or a list's reference; dies with what Redis says where that is an error
#   $redis->pause; $redis->resume            # SIGSTOP, SIGCONT
#   $redis->kill; $redis->stop; $redis->start   # SIGKILL, SIGTERM; the same port again. What it held is gone
#   my $proxy = $redis->proxy;               # AIGW::Redis::Proxy, below
#
# It answers when new() or start() returns, and ends with the object or with this process. `cmd` uses one connection as the user "default", and makes a new one after a restart.
# All that it writes is in a folder of its own. AIGW::Redis->available: is there a redis-server?
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use POSIX ();
use Time::HiRes qw(sleep time);
use AIGW::Services qw(end_process free_port slurp spew who);

use constant START => 30 * ($ENV{AIGW_WRAP} ? 10 : 1);    # seconds

sub program { my ($path) = grep { -x } map { "$_/redis-server" } split(/:/, $ENV{PATH} // ''), qw(/usr/bin /usr/local/bin); return $path }
sub available { return defined program() }

sub new {
    my ($class, %o) = @_;
    # in the short path of the system's temporary files: a socket's may have 107 bytes
    my $dir = File::Temp->newdir('aigw-redis-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{AIGW_KEEP});
    my $self = bless { %o, dir => $dir, owner => $$, port => $o{port} || free_port(), socket => "$dir/socket", password => $o{password} // '' }, $class;
    chmod 0755, "$dir";
    my $secret = length $self->{password} ? ">$self->{password}" : 'nopass';
    my @acl = "user default on $secret ~* &* +\@all";
    push @acl, map { "user $_ on >$o{users}{$_}{password} $o{users}{$_}{rules}" } sort keys %{ $o{users} || {} };
    spew("$dir/users.acl", join "\n", @acl, '');
    chmod 0600, "$dir/users.acl";
    spew("$dir/redis.conf", join "\n", "bind 127.0.0.1", "port $self->{port}", "unixsocket $dir/socket", 'unixsocketperm 777', 'daemonize no', 'save ""',
        'appendonly no', "dir $dir", "logfile $dir/log", "aclfile $dir/users.acl", 'databases ' . ($o{databases} || 16), @{ $o{conf} || [] }, '');
    $self->start;
    return $self;
}

sub start {
    my ($self) = @_;
    my $program = program() // die "there is no redis-server (Debian: redis-server)\n";
    delete $self->{client};
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/start";
        open STDERR, '>&', \*STDOUT;
        # it must not outlive a test that is killed
        exec 'setpriv', '--pdeathsig', 'KILL', $program, "$self->{dir}/redis.conf" or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    for (my $until = time + START; (eval { $self->cmd('PING') } // '') ne 'PONG'; sleep 0.01) {
        die 'redis-server does not start: ', slurp("$self->{dir}/start") // '', slurp("$self->{dir}/log") // '', "\n"
            if time > $until || waitpid($pid, POSIX::WNOHANG()) == $pid;
    }
    return;
}

sub url { my ($self) = @_; return "redis://127.0.0.1:$self->{port}" }
sub log { my ($self) = @_; return slurp("$self->{dir}/log") // '' }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    delete $self->{client};
    kill CONT => $pid;
    my $who = who($pid);
    end_process($who) if $who;
    waitpid $pid, 0;
    return;
}

sub kill {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    delete $self->{client};
    CORE::kill KILL => $pid;
    waitpid $pid, 0;
    unlink $self->{socket};
    return;
}

sub kill_hard { my ($self) = @_; return $self->kill }    # as AIGW::Postgres calls it

sub restart { my ($self) = @_; $self->stop; return $self->start }

# Returns once each of its threads stands still.
sub pause {
    my ($self) = @_;
    CORE::kill STOP => $self->{pid};
    for (my $until = time + START; grep { (slurp($_) // ') T') !~ /\) [TtZX]/ } glob "/proc/$self->{pid}/task/*/stat"; sleep 0.005) {
        die "redis-server does not stop\n" if time > $until;
    }
    return;
}

sub resume { my ($self) = @_; return CORE::kill CONT => $self->{pid} }

sub proxy { my ($self, %o) = @_; return AIGW::Redis::Proxy->new(to => $self->{port}, %o) }

sub DESTROY { my ($self) = @_; local ($@, $?, $!); $self->stop if $self->{owner} == $$; return }

# ------------------------------------------------------------------ a client

sub client {
    my ($self) = @_;
    return $self->{client} if $self->{client};
    my $fh = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) or die "redis-server: $@\n";
    $self->{client} = { fh => $fh, in => '' };
    $self->cmd('AUTH', $self->{password}) if length $self->{password};
    return $self->{client};
}

sub cmd {
    my ($self, @words) = @_;
    my $c = $self->client;
    local $SIG{PIPE} = 'IGNORE';
    my $bytes = join '', '*', scalar @words, "\r\n", map { my $word = $_; utf8::encode($word) if utf8::is_utf8($word); ('$', length $word, "\r\n$word\r\n") } @words;
    my $done = eval { syswrite($c->{fh}, $bytes) == length $bytes or die "redis-server: write: $!\n"; [reply($c)] };
    if (!$done) { my $why = $@; delete $self->{client}; die $why }
    die "${$done->[0]}\n" if ref $done->[0] eq 'SCALAR';
    return $done->[0];
}

sub fill {
    my ($c) = @_;
    IO::Select->new($c->{fh})->can_read(START) or die "redis-server: no answer\n";
    sysread $c->{fh}, $c->{in}, 65_536, length $c->{in} or die "redis-server: the connection is closed\n";
    return;
}

# An error is a reference to its text.
sub reply {
    my ($c) = @_;
    fill($c) until $c->{in} =~ /\r\n/;
    $c->{in} =~ s/\A(.)(.*?)\r\n//s;
    my ($kind, $line) = ($1, $2);
    return $line + 0 if $kind eq ':';
    return $line if $kind eq '+';
    return \$line if $kind eq '-';
    return undef if $line == -1;
    return [map { reply($c) } 1 .. $line] if $kind eq '*';
    fill($c) while length $c->{in} < $line + 2;
    my $data = substr $c->{in}, 0, $line, '';
    substr $c->{in}, 0, 2, '';
    return $data;
}

# ------------------------------------------------------------------ a proxy

package AIGW::Redis::Proxy;
# In front of a redis-server, a process of its own:
#   my $proxy = $redis->proxy(delay_ms => 100);
#   $proxy->{port}; $proxy->{url}
#   $proxy->mode('pass', delay_ms => 0)      # from now on, on open connections too; returns once it holds
#     pass      commands go to Redis, its answers come back, each delay_ms later
#     hold      the same, but answers are kept until there is another mode, and then come at once
#     swallow   commands are read, never passed on, never answered
#     garbage   each command is answered with `bytes`; close => 1: and then the connection is closed
#     reset     the connection is reset at the next command
#     lose      the command is passed on, the connection reset when Redis answers: it was done, and nobody knows
#   $proxy->seen                             # { connections, open, commands, names => { EVALSHA => 3, … } }, since the last reset of these
#   $proxy->forget                           # counts from nought again
#   $proxy->wait_seen(commands => 3)         # waits until there were so many (connections, commands, or a command's name); dies after 20 s
#   $proxy->stop
use strict;
use warnings FATAL => 'all';
use Carp qw(croak);
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(sleep time);

use constant PATIENCE => 20 * ($ENV{AIGW_WRAP} ? 10 : 1);

my $json = JSON::PP->new->canonical->latin1;

sub new {
    my ($class, %o) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128, ReuseAddr => 1) or croak "proxy: $@";
    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or croak "socketpair: $!";
    my $self = bless { port => $listener->sockport, url => 'redis://127.0.0.1:' . $listener->sockport, owner => $$, control => $ours }, $class;
    defined($self->{pid} = fork) or croak "fork: $!";
    if (!$self->{pid}) {
        close $ours;
        $SIG{PIPE} = 'IGNORE';
        $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
        my %way = (mode => 'pass', delay_ms => 0, %o);
        my $proxy = bless { listener => $listener, control => $theirs, to => $o{to}, way => \%way, conns => {}, said => '' }, $class;
        $proxy->forget_all;
        # the end of the control channel is the end: it does not outlive the test
        eval { $proxy->serve; 1 } or print STDERR "AIGW::Redis::Proxy: $@";
        POSIX::_exit(0);
    }
    close $theirs;
    return $self;
}

sub ask {
    my ($self, %question) = @_;
    my $control = $self->{control};
    local $SIG{PIPE} = 'IGNORE';
    syswrite $control, $json->encode(\%question) . "\n" or croak "proxy: $!";
    my $line = '';
    until ($line =~ /\n/) { IO::Select->new($control)->can_read(PATIENCE) && sysread $control, $line, 65_536, length $line or croak 'proxy: no answer' }
    return $json->decode($line);
}

sub mode { my ($self, $mode, %o) = @_; $self->ask(mode => $mode, %o); return }
sub forget { my ($self) = @_; $self->ask(forget => 1); return }
sub seen { my ($self) = @_; return $self->ask }

sub wait_seen {
    my ($self, $what, $n) = @_;
    for (my $until = time + PATIENCE;; sleep 0.005) {
        my $seen = $self->seen;
        return $seen if ($seen->{$what} // $seen->{names}{$what} // 0) >= $n;
        croak "proxy: $n $what: not within " . PATIENCE . ' s: ' . $json->encode($seen) if time > $until;
    }
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill KILL => $pid;
    waitpid $pid, 0;
    return;
}

sub DESTROY { my ($self) = @_; local ($@, $?, $!); $self->stop if $self->{owner} && $self->{owner} == $$; return }

# ------------------------------------------------------------------ the process

sub forget_all { my ($self) = @_; @$self{qw(connections commands names)} = (0, 0, {}); return }

sub serve {
    my ($self) = @_;
    while (1) {
        my @conns = values %{ $self->{conns} };
        my $read = IO::Select->new($self->{listener}, $self->{control}, map { ($_->{client}, $_->{server} ? $_->{server} : ()) } @conns);
        my ($next) = sort { $a <=> $b } map { @{ $_->{late} } && $_->{late}[0][0] ? $_->{late}[0][0] : () } @conns;
        my $wait = defined $next ? $next - time : undef;
        my %ready = map { $_ => 1 } $read->can_read(defined $wait && $wait < 0 ? 0 : $wait);
        if ($ready{ $self->{control} }) { $self->told or return }
        $self->accept if $ready{ $self->{listener} };
        for my $c (@conns) {
            $self->from_client($c) if $ready{ $c->{client} };
            $self->from_server($c) if !$c->{gone} && $c->{server} && $ready{ $c->{server} };
            $self->send_due($c) if !$c->{gone};
        }
    }
}

sub told {
    my ($self) = @_;
    sysread $self->{control}, $self->{said}, 65_536, length $self->{said} or return 0;
    while ($self->{said} =~ s/\A(.*?)\n//) {
        my $o = $json->decode($1);
        $self->forget_all if delete $o->{forget};
        if ($o->{mode}) {
            $self->{way} = { delay_ms => 0, %$o };
            for my $c (values %{ $self->{conns} }) { $_->[0] ||= time for @{ $c->{late} } }
        }
        my %seen = ((map { $_ => $self->{$_} } qw(connections commands names)), open => scalar keys %{ $self->{conns} });
        syswrite $self->{control}, $json->encode(\%seen) . "\n";
    }
    return 1;
}

sub accept {
    my ($self) = @_;
    my $client = $self->{listener}->accept or return;
    setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
    $self->{connections}++;
    $self->{conns}{$client} = { client => $client, in => '', late => [] };
    return;
}

sub shut {
    my ($self, $c, $reset) = @_;
    setsockopt $c->{client}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $reset;
    delete $self->{conns}{ $c->{client} };
    close $c->{client};
    close $c->{server} if $c->{server};
    $c->{gone} = 1;
    return;
}

# The words of a whole command, cut off what came; () if there is none.
sub command {
    my ($in) = @_;
    return if $$in !~ /\A\*(\d+)\r\n/;
    my ($n, $at, @words) = ($1, $+[0]);
    for (1 .. $n) {
        pos($$in) = $at;
        return if $$in !~ /\G\$(\d+)\r\n/g;
        my ($from, $length) = (pos $$in, $1);
        return if length $$in < $from + $length + 2;
        push @words, substr $$in, $from, $length;
        $at = $from + $length + 2;
    }
    return (substr($$in, 0, $at, ''), @words);
}

sub from_client {
    my ($self, $c) = @_;
    sysread $c->{client}, $c->{in}, 65_536, length $c->{in} or return $self->shut($c);
    while (my ($bytes, $name) = command(\$c->{in})) {
        $self->{commands}++;
        $self->{names}{ uc $name }++;
        my $way = $self->{way};
        return $self->shut($c, 1) if $way->{mode} eq 'reset';
        if ($way->{mode} eq 'garbage') {
            syswrite $c->{client}, $way->{bytes} // "\x00\xff*&^garbage\r\n";
            return $self->shut($c) if $way->{close};
        }
        next if $way->{mode} =~ /^(?:garbage|swallow)\z/;
        $c->{server} ||= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{to}) or return $self->shut($c);
        syswrite $c->{server}, $bytes or return $self->shut($c);
    }
    return;
}

sub from_server {
    my ($self, $c) = @_;
    sysread $c->{server}, my $bytes, 65_536 or return $self->shut($c);
    my $way = $self->{way};
    return $self->shut($c, 1) if $way->{mode} eq 'lose';
    return if $way->{mode} =~ /^(?:garbage|swallow)\z/;    # of a command from before
    # nought: until there is another mode
    push @{ $c->{late} }, [$way->{mode} eq 'hold' ? 0 : time + $way->{delay_ms} / 1000, $bytes];
    return;
}

sub send_due {
    my ($self, $c) = @_;
    while (@{ $c->{late} } && $c->{late}[0][0] && $c->{late}[0][0] <= time) {
        my $answer = shift @{ $c->{late} };
        syswrite $c->{client}, $answer->[1] or return $self->shut($c);
    }
    return;
}

1;
