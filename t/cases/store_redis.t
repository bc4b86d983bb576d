# The Redis store, what is its own: an answer that is lost (the operation is done, and nobody knows), memory that is full, a version that changes below running children, what is left in Redis in the end,
# answers of some MiB, pages of who has many, what the log says of a Redis that forgets.
# any MPM
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(post_json);
use AIGW::Redis;
use AIGW::Server;
use Time::HiRes qw(sleep time);

use constant { PENDING => 0, RUNNING => 1, COMPLETED => 2, CANCELLED => 4, SECOND => 1_000_000 };

plan tests => 59, need { 'redis-server' => sub { AIGW::Redis->available } }, need_module('mod_aigw', 'mod_aigw_test');

my $redis = AIGW::Redis->new(users => { gw => { password => 'secret', rules => '~{aigw}:* +@read +@write +@stream +@hash +@sortedset +@string +@scripting +time +info +config|get' } });
my $proxy = $redis->proxy;
# one child, which remembers what it has asked
my $one = Apache::Test::have_module('mpm_prefork') ? "StartServers 1\nServerLimit 1\nMaxRequestWorkers 1\nMinSpareServers 1\nMaxSpareServers 1\n" : "StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMaxRequestWorkers 8\n";
sub conf { my ($url) = @_; return "AIGWStore redis\nAIGWRedis $url\nAIGWStoreTimeout 20s\nAIGWTaskWorkers 0\n<Location /store>\nSetHandler aigw-test-store\n</Location>\n$one" }
my $gw = AIGW::Server->new(conf => conf($proxy->{url}));

