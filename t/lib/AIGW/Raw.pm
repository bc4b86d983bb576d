package AIGW::Raw;
# The raw upstream (t/tools/rawup.pl) as tests see it: what has it been asked, what has happened to it. A test that gives each request an
# X-Request-ID of its own, or a member "tag" in its body, sees only what belongs to it, whatever else runs.
use strict;
use warnings FATAL => 'all';
use Carp qw(croak);
use Time::HiRes qw(time);
use AIGW::Client ();
use base 'Exporter';
our @EXPORT = qw(raw_close raw_go raw_log raw_reset raw_wait tag);

my $serial = 0;
my $began  = sprintf '%x', 1000 * time;

# A name that no other test uses. Not by its process alone: Linux gives the number of one that has ended to another after some 30,000, which is minutes here.
sub tag { return join '-', 't', $began, $$, ++$serial }

sub ask {
    my ($method, $path, %arg) = @_;
    my $query = join '&', map { "$_=$arg{$_}" } sort keys %arg;
    my $port = $ENV{AIGW_RAW_PORT} or croak 'AIGW_RAW_PORT is not set: run this through t/TEST';
    return AIGW::Client::once($method, "$path?$query", port => $port, timeout => ($arg{timeout} || 5) + 5);
}

# { connections, requests, events }, of a tag or all
sub raw_log { my ($tag) = @_; return ask(GET => '/_log', defined $tag ? (tag => $tag) : ())->json }

# Waits until an event has happened (the n-th such one) and returns it; dies if it does not come.
# raw_wait('closed', tag => $tag, n => 2, timeout => 10)
sub raw_wait {
    my ($event, %o) = @_;
    my $r = ask(GET => '/_wait', event => $event, timeout => 10, %o);
    croak 'raw upstream: ' . $r->json->{error} if $r->{status} != 200;
    return $r->json;
}

sub raw_reset { return ask(POST => '/_reset')->json }

# Opens the gate that the scenario gate:N waits at; how many were waiting.
sub raw_go { my ($tag) = @_; return ask(POST => '/_go', defined $tag ? (tag => $tag) : ())->json->{count} }

# Closes connections on which nothing goes on ("fin", "rst"); how many.
sub raw_close { my ($how) = @_; return ask(POST => '/_close', how => $how || 'fin')->json->{count} }

1;
