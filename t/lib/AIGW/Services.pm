package AIGW::Services;
# What runs beside the gateway while tests do: the raw upstream and the upstream httpd, with certificates made for them. What runs is
# written down in WORK/services.json, so that t/TEST -start-httpd can leave it to a later t/TEST -stop-httpd.
use strict;
use warnings FATAL => 'all';
use File::Path qw(make_path);
use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX qw(WNOHANG setsid);
use Time::HiRes qw(sleep time);
use base 'Exporter';
our @EXPORT_OK = qw(end_process free_port load_modules slurp spew who);

use constant { START => 30, STOP => 15 };    # seconds

my $json = JSON::PP->new->canonical->pretty;

sub slurp { my ($file) = @_; open my $fh, '<', $file or return undef; local $/; return scalar <$fh> }

sub spew {
    my ($file, $text) = @_;
    open my $fh, '>', $file or die "$file: $!\n";
    print $fh $text;
    close $fh or die "$file: $!\n";
    return $file;
}

# A port that is free, outside of the range that outgoing connections take theirs from: it stays free until it is used. Runs side by side have each their own range
# (AIGW_TEST_PORTS, FIRST:NUMBER), less what Apache::Test counts on from the first that it gets.
sub free_port {
    my ($first) = (slurp('/proc/sys/net/ipv4/ip_local_port_range') // '') =~ /^(\d+)/;
    my ($low, $range) = ($ENV{AIGW_TEST_PORTS} // '') =~ /^(\d+):([1-9]\d+)$/ ? ($1, $2 - 32) : (10240, ($first // 32768) - 10240);
    for (1 .. 200) {
        my $port = $range > 900 ? $low + int rand $range : 0;
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1) or next;
        return $s->sockport;
    }
    die "no free port\n";
}

# The lines of base.conf for an MPM: without modules that have no file (built in), and without those that do not go with it.
sub load_modules {
    my ($base, $mpm) = @_;
    my @lines;
    for (split /\n/, slurp($base) // die "$base: $!\n") {
        s/mpm_event/mpm_$mpm/g;
        next if /^LoadModule\s+\S+\s+"([^"]+)"/ && !-e $1;
        next if /http2_module/ && $mpm eq 'prefork';
        push @lines, $_;
    }
    return join "\n", @lines, '';
}

# ------------------------------------------------------------------ processes

# A process, told from a later one of the same number by when it began; undef: there is none. One that was killed is there until its last thread has gone, though its first is a
# zombie by then: the others have its sockets, and one that waits in accept() still takes a connection that comes.
sub who {
    my ($pid) = @_;
    my $stat = slurp("/proc/$pid/stat") // return undef;
    my @fields = split / /, $stat =~ s/.*\) //sr;
    return undef if $fields[0] eq 'Z' && 2 > (my @threads = glob "/proc/$pid/task/*");
    return "$pid/$fields[19]";
}

