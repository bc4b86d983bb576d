# slowhttptest in its four modes against a private gateway: what is open goes on, others are answered, and afterwards all is as before.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(sleep time);
use AIGW::Client qw(chat get);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Server;
use AIGW::Services qw(slurp);

use constant ATTACKERS => 60;
my ($tool) = grep { -x } map { "$_/slowhttptest" } split /:/, $ENV{PATH};
# A thread reads a request, on all MPMs: slow readers of requests are mod_reqtimeout's work. Here we look at what is ours, on event.
plan tests => 4 * 9 + 2, need need_module('mod_aigw', 'mpm_event'), { 'no slowhttptest (Debian: slowhttptest)' => sub { defined $tool } };

my $s = AIGW::Server->new(conf => "ThreadsPerChild 24\nThreadLimit 24\nMaxRequestWorkers 24\nStartServers 1\nServerLimit 2\nMinSpareThreads 1\nMaxSpareThreads 24\n"
        . "AsyncRequestWorkerFactor 100\nTimeout 20\nRequestReadTimeout header=2-4,MinRate=500 body=2-4,MinRate=500\nDocumentRoot " . Apache::Test::vars('documentroot') . "\n"
        . "<AIGWModel raw>\nAIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1\n</AIGWModel>\n<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\nAIGWDefaultModel echo\n"
        . "<Location /v1/chat/completions>\nSetHandler aigw-chat-completions\n</Location>\n");
my $url = "http://127.0.0.1:$s->{port}";

# Established connections to the gateway, as the kernel has them.
sub connections {
    my $port = sprintf ':%04X', $s->{port};
    return scalar grep { my @f = split; @f > 3 && $f[2] =~ /$port$/ && $f[3] eq '01' } split /\n/, slurp('/proc/net/tcp') // '';
}
sub descriptors { my ($child) = map { m{^(\d+)} } $s->children; return scalar(() = glob "/proc/$child/fd/*") }

my @modes = (
    [headers => qw(-H -i 1), '-u', "$url/static.txt"],
    [body    => qw(-B -i 1 -s 8192 -f application/json -t POST), '-u', "$url/v1/chat/completions"],
    [range   => qw(-R -a 1 -b 300), '-u', "$url/static.txt"],
    [read    => qw(-X -w 1 -y 2 -n 1 -z 1 -k 3), '-u', "$url/static.txt"],
);
is chat('echo', 'before', port => $s->{port})->text, 'before', 'the gateway works';
my $before = descriptors();
for my $mode (@modes) {
    my ($name, @options) = @$mode;
    my $tag = tag();
    my $stream = AIGW::Client->new(port => $s->{port});
    $stream->request(POST => '/v1/chat/completions', json => { model => 'raw', scenario => 'gate:2', tag => $tag, stream => \1, messages => [{ role => 'user', content => 'x' }] });
    $stream->head;
    $stream->event for 1 .. 2;

    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', "$s->{dir}/slow-$name";
        open STDERR, '>&', \*STDOUT;
        exec $tool, '-c', ATTACKERS, '-r', 60, '-l', 6, '-p', 30, @options or POSIX::_exit(127);
    }
    my ($open, $answered, $longest) = (0, 0, 0);
    my $served = () = $s->access =~ /^/mg;
    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        my $now = connections();
        $open = $now if $now > $open;
        my $asked = time;
        $answered++ if (chat('echo', 'meanwhile', port => $s->{port}, timeout => 60)->text // '') eq 'meanwhile';
        $longest = time - $asked if time - $asked > $longest;
        sleep 0.2;
    }
    is $? >> 8, 0, "$name: the attack has run";
    $served = (() = $s->access =~ /^/mg) - $served;
    # a range is answered at once: many requests rather than many connections
    cmp_ok $name eq 'range' ? $served : $open, '>=', ATTACKERS / 4, "$name: $open connections at once, $served requests";
    cmp_ok $answered, '>=', 1, sprintf "%s: meanwhile %d others were answered, the slowest after %.1f s", $name, $answered, $longest;
    is raw_go($tag), 1, "$name: a stream that was open";
    my @rest = $stream->events;
    is $rest[-1]{data}, '[DONE]', '… is complete';
    is chat('echo', 'after', port => $s->{port}, stream => 1)->text, 'after', "$name: afterwards others are answered";
    is get('/static.txt', port => $s->{port})->content, "static\n", '… with files, too';
    my $now;
    for (1 .. 600) { last if ($now = descriptors()) <= $before + 8; sleep 0.05 }
    cmp_ok $now, '<=', $before + 8, "$name: its descriptors are back: $before, $now";
    is_deeply [$s->crashes], [], '… and nobody crashed';
    $stream->close;
}
log_clean();
