# httpd's own errors in the JSON shape of the API, where AIGWErrors is on: in a location, in a virtual host, before either is known; and as httpd
# writes them where it is off.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(get);
use AIGW::Log;
use AIGW::Raw qw(tag);
use AIGW::Server;

my $port  = Apache::Test::vars('port');
my $vhost = Apache::Test::vars('errors_port');
my $no    = 'invalid_request_error';

my $head  = "GET /static.txt HTTP/1.1\r\nHost: localhost\r\n";
my $large = 'x' x 2000;
# What the virtual host with AIGWErrors is sent, and what it answers: statuses that may be, type, code.
my @broken = (
    ['no request line at all'     => "NONSENSE\r\n\r\n",                                           400, $no, 'bad_request'],
    ['two words too many'         => "GET / HTTP/1.1 x y\r\nHost: x\r\n\r\n",                       400, $no, 'bad_request'],
    ['a control character'        => "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",                       400, $no, 'bad_request'],
    ['a path that cannot be'      => "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",                        400, $no, 'bad_request'],
    ['a path above the root'      => "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",           400, $no, 'bad_request'],
    ['a NUL in the path'          => "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",                        404, $no, 'not_found'],
    ['no Host'                    => "GET /static.txt HTTP/1.1\r\n\r\n",                            400, $no, 'bad_request'],
    ['two Hosts'                  => "GET /static.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",      400, $no, 'bad_request'],
    ['a Host that is none'        => "GET /static.txt HTTP/1.1\r\nHost: a b\r\n\r\n",               400, $no, 'bad_request'],
    ['a field without a colon'    => "${head}nonsense\r\n\r\n",                                     400, $no, 'bad_request'],
    ['a space before the colon'   => "${head}X-Request-ID : x\r\n\r\n",                             400, $no, 'bad_request'],
    ['a control character in a field' => "${head}X: a\x01b\r\n\r\n",                                400, $no, 'bad_request'],
    ['a length that is none'      => "POST /v1/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: x\r\n\r\n", 400, $no, 'bad_request'],
    ['an encoding nobody knows'   => "POST /static.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: brotli\r\n\r\n", qr/^(?:400|501)$/, undef, undef],
    ['a line that is too long'    => "GET /$large HTTP/1.1\r\nHost: x\r\n\r\n",                     414, $no, 'uri_too_long'],
    ['a field that is too long'   => "${head}X: $large\r\n\r\n",                                    431, $no, 'headers_too_large'],
    ['a field of many lines that is too long' => "${head}X: a\r\n" . " $large\r\n" x 2 . "\r\n",    431, $no, 'headers_too_large'],
    ['too many fields'            => $head . join('', map { "X-$_: x\r\n" } 1 .. 200) . "\r\n",     431, $no, 'headers_too_large'],
    ['nothing there'              => "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",                    404, $no, 'not_found'],
    ['a method that is not for files' => "DELETE /static.txt HTTP/1.1\r\nHost: x\r\n\r\n",          405, $no, 'method_not_allowed'],
    ['an expectation'             => "${head}Expect: a-miracle\r\n\r\n",                            417, $no, undef],
);

# The same addresses in a server of the test's own, with httpd's means to refuse.
my $conf = <<'CONF';
DocumentRoot "DIR/htdocs"
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
AIGWDefaultModel echo
<Location "/plain/chat">
    SetHandler aigw-chat
</Location>
<Location "/json">
    AIGWErrors on
</Location>
<Location "/json/off">
    AIGWErrors off
</Location>
<Location "/json/chat">
    SetHandler aigw-chat
    LimitRequestBody 2000
</Location>
<Location "/more/chat">
    SetHandler aigw-chat
    LimitRequestBody 2000000
</Location>
<LocationMatch "^/(json|plain)/file">
    LimitRequestBody 2000
</LocationMatch>
<LocationMatch "^/(json|plain)/secret">
    Require all denied
