package AIGW::TestRun;
# The driver: Apache::Test, with what we need around it (t/TEST.in says how it is called).
#
# Before httpd starts it starts AIGW::Services: the raw upstream and the upstream httpd, each on free ports, and certificates. What
# conf/*.conf.in and tests need to know of them are variables of Apache::Test, @raw_port@ in a .conf.in and
# Apache::Test::vars('raw_port') in a test:
#   raw_port raw_unix      the raw upstream (t/tools/rawup.pl): TCP port, path of its Unix socket
#   raw_tls_port           the raw upstream over TLS, as "localhost"; refuses where perl has no IO::Socket::SSL
#   dead_port              a port of 127.0.0.1 that refuses connections
#   upstream_port upstream_tls_port upstream_badname_port    the upstream httpd: plain, https as "localhost", https as somebody else
#   upstream_error_log     its error log (AIGW::Log looks after it)
#   tls_dir                ca.pem, and server, wrongname and selfsigned, each .pem and .key
# and for what has no Apache::Test (AIGW::Client, AIGW::Raw, AIGW::Log, a tool in C) the environment says the most important of them:
#   AIGW_RAW_PORT AIGW_UPSTREAM_PORT AIGW_UPSTREAM_ERROR_LOG AIGW_LOGS AIGW_TEST_CA
#   AIGW_TEST_KEY          the secret that the gateway shows its upstreams (key=env:AIGW_TEST_KEY)
#   AIGW_SRC AIGW_BUILD    the folders t of the sources and of the build
#
# However it ends, by Ctrl-C too, everything is stopped, by process ID. The run has failed if a test has, if none ran, or if the error logs
# hold what no test expected (AIGW::Log).
use strict;
use warnings FATAL => 'all';
use base 'Apache::TestRun';
use File::Basename qw(dirname);
use File::Find ();
use File::Path qw(make_path remove_tree);
use POSIX qw(WNOHANG);
use AIGW::Services qw(end_process free_port load_modules slurp spew who);

use constant KEY => 'sk-test-of-the-gateway';
my ($owner, $work, $services, $keep, $httpd, $tried);

# Apache::Test writes next to its templates; give it a shadow of t/ in the build tree (links to the sources), so a source tree can be
# read-only (distcheck). The upstream's template is not for Apache::Test, which would have the gateway include it.
sub shadow {
    my ($src) = @_;
    make_path("$work/t");
    File::Find::find({ no_chdir => 1, wanted => sub { unlink if -l } }, "$work/t");
    File::Find::find({ no_chdir => 1, wanted => sub {
        return unless -f $_ && /\.t$|\/conf\/.*\.in$|\/htdocs\// && !/\/upstream\.conf\.in$/;
        (my $to = $_) =~ s/^\Q$src\E/$work\/t/;
        make_path(dirname $to);
        symlink $_, $to or die "symlink $to: $!\n";
    } }, map { -d "$src/$_" ? "$src/$_" : () } qw(conf htdocs cases));
    make_path("$work/t/htdocs");
    spew("$work/t/htdocs/static.txt", "static\n");
    return;
}

# httpd with the sanitizers' library before everything else. Both httpds get it: both load modules that were built for it.
sub sanitized {
    my ($httpd, $library) = @_;
    my $set = "LD_PRELOAD=$library ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1";
    my $wrap = spew("$work/httpd-asan", "#!/bin/sh\n$set exec $httpd \"\$\@\"\n");
    chmod 0755, $wrap;
    return $wrap;
}

# What the arguments want, the way Apache::Test takes them: (start httpd, run tests, stop httpd), or () if none of it.
sub wanted {
    return if grep { /^--?(?:help|clean|ping)/ } @_;
    my @said = map { my $option = $_; (grep { /^--?\Q$option\E/ } @_) ? 1 : 0 } qw(sta r sto);
    return @said if grep { $_ } @said;
    # tests named, and a server is there: it is used and left alone
    return (0, 1, 0) if grep({ m{\.t$|^(?:t/)?cases} } @_) && httpd_runs() && AIGW::Services->running($work, whole => 1);
    return (1, 1, 1);
}

