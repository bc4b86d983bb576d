package AIGW::Stress;
# What t/tools/stress.pl and t/tools/stress-tasks.pl have in common: a gateway under a tool that looks for mistakes in the use of memory or of threads, clients each sort in a
# process of its own, checks, and what the tool had to say in the end.
#
#   options('stress.pl');                    # %o: tree, tool, load, out, size, and what else the program takes
#   my $services = surroundings();           # certificates, the raw upstream, the folder for reports
#   my $s = gateway(); $s->configure(...); $s->start;
#   group('title', sub { ...; return @what_is_wrong });  join_groups();
#   ok($good, 'title', @why);
#   beside(one => sub { ... }, other => sub { ... });   # whole runs at the same time, with gateways and groups of their own
#   exit judge();                            # the tool's reports; the status
use strict;
use warnings FATAL => 'all';
use FindBin ();
use File::Path qw(make_path remove_tree);
use Getopt::Long qw(GetOptions);
use POSIX ();
use Time::HiRes qw(time);
use AIGW::Client ();
use AIGW::Memcheck ();
use AIGW::Server ();
use AIGW::Services qw(slurp spew);
use base 'Exporter';
our @EXPORT = qw(%o $PATIENCE ok options sized said surroundings ends_with_us start_model gateway model $ONE_CHILD race group join_groups beside load judge);

our (%o, $PATIENCE);

# Of what configures a gateway: threads enough, in one child at a time, which has room for many clients.
our $ONE_CHILD = <<'CONF';
StartServers 1
ServerLimit 4
ThreadLimit 16
ThreadsPerChild 16
MinSpareThreads 1
MaxSpareThreads 16
MaxRequestWorkers 16
AsyncRequestWorkerFactor 200
ListenBacklog 1024
CONF
sub model { my ($name, $upstream) = @_; return "<AIGWModel $name>\nAIGWUpstream $upstream\n</AIGWModel>\n" }

my ($checks, $bad) = (0, 0);
my $main  = $$;
my $began = time;

sub options {
    my ($program, @more) = @_;
    %o = (tool => 'none', size => 1);
    GetOptions(\%o, qw(tree=s tool=s load=s out=s size=f), @more) && !@ARGV && $o{tree} && $o{tool} =~ /\A(?:tsan|memcheck|none)\z/
        or die "usage: $program --tree BUILD --tool tsan|memcheck|none [--load AIGW-LOAD] [--out FOLDER] [--size 1.0]\n";
    $o{load} ||= "$o{tree}/bench/aigw-load";
    $o{out}  ||= "$o{tree}/t/stress-$o{tool}";
    $PATIENCE = 30 * { none => 1, tsan => 4, memcheck => 10 }->{ $o{tool} };    # times as long as usual may everything take
    $| = 1;
    $SIG{$_} = sub { POSIX::_exit(1) if $$ != $main; exit 1 } for qw(INT TERM HUP);    # the servers are stopped
    return;
}

sub ok {
    my ($good, $title, @why) = @_;
    $checks++;
    $bad++ unless $good;
    print $good ? 'ok' : 'not ok', " $checks - $title\n", $good ? () : map { "#   $_\n" } map { split /\n/ } @why;
    return $good;
}

sub sized { my ($n) = @_; my $m = int $n * $o{size}; return $m > 1 ? $m : 1 }
sub said { printf "# %5.1f s: %s\n", time - $began, shift; return }

# ------------------------------------------------------------------ what runs

my ($httpd, $cc, $apr, $services, %tool);

