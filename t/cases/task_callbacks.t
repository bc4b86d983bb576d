# Callbacks of tasks: signed, tried again, kept over everything that dies, and never sent to where they must not go.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(get have_tls post_json);
use AIGW::Conf qw(conf_check);
use AIGW::Listener;
use AIGW::Postgres;
use AIGW::Raw;
use AIGW::Redis;
use AIGW::Server;
use AIGW::Services qw(free_port slurp spew);
use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use File::Temp ();
use Time::HiRes qw(time);

my $v      = Apache::Test::vars();
my $json   = JSON::PP->new->canonical->utf8;
my $prefork = Apache::Test::have_module('mpm_prefork');
my @stores = ('sqlite', AIGW::Postgres->available ? 'pgsql' : (), AIGW::Redis->available ? 'redis' : ());
my $tls    = have_tls() && Apache::Test::have_module('mod_ssl');
plan tests => 16 * @stores + (AIGW::Postgres->available ? 12 : 0) + 63 + ($prefork ? 0 : 2) + ($tls ? 3 : 0), need_module('mod_aigw', 'mod_aigw_stream', 'mod_aigw_tasks');

my @secret = map { 'whsec_' . encode_base64($_ x 32, '') } 'k', 'o';
my $token  = 'path-that-is-a-secret';
my (@gateways, $kept);

my $one_child = '<IfModule !mpm_prefork_module>' . "\nStartServers 1\nServerLimit 1\nThreadsPerChild 8\nMaxRequestWorkers 8\nMinSpareThreads 1\nMaxSpareThreads 8\n</IfModule>\n<IfModule mpm_prefork_module>\nStartServers 1\nServerLimit 1\nMaxRequestWorkers 1\n</IfModule>\n";

