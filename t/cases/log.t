# What the logs say of a request, and what they never say: the variables AIGW_* of the access log, the numbers of the error log, no key anywhere.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(get);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Server;

my $port  = Apache::Test::vars('port');
my $event = Apache::Test::have_module('mpm_event');
my @where = ('', '/block');
my $hi    = '"messages":[{"role":"user","content":"one two three"}]';

# method, path, body; status, model, upstream, prompt, completion, finish, error, whether a model was asked
my @cases = (
    ['POST', '/v1/chat/completions', "{\"model\":\"echo\",$hi}",                       200, 'echo', 'echo', 3, 3, 'stop', undef, 1],
    ['POST', '/v1/chat/completions', "{\"model\":\"echo\",\"stream\":true,$hi}",       200, 'echo', 'echo', 3, 3, 'stop', undef, 1],
    ['POST', '/v1/chat/completions', "{\"model\":\"org/parrot-1\",$hi}",               200, 'echo', 'echo', 3, 3, 'stop', undef, 1],
    ['POST', '/v1/chat/completions', "{$hi}",                                          200, 'echo', 'echo', 3, 3, 'stop', undef, 1],
    ['POST', '/v1/chat/completions', "{\"model\":\"echo\",\"max_tokens\":2,\"stream\":true,$hi}", 200, 'echo', 'echo', 3, 2, 'length', undef, 1],
    ['POST', '/v1/chat/completions', "{\"model\":\"echo\",\"n\":2,$hi}",               200, 'echo', 'echo', 3, 6, 'stop', undef, 1],
    ['POST', '/v1/chat/completions', "{\"model\":\"raw\",$hi}",                        200, 'raw', 'openai', 7, 5, 'stop', undef, 1],
    ['POST', '/v1/chat/completions', "{\"model\":\"raw\",\"stream\":true,$hi}",        200, 'raw', 'openai', 7, 5, 'stop', undef, 1],
    ['POST', '/v1/chat/completions', "{\"model\":\"raw\",\"scenario\":\"tools\",\"stream\":true,$hi}", 200, 'raw', 'openai', 7, 9, 'tool_calls', undef, 1],
    ['POST', '/v1/chat',                '{"message":"a b"}',                           200, 'echo', 'echo', 2, 2, 'stop', undef, 1],
    ['POST', '/v1/chat/stream',         '{"message":"a b","model":"raw:ok"}',          200, 'raw:ok', 'openai', 7, 5, 'stop', undef, 1],
    ['POST', '/api/v1/generate',        '{"prompt":"a b","max_tokens":1}',             200, 'echo', 'echo', 2, 1, 'length', undef, 1],
    ['POST', '/api/v2/generate',        '{"prompt":"a b"}',                            200, 'echo', 'echo', 2, 2, 'stop', undef, 1],
    ['POST', '/api/v1/stream/generate', '{"prompt":"a b"}',                            200, 'echo', 'echo', 2, 2, 'stop', undef, 1],
    ['GET',  '/v1/models',              undef,                                         200, undef, undef, undef, undef, undef, undef, 0],
    ['GET',  '/v1/models/nobody',       undef,                                         404, undef, undef, undef, undef, undef, 'model_not_found', 0],
    ['GET',  '/v1/chat',                undef,                                         405, undef, undef, undef, undef, undef, 'method_not_allowed', 0],
    ['POST', '/v1/chat',                '{',                                           400, undef, undef, undef, undef, undef, 'invalid_json', 0],
    ['POST', '/v1/chat',                '{"message":""}',                              400, undef, undef, undef, undef, undef, 'validation_error', 0],
    ['POST', '/v1/chat/completions',    "{\"model\":\"nobody\",$hi}",                  404, undef, undef, undef, undef, undef, 'model_not_found', 0],
    ['POST', '/v1/chat/completions',    "{\"model\":\"echo-429\",$hi}",                429, 'echo-429', 'echo', undef, undef, undef, 'rate_limit_exceeded', 1],
    ['POST', '/v1/chat/completions',    "{\"model\":\"dead\",$hi}",                    502, 'dead', 'openai', undef, undef, undef, 'upstream_connect_failed', 1],
    ['POST', '/v1/chat/completions',    "{\"model\":\"raw\",\"scenario\":\"status:401\",$hi}", 502, 'raw', 'openai', undef, undef, undef, 'upstream_auth_failed', 1],
    ['POST', '/v1/chat/completions',    "{\"model\":\"raw\",\"scenario\":\"html\",\"stream\":true,$hi}", 502, 'raw', 'openai', undef, undef, undef, 'upstream_invalid_response', 1],
    # a stream that broke: 200 it was, but not finished
    ['POST', '/v1/chat/completions',    "{\"model\":\"raw\",\"scenario\":\"close-mid-event\",\"stream\":true,$hi}", 200, 'raw', 'openai', undef, undef, undef, 'upstream_reset', 1],
    ['POST', '/v1/chat/completions',    "{\"model\":\"echo-reset\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a b c d e\"}]}", 200, 'echo-reset', 'echo', undef, undef, undef, 'upstream_reset', 1],
    # httpd's own, where AIGWErrors is on
    ['GET',  '/t/errors/nowhere',       undef,                                         404, undef, undef, undef, undef, undef, 'not_found', 0],
);
# Bodies whose framing is wrong: the log and the client are told the same.
my @framing = (['zz'], ["2\r\n{}xx"], ['fffffffffffffffff']);
my @secret_scenarios = ('status:401', 'status:403', 'status:500', 'close-before', 'html', 'garbage', 'bad-chunk', 'cut', 'error-event', 'big-header', 'close-mid-event');
plan tests => @where * (9 * @cases + 2 * @framing + 4) + 3 * 2 + @where * 2 * @secret_scenarios + 8 + 7 + 6 + 1, need_module('mod_aigw', 'mod_aigw_stream');
expect_log(qr/AIGW0173: .* model dead/, qr/AIGW018\d: .* model raw:/, qr/AIGW0202: .* model raw/, qr/AIGW0180/);

