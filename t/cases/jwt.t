# AuthType AIGW with JSON Web Tokens: every algorithm, whatever can be wrong with a token (after the ideas of Wycheproof's vectors and RFC 8725), what the claims mean.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url decode_base64url);
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get post_json);
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(slurp spew);
use AIGW::Token qw(jws jwt part signature key jwk);

my @algs = map { my $f = $_; map { "$f$_" } 256, 384, 512 } qw(HS RS ES);
my %key  = map { $_ => key($_) } grep { !/\ARS(?:384|512)/ } @algs;
$key{$_} = $key{RS256} for qw(RS384 RS512);
my %other = (HS256 => key('HS256'), RS256 => key('RS256'), ES256 => key('ES256'));
my $dir = File::Temp->newdir('jwt-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";

sub public { my ($key) = @_; return ref $key ? $key->export_key_pem('public') : "$key\n" }
sub issuer_of { my ($alg) = @_; return 'https://' . lc($alg) . '.example/' }
my $issuers = '';
for my $alg (@algs) {
    spew("$dir/$alg", public($key{$alg}));
    $issuers .= "<AIGWJwtIssuer " . issuer_of($alg) . ">\n AIGWJwtAudience aigw also\n AIGWJwtAlgorithms $alg\n AIGWJwtKey file:$dir/$alg\n</AIGWJwtIssuer>\n";
}
spew("$dir/env", key('HS256'));
my $conf = <<"CONF";
AIGWErrors on
ExtendedStatus on
AIGWDefaultModel echo
<AIGWModel echo>
    AIGWUpstream echo words=3 delay=0
</AIGWModel>
<AIGWModel small-1>
    AIGWUpstream echo words=3 delay=0
</AIGWModel>
$issuers
<AIGWJwtIssuer everybody>
    AIGWJwtAudience any
    AIGWJwtKey file:$dir/RS256
</AIGWJwtIssuer>
<AIGWJwtIssuer mapped>
    AIGWJwtAudience aigw
    AIGWJwtKey file:$dir/ES256
    AIGWJwtClaims user=email tier=realm_access.roles scopes=scp models=https://claims.example/models
    AIGWJwtTierMap staff enterprise
    AIGWJwtTierMap payer pro
    AIGWJwtTierMap * free
    AIGWJwtSkew 0s
</AIGWJwtIssuer>
<Location /v1>
    AuthType AIGW
    AuthName gateway
    Require valid-user
</Location>
<Location /v1/chat/completions>
    SetHandler aigw-chat-completions
</Location>
<Location /v1/models>
    SetHandler aigw-models
    Header always set X-Env "%{AIGW_USER}e %{AIGW_TIER}e %{AIGW_AUTH_METHOD}e %{AIGW_KEY_ID}e"
</Location>
<Location /scope>
    AuthType AIGW
    Require aigw-scope embed:read
    SetHandler aigw-models
</Location>
<Location /nowhere>
    Require all denied
    AuthType AIGW
    SetHandler aigw-models
</Location>
CONF
my $s = AIGW::Server->new(conf => "LimitRequestFieldSize 16384\n$conf\nLogLevel trace8\n");
my $port = $s->{port};

sub claims { my ($alg, %more) = @_; my %all = (iss => issuer_of($alg), sub => 'alice', aud => 'aigw', iat => time, exp => int(time + 600), %more); delete @all{ grep { !defined $all{$_} } keys %all }; return \%all }
sub good { my ($alg, %more) = @_; return jwt($alg, $key{$alg}, claims($alg, %more)) }
sub ask { my ($token, $path) = @_; return get($path // '/v1/models', port => $port, headers => [Authorization => "Bearer $token"]) }
sub what { my ($r) = @_; my $e = $r->{status} >= 400 ? $r->json->{error} : undef; return $e ? join ' ', $r->{status}, $e->{code} // 'null' : $r->{status} }

my @sent;
my $bad = '401 invalid_token';
sub refused {
    my ($name, $token, $expected) = @_;
    push @sent, $token;
    return is what(ask($token)), $expected // $bad, "$name: refused";
}

plan tests => 9 * 10 + 6 * 3 + 13 + 4 + 21 + 24 + 29 + 14 + 10, need_module('mod_aigw', 'mod_aigw_auth');

# ------------------------------------------------------------------ every algorithm

for my $alg (@algs) {
    my $token = good($alg);
    is what(ask($token)), 200, "$alg: let in";
    is what(ask($token)), 200, "$alg: again, as one that is remembered";
    my ($h, $c, $sig) = split /\./, $token;
    my $bytes = decode_base64url($sig);
    my $cut = sub { "$h.$c." . encode_base64url($_[0]) };
    refused("$alg, an empty signature", "$h.$c.");
    refused("$alg, a signature cut by a byte", $cut->(substr $bytes, 0, -1));
    refused("$alg, a byte more", $cut->("$bytes\0"));
    refused("$alg, a bit turned", $cut->($bytes ^ "\1" . "\0" x (length($bytes) - 1)));
    refused("$alg, zeros", $cut->("\0" x length $bytes));
    refused("$alg, other claims", "$h." . part(claims($alg, sub => 'root')) . ".$sig");
    refused("$alg, another header", part({ alg => $alg, typ => 'JWT', kid => 'x' }) . ".$c.$sig");
    my $text = "$h.$c";
    my ($key) = grep { defined } $other{ $alg =~ s/\d+/256/r };
    refused("$alg, another's key", $alg =~ /\AES(?:384|512)/ ? jwt($alg, key($alg), claims($alg)) : "$text." . encode_base64url(signature($alg, $key, $text)));
}

# ------------------------------------------------------------------ the algorithm is not the token's to choose

for my $alg (qw(RS256 RS512 ES256 ES512 HS256 HS512)) {
    my $as = $alg =~ /\AHS/ ? 'RS256' : 'HS256';
    my $pem = public($key{$alg});
    my $key = $alg =~ /\AHS/ ? $other{RS256} : $pem;
    refused("$alg, signed $as with what is public", jws({ alg => $as, typ => 'JWT' }, claims($alg), $as, $key));
    refused("$alg, alg none", part({ alg => 'none' }) . '.' . part(claims($alg)) . '.');
    refused("$alg, said to be none, with its signature", jws({ alg => 'none' }, claims($alg), $alg, $key{$alg}));
}
{
    my $pem = public($key{RS256});
    refused('HS256 with the public key without its last line end', jws({ alg => 'HS256' }, claims('RS256'), 'HS256', $pem =~ s/\n\z//r));
    refused('HS256 with the DER of the public key', jws({ alg => 'HS256' }, claims('RS256'), 'HS256', $key{RS256}->export_key_der('public')));
    refused('HS256 with the modulus', jws({ alg => 'HS256' }, claims('RS256'), 'HS256', decode_base64url(jwk($key{RS256})->{n})));
    refused('HS256 with an empty secret', jws({ alg => 'HS256' }, claims('RS256'), 'HS256', ''));
    refused('HS256 with an empty secret, for one that has a secret', jws({ alg => 'HS256' }, claims('HS256'), 'HS256', ''));
    refused('RS384 where RS256 is configured', jwt('RS384', $key{RS256}, claims('RS256')));
    refused('HS512 where HS256 is configured', jwt('HS512', $key{HS256}, claims('HS256')));
    refused('ES384 for one of ES256', jwt('ES384', $key{ES384}, claims('ES256')));
    refused('ES256 with a key on P-384', part({ alg => 'ES256' }) . '.' . part(claims('ES256')) . '.' . encode_base64url(signature('ES384', $key{ES384}, part({ alg => 'ES256' }) . '.' . part(claims('ES256')))));
    refused("$_ as the alg", jws({ alg => $_ }, claims('RS256'), 'RS256', $key{RS256})) for qw(rs256 PS256 EdDSA RS1);
}
{
    my $ec = claims('ES256');
    my $text = part({ alg => 'ES256' }) . '.' . part($ec);
    my $n = decode_base64url('_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE');
    refused('ES256, a DER signature', "$text." . encode_base64url($key{ES256}->sign_message($text, 'SHA256')));
    refused('ES256, r and s the order of the curve', "$text." . encode_base64url($n . $n));
    refused('ES256, r zero', "$text." . encode_base64url("\0" x 32 . substr signature('ES256', $key{ES256}, $text), 32));
    refused('ES256, s zero', "$text." . encode_base64url(substr(signature('ES256', $key{ES256}, $text), 0, 32) . "\0" x 32));
}

# ------------------------------------------------------------------ the form

{
    my $token = good('HS256');
    my ($h, $c, $sig) = split /\./, $token;
    refused('padding at the signature', "$token=");
    refused('padding at the header', "$h=.$c.$sig");
    refused('padding at the claims', "$h.$c==.$sig");
    my $last = substr $sig, -1;
    my %next = (A => 'B', E => 'F', I => 'J', M => 'N', Q => 'R', U => 'V', Y => 'Z', c => 'd', g => 'h', k => 'l', o => 'p', s => 't', w => 'x', 0 => 1, 4 => 5, 8 => 9);
    refused('stray bits in the signature', substr($token, 0, -1) . $next{$last});
    refused('two parts', "$h.$c", '401 invalid_api_key');
    refused('two parts and a dot', "$h.$c.");
    refused('four parts', "$token.$sig");
    refused('five parts', "$h.$c.$sig.$c.$sig");
    refused('a dot before', ".$token");
    refused('the header empty', ".$c.$sig");
    refused('the claims empty', "$h..$sig");
    refused('dots', '..');
    refused('a line of JSON: flattened', JSON::PP->new->encode({ payload => $c, protected => $h, signature => $sig }), '400 multiple_credentials');
    refused('general', JSON::PP->new->encode({ payload => $c, signatures => [{ protected => $h, signature => $sig }] }), '400 multiple_credentials');
    refused('plus and slash', jws({ alg => 'HS256', x => '>>>???' }, claims('HS256'), 'HS256', $key{HS256}) =~ tr{-_}{+/}r . '+');
    refused('a star within', substr($h, 0, 5) . '*' . substr($h, 5) . ".$c.$sig");
    refused('the header no JSON', jws('alg', claims('HS256'), 'HS256', $key{HS256}));
    refused('the claims a list', jws({ alg => 'HS256' }, '[1]', 'HS256', $key{HS256}));
    refused('the claims with a NUL', jws({ alg => 'HS256' }, qq({"iss":"@{[issuer_of('HS256')]}","aud":"aigw","sub":"a\\u0000b","exp":4000000000}), 'HS256', $key{HS256}));
    refused('9 KiB', good('HS256', x => 'x' x 7000), '401 invalid_api_key');
    is what(ask(good('HS256', x => 'x' x 5700))), 200, 'nearly 8 KiB: let in';
}

# ------------------------------------------------------------------ headers

{
    my $evil = key('RS256');
    refused('jwk: its own key', jws({ alg => 'RS256', jwk => jwk($evil) }, claims('RS256'), 'RS256', $evil));
    refused('jku', jws({ alg => 'RS256', jku => "http://127.0.0.1:$port/jwks.json" }, claims('RS256'), 'RS256', $evil));
    refused('x5u', jws({ alg => 'RS256', x5u => "http://127.0.0.1:$port/x5u.pem" }, claims('RS256'), 'RS256', $evil));
    refused('x5c', jws({ alg => 'RS256', x5c => ['AAAA'] }, claims('RS256'), 'RS256', $evil));
    refused('kid: a file', jws({ alg => 'HS256', kid => '/dev/null' }, claims('HS256'), 'HS256', ''));
    refused('kid: a path', jws({ alg => 'HS256', kid => "../../../../../../..$dir/RS256" }, claims('HS256'), 'HS256', public($key{RS256})));
    refused('kid: SQL', jws({ alg => 'HS256', kid => "x' UNION SELECT 'secret" }, claims('HS256'), 'HS256', 'secret'));
    refused('kid: a number', jws({ alg => 'HS256', kid => 1 }, claims('HS256'), 'HS256', $key{HS256}));
    refused('crit with something unknown', jws({ alg => 'HS256', crit => ['x'], x => 1 }, claims('HS256'), 'HS256', $key{HS256}));
    refused('crit with exp', jws({ alg => 'HS256', crit => ['exp'], exp => 1 }, claims('HS256'), 'HS256', $key{HS256}));
    refused('crit empty', jws({ alg => 'HS256', crit => [] }, claims('HS256'), 'HS256', $key{HS256}));
    refused('b64 false', jws({ alg => 'HS256', b64 => JSON::PP::false, crit => ['b64'] }, claims('HS256'), 'HS256', $key{HS256}));
    refused('zip', jws({ alg => 'HS256', zip => 'DEF' }, claims('HS256'), 'HS256', $key{HS256}));
    refused('typ of something else', jws({ alg => 'HS256', typ => 'JWE' }, claims('HS256'), 'HS256', $key{HS256}));
    refused('typ a number', jws({ alg => 'HS256', typ => 1 }, claims('HS256'), 'HS256', $key{HS256}));
    refused('alg twice', jws('{"alg":"HS256","alg":"HS256"}', claims('HS256'), 'HS256', $key{HS256}));
    refused('alg twice, one of them none', jws('{"alg":"none","alg":"HS256"}', claims('HS256'), 'HS256', $key{HS256}));
    refused('alg twice, one escaped', jws('{"alg":"HS256","\u0061lg":"none"}', claims('HS256'), 'HS256', $key{HS256}));
    refused('no alg', jws('{"typ":"JWT"}', claims('HS256'), 'HS256', $key{HS256}));
    refused('alg a list', jws({ alg => ['HS256'] }, claims('HS256'), 'HS256', $key{HS256}));
    is what(ask(jws({ alg => 'HS256' }, claims('HS256'), 'HS256', $key{HS256}))), 200, 'no typ: let in';
    is what(ask(jws({ alg => 'HS256', typ => 'jwt' }, claims('HS256'), 'HS256', $key{HS256}))), 200, 'typ in lower case: let in';
    is what(ask(jws({ alg => 'HS256', kid => 'any' }, claims('HS256'), 'HS256', $key{HS256}))), 200, 'a kid, where there is one key: let in';
    is what(ask(jws({ alg => 'RS256', jku => 'https://nowhere.example/', jwk => jwk($evil), x5u => 'https://nowhere.example/' }, claims('RS256'), 'RS256', $key{RS256}))), 200, 'jku, jwk and x5u are not looked at: let in by the key that is configured';
}

# ------------------------------------------------------------------ claims

{
    my $now = int time;
    refused('expired', good('HS256', exp => $now - 61), '401 token_expired');
    refused('expired long ago', good('HS256', exp => 1), '401 token_expired');
    is what(ask(good('HS256', exp => $now - 30))), 200, 'expired within the skew: let in';
    refused('no exp', good('HS256', exp => undef));
    refused('exp a string', good('HS256', exp => '' . ($now + 100)));
    refused('exp null', jws({ alg => 'HS256' }, qq({"iss":"@{[issuer_of('HS256')]}","aud":"aigw","sub":"a","exp":null}), 'HS256', $key{HS256}));
    refused('exp beyond the world', good('HS256', exp => 1e300));
    refused('exp below zero', good('HS256', exp => -5));
    refused('nbf in the future', good('HS256', nbf => $now + 90));
    is what(ask(good('HS256', nbf => $now + 30))), 200, 'nbf within the skew: let in';
    refused('iat in the far future', good('HS256', iat => $now + 3600));
    is what(ask(good('HS256', iat => $now - 86400))), 200, 'an old iat: let in';
    refused('exp twice', jws({ alg => 'HS256' }, qq({"iss":"@{[issuer_of('HS256')]}","aud":"aigw","sub":"a","exp":1,"exp":4000000000}), 'HS256', $key{HS256}));
    refused('sub twice', jws({ alg => 'HS256' }, qq({"iss":"@{[issuer_of('HS256')]}","aud":"aigw","sub":"a","sub":"root","exp":4000000000}), 'HS256', $key{HS256}));
    refused('no aud', good('HS256', aud => undef));
    refused('for somebody else', good('HS256', aud => 'other'));
    refused('for somebody whose name begins the same', good('HS256', aud => 'aigwx'));
    is what(ask(good('HS256', aud => ['other', 'also']))), 200, 'one of several audiences: let in';
    refused('aud an object', good('HS256', aud => { aigw => 1 }));
    refused('no iss', good('HS256', iss => undef));
    refused('an unknown iss', good('HS256', iss => 'https://unknown.example/'));
    refused("another issuer's name", good('HS256', iss => issuer_of('HS512')));
    refused('iss a list', good('HS256', iss => [issuer_of('HS256')]));
    refused('no sub', good('HS256', sub => undef));
    refused('sub empty', good('HS256', sub => ''));
    refused('sub with a line end', good('HS256', sub => "root\nAIGW9999: forged"));
    refused('models an object', good('HS256', models => { a => 1 }));
    is what(ask(jwt('RS256', $key{RS256}, { iss => 'everybody', sub => 'bob', exp => $now + 60 }))), 200, 'an audience is not asked for where "any" is written';
    is what(ask(jwt('RS512', $key{RS256}, { iss => 'everybody', sub => 'bob', exp => $now + 60 }))), 200, '… and without AIGWJwtAlgorithms whatever the key can do';
}

# ------------------------------------------------------------------ who it is then

sub listed { my ($r) = @_; return join ' ', map { $_->{id} } @{ $r->json->{data} } }
my $r = ask(good('HS256', tier => 'pro', scope => 'chat embed:read', jti => 'token-1', models => ['small-*']));
is $r->header('X-Env'), 'alice pro jwt token-1', 'AIGW_USER, AIGW_TIER, AIGW_AUTH_METHOD, AIGW_KEY_ID';
is listed($r), 'small-1', '… its models';
is what(ask(good('HS256', scope => 'chat embed:read'), '/scope')), 200, 'a scope it has';
is what(ask(good('HS256', scope => ['embed:read']), '/scope')), 200, '… as a list';
is what(ask(good('HS256', scope => 'embed:readx chat'), '/scope')), '403 insufficient_scope', '… it has not';
is what(ask(good('HS256'), '/nowhere')), '403 null', 'all denied: nobody, also with a good token';
my @mapped = (
    ['the first that fits', { realm_access => { roles => ['payer', 'staff'] } }, 'a@b.example enterprise'],
    ['the second', { realm_access => { roles => ['payer', 'x'] } }, 'a@b.example pro'],
    ['the rest', { realm_access => { roles => [] } }, 'a@b.example free'],
    ['no claim', {}, 'a@b.example free'],
);
for (@mapped) {
    my ($name, $more, $expected) = @$_;
    my $got = ask(jwt('ES256', $key{ES256}, { iss => 'mapped', aud => 'aigw', email => 'a@b.example', exp => int(time + 60), %$more }))->header('X-Env') // '';
    is join(' ', (split ' ', $got)[0, 1]), $expected, "AIGWJwtTierMap: $name";
}
is what(ask(jwt('ES256', $key{ES256}, { iss => 'mapped', aud => 'aigw', email => 'a@b.example', exp => int(time + 60), scp => 'embed:read' }), '/scope')), 200, 'AIGWJwtClaims scopes=scp';
is listed(ask(jwt('ES256', $key{ES256}, { iss => 'mapped', aud => 'aigw', email => 'a@b.example', exp => int(time + 60), 'https://claims.example/models' => ['echo'] }))), 'echo', 'AIGWJwtClaims models=a claim that is a URL';
is what(ask(jwt('ES256', $key{ES256}, { iss => 'mapped', aud => 'aigw', sub => 'x', exp => int(time + 60) }))), $bad, 'AIGWJwtClaims user=email: a token without it';
is what(ask(jwt('ES256', $key{ES256}, { iss => 'mapped', aud => 'aigw', email => 'x', exp => int(time - 1) }))), '401 token_expired', 'AIGWJwtSkew 0s';

# ------------------------------------------------------------------ what is remembered, and for how long

my $short = good('HS256', exp => int(time) - 57);
is what(ask($short)), 200, 'a token in its last seconds';
my $until = time + 20;
my $last;
while (time < $until && ($last = what(ask($short))) eq '200') { sleep 0.2 }
is $last, '401 token_expired', '… is remembered no longer than it is good';
$r = ask($short);
like $r->header('WWW-Authenticate'), qr/\ABearer realm="gateway", error="invalid_token", error_description="The access token has expired\."\z/, '… and the challenge says so';
my $first = good('HS256');
is what(ask($first)), 200, 'a token';
is what(ask(substr($first, 0, -3) . 'AAA')), $bad, '… another that begins with all of it but three characters is another';
is what(ask($first)), 200, '… and it is still good';

# ------------------------------------------------------------------ the log

my $log = $s->log;
is scalar(grep { length > 40 && index($log, $_) >= 0 } @sent, $first, $short), 0, 'no token in the error log at trace8';
is scalar(grep { my $sig = (split /\./)[2]; length($sig // '') > 20 && index($log, $sig) >= 0 } @sent, $first), 0, '… nor a signature';
like $log, qr/AIGW0331: a token of https:\/\/hs256\.example\/ is refused: its signature is not the issuer's/, 'why, for the administrator';
like $log, qr/AIGW0332: a token of https:\/\/hs256\.example\/ has expired/, '… when it has expired';
$s->stop;
