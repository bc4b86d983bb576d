# AIGWParkAfter: an upstream that usually answers sooner is waited for by the worker; all else is parked.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(time);
use AIGW::Client qw(chat get);
use AIGW::Log;
use AIGW::Raw;

my $event = Apache::Test::have_module('mpm_event');
my $port  = Apache::Test::vars('port');
plan tests => 18, need_module('mod_aigw');

sub ask {
    my ($scenario, %o) = @_;
    my $tag = tag();
    my $r = chat('prompt', 'x', port => $port, path => $o{path} // '/prompt/v1/chat/completions', stream => $o{stream}, more => { scenario => $scenario, tag => $tag },
        headers => { 'X-Request-ID' => $tag });
    return ($r, access_wait($tag)->{mode});
}
my $parked = $event ? 'parked' : 'blocking';
my $prompt = $event ? 'prompt' : 'blocking';

my ($r, $mode) = ask('ok');
is $r->{status}, 200, 'the first answer';
is $mode, $parked, '… is parked: nothing is known of this upstream yet';
my %modes;
for (1 .. 20) {
    ($r, $mode) = ask('ok');
    $modes{$mode}++;
}
is $r->{status}, 200, 'once it is known to be fast';
is_deeply [keys %modes], [$prompt], '… its answers are waited for';
($r, $mode) = ask('ok', stream => 1);
is(($r->data)[-1], '[DONE]', 'a stream');
is $mode, $parked, '… is parked all the same';
($r, $mode) = ask('status:500');
is $r->{status}, 500, 'an error of the upstream';
is $mode, $prompt, '… is waited for too';

# slower than it usually is
($r, $mode) = ask('ttft:1000', path => '/prompt/soon/v1/chat/completions');
is $r->{status}, 200, 'an answer that comes late';
is $mode, $parked, '… has been parked meanwhile';

# The client that leaves is noticed while a worker waits.
{
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => '/prompt/v1/chat/completions', headers => { 'X-Request-ID' => $tag },
        json => { model => 'prompt', scenario => 'silent', tag => $tag, messages => [{ role => 'user', content => 'x' }] });
    ok raw_wait('request', tag => $tag), 'the question has arrived';
    $c->close;
    ok raw_wait('closed', tag => $tag, timeout => 20), '… and the upstream hears that nobody waits for its answer';
    is access_wait($tag)->{aborted}, 'X', '… as the log does';
}

# What it says is no answer: as elsewhere.
expect_log(qr/AIGW0184: .*model prompt/);
($r, $mode) = ask('garbage-json');
is $r->{status}, 502, 'an answer that is none';
is $mode, $prompt, '… while it is waited for';
($r, $mode) = ask('ok');
is $r->{status}, 200, 'and the next answer';
is $mode, $prompt, '… is as before';
log_clean();
