package AIGW::RawUp;
# The server of t/tools/rawup.pl: one process, a poll loop, every connection an object of data here. It does what AIGW::Scenarios says and
# keeps a record of all that happened to it, which it serves on the same port:
#   GET  /_log?tag=T                              { connections, requests, events }: all, or those of a tag
#   GET  /_wait?event=E&n=N&timeout=S&tag=T       200 when the Nth such event has happened, 504 when it has not in time
#             E: accepted, request (read in full), blocked (the peer does not take more), answered, closed, or written with &bytes=B
#   POST /_reset                                  forgets what is recorded
#   POST /_go?tag=T                               opens the gates of requests that wait at one: { count }
#   POST /_close?how=fin|rst                      closes connections on which nothing is going on: { count }
# A request's tag is its X-Request-ID, or the member "tag" of its body.
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Poll qw(POLLERR POLLHUP POLLIN POLLOUT);
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use JSON::PP ();
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER SOCK_STREAM TCP_NODELAY inet_aton pack_sockaddr_in);
use Time::HiRes ();
use AIGW::Scenarios ();

use constant {
    HIGH_WATER => 256 * 1024,       # more is not made before this is sent
    BODY_KEPT  => 64 * 1024,
    BODY_READ  => 1024 * 1024,      # larger ones are searched, not parsed
    SIOCOUTQ   => 0x5411,           # Linux: bytes that the peer's kernel has not got yet
};

my $json = JSON::PP->new->canonical->utf8;

sub new {
    my ($class, %o) = @_;
    my $self = bless { poll => IO::Poll->new, conns => {}, serial => 0, (map { $_ => [] } qw(waiters events requests closed)), %o }, $class;
    my @local = (LocalAddr => '127.0.0.1', Proto => 'tcp');
    $self->{listener} = IO::Socket::INET->new(@local, LocalPort => $o{port}, Listen => 1024, ReuseAddr => 1, Blocking => 0)
        or die "rawup: no port: $@\n";
    # bound but not listening: nobody else gets it, and a connection is refused
    $self->{dead} = IO::Socket::INET->new(@local, LocalPort => 0, Type => SOCK_STREAM) or die "rawup: no dead port: $@\n";
    my @listeners = ($self->{listener});
    if (defined $o{tls} && eval { require IO::Socket::SSL }) {
        $self->{tls_listener} = IO::Socket::INET->new(@local, LocalPort => 0, Listen => 1024, Blocking => 0) or die "rawup: no TLS port: $@\n";
        $self->{tls_context} = IO::Socket::SSL::SSL_Context->new(SSL_server => 1, SSL_cert_file => "$o{tls}/server.pem", SSL_key_file => "$o{tls}/server.key")
            or die "rawup: TLS: $IO::Socket::SSL::SSL_ERROR\n";
        push @listeners, $self->{tls_listener};
    }
    if (defined $o{unix}) {
        unlink $o{unix};
        $self->{unix_listener} = IO::Socket::UNIX->new(Local => $o{unix}, Listen => 1024, Blocking => 0) or die "rawup: $o{unix}: $!\n";
        chmod 0777, $o{unix};
        push @listeners, $self->{unix_listener};
    }
    $self->{poll}->mask($_ => POLLIN) for @listeners;
    $self->{poll}->mask(\*STDIN => POLLIN) if $o{lifeline};
    return $self;
}

sub port      { return $_[0]{listener}->sockport }
sub tls_port  { my ($self) = @_; return $self->{tls_listener} ? $self->{tls_listener}->sockport : 0 }
sub dead_port { return $_[0]{dead}->sockport }
sub cleanup   { my ($self) = @_; unlink $self->{unix} if defined $self->{unix}; return }

