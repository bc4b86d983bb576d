# An upstream whose name cannot be looked up: the gateway starts, and says at each question that the upstream cannot be reached; others are served.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(chat);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Server;

my $event = Apache::Test::have_module('mpm_event');
my $tls   = AIGW::Client::have_tls();
my @ports = ('port', $tls ? 'tls_port' : ());
my @where = ('', $event ? '/block' : ());
my @models = ('nowhere', 'nowhere-tls');
my $text  = 'one two three four five';
plan tests => @ports * @where * (@models * 2 * 6 + 4) + 5, need_module('mod_aigw', 'mod_proxy_balancer');

# .invalid never has an address (RFC 2606); a machine whose resolver is not there is to say so soon
my $s = AIGW::Server->new(tls => $tls, env => { RES_OPTIONS => 'timeout:1 attempts:1' }, conf => <<"CONF" . join '', map { <<"WHERE" } '', '/block');
SSLProxyEngine on
SSLProxyVerify require
SSLProxyCACertificateFile @{[Apache::Test::vars('tls_dir')]}/ca.pem
<Proxy "balancer://half">
    BalancerMember http://nowhere.invalid:8000
    BalancerMember http://127.0.0.1:$ENV{AIGW_RAW_PORT}
</Proxy>
<AIGWModel nowhere>
    AIGWUpstream openai http://nowhere.invalid:8000/v1
</AIGWModel>
<AIGWModel nowhere-tls>
    AIGWUpstream openai https://nowhere.invalid/v1
</AIGWModel>
<AIGWModel half>
    AIGWUpstream openai balancer://half/v1
</AIGWModel>
<AIGWModel raw>
    AIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1
</AIGWModel>
CONF
<Location $_/v1/chat/completions>
    SetHandler aigw-chat-completions
    @{[$_ ? 'AIGWPark off' : '']}
</Location>
WHERE

sub ask { my ($port, $where, $model, %o) = @_; return chat($model, 'x', port => $s->{$port}, tls => $port eq 'tls_port', path => "$where/v1/chat/completions", timeout => 60, %o) }

for my $port (@ports) {
    for my $where (@where) {
        my $tag = tag();
        my $c = AIGW::Client->new(port => $s->{$port}, tls => $port eq 'tls_port');
        $c->request(POST => "$where/v1/chat/completions", json => { model => 'raw', scenario => 'gate:2', tag => $tag, stream => \1, messages => [{ role => 'user', content => 'x' }] });
        $c->head;
        for my $model (@models) {
            for my $stream (0, 1) {
                my $name = "$port$where $model, stream $stream";
                my $id = tag();
                my $r = ask($port, $where, $model, stream => $stream, headers => { 'X-Request-ID' => $id });
                is "$r->{status} " . $r->header('Content-Type'), '502 application/json', "$name: 502, JSON";
                my $error = $r->json->{error};
                is "$error->{code} $error->{type}", 'upstream_connect_failed upstream_error', "$name: the code";
                unlike $error->{message}, qr/nowhere|invalid|DNS|lookup|resol/i, "$name: a message without anything internal";
                ok $r->complete, "$name: whole";
                like $s->log, qr{AIGW0173: \[\Q$id\E\] model \Q$model\E: upstream https?://nowhere\.invalid}, "$name: the log says who";
                ok $s->wait_for('access log', 10, sub { $s->access =~ /^id=\Q$id\E status=502 error=upstream_connect_failed/m }), "$name: the access log";
            }
        }
        is ask($port, $where, 'half', stream => $_)->text, $text, "$port$where: a balancer takes the member that has an address, stream $_" for 0, 1;
        raw_go($tag);
        is(($c->events)[-1]{data}, '[DONE]', "$port$where: an open answer goes on");
        is ask($port, $where, 'raw')->text, $text, "$port$where: and others are served";
    }
}
like $s->log, qr/\[proxy:error\].*DNS lookup failure|AH00898/, 'mod_proxy says what it is';
is_deeply [$s->crashes], [], 'nobody crashed';
ok $s->signal('USR1'), 'a graceful restart';
$s->wait_for('the new configuration', 30, sub { (() = $s->log =~ /resuming normal operations/g) > 1 });
is ask('port', '', 'raw')->text, $text, '… is not held up by it';
log_clean();
