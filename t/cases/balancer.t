# A model behind mod_proxy's balancer: a dead member is never seen by a client, and what mod_proxy knows of members (routes, status, methods, health checks) holds.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use List::Util qw(max);
use AIGW::Client;
use AIGW::Log;
use AIGW::Raw;

use constant N => 12;

my $port  = Apache::Test::vars('port');
my $raw   = Apache::Test::vars('raw_port');
my @where = ('', '/block');
my @kinds = ([0, 'whole'], [1, 'stream']);
my $text  = 'one two three four five';
plan tests => @where * (@kinds * 12 + 8) + 9 + 1, need_module('mod_aigw', 'mod_aigw_stream', 'mod_proxy_balancer', 'mod_lbmethod_byrequests');
expect_log(qr/AIGW0173: .* model bal-(?:none|away|checked)/);

sub ask {
    my ($where, $model, $stream, %o) = @_;
    my $tag = tag();
    my $c = $o{client} || AIGW::Client->new(port => $port);
    $c->request(POST => "$where/v1/chat/completions", headers => { 'X-Request-ID' => $tag, $o{cookie} ? (Cookie => $o{cookie}) : () },
        json => { model => $model, scenario => $o{scenario} || 'ok', stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'hello' }] });
    return ($c->response, $tag);
}

# Which members of the raw upstream were asked: a (127.0.0.1) or b (localhost), in order.
sub members { return join '', map { $_->{header}{host} =~ /^127/ ? 'a' : 'b' } map { @{ raw_log($_)->{requests} } } @_ }

sub is_refused {
    my ($name, $r) = @_;
    is "$r->{status} $r->{fields}[0][0]" =~ s/ .*//r, 503, "$name: 503";
    is $r->json->{error}{code} . ' ' . $r->json->{error}{type}, 'no_upstream_available server_error', "$name: the code";
    unlike $r->content, qr/balancer|127\.0|:\d{4}/, "$name: nothing internal";
    return;
}

for my $where (@where) {
    for my $kind (@kinds) {
        my ($stream, $kind_name) = @$kind;

        my @half = map { [ask($where, 'bal-half', $stream)] } 1 .. N;
        is scalar(grep { $_->[0]->text eq $text } @half), N, "$where $kind_name, one member is dead: ${\ N} answers";
        is length members(map { $_->[1] } @half), N, "$where $kind_name, … each asked once";

        is_refused("$where $kind_name, all are dead", (ask($where, 'bal-none', $stream))[0]);
        ask($where, 'bal-away', $stream);
        is_refused("$where $kind_name, none is to be tried", (ask($where, 'bal-away', $stream))[0]);

        my $asked = members(map { (ask($where, 'bal-turns', $stream))[1] } 1 .. N);
        cmp_ok max(map { my $m = $_; scalar(() = $asked =~ /$m/g) } qw(a b)), '<=', N / 2 + 2, "$where $kind_name, by requests: both in turn" or diag $asked;

        is members(map { (ask($where, 'bal-disabled', $stream))[1] } 1 .. 4), 'bbbb', "$where $kind_name, status=+D: never asked";
        is members(map { (ask($where, 'bal-standby', $stream))[1] } 1 .. 4), 'bbbb', "$where $kind_name, status=+H: asked where nobody else is there";
        is scalar(grep { $_->[0]{status} == 200 } map { [ask($where, 'bal-standby', $stream)] } 1 .. 4), 4, "$where $kind_name, … and answers";
    }

    # Which one a client had is in its cookie.
    my ($r) = ask($where, 'bal-sticky', 0);
    my ($cookie) = map { /^(ROUTE=\.\w)/ ? $1 : () } $r->header('Set-Cookie');
    like $cookie // '', qr/^ROUTE=\.[ab]$/, "$where the route is told" or diag explain $r->{fields};
    for my $route (qw(a b)) {
        my $asked = members(map { (ask($where, 'bal-sticky', $_ % 2, cookie => "x=1; ROUTE=session.$route; y=2"))[1] } 1 .. 6);
        is $asked, $route x 6, "$where route $route: always the same member";
    }
    my (undef, $tag) = ask($where, 'bal-sticky', 1, cookie => 'ROUTE=session.a');
    is raw_log($tag)->{requests}[0]{header}{cookie}, undef, "$where … which is not shown the cookie";
    for my $route (qw(unknown dead)) {
        like members(map { (ask($where, 'bal-sticky', 0, cookie => "ROUTE=session.$route"))[1] } 1 .. 4), qr/^[ab]{4}$/, "$where route $route: another member";
    }

    # Connections are kept for each member.
    my $c = AIGW::Client->new(port => $port);
    my %seen = map { $_->{conn} => 1 } map { @{ raw_log($_)->{requests} } } map { (ask($where, 'bal-turns', $_ % 2, client => $c))[1] } 1 .. N;
    cmp_ok scalar(keys %seen), '<=', 4, "$where few connections";
    # A stale one of a member's is tried again.
    ask($where, 'bal-disabled', 0, client => $c, scenario => 'stale-rst');
    is +(ask($where, 'bal-disabled', 1, client => $c))[0]->text, $text, "$where a stale connection is not seen";
}

# failonstatus: the first answer with that status is the client's, the next question goes to another member.
my ($r, $tag) = ask('', 'bal-failon', 0);
is members($tag), 'a', 'failonstatus: at first the usual member';
($r) = ask('', 'bal-failon', 0, scenario => 'status:503');
is $r->{status}, 503, 'failonstatus: its answer is told';
is members(map { (ask('', 'bal-failon', $_ % 2))[1] } 1 .. 4), 'bbbb', 'failonstatus: then the other is asked';

# A member that is looked after: taken out, in again, and out.
my $alive = Apache::Test::vars('upstream_error_log') =~ s/error_log\z/balancer-alive/r;
sub alive { open my $fh, '>', $alive or die "$alive: $!"; close $fh; return }
END { unlink $alive if defined $alive }

# Until it answers so, or it is clear that it never will.
sub becomes {
    my ($status) = @_;
    return AIGW::Log::poll_for("a member whose answer is $status", 15, sub { my ($r) = ask('', 'bal-checked', 0); return $r->{status} == $status ? $r : undef });
}

SKIP: {
    skip 'no mod_proxy_hcheck', 6 unless Apache::Test::have_module('mod_proxy_hcheck');
    unlink $alive;
    is_refused('health check: out', becomes(503));
    alive();
    is becomes(200)->text, 'hello', 'health check: in again';
    is +(ask('/block', 'bal-checked', 1))[0]->text, 'hello', '… for streams too';
    unlink $alive;
    is becomes(503)->{status}, 503, 'health check: and out';
}

log_clean();
