package AIGW::Memcheck;
# What valgrind's memcheck has to say of us in its log files memcheck.PID.
use strict;
use warnings FATAL => 'all';
use AIGW::Services qw(slurp);

# (processes that were watched to their end, reports with a frame of ours …)
sub reports {
    my ($folder) = @_;
    my ($ended, @ours) = (0);
    for my $file (glob "$folder/memcheck.*") {
        my $text = (slurp($file) // '') =~ s/^==\d+== ?//gmr;
        push @ours, grep { /^(?:Invalid|Conditional|Use of|Syscall param|Mismatched|Source and|Process terminating|[\d,() a-z]*bytes in [\d,]+ blocks are definitely lost)/
            && /mod_aigw|aigw_|Process terminating/ } split /\n\s*\n/, $text;
        $ended++ if $text =~ /ERROR SUMMARY/;
    }
    return ($ended, @ours);
}

# Says it; the status to end with.
sub judge {
    my ($folder) = @_;
    my ($ended, @ours) = reports($folder);
    print map({ "$_\n\n" } @ours), "memcheck: $ended processes, ", scalar(@ours), " reports of ours\n";
    return $ended && !@ours ? 0 : 1;
}

1;