# A gateway that may call these, with what else it is told.
sub gateway {
    my ($allow, $conf, %o) = @_;
    my $store = $o{store} // 'AIGWStore sqlite:data/aigw.db';
    my $gw = AIGW::Server->new(env => { HOOK_SECRET => $secret[0], HOOK_OLD => $secret[1], http_proxy => "http://127.0.0.1:$v->{dead_port}", https_proxy => "http://127.0.0.1:$v->{dead_port}" },
        conf => "LogLevel info aigw_tasks:trace8\n$store\nAIGWCallbackSecret env:HOOK_SECRET\nAIGWCallbackAllow $allow\n$conf\n<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\n<AIGWModel slow>\nAIGWUpstream echo words=1000 delay=50ms\n</AIGWModel>\n"
        . "<AIGWModel dead>\nAIGWUpstream openai http://127.0.0.1:$v->{dead_port}/v1 key=env:HOOK_OLD\n</AIGWModel>\nAIGWDefaultModel echo\n<Location /api/v1/tasks>\nSetHandler aigw-tasks\n</Location>\n");
    push @gateways, $gw;
    return $gw;
}
sub post { my ($gw, %task) = @_; return post_json('/api/v1/tasks', { prompt => 'one two', %task }, port => $gw->{port}) }
sub task { my ($gw, $id) = @_; return get("/api/v1/tasks/$id", port => $gw->{port})->json }
sub make { my ($gw, $url, %task) = @_; my $r = post($gw, callback_url => $url, %task); $r->{status} == 202 or die 'no task: ' . $r->content; return $r->json->{task_id} }
sub said { my ($gw, $what, $seconds) = @_; $gw->wait_for("$what in the log", $seconds // 60, sub { $gw->log =~ /($what.*)/ }); $gw->log =~ /($what.*)/; return $1 }
sub arrived { my ($gw, $id) = @_; return said($gw, "AIGW0616: callback of task $id") && 1 }

# The next request, which is answered so, on a connection of its own.
sub next_hook {
    my ($up, %o) = @_;
    my $conn = $up->accept(%{ $o{accept} || {} }) or return undef;
    my $request = $conn->request or return undef;
    $conn->answer(status => $o{status} // 200, body => $o{body} // '', headers => ['Connection: close', @{ $o{headers} || [] }]);
    $conn->close;
    return $request;
}

# The secrets that it is signed with, as their numbers; "": none.
sub signers {
    my ($request, $body) = @_;
    my $header = $request->{header};
    my $signed = join '.', @$header{qw(webhook-id webhook-timestamp)}, $body // $request->{body};
    my %is = map { ('v1,' . encode_base64(hmac_sha256($signed, decode_base64($secret[$_] =~ s/whsec_//r)), '') => $_) } 0, 1;
    return join ' ', map { $is{$_} // 'nobody' } split / /, $header->{'webhook-signature'} // '';
}
sub body { my ($request) = @_; return $json->decode($request->{body}) }

# ------------------------------------------------------------------ what is told, on each store

for my $name (@stores) {
    my $server = { pgsql => 'AIGW::Postgres', redis => 'AIGW::Redis' }->{$name};
    $server &&= $server->new;
    my $store = { pgsql => sub { 'AIGWStore "pgsql:' . $server->conninfo . '"' }, redis => sub { "AIGWStore redis\nAIGWRedis " . $server->url }, sqlite => sub { undef } }->{$name}->();
    my $up = AIGW::Listener->new(port => my $port = free_port());
    my $gw = gateway("http://127.0.0.1:$port", "AIGWCallbackNetwork 127.0.0.0/8\nAIGWCallbackTimeout 10s\nAIGWCallbackRetry first=200ms max=1s for=1h", store => $store);
    my $url = "http://127.0.0.1:$port/$token?a=b";

    my $r = post($gw, callback_url => $url);
    is $r->json->{callback_url}, $url, "$name: a task with a callback";
    my $id = $r->json->{task_id};
    my $hook = next_hook($up, status => 204);
    is $hook->{line}, "POST /$token?a=b HTTP/1.1", '… one POST';
    is signers($hook), '0', '… signed';
    is signers($hook, $hook->{body} . ' '), 'nobody', '… each byte of it';
    cmp_ok abs($hook->{header}{'webhook-timestamp'} - time), '<', 120, '… now';
    is_deeply [@{ $hook->{header} }{qw(webhook-id content-type)}], ["msg_$id", 'application/json'], '… with its number';
    my $body = body($hook);
    is_deeply [$body->{type}, $body->{timestamp}, $body->{data}{result}{choices}[0]{message}{content}], ['task.completed', $body->{data}{completed_at}, 'one two'], '… says how it ended';
    is_deeply $body->{data}, task($gw, $id), '… and all that a GET does';
    ok arrived($gw, $id), '… and has arrived';
    $kept = $hook;

    $id = make($gw, $url);
    my @three = map { next_hook($up, status => $_) } 500, 404, 200;
    is_deeply [map { signers($_) } @three], [0, 0, 0], '500, 404: it is sent again';
    is_deeply [map { $_->{header}{'webhook-id'} } @three], [("msg_$id") x 3], '… the same';
    ok arrived($gw, $id), '… until it has arrived';

    # while httpd is away the receiver is, too
    $up->close;
    $id = make($gw, $url);
    like said($gw, "AIGW0614: callback of task $id"), qr{to http://127.0.0.1:$port: .*connect.*; again in \d+ ms}i, 'the receiver is away';
    $gw->stop;
    $up = AIGW::Listener->new(port => $port);
    $gw->start;
    is next_hook($up)->{header}{'webhook-id'}, "msg_$id", 'a restart forgets none';
    ok arrived($gw, $id), '… it has arrived';
    ok !$up->waiting, '… and nothing else was sent';
    $gw->stop;
}

# ------------------------------------------------------------------ how else tasks end, and what receivers may say

{
    my ($up, $other) = map { AIGW::Listener->new(port => $_) } my ($port, $other_port) = (free_port(), free_port());
    my $gw = gateway("http://localhost:$port http://127.0.0.1:$other_port", "AIGWTaskWorkers 2\nAIGWTaskLease 6s\nAIGWTaskAttempts 100\nAIGWCallbackPrivate on\nAIGWCallbackSecret for=http://127.0.0.1:$other_port for=*.example.com env:HOOK_OLD\nAIGWCallbackSecret env:HOOK_SECRET env:HOOK_OLD\nAIGWCallbackTimeout 10s\nAIGWCallbackRetry first=200ms max=1s for=1h");
    my $url = "http://localhost:$port/$token";

    my $id = make($gw, $url, model => 'dead');
    my $hook = next_hook($up);
    is_deeply [body($hook)->{type}, body($hook)->{data}{error}{code}], ['task.failed', 'upstream_connect_failed'], 'a task that fails';
    is signers($hook), '0 1', '… signed with both secrets';
    make($gw, "http://127.0.0.1:$other_port/");
    is signers(next_hook($other)), '1', 'a receiver with a secret of his own';

    # as many as may run in all children: what comes then waits
    my @busy = map { make($gw, $url, model => 'slow', steps => 1000) } 1 .. 30;
    my ($running) = grep { task($gw, $_)->{status} eq 'running' } $gw->wait_for('one runs', 30, sub { grep { task($gw, $_)->{status} eq 'running' } @busy }) ? @busy : ();
    my ($pending) = grep { task($gw, $_)->{status} eq 'pending' } reverse @busy;
    my %type;
    for my $cancelled (grep { defined } $running, $pending) {
        AIGW::Client::once(DELETE => "/api/v1/tasks/$cancelled", port => $gw->{port});
        $hook = next_hook($up);
        is_deeply [body($hook)->{type}, body($hook)->{data}{task_id}], ['task.cancelled', $cancelled], 'one that is cancelled: ' . ($cancelled eq $running ? 'running' : 'pending');
    }
    AIGW::Client::once(DELETE => "/api/v1/tasks/$_", port => $gw->{port}, headers => { Prefer => 'wait=0' }) for @busy; # else the receiver waits for longer than a callback may take
    next_hook($up) for 3 .. @busy;

    $id = make($gw, $url);
    next_hook($up, status => 302, headers => ["Location: http://127.0.0.1:$other_port/"]);
    like said($gw, "AIGW0614: callback of task $id"), qr/status is 302, and redirects are not followed/, 'a redirect';
    is next_hook($up)->{header}{'webhook-id'}, "msg_$id", '… is a failure like others';
    ok arrived($gw, $id), '… it has arrived';
    ok !$other->waiting, '… and nobody went there';

    $id = make($gw, $url);
    next_hook($up, status => 503, headers => ['Retry-After: 3']);
    my $then = time;
    next_hook($up);
    cmp_ok time - $then, '>=', 2.9, 'Retry-After is heeded';
    ok arrived($gw, $id), '… it has arrived';

    $id = make($gw, $url);
    next_hook($up, status => 410);
    like said($gw, "AIGW0615: callback of task $id"), qr/given up .*: the receiver's status is 410/, '410: never again';

    $id = make($gw, $url, ttl => 1);
    next_hook($up, status => 500, headers => ['Connection: close']);
    my $last;
    $gw->wait_for('the end of the task', 60, sub { $last = body(next_hook($up, status => 500)); $last->{type} eq 'task.expired' });
    is_deeply $last->{data}, { task_id => $id }, 'its TTL is over: that is told';
    next_hook($up);
    ok arrived($gw, $id), '… it has arrived';

    # an answer that does not end is not waited for, and is an answer
    $id = make($gw, $url);
    my $conn = $up->accept;
    $conn->request;
    $conn->say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" . 'x' x 200_000);
    ok arrived($gw, $id), 'a large answer: its status counts';
    $conn->close;

    # a child that is to end: what is on its way ends first. With prefork a child does not know how its httpd is stopped, and does not wait: it comes again
    $id = make($gw, $url);
    $conn = $up->accept;
    is $conn->request->{header}{'webhook-id'}, "msg_$id", 'one is on its way';
    my @children = $gw->children;
    $gw->signal('USR1');
    $gw->wait_for('the restart', 60, sub { my $n = () = $gw->log =~ /resuming normal operations/g; $n >= 2 });
    $prefork ? is_deeply [$conn->wait_eof, next_hook($up)->{header}{'webhook-id'}], ['closed', "msg_$id"], '… its child is gone: it comes again'
             : ok $conn->answer(status => 200, body => '{}', headers => ['Connection: close']) || 1, '… it is answered';
    $gw->wait_gone(60, @children);
    ok arrived($gw, $id), '… while httpd is gracefully restarted: it has arrived';
    make($gw, $url);
    isnt next_hook($up)->{header}{'webhook-id'}, "msg_$id", '… and is not sent again';
    ok !$up->waiting, '… nor anything else';
    $gw->stop;
}

# a child that waits for what is on its way is told to stop now: it waits no longer, and nobody has to kill it
if (!$prefork) {
    my $up = AIGW::Listener->new(port => my $port = free_port());
    my $gw = gateway("http://127.0.0.1:$port", "AIGWCallbackNetwork 127.0.0.1\nAIGWCallbackTimeout 60s");
    my $id = make($gw, "http://127.0.0.1:$port/$token");
    my $conn = $up->accept;
    is $conn->request->{header}{'webhook-id'}, "msg_$id", 'one is on its way when httpd is gracefully restarted';
    $gw->signal('USR1');
    $gw->wait_for('the restart', 60, sub { my $n = () = $gw->log =~ /resuming normal operations/g; $n >= 2 });
    $gw->stop;
    is_deeply [$gw->crashes], [], '… and stopped: nobody waits for its receiver, or is killed';
}

# ------------------------------------------------------------------ receivers that stall; children that die

{
    my ($up, $good) = map { AIGW::Listener->new(port => $_) } my ($port, $good_port) = (free_port(), free_port());
    my $gw = gateway("http://127.0.0.1:$port http://127.0.0.1:$good_port", "${one_child}AIGWCallbackNetwork 127.0.0.1\nAIGWCallbackTimeout 5s\nAIGWCallbackRetry first=200ms max=1s for=1h");
    my @stalled = map { make($gw, "http://127.0.0.1:$port/x") } 1 .. 12;
    my %waiting = map { ($_ => 1) } @stalled;
    my @conns = $up->accept;
    while (@conns < 5 && $up->waiting(@conns < 4 ? 20 : 0.5)) { push @conns, $up->accept }
    is @conns, 4, 'a receiver that stalls is called four times at once by a child, and no more';
    my $first = shift @conns;
    my $id = make($gw, "http://127.0.0.1:$good_port/x");
    is next_hook($good)->{header}{'webhook-id'}, "msg_$id", '… another has its callback meanwhile';
    $first->request;
    my $began = time;
    $first->wait_eof;
    cmp_ok time - $began, '<', 20, '… which is not waited for for ever';
    like said($gw, 'AIGW0614: .*imeout'), qr{http://127.0.0.1:$port}, '… and tried again';
    # whoever still waits there has given up, or will be answered now
    $gw->wait_for('all of them', 120, sub {
        my $conn = $up->waiting(1) ? $up->accept : undef;
        my $hook = $conn && $conn->request;
        eval { $conn->answer(status => 200, body => '', headers => ['Connection: close']) } if $hook;
        $conn->close if $conn;
        delete @waiting{ grep { $gw->log =~ /AIGW0616: callback of task $_/ } keys %waiting };
        return !%waiting;
    });
    pass '… until all have arrived';
    $gw->stop;

    $gw = gateway("http://127.0.0.1:$good_port", "AIGWCallbackNetwork 127.0.0.1\nAIGWCallbackTimeout 1s");
    $id = make($gw, "http://127.0.0.1:$good_port/y");
    my $conn = $good->accept;
    is $conn->request->{header}{'webhook-id'}, "msg_$id", 'one is on its way';
    kill KILL => map { (split m{/})[0] } $gw->children;
    $conn->close;
    is next_hook($good)->{header}{'webhook-id'}, "msg_$id", '… and its child is killed: another sends it';
    $gw->stop;
}

# ------------------------------------------------------------------ the store is away

if (AIGW::Postgres->available) {
    my $pg = AIGW::Postgres->new;
    my $up = AIGW::Listener->new(port => my $port = free_port());
    # a lease that no outage here is longer than: 2 x the time-out, and some seconds
    my $gw = gateway("http://127.0.0.1:$port", "${one_child}AIGWStoreTimeout 1s\nAIGWCallbackNetwork 127.0.0.1\nAIGWCallbackTimeout 60s\nAIGWCallbackRetry first=200ms max=1s for=1h\n<AIGWModel raw>\nAIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1\n</AIGWModel>",
        store => 'AIGWStore "pgsql:' . $pg->conninfo . '"');
    my $url = "http://127.0.0.1:$port/x";
    for (['stopped', sub { $pg->pause }, sub { $pg->resume }], ['killed', sub { $pg->kill_hard }, sub { $pg->start }]) {
        my ($how, $leave, $return) = @$_;
        my $tag = tag();
        my $r = post_json('/api/v1/tasks', { endpoint => '/v1/chat/completions', callback_url => $url, body => { model => 'raw', messages => [{ role => 'user', content => 'hello' }], scenario => 'gate', tag => $tag } }, port => $gw->{port});
        raw_wait('request', tag => $tag, timeout => 30);
        my $id = make($gw, $url);
        my $conn = $up->accept;
        is $conn->request->{header}{'webhook-id'}, "msg_$id", 'one is on its way';
        $leave->();
        raw_go($tag);
        $conn->answer(status => 200, body => '', headers => ['Connection: close']);
        $conn->close;
        ok arrived($gw, $id), "… and arrives while the store is $how";
        raw_wait('answered', tag => $tag, timeout => 30);
        my ($child) = $gw->children;
        my ($began, $used) = (time, $gw->cpu($child));
        $gw->wait_for('a stretch of time', 30, sub { time - $began > 2 });
        cmp_ok $gw->cpu($child) - $used, '<', (time - $began) / 2, '… nobody asks it without a pause';
        $return->();
        is next_hook($up)->{header}{'webhook-id'}, 'msg_' . $r->json->{task_id}, '… what ended meanwhile is told when it is back';
        ok $gw->wait_for('the end of all callbacks', 60, sub { ($pg->sql('SELECT COUNT(*) FROM aigw_callback') // '') eq '0' }), '… and it learns what has arrived';
        ok !$up->waiting, '… which is not sent again';
    }
    $gw->stop;
}

# ------------------------------------------------------------------ given up

{
    my $up = AIGW::Listener->new(port => my $port = free_port());
    my $gw = gateway("http://127.0.0.1:$port", "AIGWCallbackNetwork 127.0.0.0/8\nAIGWCallbackTimeout 10s\nAIGWCallbackRetry first=100ms max=300ms for=1s");
    my $id = make($gw, "http://127.0.0.1:$port/x");
    my $n = 0;
    $gw->wait_for('the end', 60, sub { $n++ if $up->waiting(0.1) && next_hook($up, status => 500); $gw->log =~ /AIGW0615/ });
    like said($gw, "AIGW0615: callback of task $id"), qr{to http://127.0.0.1:$port: given up after \d+ s, \d+ times claimed: the receiver's status is 500}, 'given up when its time is over';
    cmp_ok $n, '>=', 2, "… after $n times";
    $gw->stop;
}

# ------------------------------------------------------------------ where nothing is sent to

{
    my $up = AIGW::Listener->new(port => my $port = free_port());
    my $gw = gateway("http://localhost:$port http://127.0.0.1:$port http://[::1]:$port http://[::ffff:127.0.0.1]:$port http://169.254.169.254 *.example.org:8443", "AIGWCallbackRetry first=100ms max=300ms for=1h");
    for (['localhost', qr/(?:127\.0\.0\.1|::1) is loopback/], ['127.0.0.1', qr/127\.0\.0\.1 is loopback/], ['[::1]', qr/::1 is loopback/], ['[::ffff:127.0.0.1]', qr/::ffff:127\.0\.0\.1 is loopback/]) {
        my ($host, $why) = @$_;
        my $id = make($gw, "http://$host:$port/x");
        like said($gw, "AIGW0614: callback of task $id"), qr/its address $why: see AIGWCallbackNetwork/, "$host is not called";
    }
    like said($gw, 'AIGW0614: callback of task ' . make($gw, 'http://169.254.169.254/latest/meta-data/')), qr/is metadata/, 'metadata is not asked for';
    ok !$up->waiting, 'nobody was called';
    my @wrong = ('https://localhost:' . $port, "http://localhost:$port\@evil.example/", "http://user:pw\@localhost:$port/", "http://localhost:$port/#x", "http://localhost.:$port/", "http://2130706433:$port/", "http://LOCALHOST:1/",
        'https://example.org:8443/', 'https://a.example.org/', 'https://a.example.org:8443.evil.example/', 'ftp://localhost/', 'file:///etc/passwd', '/x', '', "http://localhost:$port/\r\nX: y", "http://localhost:$port/" . 'x' x 3000, 7, ['http://localhost']);
    is_deeply [map { my $error = post($gw, callback_url => $_)->json->{error}; "$error->{code} $error->{param}" } @wrong], [('validation_error callback_url') x @wrong], 'what is no address, or not on the list: 400';
    is post_json('/api/v1/tasks', { endpoint => '/v1/chat', body => { message => 'x' }, callback_url => 'https://x.example' }, port => $gw->{port})->json->{error}{param}, 'callback_url', '… in the other form, too';
    is post($gw, callback_url => undef)->json->{callback_url}, undef, 'null is none';

    # what was allowed when the task was made need not be any more
    my $id = make($gw, "http://localhost:$port/x", model => 'slow', steps => 40);
    $gw->configure(slurp("$gw->{dir}/httpd.conf") =~ s/\A\Q$gw->{head}\E//r =~ s/^AIGWCallbackAllow .*/AIGWCallbackAllow other.example\nAIGWCallbackPrivate on/mr);
    $gw->signal('HUP');
    like said($gw, "AIGW0614: callback of task $id to a host"), qr/AIGWCallbackAllow does not name it any more/, 'the list is asked again when it is sent';
    ok !$up->waiting, '… nobody was called';
    $gw->stop;
}

# ------------------------------------------------------------------ TLS

if ($tls) {
    my %port = map { ($_ => free_port()) } qw(server wrongname selfsigned);
    my $gw = gateway(join(' ', map { "https://localhost:$_" } values %port), "AIGWCallbackPrivate on\nAIGWCallbackTimeout 10s\nAIGWCallbackRetry first=100ms max=300ms for=1h\nAIGWCallbackCA $v->{tls_dir}/ca.pem");
    for my $name (qw(server wrongname selfsigned)) {
        my $up = AIGW::Listener->new(port => $port{$name});
        my $id = make($gw, "https://localhost:$port{$name}/x");
        my $hook = eval { next_hook($up, accept => { tls => { SSL_cert_file => "$v->{tls_dir}/$name.pem", SSL_key_file => "$v->{tls_dir}/$name.key" } }) };
        if ($name eq 'server') { is signers($hook), '0', 'https' }
        else                   { like said($gw, "AIGW0614: callback of task $id"), qr/certificate|SSL/, "$name: not sent" }
    }
    $gw->stop;
}

# ------------------------------------------------------------------ the configuration

{
    my %env = (env => { HOOK_SECRET => $secret[0], HOOK_PLAIN => 'not-a-secret-of-webhooks' });
    my $good = "AIGWCallbackSecret env:HOOK_SECRET\nAIGWCallbackAllow https://hooks.example.com *.example.org:8443\n";
    is +(conf_check("${good}AIGWCallbackPrivate off\nAIGWCallbackNetwork 10.0.0.0/8 fd00::/8\nAIGWCallbackTimeout 5s\nAIGWCallbackRetry first=1s max=1h for=24h\nAIGWCallbackCA $v->{tls_dir}/ca.pem\n", %env))[0], 0, 'a configuration';
    for (["AIGWCallbackAllow https://hooks.example.com\n", qr/AIGW0610: AIGWCallbackAllow needs AIGWCallbackSecret/], ["AIGWCallbackAllow https://hooks.example.com/path\n", qr/AIGWCallbackAllow: .* no path/],
        ["AIGWCallbackAllow a.example\nAIGWCallbackSecret env:HOOK_NONE\n", qr/AIGW0611: AIGWCallbackSecret: no secret from env:HOOK_NONE: this variable is not set/],
        ["AIGWCallbackAllow a.example\nAIGWCallbackSecret env:HOOK_PLAIN\n", qr/AIGW0611: .* does not begin with whsec_/], ["AIGWCallbackAllow a.example\nAIGWCallbackSecret for=a.example env:HOOK_SECRET\n", qr/AIGW0610: /], ["AIGWCallbackSecret for=ftp://a.example env:HOOK_SECRET\n", qr/AIGWCallbackSecret: for: .*by https or http/],
        ["${good}AIGWCallbackSecret for=a.example env:HOOK_NONE\n", qr/AIGW0611: .*env:HOOK_NONE/], ["AIGWCallbackSecret for=a.example\n", qr/takes the secret's source/], ["AIGWCallbackSecret " . 'env:A ' x 5 . "\n", qr/four at most/],
        ["AIGWCallbackSecret $secret[0]\n", qr/AIGWCallbackSecret: a secret does not stand in the configuration/],
        ["AIGWCallbackNetwork 10\n", qr/AIGWCallbackNetwork: "10" is no network/], ["AIGWCallbackTimeout 2min\n", qr/AIGWCallbackTimeout: "2min" is no time/], ["AIGWCallbackRetry first=2h max=1h\n", qr/first is longer than max/],
        ["AIGWCallbackRetry often\n", qr/AIGWCallbackRetry: "often" is none of/], ["${good}AIGWCallbackCA /nowhere.pem\n", qr/AIGW0612: AIGWCallbackCA: \/nowhere.pem cannot be read/], ["AIGWCallbackAllow ftp://a.example\n", qr/by https or http/]) {
        my ($status, $said) = conf_check($_->[0], %env);
        like $status ? $said : 'it is taken', $_->[1], 'a mistake: ' . ($_->[0] =~ /(\S+ .*)\n\z/)[0] =~ s/whsec\S+/…/r;
        unlike $said, qr/not-a-secret-of-webhooks|\Q@{[substr $secret[0], 6, 20]}\E/, '… the secret is not repeated' if $_->[0] =~ /PLAIN|whsec/;
    }
}

# ------------------------------------------------------------------ how a receiver verifies, as docs/callbacks.md says it

{
    my $page = slurp("$ENV{AIGW_SRC}/../docs/callbacks.md");
    my $dir = File::Temp->newdir('callbacks-t-XXXXXX', DIR => $v->{t_logs});
    my %tail = (python => "import json, sys\nfor case in json.load(open(sys.argv[1])):\n    print(int(verify(case[0], case[1], case[2].encode())))\n",
        js => "for (const c of JSON.parse(require('fs').readFileSync(process.argv[2]))) console.log(Number(verify(c[0], c[1], Buffer.from(c[2]))));\n");
    my ($header, $body) = @{ $kept }{qw(header body)};
    my $old = $header->{'webhook-timestamp'} - 1000;
    my %old = (%$header, 'webhook-timestamp' => $old, 'webhook-signature' => 'v1,' . encode_base64(hmac_sha256("$header->{'webhook-id'}.$old.$body", 'k' x 32), ''));
    my %two = (%$header, 'webhook-signature' => "v1,AAAA $header->{'webhook-signature'}");
    spew("$dir/cases.json", $json->encode([[$secret[0], $header, $body], [$secret[0], \%two, $body], [$secret[0], $header, "$body "], [$secret[1], $header, $body], [$secret[0], \%old, $body]]));
    for (['python', 'python3'], ['js', 'node']) {
        my ($language, $program) = @$_;
        my ($code) = $page =~ /^```$language\n(.*?)^```/ms or die "docs/callbacks.md: no $language";
        spew("$dir/verify.$language", $code . $tail{$language});
      SKIP: {
            `$program --version 2>&1`;
            skip "no $program", 1 if $?;
            is `$program $dir/verify.$language $dir/cases.json 2>&1`, "1\n1\n0\n0\n0\n", "docs/callbacks.md: in $program";
        }
    }
}

my $logs = join '', map { $_->log, slurp("$_->{dir}/start") // '' } @gateways;
is_deeply [map { index $logs, $_ } $token, map { substr $_, 6, 20 } @secret], [-1, -1, -1], 'no secret is in any log, nor what stands in a path';
is_deeply [grep { !/signal (?:Killed|SIGKILL)/ } map { $_->crashes } @gateways], [], 'nothing crashed but who was killed';
