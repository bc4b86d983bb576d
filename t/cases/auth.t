# AuthType AIGW with API keys: who is let in, what the others are told, what the key file may do while the server runs.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get post_json);
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(slurp spew);

my $json = JSON::PP->new->canonical;
my %key = map { $_ => "aigw_${_}_" . substr sha256_hex("secret of $_"), 0, 43 } qw(alice bob carol dave erin zoe shown);
sub line { my ($id, %more) = @_; return $json->encode({ id => $id, sha256 => sha256_hex($key{$id}), user => $id, %more }) . "\n" }

my @lines = (
    "# who may\n\n",
    line('alice', tier => 'pro', scopes => ['chat', 'chat:write'], note => 'has it all'),
    line('bob', tier => 'free', scopes => ['read'], models => ['echo', 'small-*']),
    line('carol', disabled => JSON::PP::true),
    line('dave', expires => '2001-01-01T00:00:00Z'),
    line('shown'),
    line('erin', expires => '2099-01-01T00:00:00+02:00', models => []),
);

sub conf {
    my ($file, $more) = @_;
    return <<"CONF" . ($more // '');
AIGWKeyFile $file
AIGWErrors on
ExtendedStatus on
AIGWDefaultModel echo
<AIGWModel echo>
    AIGWUpstream echo words=3 delay=0
    AIGWAlias parrot
</AIGWModel>
<AIGWModel small-1>
    AIGWUpstream echo words=3 delay=0
</AIGWModel>
<AIGWModel large-1>
    AIGWUpstream echo words=3 delay=0
</AIGWModel>
<Location /v1>
    AuthType AIGW
    AuthName "The \\"gateway\\""
    Require valid-user
</Location>
<Location /v1/chat/completions>
    SetHandler aigw-chat-completions
</Location>
<Location /v1/models>
    SetHandler aigw-models
</Location>
<Location /open/v1/chat/completions>
    AuthType AIGW
    Require all granted
    SetHandler aigw-chat-completions
</Location>
<Location /some/v1/models>
    AuthType AIGW
    Require all granted
    AIGWAllowModels small-* echo
    SetHandler aigw-models
</Location>
<Location /some/v1/chat/completions>
    AuthType AIGW
    Require all granted
    AIGWAllowModels small-* echo
    SetHandler aigw-chat-completions
</Location>
<Location /some/all/v1/models>
    AIGWAllowModels all
    SetHandler aigw-models
</Location>
<Macro Guarded \$name \$require>
<Location "/\$name">
    AuthType AIGW
    \$require
    SetHandler aigw-models
    Header always set X-Who "expr=%{REMOTE_USER}"
    Header always set X-Env "%{AIGW_USER}e %{AIGW_TIER}e %{AIGW_AUTH_METHOD}e %{AIGW_KEY_ID}e"
</Location>
</Macro>
Use Guarded tier "Require aigw-tier pro enterprise"
Use Guarded scope "Require aigw-scope chat:write admin"
Use Guarded model "Require aigw-model large-1"
Use Guarded user "Require user bob"
Use Guarded nobody "Require all denied"
<Location /any>
    AuthType AIGW
    <RequireAny>
        Require aigw-tier pro
        Require user bob
    </RequireAny>
    SetHandler aigw-models
</Location>
<Location /all>
    AuthType AIGW
    <RequireAll>
        Require aigw-tier pro free
        Require not user bob
        Require valid-user
    </RequireAll>
    SetHandler aigw-models
</Location>
<Location /basic>
    AuthType Basic
    AuthName b
    AuthBasicProvider file
    AuthUserFile $file.htpasswd
    Require valid-user
    ErrorDocument 403 /v1/models
    ErrorDocument 404 /v1/models
</Location>
<Location /basic/models>
    SetHandler aigw-models
    AIGWAllowModels small-1
</Location>
<Location /basic/nowhere>
    SetHandler aigw-nowhere
</Location>
<Location /basic/tier>
    SetHandler aigw-models
    Require aigw-tier pro
</Location>
<Location /local-or-key>
    AuthType AIGW
    <RequireAny>
        Require local
        Require aigw-tier pro
    </RequireAny>
    SetHandler aigw-models
</Location>
CONF
}

my $dir  = File::Temp->newdir('auth-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
my $file = "$dir/keys.jsonl";
sub write_keys { my ($where, @all) = @_; spew("$where.new", join '', @all); chmod 0644, "$where.new"; rename "$where.new", $where or die $!; return }
write_keys($file, @lines);
spew("$file.htpasswd", 'frank:{SHA}' . Digest::SHA::sha1_base64('pw') . "=\n");
chmod 0644, "$file.htpasswd";
my $s = AIGW::Server->new(conf => conf($file, "LogLevel trace8\n"));
my $port = $s->{port};

sub bearer { my ($token) = @_; return [Authorization => "Bearer $token"] }
sub ask { my ($path, @fields) = @_; return get($path, port => $port, headers => [map { @$_ } @fields]) }
sub say_to { my ($path, $model, @fields) = @_; return post_json($path, { model => $model, messages => [{ role => 'user', content => 'hello' }] }, port => $port, headers => [map { @$_ } @fields]) }

# status, type, code of an answer, or just the status
sub what {
    my ($r) = @_;
    my $e = $r->{status} >= 400 ? $r->json->{error} : undef;
    return $e ? join ' ', $r->{status}, $e->{type}, $e->{code} // 'null' : $r->{status};
}

my @in = (
    ['Authorization', bearer($key{alice})], ['lower case', [authorization => "bearer $key{alice}"]], ['more blanks', [Authorization => "Bearer \t  $key{alice}  "]],
    ['X-API-Key', ['X-API-Key' => $key{alice}]], ['api-key', ['api-key' => $key{alice}]],
    ['a subprotocol', ['Sec-WebSocket-Protocol' => "chat, aigw.bearer.$key{alice} ,x"]],
    ['the same one twice', bearer($key{alice}), ['X-API-Key' => $key{alice}]],
    ['beside another scheme', [Authorization => 'Basic YTpi'], ['api-key' => $key{alice}]],
    ['beside an empty one', [Authorization => 'Bearer'], ['api-key' => $key{alice}]],
);
my $unknown = 'aigw_zoe_' . 'A' x 43;
my @out = (
    ['none', '401 authentication_error missing_api_key', ''], ['Bearer and nothing', '401 authentication_error missing_api_key', '', [Authorization => 'Bearer ']],
    ['another scheme', '401 authentication_error missing_api_key', '', [Authorization => "Basic $key{alice}"]], ['Bearerx', '401 authentication_error missing_api_key', '', [Authorization => "Bearerx $key{alice}"]],
    ['an unknown key', '401 authentication_error invalid_api_key', 'invalid_token', bearer($unknown)], ['one cut short', '401 authentication_error invalid_api_key', 'invalid_token', bearer(substr $key{alice}, 0, -1)],
    ['one with more', '401 authentication_error invalid_api_key', 'invalid_token', bearer("$key{alice}x")], ['another case', '401 authentication_error invalid_api_key', 'invalid_token', bearer(uc $key{alice})],
    ['its hash', '401 authentication_error invalid_api_key', 'invalid_token', bearer(sha256_hex($key{alice}))], ['a disabled key', '401 authentication_error invalid_api_key', 'invalid_token', bearer($key{carol})],
    ['an expired key', '401 authentication_error invalid_api_key', 'invalid_token', bearer($key{dave})], ['bytes', '401 authentication_error invalid_api_key', 'invalid_token', bearer("\xff\xfe\x80")],
    ['two words', '401 authentication_error invalid_api_key', 'invalid_token', bearer("$key{alice} $key{alice}")], ['too long', '401 authentication_error invalid_api_key', 'invalid_token', ['X-API-Key' => 'x' x 8150]],
    ['two that differ', '400 invalid_request_error multiple_credentials', undef, bearer($key{alice}), ['X-API-Key' => $key{bob}]],
    ['one good, one not', '400 invalid_request_error multiple_credentials', undef, bearer($key{alice}), ['api-key' => $unknown]],
    ['a field twice', '400 invalid_request_error multiple_credentials', undef, bearer($key{alice}), bearer($key{bob})],
    ['two subprotocols', '400 invalid_request_error multiple_credentials', undef, ['Sec-WebSocket-Protocol' => "aigw.bearer.$key{alice}, aigw.bearer.$key{bob}"]],
    ['a subprotocol and a field', '400 invalid_request_error multiple_credentials', undef, ['Sec-WebSocket-Protocol' => "aigw.bearer.$key{alice}"], ['api-key' => $key{bob}]],
    ['in the query', '401 authentication_error missing_api_key', ''],
);
# path, and what alice, bob, erin and nobody get
my @rules = (
    ['/tier',  200, '403 permission_error null',               '403 permission_error null'],
    ['/scope', 200, '403 permission_error insufficient_scope', '403 permission_error insufficient_scope'],
    ['/model', 200, '403 permission_error model_not_allowed',  '403 permission_error model_not_allowed'],
    ['/user',  '403 permission_error null', 200, '403 permission_error null'],
    ['/nobody', '403 permission_error null', '403 permission_error null', '403 permission_error null'],
    ['/any',   200, 200, '403 permission_error null'],
    ['/all',   200, '403 permission_error null', '403 permission_error null'],
    ['/local-or-key', 200, 200, 200],
);
plan tests => 7 + 5 + @in + 4 * @out + 4 * @rules + 12 + 18 + 16 + 5 + 2 + 8, need_module('mod_aigw', 'mod_aigw_auth', 'mod_macro');

for (@in) {
    my ($name, @fields) = @$_;
    is ask('/v1/models', @fields)->{status}, 200, "$name: 200";
}
for (@out) {
    my ($name, $expected, $challenge, @fields) = @$_;
    my $r = ask('/v1/models' . ($name eq 'in the query' ? "?api_key=$key{shown}&access_token=$key{shown}" : ''), @fields);
    is what($r), $expected, "$name: $expected";
    is join(' ', sort keys %{ $r->json->{error} }), 'code message param type', "$name: all keys";
    my $shown = $r->header('WWW-Authenticate');
    if (!defined $challenge) { is $shown, undef, "$name: no challenge" }
    elsif ($challenge eq '') { is $shown, 'Bearer realm="The \\"gateway\\""', "$name: a challenge without an error" }
    else                     { like $shown, qr/\ABearer realm="The \\"gateway\\"", error="$challenge", error_description="[^"]+"\z/, "$name: the challenge says what is wrong" }
    ok $r->header('X-Request-ID'), "$name: a request ID";
}
for (@rules) {
    my ($path, @expected) = @$_;
    for my $who (qw(alice bob erin)) {
        my $expected = shift @expected;
        my $r = ask($path, bearer($key{$who}));
        is what($r), $expected, "$path: $who";
    }
    is what(ask($path)), $path eq '/nobody' ? '403 permission_error null' : $path eq '/local-or-key' ? 200 : '401 authentication_error missing_api_key', "$path: nobody";
}

# ------------------------------------------------------------------ what others see of it

my $r = ask('/tier', bearer($key{alice}));
is $r->header('X-Who'), 'alice', 'REMOTE_USER';
is $r->header('X-Env'), 'alice pro api_key alice', 'AIGW_USER, AIGW_TIER, AIGW_AUTH_METHOD, AIGW_KEY_ID';
like $r->header('Server-Timing'), qr/\bauth;dur=\d/, 'Server-Timing has auth';
is ask('/user', bearer($key{bob}))->header('X-Env'), 'bob free api_key bob', 'another';
like ask('/scope', bearer($key{bob}))->header('WWW-Authenticate'), qr/error="insufficient_scope"/, 'a scope that is missing: the challenge says so';
is ask('/tier', bearer($key{bob}))->header('WWW-Authenticate'), undef, 'a tier: no challenge';
is what(say_to('/open/v1/chat/completions', 'echo')), 200, 'all granted: nobody in particular';
is what(say_to('/open/v1/chat/completions', 'echo', bearer($key{alice}))), 200, '… alice';
is what(say_to('/open/v1/chat/completions', 'echo', bearer($unknown))), '401 authentication_error invalid_api_key', '… a wrong key is refused all the same';
is what(say_to('/open/v1/chat/completions', 'echo', bearer($key{carol}))), '401 authentication_error invalid_api_key', '… a disabled one too';
is what(say_to('/open/v1/chat/completions', 'echo', bearer($key{alice}), ['api-key' => $key{bob}])), '400 invalid_request_error multiple_credentials', '… and two';
is what(ask('/local-or-key', bearer($unknown))), '401 authentication_error invalid_api_key', 'let in by address: a wrong key is refused';

# ------------------------------------------------------------------ beside another AuthType

my $frank = [Authorization => 'Basic ZnJhbms6cHc='];
is ask('/basic/models', $frank)->{status}, 200, 'AuthType Basic: let in by httpd';
is ask('/basic/models', bearer($key{alice}))->{status}, 401, '… a key is none of its credentials';
is ask('/basic/tier', $frank)->{status}, 401, '… nobody of a tier';
my $page = ask('/basic/nowhere', $frank);
cmp_ok $page->{status}, '>=', 403, '… an ErrorDocument of a location with keys';
unlike $page->content, qr/small-1/, '… is not shown to somebody without one';

# ------------------------------------------------------------------ models

sub listed { my ($path, @fields) = @_; return join ' ', map { $_->{id} } @{ ask($path, @fields)->json->{data} } }
is listed('/v1/models', bearer($key{alice})), 'echo small-1 large-1', 'alice: all models';
is listed('/v1/models', bearer($key{bob})), 'echo small-1', 'bob: those of his key';
is listed('/v1/models', bearer($key{erin})), '', 'erin: none';
is listed('/some/v1/models'), 'echo small-1', 'a location that has some: nobody in particular';
is listed('/some/v1/models', bearer($key{alice})), 'echo small-1', '… alice';
is listed('/some/all/v1/models'), 'echo small-1 large-1', 'AIGWAllowModels all';
is what(ask('/v1/models/large-1', bearer($key{alice}))), 200, 'alice asks for a model';
is what(ask('/v1/models/large-1', bearer($key{bob}))), '404 invalid_request_error model_not_found', 'bob: it is not there for him';
is what(ask('/some/v1/models/large-1')), '404 invalid_request_error model_not_found', 'the location does not have it';
is what(say_to('/v1/chat/completions', 'large-1', bearer($key{alice}))), 200, 'alice may use any model';
$r = say_to('/v1/chat/completions', 'large-1', bearer($key{bob}));
is what($r), '403 permission_error model_not_allowed', 'bob may not';
is $r->json->{error}{param}, 'model', '… param';
like $r->json->{error}{message}, qr/large-1/, '… which';
is what(say_to('/v1/chat/completions', 'small-1', bearer($key{bob}))), 200, '… but may use his';
is what(say_to('/v1/chat/completions', 'parrot', bearer($key{bob}))), 200, '… by its alias too';
is what(say_to('/v1/chat/completions', 'echo', bearer($key{erin}))), '403 permission_error model_not_allowed', 'erin may use none';
is what(say_to('/some/v1/chat/completions', 'large-1', bearer($key{alice}))), '403 permission_error model_not_allowed', 'not in this location';
is what(say_to('/some/v1/chat/completions', 'small-1')), 200, '… others are';

# ------------------------------------------------------------------ the file changes

# until this is so, a few seconds at most
sub becomes {
    my ($expected, $name, $get) = @_;
    my $got;
    for (my $until = time + 20; time < $until; sleep 0.1) { last if ($got = $get->()) eq $expected }
    return is $got, $expected, $name;
}
# The same, and each child has said that it has read the file.
sub all_read {
    my (@all) = @_;
    my $from = length $s->log;
    write_keys($file, @all);
    $s->wait_for('every child has read the keys', 20, sub {
        my %read = map { $_ => 1 } substr($s->log, $from) =~ /\[pid (\d+)[^\n]*AIGW0313/g;
        !grep { !$read{ (split m{/})[0] } } $s->children;
    });
    return;
}
my $zoe = line('zoe', tier => 'pro');
write_keys($file, @lines, $zoe);
becomes(200, 'a new key: works without a restart', sub { what(ask('/v1/models', bearer($key{zoe}))) });
all_read(@lines, line('zoe', disabled => JSON::PP::true));
is what(ask('/v1/models', bearer($key{zoe}))), '401 authentication_error invalid_api_key', 'disabled: refused without a restart';
is what(ask('/v1/models', bearer($key{alice}))), 200, '… the others go on';
write_keys($file, @lines, $zoe, "{\"id\":\"broken\",\n");
sub count { my ($pattern) = @_; my $n = () = $s->log =~ /$pattern/g; return $n }
$s->wait_for('AIGW0311', 20, sub { ask('/v1/models', bearer($key{alice})); count('AIGW0311') });
is what(ask('/v1/models', bearer($key{zoe}))), '401 authentication_error invalid_api_key', 'a broken file: the keys stay as they were';
is what(ask('/v1/models', bearer($key{alice}))), 200, '… all of them';
my $line = 2 + @lines + 1;
like $s->log, qr/AIGW0311: \Q$file\E, line $line: /, '… the line is named';
for (1 .. 15) { ask('/v1/models', bearer($key{alice})); sleep 0.2 }
cmp_ok count('AIGW0311'), '<=', scalar $s->children, '… once in each child';
all_read(@lines, $zoe);
is what(ask('/v1/models', bearer($key{zoe}))), 200, 'mended: read again';
unlink $file;
$s->wait_for('AIGW0310', 20, sub { ask('/v1/models', bearer($key{alice})); count('AIGW0310') });
is what(ask('/v1/models', bearer($key{zoe}))), 200, 'the file is gone: the keys stay as they were';
for (1 .. 10) { ask('/v1/models', bearer($key{alice})); sleep 0.2 }
cmp_ok count('AIGW0310'), '<=', scalar $s->children, '… which is logged once in each child';
write_keys($file, "# nobody\n");
becomes('401 authentication_error invalid_api_key', 'an empty one: nobody is let in', sub { what(ask('/v1/models', bearer($key{alice}))) });
all_read(@lines);
is what(ask('/v1/models', bearer($key{alice}))), 200, 'back again';
if ($>) { pass 'not root: a file that cannot be read is not tried' for 1 .. 2 }
else {
    chmod 0600, $file;
    utime time + 100, time + 100, $file;
    $s->wait_for('AIGW0310 again', 20, sub { ask('/v1/models', bearer($key{alice})); $s->log =~ /AIGW0310.*\n(?:.*\n)*.*AIGW0310/ });
    is what(ask('/v1/models', bearer($key{alice}))), 200, 'a file that httpd may not read: the keys stay as they were';
    chmod 0644, $file;
    pass '… and is readable again';
}
ok $s->signal('USR1'), 'a graceful restart';
$s->wait_for('the restart', 20, sub { count('resuming normal operations') == 2 });
is what(ask('/v1/models', bearer($key{alice}))), 200, '… and the keys are there';

# ------------------------------------------------------------------ what an administrator is told

{
    my $nobody = AIGW::Server->new(conf => "AIGWErrors on\n<Location />\nAuthType AIGW\nRequire valid-user\n</Location>\n");
    is what(get('/x', port => $nobody->{port}, headers => bearer($key{alice}))), '401 authentication_error invalid_api_key', 'neither keys nor issuers: nobody is let in' for 1 .. 3;
    my @said = $nobody->log =~ /AIGW0323: /g;
    cmp_ok scalar @said, '>=', 1, '… which is said';
    cmp_ok scalar @said, '<=', scalar $nobody->children, '… once in each child';
}
if ($>) { pass 'not root: root reads every file' for 1 .. 2 }
else {
    write_keys("$file.own", @lines);
    chmod 0600, "$file.own";
    my $own = AIGW::Server->new(conf => "AIGWKeyFile $file.own\nAIGWErrors on\n<Location />\nAuthType AIGW\nRequire valid-user\n</Location>\n");
    $own->wait_for('AIGW0314', 20, sub { $own->log =~ /AIGW0314/ });
    like $own->log, qr/Permission denied.*AIGW0314: the key file \Q$file.own\E cannot be read by httpd's User: what changes in it will not count/, "a file that only root reads: a warning";
    is what(get('/x', port => $own->{port}, headers => bearer($key{alice}))), '404 invalid_request_error not_found', '… and what was read at start holds';
}

# ------------------------------------------------------------------ secrets

my $log = $s->log . $s->access . get('/server-status', port => $port)->content;
for my $who (qw(alice bob carol dave erin zoe)) {
    my $secret = $key{$who} =~ s/.*_//r;
    my @lines = grep { /\Q$secret\E/ } split /\n/, $log;
    is_deeply [@lines > 3 ? @lines[0 .. 2] : @lines], [], "$who\'s secret is in no log at trace8, nor in server-status";
}
is_deeply [$s->crashes], [], 'nobody crashed';

# ------------------------------------------------------------------ conf/auth.conf, beside aigw.conf

{
    my $example = AIGW::Server->new(stopped => 1, conf => '');
    write_keys("$example->{dir}/aigw.keys", line('alice', scopes => ['chat']), line('bob'));
    $example->configure("Include \"$ENV{AIGW_SRC}/../conf/aigw.conf\"\nInclude \"$ENV{AIGW_SRC}/../conf/auth.conf\"\n");
    $example->start;
    $port = $example->{port};
    is what(ask('/v1/models')), '401 authentication_error missing_api_key', 'auth.conf: nobody';
    is what(ask('/v1/models', bearer($key{alice}))), 200, '… alice';
    is what(ask('/v1/models', bearer($key{bob}))), 200, '… bob';
    is what(say_to('/v1/chat/completions', 'echo')), '401 authentication_error missing_api_key', '… nobody asks a model';
    is what(say_to('/v1/chat/completions', 'echo', bearer($key{alice}))), 200, '… alice, who has the scope, does';
    is what(say_to('/v1/chat/completions', 'echo', bearer($key{bob}))), '403 permission_error insufficient_scope', '… bob may not';
    is_deeply [$example->crashes], [], '… nobody crashed';
}
log_clean();