sub lives { my ($who) = @_; my ($pid) = split m{/}, $who; return (who($pid) // '') eq $who }

# Ends it and waits until it is gone: 1, or 0 if it had to be killed.
sub end_process {
    my ($who) = @_;
    my ($pid) = split m{/}, $who;
    for my $signal (qw(TERM KILL)) {
        kill $signal, $pid if lives($who);
        for (my $until = time + STOP; time < $until; sleep 0.02) {
            waitpid $pid, WNOHANG;
            return $signal eq 'TERM' if !lives($who);
        }
    }
    return 0;
}

# A process in a session of its own, so that Ctrl-C does not reach it before we are done. Returns who it is.
sub spawn {
    my ($log, $stdin, $stdout, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setsid();
        $stdin ? open STDIN, '<&', $stdin : open STDIN, '<', '/dev/null' or POSIX::_exit(126);
        open STDERR, '>>', $log or POSIX::_exit(126);
        open STDOUT, '>&', $stdout || *STDERR or POSIX::_exit(126);
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    return who($pid) // die "$command[0]: did not start, see $log\n";
}

# ------------------------------------------------------------------ start and stop

# o: work, src, httpd, modules (file to make LoadModule lines from), lifeline (1: the raw upstream must not outlive us)
sub start {
    my ($class, %o) = @_;
    my $self = bless { %o, run => {}, vars => {} }, $class;
    my $old = $class->running($o{work});
    $old->stop if $old;
    make_path("$o{work}/upstream", "$o{work}/tls");
    $self->{state} = "$o{work}/services.json";
    if (!eval { $self->make_certificates; $self->start_raw; $self->start_httpd; 1 }) {
        my $why = $@;
        $self->stop;
        die $why;
    }
    $self->save;
    return $self;
}

# What an earlier run has left running, or undef. whole: undef too if some of it has died
sub running {
    my ($class, $work, %o) = @_;
    my $text = slurp("$work/services.json") // return undef;
    my $self = bless { %{ $json->decode($text) }, state => "$work/services.json" }, $class;
    my $alive = grep { lives($_) } values %{ $self->{run} };
    return undef if !$alive || $o{whole} && $alive < keys %{ $self->{run} };
    return $self;
}

sub save { my ($self) = @_; return spew($self->{state}, $json->encode({ map { $_ => $self->{$_} } qw(run vars) })) }

# Returns the names of those that did not end by themselves.
sub stop {
    my ($self) = @_;
    my @stubborn = grep { !end_process($self->{run}{$_}) } sort keys %{ $self->{run} };
    unlink $self->{state};
    if (my $socket = $self->{vars}{raw_unix}) {
        unlink $socket;
        rmdir $1 if $socket =~ m{(.*/aigw-t-\w+)/};
    }
    $self->{run} = {};
    return @stubborn;
}

sub start_raw {
    my ($self) = @_;
    my $log = "$self->{work}/upstream/rawup.log";
    my $socket = "$self->{work}/raw.sock";
    # the kernel's limit is 107
    $socket = File::Temp::tempdir('aigw-t-XXXXXX', TMPDIR => 1) . '/raw.sock' if length $socket > 100;
    chmod 0755, $socket =~ s{/[^/]+\z}{}r;
    my @lifeline = $self->{lifeline} ? '--lifeline' : ();
    pipe my $stdin, $self->{lifeline_end} or die "pipe: $!\n";
    pipe my $says, my $stdout or die "pipe: $!\n";
    $self->{run}{raw} = spawn($log, $stdin, $stdout, $^X, "$self->{src}/tools/rawup.pl", '--unix', $socket, '--tls', $self->{vars}{tls_dir}, @lifeline);
    close $stdout;
    my $said = '';
    my $select = IO::Select->new($says);
    for (my $until = time + START; $said !~ /^dead \d+\n/m;) {
        my $ended = $select->can_read($until - time) && !sysread $says, $said, 4096, length $said;
        die "the raw upstream does not start: see $log\n" if $ended || time >= $until;
    }
    $self->{vars}{raw_unix} = $socket;
    ($self->{vars}{raw_port})  = $said =~ /^port (\d+)$/m;
    ($self->{vars}{raw_tls_port}) = $said =~ /^tls (\d+)$/m;
    ($self->{vars}{dead_port}) = $said =~ /^dead (\d+)$/m;
    $self->{vars}{raw_tls_port} ||= $self->{vars}{dead_port};
    return;
}

sub start_httpd {
    my ($self) = @_;
    my $dir = "$self->{work}/upstream";
    my $vars = $self->{vars};
    my $modules = load_modules($self->{modules}, $ENV{AIGW_UPSTREAM_MPM} || 'event');
    my %conf = (%$vars, dir => $dir, tls => $vars->{tls_dir}, modules => $modules, user => '');
    $vars->{$_} = $conf{$_} = free_port() for qw(upstream_port upstream_tls_port upstream_badname_port);
    if ($> == 0) {
        my $group = getgrgid((getpwnam 'nobody')[3]);
        $conf{user} = "User nobody\nGroup $group";
    }
    my $text = slurp("$self->{src}/conf/upstream.conf.in");
    $text =~ s/@(\w+)@/$conf{lc $1} \/\/ die "upstream.conf.in: what is $1?\n"/ge;
    spew("$dir/httpd.conf", $text);
    $vars->{upstream_error_log} = "$dir/error_log";
    unlink "$dir/error_log", "$dir/access_log", "$dir/httpd.pid";
    my $log = "$dir/start.log";
    unlink $log;
    $self->{run}{httpd} = spawn($log, undef, undef, $self->{httpd}, '-d', $dir, '-f', "$dir/httpd.conf", '-DFOREGROUND');
    for (my $until = time + START; !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $vars->{upstream_port}); sleep 0.02) {
        next if lives($self->{run}{httpd}) && time < $until;
        die 'the upstream httpd does not start: ', slurp($log) // '', slurp("$dir/error_log") // '', "\n";
    }
    return;
}

# ------------------------------------------------------------------ certificates

# A CA, and certificates of it: "server" for localhost, "wrongname" for another host; and "selfsigned", of nobody. With keys, for a month.
sub make_certificates {
    my ($self) = @_;
    my $dir = $self->{vars}{tls_dir} = "$self->{work}/tls";
    return if -e "$dir/complete" && -M _ < 7;
    spew("$dir/openssl.cnf", <<'CNF');
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost,IP:127.0.0.1
[wrongname]
basicConstraints = CA:FALSE
subjectAltName = DNS:wrong.example
CNF
    my @new = ('req', '-config', "$dir/openssl.cnf", qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes));
    openssl($dir, @new, qw(-x509 -days 30 -extensions ca -subj), '/CN=mod_aigw test CA', '-keyout', "$dir/ca.key", '-out', "$dir/ca.pem");
    my @self = qw(-x509 -days 30 -extensions server -subj /CN=localhost);
    openssl($dir, @new, @self, '-keyout', "$dir/selfsigned.key", '-out', "$dir/selfsigned.pem");
    for (['server', 'localhost'], ['wrongname', 'wrong.example']) {
        my ($name, $cn) = @$_;
        openssl($dir, @new, '-subj', "/CN=$cn", '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr");
        my @ca = ('-CA', "$dir/ca.pem", '-CAkey', "$dir/ca.key", '-CAcreateserial', '-extfile', "$dir/openssl.cnf", '-extensions', $name);
        openssl($dir, 'x509', '-req', '-in', "$dir/$name.csr", @ca, qw(-days 30 -out), "$dir/$name.pem");
    }
    spew("$dir/complete", '');
    return;
}

sub openssl {
    my ($dir, @arguments) = @_;
    open my $pipe, '-|', 'sh', '-c', 'exec openssl "$@" 2>&1', 'sh', @arguments or die "openssl: $!\n";
    my $said = do { local $/; <$pipe> };
    close $pipe or die "openssl @arguments: " . ($said // '') . "\n";
    return;
}

1;
