#!/usr/bin/env perl
# A model server that misbehaves: what it does is the request's choice. See lib/AIGW/Scenarios.pm for what it can do.
#   t/tools/rawup.pl [--port N] [--unix PATH] [--tls DIR] [--lifeline]
# Listens on 127.0.0.1 (port 0, the default: a free one) and, where asked, on a Unix socket, and on a port for TLS with DIR/server.pem and .key. Says "port N" and "dead N" on stdout: the
# second is a port that refuses connections for as long as this runs. --lifeline: ends when stdin does, so that it cannot outlive its maker.
#
# A request picks its scenario by the member "scenario" of its JSON body ("stall:3"), or else by a model of the name "s:stall:3". Then
#   curl -N -d '{"stream":true,"scenario":"reset-mid-event"}' http://127.0.0.1:PORT/v1/chat/completions
# The control addresses, on the same port, are described in lib/AIGW/RawUp.pm; tests use them through lib/AIGW/Raw.pm.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::RealBin/../lib";
use Getopt::Long qw(GetOptions);
use AIGW::RawUp ();

my %o = (port => 0);
GetOptions(\%o, 'port=i', 'unix=s', 'tls=s', 'lifeline') && !@ARGV or die "usage: rawup.pl [--port N] [--unix PATH] [--tls DIR] [--lifeline]\n";
my $server = AIGW::RawUp->new(%o);
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = $SIG{INT} = $SIG{HUP} = sub { $server->cleanup; exit 0 };
$| = 1;
print 'port ', $server->port, "\n", 'tls ', $server->tls_port, "\n", 'dead ', $server->dead_port, "\n";
$server->run;
