package AIGW::Many;
# Many streams at once, each on a connection of its own, from one process that never blocks.
#
#   my $all = many(100, port => $port, path => '/v1/chat/completions', json => { stream => JSON::PP::true, … });
# tls => 1 (or options of IO::Socket::SSL); json may be sub { my ($i) = @_; … }; headers => [name => value, …] or such a sub; timeout: of the whole (20 s).
# when_open => sub { my ($all) = @_; … } is called once, when every stream has had its first event and none is over: look at the server now,
# or wake the upstream up. It dies if a stream ends before that.
# The result: { n, status => { 200 => 100 }, complete, done ([DONE] has come), broken => { reason => count }, events (in all), min_events,
# max_events, streams => [{ status, events, data (of the last event), done, complete, broken, ttft }] }.
use strict;
use warnings FATAL => 'all';
use Carp qw(croak);
use Errno qw(EAGAIN EINPROGRESS EINTR EWOULDBLOCK);
use IO::Poll qw(POLLERR POLLHUP POLLIN POLLOUT);
use IO::Socket::INET ();
use Socket qw(inet_aton pack_sockaddr_in);
use AIGW::Client ();
use base 'Exporter';
our @EXPORT = qw(many);

sub many {
    my ($n, %o) = @_;
    $o{timeout} ||= AIGW::Client::TIMEOUT();
    my $poll = IO::Poll->new;
    my @streams = map { open_stream($_, $poll, %o) } 0 .. $n - 1;
    my $deadline = AIGW::Client::now() + $o{timeout};
    my $called = !$o{when_open};
    while (my @open = grep { $_->{fh} } @streams) {
        my $left = $deadline - AIGW::Client::now();
        croak sprintf 'many: %d of %d streams are not over after %g s: %s', scalar @open, $n, $o{timeout}, counts(@streams) if $left <= 0;
        $poll->poll($left);
        for my $s (grep { $poll->events($_->{fh}) } @open) { serve($s, $poll) }
        next if $called;
        my @over = grep { !$_->{fh} } @streams;
        croak sprintf 'many: %d of %d streams ended before all were open: %s', scalar @over, $n, counts(@streams) if @over;
        next if grep { !$_->{events} } @streams;
        $called = 1;
        $o{when_open}->(summary(@streams));
    }
    return summary(@streams);
}

sub open_stream {
    my ($i, $poll, %o) = @_;
    my %request = map { $_ => ref $o{$_} eq 'CODE' ? $o{$_}->($i) : $o{$_} } grep { exists $o{$_} } qw(json headers body);
    my $out = AIGW::Client::request_bytes({ port => $o{port} }, $o{method} || 'POST', $o{path} || '/v1/chat/completions', %request);
    my $fh;
    if ($o{tls}) {
        my $c = AIGW::Client->new(map { exists $o{$_} ? ($_ => $o{$_}) : () } qw(port host tls timeout));
        $c->send_raw($out); # at once: httpd's thread is waiting for it
        ($fh, $out) = ($c->{fh}, '');
    }
    else { $fh = connecting(%o) }
    $poll->mask($fh => length $out ? POLLIN | POLLOUT : POLLIN);
    return { fh => $fh, out => $out, in => '', text => '', events => 0, began => AIGW::Client::now() };
}

sub connecting {
    my (%o) = @_;
    my $fh = IO::Socket::INET->new(Proto => 'tcp') or die "many: socket: $!\n";
    $fh->blocking(0);
    connect $fh, pack_sockaddr_in($o{port}, inet_aton($o{host} || '127.0.0.1')) or $! == EINPROGRESS or die "many: connect: $!\n";
    return $fh;
}

sub over {
    my ($s, $poll) = @_;
    $poll->remove($s->{fh});
    my $fh = delete $s->{fh};
    $fh->close;
    my $r = $s->{r};
    $s->{status}   = $r ? $r->{status} : 0;
    $s->{complete} = $r && $r->complete ? 1 : 0;
    $s->{broken}   = $s->{complete} ? undef : $r && $r->{broken} || $s->{trouble} || 'closed before the head';
    return;
}

sub serve {
    my ($s, $poll) = @_;
    my $ready = $poll->events($s->{fh});
    if (length $s->{out} && $ready & POLLOUT) {
        local $SIG{PIPE} = 'IGNORE';
        my $sent = $s->{fh}->syswrite($s->{out});
        substr $s->{out}, 0, $sent, '' if $sent;
        $poll->mask($s->{fh} => POLLIN) unless length $s->{out};
    }
    return unless $ready & (POLLIN | POLLHUP | POLLERR);
    my $got = $s->{fh}->sysread($s->{in}, 65_536, length $s->{in});
    return if !defined $got && ($! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR);
    # what TLS has decrypted is not seen by poll
    while ($got && $s->{fh}->can('pending') && $s->{fh}->pending) { $s->{fh}->sysread($s->{in}, 65_536, length $s->{in}) or last }
    my $ended = $got ? '' : defined $got ? 'closed' : "$!" || 'closed';
    parse($s);
    if ($ended) {
        $s->{trouble} = $ended;
        $s->{r}->ended($ended) if $s->{r} && !$s->{r}->complete;
    }
    over($s, $poll) if $ended || $s->{r} && ($s->{r}->complete || $s->{r}{broken});
    return;
}

sub parse {
    my ($s) = @_;
    if (!$s->{r}) {
        $s->{in} =~ s/\A(.*?)\r\n\r\n//s or return;
        $s->{r} = AIGW::Client::Response->parse($1)->framing;
    }
    while (!$s->{r}->complete && !$s->{r}{broken}) {
        my $bytes = $s->{r}->cut(\$s->{in});
        last unless defined $bytes;
        $s->{text} .= $bytes;
    }
    while (my ($e) = AIGW::Client::sse_take(\$s->{text})) {
        next unless defined $e->{data};
        $s->{ttft} //= AIGW::Client::now() - $s->{began};
        if ($e->{data} eq '[DONE]') { $s->{done} = 1 }
        else                        { $s->{events}++; $s->{data} = $e->{data} }
    }
    return;
}

sub summary {
    my (@streams) = @_;
    my %sum = (n => scalar @streams, complete => 0, done => 0, events => 0, status => {}, broken => {}, streams => \@streams);
    for my $s (@streams) {
        my $status = $s->{r} ? $s->{r}{status} : 0;
        $sum{status}{$status}++;
        $sum{complete}++ if $s->{complete};
        $sum{done}++ if $s->{done};
        $sum{broken}{ $s->{broken} }++ if $s->{broken};
        $sum{events} += $s->{events};
    }
    @sum{qw(min_events max_events)} = (sort { $a <=> $b } map { $_->{events} } @streams)[0, -1];
    return \%sum;
}

# The same in words.
sub counts {
    my $sum = summary(@_);
    my $list = sub { my ($h) = @_; return join ', ', map { "$_: $h->{$_}" } sort keys %$h };
    my @lists = map { $list->($sum->{$_}) } qw(status broken);
    return sprintf 'status {%s}, broken {%s}, %d complete, %d done, %d events', @lists, @$sum{qw(complete done events)};
}

1;
