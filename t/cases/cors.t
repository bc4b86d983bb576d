# Pages of other origins: who gets which headers on which answer, what a preflight is told, and what never gets to anybody.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha1_base64 sha256_hex);
use File::Temp ();
use JSON::PP ();
use AIGW::Client ();
use AIGW::Listener;
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(free_port spew);

my ($app, $sub, $foreign) = ('https://app.example.com', 'https://a.b.example.org', 'https://evil.example');
my $key = 'aigw_alice_' . substr sha256_hex('secret of alice'), 0, 43;
my $json = JSON::PP->new->canonical;
my $dir = File::Temp->newdir('cors-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
spew("$dir/keys", $json->encode({ id => 'alice', sha256 => sha256_hex($key), user => 'alice', scopes => ['chat'] }) . "\n");
spew("$dir/htpasswd", 'frank:{SHA}' . sha1_base64('pw') . "=\n");
chmod 0644, "$dir/keys", "$dir/htpasswd";
mkdir "$dir/$_", 0755 for qw(v1 app none); # a name that is too long in them is an error of the directory walk
my ($dead, $far, $host) = (free_port(), free_port(), free_port());

my ($libexec) = map { m{^LoadModule\s+status_module\s+"?(.*)/mod_status\.so} } split /\n/, AIGW::Services::slurp("$ENV{AIGW_BUILD}/base.conf");
my $s = AIGW::Server->new(tls => 1, conf => <<"CONF");
LoadModule access_compat_module $libexec/mod_access_compat.so
LoadModule allowmethods_module $libexec/mod_allowmethods.so
DocumentRoot $dir
AIGWErrors on
AIGWParkAfter off
AIGWKeyFile $dir/keys
LogFormat "id=%{AIGW_REQUEST_ID}e mode=%{AIGW_MODE}e cors=%{aigw-cors-origin}n" mode
CustomLog mode_log mode
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
AIGWDefaultModel echo
<AIGWModel echo>
    AIGWUpstream echo words=3 delay=20ms
</AIGWModel>
<AIGWModel busy>
    AIGWUpstream echo fail=429
</AIGWModel>
<AIGWModel silent>
    AIGWUpstream echo ttft=20s
</AIGWModel>
<AIGWModel dead>
    AIGWUpstream openai http://127.0.0.1:$dead/v1
</AIGWModel>
<AIGWModel far>
    AIGWUpstream openai http://127.0.0.1:$far/v1
</AIGWModel>
<Location /v1>
    AuthType AIGW
    Require valid-user
    AIGWCorsOrigin HTTPS://App.Example.com:443 https://*.example.org
    AIGWCorsOrigin http://[0:0::1]:8080
</Location>
<Location /v1/chat/completions>
    SetHandler aigw-chat-completions
    AIGWFirstByteTimeout 300ms
</Location>
<Location /v1/models>
    SetHandler aigw-models
</Location>
<Location /v1/admin>
    SetHandler aigw-models
    Require aigw-scope admin
</Location>
<Location /v1/small>
    SetHandler aigw-chat-completions
    LimitRequestBody 10
</Location>
<Location /v1/none>
    SetHandler aigw-models
    AIGWCorsOrigin none
</Location>
<Location /v1/none/other>
    AIGWCorsOrigin https://other.example
    AcceptPathInfo on
</Location>
<Location /v1/old>
    SetHandler aigw-models
    Redirect 308 /v1/models
</Location>
<Macro Open \$name \$more>
    <Location "/\$name">
        SetHandler aigw-models
        AIGWCorsOrigin $app
        \$more
    </Location>
</Macro>
Use Open denied "Require all denied"
Use Open local "Require ip 192.0.2.1"
Use Open methods "AllowMethods GET"
Use Open compat "Deny from all"
Use Open cert "SSLVerifyClient require"
Use Open deflate "SetOutputFilter DEFLATE"
Use Open cookies "AIGWCorsCredentials on"
Use Open merged "Header merge Vary origin"
Use Open vary "Header always set Vary Accept-Language"
Use Open set "Header set Access-Control-Allow-Origin *"
Use Open always "Header always set Access-Control-Allow-Credentials true"
Use Open doc "ErrorDocument 404 /plain"
<Location /doc>
    AIGWErrors off
</Location>
<Location /forbidden>
    AIGWCorsOrigin $app
    RewriteEngine on
    RewriteRule .* - [F]
</Location>
<Location /limited>
    SetHandler aigw-models
    AIGWCorsOrigin $app
    <Limit OPTIONS>
        Require all denied
    </Limit>
    <LimitExcept OPTIONS>
        Require all granted
    </LimitExcept>
</Location>
<Location /basic>
    AuthType Basic
    AuthName b
    AuthBasicProvider file
    AuthUserFile $dir/htpasswd
    Require valid-user
    SetHandler aigw-models
    AIGWCorsOrigin $app
</Location>
<Location /any>
    SetHandler aigw-models
    AIGWCorsOrigin *
</Location>
<LocationMatch ^/any/cookies>
    AIGWCorsCredentials on
</LocationMatch>
<Location /null>
    SetHandler aigw-models
    AIGWCorsOrigin null
</Location>
<Location /plain>
    SetHandler aigw-models
    ErrorDocument 404 /any
    AIGWErrors off
</Location>
ProxyPass /proxied http://127.0.0.1:$far/proxied
<Location /proxied>
    AIGWCorsOrigin $app
</Location>
Listen 127.0.0.1:$host
<VirtualHost 127.0.0.1:$host>
    AIGWErrors on
    AIGWCorsOrigin https://host.example
    LimitRequestFieldSize 300
    LimitRequestLine 300
    <Location /app>
        SetHandler aigw-models
        AIGWCorsOrigin $app
    </Location>
    <Location /none>
        SetHandler aigw-models
        AIGWCorsOrigin none
    </Location>
    <Location /models>
        SetHandler aigw-models
    </Location>
</VirtualHost>
CONF

my @bearer = (Authorization => "Bearer $key");
my $serial = 0;

# What comes of a request: method, path, what is in its body, header fields.
sub ask {
    my ($method, $path, $body, @fields) = @_;
    my $c = AIGW::Client->new(port => $s->{port});
    $c->request($method, $path, headers => [@fields, Connection => 'close'], ($body ? (json => $body) : ()));
    my $r = $c->response;
    $c->close;
    return $r;
}

sub say_to { my ($model, %more) = @_; return { model => $model, messages => [{ role => 'user', content => 'a b c' }], %more } }
sub names  { my ($r) = @_; return join ' ', sort map { lc $_->[0] } grep { $_->[0] =~ /^access-control-/i } @{ $r->{fields} } }
sub varies { my ($r) = @_; return join ' ', sort map { lc } split /\s*,\s*/, $r->header('Vary') // '' }

my @exposed = qw(x-request-id retry-after retry-after-ms x-ratelimit-limit-requests x-ratelimit-remaining-requests x-ratelimit-reset-requests x-ratelimit-limit-tokens
    x-ratelimit-remaining-tokens x-ratelimit-reset-tokens x-ratelimit-limit x-ratelimit-remaining ratelimit ratelimit-policy x-process-time server-timing location deprecation sunset link x-should-retry);
my $exposed = join ' ', sort @exposed;
my $preflight = 'access-control-allow-headers access-control-allow-methods access-control-allow-origin access-control-max-age';

sub below_v1 { my ($case) = @_; return $case->[3] =~ m{^/v1/} } # where subdomains are allowed too

# name, status, request
my @answers = (
    ['a stream',             200, POST => '/v1/chat/completions', say_to('echo', stream => JSON::PP::true), @bearer],
    ['an answer',            200, POST => '/v1/chat/completions', say_to('echo'), @bearer],
    ['a GET',                200, GET  => '/v1/models', undef, @bearer],
    ['a HEAD',               200, HEAD => '/v1/models', undef, @bearer],
    ['a redirect',           308, GET  => '/v1/old', undef, @bearer],
    ['wrong JSON',           400, POST => '/v1/chat/completions', [], @bearer],
    ['two credentials',      400, GET  => '/v1/models', undef, @bearer, 'api-key' => 'x'],
    ['no credential',        401, GET  => '/v1/models', undef],
    ['a wrong one',          401, POST => '/v1/chat/completions', say_to('echo'), 'X-API-Key' => 'wrong'],
    ['no scope',             403, GET  => '/v1/admin', undef, @bearer],
    ['all denied',           403, GET  => '/denied', undef],
    ['a method that is not in AllowMethods', 405, POST => '/methods', {}],
    ['Deny from all',        403, GET  => '/compat', undef],
    ['mod_rewrite',          403, GET  => '/forbidden', undef],
    ['a location that httpd has lost', 403, GET => '/v1/' . 'x' x 300, undef, @bearer],
    ['no such model',        404, POST => '/v1/chat/completions', say_to('nobody'), @bearer],
    ['nothing there',        404, GET  => '/v1/nothing', undef, @bearer],
    ['a slash too many',     404, GET  => '/v1/a%2Fb', undef, @bearer],
    ['an ErrorDocument',     404, GET  => '/doc/none', undef],
    ['a wrong method',       405, GET  => '/v1/chat/completions', undef, @bearer],
    ['OPTIONS that is no preflight', 405, OPTIONS => '/v1/models', undef, @bearer],
    ['too large',            413, POST => '/v1/small', say_to('echo'), @bearer],
    ['a wrong type',         415, POST => '/v1/chat/completions', undef, @bearer, 'Content-Type' => 'text/plain', 'Content-Length' => 0],
    ['the upstream is busy', 429, POST => '/v1/chat/completions', say_to('busy'), @bearer],
    ['no upstream',          502, POST => '/v1/chat/completions', say_to('dead', stream => JSON::PP::true), @bearer],
    ['an upstream that is silent', 504, POST => '/v1/chat/completions', say_to('silent', stream => JSON::PP::true), @bearer],
    ["httpd's own login",    401, GET  => '/basic', undef],
    ["httpd's own login, and in", 200, GET => '/basic', undef, Authorization => 'Basic ZnJhbms6cHc='],
);
# path, and the fields besides
my @preflights = (['/v1/chat/completions'], ['/v1/nothing'], ['/v1/admin'], ['/denied'], ['/local'], ['/methods'], ['/compat'], ['/limited'], ['/basic'], ['/forbidden'], ['/proxied'], ['/v1/models', @bearer],
    ['/v1/models', 'X-API-Key' => 'wrong'], ['/deflate'], ['/set'], ['/always'], ['/doc/none']);
my $h2 = !Apache::Test::have_module('mpm_prefork') && `curl --version 2>/dev/null` =~ /\bHTTP2\b/;

plan tests => 7 * @answers + 3 * grep({ below_v1($_) } @answers) + 3 + 7 * @preflights + 19 + 22 + 8 + 12 + 8 + 13 + 8 + 2 + 2, need_module('mod_aigw', 'mod_aigw_auth', 'mod_macro', 'mod_ssl', 'mod_headers', 'mod_rewrite');
expect_log(qr/AIGW0173/, qr/AIGW0120/);

# ------------------------------------------------ every answer

for my $case (@answers) {
    my ($name, $status, $method, $path, $body, @fields) = @$case;
    for my $origin ($app, $sub) {
        next if $origin eq $sub && !below_v1($case);
        my $r = ask($method, $path, $body, @fields, Origin => $origin);
        is $r->{status}, $status, "$name: $status" or diag $r->content;
        is $r->header('Access-Control-Allow-Origin'), $origin, "$name: allowed";
        is names($r), 'access-control-allow-origin access-control-expose-headers', "$name: and no more";
        is join(' ', sort map { lc } split /, /, $r->header('Access-Control-Expose-Headers') // ''), $exposed, "$name: what is exposed" if $origin eq $app;
        is varies($r), 'origin', "$name: Vary" if $origin eq $app;
    }
    my $r = ask($method, $path, $body, @fields, Origin => $foreign);
    is join('|', $r->{status}, names($r), varies($r)), "$status||origin", "$name: nothing for a foreign origin but Vary";
    $r = ask($method, $path, $body, @fields);
    is join('|', $r->{status}, names($r), varies($r)), "$status||origin", "$name: nothing without an origin but Vary";
}

# A stream takes the way of streams: its headers are made by the event loop.
{
    my $r = ask(POST => '/v1/chat/completions', say_to('echo', stream => JSON::PP::true), @bearer, Origin => $app, 'X-Request-ID' => 'a-stream');
    like $r->content, qr/\[DONE\]/, 'the stream is whole';
    like $r->header('Content-Type'), qr{^text/event-stream}, '… and one';
    my $line = $s->wait_for('the log', 20, sub { my ($l) = grep { /id=a-stream / } split /\n/, AIGW::Services::slurp("$s->{dir}/mode_log") // ''; $l });
    my $mode = Apache::Test::have_module('mpm_event') ? 'parked' : 'blocking';
    is $line, "id=a-stream mode=$mode cors=$app", '… made as streams are here, and the note is for logs';
}

# ------------------------------------------------ preflights

my @asks = ('Access-Control-Request-Method' => 'POST', 'Access-Control-Request-Headers' => 'authorization,content-type,x-stainless-os,x-evil');
for (@preflights) {
    my ($path, @fields) = @$_;
    my $r = ask(OPTIONS => $path, undef, @fields, Origin => $app, @asks, 'Access-Control-Request-Private-Network' => 'true', 'X-Request-ID' => 'pre-' . ++$serial);
    is $r->{status}, 204, "preflight $path: 204";
    is names($r), $preflight, '… these headers';
    is $r->header('Access-Control-Allow-Origin'), $app, '… the origin';
    is $r->header('Access-Control-Allow-Headers'), 'authorization, content-type, x-stainless-os', '… of the fields those that are known';
    is varies($r), 'access-control-request-headers access-control-request-method origin', '… Vary';
    is join('|', $r->header('X-Request-ID'), $r->header('WWW-Authenticate') // '-', $r->header('Content-Length') // '-', $r->header('Location') // '-', $r->content), "pre-$serial|-|-|-|", '… and nothing of what is behind it';
    $r = ask(OPTIONS => $path, undef, @fields, Origin => $foreign, @asks);
    is join('|', $r->{status}, names($r), varies($r)), '204||access-control-request-headers access-control-request-method origin', "preflight $path from elsewhere: nothing is granted";
}
{
    my $openai = 'authorization,content-type,user-agent,x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout';
    my $others = 'x-api-key,api-key,openai-organization,openai-project,openai-beta,idempotency-key,x-request-id,traceparent,last-event-id,prefer';
    for my $asked ($openai, $others) {
        my $r = ask(OPTIONS => '/v1/models', undef, Origin => $app, 'Access-Control-Request-Method' => 'GET', 'Access-Control-Request-Headers' => $asked);
        is $r->header('Access-Control-Allow-Headers'), join(', ', split /,/, $asked), 'what clients ask for';
    }
    my $r = ask(OPTIONS => '/v1/models', undef, Origin => $app, 'Access-Control-Request-Method' => 'PUT');
    is $r->header('Access-Control-Allow-Headers'), undef, 'no fields asked for, none said';
    is $r->header('Access-Control-Allow-Methods'), 'GET, HEAD, POST, DELETE', 'methods are what endpoints take, whatever is asked for';
    is $r->header('Access-Control-Max-Age'), 7200, 'for two hours';
    $r = ask(OPTIONS => '/v1/models', undef, Origin => $app, 'Access-Control-Request-Method' => 'GET', 'Access-Control-Request-Headers' => "cookie,host,x-stainless-,x\xff");
    is names($r), 'access-control-allow-methods access-control-allow-origin access-control-max-age', 'none that is known: none said';
    $r = ask(OPTIONS => '/v1/models', undef, Origin => $app, 'Access-Control-Request-Method' => 'GET', 'Access-Control-Request-Headers' => '*');
    is $r->header('Access-Control-Allow-Headers'), undef, 'no star';

    $r = ask(OPTIONS => '/v1/models', undef, @asks);
    is "$r->{status}|" . names($r), '401|', 'without an origin it is none';
    $r = ask(OPTIONS => '/v1/models', undef, Origin => $app);
    is "$r->{status} " . $r->header('Access-Control-Allow-Origin'), "401 $app", 'without a method it is none';
    $r = ask(POST => '/v1/models', {}, Origin => $app, @asks);
    is "$r->{status}|" . names($r), '401|access-control-allow-origin access-control-expose-headers', 'with another method it is none';
    for my $path ('/plain', '/v1/none') {
        $r = ask(OPTIONS => $path, undef, Origin => $app, @asks, @bearer);
        is join('|', $r->{status}, names($r), varies($r)), '405||', "$path knows no CORS";
        $r = ask(OPTIONS => $path, undef, Origin => $app, @asks);
        is join('|', $r->{status}, names($r), varies($r)), ($path eq '/plain' ? '405||' : '401||'), "$path: a preflight is judged like any request";
    }
    is ask(OPTIONS => '/v1/none/other', undef, Origin => 'https://other.example', @asks)->header('Access-Control-Allow-Origin'), 'https://other.example', 'CORS again below "none"';
    is names(ask(OPTIONS => '/v1/none/other', undef, Origin => $app, @asks)), '', '… an inner list replaces an outer one';

    my $c = AIGW::Client->new(port => $s->{port});
    $c->request(OPTIONS => '/v1/models', headers => [Origin => $app, @asks]);
    is $c->response->{status}, 204, 'a connection goes on';
    $c->request(GET => '/v1/models', headers => [Origin => $app, @bearer]);
    is $c->response->{status}, 200, '… behind a preflight';
    $c->close;
    $r = ask(OPTIONS => '/v1/models', { x => 1 }, Origin => $app, @asks);
    is "$r->{status} " . ($r->header('Connection') // ''), '204 close', 'a body is not read';
}

# ------------------------------------------------ origins

for my $case (
    [$app => 1], ['https://App.example.com' => 0], ["$app:443" => 0], ["$app/" => 0], ["$app.evil.example" => 0], ['http://app.example.com' => 0], ['null' => 0], ["$app, $app" => 0], ["$app $foreign" => 0],
    ['https://example.org' => 0], ['https://x.example.org' => 1], ['https://x.example.org:444' => 0], ['https://.example.org' => 0], ['https://evil.example/.example.org' => 0], ['https://evilexample.org' => 0],
    ['http://[::1]:8080' => 1], ['http://[0:0::1]:8080' => 0], ['*' => 0], ["https://\xff.example.org" => 0], ['' => 0],
) {
    my ($origin, $allowed) = @$case;
    my $r = ask(GET => '/v1/models', undef, @bearer, Origin => $origin);
    is $r->header('Access-Control-Allow-Origin'), ($allowed ? $origin : undef), 'origin ' . ($origin =~ s/[^ -~]/?/gr) . ($allowed ? '' : ': not');
}
{
    my $r = ask(GET => '/v1/models', undef, @bearer, Origin => $app, Origin => $app);
    is names($r), '', 'twice is never';
    ok scalar(grep { /AIGW0340: a preflight from \Q$foreign\E, which is not in AIGWCorsOrigin here/ } split /\n/, $s->log), 'AIGW0340';
}
for my $path ('/any', '/any/cookies') {
    my $r = ask(GET => $path, undef, Origin => $foreign);
    is join('|', $r->header('Access-Control-Allow-Origin'), names($r)), '*|access-control-allow-origin access-control-expose-headers', "$path: a star, and never credentials";
    is names(ask(GET => $path, undef)), '', '… nothing without an origin';
    is ask(GET => $path, undef, Origin => 'null')->header('Access-Control-Allow-Origin'), '*', '… null too';
}
is ask(GET => '/null', undef, Origin => 'null')->header('Access-Control-Allow-Origin'), 'null', 'null where it is written';
is names(ask(GET => '/null', undef, Origin => $app)), '', '… and nothing else';

# ------------------------------------------------ credentials, other modules' headers, Vary

{
    my $r = ask(GET => '/cookies', undef, Origin => $app);
    is join('|', map { $r->header("Access-Control-Allow-$_") // '-' } qw(Origin Credentials)), "$app|true", 'credentials';
    is names(ask(GET => '/cookies', undef, Origin => $foreign)), '', '… not for others';
    $r = ask(OPTIONS => '/cookies', undef, Origin => $app, @asks);
    is names($r), "access-control-allow-credentials $preflight", '… in a preflight';
    is varies(ask(GET => '/deflate', undef, Origin => $app, 'Accept-Encoding' => 'gzip')), 'accept-encoding origin', 'beside the Vary of mod_deflate';
    $r = ask(GET => '/merged', undef, Origin => $app);
    is join('|', $r->header('Vary')), 'origin', 'Vary is there already: not twice';
    $r = ask(GET => '/vary', undef, Origin => $app);
    is varies($r), 'accept-language origin', 'beside another';
    is scalar(my @vary = $r->header('Vary')), 1, '… in one field';
    is names(ask(GET => '/set', undef, Origin => $foreign)), '', 'Header set Access-Control-Allow-Origin *: not where AIGWCorsOrigin holds';
    $r = ask(GET => '/set', undef, Origin => $app);
    is join('|', $r->header('Access-Control-Allow-Origin')), $app, '… one, and ours';
    is names(ask(GET => '/always', undef, Origin => $app)), 'access-control-allow-origin access-control-expose-headers', 'Header always set, the same';
    $r = ask(GET => '/plain/none', undef, Origin => $app);
    is join('|', $r->{status}, names($r), varies($r)), '404||', 'an ErrorDocument is no way into CORS';
    $r = ask(GET => '/nowhere', undef, Origin => $app);
    is join('|', $r->{status}, names($r), varies($r)), '404||', 'where there is none there is none';
}
# an upstream's
my @say = ('Access-Control-Allow-Origin: *', 'Access-Control-Allow-Credentials: true', 'Access-Control-Expose-Headers: X-Up', 'Access-Control-Allow-Private-Network: true', 'Timing-Allow-Origin: *', 'X-Up: 1', 'Vary: Cookie');
my $up = AIGW::Listener->new(port => $far);
for my $case (['/v1/chat/completions', 200], ['/v1/chat/completions', 500], ['/proxied/x', 200], ['/proxied/x', 500]) {
    my ($path, $status) = @$case;
    my $c = AIGW::Client->new(port => $s->{port});
    $c->request(POST => $path, json => say_to('far'), headers => [@bearer, Origin => $app, Connection => 'close']);
    my $conn = $up->accept;
    $conn->request;
    my $body = $json->encode($status == 200 ? { choices => [{ index => 0, message => { role => 'assistant', content => 'x' }, finish_reason => 'stop' }] } : { error => { message => 'no' } });
    $conn->say(join "\r\n", "HTTP/1.1 $status Said", 'Content-Type: application/json', 'Content-Length: ' . length $body, @say, 'Connection: close', '', $body);
    $conn->close;
    my $r = $c->response;
    my $ours = $path =~ /^.v1/;
    is "$r->{status} " . join('|', $r->header('Access-Control-Allow-Origin'), names($r)), "$status $app|access-control-allow-origin access-control-expose-headers", "$path $status: an upstream's CORS does not get out";
    is join('|', varies($r), $r->header('X-Up') // '-', $r->header('Timing-Allow-Origin') // '-'), $ours ? 'origin|-|-' : 'cookie origin|1|*', $ours ? '… no field of it does' : "… its other fields do, as mod_proxy's do";
}
$up->close;

# ------------------------------------------------ a virtual host's, and errors before a location is known

sub raw {
    my ($text) = @_;
    my $c = AIGW::Client->new(port => $host);
    $c->send_raw($text);
    $c->{method} = 'GET';
    return $c->response;
}
sub host { my ($path, $origin, @more) = @_; return raw(join "\r\n", "GET $path HTTP/1.1", 'Host: x', 'Connection: close', "Origin: $origin", @more, '', '') }
{
    my $own = 'https://host.example';
    is host('/models', $own)->header('Access-Control-Allow-Origin'), $own, "a location inherits the virtual host's";
    is names(host('/models', $app)), '', '… and no other';
    is host('/app', $app)->header('Access-Control-Allow-Origin'), $app, 'a location has its own';
    is names(host('/app', $own)), '', '… and not that of the virtual host';
    my $r = host('/none', $own);
    is join('|', $r->{status}, names($r), varies($r)), '200||', 'none';
    $r = host('/none/' . 'x' x 260, $own);
    is join('|', $r->{status}, names($r), varies($r)), '403||', '… also where httpd has lost the location';
    $r = host('/app/' . 'x' x 260, $app);
    is join('|', $r->{status}, $r->header('Access-Control-Allow-Origin')), "403|$app", 'a location that is lost counts';
    $r = host('/nowhere', $own);
    is join('|', $r->{status}, $r->header('Access-Control-Allow-Origin')), "404|$own", 'no location';
    $r = host('/app', $own, 'X-Small: x', 'X-Large: ' . 'x' x 400);
    is join('|', $r->{status}, $r->header('Access-Control-Allow-Origin')), "431|$own", 'a field that is too large comes before the location';
    is $r->json->{error}{code}, 'headers_too_large', '… and the error can be read';
    $r = host('/' . 'x' x 400, $own);
    is join('|', $r->{status}, names($r), varies($r)), '414||origin', 'of a line that is too long no field is read';
    $r = raw("GARBAGE\r\n\r\n");
    is join('|', $r->{status}, names($r), varies($r)), '400||origin', 'a broken line has no origin';
    $r = host('/app', $own, "X-Bad\x01: x");
    is join('|', $r->{status}, names($r) =~ /allow-origin/ ? 1 : 0, varies($r)), '400|1|origin', 'a broken field';
}

# ------------------------------------------------ HTTP/2

SKIP: {
    skip 'no HTTP/2 here', 8 unless $h2;
    my $curl = sub { my ($path, @more) = @_; open my $pipe, '-|', 'curl', '-sSNi', '--max-time', '20', '--http2-prior-knowledge', @more, "http://127.0.0.1:$s->{port}$path" or die "curl: $!"; local $/; return scalar <$pipe> };
    my @json = ('-H', "Authorization: Bearer $key", '-H', "Origin: $app", '-H', 'Content-Type: application/json');
    my $out = $curl->('/v1/chat/completions', @json, '-d', $json->encode(say_to('echo', stream => JSON::PP::true)));
    like $out, qr{^HTTP/2 200.*^access-control-allow-origin: \Q$app\E\r\n.*\[DONE\]}ms, 'HTTP/2: a stream';
    like $out, qr/^access-control-expose-headers: .*X-Request-ID/mi, '… what is exposed';
    like $out, qr/^vary: Origin\r\n/mi, '… Vary';
    $out = $curl->('/v1/chat/completions', @json, '-d', $json->encode(say_to('dead')));
    like $out, qr{^HTTP/2 502.*^access-control-allow-origin: \Q$app\E\r\n}ms, 'HTTP/2: an error';
    $out = $curl->('/v1/models', '-H', "Origin: $app");
    like $out, qr{^HTTP/2 401.*^access-control-allow-origin: \Q$app\E\r\n}ms, 'HTTP/2: without a credential';
    $out = $curl->('/v1/models', '-X', 'OPTIONS', '-H', "Origin: $app", '-H', 'Access-Control-Request-Method: POST');
    like $out, qr{^HTTP/2 204.*^access-control-allow-methods: GET, HEAD, POST, DELETE\r\n}ms, 'HTTP/2: a preflight';
    like $out, qr/^access-control-allow-origin: \Q$app\E\r\n/m, '… its origin';
    $out = $curl->('/v1/models', '-H', "Origin: $foreign");
    unlike $out, qr/access-control/i, 'HTTP/2: nothing for a foreign origin';
}

# A browser sends no certificate with a preflight.
SKIP: {
    skip 'no IO::Socket::SSL', 2 unless AIGW::Client::have_tls();
    for my $case ([OPTIONS => 204], [GET => 403]) {
        my ($method, $status) = @$case;
        my $c = AIGW::Client->new(port => $s->{tls_port}, tls => 1);
        $c->request($method => '/cert', headers => [Origin => $app, @asks, Connection => 'close']);
        my $r = $c->response;
        is "$r->{status} " . ($r->header('Access-Control-Allow-Origin') // ''), "$status $app", "SSLVerifyClient in a location: $method";
        $c->close;
    }
}

is scalar $s->crashes, 0, 'nothing bad in the log';
log_clean();
