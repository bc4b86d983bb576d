# Calls without a client (a task, a WebSocket message), made by a module of a third party through the public headers: on every MPM they run on the engine.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get);
use AIGW::Log;

plan tests => 14, need_module('mod_aigw', 'mod_aigw_test');
my $port = Apache::Test::vars('port');

sub run { my ($query) = @_; return get("/test/detached?$query", port => $port)->content }

sub counts { return get('/test/counts', port => $port)->json }

my $before = counts();
is run('model=echo&text=one'), "text=one finish=stop error=- usage=1/1 ends=1\n", 'the built-in model, no client';
is run('model=up&text=two'), "text=two finish=stop error=- usage=1/1 ends=1\n", 'an upstream over HTTP, no client';
is run('model=up&text=three'), "text=three finish=stop error=- usage=1/1 ends=1\n", 'again, on a connection that is there';
is run('model=up-tls&text=four'), "text=four finish=stop error=- usage=1/1 ends=1\n", 'over TLS';
is run('model=test'), "text=third party finish=stop error=- usage=1/2 ends=1\n", "a third party's provider";
is run('model=test-refused'), "text= finish=- error=quota_exceeded usage=-1/-1 ends=1\n", 'refused by a hook';
expect_log(qr/AIGW0173: .* model dead/);
is run('model=dead'), "text= finish=- error=upstream_connect_failed usage=-1/-1 ends=1\n", 'an upstream that is not there';
is run('model=echo-reset'), "text=one two three finish=- error=upstream_reset usage=-1/-1 ends=1\n", 'an upstream that breaks off';
like run('model=echo-stall&cancel=1'), qr/^text=one two three finish=- error=shutting_down usage=-1\/-1 ends=1$/, 'cancelled from another thread';
expect_log(qr/AIGW0181: .*raw:reset-mid-event/);
like run('model=raw:reset-mid-event'), qr/error=upstream_reset .* ends=1$/, 'a reset in mid-event';

my $after = counts();
is $after->{detached_ended} - $before->{detached_ended}, 10, 'each ended once';
# which comes after its end
for (my $until = time + 20; $after->{settled} - $before->{settled} < 10 && time < $until; sleep 0.01) { $after = counts() }
cmp_ok $after->{settled} - $before->{settled}, '>=', 10, '… and was settled';
is get('/static.txt', port => $port)->content, "static\n", 'the gateway lives';
log_clean();
