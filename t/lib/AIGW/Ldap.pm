package AIGW::Ldap;
# A very small LDAP directory (RFC 4511) for tests: simple binds, and searches for one uid, whatever the rest of the filter says. Enough for mod_authnz_ldap.
#
#   my $ldap = AIGW::Ldap->new(alice => { password => 'secret', employeeType => 'pro' }, …);
#   $ldap->{port}; $ldap->stop                # a process of its own, which ends with the object
#
# An entry's name is uid=NAME,ou=people,dc=example,dc=com. Like real directories it does not look at the case of names.
use strict;
use warnings FATAL => 'all';
use IO::Select ();
use IO::Socket::INET ();
use POSIX ();

use constant BASE => 'ou=people,dc=example,dc=com';

sub new {
    my ($class, %entries) = @_;
    my $fh = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64, ReuseAddr => 1) or die "LDAP: $@\n";
    my $self = bless { port => $fh->sockport, owner => $$, entries => \%entries }, $class;
    defined($self->{pid} = fork) or die "fork: $!\n";
    if (!$self->{pid}) {
        $SIG{PIPE} = 'IGNORE';
        $SIG{TERM} = sub { POSIX::_exit(0) };
        eval { $self->serve($fh); 1 } or print STDERR "LDAP: $@";
        POSIX::_exit(1);
    }
    return $self;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill TERM => $pid;
    waitpid $pid, 0;
    return;
}

sub DESTROY { my ($self) = @_; local ($@, $?, $!); $self->stop if $self->{owner} == $$; return }

# ------------------------------------------------------------------ BER

sub element { my ($tag, $content) = @_; my $n = length $content; return chr($tag) . ($n < 128 ? chr $n : pack 'CN', 0x84, $n) . $content }
sub string { return element(0x04, $_[0]) }
sub result { my ($tag, $code) = @_; return element($tag, element(0x0a, chr $code) . string('') . string('')) }

# The first element of the bytes: (tag, content), taken off them; () if it is not whole.
sub take {
    my ($bytes) = @_;
    return if length $$bytes < 2;
    my ($tag, $n) = unpack 'CC', $$bytes;
    my $at = 2;
    if ($n > 127) {
        $at += $n & 127;
        return if length $$bytes < $at;
        $n = unpack 'N', substr "\0\0\0\0" . substr($$bytes, 2, $at - 2), -4;
    }
    return if length $$bytes < $at + $n;
    my $content = substr $$bytes, $at, $n;
    substr $$bytes, 0, $at + $n, '';
    return ($tag, $content);
}

# The value of the first test of uid for equality in a filter.
sub uid_of {
    my ($filter) = @_;
    while (my ($tag, $content) = take(\$filter)) {
        if ($tag == 0xa3) {
            my (undef, $name)  = take(\$content);
            my (undef, $value) = take(\$content);
            return $value if lc $name eq 'uid';
        }
        elsif ($tag == 0xa0 || $tag == 0xa1) {
            my $found = uid_of($content);
            return $found if defined $found;
        }
    }
    return undef;
}

# ------------------------------------------------------------------ the directory

sub find { my ($self, $uid) = @_; my ($name) = grep { lc $_ eq lc($uid // '') } sort keys %{ $self->{entries} }; return $name }

sub bind_code {
    my ($self, $content) = @_;
    take(\$content);    # the version
    my (undef, $dn) = take(\$content);
    my ($kind, $password) = take(\$content);
    return 0 if $dn eq '' && $password eq '';
    my $name = $dn =~ /^uid=([^,]+),\Q@{[BASE]}\E\z/i ? $self->find($1) : undef;
    return $kind == 0x80 && defined $name && length $password && $self->{entries}{$name}{password} eq $password ? 0 : 49;
}

sub search {
    my ($self, $content) = @_;
    take(\$content) for 1 .. 6;
    my $name = $self->find(uid_of($content));
    return '' unless defined $name;
    my %has = (uid => $name, objectClass => 'person', map { $_ eq 'password' ? () : ($_ => $self->{entries}{$name}{$_}) } keys %{ $self->{entries}{$name} });
    my $attributes = join '', map { element(0x30, string($_) . element(0x31, string($has{$_}))) } sort keys %has;
    return element(0x64, string("uid=$name," . BASE) . element(0x30, $attributes));
}

# The answers to one request; undef: the client says goodbye.
sub answer {
    my ($self, $message) = @_;
    my ($id_tag, $id) = take(\$message);
    my ($tag, $content) = take(\$message);
    my $reply = sub { return element(0x30, element(0x02, $id) . $_[0]) };
    return undef if $tag == 0x42;
    return $reply->(result(0x61, $self->bind_code($content))) if $tag == 0x60;
    return $reply->(result(0x65, 2)) if $tag != 0x63;
    my $entry = $self->search($content);
    return ($entry eq '' ? '' : $reply->($entry)) . $reply->(result(0x65, 0));
}

sub serve {
    my ($self, $listener) = @_;
    my $select = IO::Select->new($listener);
    my %in;
    while (my @ready = $select->can_read) {
        for my $fh (@ready) {
            if ($fh == $listener) { $select->add(scalar $fh->accept); next }
            my $open = sysread $fh, $in{$fh}, 65_536, length($in{$fh} // '');
            while ($open && (my ($tag, $message) = take(\$in{$fh}))) {
                my $answer = $self->answer($message);
                $open = defined $answer && syswrite $fh, $answer;
            }
            next if $open;
            delete $in{$fh};
            $select->remove($fh);
            close $fh;
        }
    }
    return;
}

1;