sub run {
    my ($self) = @_;
    while (1) {
        my $now = Time::HiRes::time();
        my ($next) = sort { $a <=> $b } map { $_->{wake} // () } values %{ $self->{conns} }, @{ $self->{waiters} };
        my $timeout = defined $next ? $next - $now : 60;
        $self->{poll}->poll($timeout > 0 ? $timeout : 0);
        $self->accept_all($_) for grep { $_ && $self->{poll}->events($_) } @$self{qw(listener tls_listener unix_listener)};
        if ($self->{lifeline} && $self->{poll}->events(\*STDIN)) {
            return $self->cleanup unless sysread STDIN, my $ignored, 4096;
        }
        # held in a list of our own: serving one may close others
        my @all = values %{ $self->{conns} };
        for my $c (@all) { $self->serve($c) unless $c->{gone} }
        $self->serve_waiters;
    }
}

sub accept_all {
    my ($self, $listener) = @_;
    while (my $fh = $listener->accept) {
        $fh->blocking(0);
        my $unix = $listener == ($self->{unix_listener} // 0);
        my $tls  = $listener == ($self->{tls_listener} // 0);
        setsockopt $fh, IPPROTO_TCP, TCP_NODELAY, 1 unless $unix;
        IO::Socket::SSL->start_SSL($fh, SSL_server => 1, SSL_startHandshake => 0, SSL_reuse_ctx => $self->{tls_context}) if $tls;
        my $id = ++$self->{serial};
        $self->{conns}{$id} = { id => $id, fh => $fh, in => '', out => '', read => 0, written => 0, count => 0,
            opened => Time::HiRes::time(), unix => $unix ? JSON::PP::true : JSON::PP::false, tls => $tls, handshake => $tls };
        $self->{poll}->mask($fh => POLLIN);
    }
    return;
}

# What poll and the clock have for a connection.
sub serve {
    my ($self, $c) = @_;
    my $ready = $self->{poll}->events($c->{fh});
    return $self->shake_hands($c) if $c->{handshake} && $ready;
    if ($ready & (POLLIN | POLLHUP | POLLERR)) { $self->take($c) }
    return if $c->{gone};
    if ($ready & POLLOUT) { $self->flush($c) }
    return if $c->{gone};
    if (defined $c->{wake} && $c->{wake} <= Time::HiRes::time()) { delete $c->{wake}; $self->go_on($c) }
    elsif ($ready & POLLOUT) { $self->go_on($c) }
    return;
}

sub shake_hands {
    my ($self, $c) = @_;
    if ($c->{fh}->accept_SSL) {
        delete $c->{handshake};
        $self->{poll}->mask($c->{fh} => POLLIN);
        return $c->{fh}->pending ? $self->take($c) : undef;
    }
    my $error = $IO::Socket::SSL::SSL_ERROR;
    return $self->closed($c, 'peer', 'fin') unless $error == IO::Socket::SSL::SSL_WANT_READ() || $error == IO::Socket::SSL::SSL_WANT_WRITE();
    return $self->{poll}->mask($c->{fh} => $error == IO::Socket::SSL::SSL_WANT_READ() ? POLLIN : POLLOUT);
}

# ------------------------------------------------------------------ in

sub take {
    my ($self, $c) = @_;
    my $got = $c->{fh}->sysread($c->{in}, 262_144, length $c->{in});
    # what TLS has decrypted is not seen by poll
    while ($got && $c->{tls} && $c->{fh}->pending) { $c->{fh}->sysread($c->{in}, 262_144, length $c->{in}) or last }
    if (!defined $got) {
        return if $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
        return $self->closed($c, 'peer', 'rst');
    }
    return $self->closed($c, 'peer', 'fin') if !$got;
    $c->{read} += $got;
    if ($c->{count} && $c->{reset_on_reuse} && !$c->{actions}) {
        $c->{reset_on_reuse_hit} = 1;
        return $self->shut($c, 'rst');
    }
    return $self->parse($c);
}

sub parse {
    my ($self, $c) = @_;
    while (!$c->{gone} && !$c->{actions} && !$c->{closing}) {
        $c->{request} ||= $self->parse_head($c) or return;
        $self->parse_body($c, $c->{request}) or return;
        my $request = delete $c->{request};
        if ($request->{path} =~ m{^/_}) { $self->control($c, $request) }
        else                            { $self->answer($c, $request) }
    }
    return;
}

sub parse_head {
    my ($self, $c) = @_;
    $c->{in} =~ s/\A(?:\r?\n)+//;
    $c->{in} =~ s/\A(.*?)\r?\n\r?\n//s or return;
    my ($line, @fields) = split /\r?\n/, $1;
    my ($method, $path) = split / /, $line;
    my $n = ++$c->{count};
    my %r = (conn => $c->{id}, n => $n, t => Time::HiRes::time(), reused => $n > 1 ? JSON::PP::true : JSON::PP::false, method => $method,
        path => $path // '', headers => [], header => {}, body_data => '');
    for (@fields) {
        my ($name, $value) = /\A([^:]*):\s*(.*?)\s*\z/ or next;
        push @{ $r{headers} }, [$name, $value];
        $r{header}{ lc $name } = exists $r{header}{ lc $name } ? "$r{header}{ lc $name }, $value" : $value;
    }
    if (lc($r{header}{expect} // '') eq '100-continue') { $c->{out} .= "HTTP/1.1 100 Continue\r\n\r\n"; $self->flush($c) }
    return \%r;
}

# 1: the body is complete
sub parse_body {
    my ($self, $c, $r) = @_;
    if (lc($r->{header}{'transfer-encoding'} // '') eq 'chunked') {
        while (!$r->{last_chunk}) {
            $c->{in} =~ /\A([0-9A-Fa-f]+)[^\r\n]*\r\n/ or return 0;
            my ($line, $size) = ($+[0], hex $1);
            if ($size) {
                return 0 if length $c->{in} < $line + $size + 2;
                $r->{body_data} .= substr $c->{in}, $line, $size;
                substr $c->{in}, 0, $line + $size + 2, '';
                next;
            }
            $c->{in} =~ s/\A[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n// or return 0;
            $r->{last_chunk} = 1;
        }
        delete $r->{last_chunk};
        return 1;
    }
    my $length = $r->{header}{'content-length'} // 0;
    return 0 if length $c->{in} < $length;
    $r->{body_data} = substr $c->{in}, 0, $length, '';
    return 1;
}

# ------------------------------------------------------------------ answers

# What the body asks for. A large one is not parsed: a quoted name inside a string has a backslash before its last quote, so it is not
# found.
sub question {
    my ($r) = @_;
    my $body = $r->{body_data};
    if (length $body <= BODY_READ) {
        my $o = eval { $json->decode($body) };
        return {} if ref $o ne 'HASH';
        my $options = ref $o->{stream_options} eq 'HASH' ? $o->{stream_options} : {};
        return { (map { $_ => $o->{$_} } grep { defined $o->{$_} && !ref $o->{$_} } qw(scenario model tag)), stream => $o->{stream} ? 1 : 0,
            include_usage => $options->{include_usage} ? 1 : 0 };
    }
    my %q = map { $_ => $body =~ /"$_"\s*:\s*"([^"\\]*)"/ ? $1 : undef } qw(scenario model tag);
    $q{stream} = $body =~ /"stream"\s*:\s*true/ ? 1 : 0;
    $q{include_usage} = $body =~ /"include_usage"\s*:\s*true/ ? 1 : 0;
    return \%q;
}

sub answer {
    my ($self, $c, $r) = @_;
    my $q = question($r);
    $q->{model} //= 'raw';
    $q->{scenario} //= $q->{model} =~ /^s:(.+)/ ? $1 : 'ok';
    $q->{close} = lc($r->{header}{connection} // '') eq 'close';
    push @{ $self->{requests} }, $r;
    $q->{n} = $r->{serial} = ++$self->{request_serial};
    $r->{id}  = $r->{header}{'x-request-id'};
    $r->{tag} = $q->{tag};
    $r->{scenario} = $q->{scenario};
    my $body = delete $r->{body_data};
    $r->{body_length} = length $body;
    $r->{body_sha1} = sha1_hex($body);
    if (length $body < BODY_KEPT) {
        if (utf8::decode(my $text = $body)) { $r->{body} = $text }
        else                                { $r->{body_hex} = unpack 'H*', $body }
    }
    $c->{last} = $r;
    $self->event('accepted', $c, $c->{opened}) if $r->{n} == 1;
    $self->event('request', $c);
    $c->{close} = $q->{close};
    $c->{actions} = [$r->{method} eq 'POST' ? AIGW::Scenarios::actions($q) : AIGW::Scenarios::answer_json($q, 200, '{"status":"ok"}')];
    return $self->go_on($c);
}

# Does what is next on a connection's list, as far as it goes.
sub go_on {
    my ($self, $c) = @_;
    return $self->shut($c, $c->{closing}) if $c->{closing};
    my $todo = $c->{actions} or return;
    while (@$todo && !defined $c->{wake} && length $c->{out} < HIGH_WATER) {
        my $action = shift @$todo;
        if    (ref $action eq 'CODE') { unshift @$todo, $action->() }
        elsif (!ref $action)          { $c->{out} .= $action; $self->flush($c); return if $c->{gone} }
        elsif ($action->{wait})       { $c->{wake} = Time::HiRes::time() + $action->{wait} }
        elsif ($action->{close})      { return $self->shut($c, $action->{close}) }
        elsif ($action->{later})      { $c->{later} = $action->{later} }
        elsif ($action->{stall} || $action->{gate} && !$action->{open}) { unshift @$todo, $action; return }
    }
    return if @$todo || defined $c->{wake} || length $c->{out};
    delete $c->{actions};
    $self->event('answered', $c) unless $c->{control};
    my $later = delete $c->{later} // '';
    return $self->shut($c, 'fin') if $c->{close} || $later eq 'fin';
    $c->{reset_on_reuse} = 1 if $later eq 'rst';
    return $self->parse($c);
}

sub flush {
    my ($self, $c) = @_;
    while (length $c->{out}) {
        my $sent = $c->{fh}->syswrite($c->{out}, 65_536);
        if (!defined $sent) {
            if ($! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR) {
                $self->event('blocked', $c) unless $c->{control} || $c->{blocked};
                $c->{blocked} = 1;
                $self->{poll}->mask($c->{fh} => POLLIN | POLLOUT);
                return;
            }
            return $self->closed($c, 'peer', 'rst');
        }
        substr $c->{out}, 0, $sent, '';
        $c->{written} += $sent;
    }
    delete $c->{blocked};
    $self->{poll}->mask($c->{fh} => POLLIN);
    return;
}

# ------------------------------------------------------------------ the end of a connection

# Closes it, once the peer has what was sent. A reset would destroy what is still on its way.
sub shut {
    my ($self, $c, $how) = @_;
    $c->{closing} = $how;
    return if length $c->{out};
    my $queued = pack 'i', 0;
    if ($how eq 'rst' && !$c->{unix} && ioctl($c->{fh}, SIOCOUTQ, $queued) && unpack('i', $queued) > 0) {
        $c->{wake} = Time::HiRes::time() + 0.002;
        return;
    }
    setsockopt $c->{fh}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $how eq 'rst';
    return $self->closed($c, 'us', $how);
}

sub closed {
    my ($self, $c, $by, $how) = @_;
    $c->{gone} = 1;
    $self->{poll}->remove($c->{fh});
    # a failed handshake has made it a plain socket again
    $c->{fh}->close($c->{tls} && $c->{fh}->isa('IO::Socket::SSL') ? (SSL_no_shutdown => $how eq 'rst') : ());
    delete $self->{conns}{ $c->{id} };
    return if $c->{control};
    $self->event('accepted', $c, $c->{opened}) unless $c->{last};
    @$c{qw(closed by how)} = (Time::HiRes::time(), $by, $how);
    push @{ $self->{closed} }, $c;
    $self->event('closed', $c, $c->{closed}, by => $by, how => $how);
    return;
}

# ------------------------------------------------------------------ the record

sub event {
    my ($self, $event, $c, $t, %more) = @_;
    my $r = $c->{last};
    push @{ $self->{events} }, { event => $event, t => $t // Time::HiRes::time(), conn => $c->{id}, request => $r && $r->{serial},
        ids => ids($r), written => $c->{written}, %more };
    return;
}

sub ids { my ($r) = @_; return $r ? [grep { defined } $r->{id}, $r->{tag}] : [] }

sub is_of { my ($tag, $ids) = @_; return !defined $tag || grep { $_ eq $tag } @$ids }

sub connection_record {
    my ($c) = @_;
    return { (map { $_ => $c->{$_} } qw(id opened closed by how written read unix tls)), requests => $c->{count}, ids => ids($c->{last}),
        reset_on_reuse => $c->{reset_on_reuse_hit} };
}

sub record {
    my ($self, $tag) = @_;
    my @open = grep { !$_->{control} && $_->{last} } values %{ $self->{conns} };
    my @conns = sort { $a->{id} <=> $b->{id} } grep { is_of($tag, ids($_->{last})) } @open, @{ $self->{closed} };
    return {
        connections => [map { connection_record($_) } @conns],
        requests => [grep { is_of($tag, ids($_)) } @{ $self->{requests} }],
        events => [grep { is_of($tag, $_->{ids}) } @{ $self->{events} }],
    };
}

# ------------------------------------------------------------------ control addresses

sub control {
    my ($self, $c, $r) = @_;
    my ($path, $query) = split /\?/, $r->{path}, 2;
    my %arg = map { my ($k, $v) = split /=/, $_, 2; $k => ($v // '') =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /&/, $query // '';
    my $is = "$r->{method} $path";
    $c->{control} = 1;
    if ($is eq 'GET /_wait') {
        $c->{actions} = [{ stall => 1 }];
        push @{ $self->{waiters} }, { n => 1, %arg, conn => $c, wake => Time::HiRes::time() + ($arg{timeout} || 5) };
        return $self->serve_waiters;
    }
    return $self->reply($c, 200, $self->record($arg{tag})) if $is eq 'GET /_log';
    return $self->reply($c, 200, { count => $self->open_gates($arg{tag}) }) if $is eq 'POST /_go';
    return $self->reply($c, 200, { count => $self->close_idle($arg{how} || 'fin') }) if $is eq 'POST /_close';
    return $self->reply($c, 404, { error => "no $is" }) if $is ne 'POST /_reset';
    @$self{qw(events requests closed)} = ([], [], []);
    return $self->reply($c, 200, { ok => JSON::PP::true });
}

sub reply {
    my ($self, $c, $status, $data) = @_;
    $c->{actions} = [AIGW::Scenarios::answer_json({}, $status, $json->encode($data))];
    return $self->go_on($c);
}

sub open_gates {
    my ($self, $tag) = @_;
    my $at_gate = sub { my $todo = $_[0]{actions}; return $todo && @$todo && ref $todo->[0] eq 'HASH' && $todo->[0]{gate} };
    my @at_gate = grep { $at_gate->($_) && is_of($tag, ids($_->{last})) } values %{ $self->{conns} };
    for my $c (@at_gate) {
        $c->{actions}[0] = { gate => 1, open => 1 };
        $self->go_on($c);
    }
    return scalar @at_gate;
}

sub close_idle {
    my ($self, $how) = @_;
    my @idle = grep { !$_->{control} && !$_->{actions} && !$_->{request} } values %{ $self->{conns} };
    $self->shut($_, $how) for @idle;
    return scalar @idle;
}

# The event that a waiter waits for, if it has happened.
sub happened {
    my ($self, $w) = @_;
    if ($w->{event} eq 'written') {
        my @all = (values %{ $self->{conns} }, @{ $self->{closed} });
        my @conns = grep { !$_->{control} && $_->{last} && is_of($w->{tag}, ids($_->{last})) } @all;
        my ($c) = grep { $_->{written} >= ($w->{bytes} // 1) } @conns;
        return $c && connection_record($c);
    }
    my @such = grep { $_->{event} eq $w->{event} && is_of($w->{tag}, $_->{ids}) } @{ $self->{events} };
    return $such[$w->{n} - 1];
}

sub serve_waiters {
    my ($self) = @_;
    my @waiters = splice @{ $self->{waiters} };
    for my $w (@waiters) {
        next if $w->{conn}{gone};
        my $event = $self->happened($w);
        if    ($event)                           { $self->reply($w->{conn}, 200, $event) }
        elsif ($w->{wake} > Time::HiRes::time()) { push @{ $self->{waiters} }, $w }
        else                                     { $self->reply($w->{conn}, 504, { error => "no $w->{event} number $w->{n} within time" }) }
    }
    return;
}

1;
