# call_admit and call_settle: once for each call however it ends; and work after the response (AIGWDeferQueue).
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(sleep);
use AIGW::Client qw(chat get);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Server;

my @paths = ('', '/block');
plan tests => @paths * 31 + 26, need_module('mod_aigw', 'mod_aigw_test');
my $port = Apache::Test::vars('port');

sub counts { return get('/test/counts', port => $port)->json }

# What has been counted since, once as many calls as expected are settled: a settlement may come after the client has its answer.
sub since {
    my ($before, $settled) = @_;
    my $now;
    for (1 .. 500) {
        $now = counts();
        last if $now->{settled} - $before->{settled} >= $settled && $now->{deferred} - $before->{deferred} >= $settled;
        sleep 0.01;
    }
    return { map { $_ => $now->{$_} - $before->{$_} } keys %$now };
}

for my $path (@paths) {
    my $at = "$path/v1/chat/completions";
    my @kinds = (
        # name, the request, settled, refused, with error, with usage
        ['a stream',              sub { chat('echo', 'a b', port => $port, path => $at, stream => 1) }, 1, 0, 0, 1],
        ['no stream',             sub { chat('echo', 'a b', port => $port, path => $at) },              1, 0, 0, 1],
        ['an upstream',           sub { chat('up', 'a b', port => $port, path => $at, stream => 1) },   1, 0, 0, 1],
        ['a refused call',        sub { chat('test-refused', 'a', port => $port, path => $at) },        1, 1, 1, 0],
        ['an error at once',      sub { chat('echo-429', 'a', port => $port, path => $at) },            1, 0, 1, 0],
        ['an error in the middle', sub { chat('echo-reset', 'a', port => $port, path => $at, stream => 1) }, 1, 0, 1, 0],
    );
    for my $kind (@kinds) {
        my ($name, $ask, $settled, $refused, $error, $usage) = @$kind;
        my $before = counts();
        $ask->();
        my $got = since($before, $settled);
        is $got->{settled}, $settled, "$path $name: settled once";
        is $got->{refused}, $refused, "$path $name: refused";
        is $got->{settled_error}, $error, "$path $name: with an error";
        is $got->{settled_usage}, $usage, "$path $name: with its usage";
    }
    my $refused = chat('test-refused', 'a', port => $port, path => $at);
    is $refused->{status}, 429, "$path refused: the hook's status";
    is $refused->json->{error}{code}, 'quota_exceeded', "$path refused: its code";
    is $refused->header('Retry-After'), 2, "$path refused: Retry-After is rounded up";
    is $refused->header('retry-after-ms'), 1500, "$path refused: retry-after-ms";
    is $refused->header('x-should-retry'), 'false', "$path refused: x-should-retry";

    my $before = counts();
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $at, json => { model => 'raw', scenario => 'stall:2', tag => $tag, stream => \1, messages => [{ role => 'user', content => 'x' }] });
    $c->head;
    $c->event;
    $c->close;
    my $got = since($before, 1);
    is $got->{settled}, 1, "$path the client left: settled once";
    is $got->{settled_gone}, 1, "$path … and known to have left";
}

# Work after the response: the answer does not wait for it.
sub settled { for (1 .. 1000) { return 1 if counts()->{deferred} >= $_[0]; sleep 0.01 } return 0 }
my $before = counts()->{deferred};
my $said = get('/test/defer?n=1&ms=300', port => $port)->content;
is $said, "taken=1 deferred=$before\n", 'the response is there before the work is done';
ok settled($before + 1), '… which is done after it';

