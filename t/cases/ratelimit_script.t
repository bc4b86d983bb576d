# What Redis does for limits (modules/ratelimit/limit.lua), alone: it counts as the library does, to the microsecond; what is held open is given back once; nothing is left.
# Its clock is the test's: the call of TIME is taken out of the script.
# any MPM
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use IPC::Open2 qw(open2);
use AIGW::Redis;
use AIGW::Services qw(slurp);

use constant { SEC => 1_000_000, LEASE => 60_000_000, T0 => 1_800_000_000_000_000 };

plan tests => 2 + 8 * 2 + 9 + 10 + 9 + 8, sub { AIGW::Redis->available };
my $redis = AIGW::Redis->new;

my $script = slurp("$ENV{AIGW_SRC}/../modules/ratelimit/limit.lua");
ok $script =~ s/redis\.call\('TIME'\)/{ARGV[#ARGV - 1], ARGV[#ARGV]}/, 'the clock of the script is ours';
# keys expire by Redis's own clock
ok $script =~ s/^local GRACE = 1000\b/local GRACE = 3600000/m, '… and its keys stay';
my $sha = $redis->cmd('SCRIPT', 'LOAD', $script);

# ------------------------------------------------------------------ the library

my $library = open2(my $from, my $to, "$ENV{AIGW_BUILD}/aigw-rate");
sub lib { print {$to} "@_\n"; $to->flush; my $line = <$from> // die "aigw-rate has ended\n"; return split ' ', $line }

# ------------------------------------------------------------------ the script

my $now = T0;
sub keys_of { return map { ("{t}:l:$_", "{t}:h:$_") } @_ }
sub run { my ($keys, @argv) = @_; return $redis->cmd('EVALSHA', $sha, scalar @$keys, @$keys, @argv, int $now / SEC, $now % SEC) }

# A limit: key, kind (w, b, s), amount, window, burst
sub limit {
    my ($key, $kind, $amount, $window, $burst) = @_;
    my ($slice) = $kind eq 's' ? 0 : lib(rate => $kind, $amount, $window, $burst // $amount);
    my @rate = $kind eq 'b' ? lib(time => $burst // $amount) : ($amount, $slice);
    return { key => $key, kind => $kind, amount => $amount, burst => $burst // $amount, rate => \@rate };
}
sub pair { my ($l, $n) = @_; return $l->{kind} eq 'b' ? lib(time => $n) : ($n, 0) }

sub decide {
    my ($id, @asked) = @_;    # [limit, cost, soft]
    my @argv = map {
        my ($l, $cost, $soft) = @$_;
        my $fits = $l->{kind} ne 'b' || $cost <= $l->{burst};
        ($l->{kind}, $soft ? 1 : 0, 1, @{ $l->{rate} }, pair($l, $fits ? $cost : $l->{burst}), $fits ? 1 : 0);
    } @asked;
    my ($at, $yes, @values) = @{ run([keys_of(map { $_->[0]{key} } @asked)], 'decide', $id, LEASE, @argv) };
    die "it is $at\n" if $at != $now;
    my @said;
    for my $asked (@asked) {
        my ($enough, $x, $y, $wait, $reset) = splice @values, 0, 5;
        my ($left) = $asked->[0]{kind} eq 'b' ? lib(level => $x, $y) : $x;
        push @said, { enough => $enough, left => $left, wait => $wait, reset => $reset };
    }
    return ($yes, @said);
}

# What was charged at that time, and what was used in the end. id '': nothing was held.
sub settle {
    my ($l, $id, $at, $cost, $actual, $maybe) = @_;
    my $more = $actual - $cost;
    my $member = $id eq '' || $l->{kind} eq 's' ? $id : join ':', $id, $at, pair($l, $cost);
    return run([keys_of($l->{key})], 'settle', $l->{kind}, @{ $l->{rate} }, $member, $at, pair($l, $more > 0 ? $more : 0), pair($l, $more < 0 ? -$more : 0), pair($l, $actual), $maybe ? 1 : 0);
}

sub renew { my ($l, $id, $at, $cost) = @_; return run(['{t}:' . ($l->{kind} eq 's' ? 'l' : 'h') . ":$l->{key}"], 'renew', LEASE, $l->{kind}, $l->{kind} eq 's' ? $id : join ':', $id, $at, pair($l, $cost)) }
sub left { my ($l) = @_; my (undef, $said) = decide('', [$l, 0]); return $said->{left} }
sub nothing_left { my ($why) = @_; return is_deeply $redis->cmd('KEYS', '*'), [], $why }

# ------------------------------------------------------------------ it counts as the library does

my $seed = $ENV{AIGW_SEED} || time ^ $$;
srand $seed;
diag "AIGW_SEED=$seed" if $ENV{AIGW_SEED};
my $number = 0;

sub some { my ($n) = @_; return int rand $n }

# A walk of random steps: the clock goes, stands, jumps, steps back; costs are small, exact or too much; some is given back. Returns where they differ, and how often there was enough.
sub walk {
    my ($kind, $amount, $window, $burst, $steps) = @_;
    my ($most, $yes, @taken) = ($burst // $amount, 0);
    my $l = limit('walk' . $number++, $kind, $amount, $window, $burst);
    $now = T0 + some(1e12);
    for my $step (1 .. $steps) {
        my $kind_of_step = some(12);
        $now += $kind_of_step < 3 ? 0 : $kind_of_step < 6 ? some(10) : $kind_of_step < 9 ? some($window / 12) : $kind_of_step == 9 ? some($window * 1.5) : $kind_of_step == 10 ? -some($window / 5) : int $window / 15;
        my $cost = (0, 1, 1, some($most) + 1, some($most / 10) + 1, some($most / 100) + 1, $most, $most + 1)[some(8)];
        my @was = lib(ask => $now, $cost);
        my ($charged, $said) = decide('', [$l, $cost]);
        my $enough = $was[0] >= $cost ? 1 : 0;
        $yes += $enough;
        if ($enough && $cost) { # what costs nothing changes nothing: of a clock that has stepped back neither
            lib(take => $now, $cost);
            push @taken, [$now, $cost];
        }
        my @is = lib(ask => $now, $cost);
        my $expected = "$enough $is[0] $was[1] $is[2]";
        my $got = "$said->{enough} $said->{left} $said->{wait} $said->{reset}";
        return "seed $seed, step $step of $kind $amount/$window: at $now for $cost: $got instead of $expected" if $got ne $expected || $charged != $enough;
        next if !@taken || some(3);
        my ($at, $was_cost) = @{ splice @taken, some(scalar @taken), 1 };
        my $actual = (0, $was_cost, some($was_cost), $was_cost + some($most / 10) + 1)[some(4)];
        $actual > $was_cost ? lib(take => $now, $actual - $was_cost) : lib(give => $now, $at, $was_cost - $actual);
        settle($l, '', $at, $was_cost, $actual);
    }
    return ('', $yes);
}

for (['w', 60, 60 * SEC], ['w', 1e12, 31 * 86_400 * SEC], ['w', 7, SEC], ['w', 123_456_789, 3600 * SEC],
    ['b', 60, 60 * SEC, 10], ['b', 1e12, 31 * 86_400 * SEC, 1e12], ['b', 7, SEC, 3], ['b', 999_999_999_989, 3600 * SEC, 1_000_003]) {
    my ($kind, @rate) = @$_;
    my ($different, $yes) = walk($kind, @rate[0, 1], $rate[2] // $rate[0], 400);
    is $different, '', "400 random steps of $kind @rate: as the library says";
    cmp_ok $yes, '>', 40, '… and often there was enough';
}
$redis->cmd('FLUSHALL');

# ------------------------------------------------------------------ all or nothing

$now = T0;
my @two = (limit('a', 'w', 5, 60 * SEC), limit('b', 'b', 2, 60 * SEC, 2));
my $slots = limit('s', 's', 2);
my @yes = map { (decide("x$_", [$two[0], 1], [$two[1], 1], [$slots, 1]))[0] } 1 .. 3;
is "@yes", '1 1 0', 'three limits in one step';
is left($two[0]), 3, 'the one that refuses charges no other';
my ($yes, @said) = decide('x4', [$two[0], 1], [$two[1], 1, 1]);
is "$yes $said[0]{enough} $said[1]{enough}", '1 1 0', 'a dry run does not refuse';
is left($two[0]) . left($two[1]), '20', '… and what is not there is not charged';
($yes, @said) = decide('x5', [$two[0], 3], [$slots, 1, 1]);
is "$yes $said[0]{enough} $said[1]{enough}", '0 0 0', 'it does not help others either';
is $redis->cmd('ZCARD', '{t}:l:s'), 2, 'two slots are taken';
settle($slots, "x$_", 0, 1, 0) for 1, 2, 2;
is $redis->cmd('EXISTS', '{t}:l:s'), 0, '… and given back, which a second time does no harm';
cmp_ok $_, '>', 0, 'what is kept expires' for map { $redis->cmd('PTTL', $_) } @{ $redis->cmd('KEYS', '*') }[0 .. 2];
$redis->cmd('FLUSHALL');

# ------------------------------------------------------------------ reservations

for my $l (limit('t', 'w', 100, 60 * SEC), limit('t', 'b', 100, 86_400 * SEC, 100)) {
    $now = T0;
    my $at = $now;
    decide($_, [$l, 40]) for 'one', 'two';
    is((decide('three', [$l, 40]))[0], 0, "$l->{kind}: two of 40 fit into 100, three do not");
    settle($l, 'one', $at, 40, 10);
    is left($l), 50, '… what was not used is given back';
    settle($l, 'two', $at, 40, 55);
    is left($l), 35, '… and what was used beyond is charged';
    $now += $l->{kind} eq 'w' ? 120 * SEC : 86_400 * SEC;
    is left($l), 100, '… until its time is over';
    is $redis->cmd('EXISTS', '{t}:h:t'), 0, '… and no reservation is left';
    $redis->cmd('DEL', '{t}:l:t');
}

# ------------------------------------------------------------------ leases

{
    my $l = limit('l', 'w', 100, 3600 * SEC);
    my $at = $now = T0;
    decide($_, [$l, 40]) for 'lost', 'kept';
    $now += LEASE / 2;
    is renew($l, 'kept', $at, 40), 1, 'one is renewed';
    $now += LEASE / 2;
    is left($l), 60, 'the other one, after its lease, is given back by whoever asks';
    $now += 1;
    is left($l), 60, '… once';
    is renew($l, 'lost', $at, 40), 0, '… and cannot be renewed';
    settle($l, 'lost', $at, 40, 15);
    is left($l), 45, 'if it was used all the same, that is charged';
    settle($l, 'lost', $at, 40, 15, 1);
    is left($l), 45, '… but not where it may have been before';
    settle($l, 'kept', $at, 40, 0, 1);
    is left($l), 85, 'which does not keep it from being given back';
    is $redis->cmd('EXISTS', '{t}:h:l'), 0, 'no reservation is left';
    cmp_ok $redis->cmd('PTTL', '{t}:l:l'), '>', 0, 'the counter expires';
}
$redis->cmd('FLUSHALL');
{
    $now = T0;
    my $three = limit('c', 's', 3);
    is join('', map { (decide("c$_", [$three, 1]))[0] } 1 .. 4), '1110', 'three slots';
    $now += LEASE - 1;
    renew($three, 'c1');
    is((decide('c5', [$three, 1]))[0], 0, 'just before the lease they are taken');
    $now += 1;
    is join('', map { (decide("d$_", [$three, 1]))[0] } 1 .. 3), '110', 'then those that were not renewed are free';
    settle($three, $_, 0, 1, 0) for qw(c1 c2 d1 d2);
    nothing_left('nothing is left of them');
    renew($three, 'c9');
    is $redis->cmd('ZCARD', '{t}:l:c'), 1, 'a slot that Redis has lost comes back: it is in use';
    cmp_ok $redis->cmd('PTTL', '{t}:l:c'), '>', 0, '… for a while';
    settle($three, 'c9', 0, 1, 0);
    nothing_left('nothing is left');
}
close $to;
waitpid $library, 0;
