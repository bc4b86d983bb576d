# Open streams, plain and over TLS, when httpd is restarted and stopped: gracefully nothing is lost; otherwise whoever is in the middle of an answer is told.
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
my $tls   = AIGW::Client::have_tls();
my ($plain, $over_tls) = $event ? (room(2000), 100) : (20, $tls ? 10 : 0);
$over_tls = 0 unless $tls;
my $n     = $plain + $over_tls;
plan tests => 40, need_module('mod_aigw');

my $s;
my $mpm = $event
    ? "ThreadsPerChild 16\nThreadLimit 16\nStartServers 1\nServerLimit 4\nMinSpareThreads 1\nMaxSpareThreads 16\nMaxRequestWorkers 16\nAsyncRequestWorkerFactor 200\n"
    : Apache::Test::have_module('mpm_worker')
    ? "ThreadsPerChild 64\nThreadLimit 64\nStartServers 1\nServerLimit 4\nMaxRequestWorkers 128\nMinSpareThreads 1\nMaxSpareThreads 64\n"
    : "StartServers 36\nMinSpareServers 1\nMaxSpareServers 40\nServerLimit 64\nMaxRequestWorkers 48\n";

sub conf {
    my ($more) = @_;
    return $mpm . "ListenBacklog 4096\nAIGWDefaultModel raw\n<AIGWModel raw>\nAIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1\n</AIGWModel>\n"
        . "<Location /v1/chat/completions>\nSetHandler aigw-chat-completions\n</Location>\n<Location /v1/models>\nSetHandler aigw-models\n</Location>\n" . ($more // '');
}

# A stream takes three descriptors of the child's, of as many as there may be.
sub room { my ($wanted) = @_; my ($hard) = `cat /proc/self/limits` =~ /^Max open files\s+\S+\s+(\d+)/m; return $hard < 4 * $wanted ? int $hard / 4 : $wanted }

# So many streams, the last of them over TLS; what is in both results is added up.
sub crowd {
    my ($question, $when_open) = @_;
    my $second;
    my $first = many($plain, port => $s->{port}, timeout => 90, json => $question, when_open => sub {
        return $when_open->() unless $over_tls;
        $second = many($over_tls, port => $s->{tls_port}, tls => 1, timeout => 90, json => $question, when_open => $when_open);
    });
    return $first unless $second;
    my %status = %{ $first->{status} };
    $status{$_} += $second->{status}{$_} for keys %{ $second->{status} };
    return { (map { $_ => $first->{$_} + $second->{$_} } qw(done complete)), status => \%status, streams => [map { @{ $_->{streams} } } $first, $second] };
}

sub question { my ($tag) = @_; return { scenario => 'gate:2', tag => $tag, stream => \1, messages => [{ role => 'user', content => 'x' }] } }

$s = AIGW::Server->new(conf => conf(), tls => $tls);

# --- a graceful restart, with a new model in the configuration
my @old = $s->children;
my $all = crowd(question('usr1'), sub {
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
$all = crowd(question('winch'), sub {
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
$s = AIGW::Server->new(conf => conf(), tls => $tls);
@old = $s->children;
my $took;
$all = crowd(question('term'), sub {
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

# --- and under load: tokens are coming, clients come and go
$s = AIGW::Server->new(conf => conf());
@old = $s->children;
my $asked = 0;
$all = many(20, port => $s->{port}, timeout => 60, json => { %{ question('load') }, scenario => 'endless:10' }, when_open => sub {
    $asked += chat('raw', 'x', port => $s->{port}, stream => 1)->complete for 1 .. 20;
    ok $s->signal('TERM'), 'hard stop under load';
    $took = $s->wait_gone(20, @old);
});
is $asked, 20, '… which was served until then';
cmp_ok $took, '<', 9, sprintf '… the children are gone after %.2f s', $took;
is $all->{done}, 0, '… no stream looks finished';
ok $s->wait_end(30), 'httpd ends';
is_deeply [$s->crashes], [], 'nobody crashed, no pool asserted';
log_clean();
