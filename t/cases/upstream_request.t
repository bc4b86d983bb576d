# What the upstream receives: where it is asked, which header fields, and the client's body as it came but for what must change.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha1_hex);
use JSON::PP ();
use List::Util qw(max);
use AIGW::Client;
use AIGW::Log;
use AIGW::Raw;

my $port  = Apache::Test::vars('port');
my $raw   = Apache::Test::vars('raw_port');
my $event = Apache::Test::have_module('mpm_event');
my @where = ('', '/block');

# Bodies that a re-serialisation would change. MODEL stands for the model's name.
my $image = 'iVBORw0KGgo' . 'A/b+' x 20_000;
my %bodies = (
    'white space'     => qq(  \t{\r\n\t"model"  :\t"MODEL" ,\n\n  "messages" : [ { "role":"user" ,  "content":"hi" } ]\r\n  }\r\n\n  ),
    'none at all'     => '{"model":"MODEL","messages":[{"role":"user","content":"hi"}]}',
    'escapes'         => '{"messages":[{"role":"user","content":"\u0041\/\b\f\n\r\t\"\\\\ \ud83d\ude00 \u00e9 \u0000 \u2028"}],"model":"MODEL"}',
    'unicode'         => qq({"messages":[{"role":"user","content":"h\xc3\xa9llo \xe2\x80\xa8 \xf0\x9f\x98\x80 \x7f"}],"model":"MODEL","user":"Z\xc3\xbcrich"}),
    'order of keys'   => '{"zeta":1,"messages":[{"content":"hi","role":"user"}],"alpha":{"z":1,"a":2},"model":"MODEL","beta":[]}',
    'numbers'         => '{"model":"MODEL","temperature":1e0,"top_p":1.0,"seed":12345678901234567890,"x":[1e3,1E+3,-0,-0.0,0.10,1.7976931348623157e308,'
        . '123456789012345678901234567890.5,5e-324],"messages":[{"role":"user","content":"hi"}]}',
    'quoted members'  => '{"messages":[{"role":"user","content":"\"model\":\"other\",\"stream\":true,\"stream_options\":{}"}],"model":"MODEL"}',
    'model elsewhere' => '{"x":{"model":"inner","stream":true},"messages":[{"role":"user","content":"hi","model":"m"}],"model":"MODEL"}',
    'unknown members' => '{"model":"MODEL","messages":[{"role":"user","content":"hi"}],"a_new_parameter":{"deep":[null,true,{"x":[[[]]]}]},"":0}',
    'stream: false'   => '{"model":"MODEL","stream" : false,"messages":[{"role":"user","content":"hi"}]}',
    'an image'        => qq({"model":"MODEL","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,$image"}}]}]}),
);
my @awkward = sort keys %bodies;

my @dialects = (['/v1/chat', { message => 'hello' }], ['/v1/chat/stream', { message => 'hello' }], ['/api/v1/stream/generate', { prompt => 'hello' }],
    ['/api/v2/generate', { prompt => 'hello', max_tokens => 77, temperature => 0.25 }]);

plan tests => @where * (19 + 8 + 4 + 3 * @awkward + 4 + @dialects * 4 + 4) + 4 + 1, need_module('mod_aigw', 'mod_aigw_stream');

sub ask {
    my ($path, %o) = @_;
    my $tag = tag();
    my $c = AIGW::Client->new(port => $port);
    $c->request(POST => $path, %o, headers => ['X-Request-ID' => $tag, @{ $o{headers} || [] }]);
    my $r = $c->response;
    my @requests = @{ raw_log($tag)->{requests} };
    return ($r, $requests[0] || { header => {}, headers => [] }, $tag);
}

sub named { my ($request, $name) = @_; return map { $_->[1] } grep { lc $_->[0] eq $name } @{ $request->{headers} } }

my $question = [{ role => 'user', content => 'hello' }];
my %alien = (
    Authorization         => 'Bearer client-secret',
    Cookie                => 'session=client-secret',
    'X-API-Key'           => 'client-secret',
    'api-key'             => 'client-secret',
    'Proxy-Authorization' => 'Basic client-secret',
    'X-Extra'             => 'client-secret',
    'X-Forwarded-For'     => '192.0.2.1',
    'X-Forwarded-Host'    => 'client.example',
    'X-Forwarded-Proto'   => 'https',
    Forwarded             => 'for=192.0.2.1',
    Via                   => '1.1 client.example',
    Connection            => 'keep-alive, X-Hop',
    'Keep-Alive'          => 'timeout=5',
    TE                    => 'trailers',
    'X-Hop'               => 'client-secret',
    'Accept-Encoding'     => 'gzip, br',
    Origin                => 'https://client.example',
    Referer               => 'https://client.example/client-secret',
    'User-Agent'          => 'client-secret/1.0',
    'OpenAI-Organization' => 'client-secret',
);

