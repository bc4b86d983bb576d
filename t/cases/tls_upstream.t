# An upstream over https: whoever it is must prove it, or nothing is sent; and a stream leaves event by event, for all that TLS holds in its records.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client;
use AIGW::Listener;
use AIGW::Log;
use AIGW::Raw qw(tag);

my $port  = Apache::Test::vars('port');
my $dir   = Apache::Test::vars('tls_dir');
my $parks = Apache::Test::have_module('mpm_event');
my $tls   = AIGW::Client::have_tls();
my @where = ('', '/block');
my @kinds = ([0, 'whole'], [1, 'stream']);
plan tests => @where * (@kinds * 25 + 20) + 1, need_module('mod_aigw', 'mod_aigw_stream', 'mod_ssl');
expect_log(qr/AIGW0173: .* model (?:up-badname|own-tls):/, qr/AIGW0186: .* model own-tls:/);

sub ask {
    my ($path, $model, $stream, %more) = @_;
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $path, headers => { 'X-Request-ID' => $tag },
        json => { model => $model, stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'Say this again' }], %more });
    return ($c, $tag);
}

# Is this request in the upstream httpd's access log?
sub was_asked {
    my ($tag) = @_;
    my $file = Apache::Test::vars('upstream_error_log') =~ s/error_log\z/access_log/r;
    open my $fh, '<', $file or die "$file: $!";
    return scalar grep { /\bid=\Q$tag\E / } <$fh>;
}

sub is_refused {
    my ($name, $r, $tag, $model) = @_;
    is $r->{status}, 502, "$name: 502";
    is $r->json->{error}{code}, 'upstream_connect_failed', "$name: the code";
    unlike $r->content, qr/certificate|TLS|SSL|localhost|:\d{4}/i, "$name: nothing internal";
    like log_wait(qr/AIGW0173: \[\Q$tag\E\]/), qr{ model \Q$model\E: upstream https://}, "$name: the log says who";
    return;
}

my @whole = ('HTTP/1.1 200 OK', 'Content-Type: application/json', 'Connection: close', '', '{"choices":[{"index":0,"message":{"role":"assistant","content":"over TLS"},"finish_reason":"stop"}]}');
sub event { return sprintf qq(data: {"id":"x","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":%s}]}\n\n), $_[0], $_[1] ? qq("$_[1]") : 'null' }
sub cert { my ($name) = @_; return { SSL_cert_file => "$dir/$name.pem", SSL_key_file => "$dir/$name.key" } }

for my $where (@where) {
    my $path = "$where/v1/chat/completions";
    for my $kind (@kinds) {
        my ($stream, $kind_name) = @$kind;
        my $name = "$where $kind_name";

        # Verified, here and there.
        my ($c, $tag) = ask($path, 'up-tls', $stream);
        my $r = $c->response;
        is $r->{status}, 200, "$name verified: 200";
        is $r->text, 'Say this again', "$name verified: the answer";
        ok $r->complete, "$name verified: all of it";
        my $logged = access_wait($tag);
        is $logged->{error}, undef, "$name verified: no error";
        is $logged->{mode}, $parks && !$where ? 'parked' : 'blocking', "$name verified: how it ran";

        # Somebody else's certificate.
        ($c, $tag) = ask($path, 'up-badname', $stream);
        is_refused("$name, another's name", $c->response, $tag, 'up-badname');
        ok !was_asked($tag), "$name, another's name: it was asked nothing";

        # The same of one that works with the right certificate; and a certificate of nobody.
        SKIP: {
            skip 'no IO::Socket::SSL', 14 unless $tls;
            my $up = AIGW::Listener->new(port => own_port('tls_upstream'));
            for my $certificate (qw(selfsigned wrongname)) {
                my $name = "$name $certificate";
                ($c, $tag) = ask($path, 'own-tls', $stream);
                my $conn = $up->accept(tls => cert($certificate));
                # in TLS 1.3 the server learns of it behind its own handshake
                my $asked = $conn ? $conn->request : undef;
                is $asked, undef, "$name: not a byte of the request was sent";
                $conn->close if $conn;
                is_refused($name, $c->response, $tag, 'own-tls');
                ok !$up->waiting, "$name: and not tried again";
                # the same upstream, once it is in order
                ($c, $tag) = ask($path, 'own-tls', 0);
                $conn = $up->accept(tls => cert('server'));
                $conn->say(join "\r\n", @whole) if $conn && $conn->request;
                $conn->close if $conn;
                is $c->response->{status}, 200, "$name: it works as soon as the certificate is right";
            }
            $up->close;
        }

        # A member of a balancer whose certificate is wrong is as good as dead.
        my @answers = map { (ask($path, 'tls-half', $stream))[0]->response } 1 .. 6;
        is scalar(grep { $_->{status} == 200 && $_->text eq 'Say this again' } @answers), 6, "$name, a member with a wrong certificate: not seen";
    }

    # In step: each event is with the client before the upstream says the next, so nothing may wait in a record or in a buffer.
    SKIP: {
        skip 'no IO::Socket::SSL', 20 unless $tls;
        my $up = AIGW::Listener->new(port => own_port('tls_upstream'));
        my ($c, $tag) = ask($path, 'own-tls', 1);
        my $conn = $up->accept(tls => cert('server'));
        my $request = $conn->request;
        is $request->{header}{authorization}, 'Bearer sk-test-of-the-gateway', "$where in step: the key goes to the one who has proved it";
        $conn->say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
        for my $i (1 .. 8) {
            $conn->say(event("word $i"));
            $c->head if $i == 1;
            like $c->event->{data}, qr/"content":"word $i"/, "$where in step: event $i";
        }
        # an event in two records, two events in one record
        my $split = event('cut in two');
        $conn->say(substr $split, 0, 30);
        $conn->say(substr $split, 30);
        like $c->event->{data}, qr/cut in two/, "$where an event in two records";
        $conn->say(event('a') . event('b'));
        like $c->event->{data}, qr/"content":"a"/, "$where two events in a record: the first";
        like $c->event->{data}, qr/"content":"b"/, "$where two events in a record: the second";
        $conn->say(event('', 'stop') . "data: [DONE]\n\n");
        is +($c->events)[-1]{data}, '[DONE]', "$where in step: to the end";

        # TLS without its goodbye: a body that is delimited by the end of the connection may have been cut.
        $conn->close;
        is access_wait($tag)->{finish}, 'stop', "$where in step: logged";
        ($c, $tag) = ask($path, 'own-tls', 1);
        $conn = $up->accept(tls => cert('server'));
        $conn->request;
        $conn->say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" . event('half'));
        $c->head;
        like $c->event->{data}, qr/half/, "$where broken off: what came";
        $conn->rst;
        like +($c->events)[-1]{data}, qr/"code":"upstream_reset"/, "$where broken off: an error event";
        is access_wait($tag)->{error}, 'upstream_reset', "$where broken off: logged";

        # A client that leaves takes its upstream along.
        ($c, $tag) = ask($path, 'own-tls', 1);
        $conn = $up->accept(tls => cert('server'));
        $conn->request;
        $conn->say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" . event('one'));
        $c->head;
        like $c->event->{data}, qr/one/, "$where a client that leaves: what came";
        $c->close;
        is $conn->wait_eof, 'closed', "$where a client that leaves: the upstream is closed";
        is access_wait($tag)->{aborted}, 'X', "$where a client that leaves: logged";
        $up->close;
    }
}

log_clean();
