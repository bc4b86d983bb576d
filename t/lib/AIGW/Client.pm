package AIGW::Client;
# An HTTP/1.1 client on a raw socket that shows what happens on the wire and when. Nothing waits beyond its deadline (20 s unless said
# otherwise): then it dies and says what it was waiting for.
#
#   my $c = AIGW::Client->new(port => $port);                    # host, tls => 1 | { options of IO::Socket::SSL }, rcvbuf, timeout
#   $c->request(POST => '/v1/chat/completions', json => {…});    # headers => { … } | [name => value, …], body => bytes, chunked => 1
#   my $r = $c->head;                                            # an AIGW::Client::Response whose body has not been read
#   while (my $e = $c->event) { … }                              # { time, data, event, id, comments }; undef: the body is over
#   while (my $p = $c->piece) { … }                              # [time, bytes], as they came
#   $c->rest                                                     # the rest of the body
#   my $r = $c->response;                                        # head and body
# Then $r->{status}, $r->header('x'), $r->content, $r->json, $r->data (the data of all events), and how the body ended: $r->complete, or
# $r->{broken} says why not ("closed", "reset", "bad chunk size …"). The connection is good for the next request if the body was complete.
#
# As functions: get, post_json, chat (each on a connection of its own), sse (bytes to events) and have_tls; many is in AIGW::Client::Many.
use strict;
use warnings FATAL => 'all';
use Carp qw(croak);
use Errno qw(EAGAIN ECONNRESET EINTR EPIPE EWOULDBLOCK);
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER SO_RCVBUF TCP_NODELAY);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);
use base 'Exporter';
our @EXPORT_OK = qw(chat get have_tls now post_json sse);

use constant TIMEOUT => $ENV{AIGW_WRAP} ? 200 : 20;    # AIGW::Server: behind valgrind
my $json = JSON::PP->new->canonical->utf8->allow_nonref;

sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub have_tls { return eval { require IO::Socket::SSL; 1 } ? 1 : 0 }

# ------------------------------------------------------------------ the connection

sub new {
    my ($class, %o) = @_;
    my $self = bless { host => '127.0.0.1', timeout => TIMEOUT, in => '', eof => '', %o }, $class;
    croak 'AIGW::Client: no port' unless $self->{port};
    $self->{fh} = IO::Socket::INET->new(Proto => 'tcp') or die "AIGW::Client: socket: $!\n";
    # before connect: the window is agreed on there
    setsockopt $self->{fh}, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};
    my $address = Socket::pack_sockaddr_in($self->{port}, Socket::inet_aton($self->{host}));
    connect $self->{fh}, $address or die "AIGW::Client: connect to $self->{host}:$self->{port}: $!\n";
    setsockopt $self->{fh}, IPPROTO_TCP, TCP_NODELAY, 1;
    $self->{fh}->blocking(0);
    $self->start_tls(ref $o{tls} ? %{ $o{tls} } : ()) if $o{tls};
    return $self;
}

sub start_tls {
    my ($self, %o) = @_;
    have_tls() or croak 'AIGW::Client: no IO::Socket::SSL (Debian: libio-socket-ssl-perl)';
    $self->{fh}->blocking(1);
    IO::Socket::SSL->start_SSL($self->{fh}, SSL_hostname => 'localhost', SSL_verifycn_name => 'localhost', SSL_verifycn_scheme => 'http',
        ($ENV{AIGW_TEST_CA} ? (SSL_ca_file => $ENV{AIGW_TEST_CA}) : ()), Timeout => $self->{timeout}, %o)
        or die "AIGW::Client: TLS with $self->{host}:$self->{port}: $IO::Socket::SSL::SSL_ERROR\n";
    $self->{fh}->blocking(0);
    $self->{is_tls} = 1;
    return;
}

sub timed_out {
    my ($self, $what, $timeout) = @_;
    croak sprintf 'AIGW::Client: %s did not come within %g s (unread so far: %d bytes, "%s")', $what, $timeout, length $self->{in},
        substr $self->{in}, 0, 120;
}

# Waits until the socket can be read (or written); dies at the deadline.
sub await {
    my ($self, $write, $deadline, $what, $timeout) = @_;
    my $left = $deadline - now();
    my $select = IO::Select->new($self->{fh});
    my @ready = $left > 0 ? ($write ? $select->can_write($left) : $select->can_read($left)) : ();
    $self->timed_out($what, $timeout) if !@ready && now() >= $deadline;
    return;
}

