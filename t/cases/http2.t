# HTTP/2, with and without TLS: the same endpoints, in httpd's own HTTP/2 workers.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use Time::HiRes qw(time);
use AIGW::Log;
use AIGW::Raw;

my $curl = `curl --version 2>/dev/null` =~ /\bHTTP2\b/;
plan tests => 2 * 24 + 1, need need_module('mod_aigw', 'mod_http2'), { 'curl with HTTP/2' => sub { $curl } };

my @ways = (
    ['h2c', ['--http2-prior-knowledge'], 'http://localhost:' . Apache::Test::vars('h2c_port')],
    ['h2',  ['--http2', '--cacert', Apache::Test::vars('tls_dir') . '/ca.pem'], 'https://localhost:' . Apache::Test::vars('h2_port')],
);
my $json = JSON::PP->new->canonical;

# { version, status, ttft, total, head, body }
sub curl_h2 {
    my ($way, $path, $data, @more) = @_;
    my @command = ('curl', '-sSNi', '--max-time', '20', @{ $way->[1] }, @more, '-w', '\n%{http_version} %{http_code} %{time_starttransfer} %{time_total}',
        ($data ? ('-H', 'Content-Type: application/json', '-d', $json->encode($data)) : ()), $way->[2] . $path);
    open my $pipe, '-|', @command or die "curl: $!";
    my $out = do { local $/; <$pipe> } // '';
    close $pipe;
    my ($version, $status, $ttft, $total) = $out =~ /\n(\S+) (\d+) (\S+) (\S+)\z/;
    my ($head, $body) = $out =~ /\A(.*?)\r\n\r\n(.*)\n[^\n]*\z/s;
    return { version => $version, status => $status, ttft => $ttft, total => $total, head => $head // '', body => $body // '' };
}

sub ask { my ($model, %more) = @_; return { model => $model, messages => [{ role => 'user', content => 'a b c' }], %more } }

for my $way (@ways) {
    my $name = $way->[0];
    for my $model (qw(echo up)) {
        my $tag = tag();
        my $r = curl_h2($way, '/v1/chat/completions', ask($model, stream => \1), '-H', "X-Request-ID: $tag");
        is $r->{version}, 2, "$name $model: HTTP/2";
        is $r->{status}, 200, "$name $model: 200";
        like $r->{body}, qr/"content":"a".*"content":" b".*"content":" c".*data: \[DONE\]/s, "$name $model: the stream";
        like $r->{head}, qr/^x-request-id: \Q$tag\E\r?$/mi, "$name $model: the request ID";
        is access_wait($tag)->{mode}, 'blocking', "$name $model: in a thread of mod_http2";
        $r = curl_h2($way, '/v1/chat/completions', ask($model));
        is $json->decode($r->{body})->{choices}[0]{message}{content}, 'a b c', "$name $model: without a stream";
    }
    my $r = curl_h2($way, '/v1/chat/completions', ask('raw', stream => \1, scenario => 'delay:150'));
    cmp_ok $r->{total} - $r->{ttft}, '>', 0.3, "$name: events come as they are said, not all at the end";
    like $r->{body}, qr/data: \[DONE\]/, '… to the last';
    is curl_h2($way, '/v1/models')->{status}, 200, "$name: models";
    is curl_h2($way, '/v1/chat/completions', ask('nobody'))->{status}, 404, "$name: an error";
    $r = curl_h2($way, '/v1/chat/completions', ask('echo-reset', stream => \1));
    like $r->{body}, qr/"code":"upstream_reset"/, "$name: an error event";
    unlike $r->{body}, qr/\[DONE\]/, '… without [DONE]';
    $r = curl_h2($way, '/v1/chat/stream', { message => 'a b' });
    like $r->{body}, qr/\{"token":"a"\}.*\{"token":" b"\}.*\[DONE\]/s, "$name: another dialect";

    # a client that leaves: mod_http2 resets the stream, we look every 40 ms
    for my $scenario ('silent', 'stall:3') {
        my $tag = tag();
        my $pid = fork // die;
        if (!$pid) {
            open STDOUT, '>', '/dev/null';
            open STDERR, '>', '/dev/null';
            exec 'curl', '-sN', '--max-time', '30', @{ $way->[1] }, '-H', 'Content-Type: application/json', '-d',
                $json->encode(ask('raw', stream => \1, scenario => $scenario, tag => $tag)), "$way->[2]/v1/chat/completions" or POSIX::_exit(1);
        }
        ok raw_wait('request', tag => $tag), "$name $scenario: under way";
        kill KILL => $pid;
        waitpid $pid, 0;
        my $left = time;
        my $after = raw_wait('closed', tag => $tag)->{t} - $left;
        cmp_ok $after, '<', 5, sprintf '%s %s: the client left, seen upstream after %.0f ms', $name, $scenario, $after * 1000;
    }
    $r = curl_h2($way, '/v1/chat/completions', ask('echo', stream => \1, stream_options => { include_usage => \1 }));
    like $r->{body}, qr/"choices":\[\],"usage":\{/, "$name: usage";
}
log_clean();
