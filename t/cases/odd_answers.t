# Whole answers that no model server should give: what can be read of them is, the rest is a 502, and neither takes the gateway's time or memory. An OpenAI client gets the
# server's own bytes, where the gateway can tell what they cost.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(post_json);
use AIGW::Log;

my $port    = Apache::Test::vars('port');
my @where   = ('', '/block');
my $invalid = 'upstream_invalid_response';
my $general = 'The model server answered with status 502.';
my @answers = (
    # kind, what /v1/chat makes of it: the text and its tokens, or an error's code and message; and whether it goes on to an OpenAI client
    [escapes => "\xfc\n\x{1f600}\"\\", undef, 1],
    [types   => '',     undef, 1],
    [places  => 'good', 5,     1],
    [twice   => 'good', 5,     0],
    [nul     => undef,  $invalid, undef, 1],
    [utf8    => undef,  $invalid, undef, 0],
    [deep    => undef,  $invalid, undef, 0],
    [number  => 'good', 5, 1],
    [empty   => undef,  $invalid, undef, 1],
    [many    => 'good', 5, 1],
    [error   => undef,  'odd_code', 'upstream says no', 0],
    ['large-error' => undef, $invalid, $general, 0],
);
plan tests => @where * @answers * 3 + 1, need_module('mod_aigw', 'mod_aigw_stream');
expect_log(qr/AIGW0184: .* model raw/);

for my $where (@where) {
    for my $case (@answers) {
        my ($kind, $text, @more) = @$case;
        my $raw = pop @more;
        my $r = post_json("$where/v1/chat", { model => "raw:odd:$kind", message => 'hello' }, port => $port);
        if (defined $text) {
            is $r->json->{content}, $text, "$where $kind: the text";
            is $r->json->{usage}{completion_tokens}, $more[0], "$where $kind: the tokens";
        }
        else {
            my $error = $r->json->{error};
            is "$r->{status} $error->{code}", "502 $more[0]", "$where $kind: an error";
            is $error->{message}, $more[1] // "The model server's answer could not be used.", "$where $kind: its words";
        }
        $r = post_json("$where/v1/chat/completions", { model => 'raw', scenario => "odd:$kind", messages => [{ role => 'user', content => 'hello' }] }, port => $port);
        is $r->{status}, $raw ? 200 : 502, "$where $kind: for an OpenAI client";
    }
}

log_clean();