# What the failure of a read or write means: '' try again (wantwrite says what to wait for), else "reset" or the error's text.
sub trouble {
    my ($self, $write) = @_;
    my $error = $!;
    $self->{want_write} = $write;
    return '' if $error == EINTR;
    if ($self->{is_tls}) {
        my $ssl = $IO::Socket::SSL::SSL_ERROR // 0;
        no warnings 'numeric';
        if ($ssl == IO::Socket::SSL::SSL_WANT_READ())  { $self->{want_write} = 0; return '' }
        if ($ssl == IO::Socket::SSL::SSL_WANT_WRITE()) { $self->{want_write} = 1; return '' }
        return 'closed' if !$error || "$ssl" =~ /unexpected eof/; # without TLS's goodbye
    }
    return '' if $error == EAGAIN || $error == EWOULDBLOCK;
    return 'reset' if $error == ECONNRESET || $error == EPIPE;
    return "$error";
}

sub send_raw {
    my ($self, $bytes, $timeout) = @_;
    $timeout ||= $self->{timeout};
    local $SIG{PIPE} = 'IGNORE';
    my $deadline = now() + $timeout;
    while (length $bytes) {
        Net::SSLeay::ERR_clear_error() if $self->{is_tls}; # what is left of another connection's end would be taken for this one's
        my $sent = $self->{fh}->syswrite($bytes, 16_384);
        if (defined $sent) { substr $bytes, 0, $sent, ''; next }
        my $trouble = $self->trouble(1);
        return $self->{eof} = $trouble if $trouble; # the answer, if any, says more
        $self->await($self->{want_write}, $deadline, 'room to write', $timeout);
    }
    return '';
}

# More bytes in {in}: 1, or 0 and {eof} says how it ended: "closed", "reset" or an error.
sub fill {
    my ($self, $what, $timeout) = @_;
    $timeout ||= $self->{timeout};
    my $deadline = now() + $timeout;
    while (1) {
        Net::SSLeay::ERR_clear_error() if $self->{is_tls};
        my $got = $self->{fh}->sysread($self->{in}, 65_536, length $self->{in});
        if ($got)         { $self->{time} = now(); return 1 }
        if (defined $got) { $self->{eof} = 'closed'; return 0 }
        if (my $trouble = $self->trouble(0)) { $self->{eof} = $trouble; return 0 }
        $self->await($self->{want_write}, $deadline, $what, $timeout);
    }
}

# Waits for the other side to end the connection: "closed", "reset", or dies. What comes before it is in {in}.
sub wait_eof {
    my ($self, $timeout) = @_;
    1 while $self->fill('the end of the connection', $timeout);
    return $self->{eof};
}

sub close      { my ($self) = @_; my $fh = delete $self->{fh} or return; $self->{is_tls} ? $fh->close : CORE::close($fh); return }
sub half_close { my ($self) = @_; return shutdown $self->{fh}, 1 }

# Ends it without goodbye, TLS's or TCP's.
sub rst {
    my ($self) = @_;
    my $fh = delete $self->{fh} or return;
    setsockopt $fh, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    return $self->{is_tls} ? $fh->close(SSL_no_shutdown => 1) : CORE::close($fh);
}

# ------------------------------------------------------------------ requests

