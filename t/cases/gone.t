# A client that goes away: the upstream sees its connection closed at once, in every phase, parked and blocking; unless the upstream's policy is to drain.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use List::Util qw(min);
use Time::HiRes qw(time);
use AIGW::Client qw(chat);
use AIGW::Log;
use AIGW::Raw;

my $port = Apache::Test::vars('port');
my $tls  = AIGW::Client::have_tls();
my @where  = ('', '/block');
my @phases = (
    # name, scenario, stream, what the client waits for before it leaves
    ['before the first token', 'silent',     1, 'request'],
    ['after the head',         'stall:0',    1, 'request'],
    ['in mid-stream',          'stall:3',    1, 'event'],
    ['without a stream',       'silent',     0, 'request'],
    ['in a flood',             'endless',    1, 'event'],
);
my @ways = ('fin', 'rst', 'fin behind a pipelined request');
plan tests => @where * (@phases * @ways * 3 + ($tls ? 4 : 0)) + @where * 9 + @where * ($tls ? 2 : 1) * 2 + 1, need_module('mod_aigw');

# A request that is under way; the client and its tag.
sub open_request {
    my ($path, $model, $scenario, $stream, %o) = @_;
    my $tag = tag();
    my $c = AIGW::Client->new(port => $o{port} || $port, tls => $o{tls}, rcvbuf => $o{rcvbuf});
    $c->request(POST => "$path/v1/chat/completions", headers => { 'X-Request-ID' => $tag },
        json => { model => $model, scenario => $scenario, tag => $tag, stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'hello' }] });
    raw_wait('request', tag => $tag);
    return ($c, $tag);
}

sub leave {
    my ($c, $how) = @_;
    $c->send_raw("GET /static.txt HTTP/1.1\r\nHost: x\r\n\r\n") if $how =~ /pipelined/;
    $how eq 'rst' ? $c->rst : $c->close;
    return time;
}

# Seconds from the client's leaving to the upstream's seeing it; the best of a few tries, for the machine is not ours alone.
sub seen_after {
    my ($path, $scenario, $stream, $for, $how, %o) = @_;
    my ($best, $tag) = (99);
    for my $try (1 .. 5) {
        (my $c, $tag) = open_request($path, 'raw', $scenario, $stream, %o);
        if ($for eq 'event') { $c->head; $c->event for 1 .. 3 }
        my $left = leave($c, $how);
        my $after = raw_wait('closed', tag => $tag)->{t} - $left;
        $best = min($best, $after);
        last if $best < 0.05;
    }
    return ($best, $tag);
}

for my $path (@where) {
    for my $phase (@phases) {
        my ($name, $scenario, $stream, $for) = @$phase;
        for my $how (@ways) {
            my ($after, $tag) = seen_after($path, $scenario, $stream, $for, $how);
            cmp_ok $after, '<', 0.05, sprintf '%s %s, %s: seen upstream after %.1f ms', $path || 'parked', $name, $how, $after * 1000;
            my $logged = access_wait($tag);
            is $logged->{aborted}, 'X', '… and logged as aborted';
            is $logged->{error}, undef, '… which is no error of ours';
        }
    }
    next unless $tls;
    for my $phase (['silent', 'request'], ['stall:3', 'event']) {
        my ($after, $tag) = seen_after($path, $phase->[0], 1, $phase->[1], 'fin', port => Apache::Test::vars('tls_port'), tls => 1);
        cmp_ok $after, '<', 0.05, sprintf '%s TLS %s: seen upstream after %.1f ms', $path || 'parked', $phase->[0], $after * 1000;
        is access_wait($tag)->{aborted}, 'X', '… and logged as aborted';
    }
}

# Drained: the upstream is read to its end, or for as long as was said.
for my $path (@where) {
    my ($c, $tag) = open_request($path, 'raw-drain', 'gate:2', 1);
    $c->head;
    $c->event for 1 .. 2;
    $c->close;
    if (!$path && Apache::Test::have_module('mpm_event')) {
        is access_wait($tag)->{aborted}, 'X', 'drain, parked: the request itself is over at once';
    }
    else {
        pass 'drain, blocking: the request ends with the upstream';
    }
    my $log = raw_log($tag);
    ok !(grep { $_->{event} eq 'closed' } @{ $log->{events} }), "$path drain: the upstream is still connected";
    is raw_go($tag), 1, "$path drain: the upstream goes on";
    my $served = raw_wait('answered', tag => $tag);
    ok $served, "$path drain: … to its end";
    is access_wait($tag)->{finish}, $path || !Apache::Test::have_module('mpm_event') ? 'stop' : undef, "$path drain: what the log knows of it";

    ($c, $tag) = open_request($path, 'raw-drain-1s', 'stall:3', 1);
    $c->head;
    $c->event for 1 .. 3;
    $c->close;
    my $left = time;
    my $after = raw_wait('closed', tag => $tag)->{t} - $left;
    cmp_ok $after, '>', 0.5, sprintf '%s drain:1s: not at once, but after %.2f s', $path, $after;
    cmp_ok $after, '<', 8, "$path drain:1s: and not for ever";
    is chat('echo', 'still alive', port => $port)->text, 'still alive', 'the gateway lives';

    # an error of a call that has a pool of its own: what is sent outlives it
    my $r = chat('raw-drain', 'x', port => $port, path => "$path/v1/chat/completions", stream => 1, more => { scenario => 'rate-limit' });
    is join(' ', $r->{status}, $r->header('Retry-After'), $r->json->{error}{code}), '429 7 rate_limit_exceeded', "$path drain: an upstream's error";
}

# Still there, but takes nothing: after Timeout (2 s there) it is given up. What it holds back does not hold the upstream for ever.
{
    my @deaf = map { my $path = $_; map {
        my $over_tls = $_;
        my $to = Apache::Test::vars($over_tls ? 'impatient_tls_port' : 'impatient_port');
        my ($c, $tag) = open_request($path, 'raw', 'endless', 1, port => $to, tls => $over_tls, rcvbuf => 4096);
        [$path . ($over_tls ? ' TLS' : ''), $c, $tag]
    } 0 .. ($tls ? 1 : 0) } @where;
    for my $deaf (@deaf) {
        my ($name, undef, $tag) = @$deaf;
        ok raw_wait('closed', tag => $tag, timeout => 40), "$name a client that takes nothing is given up";
        is access_wait($tag)->{aborted}, 'X', '… and logged as aborted';
    }
}

log_clean();
