# Keys and JSON Web Tokens for tests, made with CryptX: another implementation than the one under test. Whatever is wrong with a token can be made.
package AIGW::Token;
use strict;
use warnings FATAL => 'all';
use Crypt::PK::ECC;
use Crypt::PK::RSA;
use Digest::SHA qw(hmac_sha256 hmac_sha384 hmac_sha512);
use Exporter qw(import);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url decode_base64url);

our @EXPORT_OK = qw(jws jwt part signature key jwk);

my $json = JSON::PP->new->canonical->utf8;
my %hmac = (256 => \&hmac_sha256, 384 => \&hmac_sha384, 512 => \&hmac_sha512);
my %curve = (ES256 => 'secp256r1', ES384 => 'secp384r1', ES512 => 'secp521r1');

# One part: of a structure, or of a text as it is.
sub part { my ($what) = @_; return encode_base64url(ref $what ? $json->encode($what) : $what) }

# A new key for the algorithm: a secret, or an object of CryptX's.
sub key {
    my ($alg) = @_;
    return join '', map { chr 33 + int rand 94 } 1 .. 64 if $alg =~ /\AHS/;
    my $key = $alg =~ /\ARS/ ? Crypt::PK::RSA->new : Crypt::PK::ECC->new;
    $key->generate_key($alg =~ /\ARS/ ? (256, 65537) : $curve{$alg} // $alg);
    return $key;
}

# Its JWK, public where it has a public half.
sub jwk {
    my ($key, %more) = @_;
    return { kty => 'oct', k => encode_base64url($key), %more } if !ref $key;
    return { %{ $key->export_key_jwk('public', 1) }, %more };
}

# The signature of a text, as bytes.
sub signature {
    my ($alg, $key, $text) = @_;
    my ($family, $bits) = $alg =~ /\A([A-Z]+)(\d+)\z/ or die "what is $alg?";
    return $hmac{$bits}->($text, $key) if $family eq 'HS';
    return $family eq 'RS' ? $key->sign_message($text, "SHA$bits", 'v1.5') : $key->sign_message_rfc7518($text, "SHA$bits");
}

# The token of any header and claims (structures, or texts), signed as $alg says.
sub jws {
    my ($header, $claims, $alg, $key) = @_;
    my $text = part($header) . '.' . part($claims);
    return "$text." . encode_base64url(signature($alg, $key, $text));
}

# The usual one.
sub jwt {
    my ($alg, $key, $claims, %header) = @_;
    return jws({ alg => $alg, typ => 'JWT', %header }, $claims, $alg, $key);
}

1;