# The bytes of one; more of them at once is pipelining: $c->send_raw($c->request_bytes(…) . $c->request_bytes(…)).
sub request_bytes {
    my ($self, $method, $path, %o) = @_;
    my @fields = ref $o{headers} eq 'ARRAY' ? @{ $o{headers} } : %{ $o{headers} || {} };
    my %said = map { lc($fields[2 * $_]) => 1 } 0 .. @fields / 2 - 1;
    my $body = exists $o{json} ? $json->encode($o{json}) : $o{body};
    unshift @fields, Host => "localhost:$self->{port}" unless $said{host};
    push @fields, 'Content-Type' => 'application/json' if defined $body && !$said{'content-type'};
    if ($o{chunked})         { push @fields, 'Transfer-Encoding' => 'chunked' }
    elsif (defined $body && !$said{'content-length'}) { push @fields, 'Content-Length' => length $body }
    my $head = "$method $path HTTP/" . ($o{version} || '1.1') . "\r\n";
    $head .= shift(@fields) . ': ' . shift(@fields) . "\r\n" while @fields;
    $body = join '', (map { sprintf "%x\r\n%s\r\n", length, $_ } $body =~ /(.{1,1000})/gs), "0\r\n\r\n" if $o{chunked};
    return "$head\r\n" . ($body // '');
}

sub request {
    my ($self, $method, $path, %o) = @_;
    push @{ $self->{asked} }, $method;
    return $self->send_raw($self->request_bytes($method, $path, %o), $o{timeout});
}

# ------------------------------------------------------------------ answers

# The head of the next answer; interim ones (1xx) are in {interim}.
sub head {
    my ($self, $timeout) = @_;
    my @interim;
    while (1) {
        until ($self->{in} =~ /\r\n\r\n/) {
            next if $self->fill('the head of an answer', $timeout);
            croak "AIGW::Client: the connection was $self->{eof} before a whole head came: \"" . substr($self->{in}, 0, 200) . '"';
        }
        $self->{in} =~ s/\A(.*?)\r\n\r\n//s;
        my $r = AIGW::Client::Response->parse($1);
        if ($r->{status} >= 100 && $r->{status} < 200 && $r->{status} != 101) { push @interim, $r; next }
        @$r{qw(interim time)} = (\@interim, $self->{time});
        $self->{sse} = { text => '', fields => {} };
        $self->{r} = $r;
        return $r->framing(shift @{ $self->{asked} || [] });
    }
}

# The next piece of the body as it came off the wire, chunks taken apart: [time, bytes]. undef: it is over, {r}{complete} or {r}{broken}.
sub piece {
    my ($self, $timeout) = @_;
    my $r = $self->{r} or croak 'AIGW::Client: no head was read';
    while (!$r->{complete} && !$r->{broken}) {
        my $bytes = $r->cut(\$self->{in});
        return [$self->{time}, $bytes] if defined $bytes && length $bytes;
        next if defined $bytes || $r->{complete} || $r->{broken};
        $self->fill('more of the body', $timeout) or $r->ended($self->{eof});
    }
    return undef;
}

sub rest {
    my ($self, $timeout) = @_;
    my $r = $self->{r};
    while (my $piece = $self->piece($timeout)) { push @{ $r->{pieces} }, $piece; $r->{content} .= $piece->[1] }
    return $r->{content};
}

sub response {
    my ($self, $timeout) = @_;
    my $r = $self->head($timeout);
    $self->rest($timeout);
    return $r;
}

# The next server-sent event of the body. Comments alone are an event without data, so that they can be seen.
sub event {
    my ($self, $timeout) = @_;
    my $s = $self->{sse};
    while (1) {
        if (my ($event) = sse_take(\$s->{text})) { $event->{time} = $self->{time}; return $event }
        my $piece = $self->piece($timeout);
        if (!$piece) { $self->{r}{unfinished_event} = $s->{text} if length $s->{text}; return undef }
        $self->{r}{content} .= $piece->[1];
        $s->{text} .= $piece->[1];
    }
}

# All events to come.
sub events { my ($self, $timeout) = @_; my @all; while (my $e = $self->event($timeout)) { push @all, $e } return @all }

# ------------------------------------------------------------------ server-sent events

# Takes the first event off the text; () if there is no whole one.
sub sse_take {
    my ($text) = @_;
    $$text =~ s/\A[\r\n]+//;
    # atomic: a CRLF is never half a blank line
    $$text =~ s/\A(.*?(?>\r\n|\r|\n))(?>\r\n|\r|\n)//s or return;
    my (%e, @data, @comments);
    for my $line (split /\r\n|\r|\n/, $1) {
        my ($name, $value) = $line =~ /\A([^:]*):? ?(.*)\z/s;
        if    ($name eq '')     { push @comments, $value }
        elsif ($name eq 'data') { push @data, $value }
        else                    { $e{$name} = $value }
    }
    $e{data} = join "\n", @data if @data;
    $e{comments} = \@comments;
    return \%e;
}

sub sse { my ($text) = @_; my @all; while (my ($e) = sse_take(\$text)) { push @all, $e } return @all }

# ------------------------------------------------------------------ in one call

my @OWN = qw(host port tls rcvbuf timeout);

sub once {
    my ($method, $path, %o) = @_;
    my %own = map { exists $o{$_} ? ($_ => delete $o{$_}) : () } @OWN;
    my $c = AIGW::Client->new(%own);
    my @fields = ref $o{headers} eq 'ARRAY' ? @{ $o{headers} } : %{ $o{headers} || {} };
    push @fields, Connection => 'close' unless grep { lc($fields[2 * $_]) eq 'connection' } 0 .. @fields / 2 - 1;
    $c->request($method, $path, %o, headers => \@fields);
    my $r = $c->response;
    $c->close;
    return $r;
}

sub get { my ($path, %o) = @_; return once(GET => $path, %o) }
sub post_json { my ($path, $data, %o) = @_; return once(POST => $path, json => $data, %o) }

# One question to a model: chat('echo', 'Say this again', port => …, stream => 1, path => …, more => { members of the body })
sub chat {
    my ($model, $text, %o) = @_;
    my $path = delete $o{path} || '/v1/chat/completions';
    my @stream = delete $o{stream} ? (stream => JSON::PP::true) : ();
    my %body = (model => $model, messages => [{ role => 'user', content => $text }], @stream, %{ delete $o{more} || {} });
    return post_json($path, \%body, %o);
}

# ------------------------------------------------------------------ answers as data

package AIGW::Client::Response;
use strict;
use warnings FATAL => 'all';
use Carp qw(croak);

sub parse {
    my ($class, $text) = @_;
    my ($line, @fields) = split /\r\n/, $text;
    my ($version, $status, $reason) = $line =~ m{\AHTTP/(\d\.\d) (\d{3})(?: (.*))?\z} or croak "AIGW::Client: no status line: \"$line\"";
    my $r = bless { version => $version, status => $status, reason => $reason // '', fields => [], content => '', pieces => [] }, $class;
    for (@fields) {
        my ($name, $value) = /\A([^:\s]+):[ \t]*(.*?)[ \t]*\z/ or croak "AIGW::Client: no header field: \"$_\"";
        push @{ $r->{fields} }, [$name, $value];
    }
    return $r;
}

# All fields of a name: their values in a list, or joined.
sub header {
    my ($r, $name) = @_;
    my @values = map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $r->{fields} };
    return wantarray ? @values : @values ? join(', ', @values) : undef;
}

sub content  { return $_[0]{content} }
sub complete { return $_[0]{complete} ? 1 : 0 }
sub events   { return AIGW::Client::sse($_[0]{content}) }
sub data     { return map { $_->{data} // () } $_[0]->events }

sub json {
    my ($r) = @_;
    my $data = eval { $json->decode($r->{content}) };
    croak "AIGW::Client: no JSON: \"$r->{content}\"" if $@;
    return $data;
}

# The text of an OpenAI answer, streamed or not.
sub text {
    my ($r) = @_;
    return $r->json->{choices}[0]{message}{content} if ($r->header('Content-Type') // '') !~ m{^text/event-stream};
    return join '', map { $_->{choices}[0]{delta}{content} // '' } map { $_ eq '' || $_ eq '[DONE]' ? () : $json->decode($_) } $r->data;
}

# How the body is framed.
sub framing {
    my ($r, $method) = @_;
    my $length = $r->header('Content-Length');
    if    (($method // '') eq 'HEAD' || $r->{status} =~ /\A(?:1..|204|304)\z/) { $r->{complete} = 1 }
    elsif (lc($r->header('Transfer-Encoding') // '') eq 'chunked') { @$r{qw(chunked left)} = (1, 0) }
    elsif (defined $length) { $r->{left} = $length; $r->{complete} = 1 if !$length }
    return $r;
}

# Takes bytes of the body off the buffer: '' it moved on, undef more is needed.
sub cut {
    my ($r, $in) = @_;
    if (defined $r->{left} && (!$r->{chunked} || $r->{left})) {
        return undef unless length $$in;
        my $bytes = substr $$in, 0, $r->{left}, '';
        $r->{left} -= length $bytes;
        if    (!$r->{left} && !$r->{chunked}) { $r->{complete} = 1 }
        elsif (!$r->{left})                   { $r->{at_end_of_chunk} = 1 }
        return $bytes;
    }
    return length $$in ? substr($$in, 0, length $$in, '') : undef unless $r->{chunked};
    return $r->cut_chunk_head($in);
}

sub cut_chunk_head {
    my ($r, $in) = @_;
    if ($r->{at_end_of_chunk}) {
        return undef if length $$in < 2;
        if ($$in !~ s/\A\r\n//) { $r->{broken} = 'no line end after a chunk'; return undef }
        $r->{at_end_of_chunk} = 0;
    }
    if ($r->{last_chunk}) {
        $$in =~ s/\A((?:[^\r\n]+\r\n)*)\r\n// or return undef;
        $r->{trailers} = $1;
        $r->{complete} = 1;
        return '';
    }
    $$in =~ /\r\n/ or return undef;
    my ($line) = $$in =~ s/\A(.*?)\r\n//s ? $1 : '';
    if ($line !~ /\A([0-9a-fA-F]+)(?:\s*;.*)?\z/) { $r->{broken} = "bad chunk size \"$line\""; return undef }
    $r->{left} = hex $1;
    $r->{last_chunk} = !$r->{left};
    push @{ $r->{chunks} }, $r->{left};
    return '';
}

sub ended {
    my ($r, $how) = @_;
    if ($how eq 'closed' && !defined $r->{left}) { $r->{complete} = 1 }
    else                                         { $r->{broken} = $how }
    return;
}

1;
