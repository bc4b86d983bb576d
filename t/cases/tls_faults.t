# An upstream that fails (AIGW::Faults), with TLS to the client, to the upstream, or both: the client gets what it gets without. And clients that leave.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use AIGW::Client;
use AIGW::Faults qw(faults);
use AIGW::Log;
use AIGW::Raw;

use constant AT_ONCE => 8;
my $json  = JSON::PP->new->allow_nonref;
my $tls   = AIGW::Client::have_tls();
my @ways  = (['to the upstream', 'port', 'raw-tls', ''], ['to the client', 'tls_port', 'raw', ''], ['on both sides', 'tls_port', 'raw-tls', '']);
push @ways, ['on both sides', 'tls_port', 'raw-tls', '/block'] if Apache::Test::have_module('mpm_event');
my @faults = faults();
my @answers = ('ok:50', 'ok-chunked', 'ok-length', 'ok-close', 'crlf', 'comments', 'two-at-once', 'interim', 'trailers', 'slow-head:1', 'no-done', 'long:300');
my @gone = map { my $phase = $_; map { [@$phase, $_] } qw(fin rst) } ['silent', 1], ['stall:0', 1], ['stall:3', 1, 'event'], ['silent', 0], ['endless', 1, 'event'], ['blocked', 1];
my $each = (grep { $_->[4] } @faults) + @faults + 2 * @answers + 3 * @gone;
plan tests => @ways * $each + 2, need need_module('mod_aigw', 'mod_ssl'), { 'no IO::Socket::SSL' => sub { $tls } };
expect_log(qr/AIGW018[0146]: /);

sub ask {
    my ($where, $port, $model, $scenario, $stream, %o) = @_;
    my $tag = tag();
    my $c = AIGW::Client->new(port => Apache::Test::vars($port), tls => $port eq 'tls_port', %o);
    $c->request(POST => "$where/v1/chat/completions", headers => { 'X-Request-ID' => $tag },
        json => { model => $model, scenario => $scenario, tag => $tag, stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'hello' }] });
    return ($c, $tag);
}

# What a client has heard, in a line: status, events before an error, the error's code, how it ended.
sub heard {
    my ($c, $stream) = @_;
    my $r = $c->head;
    if ($r->{status} != 200 || !$stream) {
        $c->rest;
        my $code = (eval { $json->decode($r->content)->{error} } || {})->{code} // '-';
        return join ' ', $r->{status}, $code, $r->complete ? 'whole' : $r->{broken};
    }
    my @data = grep { defined } map { $_->{data} } $c->events;
    my $code = ($data[-1] // '') =~ /^\{"error":/ ? $json->decode(pop @data)->{error}{code} : $data[-1] // '-';
    return join ' ', 200, scalar(@data), $code, $r->complete ? 'whole' : $r->{broken};
}

sub status_of { return $_[0] eq 'upstream_timeout' ? 504 : 502 }

for my $way (@ways) {
    my ($name, $port, $model, $where) = @$way;
    my @todo;
    for my $fault (@faults) {
        my ($scenario, $below, $events, $stream_code, $whole_code) = @$fault;
        push @todo, ["$where$below", $scenario, 1, defined $events ? "200 $events $stream_code whole" : status_of($stream_code) . " $stream_code whole"];
        push @todo, ["$where$below", $scenario, 0, status_of($whole_code) . " $whole_code whole"] if $whole_code;
    }
    # side by side: most of them wait for a time-out
    while (my @some = splice @todo, 0, AT_ONCE) {
        $_->[4] = [ask($_->[0], $port, $model, $_->[1], $_->[2])] for @some;
        is heard($_->[4][0], $_->[2]), $_->[3], "TLS $name: $_->[0] $_->[1], stream $_->[2]" for @some;
    }

    for my $scenario (@answers) {
        my ($c) = ask($where, 'port', 'raw', $scenario, 1);
        my $plain = $c->response->text;
        ($c) = ask($where, $port, $model, $scenario, 1);
        my $r = $c->response;
        ok $r->complete && $r->text eq $plain, "TLS $name: $where $scenario, stream: the answer";
        ($c) = ask($where, $port, $model, $scenario, 0);
        ok $c->response->complete, "TLS $name: $where $scenario, whole";
    }

    for my $gone (@gone) {
        my ($scenario, $stream, $how) = ($gone->[0], $gone->[1], $gone->[-1]);
        my $what = "TLS $name: $where $scenario, stream $stream, $how";
        my $slow = $scenario eq 'blocked';
        my ($c, $tag) = ask($where, $port, $model, $slow ? 'endless' : $scenario, $stream, $slow ? (rcvbuf => 4096) : ());
        raw_wait($slow ? 'blocked' : 'request', tag => $tag);
        if ($gone->[2] eq 'event') { $c->head; $c->event for 1 .. 3 }
        $how eq 'rst' ? $c->rst : $c->close;
        ok raw_wait('closed', tag => $tag), "$what: the upstream is let go";
        my $logged = access_wait($tag);
        is $logged->{aborted}, 'X', "$what: logged as aborted";
        is $logged->{error}, undef, "$what: … which is no error of ours";
    }
}
is AIGW::Client::chat('raw-tls', 'x', port => Apache::Test::vars('tls_port'), tls => 1, stream => 1)->text, 'one two three four five', 'the gateway is well';
log_clean();
