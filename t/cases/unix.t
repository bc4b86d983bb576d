# An upstream on a Unix socket: as any other.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client;
use AIGW::Log;
use AIGW::Raw;

my $port  = Apache::Test::vars('port');
my $parks = Apache::Test::have_module('mpm_event');
my @where = ('', '/block');
my @kinds = ([0, 'whole'], [1, 'stream']);
plan tests => @where * @kinds * 23 + 1, need_module('mod_aigw', 'mod_aigw_stream');
expect_log(qr/AIGW0173: .* model unix-none/, qr/AIGW018[01]: .* model raw-unix/);

sub ask {
    my ($c, $path, $model, $scenario, $stream) = @_;
    my $tag = tag();
    $c->request(POST => $path, headers => { 'X-Request-ID' => $tag },
        json => { model => $model, scenario => $scenario, stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'hello' }] });
    return ($c->response, $tag);
}

sub client { return AIGW::Client->new(port => $port) }

for my $where (@where) {
    my $path = "$where/v1/chat/completions";
    for my $kind (@kinds) {
        my ($stream, $kind_name) = @$kind;
        my $name = "$where $kind_name";
        my $c = client();

        my ($r, $tag) = ask($c, $path, 'raw-unix', 'ok', $stream);
        is $r->{status}, 200, "$name: 200";
        is $r->text, 'one two three four five', "$name: the answer";
        my $log = raw_log($tag);
        ok $log->{connections}[0]{unix}, "$name: over the socket";
        is $log->{requests}[0]{header}{host}, 'localhost', "$name: Host";
        is $log->{requests}[0]{path}, '/v1/chat/completions', "$name: the path";
        my $logged = access_wait($tag);
        is join('/', @$logged{qw(prompt completion finish)}), '7/5/stop', "$name: counted";
        is $logged->{mode}, $parks && !$where ? 'parked' : 'blocking', "$name: how it ran";

        ($r, $tag) = ask($c, $path, 'unix-named', 'ok', $stream);
        my ($q) = @{ raw_log($tag)->{requests} };
        is $r->text, 'one two three four five', "$name, another address below the socket: the answer";
        is $q->{header}{host}, 'model.example:8000', "$name, … Host";
        is $q->{path}, '/some/path/chat/completions', "$name, … the path";
        like $q->{body}, qr/"model":"named"/, "$name, … the model";

        # kept, and tried again when stale
        my %conns = map { $_->{conn} => 1 } map { @{ raw_log($_)->{requests} } } map { (ask($c, $path, 'raw-unix', 'ok', $stream))[1] } 1 .. 10;
        cmp_ok scalar(keys %conns), '<=', 2, "$name: connections are kept";
        for my $scenario ('stale', 'stale-rst') {
            ask($c, $path, 'raw-unix', $scenario, $stream);
            is +(ask($c, $path, 'raw-unix', 'ok', $stream))[0]->text, 'one two three four five', "$name after $scenario: the next one is answered";
        }

        # faults
        ($r, $tag) = ask(client(), $path, 'raw-unix', 'close-mid-event', $stream);
        is $r->{status}, $stream ? 200 : 502, "$name, broken off: the status";
        like $r->content, qr/"code":"upstream_reset"\}\}\s*\z/, "$name, … the code";
        ($r) = ask($c, $path, 'raw-unix', 'garbage', $stream);
        is "$r->{status} " . $r->json->{error}{code}, '502 upstream_invalid_response', "$name: garbage";
        ($r) = ask($c, $path, 'unix-none', 'ok', $stream);
        is "$r->{status} " . $r->json->{error}{code}, '502 upstream_connect_failed', "$name: a socket that is not there";
        unlike $r->content, qr/\.sock|logs|unix:/, "$name, … nothing internal";

        # a client that leaves
        $tag = tag();
        my $leaver = client();
        $leaver->request(POST => $path, headers => { 'X-Request-ID' => $tag },
            json => { model => 'raw-unix', scenario => 'silent', stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'hello' }] });
        raw_wait('request', tag => $tag);
        $leaver->close;
        is raw_wait('closed', tag => $tag)->{by}, 'peer', "$name: a client that leaves takes its upstream along";
        is access_wait($tag)->{aborted}, 'X', "$name: … which is logged";

        # events leave at once
        $leaver = client();
        $tag = tag();
        if ($stream) {
            $leaver->request(POST => $path, headers => { 'X-Request-ID' => $tag },
                json => { model => 'raw-unix', scenario => 'gate:2', stream => \1, messages => [{ role => 'user', content => 'hello' }] });
            $leaver->head;
            my @first = map { $leaver->event->{data} } 1 .. 2;
            is scalar(@first), 2, "$name: two events are there before there is a third";
            raw_go($tag);
            is +($leaver->events)[-1]{data}, '[DONE]', "$name: … and then the rest";
        }
        else {
            ($r) = ask($leaver, $path, 'raw-unix', 'huge-event:2', 0);
            is length $r->json->{choices}[0]{message}{content}, 2 * 1_048_576, "$name: a large answer";
            ok $r->complete, "$name: … whole";
        }
    }
}

log_clean();
