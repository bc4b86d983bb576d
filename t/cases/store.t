# The durable store, by its functions (t/modules/test_store.c): each store passes the very same tests, SQLite in a file, PostgreSQL and Redis as servers of the test's own. Then what differs: a store that is away,
# full, of a newer version, and what the directives say.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(post_json);
use AIGW::Conf qw(conf_check);
use AIGW::Postgres;
use AIGW::Redis;
use AIGW::Server;
use POSIX ();
use Time::HiRes qw(sleep time);

use constant { PENDING => 0, RUNNING => 1, COMPLETED => 2, FAILED => 3, CANCELLED => 4, ANY => -1, SECOND => 1_000_000, DAY => 86_400_000_000 };
use constant SUITE => 76;

my @stores = ('sqlite', AIGW::Postgres->available ? 'pgsql' : (), AIGW::Redis->available ? 'redis' : ());
plan tests => SUITE * @stores, need_module('mod_aigw', 'mod_aigw_test');

my ($gw, $made);

# One operation: what it says.
sub op {
    my ($name, %o) = @_;
    my $answer = post_json('/store', { op => $name, %o }, port => $gw->{port}, timeout => 60)->json;
    return $answer;
}

sub rv { return op(@_)->{rv} }
sub id { return sprintf '%032x', ++$made }

