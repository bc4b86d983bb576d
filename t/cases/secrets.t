# No API key comes out of the gateway again: every way to fail, over HTTP/1.1 and HTTP/2, with and without TLS, at LogLevel trace8; then the error log, the status
# page and each answer are searched for any piece of a key.
# any MPM
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use AIGW::Client qw(have_tls);
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(spew);

my $json = JSON::PP->new->canonical;
# the part after the second underscore is the secret
my %key = map { $_ => "aigw_${_}_" . substr sha256_hex("the secret of $_"), 0, 43 } qw(alice bob carol dave zoe);
my %secret = map { $_ => $key{$_} =~ s/.*_//r } keys %key;
my $PIECE = 12;    # that many characters in a row are a piece of a key
my $pieces = join '|', map { my $secret = $_; map { substr $secret, $_, $PIECE } 0 .. length($secret) - $PIECE } values %secret;
my $piece = qr/$pieces/;
sub line { my ($id, %more) = @_; return $json->encode({ id => $id, sha256 => sha256_hex($key{$id}), user => $id, scopes => ['chat'], %more }) . "\n" }

my $dir = File::Temp->newdir('secrets-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
my $file = spew("$dir/keys.jsonl", line('alice') . line('bob', scopes => [], models => ['other']) . line('carol', disabled => JSON::PP::true) . line('dave', expires => '2001-01-01T00:00:00Z'));
chmod 0644, $file;

my $has_h2 = Apache::Test::have_module('http2') && `curl --version 2>/dev/null` =~ /\bHTTP2\b/;
my $s = AIGW::Server->new(tls => have_tls(), env => { AIGW_TEST_KEY => 'sk-of-the-gateway-0123456789' }, conf => <<"CONF" . ($has_h2 ? "Protocols h2 h2c http/1.1\n" : ''));
LogLevel trace8
ExtendedStatus On
RequestReadTimeout header=3
AIGWKeyFile $file
AIGWErrors on
AIGWDefaultModel echo
<AIGWModel echo>
    AIGWUpstream echo words=3 delay=0
</AIGWModel>
<AIGWModel slow>
    AIGWUpstream echo words=200 delay=50ms
</AIGWModel>
<AIGWModel far>
    AIGWUpstream openai http://127.0.0.1:@{[Apache::Test::vars('upstream_port')]}/v1 model=echo key=env:AIGW_TEST_KEY
</AIGWModel>
<AIGWModel dead>
    AIGWUpstream openai http://127.0.0.1:@{[Apache::Test::vars('dead_port')]}/v1 key=env:AIGW_TEST_KEY
</AIGWModel>
<Location />
    AuthType AIGW
    Require all granted
</Location>
<Location /v1>
    Require valid-user
</Location>
<Location /v1/models>
    SetHandler aigw-models
</Location>
<LocationMatch "^/(v1|held/v1)/chat/completions">
    SetHandler aigw-chat-completions
    LimitRequestBody 2000
</LocationMatch>
<Location /held>
    AIGWPark off
    Require valid-user
</Location>
<Location /scope>
    Require aigw-scope admin
    SetHandler aigw-models
</Location>
<Location /server-status>
    SetHandler server-status
</Location>
CONF

# ------------------------------------------------------------------ the ways, and what is asked

my @answers;    # everything that ever came back

sub over_http1 {
    my ($tls, $path, $body, @fields) = @_;
    my $c = AIGW::Client->new(port => $tls ? $s->{tls_port} : $s->{port}, tls => $tls);
    my @body = defined $body ? (POST => $path, body => $body) : (GET => $path);
    $c->request(@body, headers => [Connection => 'close', @fields]);
    my $r = $c->response;
    $c->close;
    push @answers, map({ @$_ } @{ $r->{fields} }), $r->content, $r->{reason};
    return $r->{status};
}

sub over_http2 {
    my ($tls, $path, $body, @fields) = @_;
    my @how = $tls eq 'upgrade' ? '--http2' : $tls ? ('--http2', '--cacert', Apache::Test::vars('tls_dir') . '/ca.pem') : '--http2-prior-knowledge';
    $tls = 0 if $tls eq 'upgrade';
    my @headers = map { ('-H', "$fields[2 * $_]: $fields[2 * $_ + 1]") } 0 .. @fields / 2 - 1;
    my $url = $tls ? "https://localhost:$s->{tls_port}$path" : "http://localhost:$s->{port}$path";
    my @body = defined $body ? ('-H', 'Content-Type: application/json', '--data-binary', $body) : ();
    # an answer that comes before the body is sent, and then the stream is reset without an error, is one to some curls
    # (which of the two comes first is a matter of load: on a busy machine ten times in a row)
    for (my $until = time + 60; time < $until;) {
        open my $pipe, '-|', 'curl', '-si', '--noproxy', '*', '--max-time', 20, @how, @headers, @body, '-w', '\n%{http_version} %{http_code}', $url or die "curl: $!\n";
        my $all = do { local $/; <$pipe> } // '';
        close $pipe;
        push @answers, $all;
        my ($version, $status) = $all =~ /\n(\S+) (\d+)\z/ or return 'no answer';
        return $version eq '2' ? $status + 0 : "HTTP/$version" if $status > 0;
    }
    return 0;
}

my @ways = (['HTTP/1.1', sub { over_http1(0, @_) }], ['HTTP/1.1 over TLS', sub { over_http1(1, @_) }, !have_tls() && 'no IO::Socket::SSL'],
    ['HTTP/2', sub { over_http2(0, @_) }, !$has_h2 && 'no HTTP/2'], ['HTTP/2 over TLS', sub { over_http2(1, @_) }, !($has_h2 && have_tls()) && 'no HTTP/2 or TLS']);

sub bearer { my ($who) = @_; return (Authorization => "Bearer $key{$who}") }
sub ask { my ($model, %more) = @_; return $json->encode({ model => $model, messages => [{ role => 'user', content => 'hello' }], %more }) }
my $chat = '/v1/chat/completions';
my @asked = (
    ['an answer', 200, $chat, ask('echo'), bearer('alice')],
    ['a stream', 200, $chat, ask('echo', stream => JSON::PP::true), bearer('alice')],
    ['another server\'s answer', 200, $chat, ask('far'), bearer('alice')],
    ['X-API-Key', 200, '/v1/models', undef, 'X-API-Key' => $key{alice}],
    ['api-key', 200, '/v1/models', undef, 'api-key' => $key{alice}],
    ['a subprotocol', 200, '/v1/models', undef, 'Sec-WebSocket-Protocol' => "aigw.bearer.$key{alice}"],
    ['a key that is not known', 401, '/v1/models', undef, bearer('zoe')],
    ['… where nobody needs one', 401, '/server-status', undef, bearer('zoe')],
    ['one that is disabled', 401, $chat, ask('echo'), bearer('carol')],
    ['one that has expired', 401, $chat, ask('echo'), bearer('dave')],
    ['one cut short', 401, '/v1/models', undef, Authorization => 'Bearer ' . substr $key{alice}, 0, -1],
    ['one and more', 401, '/v1/models', undef, Authorization => "Bearer $key{alice} $key{alice}"],
    ['another scheme', 401, '/v1/models', undef, Authorization => "Basic $key{alice}"],
    ['no scheme', 401, '/v1/models', undef, Authorization => $key{alice}],
    ['two that differ', 400, '/v1/models', undef, bearer('alice'), 'X-API-Key' => $key{bob}],
    ['a scope that is missing', 403, '/scope', undef, bearer('alice')],
    ['a model that is not allowed', 403, $chat, ask('echo'), bearer('bob')],
    ['a model that is not there', 404, $chat, ask('nobody'), bearer('alice')],
    ['a page that is not there', 404, '/nowhere', undef, bearer('alice')],
    ['another method', 405, $chat, undef, bearer('alice')],
    ['no JSON', 400, $chat, '{', bearer('alice')],
    ['too much of it', 413, $chat, ask('echo', user => 'x' x 3000), bearer('alice')],
    ['an upstream that is not there', 502, $chat, ask('dead'), bearer('alice')],
    ['an expectation', 417, '/v1/models', undef, Expect => 'a-miracle', bearer('alice')],
);

# What no client should send, as bytes after the request line: with a key in it all the same.
my @broken = (
    ['a line end too many behind the key', 400, "Host: x\r\nAuthorization: Bearer $key{alice}\r\r\n\r\n"],
    ['a control character behind it', 400, "Host: x\r\nX-API-Key: $key{alice}\x01\r\n\r\n"],
    ['a blank before the colon', 400, "Host: x\r\nAuthorization : Bearer $key{alice}\r\n\r\n"],
    ['no colon', 400, "Host: x\r\nAuthorization Bearer $key{alice}\r\n\r\n"],
    ['a key and nothing else', 400, "Host: x\r\n$key{alice}\r\n\r\n"],
    ['too long', 431, "Host: x\r\nAuthorization: Bearer " . "$key{alice} " x 400 . "\r\n\r\n"],
    ['too long, and no colon', 431, "Host: x\r\n" . "$key{alice} " x 400 . "\r\n\r\n"],
    ['too long, in two lines', 431, "Host: x\r\nAuthorization:\r\n Bearer " . "$key{alice} " x 400 . "\r\n\r\n"],
    ['too long, in many lines', 431, "Host: x\r\n$key{alice}\r\n" . " $key{alice}\r\n" x 400 . "\r\n"],
    ['too many fields', 431, "Host: x\r\n" . "Authorization: Bearer $key{alice}\r\n" x 200 . "\r\n"],
    ['no Host', 400, "Authorization: Bearer $key{alice}\r\n\r\n"],
    ['a length that is none', 400, "Host: x\r\nContent-Length: x\r\nAuthorization: Bearer $key{alice}\r\n\r\n"],
    ['an encoding that nobody knows', qr/^(?:400|501)\z/, "Host: x\r\nTransfer-Encoding: brotli\r\nAuthorization: Bearer $key{alice}\r\n\r\n"],
    ['half a field, and silence', 408, "Host: x\r\nAuthorization: Bearer $key{alice}"],
);

plan tests => 4 * @asked + 2 * @broken + 2 * 2 + 2 + 4 * 3 + 5 + 4 + 1, need_module('mod_aigw', 'mod_aigw_auth', 'mod_status');

for my $way (@ways) {
    my ($how, $send, $not) = @$way;
  SKIP: {
        skip $not, scalar @asked if $not;
        for (@asked) {
            my ($name, $status, @request) = @$_;
            is $send->(@request), $status, "$how: $name: $status";
        }
    }
}

for my $tls (0, 1) {
  SKIP: {
        skip 'no IO::Socket::SSL', scalar @broken if $tls && !have_tls();
        for (@broken) {
            my ($name, $status, $bytes) = @$_;
            my $c = AIGW::Client->new(port => $tls ? $s->{tls_port} : $s->{port}, tls => $tls);
            $c->send_raw("GET /v1/models HTTP/1.1\r\n$bytes");
            my $r = eval { $c->response };
            push @answers, map({ @$_ } @{ $r->{fields} }), $r->content if $r;
            like $r ? $r->{status} : "no answer: $@", ref $status ? $status : qr/^$status\z/, ($tls ? 'TLS' : 'plain') . ": $name";
            $c->close;
        }
    }
  SKIP: {
        skip 'no HTTP/2', 2 if !$has_h2 || $tls && !have_tls();
        # mod_http2 resets the stream
        is over_http2($tls, '/v1/models', undef, 'X-API-Key' => "$key{alice}\x01"), 0, 'HTTP/2: a control character behind the key' . ($tls ? ', TLS' : '');
        is over_http2($tls, '/v1/models', undef, 'Authorization' => 'Bearer ' . "$key{alice} " x 400), 431, 'HTTP/2: too long' . ($tls ? ', TLS' : '');
    }
}

SKIP: {
    skip 'no HTTP/2', 2 if !$has_h2;
    is over_http2('upgrade', '/v1/models', undef, bearer('alice')), 200, 'HTTP/2 by an upgrade';
    is over_http2('upgrade', '/v1/models', undef, bearer('carol')), 'HTTP/1.1', '… before which a key that is disabled is refused';
}

# ------------------------------------------------------------------ the status page, while a request with a key is under way

for my $way (@ways) {
    my ($how, undef, $not) = @$way;
  SKIP: {
        skip $not, 3 if $not;
        my ($tls, $h2) = ($how =~ /TLS/, $how =~ m{/2});
        my ($c, $curl);
        if ($h2) {
            my @how = $tls ? ('--http2', '--cacert', Apache::Test::vars('tls_dir') . '/ca.pem') : ('--http2-prior-knowledge');
            my $url = $tls ? "https://localhost:$s->{tls_port}/held$chat" : "http://localhost:$s->{port}/held$chat";
            $curl = open my $pipe, '-|', 'curl', '-sN', '--noproxy', '*', @how, '-H', "Authorization: Bearer $key{alice}", '-H', 'Content-Type: application/json',
                '--data-binary', ask('slow', stream => JSON::PP::true), "$url?$how" =~ s/ /+/gr or die "curl: $!\n";
            $c = $pipe;
            ok defined(scalar <$pipe>), "$how: a stream is under way";
        }
        else {
            $c = AIGW::Client->new(port => $tls ? $s->{tls_port} : $s->{port}, tls => $tls);
            $c->request(POST => "/held$chat?$how" =~ s/ /+/gr, body => ask('slow', stream => JSON::PP::true), headers => ['Content-Type' => 'application/json', bearer('alice')]);
            is $c->head->{status}, 200, "$how: a stream is under way";
            $c->event;
        }
        my $page = AIGW::Client::get('/server-status', port => $s->{port}, headers => [bearer('alice')])->content;
        my $line = "$chat?$how" =~ s/ /+/gr;
        # of a stream of HTTP/2 it may show how far the connection has come
        like $page, $h2 ? qr{>h2c?</td>} : qr/\Q$line\E/, "$how: the status page shows the request";
        unlike $page, $piece, '… and no key';
        if ($h2) { kill TERM => $curl; close $c }
        else     { $c->close }
    }
}

# ------------------------------------------------------------------ the search

sub shown { my (@found) = @_; return [map { substr $_, 0, 300 } @found > 3 ? @found[0 .. 2] : @found] }

my $log = $s->log;
$s->stop;
$log = $s->log;
my @lines = split /\n/, $log;
is_deeply shown(grep { /$piece/ } @lines), [], 'no key is in the error log';
is_deeply shown(grep { /sk-of-the-gateway/ } @lines), [], '… nor the one that the gateway shows its upstreams';
is_deeply shown(grep { /$piece/ } map { split /\n/ } @answers), [], 'no answer has one, in its head or its body';
unlike $s->access, $piece, 'the access log neither';
is_deeply [$s->crashes], [], 'nobody crashed';

# and it was looked for where there is something to see
like $log, qr/\[http:trace4\].* Authorization: Bearer \(not logged\)/, 'httpd wrote the headers, covered';
like $log, qr/AIGW0390: .*: 400\. /, '… and of a field that is wrong, that it is';
SKIP: {
    skip 'no IO::Socket::SSL', 2 if !have_tls();
    # mod_ssl writes what it reads and sends, 16 bytes a line: what is on the wire
    my %dumped;
    for (@lines) {
        my ($thread, $hex) = /\[pid ([^\]]+)\].*\| [0-9a-f]{4,}: ((?:[0-9a-f]{2}[ -]){1,16})/ or next;
        $dumped{$thread} .= pack 'H*', $hex =~ s/[ -]//gr;
    }
    my $bytes = join "\n", values %dumped;
    like $bytes, qr/\x16\x03[\x01-\x03]/, 'mod_ssl wrote every byte of TLS';
    unlike $bytes, $piece, '… which is enciphered';
}
log_clean();
