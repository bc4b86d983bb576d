package AIGW::Listener;
# An upstream that the test itself plays, a step at a time: for answers that the raw upstream does not know, and to see who says what first.
#
#   my $up = AIGW::Listener->new(port => own_port('statuses'));    # t/conf/statuses.conf.in has: Define statuses_port @NextAvailablePort@
#   $client->request(…);
#   my $conn = $up->accept;                  # o: tls => { options of IO::Socket::SSL }; undef if the handshake fails
#   my $request = $conn->request;            # { line, header => { name => value }, body }
#   $conn->say("HTTP/1.1 200 OK\r\n…");
#   $conn->close;
#   $client->response;
# Nothing waits for more than 20 s: then it dies. While nobody listens, the port refuses connections.
use strict;
use warnings FATAL => 'all';
use Apache::Test ();
use Carp qw(croak);
use IO::Select ();
use IO::Socket::INET ();
use base 'Exporter';
our @EXPORT = qw(own_port);

use constant TIMEOUT => 20;

# The port that a conf file of this name gave to its test.
sub own_port {
    my ($name) = @_;
    my $file = Apache::Test::vars('t_conf') . "/$name.conf";
    open my $fh, '<', $file or croak "$file: $!";
    my ($port) = map { /^\s*Define\s+\Q$name\E_port\s+(\d+)/ ? $1 : () } <$fh>;
    return $port // croak "$file defines no ${name}_port";
}

sub new {
    my ($class, %o) = @_;
    $SIG{PIPE} = 'IGNORE';    # the other side may leave in the middle of a handshake, a write or a goodbye
    my $fh = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $o{port}, Listen => 16, ReuseAddr => 1) or croak "port $o{port}: $@";
    return bless { fh => $fh }, $class;
}

sub close { my ($self) = @_; return CORE::close(delete $self->{fh}) }

sub wait_for { my ($fh, $what) = @_; IO::Select->new($fh)->can_read(TIMEOUT) or croak "AIGW::Listener: $what did not come"; return }

# Is there a connection that has not been accepted, or will there be one within so many seconds?
sub waiting { my ($self, $timeout) = @_; return scalar IO::Select->new($self->{fh})->can_read($timeout || 0) }

sub accept {
    my ($self, %o) = @_;
    wait_for($self->{fh}, 'a connection');
    my $fh = $self->{fh}->accept or croak "accept: $!";
    if ($o{tls}) {
        IO::Socket::SSL->start_SSL($fh, SSL_server => 1, Timeout => TIMEOUT, %{ $o{tls} }) or return undef;
    }
    return bless { fh => $fh, in => '' }, 'AIGW::Listener::Connection';
}

package AIGW::Listener::Connection;
use strict;
use warnings FATAL => 'all';
use Carp qw(croak);
use Socket qw(SOL_SOCKET SO_LINGER);

# More in {in}; 0: the gateway has closed the connection.
sub fill {
    my ($self, $what) = @_;
    my $fh = $self->{fh};
    AIGW::Listener::wait_for($fh, $what) unless $fh->can('pending') && $fh->pending;
    my $got = sysread $fh, $self->{in}, 65_536, length $self->{in};
    return $got ? 1 : 0;
}

# The next request; undef: the connection is over.
sub request {
    my ($self) = @_;
    until ($self->{in} =~ /\r\n\r\n/) { $self->fill('a request') or return undef }
    $self->{in} =~ s/\A(.*?)\r\n\r\n//s;
    my ($line, @fields) = split /\r\n/, $1;
    my %header = map { /\A([^:]+):\s*(.*)\z/ ? (lc $1 => $2) : () } @fields;
    my $length = $header{'content-length'} // 0;
    while (length $self->{in} < $length) { $self->fill('the body of a request') or return undef }
    return { line => $line, header => \%header, body => substr $self->{in}, 0, $length, '' };
}

sub say {
    my ($self, $bytes) = @_;
    while (length $bytes) { my $sent = syswrite $self->{fh}, $bytes or croak "AIGW::Listener: write: $!"; substr $bytes, 0, $sent, '' }
    return;
}

# A whole answer; o: status, type, headers => [lines], body
sub answer {
    my ($self, %o) = @_;
    my @fields = ('Content-Type: ' . ($o{type} // 'application/json'), 'Content-Length: ' . length $o{body}, @{ $o{headers} || [] });
    return $self->say(join "\r\n", "HTTP/1.1 $o{status} Whatever", @fields, '', $o{body});
}

# Waits until the gateway closes it.
sub wait_eof { my ($self) = @_; 1 while $self->fill('the end of the connection'); return 'closed' }

sub close { my ($self) = @_; return CORE::close(delete $self->{fh}) }

sub rst { my ($self) = @_; setsockopt $self->{fh}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0; return $self->close }

1;
