package AIGW::Log;
# The error logs of the gateway and of the upstream httpd. A line of level error or worse of our modules, a crash, a failed assertion and a
# sanitizer's report fail the test that was running, and the run, unless the test said that it would provoke it:
#
#   use AIGW::Log;                                  # the log is looked at from here on
#   expect_log(qr/AIGW0173: .* model dead/);        # any number of such lines, until this test ends
#   ...
#   my $line = log_wait(qr/AIGW0173/);              # waits for it: the log is written after the client has its answer
#   my $line = access_wait($request_id);            # the same for the access log: { id, status, mode, finish, … }
#   log_clean();                                    # the last test: nothing unexpected was logged. Counts in the plan
#
# Tests may run side by side, in one log: what one expects does not fail another.
use strict;
use warnings FATAL => 'all';
use Carp qw(croak);
use File::Basename qw(basename);
use File::Path qw(make_path);
use JSON::PP ();
use Test::Builder ();
use Time::HiRes qw(sleep time);
use base 'Exporter';
our @EXPORT = qw(access_wait expect_log log_clean log_lines log_wait);

my $BAD = qr{
      AH0005[012] | AH0004[67] | exit[ ]signal             # httpd's on crashes, and on children that had to be killed
    | \w+Sanitizer | runtime[ ]error:
    | \b[Aa]ssertion\b .* \bfailed | \bAssertion\b
    | double[ ]free | \b(?:free|malloc|realloc|munmap_chunk)\(\):[ ] | corrupted[ ] | stack[ ]smashing | buffer[ ]overflow[ ]detected
}x;
my $ERROR = qr/\[aigw\w*:(?:error|crit|alert|emerg)\]/;

# Apache::Test has what a failed test says written to its TAP stream, where only -verbose shows it.
{
    my $diag = Test::Builder->can('diag');
    no warnings 'redefine';
    *Test::Builder::diag = sub { $_[0]->failure_output(\*STDERR); goto &$diag };
}

my $json = JSON::PP->new->canonical;
my (%file, $folder, $record);

sub size { my ($name) = @_; return -s $file{$name} // 0 }

# Under t/TEST; a test that is only compiled has no log.
sub begin {
    $folder = $ENV{AIGW_LOGS} or return;
    %file = (gateway => "$folder/error_log", upstream => $ENV{AIGW_UPSTREAM_ERROR_LOG});
    make_path("$folder/expected");
    $record = { test => basename($0), begin => { map { $_ => size($_) } keys %file }, end => {}, expect => [] };
    save();
    return;
}

sub save {
    my $to = "$folder/expected/$record->{test}.$$";
    open my $fh, '>', "$to.new" or die "$to.new: $!\n";
    print $fh $json->encode($record);
    close $fh or die "$to.new: $!\n";
    rename "$to.new", $to or die "$to: $!\n";
    return;
}

sub records {
    my ($where) = @_;
    my $read = sub { open my $fh, '<', $_[0] or die "$_[0]: $!\n"; local $/; return $json->decode(scalar <$fh>) };
    return map { $read->($_) } grep { !/\.new\z/ } glob "$where/expected/*";
}

sub expect_log {
    push @{ $record->{expect} }, map { ref $_ ? "$_" : quotemeta $_ } @_ if $record;
    save() if $record;
    return;
}

# ------------------------------------------------------------------ what must not be there

# A test answers for what is logged from its begin until the next one's begin after its end: a line may be late.
sub answers_for {
    my ($r, $name, $offset, @all) = @_;
    return 0 if $offset < $r->{begin}{$name};
    my $end = $r->{end}{$name} // return 1;
    my ($next) = sort { $a <=> $b } grep { $_ >= $end } map { $_->{begin}{$name} } grep { $_->{test} ne $r->{test} } @all;
    return !defined $next || $offset < $next;
}

# The lines of a log from an offset that are wrong and that nobody expects.
sub unexpected {
    my ($name, $path, $from, @records) = @_;
    open my $fh, '<', $path or return;
    seek $fh, $from, 0;
    my @bad;
    for (my $offset = $from; defined(my $line = <$fh>); $offset = tell $fh) {
        next unless $line =~ $BAD || $line =~ $ERROR;
        my @expected = map { @{ $_->{expect} } } grep { answers_for($_, $name, $offset, @records) } @records;
        push @bad, $line unless grep { $line =~ /$_/ } @expected;
    }
    return @bad;
}

# Everything that is wrong in the logs of a whole run: for the driver. $folder: of the expectations; %files: gateway and upstream => path
sub scan_run {
    my ($where, %files) = @_;
    my @records = records($where);
    return map { my $name = $_; map { "$name: $_" } unexpected($name, $files{$name}, 0, @records) } sort keys %files;
}

sub log_clean {
    my ($title) = @_;
    my $test = Test::Builder->new;
    return $test->skip('not run by t/TEST: no log') unless $record;
    my @records = records($folder);
    my @bad = map { my $name = $_; map { "$name: $_" } unexpected($name, $file{$name}, $record->{begin}{$name}, @records) } sort keys %file;
    finish();
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $test->ok(!@bad, $title || 'nothing unexpected in the error logs') || $test->diag(@bad);
}

sub finish {
    return if !$record || %{ $record->{end} };
    $record->{end} = { map { $_ => size($_) } keys %file };
    return save();
}

# ------------------------------------------------------------------ what must be there

# The lines since this test began: of the gateway, or of the "upstream".
sub log_lines {
    my ($pattern, $name) = @_;
    $name ||= 'gateway';
    open my $fh, '<', $file{$name} or return;
    seek $fh, $record->{begin}{$name}, 0;
    return grep { !$pattern || /$pattern/ } <$fh>;
}

# A file has no event to wait for: it is looked at again until the deadline.
sub poll_for {
    my ($what, $timeout, $look) = @_;
    my $until = time + ($timeout || 10);
    while (1) {
        my $found = $look->();
        return $found if defined $found;
        croak "not logged in time: $what" if time >= $until;
        sleep 0.01;
    }
}

sub log_wait {
    my ($pattern, %o) = @_;
    return poll_for($pattern, $o{timeout}, sub { return (log_lines($pattern, $o{log}))[0] });
}

# The access log's line (LogFormat aigw_test in httpd.conf.in) of a request that had this X-Request-ID; a field that has no value is undef.
sub access_wait {
    my ($id, %o) = @_;
    return poll_for("access log, request $id", $o{timeout}, sub {
        open my $fh, '<', "$folder/access_log" or return undef;
        my ($line) = grep { /\bid=\Q$id\E / } <$fh>;
        return undef unless defined $line;
        my %field = $line =~ /(\w+)=("[^"]*"|\S*)/g;
        return { line => $line, map { $_ => $field{$_} eq '-' ? undef : $field{$_} } keys %field };
    });
}

begin();
my $pid = $$;
END { finish() if defined $pid && $$ == $pid }

1;
