# Every directive of mod_aigw and mod_aigw_stream: what is right passes `httpd -t`, what is wrong fails it with words that name the directive and
# the remedy; secrets; the certificates of upstreams; modules that are missing; and the files in conf/.
# any MPM
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use File::Temp ();
use AIGW::Client qw(get post_json);
use AIGW::Conf qw(conf_check);
use AIGW::Log;
use AIGW::Server;

my $v   = Apache::Test::vars();
my $tmp = File::Temp->newdir('conf-t-XXXXXX', DIR => $v->{t_logs});
my $ca  = "SSLProxyCACertificateFile \"$v->{tls_dir}/ca.pem\"\n";
my $repository = "$ENV{AIGW_SRC}/..";

sub model { my ($inside, $name) = @_; return '<AIGWModel ' . ($name // 'm') . ">\n    $inside\n</AIGWModel>\n" }
sub upstream { return model("AIGWUpstream $_[0]") }
sub echo { my ($more, $name) = @_; return model("AIGWUpstream echo\n    " . ($more // ''), $name) }

my $long256 = 'x' x 256;
my @times = qw(AIGWConnectTimeout AIGWFirstByteTimeout AIGWIdleTimeout AIGWTotalTimeout AIGWKeepAliveInterval AIGWStreamMaxTime AIGWParkAfter);
my @or_off = qw(AIGWParkAfter AIGWKeepAliveInterval AIGWStreamMaxTime AIGWStreamMaxBytes);
my @bytes = qw(AIGWStreamMaxBytes AIGWMaxEventSize AIGWMaxAnswerSize);
my @flags = qw(AIGWErrors AIGWPark AIGWEchoRequestSettings AIGWAllowUnverifiedUpstream);
my @anywhere = (grep({ $_ ne 'AIGWConnectTimeout' } map { "$_ 5s" } @times[1 .. 6]), map({ "$_ 1M" } @bytes), map({ "$_ on" } @flags[0 .. 2]), 'AIGWGenerateVersion 1',
    'AIGWDeprecation 2025-01-01 2026-01-01');
my @server_only = ('AIGWConnectTimeout 5s', 'AIGWAllowUnverifiedUpstream on', 'AIGWDefaultModel m');
my @main_only   = ('AIGWReactors 2', 'AIGWDeferQueue 100');

# ------------------------------------------------ right
my %good = (
    times      => join('', map { my $d = $_; map { "$d $_\n" } qw(500ms 15s 15 2min 1h 1ms) } @times),
    off        => join('', map { my $d = $_; map { "$d $_\n" } qw(off Off 0) } @or_off),
    bytes      => join('', map { my $d = $_; map { "$d $_\n" } qw(1024 65536 64K 64k 16M 1G 2g) } @bytes),
    flags      => join('', map { my $d = $_; map { "$d $_\n" } qw(on off On OFF) } @flags),
    reactors   => "AIGWReactors auto\nAIGWReactors 1\nAIGWReactors 64\nAIGWReactors AUTO\n",
    queue      => "AIGWDeferQueue 16\nAIGWDeferQueue 1000000\n",
    sections   => "DocumentRoot $tmp\n" . echo() . join('', map { "<$_>\n" . join("\n", @anywhere) . "\n</" . s/ .*//r . ">\n" } 'Location /x', "Directory $tmp", 'Files y', 'LocationMatch ^/z', 'If true'),
    hosts      => echo() . "<VirtualHost *:1>\n" . join("\n", @anywhere, @server_only) . "\n</VirtualHost>\n",
    versions   => "AIGWGenerateVersion 1\nAIGWGenerateVersion 2\n",
    deprecated => join('', map { "AIGWDeprecation $_\n" } '2025-01-01 2025-01-01', '2024-02-29 2026-12-31 /api/v2', '1970-01-01 2099-12-31 https://example.com/a?b=c&d=%20#e', 'off', 'OFF'),
    everything => model("AIGWUpstream echo words=20 delay=50ms ttft=200 fail=429 stall=5 reset=0\n AIGWAlias a b/c d:e f\@g -h +i .j _k\n AIGWPrice input=0.15 output=0\n AIGWPrice output=1e-3\n"
            . " AIGWContextWindow 2147483647\n AIGWMaxTokens 1\n AIGWOwner \"somebody else\"\n", 'A1._:/@+-') . "AIGWDefaultModel b/c\n",
    'a long name' => echo('', $long256) . "AIGWDefaultModel $long256\n",
    'a quoted name' => echo('', '"quoted"') . "AIGWDefaultModel quoted\n",
    'letters of both cases' => echo('', 'm') . echo('', 'M'),
    urls       => join('', map { model("AIGWUpstream openai $_->[1]", "m$_->[0]") } ([1, 'http://127.0.0.1:9000/v1'], [2, 'http://127.0.0.1:9000/v1/'], [3, 'HTTP://127.0.0.1:9000'],
            [4, '"unix:/x.sock|http://localhost/v1"'], [5, 'http://[::1]:9000/v1'], [6, 'http://127.0.0.1/a/b/c/d'])),
    settings   => upstream('openai http://127.0.0.1:9/v1 model=org/x:y disconnect=cancel disconnect=drain disconnect=drain:30s disconnect=drain:500ms header.X-A=1 header.X_b=2 "header.X-C=and more"'),
    balancer   => "<Proxy \"balancer://b\">\nBalancerMember http://127.0.0.1:9\n</Proxy>\n" . upstream('openai balancer://b/v1'),
    'a balancer that comes later' => upstream('openai balancer://b/v1') . "<Proxy \"balancer://b\">\nBalancerMember http://127.0.0.1:9\n</Proxy>\n",
    'a balancer of the main server' => "<Proxy \"balancer://b\">\nBalancerMember http://127.0.0.1:9\n</Proxy>\n<VirtualHost *:1>\n" . upstream('openai balancer://b/v1') . "</VirtualHost>\n",
    'a model of the same name in a virtual host' => echo() . "<VirtualHost *:1>\n" . echo() . "AIGWDefaultModel m\n</VirtualHost>\n",
    'a default of the main server' => echo() . "<VirtualHost *:1>\nAIGWDefaultModel m\n</VirtualHost>\n",
    'no model at all' => "AIGWErrors on\n",
    'two models of one upstream' => model('AIGWUpstream openai http://127.0.0.1:9/v1', 'a') . model('AIGWUpstream openai http://127.0.0.1:9/v1 model=x', 'b'),
    'inside IfModule' => "<IfModule aigw_module>\n" . echo() . "</IfModule>\n",
);

# ------------------------------------------------ wrong: what, and what is said
my @wrong = (
    (map { my $d = $_; map { ["$d $_", qr/$d: .*(?:write for example|500ms)/] } 'x', '-1', '5m', '1.5s', '5y', 'soon', 'hours', '99999999999999999999' } @times),
    (map { my $d = $_; map { ["$d $_", qr/$d: .*above zero.*write for example/] } '0', '0ms', 'off' } @times[0 .. 3]),
    (map { my $d = $_; map { ["$d $_", qr/$d: .*number of bytes.*write for example/] } 'x', '-1', '10Q', '64KB', '1.5M', '99999999999999999999', '99999999999G', 'K' } @bytes),
    (map { my $d = $_; map { ["$d $_", qr/$d: .*at least 1024/] } '0', '1023', 'off' } @bytes[1, 2]),
    (map { my $d = $_; map { ["$d $_", qr/$d .*On or Off|$d.*one of/i] } 'maybe', '1', '' } @flags),
    (map { ["AIGWReactors $_", qr/AIGWReactors: .*auto.*1 to 64/] } '0', '65', '-1', 'x', '1.5'),
    (map { ["AIGWDeferQueue $_", qr/AIGWDeferQueue: .*16 to 1000000/] } '15', '1000001', 'x', '-1'),
    (map { ["<VirtualHost *:1>\n$_\n</VirtualHost>", qr/AIGW\w+ cannot occur within <VirtualHost> section/] } @main_only),
    (map { ["<Location /x>\n$_\n</Location>", qr/AIGW\w+ not allowed (?:here|in <Location)/] } @server_only, @main_only, "<AIGWModel m>\nAIGWUpstream echo\n</AIGWModel>"),
    (map { ["<Directory $tmp>\n$_\n</Directory>", qr/AIGW\w+ not allowed (?:here|in <Directory)/] } @server_only),
    (map { [$_, qr/AIGW\w+ (?:takes|requires)/] } @times, @bytes, 'AIGWReactors', 'AIGWDeferQueue', 'AIGWDefaultModel', 'AIGWGenerateVersion', 'AIGWDeprecation', 'AIGWIdleTimeout 1s 2s', 'AIGWDefaultModel a b',
        'AIGWGenerateVersion 1 2', 'AIGWDeprecation 2025-01-01 2026-01-01 /x /y'),

    (map { my ($d) = /(\w+)/; [$_, qr/$d stands inside <AIGWModel name>/] } 'AIGWUpstream echo', 'AIGWAlias a', 'AIGWPrice input=1', 'AIGWContextWindow 1', 'AIGWMaxTokens 1', 'AIGWOwner x'),
    ["<AIGWModel m>\n</AIGWModel>", qr/<AIGWModel m> has no AIGWUpstream: add/],
    ["<AIGWModel m\nAIGWUpstream echo\n</AIGWModel>", qr/<AIGWModel name> lacks its closing '>'/],
    ["<AIGWModel>\nAIGWUpstream echo\n</AIGWModel>", qr/<AIGWModel>: .*1 to 256 characters/],
    ["<AIGWModel \"\">\nAIGWUpstream echo\n</AIGWModel>", qr/<AIGWModel>: .*1 to 256 characters/],
    ["<AIGWModel a b>\nAIGWUpstream echo\n</AIGWModel>", qr/<AIGWModel> takes one name: use AIGWAlias/],
    ["<AIGWModel m>\nAIGWUpstream echo\n", qr/<AIGWModel.* (?:was not closed|without closing|Missing)|Expected <\/AIGWModel>/i],
    (map { [echo('', $_), qr/<AIGWModel>: .*letters, digits and/] } '"a b"', 'a,b', 'a"b', 'a%b', "gr\xc3\xbcezi", 'a;b', 'a*b', 'a\\b'),
    [echo('', "${long256}x"), qr/<AIGWModel>: .*1 to 256 characters/],
    [echo() . echo(), qr/<AIGWModel m>: .*taken already/],
    [echo('AIGWAlias n') . echo('', 'n'), qr/<AIGWModel n>: .*taken already/],
    [echo('AIGWAlias m'), qr/AIGWAlias m: .*taken already/],
    [echo('AIGWAlias a a'), qr/AIGWAlias a: .*taken already/],
    [echo() . echo('AIGWAlias m', 'n'), qr/AIGWAlias m: .*taken already/],
    [echo('AIGWAlias "a b"'), qr/AIGWAlias: .*letters, digits and/],
    [echo('AIGWAlias'), qr/AIGWAlias requires/],
    [model("AIGWUpstream echo\n" . echo('', 'n')), qr/<AIGWModel> does not stand inside another/],
    [model("AIGWUpstream echo\nAIGWUpstream echo"), qr/AIGWUpstream: this model has one already.*balancer/],
    (map { [upstream($_), qr/AIGWUpstream: there is no provider '\w*': known are echo, openai/] } '', 'nobody', 'OpenAI', 'http'),
    (map { [upstream("openai $_"), qr{AIGWUpstream: .*not the address of an upstream: write http://host:port/v1}] } '', 'model=x', 'localhost:9/v1', '//host/v1', 'ftp://host/v1', 'http:///v1', 'http://host/v1?x=y',
        'http://host/v1#x', 'http://user@host/v1', 'unix:/x.sock', '"unix:/x.sock|ftp://host/v1"', 'ws://host/v1', 'http://host:99999999/v1'),
    (map { [upstream("echo $_"), qr/AIGWUpstream echo: .*words=20/] } qw(words=0 words=-1 words=x words=1000001 words= words=1.5 delay=x delay=-1 delay= ttft=soon ttft=-5 fail=200 fail=399 fail=600 fail=x stall=-1 stall=x
        reset=x reset=-1)),
    (map { [upstream("echo $_"), qr/AIGWUpstream echo: there is no setting .*known are words, delay/] } qw(word=5 Words=5 url=x)),
    [upstream('echo http://localhost/v1'), qr/AIGWUpstream: .*key=value/],
    [upstream('echo words'), qr/AIGWUpstream: 'words' is not of the form key=value/],
    [upstream('echo =5'), qr/AIGWUpstream: .*key=value/],
    [upstream('openai http://h/v1 retries=5'), qr/AIGWUpstream openai: there is no setting 'retries': known are model, key/],
    [upstream('openai http://h/v1 model='), qr/AIGWUpstream: model= needs the name/],
    (map { [upstream("openai http://h/v1 disconnect=$_"), qr/AIGWUpstream: disconnect=.* is none of cancel, drain, drain:30s/] } '', 'later', 'Cancel', 'drain:', 'drain:0', 'drain:x', 'drain:-1', 'drained'),
    (map { [upstream("openai http://h/v1 header.$_"), qr/AIGWUpstream: header\..* is not a header field: write header\./] } '=x', 'a:b=x', 'a.b=x', "a\xc3\xbc=x"),
    [upstream('openai http://h/v1 "header.a b=x"'), qr/AIGWUpstream: header\..* is not a header field: write header\./],
    [upstream("openai http://h/v1 \"header.a=x\ty\x07\""), qr/AIGWUpstream: header\..* is not a header field: write header\./],
    (map { [upstream("openai http://h/v1 header.$_=x"), qr/AIGWUpstream: header\.$_ is set by the gateway itself/] } qw(Host Content-Length content-type Transfer-Encoding Connection Accept-Encoding
        Accept Authorization X-Request-ID traceparent)),
    (map { [echo("AIGWPrice $_"), qr/AIGWPrice: .*input=N nor output=N/] } split / /, '5 input input= input=x input=-1 total=5 output=1,5 input=inf output=nan =5'),
    (map { my $d = $_; map { [echo("$d $_"), qr/$d: .*number of tokens/] } qw(0 -1 x 1.5 2147483648 1k) } qw(AIGWContextWindow AIGWMaxTokens)),
    [echo('AIGWOwner a b'), qr/AIGWOwner takes one/],
    (map { ["AIGWGenerateVersion $_", qr/AIGWGenerateVersion: .*write 1 .* or 2/] } '0', '3', 'v1'),
    (map { ["AIGWDeprecation $_", qr/AIGWDeprecation: .*write AIGWDeprecation 2025-01-31/] } '2025-01-01', 'on', '2025-13-01 2026-01-01', '2025-00-01 2026-01-01', '2025-02-30 2026-01-01', '2023-02-29 2026-01-01',
        '25-01-01 2026-01-01', '2025-1-1 2026-01-01', '2025-01-01 soon', '2025-01-01 2026-01-01T00:00:00Z', '1969-12-31 2026-01-01', '2025-01-01 2026-01-32'),
    ['AIGWDeprecation 2026-01-01 2025-12-31', qr/AIGWDeprecation: .*before the deprecation.*earlier day first/],
    (map { ["AIGWDeprecation 2025-01-01 2026-01-01 $_", qr/AIGWDeprecation: .*no address.*percent-encoded/] } '"a b"', '"a>b"', '""', '"<x>"', "gr\xc3\xbcezi"),
);

# What only the whole configuration shows: what, which number, what is said.
my @whole = (
    ["AIGWDefaultModel nobody\n",                              'AIGW0102', qr/AIGWDefaultModel nobody: there is no such model: add <AIGWModel nobody>/],
    [echo() . "AIGWDefaultModel M\n",                          'AIGW0102', qr/AIGWDefaultModel M:/],
    ["<VirtualHost *:1>\n" . echo() . "</VirtualHost>\nAIGWDefaultModel m\n", 'AIGW0102', qr/AIGWDefaultModel m:/],
    [echo() . "<VirtualHost *:1>\nAIGWDefaultModel x\n</VirtualHost>\n", 'AIGW0102', qr/AIGWDefaultModel x:/],
    [upstream('openai balancer://nobody/v1'),                  'AIGW0171', qr/snippet:2: model m, upstream balancer:\/\/nobody\/v1: there is no such balancer: add <Proxy/],
    ["<VirtualHost *:1>\n<Proxy \"balancer://b\">\nBalancerMember http://127.0.0.1:9\n</Proxy>\n</VirtualHost>\n" . upstream('openai balancer://b/v1'), 'AIGW0171', qr/there is no such balancer/],
);
push @whole,
    ["AIGWKeyFile $tmp/absent.keys\n",                         'AIGW0310', qr{the key file \S+/absent\.keys cannot be read}],
    ["AIGWKeyFile $tmp/wrong.keys\n",                          'AIGW0311', qr{wrong\.keys, line 3: "user" is missing\.}],
    ["<VirtualHost *:1>\nAIGWKeyFile $tmp/wrong.keys\n</VirtualHost>\n", 'AIGW0311', qr{line 3: }];
AIGW::Services::spew("$tmp/wrong.keys", "# somebody\n\n{\"id\":\"a\",\"sha256\":\"" . 'a' x 64 . "\"}\n");
AIGW::Services::spew("$tmp/good.keys", "{\"id\":\"a\",\"sha256\":\"" . 'a' x 64 . "\",\"user\":\"u\"}\n");
$good{keys}   = "AIGWKeyFile $tmp/good.keys\n<VirtualHost *:1>\nAIGWKeyFile $tmp/good.keys\n</VirtualHost>\n<VirtualHost *:2>\n</VirtualHost>\n";
$good{allow}  = "AIGWAllowModels a b* [c-d]\nAIGWAllowModels e\n<Location /x>\nAIGWAllowModels all\n</Location>\n";
$good{require} = "<Location /x>\nAuthType AIGW\nRequire aigw-tier a b\nRequire aigw-scope a:b\nRequire aigw-model \"c d\"\n</Location>\n";
push @wrong,
    ["AIGWKeyFile $tmp/good.keys\nAIGWKeyFile $tmp/other.keys", qr/AIGWKeyFile: there is one already here, .*good\.keys.*Put all keys in one file/],
    ['AIGWAllowModels all a', qr/AIGWAllowModels: "all" cannot stand beside names/], ['AIGWAllowModels a all', qr/AIGWAllowModels: "all" cannot stand beside names/], ['AIGWAllowModels', qr/AIGWAllowModels requires at least one argument/],
    ['AIGWKeyFile a b', qr/AIGWKeyFile takes one argument/], (map { ["<Location /x>\nRequire $_\n</Location>", qr/need at least one name, such as: Require aigw-tier pro/] } qw(aigw-tier aigw-scope aigw-model));
$good{cors} = join '', map { "<Location /$_->[0]>\nAIGWCorsOrigin $_->[1]\n</Location>\n" } ['a', 'https://app.example.com http://localhost:3000 HTTPS://*.Example.ORG:443'], ['b', '*'], ['c', 'none'], ['d', 'NONE'], ['e', 'null'],
    ['f', 'http://[::1]:8080 http://127.0.0.1 chrome-extension://abcdef https://x-1.example https://x-1.example'], ['g', 'https://a.example null'], ['h', "https://a.example\nAIGWCorsOrigin https://b.example"], ['i', "*\nAIGWCorsCredentials off"],
    ['j', "https://*.a.example\nAIGWCorsCredentials on"];
$good{'cors of a server'} = "AIGWCorsOrigin https://a.example\nAIGWCorsCredentials on\n<VirtualHost *:1>\nAIGWCorsOrigin none\nAIGWCorsCredentials off\n<Location /x>\nAIGWCorsOrigin *\n</Location>\n</VirtualHost>\n";
my $open = qr/any website could then act in its visitors' names\. Name the origins, or write AIGWCorsCredentials off/;
push @wrong,
    (map { ["AIGWCorsOrigin $_->[0]", qr/AIGWCorsOrigin: .*$_->[1]/] } ['https://a.example/', qr/no path, not even a slash: write https:\/\/a\.example/], ['https://a.example/app', qr/no path: write https:\/\/a\.example/],
        ['app.example.com', qr/begins with a scheme: write for example https:\/\/app\.example\.com/], ['NULL', qr/begins with a scheme/], ['https://u@a.example', qr/no user/], ['wss://a.example', qr/write https:\/\//], ['file:///x', qr/origin null/],
        ['https://', qr/host is missing/], ['https://a.example:99999', qr/port.*1 to 65535/], ['http://localhost:*', qr/port.*1 to 65535/], ['http://::1', qr/brackets: write http:\/\/\[::1\]:8080/], ['https://1.2.3', qr/no IPv4 address/],
        ["https://gr\xc3\xbcezi.example", qr/ASCII.*xn--/], ['https://a..example', qr/labels/], ['https://app.*.example', qr/write https:\/\/\*\.example\.com/], ['https://*', qr/or \* alone/], ['https://*.com', qr/top-level domain: write two names at least/],
        ['https://a.example none', qr/"none" cannot stand beside/], ['none https://a.example', qr/"none" cannot stand beside/], ['* https://a.example', qr/\* is every origin/], ['https://a.example *', qr/\* is every origin/], ["none\nAIGWCorsOrigin https://a.example", qr/"none" cannot/]),
    ['AIGWCorsOrigin', qr/AIGWCorsOrigin requires at least one argument/], ['AIGWCorsCredentials maybe', qr/AIGWCorsCredentials must be On or Off/i],
    (map { [$_, $open] } "AIGWCorsOrigin *\nAIGWCorsCredentials on", "AIGWCorsCredentials on\nAIGWCorsOrigin *", "<Location /x>\nAIGWCorsCredentials on\nAIGWCorsOrigin https://a.example null\n</Location>");
push @whole, map { [$_, 'AIGW0341', qr/snippet:\d+ and \S*snippet:\d+ hold together: AIGWCorsOrigin (?:\*|null) and AIGWCorsCredentials on: $open/] }
    "AIGWCorsCredentials on\n<Location /x>\nAIGWCorsOrigin *\n</Location>\n", "AIGWCorsOrigin null\n<Location /x>\nAIGWCorsCredentials on\n</Location>\n",
    "AIGWCorsCredentials on\n<VirtualHost *:1>\nAIGWCorsOrigin *\n</VirtualHost>\n", "<VirtualHost *:1>\nAIGWCorsOrigin *\n<Directory $tmp>\n<Files x>\nAIGWCorsCredentials on\n</Files>\n</Directory>\n</VirtualHost>\n",
    "AIGWCorsOrigin *\n<If true>\nAIGWCorsCredentials on\n</If>\n";
my @without = (
    [qr/aigw_module|aigw_auth|aigw_ratelimit|aigw_tasks|aigw_test/, "ServerAdmin x\n", 'AIGW0201', qr/mod_aigw_stream needs mod_aigw .*load mod_aigw before mod_aigw_stream/],
    [qr/aigw_module|aigw_stream|aigw_tasks|aigw_test/, "ServerAdmin x\n", 'AIGW0301', qr/mod_aigw_auth needs mod_aigw .*load mod_aigw before mod_aigw_auth/],
    [qr/aigw_stream|aigw_test/, "ServerAdmin x\n", 'AIGW0601', qr/mod_aigw_tasks needs mod_aigw and mod_aigw_stream .*load them too/],
    [qr/proxy_balancer|lbmethod|hcheck/,  $good{balancer},   'AIGW0171', qr/a balancer needs mod_proxy_balancer.*a2enmod proxy_balancer/],
    [qr/ssl_module|http2/,                upstream('openai https://localhost/v1'), 'AIGW0175', qr/https needs mod_ssl: a2enmod ssl/],
);

# ------------------------------------------------ secrets: right ones, and wrong ones with what is said of them
AIGW::Conf::spew("$tmp/$_->[0]", $_->[1]) for ['one', "sk-file-secret\n"], ['crlf', "sk-file-secret\r\n"], ['empty', ''], ['blank', "\n\n"], ['two', "sk-file-secret\nsk-other-secret\n"], ['nul', "sk-file\0secret\n"],
    ['control', "sk-file\x07secret\n"], ['long', 'sk-file-' . 'x' x 9000], ['longest', 'sk-file-' . 'x' x 8184];
AIGW::Conf::spew("$tmp/$_->[0].sh", "#!/bin/sh\n$_->[1]\n") for ['good', 'echo sk-exec-secret'], ['fails', 'echo sk-exec-secret; echo sk-stderr >/dev/null; exit 3'], ['silent', 'exit 0'], ['killed', 'kill -9 $$'],
    ['twolines', 'echo sk-exec-secret; echo sk-other-secret'], ['argument', 'echo "$1"'];
chmod 0755, glob "$tmp/*.sh";
my @secrets = ('env:AIGW_T_KEY', "file:$tmp/one", "file:$tmp/crlf", "file:$tmp/longest", "exec:$tmp/good.sh", "\"exec:$tmp/argument.sh sk-exec-secret\"");
my @no_secrets = (
    ['env:AIGW_T_UNSET',          qr/this variable is not set where httpd is started.*envvars/], ['env:AIGW_T_EMPTY', qr/it is empty/], ['env:AIGW_T_TWO', qr/several lines/], ['env:AIGW_T_LONG', qr/longer than 8 KiB/],
    ["file:$tmp/absent",          qr/No such file/], ["file:$tmp/empty", qr/it is empty/], ["file:$tmp/blank", qr/it is empty/], ["file:$tmp/two", qr/several lines/], ["file:$tmp/nul", qr/control characters/],
    ["file:$tmp/control",         qr/control characters/], ["file:$tmp/long", qr/longer than 8 KiB/], ["file:$tmp", qr/Is a directory/],
    ["exec:$tmp/fails.sh",        qr/the command failed/], ["exec:$tmp/silent.sh", qr/it is empty/], ["exec:$tmp/killed.sh", qr/the command failed/], ["exec:$tmp/twolines.sh", qr/several lines/],
    ["exec:$tmp/absent.sh",       qr/the command failed|No such file/], ['exec:/bin/false', qr/the command failed/],
);
my %env = (AIGW_T_KEY => 'sk-env-secret', AIGW_T_EMPTY => '', AIGW_T_TWO => "sk-env-secret\nsk-other-secret", AIGW_T_LONG => 'sk-env-' . 'x' x 9000);
my @literal = ('sk-literal-secret', 'env:', 'file:', 'exec:', 'ENV:sk-literal-secret', 'environment:sk-literal-secret', '', 'http://sk-literal-secret', 'env=sk-literal-secret');
my @in_url  = ('http://user:sk-literal-secret@host/v1', 'http://sk-literal-secret@host/v1', 'http://host/v1?api_key=sk-literal-secret', 'https://host/v1#sk-literal-secret');

# ------------------------------------------------ certificates of upstreams: the configuration, whether it passes, what is said
my $https   = upstream('openai https://localhost:9/v1');
my $engine  = "SSLProxyEngine on\n";
my $require = "SSLProxyVerify require\n";
my $allow   = "AIGWAllowUnverifiedUpstream on\n";
my $pool    = "<Proxy \"balancer://b\">\nBalancerMember https://localhost:9\n";
my $of_pool = upstream('openai balancer://b/v1');
my @tls = (
    ['nothing said',                     $https,                                              0, qr/AIGW0175: snippet:2: model m: .*SSLProxyEngine on/],
    ['not verified',                     "$engine$https",                                     0, qr/AIGW0175: snippet:3: model m: .*SSLProxyVerify require.*SSLProxyCACertificateFile.*AIGWAllowUnverifiedUpstream on/],
    ['verified',                         "$engine$require$ca$https",                          1],
    ['… said later',                     "$https$engine$require$ca",                          1],
    ['… in letters of any case',         "sslproxyengine ON\nSSLPROXYVERIFY REQUIRE\n$ca$https", 1],
    ['… in IfModule',                    "<IfModule ssl_module>\n$engine$require$ca</IfModule>\n$https", 1],
    ['verified if there is a certificate', "$engine${ca}SSLProxyVerify optional\n$https",     0, qr/AIGW0175: .*SSLProxyVerify require/],
    ['verified without a CA',            "$engine${ca}SSLProxyVerify optional_no_ca\n$https", 0, qr/AIGW0175: .*SSLProxyVerify require/],
    ['verified, then no more',           "$engine$require${ca}SSLProxyVerify none\n$https",   0, qr/AIGW0175: .*SSLProxyVerify require/],
    ['not the name',                     "$engine$require${ca}SSLProxyCheckPeerName off\n$https", 0, qr/AIGW0175: .*name in its certificate.*SSLProxyCheckPeerName off/],
    ['the engine is off again',          "$engine$require${ca}SSLProxyEngine off\n$https",    0, qr/AIGW0175: .*SSLProxyEngine on/],
    ['allowed',                          "$engine$allow$https",                               1, qr/AIGW0174: model m: .*would not be verified.*allowed by AIGWAllowUnverifiedUpstream/],
    ['allowed, not the name',            "$engine$require$ca${allow}SSLProxyCheckPeerName off\n$https", 1, qr/AIGW0174: .*name in its certificate/],
    ['allowed, but no engine',           "$allow$https",                                      0, qr/AIGW0175: .*SSLProxyEngine on/],
    ['allowed, and not',                 "$engine${allow}AIGWAllowUnverifiedUpstream off\n$https", 0, qr/AIGW0175/],
    ['verified, and allowed not to be',  "$engine$require$ca$allow$https",                    1],
    ['in the virtual host',              "<VirtualHost *:1>\n$engine$require$ca$https</VirtualHost>\n", 1],
    ['the virtual host inherits',        "$engine$require$ca<VirtualHost *:1>\n$https</VirtualHost>\n", 1],
    ['the virtual host not',             "$engine$require$ca<VirtualHost *:1>\nSSLProxyVerify none\n$https</VirtualHost>\n", 0, qr/AIGW0175: .*SSLProxyVerify require/],
    ['the virtual host not, with a model of the main server', "$engine$require$ca$https<VirtualHost *:1>\nSSLProxyVerify none\n</VirtualHost>\n", 0, qr/AIGW0175: .*SSLProxyVerify require/],
    ['another virtual host',             "<VirtualHost *:1>\n$engine$require$ca</VirtualHost>\n<VirtualHost *:2>\n$https</VirtualHost>\n", 0, qr/AIGW0175/],
    ['the main server, not the virtual host', "<VirtualHost *:1>\n$engine$require$ca</VirtualHost>\n$https", 0, qr/AIGW0175/],
    ['allowed in the virtual host',      "$engine<VirtualHost *:1>\n$engine$allow$https</VirtualHost>\n", 1, qr/AIGW0174/],
    ['allowed in another virtual host',  "$engine<VirtualHost *:1>\n$allow</VirtualHost>\n<VirtualHost *:2>\n$https</VirtualHost>\n", 0, qr/AIGW0175/],
    ['in a Proxy block',                 "<Proxy \"https://localhost:9/\">\n$engine$require$ca</Proxy>\n$https", 1],
    ['in a Proxy block of the virtual host', "<VirtualHost *:1>\n<Proxy \"https://localhost:9/\">\n$engine$require$ca</Proxy>\n$https</VirtualHost>\n", 1],
    ['in a Proxy block for all',         "<Proxy *>\n$engine$require$ca</Proxy>\n$https",     1],
    ['in a Proxy block of another',      "<Proxy \"https://elsewhere/\">\n$engine$require$ca</Proxy>\n$https", 0, qr/AIGW0175/],
    ['in a Proxy block that takes it back', "$engine$require$ca<Proxy \"https://localhost:9/\">\nSSLProxyVerify none\n</Proxy>\n$https", 0, qr/AIGW0175: .*SSLProxyVerify require/],
    ['in a Proxy block of another that takes it back', "$engine$require$ca<Proxy \"https://elsewhere/\">\nSSLProxyVerify none\n</Proxy>\n$https", 1],
    ['a balancer',                       "$pool</Proxy>\n$engine$require$ca$of_pool",         1],
    ['a balancer, not verified',         "$pool</Proxy>\n$engine$of_pool",                    0, qr/AIGW0175: .*upstream https:\/\/localhost:9.*SSLProxyVerify require/],
    ['a balancer, in its Proxy block',   "$pool$engine$require$ca</Proxy>\n$of_pool",         1],
    ['a balancer, one of two members',   "<Proxy \"balancer://b\">\nBalancerMember http://127.0.0.1:8\nBalancerMember https://localhost:9\n</Proxy>\n$engine$of_pool", 0, qr/AIGW0175/],
    ['plain http needs nothing',         upstream('openai http://127.0.0.1:9/v1'),            1],
);

my @files = ('aigw.conf', 'cors.conf', 'ratelimit.conf', 'stream.conf', 'tasks.conf', 'debian/aigw.conf');
plan tests => 2 * keys(%good) + 3 * @wrong + 2 * @whole + 2 * @without + 2 * @secrets + 3 * @no_secrets + 2 * @literal + 2 * @in_url + 2 * 2 + 2 * @tls + 4 * @files + 3 + 8 + 2 + 2 + 11 + 1,
    need_module('mod_aigw', 'mod_aigw_stream', 'mod_ssl', 'mod_proxy_balancer');

sub short { my ($s) = @_; $s =~ s/[^\x20-\x7e]+/ /g; return length $s > 70 ? substr($s, 0, 67) . '...' : $s }

for my $name (sort keys %good) {
    my ($status, $words) = conf_check($good{$name});
    is $status, 0, "right: $name" or diag $words;
    unlike $words, qr/AIGW\d/, "right: $name: nothing to be said";
}
for my $case (@wrong) {
    my ($snippet, $said) = @$case;
    my ($status, $words) = conf_check("$snippet\n");
    my $name = short($snippet);
    isnt $status, 0, "wrong: $name";
    like $words, $said, "wrong: $name: the directive and the remedy";
    like $words, qr/line \d+ of snippet|snippet:\d+/, "wrong: $name: where";
}
for my $case (@whole) {
    my ($snippet, $number, $said) = @$case;
    my ($status, $words) = conf_check($snippet);
    isnt $status, 0, 'as a whole: ' . short($snippet);
    like $words, qr/$number: (?:.*)$said/, 'as a whole: ' . short($snippet) . ': what is said';
}
for my $case (@without) {
    my ($module, $snippet, $number, $said) = @$case;
    my ($status, $words) = conf_check($snippet, without => $module);
    isnt $status, 0, "without $module";
    like $words, qr/$number: (?:.*)$said/, "without $module: what is said";
}

# ------------------------------------------------------------------ secrets

for my $source (@secrets) {
    my ($status, $words) = conf_check(model('AIGWUpstream openai http://127.0.0.1:9/v1 ' . ($source =~ /^"(.*)"$/ ? "\"key=$1\"" : "key=$source")), env => \%env);
    is $status, 0, 'a secret: ' . short($source) or diag $words;
    unlike $words, qr/sk-(?:env|exec|file|other)/, 'a secret: ' . short($source) . ': not shown';
}
for my $case (@no_secrets) {
    my ($source, $said) = @$case;
    my $name = 'no secret: ' . short($source =~ s/\Q$tmp\E//r);
    my ($status, $words) = conf_check(upstream("openai http://127.0.0.1:9/v1 key=$source"), env => \%env);
    isnt $status, 0, $name;
    like $words, qr/AIGW0101: snippet:2: model m: the key from \Q$source\E cannot be had: .*$said/, "$name: what is said";
    unlike $words, qr/sk-(?:env|exec|file|other)/, "$name: not shown";
}
for my $value (@literal) {
    my ($status, $words) = conf_check(upstream("openai http://127.0.0.1:9/v1 key=$value"));
    like $status . ' ' . $words, qr{^[1-9].*AIGWUpstream key: a secret does not stand in the configuration: write env:NAME, file:/path or exec:/path/to/command}s, "a literal key '$value'";
    unlike $words, qr/sk-literal/, "a literal key '$value': not repeated";
}
for my $url (@in_url) {
    my ($status, $words) = conf_check(upstream("openai $url"));
    isnt $status, 0, "a secret in a URL: $url";
    unlike $words, qr/sk-literal/, "a secret in a URL: $url: not repeated";
}
{
    my ($status, $words) = conf_check(upstream('openai http://127.0.0.1:9/v1 header.api-key=env:AIGW_T_KEY'), env => \%env);
    is $status, 0, 'a secret in a header field';
    unlike $words, qr/sk-env/, 'a secret in a header field: not shown';
    ($status, $words) = conf_check(upstream('openai http://127.0.0.1:9/v1 header.api-key=env:AIGW_T_TWO'), env => \%env);
    like $status . ' ' . $words, qr/^[1-9].*AIGW0103: snippet:2: model m: header\.api-key from env:AIGW_T_TWO cannot be had: .*several lines/s, 'no secret in a header field';
    unlike $words, qr/sk-env/, 'no secret in a header field: not shown';
}

# ------------------------------------------------------------------ certificates of upstreams

for my $case (@tls) {
    my ($name, $snippet, $good, $said) = @$case;
    my ($status, $words) = conf_check($snippet);
    is $status ? 'refused' : 'taken', $good ? 'taken' : 'refused', "https: $name" or diag $words;
    if ($said) { like $words, $said, "https: $name: what is said" }
    else       { unlike $words, qr/AIGW\d/, "https: $name: nothing to be said" }
}

# ------------------------------------------------------------------ the files in conf/

for my $file (@files) {
    my ($status, $words) = conf_check(($file eq 'aigw.conf' ? "AIGWStore sqlite:$tmp/aigw.db\n" : '') . "Include \"$repository/conf/$file\"\n");
    is $status, 0, "conf/$file" or diag $words;
    unlike $words, qr/warn|AIGW\d/i, "conf/$file: nothing to be said";
    ($status, $words) = conf_check("Include \"$repository/conf/$file\"\n", without => qr/aigw_stream|aigw_tasks/);
    is $status, 0, "conf/$file without mod_aigw_stream" or diag $words;
    ($status, $words) = conf_check("Include \"$repository/conf/$file\"\n", without => qr/aigw/);
    is $status, 0, "conf/$file without any of ours" or diag $words;
}
{
    my ($libexec) = map { m{^LoadModule\s+status_module\s+"?(.*)/mod_status\.so} } split /\n/, AIGW::Services::slurp("$ENV{AIGW_BUILD}/base.conf");
    my %define = (AIGW_PORT => 1, AIGW_RUN => "$tmp", AIGW_LIBEXEC => $libexec, AIGW_MODULES => "$ENV{AIGW_BUILD}/../modules/.libs", AIGW_HTDOCS => "$repository/conf/quickstart", AIGW_STORE => "$tmp/tasks");
    my $defines = join ' ', map { "-C 'Define $_ \"$define{$_}\"'" } sort keys %define;
    my $words = qx($v->{httpd} -t -d $tmp $defines -f $repository/conf/quickstart.conf 2>&1);
    is $?, 0, 'conf/quickstart.conf' or diag $words;
    unlike $words, qr/warn|AIGW\d/i, 'conf/quickstart.conf: nothing to be said';
    $words = qx($v->{httpd} -t -d $tmp -f $repository/conf/quickstart.conf 2>&1);
    isnt $?, 0, 'conf/quickstart.conf needs what the script defines';
}
# … and what aigw.conf promises is there.
{
    my $s = AIGW::Server->new(conf => "Include \"$repository/conf/aigw.conf\"\n");
    my %own = (port => $s->{port});
    my @chat = (messages => [{ role => 'user', content => 'a b' }]);
    is post_json('/v1/chat/completions', { @chat }, %own)->text, 'a b', 'aigw.conf: chat completions';
    is post_json('/v1/chat', { message => 'a b' }, %own)->json->{content}, 'a b', 'aigw.conf: chat';
    like post_json('/v1/chat/stream', { message => 'a b' }, %own)->content, qr/"token":"a".*\[DONE\]/s, 'aigw.conf: chat, streamed';
    is_deeply post_json('/api/v1/generate', { prompt => 'a b' }, %own)->json, { text => 'a b' }, 'aigw.conf: generate, version 1';
    is join(' ', sort keys %{ post_json('/api/v2/generate', { prompt => 'a b' }, %own)->json }), 'meta text', 'aigw.conf: generate, version 2';
    like post_json('/api/v1/stream/generate', { prompt => 'a b' }, %own)->content, qr/^event: done$/m, 'aigw.conf: generate, streamed';
    is get('/v1/models/echo', %own)->json->{id}, 'echo', 'aigw.conf: models';
    is get('/nowhere', %own)->json->{error}{code}, 'not_found', 'aigw.conf: errors';
    $s->stop;
    $s->configure("Include \"$repository/conf/stream.conf\"\n");
    $s->start;
    like post_json('/v1/chat/completions', { stream => \1, @chat }, %own)->content, qr/\[DONE\]/, 'stream.conf: chat completions';
    my $r = post_json('/generate', { prompt => 'a' }, %own);
    ok $r->header('Deprecation') && exists $r->json->{text}, 'stream.conf: generate';
    $s->stop;
    $s->configure("Include \"$repository/conf/aigw.conf\"\nInclude \"$repository/conf/cors.conf\"\n");
    $s->start;
    is get('/v1/models', %own, headers => { Origin => $_ })->header('Access-Control-Allow-Origin'), $_, "cors.conf: $_" for 'https://app.example.com', 'https://one.preview.example.com';
}

# ------------------------------------------------------------------ what is said innermost holds

my $s = AIGW::Server->new(conf => <<'CONF');
<AIGWModel m>
    AIGWUpstream  echo words=9
    AIGWMaxTokens 3
</AIGWModel>
AIGWDefaultModel m
AIGWGenerateVersion 1
AIGWDeprecation 2025-01-01 2027-01-01 /outer
AIGWEchoRequestSettings on
<Location "/models">
    SetHandler aigw-models
</Location>
<Location "/generate">
    SetHandler aigw-generate
</Location>
<Location "/generate/two">
    AIGWGenerateVersion 2
    AIGWDeprecation off
</Location>
<Location "/generate/three">
    AIGWDeprecation 2026-01-01 2028-01-01
</Location>
<LocationMatch "^/generate/(two|three)">
    SetHandler aigw-generate
    AcceptPathInfo on
</LocationMatch>
<Location "/chat">
    SetHandler aigw-chat
</Location>
<Location "/completions">
    SetHandler aigw-chat-completions
</Location>
<Location "/completions-off">
    SetHandler aigw-chat-completions
    AIGWEchoRequestSettings off
</Location>
CONF
my %own = (port => $s->{port});
my $r = post_json('/generate', { prompt => 'a' }, %own);
is join(' ', sort keys %{ $r->json }), 'text', 'AIGWGenerateVersion of the server';
is $r->header('Link'), '</outer>; rel="successor-version"', 'AIGWDeprecation of the server';
$r = post_json('/generate/two', { prompt => 'a' }, %own);
is join(' ', sort keys %{ $r->json }), 'meta text', 'AIGWGenerateVersion of the location';
is_deeply [map { scalar $r->header($_) } qw(Deprecation Sunset Link)], [undef, undef, undef], 'AIGWDeprecation off in the location';
$r = post_json('/generate/three', { prompt => 'a' }, %own);
is_deeply [map { scalar $r->header($_) } qw(Deprecation Sunset Link)], ['@1767225600', 'Sat, 01 Jan 2028 00:00:00 GMT', undef], 'AIGWDeprecation of the location, all of it';
is post_json('/chat', { message => 'x' }, %own)->json->{usage}{completion_tokens}, 3, 'AIGWMaxTokens, where the request does not say';
is post_json('/generate', { prompt => 'x', max_tokens => 5 }, %own)->json->{text}, 'x x x x x', '… where it does';
is get('/models/m', %own)->json->{owned_by}, 'mod_aigw', 'no AIGWOwner';
my %body = (messages => [{ role => 'user', content => 'x' }], max_tokens => 99, aigw_echo => { words => 5 });
is post_json('/completions', \%body, %own)->json->{usage}{completion_tokens}, 5, 'AIGWEchoRequestSettings of the server';
is post_json('/completions-off', \%body, %own)->json->{usage}{completion_tokens}, 9, '… off in the location';
is scalar $s->crashes, 0, 'nothing bad in the log';

log_clean();
