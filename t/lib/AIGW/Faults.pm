package AIGW::Faults;
# What goes wrong with an upstream, as scenarios of the raw one (AIGW::Scenarios), and what a client then gets. It is the same whether the client or the
# upstream speaks TLS, and whether the answer is parked or not.
use strict;
use warnings FATAL => 'all';
use base 'Exporter';
our @EXPORT_OK = qw(faults);

my ($timeout, $reset, $invalid) = qw(upstream_timeout upstream_reset upstream_invalid_response);

# scenario, location, events of a stream before it fails (undef: it does not begin) and the code, the code of a whole answer, the same for dialects that
# tell the text alone: { tokens => before it fails }
my @faults = (
    ['silent',            '/t/first',     undef, $timeout, $timeout, { tokens => undef }],
    ['silent',            '/t/total',     undef, $timeout, $timeout],
    ['stall:0',           '/t/idle',      undef, $timeout, $timeout],
    ['stall:3',           '/t/idle',      3,     $timeout, $timeout, { tokens => 2 }],
    ['stall:3',           '/t/total',     3,     $timeout, $timeout],
    ['reset-before',      '',             undef, $reset,   $reset,   { tokens => undef }],
    ['close-before',      '',             undef, $reset,   $reset,   { tokens => undef }],
    ['reset-mid-event:0', '',             undef, $reset,   $reset],
    ['reset-mid-event:1', '',             1,     $reset,   $reset],
    ['reset-mid-event',   '',             3,     $reset,   $reset,   { tokens => 2 }],
    ['close-mid-event:0', '',             undef, $reset,   $reset],
    ['close-mid-event',   '',             3,     $reset,   $reset,   { tokens => 2 }],
    ['cut:0',             '',             undef, $reset,   $invalid],
    ['cut:2',             '',             2,     $reset,   $invalid],
    ['cut',               '',             2,     $reset,   $invalid, { tokens => 1 }],
    ['garbage',           '',             undef, $invalid, $invalid, { tokens => undef }],
    ['garbage-json',      '',             undef, $invalid, $invalid, { tokens => undef }],
    ['garbage-event',     '',             2,     $invalid, $invalid, { tokens => 1 }],
    ['html',              '',             undef, $invalid, $invalid, { tokens => undef }],
    ['bad-chunk',         '',             2,     $invalid, $invalid, { tokens => 1 }],
    ['short-chunk',       '',             2,     $reset,   $reset],
    ['chunk-size:-5',     '',             2,     $invalid, $invalid],
    ['chunk-size:0x5',    '',             2,     $invalid, $invalid],
    ['chunk-size:fffffffffffffffff', '',  2,     $invalid, $invalid],
    ['chunk-end',         '',             2,     $invalid, $invalid],
    ['slow-head:40',      '/t/first',     undef, $timeout, $timeout],
    ['interim-only',      '/t/first',     undef, $timeout, $timeout],
    ['switch',            '',             undef, $invalid, $invalid],
    ['status-line',       '',             undef, $invalid, $invalid],
    ['big-header',        '',             undef, $invalid, $invalid],
    ['big-head',          '',             undef, $invalid, $invalid],
    ['many-headers',      '',             undef, $invalid, $invalid],
    ['huge-event:1',      '',             1,     $invalid, undef],
    ['huge-event:1',      '/t/maxanswer', 1,     $invalid, $invalid],
    ['pad:4000:3',        '/t/maxevent',  1,     $invalid, undef],
    ['body-on-204',       '',             undef, $invalid, $invalid],
    ['error-event:0',     '',             undef, 'upstream_code', 'upstream_code'],
    ['error-event:3',     '',             3,     'upstream_code', 'upstream_code'],
    ['error-event',       '',             3,     'upstream_code', 'upstream_code', { tokens => 2 }],
);

sub faults { return @faults }

1;
