# Open streams when httpd is restarted and stopped: gracefully nothing is lost; otherwise whoever is in the middle of an answer is told.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(time);
use AIGW::Client qw(chat get);
use AIGW::Log;
use AIGW::Many;
use AIGW::Raw;
use AIGW::Server;

my $event = Apache::Test::have_module('mpm_event');
my $n     = $event ? 500 : 20;
plan tests => 34, need_module('mod_aigw');

my $mpm = $event
    ? "ThreadsPerChild 16\nThreadLimit 16\nStartServers 1\nServerLimit 4\nMinSpareThreads 1\nMaxSpareThreads 16\nMaxRequestWorkers 16\nAsyncRequestWorkerFactor 200\n"
    : Apache::Test::have_module('mpm_worker')
    ? "ThreadsPerChild 64\nThreadLimit 64\nStartServers 1\nServerLimit 4\nMaxRequestWorkers 64\nMinSpareThreads 1\nMaxSpareThreads 64\n"
    : "StartServers 4\nServerLimit 64\nMaxRequestWorkers 48\n";

sub conf {
    my ($more) = @_;
    return $mpm . "AIGWDefaultModel raw\n<AIGWModel raw>\nAIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1\n</AIGWModel>\n"
        . "<Location /v1/chat/completions>\nSetHandler aigw-chat-completions\n</Location>\n<Location /v1/models>\nSetHandler aigw-models\n</Location>\n" . ($more // '');
}

sub question { my ($tag) = @_; return { scenario => 'gate:2', tag => $tag, stream => \1, messages => [{ role => 'user', content => 'x' }] } }

my $s = AIGW::Server->new(conf => conf());

# --- a graceful restart, with a new model in the configuration
my @old = $s->children;
my $all = many($n, port => $s->{port}, timeout => 90, json => question('usr1'), when_open => sub {
    $s->configure(conf("<AIGWModel another>\nAIGWUpstream echo\n</AIGWModel>\n"));
    ok $s->signal('USR1'), "graceful restart with $n open streams";
    # the new generation answers while the old one's streams are open
    my ($models, $until) = ('', time + 20);
    until ($models =~ /another/ || time > $until) { $models = eval { get('/v1/models', port => $s->{port}, timeout => 5)->content } // '' }
    like $models, qr/another/, '… the new configuration is in force';
    is chat('another', 'hello', port => $s->{port}, stream => 1)->text, 'hello', '… and answers';
    my @both = $s->children;
    ok scalar(grep { my $o = $_; grep { $_ eq $o } @both } @old), '… while the old children still have their streams';
    raw_go('usr1');
});
is $all->{done}, $n, 'graceful restart: all streams complete';
is $all->{complete}, $n, '… and their responses';
is_deeply $all->{status}, { 200 => $n }, '… with 200';
cmp_ok $s->wait_gone(30, @old), '<', 30, 'the old children go once their streams are over';
is_deeply [$s->crashes], [], 'nobody crashed';
is scalar(() = $s->access =~ m{id=\S+ status=200 error=- aborted=[+-]$}mg), $s->access =~ tr/\n//, 'every request is in the access log, and good';
cmp_ok $s->access =~ tr/\n//, '>=', $n + 2, '… all of them';

# --- a graceful stop
@old = $s->children;
$all = many($n, port => $s->{port}, timeout => 90, json => question('winch'), when_open => sub {
    ok $s->signal('WINCH'), "graceful stop with $n open streams";
    my $until = time + 20;
    1 while IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) && time < $until;
    ok !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}), '… nobody else is let in';
    raw_go('winch');
});
is $all->{done}, $n, 'graceful stop: all streams complete';
is $all->{complete}, $n, '… and their responses';
ok $s->wait_end(30), 'httpd ends';
is_deeply [$s->crashes], [], 'nobody crashed';

# --- a graceful stop that takes too long
$s = AIGW::Server->new(conf => conf("GracefulShutdownTimeout 1\n"));
@old = $s->children;
my $m = $event ? 100 : 10;
$all = many($m, port => $s->{port}, timeout => 60, json => question('late'), when_open => sub { ok $s->signal('WINCH'), "graceful stop, GracefulShutdownTimeout 1 s, $m open streams" });
is $all->{done}, 0, '… which do not end by themselves';
SKIP: {
    skip 'processes without threads are killed by httpd', 2 if Apache::Test::have_module('mpm_prefork');
    is scalar(grep { ($_->{data} // '') =~ /"code":"shutting_down"/ } @{ $all->{streams} }), $m, '… but with an error event: shutting_down';
    is $all->{complete}, $m, '… and a proper end';
}
ok $s->wait_end(30), 'httpd ends';
is_deeply [grep { !/AH0004[67]/ } $s->crashes], [], 'nobody crashed';

# --- a graceful stop while upstreams are drained whose clients have left: httpd does not wait for those
$s = AIGW::Server->new(conf => conf("<AIGWModel drain>\nAIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1 disconnect=drain\n</AIGWModel>\n"));
for my $i (1 .. 5) {
    my $c = AIGW::Client->new(port => $s->{port});
    $c->request(POST => '/v1/chat/completions', json => { %{ question("drain-$i") }, model => 'drain' });
    $c->head;
    $c->event;
    $c->close;
}
ok $s->signal('WINCH'), 'graceful stop with five drained calls';
if (!$event) { raw_go("drain-$_") for 1 .. 5 }
ok $s->wait_end(30), 'httpd ends';
is_deeply [$s->crashes], [], 'nobody crashed, no pool asserted';

# --- a hard stop
$s = AIGW::Server->new(conf => conf());
@old = $s->children;
my $took;
$all = many($n, port => $s->{port}, timeout => 60, json => question('term'), when_open => sub {
    ok $s->signal('TERM'), "hard stop with $n open streams";
    $took = $s->wait_gone(20, @old);
});
cmp_ok $took, '<', 9, sprintf 'hard stop: the children are gone after %.2f s', $took;
is $all->{done}, 0, '… no stream looks finished';
SKIP: {
    skip 'the MPM shuts the sockets of busy threads itself', 1 unless $event;
    is scalar(grep { ($_->{data} // '') =~ /"code":"shutting_down"/ } @{ $all->{streams} }), $n, '… each is told: shutting_down';
}
ok $s->wait_end(30), 'httpd ends';
is_deeply [$s->crashes], [], 'nobody crashed, no pool asserted';
my $log = raw_log('term');
is scalar(grep { $_->{event} eq 'closed' } @{ $log->{events} }), $n, 'all upstream connections are closed';
log_clean();
