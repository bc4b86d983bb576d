# <AIGWJwtIssuer> and what stands in it: what is right passes `httpd -t`, what is wrong fails with words that name the directive and the remedy, and never shows a secret.
# any MPM
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use File::Temp ();
use JSON::PP qw(encode_json);
use MIME::Base64 qw(encode_base64);
use AIGW::Conf qw(conf_check);
use AIGW::Log;
use AIGW::Services qw(spew);
use AIGW::Token qw(jwk key);

my $tmp = File::Temp->newdir('jwt-conf-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
my %pair = map { $_ => key($_) } qw(RS256 ES256 ES384);
for my $alg (keys %pair) {
    spew("$tmp/$alg.pub", $pair{$alg}->export_key_pem('public'));
    spew("$tmp/$alg.key", $pair{$alg}->export_key_pem('private'));
}
{
    my $weak = Crypt::PK::RSA->new;
    $weak->generate_key(128, 65537);
    spew("$tmp/weak.pub", $weak->export_key_pem('public'));
    my $odd = Crypt::PK::ECC->new;
    $odd->generate_key('secp256k1');
    spew("$tmp/odd.pub", $odd->export_key_pem('public'));
    spew("$tmp/locked.key", $pair{RS256}->export_key_pem('private', 'passphrase'));
}
my $secret = 'sekrit-' . 'x' x 57;
spew("$tmp/secret", "$secret\n");
spew("$tmp/secret48", substr($secret, 0, 48));
spew("$tmp/short", "sekrit-short\n");
spew("$tmp/empty", "\n");
# Keys that are no secrets, in other forms than PEM. One in DER may end with a byte that is no line end there.
my %formed = ('RS256.der' => $pair{RS256}->export_key_der('public_x509'), 'RS256.p1' => $pair{RS256}->export_key_der('private'), 'ES256.der' => $pair{ES256}->export_key_der('public'));
{
    my $ec = Crypt::PK::ECC->new;
    do { $ec->generate_key('secp256r1') } until $ec->export_key_der('public') =~ /\n\z/;
    $formed{'newline.der'} = $ec->export_key_der('public');
}
$formed{'RS256.b64'}   = encode_base64($formed{'RS256.der'}, '');
$formed{'RS256.lines'} = encode_base64($formed{'RS256.der'});
$formed{'RS256.jwk'}   = encode_json(jwk($pair{RS256}));
$formed{'RS256.jwks'}  = '{"keys": [' . $formed{'RS256.jwk'} . "]}\n";
$formed{'RS256.ssh'}   = 'ssh-rsa ' . encode_base64($formed{'RS256.der'}, '') . ' a@b';
$formed{'RS256.ssh2'}  = "---- BEGIN SSH2 PUBLIC KEY ----\n$formed{'RS256.lines'}---- END SSH2 PUBLIC KEY ----\n";
spew("$tmp/$_", $formed{$_}) for keys %formed;
spew("$tmp/nonsense.pub", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");

my $any = 'AIGWJwtAudience any';
sub issuer { return "<AIGWJwtIssuer x>\n" . join("\n", @_) . "\n</AIGWJwtIssuer>\n" }
sub keyed { my ($key, @more) = @_; return issuer($any, "AIGWJwtKey $key", @more) }

my @good = (
    ['a secret',               keyed("file:$tmp/secret", 'AIGWJwtAlgorithms HS256 HS384 HS512')],
    ['a secret of 48 bytes',   keyed("file:$tmp/secret48", 'AIGWJwtAlgorithms HS384')],
    ['of the environment',     keyed('env:AIGW_T_JWT', 'AIGWJwtAlgorithms HS256')],
    ['RSA',                    keyed("file:$tmp/RS256.pub", 'AIGWJwtAlgorithms RS256', 'AIGWJwtAlgorithms RS384 RS512')],
    ['EC',                     keyed("file:$tmp/ES256.pub", 'AIGWJwtAlgorithms ES256')],
    ['any that the key does',  keyed("file:$tmp/ES384.pub")],
    ['the private key',        keyed("file:$tmp/RS256.key")],
    ['everything',             issuer('AIGWJwtAudience a b', 'AIGWJwtAudience c', "AIGWJwtKey file:$tmp/RS256.pub", 'AIGWJwtClaims user=email tier=a.b.c scopes=scp models=https://x/y', 'AIGWJwtTierMap a b',
        'AIGWJwtTierMap "c d" e', 'AIGWJwtTierMap * f', 'AIGWJwtSkew 0s')],
    ['one that signs',         issuer('AIGWJwtAudience a', "AIGWJwtSign file:$tmp/ES256.key")],
    ['… how, and by which key', issuer('AIGWJwtAudience a', "AIGWJwtSign file:$tmp/RS256.key RS512 k-2026")],
    ['… and verifies by another file', issuer('AIGWJwtAudience a', "AIGWJwtKey file:$tmp/RS256.pub", "AIGWJwtSign file:$tmp/RS256.key")],
    ['… by a secret',          issuer('AIGWJwtAudience a', 'AIGWJwtSign env:AIGW_T_JWT HS512')],
    ['several, and virtual hosts', keyed("file:$tmp/secret") . "<AIGWJwtIssuer y>\n$any\nAIGWJwtKey file:$tmp/RS256.pub\n</AIGWJwtIssuer>\n<VirtualHost *:1>\n" . keyed("file:$tmp/ES256.pub") . "</VirtualHost>\n<VirtualHost *:2>\n</VirtualHost>\n"],
    ['AIGWTokenCache',         "AIGWTokenCache 0\nAIGWTokenCache 100\nAIGWTokenCache 1000000 1h\nAIGWTokenCache 10 30s\n"],
);
my @wrong = (
    [keyed("file:$tmp/secret") . keyed("file:$tmp/secret"),             qr/<AIGWJwtIssuer x>: there is one of this name already/],
    ["<AIGWJwtIssuer>\n</AIGWJwtIssuer>",                               qr/<AIGWJwtIssuer> takes one name: the iss of its tokens/],
    ["<AIGWJwtIssuer a b>\n</AIGWJwtIssuer>",                           qr/<AIGWJwtIssuer> takes one name/],
    [issuer("<AIGWJwtIssuer y>\n</AIGWJwtIssuer>"),                     qr/<AIGWJwtIssuer> does not stand inside another/],
    ["<Location /x>\n" . keyed("file:$tmp/secret") . '</Location>',     qr/AIGWJwtIssuer/],
    [issuer($any),                                                      qr{<AIGWJwtIssuer x> has no key: add for example 'AIGWJwtKey jwks:https://}],
    [issuer("AIGWJwtKey file:$tmp/secret"),                             qr/<AIGWJwtIssuer x> has no audience, so a token that it made for another service would be good here: add 'AIGWJwtAudience name'/],
    (map { ["$_\n", qr/\Q${\ (split ' ', $_)[0]}\E stands inside <AIGWJwtIssuer name> .* only/] } 'AIGWJwtAudience a', 'AIGWJwtAlgorithms RS256', 'AIGWJwtKey file:/x', 'AIGWJwtClaims user=a', 'AIGWJwtTierMap a b', 'AIGWJwtSkew 5s', 'AIGWJwtSign file:/x'),
    [issuer('AIGWJwtAudience any a'),                                   qr/AIGWJwtAudience: "any" cannot stand beside names/],
    [issuer('AIGWJwtAudience a any'),                                   qr/AIGWJwtAudience: "any" cannot stand beside names/],
    (map { [keyed("file:$tmp/secret", "AIGWJwtAlgorithms $_"), qr/AIGWJwtAlgorithms: "\Q$_\E" is none of HS256 HS384/] } qw(none None hs256 PS256 EdDSA RS1 HS)),
    [keyed("file:$tmp/secret", 'AIGWJwtAlgorithms HS256 RS256'),        qr/AIGWJwtAlgorithms: HS256, HS384, HS512 are for a secret, the others for public keys/],
    [keyed("file:$tmp/secret", 'AIGWJwtAlgorithms RS256'),              qr/AIGW0330: .*AIGWJwtAlgorithms: none of these fits the key: HS256 is for a secret/],
    [keyed("file:$tmp/RS256.pub", 'AIGWJwtAlgorithms HS256'),           qr/AIGW0330: .*none of these fits the key/],
    [keyed("file:$tmp/RS256.pub", 'AIGWJwtAlgorithms ES256'),           qr/AIGW0330: .*none of these fits the key/],
    [keyed("file:$tmp/ES384.pub", 'AIGWJwtAlgorithms ES256'),           qr/AIGW0330: .*none of these fits the key/],
    [keyed("file:$tmp/secret48", 'AIGWJwtAlgorithms HS512'),            qr/AIGW0330: .*none of these fits the key/],
    [keyed("file:$tmp/short"),                                          qr/at least 32 bytes .*openssl rand -base64 48/],
    [keyed("file:$tmp/empty"),                                          qr/it is empty/],
    [keyed("file:$tmp/absent"),                                         qr/No such file/],
    [keyed('env:AIGW_T_UNSET'),                                         qr/this variable is not set where httpd is started/],
    (map { [keyed("file:$tmp/$_"), qr/AIGW0350: .*it is no secret but a key or a certificate, which others may know: write it in PEM/] } sort keys %formed),
    [issuer($any, "AIGWJwtSign file:$tmp/RS256.der"),                   qr/AIGW0330: .*it is no secret but a key/],
    [keyed("file:$tmp/weak.pub"),                                       qr/an RSA key has at least 2048 bits/],
    [keyed("file:$tmp/odd.pub"),                                        qr/the curve of an EC key is P-256, P-384 or P-521/],
    [keyed("file:$tmp/nonsense.pub"),                                   qr/no public key, certificate or private key in PEM/],
    (map { [issuer($any, "AIGWJwtKey $_"), qr/AIGWJwtKey: /] } 'sekrit-literal', 'file:', 'env:', 'FILE:/x', 'exec:/x'),
    [keyed("file:$tmp/secret", "AIGWJwtKey file:$tmp/secret"),          qr/AIGWJwtKey: there is one already/],
    (map { [keyed("file:$tmp/secret", "AIGWJwtClaims $_"), qr/AIGWJwtClaims: write what=claim/] } 'user', 'user='),
    [keyed("file:$tmp/secret", 'AIGWJwtClaims name=x'),                 qr/AIGWJwtClaims: "name=x": what a claim can be for is user, tier, scopes or models/],
    [keyed("file:$tmp/secret", 'AIGWJwtTierMap a'),                     qr/AIGWJwtTierMap takes two arguments/],
    (map { [keyed("file:$tmp/secret", "AIGWJwtSkew $_"), qr/AIGWJwtSkew: a time from 0s to 10min/] } '-1', 'x', '11min', '1h'),
    [issuer($any, 'AIGWJwtSign sekrit-literal'),                        qr/AIGWJwtSign: where the private key or the secret is: file:PATH or env:NAME/],
    [issuer($any, "AIGWJwtSign file:$tmp/RS256.key none"),              qr/AIGWJwtSign: "none" is none of HS256/],
    [issuer($any, "AIGWJwtSign file:$tmp/RS256.key ES256"),             qr/AIGW0330: .*this key cannot sign with this algorithm/],
    [issuer($any, "AIGWJwtSign file:$tmp/RS256.pub"),                   qr/AIGW0330: .*it is no private key in PEM without a passphrase/],
    [issuer($any, "AIGWJwtSign file:$tmp/locked.key"),                  qr/AIGW0330: .*it is no private key in PEM without a passphrase/],
    [issuer($any, "AIGWJwtSign file:$tmp/short"),                       qr/AIGW0330: .*at least 32 bytes/],
    [issuer($any, "AIGWJwtSign file:$tmp/RS256.key", "AIGWJwtSign file:$tmp/RS256.key"), qr/AIGWJwtSign: there is one already/],
    [issuer($any, "AIGWJwtKey file:$tmp/ES256.pub", "AIGWJwtSign file:$tmp/RS256.key"), qr/AIGW0330: .*its own tokens would be refused/],
    [issuer($any, "AIGWJwtSign file:$tmp/RS256.key", 'AIGWJwtTierMap a b'), qr/AIGWJwtTierMap is for tokens of others/],
    (map { ["AIGWTokenCache $_\n", qr/AIGWTokenCache: how many tokens/] } '-1', 'x', '1000001', '5k'),
    (map { ["AIGWTokenCache 5 $_\n", qr/AIGWTokenCache: after how long/] } '0', '2h', 'x'),
    ["<VirtualHost *:1>\nAIGWTokenCache 5\n</VirtualHost>\n",           qr/AIGWTokenCache cannot occur within/],
);
plan tests => @good + 3 * @wrong + 4, need_module('mod_aigw', 'mod_aigw_auth');

my %env = (AIGW_T_JWT => $secret);
for (@good) {
    my ($name, $conf) = @$_;
    my ($status, $out) = conf_check($conf, env => \%env);
    is $status, 0, "$name: passes" or diag $out;
}
for (@wrong) {
    my ($conf, $said) = @$_;
    my ($status, $out) = conf_check("$conf\n", env => \%env);
    my $name = $conf =~ s/\Q$tmp\E//gr =~ s/\s+/ /gr;
    isnt $status, 0, "$name: fails";
    like $out, $said, "$name: says why";
    unlike $out, qr/sekrit/, "$name: shows no secret";
}

# whoever can read what tokens are signed or verified with makes tokens
for (['ES256.key', 'AIGWJwtSign'], ['secret', 'AIGWJwtKey']) {
    my ($file, $directive) = @$_;
    for my $mode (0644, 0640) {
        chmod $mode, "$tmp/$file";
        my ($status, $out) = conf_check(issuer($any, "$directive file:$tmp/$file"), env => \%env);
        is $status . ($out =~ m{AIGW0358: everybody on this machine may read or write \S+/\Q$file\E,} ? ' warned' : ''), $mode == 0644 ? '0 warned' : '0', sprintf '%s, a file of mode %o', $directive, $mode;
    }
}
