# What runs out: descriptors when a client is accepted, when the upstream is connected, when an answer is parked; and memory. Whoever comes then waits or is
# told so, open answers go on, nothing spins, and once there is room again all is as before.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(sleep time);
use AIGW::Client qw(chat);
use AIGW::Log;
use AIGW::Many;
use AIGW::Raw;
use AIGW::Server;
use AIGW::Services qw(slurp);

my $event   = Apache::Test::have_module('mpm_event');
my $prefork = Apache::Test::have_module('mpm_prefork');
my $tls     = AIGW::Client::have_tls();
my @ports   = ('port', $tls ? 'tls_port' : ());
my $sanitized = (slurp(Apache::Test::vars('httpd')) // '') =~ /LD_PRELOAD/;    # needs terabytes of addresses
my $text    = 'one two three four five';
plan tests => @ports * 12 + 11 + 8 + 2 * @ports + 11 + 1, need_module('mod_aigw');

# One child, but where a stream takes a child; later ones have room.
my $mpm = $prefork ? "StartServers 2\nMinSpareServers 1\nMaxSpareServers 2\nServerLimit 8\nMaxRequestWorkers 2\n"
    : "ThreadsPerChild 16\nThreadLimit 16\nServerLimit 4\nMaxRequestWorkers 32\nMaxSpareThreads 64\n"
    . ($event ? "AsyncRequestWorkerFactor 20\n" : '');

sub conf {
    my ($more, $children) = @_;
    my $start = $prefork ? '' : sprintf "StartServers %d\nMinSpareThreads %d\n", $children // 1, $children ? 32 : 1;
    # without AllowOverride httpd looks for .htaccess files, and answers 403 where it has no descriptor to do it with
    return "$mpm$start<Directory />\nAllowOverride None\n</Directory>\nAIGWDefaultModel raw\n<AIGWModel raw>\nAIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1\n"
        . "</AIGWModel>\n<Location /v1/chat/completions>\nSetHandler aigw-chat-completions\n</Location>\n$more";
}

# No connection to an upstream is kept: each question needs a descriptor for its own.
my $fresh = "<Proxy http://127.0.0.1:$ENV{AIGW_RAW_PORT}>\nProxySet disablereuse=on\n</Proxy>\n";

sub question { my ($tag, $scenario) = @_; return { scenario => $scenario // 'gate:2', tag => $tag, stream => \1, messages => [{ role => 'user', content => 'x' }] } }

sub open_stream {
    my ($s, $port, $tag) = @_;
    my $c = AIGW::Client->new(port => $s->{$port}, tls => $port eq 'tls_port');
    $c->request(POST => '/v1/chat/completions', json => question($tag));
    $c->head;
    $c->event for 1 .. 2;
    return $c;
}

sub say_ok { my ($s, $port, %o) = @_; return chat('raw', 'x', port => $s->{$port}, tls => $port eq 'tls_port', %o) }

sub last_data { my ($c) = @_; return ((map { $_->{data} // () } $c->events)[-1]) // '' }

# Seconds of processor time that the children take while nothing is to be done, in a second of the clock.
sub idle_cpu {
    my ($s) = @_;
    my %before = map { $_ => $s->cpu($_) } $s->children;
    sleep 1;
    my $sum = 0;
    $sum += $s->cpu($_) - ($before{$_} // 0) for $s->children;
    return $sum;
}

# ------------------------------------------------------------------ descriptors, one short of what a request needs

for my $port (@ports) {
    my $s = AIGW::Server->new(conf => conf($fresh), tls => $tls);
    is say_ok($s, $port, stream => 1)->text, $text, "$port: with descriptors enough";
    my $open = open_stream($s, $port, my $tag = tag());

    # the client's, and none for the upstream
    for my $stream (0, 1) {
        $s->settle(2);
        $s->leave_free(1, $s->children);
        my $r = say_ok($s, $port, stream => $stream);
        is "$r->{status} " . $r->json->{error}{code}, '502 upstream_connect_failed', "$port: no descriptor to connect, stream $stream: 502";
    }
    like $s->log, qr/AIGW0173: .* model raw: upstream http/, '… and the log says so';
    like $s->log, qr/Too many open files/, '… with the reason';

    # the client's and the upstream's, and none to park
    $s->settle(2);
    $s->leave_free(2, $s->children);
    is say_ok($s, $port, stream => 1)->text, $text, "$port: no descriptor to park: the answer is there all the same";
    is scalar($s->log =~ /AIGW0140: .*ulimit -n/), $event ? 1 : '', '… in a thread of its own, and the log says so';

    $s->leave_free(100, $s->children);
    is say_ok($s, $port, stream => $_)->text, $text, "$port: there is room again, stream $_: all is well" for 0, 1;
    is raw_go($tag), 1, "$port: what was open all the time";
    is last_data($open), '[DONE]', '… goes on to its end';
    is_deeply [$s->crashes], [], "$port: nobody crashed";
}

# ------------------------------------------------------------------ none to accept a client

{
    my $s = AIGW::Server->new(conf => conf($fresh), tls => $tls);
    my $tag = tag();
    my @open = map { open_stream($s, $ports[$_ % @ports], $tag) } 1 .. ($prefork ? 1 : 4);
    my @old = $s->children;
    $s->settle(2 * @open);
    $s->leave_free(0, @old);
    # it waits in the kernel's queue until a child can take it: httpd ends a child that has no descriptor to accept with, and starts another
    my $r = chat('raw', 'x', port => $s->{port}, stream => 1, timeout => 60);
    is $r->text, $text, 'no descriptor to accept: the client waits, and has its answer';
    like $s->log, qr/Too many open files/, '… the log says why';
    cmp_ok idle_cpu($s), '<', 0.7, '… nothing spins';
    is raw_go($tag), scalar @open, '… the open answers are there';
    is scalar(grep { last_data($_) eq '[DONE]' } @open), scalar @open, '… and go on to their end';
    is scalar(grep { $_->{r}->complete } @open), scalar @open, '… complete';
    @open = ();
    my $good = grep { chat('raw', 'x', port => $s->{port}, stream => $_ % 2, timeout => 60)->text eq $text } 1 .. 10;
    is $good, 10, '… and whoever comes then is served';
    is_deeply [$s->crashes], [], '… nobody crashed';
    unlike $s->log, qr/AIGW01[34]/, '… and no loop was troubled';
    ok $s->signal('TERM'), '… a stop';
    ok $s->wait_end(30), '… ends it';
}

# ------------------------------------------------------------------ few from the start, and many clients

{
    my $s = AIGW::Server->new(conf => conf($fresh, 2), limits => ['--nofile=90:90']);
    # httpd gives up (AH02324) if a child has no descriptors before any child has been seen in good health: each second it looks, and replaces who is missing
    if (!$prefork) {
        my @old = @{ $s->wait_for('two children', 20, sub { my @all = $s->children; @all == 2 && \@all }) };
        chat('raw', 'x', port => $s->{port}) for 1 .. 4;
        kill KILL => $old[0] =~ m{(\d+)};
        $s->wait_gone(20, $old[0]); # until then it may take a connection that comes
        $s->wait_for('a new child', 30, sub { scalar grep { !/^(?:$old[0]|$old[1])$/ } $s->children });
    }
    my $n = $prefork ? 10 : 60;
    my $sum = many($n, port => $s->{port}, timeout => 90, json => question('crowd', 'delay:5:10'));
    my $closed = $sum->{broken}{closed} // 0;
    is $sum->{n}, $n, "$n clients where descriptors are few: each hears something";
    is $sum->{complete}, scalar(grep { $_->{complete} && ($_->{done} || $_->{status} >= 500) } @{ $sum->{streams} }), '… an answer or an error, whole'
        or diag AIGW::Many::counts(@{ $sum->{streams} });
    is_deeply [grep { !/^(?:200|502|503)$/ } keys %{ $sum->{status} }], [], '… of no other kind';
    is $sum->{complete}, $n, '… and nobody is cut' or diag AIGW::Many::counts(@{ $sum->{streams} });
    cmp_ok idle_cpu($s), '<', 0.7, '… nothing spins afterwards';
    my $good = grep { chat('raw', 'x', port => $s->{port}, stream => $_ % 2, timeout => 60)->text eq $text } 1 .. 10;
    is $good, 10, '… and whoever comes then is served';
    is_deeply [$s->crashes], [], '… nobody crashed';
    ok $s->signal('TERM') && $s->wait_end(30), '… it ends';
}
# ------------------------------------------------------------------ memory

SKIP: {
    skip "a sanitizer needs terabytes of addresses", 2 * @ports + 11 if $sanitized;
    my $s = AIGW::Server->new(conf => conf(''), tls => $tls);
    my $tag = tag();
    my @open = map { open_stream($s, $ports[$_ % @ports], $tag) } 1 .. ($prefork ? 1 : 4);
    my $large = 'x' x (24 * 1_048_576);
    $s->limit(data => $s->data_size($_) + 6 * 1_048_576, $_) for $s->children;
    for my $port (@ports) {
        my $r = say_ok($s, $port, more => { user => $large });
        is "$r->{status} " . $r->json->{error}{code}, '500 internal_error', "$port, no memory for a large question: 500";
        is say_ok($s, $port, stream => 1)->text, $text, '… a small one is answered';
    }
    my $r = say_ok($s, 'port', more => { scenario => 'huge-event:10' });
    is "$r->{status} " . $r->json->{error}{code}, '500 internal_error', 'no memory for a large answer: 500, it is not the upstream';
    is raw_go($tag), scalar @open, 'the open answers are there';
    is scalar(grep { last_data($_) eq '[DONE]' } @open), scalar @open, '… and go on to their end';
    @open = ();
    is_deeply [$s->crashes], [], 'nobody crashed';
    $s->limit(data => 'unlimited', $_) for $s->children;
    is say_ok($s, 'port', more => { user => $large })->text, $text, 'there is room again: the large question is answered';
    cmp_ok length say_ok($s, 'port', more => { scenario => 'huge-event:10' })->content, '>', 10 * 1_048_576, '… and the large answer is had';

    # Nothing at all: httpd's pools then abort the process (or APR's buckets, which do not look, run into it), and another comes.
    @open = map { open_stream($s, $ports[$_ % @ports], "$tag-2") } 1 .. ($prefork ? 1 : 4);
    $s->limit(data => 1_048_576, $_) for $s->children;
    my %said;
    for my $i (1 .. 20) {
        my $r = eval { chat('raw', 'x' x (10_000 * $i), port => $s->{port}, stream => $i % 2, timeout => 30) };
        $said{ $r ? $r->complete ? $r->{status} : 'cut' : $@ =~ /did not come/ ? 'hangs' : 'closed' }++;
    }
    is $said{hangs}, undef, 'no memory at all: nobody waits for ever' or diag explain \%said;
    is_deeply [grep { !/^(?:200|5\d\d|cut|closed)$/ } keys %said], [], '… each has an answer, an error or is cut: ' . join ', ', map { "$_: $said{$_}" } sort keys %said;
    raw_go("$tag-2");
    is scalar(grep { my $end = last_data($_); $end eq '[DONE]' || !$_->{r}->complete || $end =~ /"error"/ } @open), scalar @open, '… an open answer is whole, or seen to be cut';
    for my $child ($s->children) { eval { $s->limit(data => 'unlimited', $child) } }
    my $good = grep { chat('raw', 'x', port => $s->{port}, stream => $_ % 2, timeout => 60)->text eq $text } 1 .. 10;
    is $good, 10, '… and then all is well again';
    is_deeply [grep { !/exit signal (?:Abort|Segmentation)/ } $s->crashes], [], '… nobody crashed but of that';
}
log_clean();
