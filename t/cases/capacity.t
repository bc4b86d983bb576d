# Limits of httpd's own that would trap an administrator: a numbered line at start says which, and what to write.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(sleep);
use AIGW::Client qw(chat);
use AIGW::Log;
use AIGW::Server;

plan tests => 15, need_module('mod_aigw');
my $model = "<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\nAIGWDefaultModel echo\n<Location /v1/chat/completions>\nSetHandler aigw-chat-completions\n</Location>\n";
my $small = "ThreadsPerChild 8\nThreadLimit 8\nServerLimit 4\nStartServers 1\nMaxRequestWorkers 32\nMinSpareThreads 1\n";

sub start { my ($mpm, $conf) = @_; return AIGW::Server->new(mpm => $mpm, conf => $conf) }

my $s = start(event => "${small}MaxSpareThreads 16\n$model");
like $s->log, qr/AIGW0190: .*at most 24 connections.*AsyncRequestWorkerFactor 126/, 'AsyncRequestWorkerFactor: what it means and what to write';
like $s->log, qr/AIGW0191: .*MaxSpareThreads 16.*set 'MaxSpareThreads 32'/, 'MaxSpareThreads';
is chat('echo', 'works', port => $s->{port}, stream => 1)->text, 'works', 'it serves all the same';
$s->stop;

$s = start(event => "${small}MaxSpareThreads 32\nAsyncRequestWorkerFactor 100\nAIGWReactors 3\n$model");
unlike $s->log, qr/AIGW019[013]/, 'enough of everything: nothing is said';
my $other = start(event => "${small}MaxSpareThreads 32\nAsyncRequestWorkerFactor 100\nAIGWReactors 1\n$model");
my ($child, $child_of_other) = map { my ($first) = $_->children; $first =~ m{^(\d+)} } $s, $other;
# a child may still be starting its threads
sub threads { my ($pid) = @_; return scalar(() = glob "/proc/$pid/task/*") }
for (1 .. 1000) {
    last if threads($child) - threads($child_of_other) == 2;
    sleep 0.02;
}
is threads($child) - threads($child_of_other), 2, 'AIGWReactors 3 are two threads more than 1';
$other->stop;
open my $limits, '<', "/proc/$child/limits" or die;
my ($files) = grep { /open files/ } <$limits>;
my ($soft, $hard) = $files =~ /(\d+)\s+(\d+)/;
is $soft, $hard, 'the soft limit of open files was raised to the hard one';
$s->stop;

$s = start(event => "${small}MaxSpareThreads 32\nAsyncRequestWorkerFactor 9000\n$model");
like $s->log, qr/AIGW0192: \d+ open files are not enough for 72008 connections/, 'open files' if $hard < 200_000;
pass 'open files: no limit here to run into' if $hard >= 200_000;
$s->stop;

for my $mpm (qw(worker prefork)) {
    $s = start($mpm => $mpm eq 'worker' ? "${small}MaxSpareThreads 32\n$model" : "ServerLimit 8\nMaxRequestWorkers 8\nStartServers 1\n$model");
    like $s->log, qr/AIGW0193: /, "$mpm: a stream is a thread or process, it says";
    is chat('echo', 'works', port => $s->{port}, stream => 1)->text, 'works', "$mpm: it serves";
    $s->stop;
}

$s = start(event => $small . "MaxSpareThreads 16\n");
unlike $s->log, qr/AIGW019/, 'loaded but not in use: nothing is said';
$s->stop;

# connections to an upstream: our limits, unless the administrator has set some
my $up = "<AIGWModel up>\nAIGWUpstream openai http://127.0.0.1:$ENV{AIGW_UPSTREAM_PORT}/v1 model=echo\n</AIGWModel>\n";
$s = start(event => "${small}MaxSpareThreads 32\nAsyncRequestWorkerFactor 100\n<Proxy http://127.0.0.1:$ENV{AIGW_UPSTREAM_PORT}>\nProxySet max=5\n</Proxy>\n$up$model");
like $s->log, qr/AIGW0170: .*max=5/, 'max= of an upstream is said to cap open answers';
is chat('up', 'works', port => $s->{port}, stream => 1)->text, 'works', '… and holds';
log_clean();
