# Upstream connections are kept and used again, whatever the answer's form: a connection for each question would cost a handshake each.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client;
use AIGW::Log;
use AIGW::Raw;

use constant N => 20;

my $port  = Apache::Test::vars('port');
my @where = ('', '/block');
my @kinds = ([0, 'whole'], [1, 'stream']);
my @forms = ('ok', 'ok-chunked', 'ok-length', 'comments', 'trailers', 'interim', 'no-done', 'status:429');
# what would come next on these connections is not the next answer
my @unfit = (['stall:3', '/t/idle'], ['bad-chunk', ''], ['huge-event:1', '/t/maxanswer']);
plan tests => @where * (@kinds * (2 * @forms + 3 + @unfit + 3) + 8) + 1, need_module('mod_aigw', 'mod_aigw_stream');
expect_log(qr/AIGW018[0145]: /);

sub ask {
    my ($c, $path, $scenario, $stream, %o) = @_;
    my $tag = tag();
    $c->request(POST => $path, headers => { 'X-Request-ID' => $tag },
        json => { model => $o{model} || 'raw', scenario => $scenario, stream => $stream ? \1 : \0, messages => [{ role => 'user', content => 'hello' }] });
    return ($c->response, $tag);
}

sub client { return AIGW::Client->new(port => $port) }

# The upstream connections of these requests: how many.
sub connections { my %seen; $seen{$_}++ for map { $_->{conn} } map { @{ raw_log($_)->{requests} } } @_; return scalar keys %seen }

for my $where (@where) {
    my $path = "$where/v1/chat/completions";
    for my $kind (@kinds) {
        my ($stream, $kind_name) = @$kind;

        # One client: one process, one upstream connection, and another if the first had aged.
        for my $form (@forms) {
            my $c = client();
            my @all = map { [ask($c, $path, $form, $stream)] } 1 .. N;
            my $good = $form =~ /^status:(\d+)/ ? $1 : 200;
            is scalar(grep { $_->[0]{status} == $good } @all), N, "$where $kind_name $form: ${\ N} answers";
            cmp_ok connections(map { $_->[1] } @all), '<=', 2, "$where $kind_name $form: few connections";
        }

        # Forms that end the connection.
        my $c = client();
        my @all = map { [ask($c, $path, 'ok-close', $stream)] } 1 .. 5;
        is scalar(grep { $_->[0]->text eq 'one two three four five' } @all), 5, "$where $kind_name ok-close: 5 answers";
        is connections(map { $_->[1] } @all), 5, "$where $kind_name ok-close: a connection each";
        is scalar(grep { access_wait($_->[1])->{error} } @all), 0, "$where $kind_name ok-close: no error";

        # Answers that went wrong: their connection is closed by the gateway.
        for my $case (@unfit) {
            my ($scenario, $below) = @$case;
            my ($r, $tag) = ask(client(), "$where$below/v1/chat/completions", $scenario, $stream);
            is raw_wait('closed', tag => $tag)->{by}, 'peer', "$where $kind_name $scenario: the connection is not kept";
        }
        $c = client();
        ask($c, $path, 'body-on-204', $stream);
        my @next = map { (ask($c, $path, 'ok', $stream))[0] } 1 .. 3;
        is $_->text, 'one two three four five', "$where $kind_name: after a 204 with a body the next answer is the right one" for @next;
    }

    # Many clients, a few of them at once.
    my @clients = map { client() } 1 .. 4;
    my @tags;
    for (1 .. N / 4) {
        for my $c (@clients) {
            push @tags, my $tag = tag();
            $c->request(POST => $path, headers => { 'X-Request-ID' => $tag }, json => { model => 'raw', stream => \1, messages => [{ role => 'user', content => 'hello' }] });
        }
        $_->response for @clients;
    }
    cmp_ok connections(@tags), '<=', 8, "$where 4 clients: few connections";

    # Two models of one upstream share its connections; keys do not get mixed up.
    my $c = client();
    @tags = map { (ask($c, $path, 'ok', 0, model => $_))[1] } ('raw', 'raw:ok') x 5;
    cmp_ok connections(@tags), '<=', 2, "$where two models: few connections";
    my @keys = map { scalar grep { $_->[0] eq 'Authorization' } @{ raw_log($_)->{requests}[0]{headers} } } @tags;
    is "@keys", '1 0 ' x 4 . '1 0', "$where two models: to each its own key";
    is_deeply [grep { $_ ne 'POST' } map { raw_log($_)->{requests}[0]{method} } @tags], [], "$where two models: all asked";

    # Over TLS and over a Unix socket too: the upstream httpd's access log says how many requests its connections had before.
    for my $model ('up', 'up-tls') {
        my $c = client();
        my @ids = map { my $id = tag(); $c->request(POST => $path, headers => { 'X-Request-ID' => $id },
            json => { model => $model, stream => \1, messages => [{ role => 'user', content => 'hello' }] }); $c->response; $id } 1 .. N;
        my @lines = upstream_lines(@ids);
        is scalar(@lines), N, "$where $model: ${\ N} questions";
        cmp_ok scalar(grep { /keepalive=0 / } @lines), '<=', 2, "$where $model: few connections";
    }
}

# The lines of the upstream httpd's access log for these request IDs, once all are there.
sub upstream_lines {
    my %wanted = map { $_ => 1 } @_;
    my $file = Apache::Test::vars('upstream_error_log') =~ s/error_log\z/access_log/r;
    return @{ AIGW::Log::poll_for('access log of the upstream', 10, sub {
        open my $fh, '<', $file or return undef;
        my @lines = grep { /\bid=(\S+) / && $wanted{$1} } <$fh>;
        return @lines >= keys %wanted ? \@lines : undef;
    }) };
}

log_clean();
