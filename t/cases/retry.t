# A second try: where an upstream has closed a connection that was kept, the client never notices. And none: on a fresh connection, or once an answer has begun,
# a question is asked once, because it costs money.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client;
use AIGW::Listener;
use AIGW::Log;
use AIGW::Raw;

my $port  = Apache::Test::vars('port');
my @where = ('', '/block');
my @kinds = ([0, 'whole'], [1, 'stream']);
my @once  = ('reset-mid-event:0', 'reset-mid-event:3', 'close-mid-event:1', 'garbage', 'cut:1', 'bad-chunk', 'status:500');
my $text  = 'one two three four five';
plan tests => @where * (@kinds * (24 + 2 * @once) + 9) + 1, need_module('mod_aigw', 'mod_aigw_stream');
expect_log(qr/AIGW018[0146]: /, qr/AIGW0173: .* model (?:dead|own-retry)/);

# Questions on one connection of the client's: one process answers them, with the upstream connections that it has.
sub ask {
    my ($c, $where, $scenario, $stream, %o) = @_;
    my $tag = tag();
    $c->request(POST => "$where/v1/chat/completions", headers => { 'X-Request-ID' => $tag },
        json => { model => $o{model} || 'raw', scenario => $scenario, stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'hello' }] });
    my $r = $c->response;
    return ($r, $tag);
}

sub client { return AIGW::Client->new(port => $port) }

# All that are kept are closed: the next question of any process goes out on a fresh one.
sub fresh { raw_close('fin'); return }

sub requests { return @{ raw_log($_[0])->{requests} } }

sub is_unnoticed {
    my ($name, $r, $stream) = @_;
    is $r->{status}, 200, "$name: 200";
    is $r->text, $text, "$name: the answer";
    ok $r->complete && (!$stream || ($r->data)[-1] eq '[DONE]'), "$name: all of it";
    return;
}

for my $where (@where) {
    for my $kind (@kinds) {
        my ($stream, $kind_name) = @$kind;

        # Closed after the answer, before the next question or just when it is on its way.
        for my $end (['stale', 'closed'], ['stale-rst', 'reset']) {
            my ($scenario, $how) = @$end;
            my $name = "$where $kind_name, $how while it was kept";
            my $c = client();
            fresh();
            my ($first, $tag) = ask($c, $where, $scenario, $stream);
            my ($r, $second) = ask($c, $where, 'ok', $stream);
            is_unnoticed($name, $r, $stream);
            is join(',', map { $_->{n} } requests($second)), '1', "$name: the second try is the first on its connection";
            next if $how eq 'closed';
            # the question was under way when the reset came
            my ($conn) = @{ raw_log($tag)->{connections} };
            ok $conn->{reset_on_reuse}, "$name: it had been used again";
            is $conn->{how}, 'rst', "$name: … and reset";
            is access_wait($second)->{error}, undef, "$name: no error";
        }

        # Many such connections: one try after the stale one is enough.
        my @clients = map { client() } 1 .. 4;
        fresh();
        $_->request(POST => "$where/v1/chat/completions",
            json => { model => 'raw', scenario => 'stale-rst', stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'hello' }] }) for @clients;
        $_->response for @clients;
        my @answers = map { (ask($_, $where, 'ok', $stream))[0] } @clients;
        is $_->text, $text, "$where $kind_name, several connections that are reset: the answer" for @answers;

        # A fresh connection: no second try.
        my $c = client();
        for my $scenario ('reset-before', 'close-before') {
            my $name = "$where $kind_name $scenario";
            fresh();
            my ($r, $tag) = ask($c, $where, $scenario, $stream);
            is "$r->{status} " . $r->json->{error}{code}, '502 upstream_reset', "$name: on a fresh connection";
            is join(',', map { $_->{n} } requests($tag)), '1', "$name: asked exactly once";
            ask($c, $where, 'ok', $stream);
            ($r, $tag) = ask($c, $where, $scenario, $stream);
            my @n = map { $_->{n} } requests($tag);
            ok @n == 2 && $n[0] > 1 && $n[1] == 1, "$name: on a kept connection: asked once more, on a fresh one" or diag "@n";
        }
        my ($r, $tag) = ask($c, $where, 'ok', $stream);
        is_unnoticed("$where $kind_name, after all that", $r, $stream);

        # Something has come: never again.
        for my $scenario (@once) {
            ask($c, $where, 'ok', $stream);
            my $again = client();
            ($r, $tag) = ask($again, $where, $scenario, $stream);
            is scalar(requests($tag)), 1, "$where $kind_name $scenario: asked exactly once";
            my ($next) = ask(client(), $where, 'ok', $stream);
            is $next->text, $text, "$where $kind_name $scenario: the next question finds a good connection";
        }
    }

    # Nobody there.
    my $c = client();
    my ($r, $tag) = ask($c, $where, 'ok', 1, model => 'dead');
    is "$r->{status} " . $r->json->{error}{code}, '502 upstream_connect_failed', "$where nobody there";
    like log_wait(qr/AIGW0173: \[\Q$tag\E\]/), qr/ model dead: upstream http:/, "$where … and the log says who";
    ($r) = ask($c, $where, 'ok', 0, model => 'dead');
    is "$r->{status} " . $r->json->{error}{code}, '502 upstream_connect_failed', "$where nobody there, whole";
    is $r->header('Content-Type'), 'application/json', "$where … in JSON";

    # An upstream that is restarted: refused, and the next time there. It is not to be taken for dead for a minute.
    ($r) = ask($c, $where, 'ok', 0, model => 'own-retry');
    is $r->{status}, 502, "$where an upstream that is down";
    my $up = AIGW::Listener->new(port => own_port('retry'));
    $c->request(POST => "$where/v1/chat/completions", json => { model => 'own-retry', messages => [{ role => 'user', content => 'hello' }] });
    ok $up->waiting(3), "$where … and comes up: is asked at once";
    if ($up->waiting) {
        my $conn = $up->accept;
        $conn->request;
        $conn->answer(status => 200, body => '{"choices":[{"index":0,"message":{"role":"assistant","content":"back"},"finish_reason":"stop"}]}');
        $conn->close;
    }
    is $c->response->{status}, 200, "$where … and answers";

    # An interim response is a sign of life: what comes after it is not tried again.
    $c->request(POST => "$where/v1/chat/completions", json => { model => 'own-retry', messages => [{ role => 'user', content => 'hello' }] });
    if ($up->waiting(3)) {
        my $conn = $up->accept;
        $conn->request;
        $conn->say("HTTP/1.1 100 Continue\r\n\r\n");
        $conn->close;
    }
    is $c->response->{status}, 502, "$where closed after an interim response";
    ok !$up->waiting, "$where … asked exactly once";
    $up->close;
}

log_clean();