my $made = 0;
sub id { return sprintf '%032x', ++$made }
sub op { my ($name, %o) = @_; return post_json('/store', { op => $name, %o }, port => $gw->{port}, timeout => 60)->json }
sub create { my ($owner, %o) = @_; my $once = delete $o{once}; return op('create', task => { id => id(), owner => $owner, request => '{}', ttl => 60 * SECOND, %o }, max => 0, ($once ? (once => { fingerprint => 'f', keep => 60 * SECOND, %$once }) : ())) }
sub claim { my ($holder, $max, $lease) = @_; return op('claim', holder => $holder, max => $max, lease => $lease // 600 * SECOND) }
sub lease_of { my ($task) = @_; return map { $task->{$_} ? ($_ => $task->{$_}) : () } qw(id holder number) }
sub end { my ($task, $state, %o) = @_; return op('end', ends => [{ lease_of($task), state => $state, tokens => 3, %o }]) }
sub beat { my ($task) = @_; return op('beat', beats => [{ lease_of($task), progress => 0.5, tokens => 7 }], lease => 600 * SECOND)->{said}[0] }
sub sweep { return op('sweep', attempts => 3, error => '{}') }
sub until_so { my ($name, $test) = @_; for (my $end = time + 30; time < $end; sleep 0.05) { return pass $name if $test->() } return fail $name }

# Its answer is lost, and it is done all the same.
sub lost { my ($do) = @_; $proxy->mode('lose'); my $said = $do->(); $proxy->mode('pass'); return $said->{rv} }

# ------------------------------------------------------------------ lost answers

# Redis knows each script then: what it does not know it has not done
create('w');
end(claim('w', 1)->{tasks}[0], COMPLETED);

my $id = id();
is lost(sub { create('a', id => $id) }), 'again', 'a creation whose answer is lost: not now';
is create('a', id => $id)->{rv}, 'ok', '… once more: it is made';
is_deeply [map { $_->{id} } @{ op('list', owner => 'a', state => -1, limit => 9)->{tasks} }], [$id], '… and is one task';
is create('b', id => $id)->{rv}, 'mistake', "… which is nobody else's";
like $gw->log, qr/AIGW0510: the store: Redis cannot be asked: /, '… and the log says why';
$id = id();
is lost(sub { create('a', id => $id, once => { key => 'k' }) }), 'again', 'with a key';
is create('a', id => $id, once => { key => 'k' })->{rv}, 'ok', '… the same: it is made';
is_deeply [map { ($_->{rv}, $_->{task}{id}) } create('a', once => { key => 'k' })], ['exists', $id], '… another one: it is that one';

is lost(sub { claim('h', 2) }), 'again', 'a claim whose answer is lost';
is lost(sub { claim('h', 2) }), 'again', '… and another';
my @got = map { @{ claim('h', 1)->{tasks} } } 1 .. 3;
is_deeply [sort map { "$_->{id} $_->{state} $_->{attempts}" } @got], [sort map { "$_->{id} " . RUNNING . ' 1' } @{ op('list', owner => 'a', state => -1, limit => 9)->{tasks} }], '… is not lost: each is given, and no attempt is counted';
is lost(sub { claim('h', 2) }), 'again', 'where there was nothing';
is_deeply claim('h', 2)->{tasks}, [], '… there is nothing';

is lost(sub { end($got[0], COMPLETED, result => '"x"') }), 'again', 'an end whose answer is lost';
is end($got[0], COMPLETED, result => '"y"')->{said}[0], 'written', '… was written';
is op('get', id => $got[0]{id}, owner => 'a', with => \1)->{task}{result}, '"x"', '… once';
is lost(sub { end($got[1], PENDING) }), 'again', 'handed back';
is end($got[1], PENDING)->{said}[0], 'written', '… once';
my ($back) = @{ claim('h2', 9)->{tasks} };
is_deeply [@$back{qw(id attempts number)}], [$got[1]{id}, 1, $got[1]{number} + 1], '… and taken by another';
is_deeply op('count')->{states}, [0, 1, 2, 0, 0], '… and counted once';

# ------------------------------------------------------------------ no memory

create('m');
$redis->cmd('CONFIG', 'SET', 'maxmemory', 1);
is create('m')->{rv}, 'again', 'memory is full: nothing new';
like $gw->log, qr/AIGW0510: .*OOM/, '… and the log says why';
is claim('h', 9)->{rv}, 'again', '… nothing is begun';
is beat($back), 'yours', '… what runs goes on';
is end($back, COMPLETED, result => '"z"', ttl => 1)->{said}[0], 'written', '… and can end';
is sweep()->{rv}, 'ok', '… and room is made';
$redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
is create('m')->{rv}, 'ok', '… until there is some';
is_deeply op('count')->{states}, [2, 0, 3, 0, 0], '… and what was refused left nothing behind';

# ------------------------------------------------------------------ a newer version, while we run

$redis->cmd('SET', '{aigw}:store:version', 7);
is create('v')->{rv}, 'again', 'a newer version has taken over: not now';
like $gw->log, qr/AIGW0514: .*version 7, this one knows 1/, '… and the log says why';
$redis->cmd('SET', '{aigw}:store:version', 1);
is create('v')->{rv}, 'ok', '… and when it has not';

# ------------------------------------------------------------------ more than a MiB, more than a page

my @large = map { create('large', request => '"' . $_ x 900_000 . '"')->{task}{id} } 0 .. 9;
my %claimed = map { $_->{id} => $_ } @{ claim('h', 40)->{tasks} };
is_deeply [grep { $claimed{ $large[$_] }{request} ne '"' . $_ x 900_000 . '"' } 0 .. 9], [], 'ten tasks of 900 kB, in one claim';
is op('end', ends => [map { +{ lease_of($_), state => COMPLETED, tokens => 1 } } values %claimed])->{said}[0], 'written', '… and their ends';

my $old = create('many')->{task}{id};
op('cancel', id => $old, owner => 'many');
my @many = map { create('many')->{task}{id} } 1 .. 320;
is_deeply [map { $_->{id} } @{ op('list', owner => 'many', state => CANCELLED, limit => 2)->{tasks} }], [$old], 'one behind many';
my ($cursor, @seen, $next);
do { my $page = op('list', owner => 'many', state => -1, limit => 100, cursor => $cursor); push @seen, map { $_->{id} } @{ $page->{tasks} }; $cursor = $page->{next} } while defined $cursor;
is_deeply \@seen, [reverse $old, @many], 'all of them, on four pages';
my @all;
do { $next = claim('h', 150)->{tasks}; push @all, @$next } while @$next;
is_deeply [map { $_->{id} } @all], \@many, 'more claims than one step takes, in their turn';
my $said = op('beat', beats => [map { +{ lease_of($_), progress => 0, tokens => 0 } } @all[0 .. 249]], lease => 600 * SECOND)->{said};
is scalar(grep { $_ eq 'yours' } @$said), 250, '… signs of life';
is scalar @{ $redis->cmd('XPENDING', '{aigw}:tasks', 'tasks', '-', '+', 1000) }, 320, '… Redis knows who runs them';
is scalar(grep { $_->{state} == RUNNING } @{ op('look', ids => [@many[0 .. 249]])->{tasks} }), 250, '… looks';
is op('end', ends => [map { +{ lease_of($_), state => PENDING } } @all[0 .. 249]])->{said}[249], 'written', '… some are handed back';
is op('end', ends => [map { +{ lease_of($_), state => COMPLETED } } @all[250 .. $#all]])->{said}[0], 'written', '… and some end';

# ------------------------------------------------------------------ the stream is deleted

create($_) for qw(del1 del2);
my %del = map { $_->{owner} => $_ } @{ claim('h', 3)->{tasks} };
$redis->cmd('DEL', '{aigw}:tasks');
is_deeply [sweep()->{rv}, map { beat($_) } @del{qw(many del1 del2)}], [qw(ok yours yours yours)], 'somebody deletes the stream: what runs goes on';
is scalar @{ $redis->cmd('XPENDING', '{aigw}:tasks', 'tasks', '-', '+', 9) }, 3, '… Redis knows again who runs it';
is beat($del{del1}), 'yours', '… once';
is $redis->cmd('XLEN', '{aigw}:tasks'), 3, '… each';
op('beat', beats => [{ lease_of($del{del1}), progress => 0, tokens => 0 }], lease => 1000);
until_so '… so that others take what nobody runs any more', sub { sweep(); op('get', id => $del{del1}{id}, owner => 'del1')->{task}{state} == PENDING };
is_deeply [map { end($_, COMPLETED)->{said}[0] } @del{qw(many del2)}], [qw(written written)], '… and what is over ends';
end($_, COMPLETED) for @{ claim('h', 9)->{tasks} };

# ------------------------------------------------------------------ gone: for a day from its end, whenever it is swept

my @ttl = map { create('ttl')->{task}{id} } 1 .. 2;
end($_, COMPLETED) for @{ claim('h', 9)->{tasks} };
my $expire = sub { my ($task, $hours) = @_; my $at = sprintf '%d000000', time - $hours * 3600; $redis->cmd('HSET', "{aigw}:task:$task", expires => $at); $redis->cmd('ZADD', '{aigw}:task-expire', $at, $task) };
$expire->($ttl[0], 23);
$expire->($ttl[1], 25);
my @before = map { op('get', id => $_, owner => 'ttl')->{rv} } @ttl;
sweep();
is_deeply [[@before], [map { op('get', id => $_, owner => 'ttl')->{rv} } @ttl]], [(['gone', 'notfound']) x 2], 'TTL over for 23 hours, and for 25: gone, and as if it had never been, swept or not';
cmp_ok abs($redis->cmd('PTTL', "{aigw}:task-gone:$ttl[0]") / 1000 - 3600), '<', 300, '… for an hour more';
$redis->cmd('DEL', "{aigw}:task-gone:$ttl[0]", '{aigw}:task-page:ttl');

# ------------------------------------------------------------------ a dead one's, and what is left

claim('dead', 200, 1000);
until_so 'those of a dead one are taken back, all of them', sub { sweep(); op('count')->{states}[RUNNING] == 0 };
do { $next = claim('h', 200, 600 * SECOND)->{tasks}; op('end', ends => [map { +{ lease_of($_), state => COMPLETED } } @$next]) } while @$next;
is_deeply [map { $redis->cmd(@$_) } ['XLEN', '{aigw}:tasks'], ['XPENDING', '{aigw}:tasks', 'tasks']], [0, [0, undef, undef, undef]], 'nothing runs: nothing is in the stream';
is_deeply [sort grep { !/:task:|:task-page:/ } @{ $redis->cmd('KEYS', '*') }],
    [sort map { "{aigw}:$_" } qw(tasks task-counts task-expire task-served task-consumers task-once:1:a:k store:version)], '… nobody waits, nobody has anything unfinished';
is op('count')->{states}[COMPLETED] + 1, $redis->cmd('ZCARD', '{aigw}:task-expire'), '… and the numbers are right';
$redis->cmd('ZADD', '{aigw}:task-consumers', 1, $_) for qw(dead h h2 w);
$redis->cmd('ZADD', '{aigw}:task-served', 1, 'many');
sweep();
is_deeply [sort map { $_->[1] } @{ $redis->cmd('XINFO', 'CONSUMERS', '{aigw}:tasks', 'tasks') }], ['sweep'], 'who has had nothing for an hour is forgotten';
is $redis->cmd('ZSCORE', '{aigw}:task-served', 'many'), undef, '… and who was not served for an hour';
$gw->stop;

# ------------------------------------------------------------------ what Redis keeps

like $gw->log, qr/AIGW0515: .*its log is off/, 'a Redis that keeps nothing: a warning';
$redis->cmd('CONFIG', 'SET', 'appendonly', 'yes');
$redis->cmd('CONFIG', 'SET', 'maxmemory', '100mb');
$redis->cmd('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
my $first = $gw;
my $second = AIGW::Server->new(conf => conf($redis->url =~ s{//}{//gw@}r . ' password=env:STORE_SECRET'), env => { STORE_SECRET => 'secret' });
like $second->log, qr/AIGW0515: .*"everysec".*AIGW0516: .*allkeys-lru/s, 'one that may lose a second, and throws away: warnings';
$gw = $second;
is_deeply [create('acl')->{rv}, end(claim('acl', 1)->{tasks}[0], COMPLETED)->{said}[0], sweep()->{rv}, op('callbacks', max => 1, lease => 1)->{rv}], [qw(ok written ok ok)], 'with no more rights than the documentation says';
$second->stop;
is_deeply [$first->crashes, $second->crashes], [], 'nothing crashed';
