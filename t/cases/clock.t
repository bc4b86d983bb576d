# The machine's clock is set while answers are open, an hour forward and an hour back: no time-out of the gateway comes early or late, nothing is cut, and
# what is asked afterwards is answered. httpd runs below libfaketime (Debian: faketime), which steps the wall clock and leaves the monotonic one alone.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(chat now);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Server;
use AIGW::Services qw(slurp spew);

use constant HOUR => 3600;
my ($faketime) = grep { -e } glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
my $sanitized = (slurp(Apache::Test::vars('httpd')) // '') =~ /LD_PRELOAD/;    # one library before all others is enough
my $event = Apache::Test::have_module('mpm_event');
my $tls   = AIGW::Client::have_tls();
my @ports = ('port', $tls ? 'tls_port' : ());
my @where = ('', $event ? '/block' : ());
my @steps = (+HOUR, -HOUR);
plan tests => @steps * (@where * @ports * 10 + 3) + 4, need need_module('mod_aigw'), { 'no libfaketime, or a sanitizer' => sub { $faketime && !$sanitized } };

my $folder = File::Temp->newdir('clock-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$folder";

# Whole or not at all: httpd reads it whenever it looks at the clock.
sub set_clock { my ($offset) = @_; spew("$folder/new", sprintf "%+d\n", $offset); rename "$folder/new", "$folder/clock" or die "$folder/clock: $!"; return }

# Timeout is httpd's own and counts by the wall clock: here it is longer than the step, so that what is seen is the gateway.
my $conf = "Timeout 7200\nKeepAliveTimeout 5\nAsyncRequestWorkerFactor 20\nMinSpareThreads 1\nAIGWDefaultModel raw\n"
    . "<AIGWModel raw>\nAIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1\n</AIGWModel>\n"
    . join '', map { my $park = $_ ? "AIGWPark off\n" : ''; my $is = "SetHandler aigw-chat-completions\nAIGWKeepAliveInterval 150ms\n$park";
        "<Location $_/v1>\n$is</Location>\n<Location $_/idle>\n${is}AIGWIdleTimeout 1500ms\nAIGWFirstByteTimeout 1500ms\n</Location>\n" } '', '/block';
$conf =~ s/^AsyncRequestWorkerFactor.*\n//m unless $event;
$conf =~ s/^MinSpareThreads.*\n/MinSpareServers 2\nStartServers 16\n/m if Apache::Test::have_module('mpm_prefork');

set_clock(0);
my $s = AIGW::Server->new(conf => $conf, tls => $tls, env => { LD_PRELOAD => $faketime, FAKETIME_TIMESTAMP_FILE => "$folder/clock", FAKETIME_NO_CACHE => 1,
    FAKETIME_DONT_FAKE_MONOTONIC => 1, DONT_FAKE_MONOTONIC => 1 });

sub ask {
    my ($port, $where, $scenario) = @_;
    my $tag = tag();
    my $c = AIGW::Client->new(port => $s->{$port}, tls => $port eq 'tls_port');
    $c->request(POST => $where, headers => { 'X-Request-ID' => $tag },
        json => { scenario => $scenario, tag => $tag, stream => \1, messages => [{ role => 'user', content => 'x' }] });
    raw_wait('request', tag => $tag);
    return ($c, $tag);
}

# So many events, whatever comments there are.
sub events { my ($c, $n) = @_; $c->head; while ($n > 0) { my $e = $c->event or die "the stream ended\n"; $n-- if defined $e->{data} } return }

# The next comment line; undef: the stream said something else.
sub comment { my ($c) = @_; my $e = $c->event; return $e && !defined $e->{data} }

my $clock = 0;
for my $step (@steps) {
    my $name = sprintf 'clock %+d h', $step / HOUR;
    my @open;
    for my $where (@where) {
        for my $port (@ports) {
            my ($mid, $mid_tag) = ask($port, "$where/v1", 'gate:2');
            events($mid, 2);
            my ($before, $before_tag) = ask($port, "$where/v1", 'gate:0');
            my $asked = now();
            my ($stalled) = ask($port, "$where/idle", 'stall:3');
            events($stalled, 3);
            push @open, { name => "$name, $port$where", mid => $mid, tag => $mid_tag, before => $before, before_tag => $before_tag, stalled => $stalled, asked => $asked };
        }
    }
    set_clock($clock += $step);

    for my $o (@open) {
        my $n = $o->{name};
        my $last = '';
        # comments come for ever where the time-out does not
        my $until = now() + 20;
        while (my $e = $o->{stalled}->event) { $last = $e->{data} // $last; last if now() > $until }
        like $last, qr/"code":"upstream_timeout"/, "$n: one that stalls is given up";
        cmp_ok now() - $o->{asked}, '>=', 1.5, '… not before its time';
        is scalar(grep { comment($o->{mid}) } 1 .. 3), 3, "$n: in mid-stream, comments come in the silence";
        is $o->{before}->head->{status}, 200, "$n: before the first token, the first comment";
        is scalar(grep { comment($o->{before}) } 1 .. 3), 3, '… and more';
        for my $which (['mid', $o->{tag}], ['before', $o->{before_tag}]) {
            is raw_go($which->[1]), 1, "$n: the upstream still has it ($which->[0])";
            my @data = grep { defined } map { $_->{data} } $o->{ $which->[0] }->events;
            is $data[-1], '[DONE]', '… and the answer goes on to its end';
        }
        ok $o->{mid}{r}->complete, "$n: a whole response";
    }
    my $r = chat('raw', 'x', port => $s->{port}, path => '/v1', stream => 1);
    is $r->text, 'one two three four five', "$name: and then a new question";
    my ($late) = ask('port', '/idle', 'silent');
    is(($late->head, map { $_->{data} // () } $late->events)[-1] =~ /"code":"(\w+)"/ ? $1 : '', 'upstream_timeout', "$name: and one that is not answered");
    cmp_ok $r->header('X-Process-Time'), '<', 20, "$name: the time that it took is told";
}

# prefork may crash where it is stopped while it closes a connection (docs/faults.md)
$s->wait_closed;
ok $s->signal('TERM'), 'a hard stop';
ok $s->wait_end(30), '… ends it';
is_deeply [grep { /AIGW0143|AH0005[012]|Assert/ } split /\n/, $s->log], [], 'the MPM has cut nothing';
log_clean();