</LocationMatch>
<LocationMatch "^/(json|plain)/user">
    AuthType Basic
    AuthName "who"
    AuthBasicProvider file
    AuthUserFile "DIR/none"
    Require valid-user
</LocationMatch>
RedirectMatch 410 "^/(json|plain)/gone"
RedirectMatch 503 "^/(json|plain)/busy"
RedirectMatch 429 "^/(json|plain)/slowly"
RedirectMatch 418 "^/(json|plain)/teapot"
RedirectMatch 302 "^/(json|plain)/moved" "/elsewhere"
<LocationMatch "^/(json|plain)/bad/rewrite">
    RewriteEngine on
    RewriteRule . - [R=500,L]
</LocationMatch>
<LocationMatch "^/json/document/text">
    ErrorDocument 404 "our own words"
</LocationMatch>
<LocationMatch "^/json/document/path">
    ErrorDocument 404 /sorry.html
</LocationMatch>
<LocationMatch "^/json/document/chat">
    SetHandler aigw-chat
    ErrorDocument 400 /sorry.html
    ErrorDocument 404 /sorry.html
</LocationMatch>
<LocationMatch "^/json/document/lost">
    ErrorDocument 404 /not-there-either.html
</LocationMatch>
<LocationMatch "^/json/document/url">
    ErrorDocument 404 http://localhost/elsewhere
</LocationMatch>
Header always set X-Always yes
<Location "/json/zipped">
    SetOutputFilter DEFLATE
</Location>
LoadModule auth_basic_module LIBEXEC/mod_auth_basic.so
LoadModule authn_core_module LIBEXEC/mod_authn_core.so
LoadModule authn_file_module LIBEXEC/mod_authn_file.so
LoadModule authz_user_module LIBEXEC/mod_authz_user.so
<VirtualHost *:*>
    ServerName main.example
</VirtualHost>
<VirtualHost *:*>
    ServerName json.example
    AIGWErrors on
    <Location "/off">
        AIGWErrors off
    </Location>
</VirtualHost>
<VirtualHost *:*>
    ServerName patient.example
    AIGWErrors on
</VirtualHost>
CONF
my @refused = (
    ['GET',    'nowhere',     {}, 404, $no, 'not_found'],
    ['GET',    'secret',      {}, 403, 'permission_error', undef],
    ['GET',    'user',        {}, 401, 'authentication_error', 'missing_api_key'],
    ['GET',    'gone',        {}, 410, $no, 'gone'],
    ['GET',    'busy',        {}, 503, 'server_error', 'no_upstream_available'],
    ['GET',    'slowly',      {}, 429, 'rate_limit_error', 'rate_limit_exceeded'],
    ['GET',    'bad/rewrite', {}, 500, 'server_error', 'internal_error'],
    ['DELETE', 'file.txt',    {}, 405, $no, 'method_not_allowed'],
    ['POST',   'file.txt',    { body => 'x' x 3000 }, qr/^(?:413|405)$/, $no, undef],
    ['GET',    'x' x 300,     {}, 403, 'permission_error', undef], # httpd's answer to a name that no file can have
);
plan tests => 9 * @broken + @refused * (6 + 2) + 7 + 6 * 4 + 5 + 6 + 3 * 4 + 5 + 4 + 4 + 8 + 3 + 1, need_module('mod_aigw', 'mod_aigw_stream');