# A new task; o: owner, priority, ttl, once, max
sub create {
    my ($owner, %o) = @_;
    my ($once, $max) = (delete $o{once}, delete $o{max} // 0);
    return op('create', task => { id => id(), owner => $owner, request => '{"model":"echo"}', ttl => 60 * SECOND, %o }, max => $max, ($once ? (once => { keep => 60 * SECOND, %$once }) : ()));
}

sub lease_of { my ($task) = @_; return map { $_ => $task->{$_} } qw(id holder number) }
sub claim { my ($holder, $max, $lease) = @_; return @{ op('claim', holder => $holder, max => $max, lease => $lease // 60 * SECOND)->{tasks} } }
sub end { my ($task, $state, %o) = @_; return op('end', ends => [{ lease_of($task), state => $state, tokens => 3, %o }])->{said}[0] }
sub beat { my ($task, %o) = @_; return op('beat', beats => [{ lease_of($task), progress => 0.5, tokens => 7, %o }], lease => $o{lease} // 60 * SECOND)->{said}[0] }

# Until it is so.
sub until_so { my ($name, $test) = @_; for (my $end = time + 30; time < $end; sleep 0.05) { return pass $name if $test->() } return fail $name }

sub suite {
    my ($name) = @_;

    # --- create, get
    my $one = create('alice', callback_url => 'https://example.com/x');
    is $one->{rv}, 'ok', "$name: a task";
    my $task = $one->{task};
    is_deeply [@$task{qw(owner state attempts progress tokens started completed expires endpoint model)}], ['alice', PENDING, 0, 0, -1, 0, 0, 0, '/v1/chat/completions', 'echo'], '… is pending';
    cmp_ok abs($task->{created} / SECOND - time), '<', 60, '… made now';
    is op('get', id => $task->{id}, owner => 'alice', with => \1)->{task}{request}, '{"model":"echo"}', '… its request';
    is op('get', id => $task->{id}, owner => 'alice', with => \0)->{task}{request}, undef, '… which is left out where it is not asked for';
    is rv('get', id => $task->{id}, owner => 'bob'), 'notfound', "another's does not exist";
    is rv('get', id => '0' x 32, owner => 'alice'), 'notfound', 'nor does what does not exist';
    is rv('get', id => "' OR 1=1 --", owner => 'alice'), 'notfound', 'nor what is SQL';
    my $odd = create(q{x'; DROP TABLE aigw_task; --}, request => q({"a":"\u0001 $1 {now} % \\ ' \" ünï"}));
    is op('get', id => $odd->{task}{id}, owner => q{x'; DROP TABLE aigw_task; --}, with => \1)->{task}{request}, q({"a":"\u0001 $1 {now} % \\ ' \" ünï"}), 'what is odd comes back as it was';
    is rv('cancel', id => $odd->{task}{id}, owner => q{x'; DROP TABLE aigw_task; --}), 'ok', '… and goes';

    # --- once
    my %once = (key => 'k1', fingerprint => 'f1');
    my $first = create('carol', once => \%once);
    my $again = create('carol', once => \%once);
    is_deeply [$again->{rv}, $again->{task}{id}], ['exists', $first->{task}{id}], 'the same key, the same request: the same task';
    is create('carol', once => { %once, fingerprint => 'f2' })->{rv}, 'mismatch', '… another request: a mistake';
    is create('dave', once => \%once)->{rv}, 'ok', '… of another owner: another key';
    is create('carol', once => { %once, key => 'k2', keep => 1 })->{rv}, 'ok', 'a key that is kept for a moment';
    until_so '… is forgotten', sub { create('carol', once => { %once, key => 'k2', fingerprint => 'f9', keep => 60 * SECOND })->{rv} eq 'ok' };

    # --- how many an owner may have
    is create('erin', max => 2)->{rv}, 'ok', 'one of two';
    my $last = create('erin', max => 2);
    is create('erin', max => 2)->{rv}, 'full', '… and no third';
    is create('erin', max => 2, once => { key => 'x', fingerprint => 'y' })->{rv}, 'full', '… nor with a key';
    is create('erin', max => 3, once => { key => 'x', fingerprint => 'z' })->{rv}, 'ok', '… which a refusal has not used up';
    is op('cancel', id => $last->{task}{id}, owner => 'erin')->{task}{state}, CANCELLED, 'one is cancelled';
    is op('get', id => $last->{task}{id}, owner => 'erin', with => \1)->{task}{request}, undef, '… and what was asked goes with it: making and cancelling fills no disk';
    is create('erin', max => 3)->{rv}, 'ok', '… and makes room';
    # at once, by who is new
    my @new = map { "new$_" } 1 .. 10;
    pipe my $start, my $gate;
    my @made = map { my $n = $_; fork // die or do { close $gate; readline $start; eval { create($new[$_], max => $_ < 5 ? 3 : 8, id => sprintf '%08x%08x%016x', $n, $_, $$) } for 0 .. $#new; POSIX::_exit(0) } } 1 .. 8;
    close $gate;
    waitpid $_, 0 for @made;
    is_deeply [map { scalar @{ op('list', owner => $_, state => ANY, limit => 100)->{tasks} } } @new], [(3) x 5, (8) x 5], 'at once: as many as he may, and no more';
    op('cancel', id => $_->[0], owner => $_->[1]) for map { my $who = $_; map { [$_->{id}, $who] } @{ op('list', owner => $who, state => ANY, limit => 100)->{tasks} } } @new;

    # --- pages
    my @ids = map { create('page', priority => $_)->{task}{id} } 1 .. 7;
    my (@seen, $cursor);
    my $pages = 0;
    do {
        my $page = op('list', owner => 'page', state => ANY, limit => 3, cursor => $cursor);
        push @seen, map { $_->{id} } @{ $page->{tasks} };
        $cursor = $page->{next};
    } while ++$pages < 9 && defined $cursor;
    is_deeply [$pages, @seen], [3, reverse @ids], 'pages: all of them, the newest first, each once';
    is rv('list', owner => 'page', state => ANY, limit => 3, cursor => $_), 'invalid', "cursor $_" for '1', '1-2', "1-' OR 1=1", '-1-' . '0' x 32;
    is_deeply [map { $_->{id} } @{ op('list', owner => 'nobody', state => ANY, limit => 3)->{tasks} }], [], 'who has none sees none';
    rv('cancel', id => $ids[0], owner => 'page');
    is_deeply [map { $_->{id} } @{ op('list', owner => 'page', state => CANCELLED, limit => 3)->{tasks} }], [$ids[0]], 'of one state';

    # --- turns: everybody's are done in turn, of one owner the more urgent first
    claim('drain', 100) while @{ op('list', owner => 'page', state => PENDING, limit => 1)->{tasks} };
    my %of = (a => [map { create('a', priority => $_)->{task}{id} } 0, 5, 5], b => [create('b')->{task}{id}], c => [create('c')->{task}{id}]);
    my @turns = claim('h', 4);
    is_deeply [sort map { $_->{owner} } @turns[0 .. 2]], [qw(a b c)], 'turns: everybody once';
    is_deeply [map { $_->{id} } grep { $_->{owner} eq 'a' } @turns], [@{ $of{a} }[1, 2]], '… the more urgent first, then the older';
    is_deeply [map { @$_{qw(state attempts holder number)} } $turns[0]], [RUNNING, 1, 'h', 1], '… it runs, for the first time';
    my @rest = claim('h', 4);
    is_deeply [map { $_->{id} } @rest], [$of{a}[0]], '… and the last';
    is_deeply [claim('h', 4)], [], '… and then there is none';

    create($_) for ('y') x 3, ('x') x 3;
    my @even = claim('h', 6);
    my $owners = join '', map { $_->{owner} } @even;
    like $owners, qr/\A(?:xy|yx){3}\z/, "turns of two who have many, in one claim: $owners";
    end($_, COMPLETED) for @even;

    # --- signs of life, the end
    is beat($turns[0]), 'yours', 'a sign of life';
    is op('get', id => $turns[0]{id}, owner => $turns[0]{owner})->{task}{progress}, 0.5, '… with its progress';
    is beat($turns[0], holder => 'somebody'), 'lost', "… of somebody else's";
    is beat($turns[0], number => 7), 'lost', '… of another claim';
    is end($turns[0], COMPLETED, holder => 'somebody', result => '"wrong"'), 'lost', 'an end of who has not got it';
    is end($turns[0], COMPLETED, result => '{"text":"ü"}', usage => '{"total_tokens":3}'), 'written', '… of who has';
    is end($turns[0], COMPLETED, result => '"another"'), 'written', '… twice';
    my $done = op('get', id => $turns[0]{id}, owner => $turns[0]{owner}, with => \1)->{task};
    is_deeply [@$done{qw(state result usage progress tokens)}], [COMPLETED, '{"text":"ü"}', '{"total_tokens":3}', 1, 3], '… is what was first said';
    is $done->{request}, undef, '… and what was asked is not kept any more';
    cmp_ok abs($done->{expires} - $done->{completed} - 60 * SECOND), '<', SECOND, '… and is kept for so long';
    is beat($turns[0]), 'lost', '… and lives no more';
    is op('cancel', id => $turns[1]{id}, owner => $turns[1]{owner})->{task}{cancelling}, 1, 'one that runs is told to end';
    is beat($turns[1]), 'cancelling', '… at its next sign of life';
    is end($turns[1], CANCELLED), 'written', '… and ends';
    create('a');
    my ($handed) = claim('h', 100);
    op('cancel', id => $handed->{id}, owner => 'a');
    is end($handed, PENDING), 'written', 'one that is told to end is handed back';
    is_deeply [@{ op('get', id => $handed->{id}, owner => 'a')->{task} }{qw(state claims)}], [CANCELLED, 1], '… and nobody runs it again';

    # --- handed back, lost
    is end($turns[2], PENDING), 'written', 'one is handed back';
    is_deeply [@{ op('get', id => $turns[2]{id}, owner => $turns[2]{owner})->{task} }{qw(state attempts claims started)}], [PENDING, 0, 1, 0], '… as if it had never begun';
    my ($back) = grep { $_->{id} eq $turns[2]{id} } claim('h2', 100);
    is_deeply [@$back{qw(attempts holder number)}], [1, 'h2', 2], '… and is begun again, which is not counted';
    is end($turns[2], COMPLETED), 'lost', '… and who had it has it no more';
    is_deeply [map { $_ && $_->{id} } @{ op('look', ids => [$turns[1]{id}, '0' x 32, $back->{id}])->{tasks} }], [$turns[1]{id}, undef, $back->{id}], 'several are looked at';
    end($back, PENDING, delay => 60 * SECOND);
    is_deeply [claim('h2', 100)], [], 'one that is handed back for later is not begun yet';
    my $other = create($back->{owner})->{task}{id};
    my @now = claim('h2', 100);
    is_deeply [map { $_->{id} } @now], [$other], '… another one of its owner is';
    end($now[0], PENDING, delay => 1000);
    until_so '… and a later one, when its time has come', sub { @now = claim('h2', 100) };
    is $now[0]{id}, $other, '… that one';
    end($now[0], COMPLETED);
    op('cancel', id => $back->{id}, owner => $back->{owner});
    my ($short) = (create('f'), claim('h3', 100, 1000))[1];
    until_so 'a lease that is over', sub { op('sweep', attempts => 2, error => '"lost"'); op('get', id => $short->{id}, owner => 'f')->{task}{state} == PENDING };
    is end($short, COMPLETED), 'lost', '… is over';
    my ($second) = grep { $_->{id} eq $short->{id} } claim('h4', 100, 1000);
    is $second->{attempts}, 2, '… the second attempt';
    until_so '… is the last', sub { op('sweep', attempts => 2, error => '{"code":"lost"}'); op('get', id => $short->{id}, owner => 'f')->{task}{state} == FAILED };
    is op('get', id => $short->{id}, owner => 'f')->{task}{error}, '{"code":"lost"}', '… and says why';

    # --- its time is over
    my $brief = create('g', ttl => 1);
    end((claim('h5', 100))[0], COMPLETED, result => '1');
    until_so 'what is kept for a moment is gone before it is swept', sub { rv('get', id => $brief->{task}{id}, owner => 'g') eq 'gone' };
    is_deeply op('list', owner => 'g', state => ANY, limit => 9)->{tasks}, [], '… and on no page';
    until_so 'what was kept for a moment', sub { op('sweep', attempts => 2, error => '""'); rv('get', id => $brief->{task}{id}, owner => 'g') eq 'gone' };
    is rv('get', id => $brief->{task}{id}, owner => 'h'), 'notfound', "… was never another's";

    # --- callbacks
    my ($with) = (create('cb', callback_url => 'https://example.com/hook'), claim('h6', 100))[1];
    is_deeply op('callbacks', max => 10, lease => DAY)->{callbacks}, [], 'callbacks: none before the end';
    end($with, COMPLETED, result => '1');
    my ($due) = @{ op('callbacks', max => 10, lease => 1000)->{callbacks} };
    is_deeply [@$due{qw(task url attempts)}, $due->{id} =~ /\Amsg_/ ? 1 : 0], [$with->{id}, 'https://example.com/hook', 1, 1], '… one then';
    my $later;
    until_so '… again, where nobody said what became of it', sub { ($later) = @{ op('callbacks', max => 10, lease => DAY)->{callbacks} }; $later };
    is_deeply [@$later{qw(id attempts first)}], [$due->{id}, 2, $due->{first}], '… as the same';
    rv('tried', task => $due->{task}, lease => $due->{lease}, next => 0);
    is op('count')->{callbacks}, 1, '… which only who tries it ends';
    rv('tried', task => $later->{task}, lease => $later->{lease}, next => 0);
    is op('count')->{callbacks}, 0, '… for good';
    return;
}

for my $name (@stores) {
    my $server = { pgsql => 'AIGW::Postgres', redis => 'AIGW::Redis' }->{$name};
    $server &&= $server->new;
    my $say = { sqlite => sub { 'AIGWStore sqlite:store/aigw.db' }, pgsql => sub { 'AIGWStore "pgsql:' . $server->conninfo . '"' }, redis => sub { "AIGWStore redis\nAIGWRedis " . $server->url } }->{$name}->();
    $gw = AIGW::Server->new(conf => "$say\nAIGWTaskWorkers 0\n<Location /store>\nSetHandler aigw-test-store\n</Location>\n");
    suite($name);
    $gw->stop;
}