sub ask {
    my ($method, $path, $body, @fields) = @_;
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    $c->request($method => $path, headers => [Connection => 'close', 'X-Request-ID' => $tag, @fields], defined $body ? (body => $body) : ());
    return ($tag, $c->response);
}

# What has been logged since this test began.
my $access = "$ENV{AIGW_LOGS}/access_log";
my $before = -s $access // 0;
sub access_lines { open my $fh, '<', $access or die "$access: $!"; seek $fh, $before, 0; return <$fh> }

for my $where (@where) {
    for my $case (@cases) {
        my ($method, $path, $body, $status, $model, $upstream, $prompt, $completion, $finish, $error, $asked) = @$case;
        my $name = "$method $where$path " . substr $body // '', 0, 60;
        my ($tag, $r) = ask($method, "$where$path", $body);
        my $l = access_wait($tag);
        is "$r->{status} $l->{status}", "$status $status", "$name: the status";
        is $l->{model}, $model, "$name: AIGW_MODEL";
        is $l->{upstream}, $upstream, "$name: AIGW_UPSTREAM";
        is join(' ', map { $_ // '-' } @$l{qw(prompt completion)}), join(' ', map { $_ // '-' } $prompt, $completion), "$name: AIGW_PROMPT_TOKENS and AIGW_COMPLETION_TOKENS";
        is $l->{finish}, $finish, "$name: AIGW_FINISH";
        is $l->{error}, $error, "$name: AIGW_ERROR";
        # a call that failed at once has not been parked
        my $mode = !$asked ? qr/^-$/ : $where || !$event ? qr/^blocking$/ : $status < 400 ? qr/^parked$/ : qr/^(?:parked|blocking)$/;
        like $l->{mode} // '-', $mode, "$name: AIGW_MODE";
        like $l->{ttft} // '', qr/^\d+$/, "$name: AIGW_TTFT_MS";
        is $l->{bytes}, length $r->content, "$name: bytes";
    }
    for my $case (@framing) {
        my $tag = tag();
        my $c = AIGW::Client->new(port => $port);
        $c->send_raw("POST $where/v1/chat HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: $tag\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n$case->[0]\r\n");
        my $status = $c->response->{status};
        my $l = access_wait($tag);
        my $name = "$where a chunk '" . substr($case->[0], 0, 10) =~ s/[\r\n]+/ /gr . "'";
        is $l->{status}, $status, "$name: the same status for the client and the log";
        is $l->{error}, $status == 413 ? 'request_too_large' : 'bad_request', "$name: AIGW_ERROR";
    }

    # how long it took to the first byte, and in all
    my ($tag, $r) = ask(POST => "$where/v1/chat/completions", "{\"model\":\"raw\",\"scenario\":\"ttft:200\",\"stream\":true,$hi}");
    my $l = access_wait($tag);
    cmp_ok $l->{ttft}, '>=', 200, "$where AIGW_TTFT_MS: to the first byte";
    cmp_ok $l->{us}, '>=', 200_000, "$where %D: in all";
    ($tag, $r) = ask(POST => "$where/v1/chat/completions", "{\"model\":\"raw\",\"scenario\":\"delay:30:20\",\"stream\":true,$hi}");
    $l = access_wait($tag);
    cmp_ok $l->{us}, '>=', 600_000, "$where %D: to the last byte";
    cmp_ok $l->{ttft}, '<', $l->{us} / 1000 - 100, "$where AIGW_TTFT_MS: not to the last byte";
}

# What is not the gateway's has none of them, and what is pipelined has its own.
{
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    my @id = map { "$tag-$_" } 1 .. 3;
    $c->send_raw(join '', map { $c->request_bytes(POST => '/v1/chat', headers => { 'X-Request-ID' => $id[$_] }, json => { message => join ' ', ('w') x ($_ + 1) }) } 0 .. 2);
    $c->response for 1 .. 3;
    for my $i (0 .. 2) {
        my $l = access_wait($id[$i]);
        is $l->{completion}, $i + 1, "pipelined, request $i: its own tokens";
        is $l->{status}, 200, "pipelined, request $i: its own status";
    }
}

# ------------------------------------------------------------------ keys and what people say are in no log

my $key    = 'sk-test-of-the-gateway';
my $client = 'sk-of-the-client-7f3a';
my $prompt = 'a-secret-in-the-prompt-7f3a';
for my $where (@where) {
    for my $scenario (@secret_scenarios) {
        my ($tag, $r) = ask(POST => "$where/v1/chat/completions", "{\"model\":\"raw\",\"scenario\":\"$scenario\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"$prompt\"}]}",
            Authorization => "Bearer $client", 'X-API-Key' => $client, Cookie => "session=$client");
        my $l = access_wait($tag);
        isnt $l->{error}, undef, "$where $scenario: AIGW_ERROR is set";
        unlike $r->content . join('', map { "@$_" } @{ $r->{fields} }), qr/\Q$key\E|\Q$client\E|127\.0\.0\.1/, "$where $scenario: nothing internal, nothing secret in the answer";
    }
}
my ($tag) = ask(POST => '/v1/chat/completions', "{\"model\":\"$prompt\",\"messages\":\"$prompt", Authorization => "Bearer $client");
access_wait($tag);
($tag) = ask(POST => '/v1/chat/completions', "{\"model\":\"raw\",\"messages\":[{\"role\":\"$prompt\"}]}", Authorization => "Bearer $client");
access_wait($tag);
for my $case ([error_log => log_lines()], [access_log => access_lines()]) {
    my ($log, @lines) = @$case;
    my $text = join '', @lines;
    unlike $text, qr/\Q$key\E/, "$log: not the gateway's key";
    unlike $text, qr/\Q$client\E/, "$log: not the client's";
    unlike $text, qr/\Q$prompt\E/, "$log: not what was said";
    unlike $text, qr/Bearer/, "$log: no credential at all";
}

# Each line of ours has a number, and those about a request its ID.
my @ours = log_lines(qr/\[aigw\w*:(?:warn|error|crit|alert|emerg|notice|info)\]/);
cmp_ok scalar @ours, '>', 10, 'there are lines of ours';
is_deeply [grep { !/\bAIGW\d{4}: / } @ours], [], 'each has its number';
is_deeply [grep { /AIGW01[278]\d: (?!\[)/ } @ours], [], 'those about a call have its ID';
($tag) = ask(POST => '/v1/chat/completions', "{\"model\":\"dead\",$hi}");
my $line = log_wait(qr/AIGW0173: \[\Q$tag\E\]/);
like $line, qr/model dead: upstream http:\/\/127\.0\.0\.1:\d+\/v1 cannot be reached/, 'AIGW0173: the ID, the model and the upstream';
($tag) = ask(POST => '/v1/chat/completions', "{\"model\":\"raw\",\"scenario\":\"status:401\",$hi}");
$line = log_wait(qr/AIGW0182: \[\Q$tag\E\]/);
like $line, qr/model raw: .*key from env:AIGW_TEST_KEY/, 'AIGW0182: where the key came from';
unlike $line, qr/\Q$key\E/, 'AIGW0182: … and not what it is';
my %numbers = map { /\b(AIGW\d{4}):/ ? ($1 => 1) : () } log_lines();
open my $doc, '<', "$ENV{AIGW_SRC}/../docs/errors.md" or die "docs/errors.md: $!";
my %explained = map { /^## (AIGW\d{4})\s*$/ ? ($1 => 1) : () } <$doc>;
is_deeply [grep { !$explained{$_} } sort keys %numbers], [], 'each number is explained in docs/errors.md';

# ------------------------------------------------------------------ in a log of another form

my $s = AIGW::Server->new(conf => <<'CONF');
LogFormat "own=%{X-Request-ID}o status=%>s model=%{AIGW_MODEL}e error=%{AIGW_ERROR}e trace=%{AIGW_TRACE_ID}e log=%L" own
CustomLog own_log own
LogLevel aigw:debug
ErrorLogFormat "%l id=%L %M"
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
AIGWDefaultModel echo
<Location "/chat">
    SetHandler aigw-chat
</Location>
CONF
my $c = AIGW::Client->new(port => $s->{port});
$c->request(POST => '/chat', headers => { 'X-Request-ID' => 'own-1', traceparent => '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' }, json => { message => 'a' });
is $c->response->{status}, 200, 'a log of its own form: 200';
$c->request(POST => '/chat', headers => { 'X-Request-ID' => 'own-2' }, json => { message => 'a', model => 'nobody' });
is $c->response->{status}, 404, 'a log of its own form: 404';
$c->close;
$s->stop; # then all is written
my %own = map { /^own=(\S+) (.*)/ ? ($1 => $2) : () } split /\n/, AIGW::Services::slurp("$s->{dir}/own_log") // '';
like $own{'own-1'} // '', qr/^status=200 model=echo error=- trace=4bf92f3577b34da6a3ce929d0e0e4736 log=own-1$/, 'AIGW_TRACE_ID, and %L is the request ID';
like $own{'own-2'} // '', qr/^status=404 model=- error=model_not_found trace=[0-9a-f]{32} log=own-2$/, 'an error: the same';
is scalar keys %own, 2, 'a line a request';
is_deeply [$s->crashes], [], 'nothing bad in its error log';

log_clean();