# "status type param code" of an answer that is the error object and nothing else.
sub shape {
    my ($r) = @_;
    my $e = eval { $r->json->{error} };
    return "$r->{status}, no error: " . substr $r->content, 0, 100 unless ref $e eq 'HASH' && join(' ', sort keys %$e) eq 'code message param type' && keys %{ $r->json } == 1;
    return join ' ', $r->{status}, $e->{type}, map { $_ // 'null' } @$e{qw(param code)};
}

sub ask {
    my ($to, $method, $path, %o) = @_;
    my $c = AIGW::Client->new(port => $to);
    my @fields = map { ref $_ eq 'HASH' ? %$_ : @{ $_ || [] } } delete $o{headers};
    $c->request($method => $path, %o, headers => [Connection => 'close', @fields]);
    return $c->response;
}

# ------------------------------------------------------------------ before a location is known: the virtual host decides

for my $case (@broken) {
    my ($name, $bytes, $status, $type, $code) = @$case;
    my $c = AIGW::Client->new(port => $vhost);
    $c->send_raw($bytes);
    my $r = $c->response;
    $status = $r->{status} if ref $status && $r->{status} =~ $status;
    is $r->{status}, $status, "$name: $status";
    my $e = eval { $r->json->{error} } || {};
    is join(' ', sort keys %$e), 'code message param type', "$name: all four keys";
    if ($type) { is join(' ', map { $_ // 'null' } @$e{qw(type param code)}), join(' ', $type, 'null', $code // 'null'), "$name: what it is" }
    else       { like $e->{type}, qr/^(?:invalid_request_error|server_error)$/, "$name: what it is" }
    like $e->{message}, qr/^\S.{5,}/, "$name: in words";
    is_deeply [$r->header('Content-Type')], ['application/json'], "$name: JSON";
    is_deeply [$r->header('Content-Length')], [length $r->content], "$name: its length";
    is_deeply [scalar(() = $r->header('X-Request-ID')), $r->header('Cache-Control')], [1, 'no-store'], "$name: an ID, and not for caches";
    unlike $r->content, qr/<|passwd|t_logs|htdocs|Apache|Debian/, "$name: nothing of httpd's page";

    $c = AIGW::Client->new(port => $port);
    $c->send_raw($bytes =~ s/x{2000}/'x' x 9000/ger =~ s/(?:X-\d+: x\r\n)+/$head =~ m{nothing} ? '' : $&/er);
    $r = $c->response;
    unlike $r->content, qr/^\{"error"/, "$name: as httpd says it where AIGWErrors is off";
}

# ------------------------------------------------------------------ in a location

my $s = AIGW::Server->new(stopped => 1, conf => '');
my ($libexec) = map { m{^LoadModule\s+status_module\s+"?(.*)/mod_status\.so} } split /\n/, AIGW::Services::slurp("$ENV{AIGW_BUILD}/base.conf");
my $dir = "$s->{dir}";
$s->configure($conf =~ s/DIR/$dir/gr =~ s/LIBEXEC/$libexec/gr);
mkdir "$dir/htdocs" or die "$dir/htdocs: $!";
mkdir "$dir/htdocs/$_" or die "$dir/htdocs/$_: $!" for qw(json plain off);
AIGW::Services::spew("$dir/none", '');
AIGW::Services::spew("$dir/htdocs/$_", "a file\n") for qw(json/file.txt plain/file.txt);
AIGW::Services::spew("$dir/htdocs/sorry.html", "<p>sorry</p>\n");
$s->start;
my $own = $s->{port};

for my $case (@refused) {
    my ($method, $path, $o, $status, $type, $code) = @$case;
    my $name = "$method " . substr $path, 0, 20;
    my $r = ask($own, $method, "/json/$path", %$o);
    my $is = ref $status ? $r->{status} : $status;
    ref $status ? like($r->{status}, $status, "$name: the status") : is($r->{status}, $status, "$name: the status");
    my $e = eval { $r->json->{error} } || {};
    is join(' ', sort keys %$e), 'code message param type', "$name: all four keys";
    is join(' ', map { $_ // 'null' } @$e{qw(type param)}, $code || !ref $status ? $e->{code} : ()), join(' ', $type, 'null', $code || !ref $status ? $code // 'null' : ()), "$name: what it is";
    is_deeply [$r->header('Content-Type'), $r->header('Content-Length')], ['application/json', length $r->content], "$name: JSON, with its length";
    is scalar(() = $r->header('X-Request-ID')), 1, "$name: X-Request-ID, once";
    is $r->header('X-Always'), 'yes', "$name: what others add stays";

    $r = ask($own, $method, "/plain/$path", %$o);
    is $r->{status}, $is, "$name: the same status where it is off";
    is $r->header('Content-Type') =~ m{^text/html} && !$r->header('X-Request-ID') ? 'httpd' : 'ours', 'httpd', "$name: … as httpd says it";
}
like ask($own, GET => '/json/user')->header('WWW-Authenticate'), qr/^Basic realm="who"$/, '401: the challenge is that of who asks, once';
like ask($own, DELETE => '/json/file.txt')->header('Allow') // '', qr/\bGET\b/, '405: Allow';
my $either = qr/^(?:418 $no null null|500 server_error null internal_error)$/;
like shape(ask($own, GET => '/json/teapot')), $either, 'a status that httpd does not know: the error is that of the status line';
my $r = ask($own, GET => '/json/moved');
is "$r->{status} " . $r->header('Location'), "302 http://localhost:$own/elsewhere", 'a redirect is no error';
is ask($own, GET => '/json/file.txt')->content, "a file\n", 'nor is a file';
is ask($own, GET => '/json/off/nowhere')->header('Content-Type') =~ m{^text/html} ? 'httpd' : 'ours', 'httpd', 'off inside on';
is ask($own, GET => '/off/nowhere', headers => { Host => 'json.example' })->header('Content-Type') =~ m{^text/html} ? 'httpd' : 'ours', 'httpd', 'off inside a virtual host where it is on';

# HEAD: the same without the body
for my $path (qw(/json/nowhere /json/secret /json/user /json/gone /json/busy /json/bad/rewrite)) {
    my $c = AIGW::Client->new(port => $own);
    $c->request(HEAD => $path);
    my $h = $c->response;
    my $g = ask($own, GET => $path);
    is $h->{status}, $g->{status}, "HEAD $path: the status";
    is $h->header('Content-Type'), 'application/json', "HEAD $path: JSON";
    is $h->header('Content-Length') // length $g->content, length $g->content, "HEAD $path: the length, if there is one";
    # after some httpd closes
    if (($h->header('Connection') // '') eq 'close') { $c->wait_eof; is $c->{in}, '', "HEAD $path: no body" }
    else { $c->request(GET => '/json/file.txt'); is $c->response->content, "a file\n", "HEAD $path: no body; the connection goes on" }
}

# ------------------------------------------------------------------ LimitRequestBody

is shape(ask($own, POST => '/json/chat', body => '{"message":"' . 'x' x 3000 . '"}')), "413 $no null request_too_large", 'LimitRequestBody on our handler';
is shape(ask($own, POST => '/json/chat', body => '{"message":"' . 'x' x 3000 . '"}', chunked => 1)), "413 $no null request_too_large", '… in chunks';
is ask($own, POST => '/json/chat', body => '{"message":"' . 'x' x 1900 . '"}')->{status}, 200, '… a smaller one passes';
is ask($own, POST => '/more/chat', body => '{"message":"x"}' . ' ' x 1_500_000)->{status}, 200, 'LimitRequestBody, upwards';
is shape(ask($own, POST => '/more/chat', body => '{"message":"x"}' . ' ' x 2_500_000)), "413 $no null request_too_large", '… also without AIGWErrors';

# ------------------------------------------------------------------ virtual hosts by name

my %host = (headers => { Host => 'json.example' });
is shape(ask($own, GET => '/nowhere', %host)), "404 $no null not_found", 'a virtual host where it is on';
is ask($own, GET => '/nowhere')->header('Content-Type') =~ m{^text/html} ? 'httpd' : 'ours', 'httpd', 'and the one where it is not';
is shape(ask($own, GET => '/plain/secret/x', %host)), '403 permission_error null null', 'a virtual host: 403 where the location says nothing';
is shape(ask($own, GET => '/json/nowhere')), "404 $no null not_found", 'a location where it is on, in a virtual host where it is not';
is shape(ask($own, GET => '/plain/chat/nowhere')), "404 $no null not_found", 'our own errors do not depend on it';
is shape(ask($own, POST => '/plain/chat', body => '{')), "400 $no null invalid_json", '… nor these';

# ------------------------------------------------------------------ ErrorDocument

for my $case (['text', "404 $no null not_found"], ['chat', "400 $no null invalid_json"], ['lost', "404 $no null not_found"], ['chat/below', "400 $no null invalid_json"]) {
    my ($path, $shape) = @$case;
    $r = ask($own, $path =~ /chat/ ? (POST => "/json/document/$path", body => '{') : (GET => "/json/document/$path"));
    is shape($r), $shape, "ErrorDocument, $path: ours";
    is scalar(() = $r->header('X-Request-ID')), 1, "ErrorDocument, $path: one X-Request-ID";
    unlike $r->content, qr/our own words|sorry|<html/i, "ErrorDocument, $path: … and nothing else";
}
my $tag = tag();
$r = ask($own, GET => '/json/document/path', headers => { 'X-Request-ID' => $tag });
is "$r->{status} " . $r->content, "404 <p>sorry</p>\n", 'ErrorDocument with a path: that page';
is_deeply [$r->header('X-Request-ID')], [$tag], '… with the ID of the request, once';
like $r->header('Content-Type') // '', qr{^(?!application/json)}, '… and its own type';
$r = ask($own, GET => '/json/document/url');
is "$r->{status} " . $r->header('Location'), '302 http://localhost/elsewhere', 'ErrorDocument with a URL: there';
ok !grep({ /crash|assert/i } $s->crashes), 'nothing bad in the log';

# ------------------------------------------------------------------ compressed like anything else, or not at all, but right

$r = ask($own, GET => '/json/zipped/nowhere', headers => { 'Accept-Encoding' => 'gzip' });
is $r->{status}, 404, 'behind DEFLATE: 404';
is $r->header('Content-Encoding'), undef, 'behind DEFLATE: not compressed';
is shape($r), "404 $no null not_found", 'behind DEFLATE: the error';
is $r->header('Content-Length'), length $r->content, 'behind DEFLATE: its length';

# ------------------------------------------------------------------ the connection

my $c = AIGW::Client->new(port => $own);
for my $path ('/json/nowhere', '/json/file.txt', '/json/secret', '/json/gone') {
    $c->request(GET => $path);
    ok $c->response->complete, "one connection: $path";
}
$c->close;

# ------------------------------------------------------------------ 408: a header, and a body, that do not arrive in time

$s->stop;
$s->configure($conf =~ s/DIR/$dir/gr =~ s/LIBEXEC/$libexec/gr . "RequestReadTimeout header=1 body=1\n");
$s->start;
my %slow = (
    'the header, json'  => ["GET / HTTP/1.1\r\nHost: json.example\r\nX", undef],
    'the header, plain' => ["GET / HTTP/1.1\r\nHost: main.example\r\nX", undef],
    'the body, chat'    => ["POST /json/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", 1],
    'the body, plain'   => ["POST /plain/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", 1],
);
my %client = map { $_ => AIGW::Client->new(port => $own) } sort keys %slow;
$client{$_}->send_raw($slow{$_}[0]) for sort keys %slow;
for my $name (sort keys %slow) {
    $r = $client{$name}->response;
    is $r->{status}, 408, "$name: 408";
    if ($slow{$name}[1]) { is shape($r), "408 $no null request_timeout", "$name: the error" }
    else                 { is $client{$name}->wait_eof, 'closed', "$name: the end of the connection" }
}
# the whole server: then the header too
$s->stop;
$s->configure("AIGWErrors on\nRequestReadTimeout header=1\n");
$s->start;
$c = AIGW::Client->new(port => $own);
$c->send_raw("GET / HTTP/1.1\r\nHost: x\r\nX");
$r = $c->response;
is shape($r), "408 $no null request_timeout", 'a header that is late, where AIGWErrors is on';
is scalar(() = $r->header('X-Request-ID')), 1, '… with an ID';
is $c->wait_eof, 'closed', '… and the end of the connection';

log_clean();