# What a call leaves to be done (here the module's own work at its settlement) comes after its response, whatever holds it up. In one child.
{
    my $s = AIGW::Server->new(conf => "<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\n<Location /defer>\nSetHandler aigw-test-defer\n</Location>\n"
            . "<Location /counts>\nSetHandler aigw-test-counts\n</Location>\n<Location /v1/chat/completions>\nSetHandler aigw-chat-completions\n</Location>\n"
            . (Apache::Test::have_module('mpm_prefork') ? "StartServers 1\nMaxRequestWorkers 1\n" : "StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMaxRequestWorkers 8\nMinSpareThreads 1\nMaxSpareThreads 8\n"));
    my $now = sub { return get('/counts', port => $s->{port})->json };
    like get('/defer?hold=1', port => $s->{port})->content, qr/^taken=1 /, 'work that does not end';
    my $old = $now->();
    is chat('echo', 'hello', port => $s->{port})->text, 'hello', '… holds no response up';
    is chat('echo', 'hello there', port => $s->{port}, stream => 1)->text, 'hello there', '… nor a stream';
    $s->wait_for('the settlements', 30, sub { $now->()->{settled} >= $old->{settled} + 2 });
    is $now->()->{deferred}, $old->{deferred}, '… what these calls leave to be done is not done yet';
    get('/defer?n=0&go=1', port => $s->{port});
    ok $s->wait_for('the work', 30, sub { $now->()->{deferred} >= $old->{deferred} + 3 }), '… and is, afterwards';
    $s->stop;
}

# Bounded: one that is being done and 64 that wait. A server of its own: elsewhere a thousand calls may end at once, and nothing may be lost.
{
    my $s = AIGW::Server->new(conf => "AIGWDeferQueue 64\n<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\n"
            . "<Location /defer>\nSetHandler aigw-test-defer\n</Location>\n"
            . "<Location /v1/chat/completions>\nSetHandler aigw-chat-completions\n</Location>\n");
    my $defer = sub { return get("/defer?$_[0]", port => $s->{port})->content };
    my ($taken) = $defer->('n=200&ms=5') =~ /taken=(\d+)/;
    cmp_ok $taken, '>=', 64, 'a full queue takes what it has room for';
    cmp_ok $taken, '<', 200, '… and no more';
    like $s->log, qr/AIGW0161: .*raise AIGWDeferQueue/, '… and says so, with the remedy';
    is chat('echo', 'hello', port => $s->{port})->text, 'hello', '… and does not hold requests up';
    my $done = 0;
    for (1 .. 1000) {
        $done = () = $s->log =~ /a test job is done/g;
        last if $done >= $taken;
        sleep 0.01;
    }
    cmp_ok $done, '>=', $taken, '… and loses nothing that it took';
    like $defer->('n=3&ms=0'), qr/^taken=3 /, '… and then takes more';
    my $lines = () = $s->log =~ /AIGW0161: /g;
    is $lines, 1, 'one line, not one for each';
    $s->signal('TERM');
    ok $s->wait_end(30), '… and ends';
}
is chat('test', 'x', port => $port)->text, 'third party', "a third party's provider answers a client";

# The work has memory of its own: prefork's pools are for one thread.
{
    my $s = AIGW::Server->new(conf => "<Location /churn>\nSetHandler aigw-test-churn\n</Location>\n");
    is eval { get("/churn$_->[1]", port => $s->{port})->content } // $@, "churned\n", "$_->[0] and a request use memory at the same time"
        for ['work', ''], ["a thread of another module's", '?thread'];
    $s->stop;
    is_deeply [$s->crashes], [], '… and nobody crashed';
}

# And a child that is told to stop in the middle of that does so: prefork's handler of SIGTERM interrupts a thread that may be the one with the memory's lock.
{
    my $s = AIGW::Server->new(conf => "<Location /churn>\nSetHandler aigw-test-churn\n</Location>\n"
            . (Apache::Test::have_module('mpm_prefork') ? "StartServers 12\nMinSpareServers 1\nMaxSpareServers 12\n" : ''));
    my @busy = map { my $c = AIGW::Client->new(port => $s->{port}); $c->request(GET => '/churn'); $c } 1 .. 12;
    sleep 0.1;
    my @old = $s->children;
    $s->signal('TERM');
    cmp_ok eval { $s->wait_gone(20, @old) } // 99, '<', 5, 'a hard stop of children whose memory is in use';
    ok $s->wait_end(30), '… ends them';
}

# A graceful stop does what is queued before the child goes.
my $s = AIGW::Server->new(conf => "<Location /defer>\nSetHandler aigw-test-defer\n</Location>\n");
$said = get('/defer?n=40&ms=20', port => $s->{port})->content;
like $said, qr/^taken=40 /, 'forty jobs are queued';
$s->signal('WINCH');
ok $s->wait_end(30), 'a graceful stop';
is scalar(() = $s->log =~ /a test job is done/g), 40, '… does them all first';
is_deeply [$s->crashes], [], '… and nobody crashed';
log_clean();