sub httpd_runs {
    my ($pid) = (slurp("$work/t/logs/httpd.pid") // '') =~ /^(\d+)$/m or return undef;
    my $command = slurp("/proc/$pid/cmdline") // '';
    return index($command, $work) >= 0 ? who($pid) : undef;
}

sub main {
    my ($class, %o) = @_;
    raise_files();
    umask 022;                              # children run as nobody and must read htdocs
    $work = "$o{builddir}/" . ($ENV{AIGW_TEST_WORK} || 'work');
    shadow($o{srcdir});
    $ENV{APACHE_TEST_STARTUP_TIMEOUT} ||= 30;
    $o{httpd} = sanitized($o{httpd}, $o{preload}) if $o{preload};
    $0 = "$work/t/TEST";                    # Apache::TestRun takes its top dir from here
    chdir $work or die "chdir $work: $!\n";
    my ($start, $run, $stop) = wanted(@ARGV);
    $owner = $$;
    $keep  = !$stop;
    $SIG{$_} = \&interrupted for qw(INT TERM HUP PIPE);
    @ENV{qw(AIGW_TEST_KEY AIGW_SRC AIGW_BUILD AIGW_LOGS)} = (KEY, $o{srcdir}, $o{builddir}, "$work/t/logs");
    if ($start) {
        end_process($_) for httpd_runs() // ();
        $ENV{APACHE_TEST_PORT} ||= free_port();
        remove_tree("$work/t/logs");
        my %where = (work => $work, src => $o{srcdir}, httpd => $o{httpd}, modules => "$o{builddir}/base.conf");
        $services = AIGW::Services->start(%where, lifeline => $stop);
    }
    else {
        $services = AIGW::Services->running($work);
        my ($port) = (slurp("$work/t/conf/httpd.conf") // '') =~ /^Listen\s+127\.0\.0\.1:(\d+)/m;
        $ENV{APACHE_TEST_PORT} = $port if $port;
    }
    environment($services->{vars}) if $services;
    spew("$work/base.conf", load_modules("$o{builddir}/base.conf", $ENV{MPM} || 'event')) if $start || !-e "$work/base.conf";
    $class->new->run(@ARGV, '-httpd', $o{httpd}, '-apxs', $o{apxs}, '-httpd_conf', "$work/base.conf", '-servername', 'localhost');
}

# From here on nothing may keep END from its work, not even the loss of who reads what it says.
sub interrupted {
    my ($signal) = @_;
    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP PIPE);
    print STDERR "\nended by SIG$signal\n";
    exit 1;
}

sub environment {
    my ($vars) = @_;
    $ENV{"AIGW_\U$_"} = $vars->{$_} for qw(raw_port raw_tls_port upstream_port upstream_error_log);
    $ENV{AIGW_TEST_CA} = "$vars->{tls_dir}/ca.pem";
    return;
}

# Before Apache::Test makes its configuration: what is an option to it becomes a variable of conf/*.in and of the tests.
sub pre_configure {
    my ($self) = @_;
    my $vars = $services ? $services->{vars} : {};
    $self->{conf_opts}{$_} = $vars->{$_} for keys %$vars;
    return;
}

# <VirtualHost _default_:x> in conf/*.in becomes a port of its own, which stock Apache::Test opens on every interface.
{
    no warnings 'redefine';
    my $stock = \&Apache::TestConfig::replace_vhost_modules;
    *Apache::TestConfig::replace_vhost_modules = sub {
        $stock->(@_);
        s/Listen 0\.0\.0\.0:/Listen 127.0.0.1:/g;
    };
}

# Stock Apache::Test refuses root and EXITS 0 when it does; the children run as nobody (User/Group in the generated conf), so root is safe
# here.
sub check_runtime_user { return 1 }

# The stock one re-execs $0 through a shell; ours is not a script on disk. Here the soft limit of open files goes up to the hard one for all that we start:
# tests hold thousands of streams, and so does the raw upstream.
sub set_ulimit { return }

sub raise_files {
    my ($hard) = (slurp('/proc/self/limits') // '') =~ /^Max open files\s+\S+\s+(\d+)/m;
    return defined $hard && !system('prlimit', '--pid', $$, "--nofile=$hard:$hard");
}

sub start {
    my ($self) = @_;
    $tried = $self->{opts}{'start-httpd'};
    my $rc = $self->SUPER::start();
    $httpd = httpd_runs();
    return $rc;
}

# Test::Harness dies of failures, but is content with no test at all.
sub run_tests {
    my ($self) = @_;
    my $ok = $self->SUPER::run_tests();
    return $ok if $ok || !$self->{opts}{'run-tests'};
    print STDERR "No test ran.\n";
    exit 1;
}

# ------------------------------------------------------------------ the end

# Interrupted while httpd was starting: its process ID is in no file yet. Apache::Test starts it from a child of ours that waits until it
# has gone into the background, and once the services are stopped we have no other; then it is in /proc, called by our own folder.
sub end_half_started {
    local $SIG{CHLD} = 'DEFAULT';
    for (my $until = time + 10; time < $until && !httpd_runs();) {
        last if waitpid(-1, WNOHANG) < 0;
        select undef, undef, undef, 0.02;
    }
    my $ours = sub { return map { who(m{(\d+)}) // () } grep { index(slurp($_) // '', "\0-d\0$work/t\0") >= 0 } glob '/proc/[0-9]*/cmdline' };
    while (my @left = $ours->()) { end_process($_) for @left }
    return;
}

# What is wrong after a run: processes that had to be killed, lines in the logs.
sub aftermath {
    my @bad;
    if (!$keep) {
        my $stop = sub { push @bad, map { "$_ had to be killed\n" } $services->stop if $services };
        if ($tried && !$httpd) { $stop->(); end_half_started() }
        push @bad, "httpd had to be killed\n" if grep { !end_process($_) } $httpd // httpd_runs() // ();
        $stop->();
    }
    require AIGW::Log;
    my %log = (gateway => "$work/t/logs/error_log", upstream => $services ? $services->{vars}{upstream_error_log} : '');
    push @bad, AIGW::Log::scan_run("$work/t/logs", %log) if $services;
    return @bad;
}

sub tail {
    my ($file) = @_;
    my @lines = split /^/, slurp($file) // '';
    return @lines > 20 ? @lines[-20 .. -1] : @lines;
}

END {
    if (defined $owner && $owner == $$) {
        my $status = $?;
        $SIG{$_} = 'IGNORE' for qw(INT TERM HUP PIPE);
        my @bad = eval { aftermath() };
        push @bad, $@ if $@;
        print STDERR "httpd is not well, see $work/t/logs/error_log and $work/upstream/error_log:\n", @bad if @bad;
        print STDERR "httpd did not start. The end of its error log:\n", tail("$work/t/logs/error_log") if $tried && !$httpd;
        $? = $status || (@bad ? 1 : 0);
    }
}

1;