for my $where (@where) {
    my $path = "$where/v1/chat/completions";

    # A client that says all it can.
    my ($r, $q, $tag) = ask("$path?secret=client-secret", json => { model => 'raw', messages => $question, stream => \1 }, headers => [%alien]);
    is $r->{status}, 200, "$where answered";
    is $q->{method}, 'POST', "$where the method";
    is $q->{path}, '/v1/chat/completions', "$where the path, without the client's query";
    is_deeply [named($q, 'host')], ["127.0.0.1:$raw"], "$where Host is the upstream's";
    is_deeply [named($q, 'authorization')], ['Bearer sk-test-of-the-gateway'], "$where the gateway's own key";
    is_deeply [named($q, 'x-extra')], ['from-the-gateway'], "$where header.NAME, once";
    is_deeply [named($q, 'x-request-id')], [$tag], "$where X-Request-ID";
    is_deeply [named($q, 'accept-encoding')], ['identity'], "$where Accept-Encoding";
    is_deeply [named($q, 'content-type')], ['application/json'], "$where Content-Type";
    is_deeply [named($q, 'content-length')], [$q->{body_length}], "$where Content-Length";
    is_deeply [named($q, 'transfer-encoding')], [], "$where no Transfer-Encoding";
    is_deeply [named($q, 'connection')], ['keep-alive'], "$where Connection is ours";
    is_deeply [named($q, 'accept')], ['text/event-stream'], "$where Accept";
    is scalar(grep { $_->[1] =~ /client-secret/ } @{ $q->{headers} }), 0, "$where no credential of the client's" or diag explain $q->{headers};
    is scalar(grep { /^(?:x-forwarded|forwarded|via|te|keep-alive|x-hop|cookie|api-key|x-api-key|proxy-|origin)/ } keys %{ $q->{header} }), 0,
        "$where nothing hop by hop, nothing forwarded" or diag explain $q->{headers};
    is scalar(grep { $_->[1] =~ /192\.0\.2\.1|client\.example/ } @{ $q->{headers} }), 0, "$where no address of the client's";
    my ($trace) = named($q, 'traceparent');
    like $trace, qr/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, "$where a trace is begun";
    unlike $trace, qr/^00-0{32}|-0{16}-/, "$where … with IDs";
    is scalar(() = named($q, 'traceparent')), 1, "$where … once";

    # A trace that goes on, and IDs that are not taken.
    my $given = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    (undef, $q) = ask($path, json => { model => 'raw', messages => $question }, headers => [traceparent => $given]);
    ($trace) = named($q, 'traceparent');
    like $trace, qr/^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/, "$where the trace is continued";
    unlike $trace, qr/00f067aa0ba902b7/, "$where … in a span of its own";
    is_deeply [named($q, 'accept')], ['application/json'], "$where Accept, whole";
    for my $bad ('00-00000000000000000000000000000000-00f067aa0ba902b7-01', "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 'nonsense') {
        (undef, $q) = ask($path, json => { model => 'raw', messages => $question }, headers => [traceparent => $bad]);
        ($trace) = named($q, 'traceparent');
        like $trace, qr/^00-(?!0{32})(?!4bf92f3577b34da6a3ce929d0e0e4736)[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, "$where a new trace instead of $bad";
    }
    my $no_id = AIGW::Client->new(port => $port);
    my $mark = tag();
    $no_id->request(POST => $path, headers => { 'X-Request-ID' => 'not one; is it' }, json => { model => 'raw', tag => $mark, messages => $question });
    my $own = $no_id->response->header('X-Request-ID');
    like $own, qr/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, "$where a new request ID";
    is_deeply [named(raw_log($mark)->{requests}[0], 'x-request-id')], [$own], "$where … is the upstream's too";

    # The model's name.
    (undef, $q) = ask($path, json => { model => 'raw', messages => $question });
    like $q->{body}, qr/"model":"raw"/, "$where a model without model=: its own name";
    (undef, $q) = ask($path, json => { model => 'raw:ok', messages => $question });
    like $q->{body}, qr/"model":"s:ok"/, "$where a model with model=: that name";
    unlike $q->{body}, qr/raw:ok/, "$where … and not ours";
    is_deeply [named($q, 'authorization'), named($q, 'x-extra')], [], "$where a model without key= or header.NAME has none";

    # Bodies.
    for my $which (@awkward) {
        for my $case (['raw', 'raw', ''], ['raw:ok', 's:ok', ', another model']) {
            my ($asked, $got, $name) = @$case;
            my $body = $bodies{$which} =~ s/MODEL/$asked/r;
            (my $r, $q) = ask($path, body => $body);
            is $q->{body_sha1}, sha1_hex($bodies{$which} =~ s/MODEL/$got/r), "$where $which$name: byte for byte" or diag $r->content, $q->{body} // '';
        }
        (undef, $q) = ask($path, body => $bodies{$which} =~ s/MODEL/raw/r, chunked => 1);
        is $q->{body_sha1}, sha1_hex($bodies{$which} =~ s/MODEL/raw/r), "$where $which, sent in chunks: byte for byte";
    }
    my $both = '{ "stream":true , "stream_options":{"include_usage" : true, "x":1.0}, "model":"raw", "messages":[{"role":"user","content":"hi"}] }';
    (undef, $q) = ask($path, body => $both);
    is $q->{body_sha1}, sha1_hex($both), "$where a stream with usage: byte for byte";
    my $stream = '{ "n":1e0, "stream":true, "model" : "raw:ok", "stream_options":{ "x":1.0 }, "messages":[{"role":"user","content":"\u00e9"}] }';
    (undef, $q) = ask($path, body => $stream);
    my $rest = $q->{body} =~ s/"include_usage"\s*:\s*true,?//r =~ s/"s:ok"/"raw:ok"/r;
    is $rest, $stream, "$where a stream without usage: the two edits and nothing else" or diag $q->{body};
    # a name that is written with an escape is the same name
    my $escaped = '{"mod\u0065l":"raw\u003aok","messages":[{"role":"user","content":"hi"}]}';
    (undef, $q) = ask($path, body => $escaped);
    is eval { JSON::PP->new->decode($q->{body})->{model} }, 's:ok', "$where an escaped model";
    is scalar(() = ($q->{body} // '') =~ /"mod(?:e|\\u0065)l"/g), 1, "$where … is named once";

    # Dialects whose question is made by the gateway.
    for my $dialect (@dialects) {
        my ($below, $data) = @$dialect;
        (my $r, $q) = ask("$where$below", json => { model => 'raw:ok', %$data });
        my $body = eval { JSON::PP->new->decode($q->{body}) } || {};
        is $q->{path}, '/v1/chat/completions', "$where$below: the path";
        is $body->{model}, 's:ok', "$where$below: the model";
        is_deeply $body->{messages}, $question, "$where$below: the messages";
        my $stream = $below =~ /stream/ ? 1 : 0;
        my @parameters = $below =~ /generate/ ? ($data->{max_tokens} // 1024, $data->{temperature} // 0.7) : ('-', '-');
        is join(' ', $body->{stream} ? 1 : 0, $body->{stream_options}{include_usage} ? 1 : 0, map { $_ // '-' } @$body{qw(max_tokens temperature)}),
            "$stream $stream @parameters", "$where$below: the parameters";
    }

    # 20 MB arrive as they are.
    my $large = '{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,' . 'QUJD' x (5 * 1_048_576) . '"}}]}], "model" : "raw"}';
    ($r, $q) = ask($path, body => $large);
    is $r->{status}, 200, "$where 20 MB: answered";
    is $q->{body_length}, length $large, "$where 20 MB: all of it";
    is $q->{body_sha1}, sha1_hex($large), "$where 20 MB: byte for byte";
    my $without = substr($large, 1, -length ', "model" : "raw"}') . '}';
    (undef, $q) = ask($path, body => qq({"model":"raw:ok",$without));
    is $q->{body_sha1}, sha1_hex(qq({"model":"s:ok",$without)), "$where 20 MB, another model: byte for byte";
}

# ------------------------------------------------------------------ memory

sub status_kb { my ($pid, $what) = @_; open my $fh, '<', "/proc/$pid/status" or return; my ($kb) = map { /^$what:\s+(\d+) kB/ } <$fh>; return $kb }

sub children {
    open my $fh, '<', Apache::Test::vars('t_pid_file') or die "PidFile: $!";
    chomp(my $parent = <$fh>);
    return split ' ', do { open my $c, '<', "/proc/$parent/task/$parent/children" or return; local $/; <$c> };
}

# The peaks begin anew where the kernel lets us (5 into clear_refs); what they are, by process.
sub begin_peaks {
    my %peak;
    for my $pid (children()) {
        if (open my $fh, '>', "/proc/$pid/clear_refs") { print $fh "5\n"; close $fh }
        $peak{$pid} = max(map { status_kb($pid, $_) // 0 } qw(VmHWM VmRSS));
    }
    return \%peak;
}

sub sanitized { my ($pid) = children(); open my $fh, '<', "/proc/$pid/maps" or return 0; return scalar grep { /lib[at]san/ } <$fh> }

SKIP: {
    skip 'memory is measured on the event MPM', 4 if !$event;
    skip 'a sanitizer has its own memory', 4 if sanitized();
    for my $model ('raw', 'raw:ok') {
        my $large = "{\"model\":\"$model\"," . '"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,' . 'QUJD' x (5 * 1_048_576) . '"}}]}]}';
        ask('/v1/chat/completions', json => { model => $model, messages => $question });
        my $before = begin_peaks();
        my ($r, undef, $tag) = ask('/v1/chat/completions', body => $large);
        my $pid = access_wait($tag)->{pid};
        is $r->{status}, 200, "20 MB to $model, measured";
        my $grown = status_kb($pid, 'VmHWM') - ($before->{$pid} // 0);
        cmp_ok $grown, '<=', 2 * length($large) / 1024, sprintf 'the peak grows by %.1f MB for %.1f MB', $grown / 1024, length($large) / 1_048_576;
    }
}

log_clean();
