# Time-outs, comment lines in silence, and the caps of a stream: parked and blocking.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(time);
use AIGW::Client qw(chat post_json);
use AIGW::Log;
use AIGW::Raw;

my @where = ('', '/block');
plan tests => @where * 41 + 1, need_module('mod_aigw');
my $port = Apache::Test::vars('port');
expect_log(qr/AIGW0180: .*larger than AIGWMax/);

# Asks the raw upstream; the answer, how long it took, and the tag.
sub ask {
    my ($path, $scenario, %o) = @_;
    my $tag   = tag();
    my $began = time;
    my $r = chat('raw', 'x', port => $port, path => "$path/v1/chat/completions", stream => $o{stream}, headers => { 'X-Request-ID' => $tag },
        more => { scenario => $scenario, tag => $tag });
    return ($r, time - $began, $tag);
}

sub last_data { my ($r) = @_; return ($r->data)[-1] // '' }

for my $path (@where) {
    # before the first byte: the status is still to be had
    for my $stream (0, 1) {
        my ($r, $took, $tag) = ask("$path/t/first", 'silent', stream => $stream);
        is $r->{status}, 504, "$path first byte, stream $stream: 504";
        is $r->json->{error}{code}, 'upstream_timeout', '… upstream_timeout';
        is $r->json->{error}{type}, 'upstream_error', '… upstream_error';
        cmp_ok $took, '>=', 0.3, '… not before its time';
        ok raw_wait('closed', tag => $tag), '… and the upstream is let go';
    }
    my ($r) = ask("$path/t/first", 'ttft:100', stream => 1);
    is last_data($r), '[DONE]', "$path first byte: one that comes in time";

    # in the middle: the status is spent
    ($r, my $took, my $tag) = ask("$path/t/idle", 'stall:3', stream => 1);
    is $r->{status}, 200, "$path idle: the status was sent";
    like last_data($r), qr/"code":"upstream_timeout"/, '… then an error event';
    unlike $r->content, qr/\[DONE\]/, '… without [DONE]';
    unlike $r->content, qr/"finish_reason":"/, '… or a finish_reason';
    ok $r->complete, '… and a proper end of the response';
    ok raw_wait('closed', tag => $tag), '… and the upstream is let go';
    is access_wait($tag)->{error}, 'upstream_timeout', '… and the access log knows';
    ($r) = ask("$path/t/idle", 'stall:3', stream => 0);
    is $r->{status}, 504, "$path idle without a stream: 504";
    ($r) = ask("$path/t/idle", 'delay:150', stream => 1);
    is last_data($r), '[DONE]', "$path idle: signs of life keep it going";

    # in all
    ($r, $took) = ask("$path/t/total", 'delay:100:50', stream => 1);
    like last_data($r), qr/"code":"upstream_timeout"/, "$path total: however lively";
    cmp_ok $took, '>=', 0.6, '… not before its time';

    # comment lines
    my $c = AIGW::Client->new(port => $port);
    $tag = tag();
    $c->request(POST => "$path/t/keepalive/v1/chat/completions",
        json => { model => 'raw', scenario => 'silent', tag => $tag, stream => \1, messages => [{ role => 'user', content => 'x' }] });
    is $c->head->{status}, 200, "$path keep-alive: the first comment commits the status";
    for (1 .. 3) {
        my $e = $c->event;
        is_deeply [$e->{data}, $e->{comments}], [undef, ['keep-alive']], "$path keep-alive: a bare comment line $_";
    }
    $c->close;
    $c = AIGW::Client->new(port => $port);
    $tag = tag();
    $c->request(POST => "$path/t/keepalive/v1/chat/completions",
        json => { model => 'raw', scenario => 'gate:2', tag => $tag, stream => \1, messages => [{ role => 'user', content => 'x' }] });
    $c->head;
    my $comments = 0;
    while (my $e = $c->event) {
        $comments++ unless defined $e->{data};
        raw_go($tag) if $comments == 3;
        last if ($e->{data} // '') eq '[DONE]';
    }
    cmp_ok $comments, '>=', 3, "$path keep-alive: in mid-stream too, and the answer goes on after it";
    ($r) = ask("$path/t/quiet", 'ttft:300', stream => 1);
    unlike $r->content, qr/^:/m, "$path keep-alive off: none";
    ($r) = ask("$path/t/keepalive", 'ttft:300', stream => 0);
    is $r->text, 'one two three four five', "$path keep-alive: none where there is no stream";

    # a failure after the first comment is an error event
    $r = chat('raw', 'x', port => $port, path => "$path/t/keepalive/v1/chat/completions", stream => 1, more => { scenario => 'ttft:250', aigw => 1 });
    is last_data($r), '[DONE]', "$path keep-alive, then an answer";

    # caps
    ($r) = ask("$path/t/maxbytes", 'long:1000', stream => 1);
    like last_data($r), qr/"code":"upstream_invalid_response"/, "$path bytes: the stream ends with an error";
    cmp_ok length $r->content, '<', 40_000, '… not much after the cap';
    ($r, $took) = ask("$path/t/maxtime", 'delay:50:100', stream => 1);
    like last_data($r), qr/"code":"upstream_timeout"/, "$path time: the stream ends with an error";
    cmp_ok $took, '>=', 0.4, '… not before its time';
    ($r) = ask("$path/t/maxevent", 'pad:4000', stream => 1);
    like last_data($r), qr/"code":"upstream_invalid_response"/, "$path event size: the stream ends with an error";
    ($r) = ask("$path/t/maxanswer", 'huge-event', stream => 0);
    is $r->{status}, 502, "$path answer size: 502";

    # the built-in model's own
    $r = chat('echo-stall', 'a b', port => $port, path => "$path/t/idle/v1/chat/completions", stream => 1);
    like last_data($r), qr/"code":"upstream_timeout"/, "$path the built-in model stalls";
    $r = chat('echo-reset', 'a b', port => $port, path => "$path/v1/chat/completions", stream => 1);
    like last_data($r), qr/"code":"upstream_reset"/, "$path the built-in model breaks off";
    $r = chat('echo-429', 'a b', port => $port, path => "$path/v1/chat/completions");
    is $r->{status}, 429, "$path the built-in model fails";
    $r = post_json("$path/v1/chat/stream", { message => 'x', model => 'echo-reset' }, port => $port);
    like last_data($r), qr/"code":"upstream_reset"/, "$path /v1/chat/stream: an error event";
    $r = post_json(($path || '') . '/api/v1/stream/generate', { prompt => 'x', model => 'echo-reset' }, port => $port);
    is(($r->events)[-1]{event}, 'error', "$path generate-stream: event: error");
}
log_clean();
