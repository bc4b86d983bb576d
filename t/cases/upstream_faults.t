# An upstream that fails, in every way there is. Before anything has been said the client gets a JSON error with its status; in the middle of a stream one
# error event and the end of the connection, without [DONE] and without a finish_reason. Nothing internal is in either.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use AIGW::Client;
use AIGW::Faults qw(faults);
use AIGW::Log;
use AIGW::Raw;

use constant { BEFORE => 8, AFTER => 12 };    # checks of a failure
use constant THEN => 'answered';                # the response ends, and ends properly: an unannounced close would hit a pooled client's next request

my $port  = Apache::Test::vars('port');
my $json  = JSON::PP->new->allow_nonref;
my $parks = Apache::Test::have_module('mpm_event');
my @where = ('', '/block');
my $timeout = 'upstream_timeout';

my @faults = faults();
my @simple = grep { $_->[5] } @faults;

my $plan = 0;
for my $f (@faults) { $plan += defined $f->[2] ? AFTER : BEFORE; $plan += BEFORE if $f->[4] }
$plan += 2 * (defined $_->[5]{tokens} ? AFTER : BEFORE) + 2 * BEFORE for @simple;
plan tests => ($plan + 4) * @where + 2, need_module('mod_aigw', 'mod_aigw_stream');

expect_log(qr/AIGW018[0146]: /);

# ------------------------------------------------------------------ what a failure looks like

my $INTERNAL = qr{127\.0\.0\.1|::1|localhost|:\d{4}|AIGW\d|sk-test|rawup|proxy|socket|errno|/(?:tmp|work|home|usr|v1)\b|\.[ch]\b|jansson|\bapr\b}i;

sub status_of { return $_[0] eq $timeout ? 504 : 502 }

# One shape, all four keys, whatever failed: 3 checks.
sub looks_right {
    my ($name, $error, $code) = @_;
    is $error->{code}, $code, "$name: the code";
    is join(' ', (sort keys %$error), $error->{type} // ''), 'code message param type upstream_error', "$name: the shape";
    ok length($error->{message}) && $error->{message} !~ $INTERNAL, "$name: a message without anything internal" or diag $error->{message};
    return;
}

sub is_logged {
    my ($name, $path, $tag, $status, $code) = @_;
    my $logged = access_wait($tag);
    is "$logged->{status} @{[$logged->{error} // q(-)]}", "$status $code", "$name: the access log";
    is $logged->{mode}, $parks && $path !~ m{^/block} ? 'parked' : 'blocking', "$name: how it ran";
    return;
}

sub is_answer {
    my ($name, $path, $tag, $c, $code) = @_;
    my $r = $c->response;
    is $r->{status}, status_of($code), "$name: the status";
    is $r->header('Content-Type'), 'application/json', "$name: JSON";
    is $r->header('X-Request-ID'), $tag, "$name: the request ID";
    looks_right($name, eval { $r->json->{error} } || {}, $code);
    is_logged($name, $path, $tag, status_of($code), $code);
    return;
}

# n events of the stream, then one error event ($event is its name), then nothing
sub is_cut_stream {
    my ($name, $path, $tag, $c, $code, $n, $event) = @_;
    my $r = $c->head;
    is $r->{status}, 200, "$name: had begun";
    my @events = grep { defined $_->{data} } $c->events;
    my @errors = grep { $_->{data} =~ /^\{"error":/ } @events;
    is scalar(@events) - @errors, $n, "$name: what came before it";
    is scalar(@errors), 1, "$name: one error event" or diag map { "$_->{data}\n" } @events;
    is $events[-1]{data}, $errors[0]{data}, "$name: … the last";
    is_deeply [map { $_->{event} } @events], [(undef) x $n, $event], "$name: the events' names";
    ok !(grep { $_->{data} eq '[DONE]' || $_->{data} =~ /"finish_reason":\s*"|"done"/ } @events), "$name: nobody takes it for finished";
    looks_right($name, eval { $json->decode($errors[0]{data})->{error} } || {}, $code);
    is_logged($name, $path, $tag, 200, $code);
    return;
}

# Behind an error event: a whole body. The next question on the connection is "answered", or it is "closed".
my %then;
sub is_well_ended {
    my ($name, $where, $c) = @_;
    ok $c->{r}->complete, "$name: a whole body";
    $c->request(GET => '/static.txt');
    my $then = eval { $c->response; 1 } ? 'answered' : $c->{eof} ? 'closed' : $@;
    push @{ $then{$where}{$then} }, $name;
    return;
}

sub ask {
    my ($path, $data) = @_;
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $path, headers => { 'X-Request-ID' => $tag }, json => $data);
    return ($c, $tag);
}

# ------------------------------------------------------------------ OpenAI's dialect

for my $where (@where) {
    for my $fault (@faults) {
        my ($scenario, $below, $events, $stream_code, $whole_code) = @$fault;
        my $path = "$where$below/v1/chat/completions";
        my %body = (model => 'raw', scenario => $scenario, messages => [{ role => 'user', content => 'hello' }]);

        my ($c, $tag) = ask($path, { %body, stream => \1 });
        my $name = "$where$below $scenario, stream";
        if (defined $events) { is_cut_stream($name, $path, $tag, $c, $stream_code, $events) }
        else                 { is_answer($name, $path, $tag, $c, $stream_code) }
        is_well_ended($name, $where, $c) if defined $events;

        next unless $whole_code;
        ($c, $tag) = ask($path, { %body, stream => \0 });
        is_answer("$where$below $scenario, whole", $path, $tag, $c, $whole_code);
    }
}

# ------------------------------------------------------------------ the others

for my $where (@where) {
    for my $fault (@simple) {
        my ($scenario, $below, undef, $stream_code, $whole_code, $o) = @$fault;
        my %model = (model => "raw:$scenario");
        for my $dialect (
            ["$where$below/v1/chat/stream",            { %model, message => 'hello' }, 1],
            ["$where$below/api/v1/stream/generate",    { %model, prompt  => 'hello' }, 1, 'error'],
            ["$where$below/v1/chat",                   { %model, message => 'hello' }],
            ["$where$below/api/v2/generate",           { %model, prompt  => 'hello' }],
        ) {
            my ($path, $data, $stream, $event) = @$dialect;
            my ($c, $tag) = ask($path, $data);
            my $name = "$path $scenario";
            if (!$stream)                      { is_answer($name, $path, $tag, $c, $whole_code) }
            elsif (!defined $o->{tokens})      { is_answer($name, $path, $tag, $c, $stream_code) }
            else {
                is_cut_stream($name, $path, $tag, $c, $stream_code, $o->{tokens}, $event);
                is_well_ended($name, $where, $c);
            }
        }
    }
}

# Its finish_reason has been told when it breaks off: that is not its end, but an error event is.
for my $where (@where) {
    my ($c, $tag) = ask("$where/v1/chat/completions", { model => 'raw', scenario => 'half-done', stream => \1, messages => [{ role => 'user', content => 'hello' }] });
    $c->head;
    my @data = map { $_->{data} // () } $c->events;
    like $data[-1], qr/^\{"error":.*"upstream_reset"/, "$where half an event behind the finish_reason: an error event";
    ok $c->{r}->complete, "$where … and a whole body";
    is access_wait($tag)->{error}, 'upstream_reset', "$where … and the access log";
}

for my $where (@where) { is join(', ', sort keys %{ $then{$where} }), THEN, "$where: what becomes of a connection behind an error event" }
is AIGW::Client::chat('raw', 'hello', port => $port)->text, 'one two three four five', 'the gateway is well, and so are its connections';
log_clean();