sub surroundings {
    remove_tree($o{out});
    make_path($o{out});
    chmod 0755, $o{out};
    mkdir "$o{out}/reports";
    chmod 01777, "$o{out}/reports";    # children run as nobody
    ($httpd, $cc, $apr) = map { my $name = $_; (slurp("$o{tree}/t/Makefile") // die "$o{tree} is not built\n") =~ /^$name = (.*)$/m } qw(HTTPD CC APR_CFLAGS);
    $services = bless { work => $o{out}, src => "$FindBin::RealBin/..", lifeline => 1, run => {}, vars => {}, state => "$o{out}/services.json" }, 'AIGW::Services';
    make_path("$o{out}/upstream", "$o{out}/tls");
    $services->make_certificates;
    $services->start_raw;
    %tool = make_tool();
    @ENV{qw(AIGW_RAW_PORT AIGW_TEST_CA AIGW_BUILD AIGW_KEEP)} = ($services->{vars}{raw_port}, "$services->{vars}{tls_dir}/ca.pem", "$o{tree}/t", 1);
    return $services;
}

# Processes that end with this one, however it ends.
my (@with_us, @held);
sub ends_with_us { push @with_us, @_; return 1 }
END { local $?; kill 'TERM', @with_us if $$ == $main }

# A model server: its port.
sub start_model {
    my $pid = open(my $says, '-|', $o{load} =~ s/aigw-load\z/aigw-model/r, '--tokens', 5, '--rate', 200) or die "aigw-model: $!\n";
    my ($port) = (<$says> // '') =~ /(\d+)/ or die "aigw-model says no port\n";
    push @held, $says;
    ends_with_us($pid);
    return $port;
}

# How httpd is started: the environment, and what comes before it. Made once: who built it anew would take it from under those that run.
sub make_tool {
    return (env => {}) if $o{tool} eq 'none';
    if ($o{tool} eq 'memcheck') {
        my @options = qw(--tool=memcheck --trace-children=yes --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=none --num-callers=40 --undef-value-errors=yes
            --keep-debuginfo=yes --child-silent-after-fork=no);
        return (env => {}, wrap => ['valgrind', @options, "--log-file=$o{out}/reports/memcheck.%p"]);
    }
    chomp(my $library = `$cc -print-file-name=libtsan.so`);
    my $shim = "$o{out}/tsan_apr.so";
    system("$cc -std=gnu11 -O1 -g -fPIC -shared -fsanitize=thread $apr -o '$shim' '$FindBin::RealBin/tsan_apr.c'") == 0 or die "tsan_apr.c cannot be built\n";
    chmod 0755, $shim;
    my $options = "log_path=$o{out}/reports/tsan exitcode=0 die_after_fork=0 history_size=7 second_deadlock_stack=1 atexit_sleep_ms=20";
    my @random = system('setarch -R true 2>/dev/null') == 0 ? ('setarch', '-R') : ();    # more random addresses than its shadow has room for
    return (wrap => [@random, 'env', "LD_PRELOAD=$library $shim", "TSAN_OPTIONS=$options"]);
}

# On event, under the tool; to be configured and started.
sub gateway {
    my (%more) = @_;
    my %vars = (t_logs => $o{out}, httpd => $httpd, tls_dir => $services->{vars}{tls_dir});
    return AIGW::Server->new(vars => \%vars, mpm => 'event', start => $PATIENCE, stopped => 1, conf => '', %tool, %more);
}

# Two of its threads do what they must not, so that it is seen that the tool looks: the gateway needs SetHandler aigw-test-race at /test/race.
my $races = 0;

sub race {
    my ($s) = @_;
    return 1 if $o{tool} ne 'tsan';
    $races++;
    return AIGW::Client::get('/test/race', port => $s->{port}, timeout => $PATIENCE)->{content} eq "raced\n";
}

# ------------------------------------------------------------------ clients, each sort in a process of its own

my @groups;

# Runs the sub in a child; it returns or dies, with what is wrong.
sub group {
    my ($title, $sub) = @_;
    my $file = "$o{out}/" . ($title =~ s/\W+/-/gr) . '.wrong';
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        my @wrong = eval { $sub->() };
        push @wrong, $@ if $@;
        spew($file, join "\n", grep { length } @wrong);
        POSIX::_exit(0);
    }
    push @groups, { title => $title, pid => $pid, file => $file };
    return;
}

sub join_groups {
    for my $g (splice @groups) {
        waitpid $g->{pid}, 0;
        my $wrong = $? ? "ended with status $?" : slurp($g->{file}) // 'said nothing';
        ok(!length $wrong, $g->{title}, substr $wrong, 0, 2000);
    }
    return;
}

# Whole runs at the same time, each in a process of its own; their checks are counted here.
sub beside {
    my (@runs) = @_;
    my @beside;
    while (my ($name, $sub) = splice @runs, 0, 2) {
        my $file = "$o{out}/$name.run";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            open STDOUT, '>', $file or POSIX::_exit(1);
            $checks = $races = 0;
            srand;    # or all of them look for free ports in the same order
            eval { $sub->(); 1 } or ok(0, "$name: it goes to its end", $@);
            print "races: $races\n";
            close STDOUT;
            POSIX::_exit(0);
        }
        push @beside, { name => $name, pid => $pid, file => $file };
    }
    for my $b (@beside) {
        waitpid $b->{pid}, 0;
        my $ended;
        for (split /\n/, slurp($b->{file}) // '') {
            if    (/\A((?:not )?ok) \d+ - (.*)/) { ok($1 eq 'ok', $2) }
            elsif (/\Araces: (\d+)/) { $races += $1; $ended = 1 }
            else                     { print "$_\n" }
        }
        ok(0, "$b->{name}: it goes to its end", "status $?") unless $ended;
    }
    return;
}

sub load {
    my (@options) = @_;
    my $pid = open my $says, '-|', $o{load}, '--timeout', $PATIENCE, @options or die "aigw-load: $!\n";
    my $json = do { local $/; <$says> };
    close $says;
    return $? ? ($json // '') : ();
}

# ------------------------------------------------------------------ what the tool says

# OpenSSL publishes what it has worked out with atomic operations that are not seen: a race of which both sides are in its own code. Who called it does not matter.
sub openssl_own {
    my ($report) = @_;
    my @sides = $report =~ /^  (?:Previous )?(?:atomic )?(?:read|write) of size .*\n((?:    #\d.*\n)+)/gim;
    return @sides == 2 && !grep { (grep { !/\(libtsan/ } split /\n/)[0] !~ /\(lib(?:crypto|ssl)\./ } @sides;
}

# Without where mutexes were made that one of the two had meanwhile: a child's main thread has one of ours for life (aigw_owners.h), whatever of httpd's it is about.
sub without_births { my ($report) = @_; return $report =~ s/^ *Mutex \S+ \(\S+\) created at:\n(?: +#.*\n)*//gmr }

# The tool's reports that have a frame in one of these objects: (of the deliberate race, of ours)
sub reports {
    my (@ours, $deliberate);
    if ($o{tool} eq 'tsan') {
        for my $file (glob "$o{out}/reports/tsan.*") {
            for my $report (split /^={18}\n/m, slurp($file) // '') {
                next unless $report =~ /WARNING: ThreadSanitizer|FATAL: ThreadSanitizer|ERROR: ThreadSanitizer/;
                if    ($report =~ /race_number|race_second|run_race/) { $deliberate++ }
                elsif (without_births($report) =~ /mod_aigw|FATAL|ERROR/ && !openssl_own($report)) { push @ours, $report }
            }
        }
    }
    ($deliberate, @ours) = AIGW::Memcheck::reports("$o{out}/reports") if $o{tool} eq 'memcheck';
    return ($deliberate || 0, @ours);
}

sub judge {
    my ($seen, @ours) = reports();
    ok($seen >= ($o{tool} eq 'tsan' ? $races : 1), "the tool was at work: $seen", 'it has not seen the deliberate race, or said nothing at all') unless $o{tool} eq 'none';
    ok(!@ours, 'the tool has nothing to say about ours', scalar(@ours) . " reports, in $o{out}/reports", $ours[0] // '');
    $services->stop;
    print "checks: $checks\n";
    print "failed: $bad\n" if $bad;
    return $bad ? 1 : 0;
}

1;
