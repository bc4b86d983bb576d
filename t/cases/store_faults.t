# The durable store where things go wrong: the file's folder, owner and mode; a newer version's tables; a disk that is full; PostgreSQL and Redis away, stopped, killed; several gateways that take from one queue while
# they are killed; what the directives say.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(post_json);
use AIGW::Conf qw(conf_check);
use AIGW::Postgres;
use AIGW::Redis;
use AIGW::Server;
use AIGW::Services qw(free_port slurp spew);
use File::Temp ();
use POSIX ();
use Time::HiRes qw(sleep time);

use constant { PENDING => 0, RUNNING => 1, COMPLETED => 2, SECOND => 1_000_000 };

# nobody but the test takes tasks
my $location = "AIGWTaskWorkers 0\n<Location /store>\nSetHandler aigw-test-store\n</Location>\n";
my $pgsql    = AIGW::Postgres->available;
my $tmpfs    = !$> && do { my $d = File::Temp->newdir; system("mount -t tmpfs -o size=64k none $d 2>/dev/null") == 0 && system("umount $d") == 0 };
my @stores   = ('sqlite', $pgsql ? 'pgsql' : (), AIGW::Redis->available ? 'redis' : ());

my @wrong = (
    ['AIGWStore', qr/AIGWStore takes a store/], ['AIGWStore sqlite:', qr/the path of a file is missing: write AIGWStore sqlite:/], ['AIGWStore oracle:x', qr/there is no store "oracle": it is one of .*sqlite/],
    ['AIGWStore pgsql:', qr/pgsql: it is empty .*AIGWStore "pgsql:host=/], ['AIGWStore "pgsql:hots=x"', qr/pgsql: invalid connection option "hots"/],
    ['AIGWStore "pgsql:host=x password=hunter2"', qr/a password does not stand in it: write password=env:NAME/], ['AIGWStore pgsql:host=x user=y', qr/"user=y" is not password=SOURCE; put what belongs together into quotes/],
    ['AIGWStore pgsql:host=x password=hunter2', qr/AIGWStore: password/], ['AIGWStoreSync perhaps', qr/AIGWStoreSync: "perhaps" is neither full nor normal/],
    ['AIGWStoreTimeout 1ms', qr/AIGWStoreTimeout: "1ms" is no time from 10ms to 1min/], ['AIGWStoreConnections 0', qr/AIGWStoreConnections: "0" is no number from 1 to 256/],
    ['AIGWStore redis', qr/AIGW0511: AIGWStore redis: which one\? Write AIGWRedis redis:/], ["AIGWStore redis:localhost\nAIGWRedis redis://localhost", qr/redis: where it is says AIGWRedis: write AIGWStore redis/],
    ["<VirtualHost *>\nAIGWStore sqlite:x\n</VirtualHost>", qr/AIGWStore cannot occur within <VirtualHost>/],
);
plan tests => 2 * @wrong + 1 + 15 + 3 * @stores + 4 * @stores + ($tmpfs ? 6 : 0) + 10 * (@stores - 1), need_module('mod_aigw', 'mod_aigw_test');

my $made = 0;
sub op { my ($gw, $name, %o) = @_; return eval { post_json('/store', { op => $name, %o }, port => $gw->{port}, timeout => 60)->json } // { rv => 'cut' } }
sub create { my ($gw, $owner, %o) = @_; return op($gw, 'create', task => { id => sprintf('%032x', ++$made), owner => $owner, request => '{}', ttl => 3600 * SECOND, %o }, max => 0) }
sub lease_of { my ($task) = @_; return map { $_ => $task->{$_} } qw(id holder number) }
sub until_so { my ($name, $test) = @_; for (my $end = time + 30; time < $end; sleep 0.05) { return pass $name if $test->() } return fail $name }

# ------------------------------------------------------------------ configuration

for (@wrong) {
    my ($conf, $says) = @$_;
    my ($status, $said) = conf_check($conf);
    isnt $status, 0, "$conf: is refused";
    like $said, $says, '… and says why';
}
unlike join('', map { (conf_check($_->[0]))[1] } @wrong), qr/hunter2/, 'no password is repeated';

# ------------------------------------------------------------------ the file

my $gw = AIGW::Server->new(conf => "AIGWStore sqlite:data/aigw.db\n$location");
is create($gw, 'a')->{rv}, 'ok', 'a file in a folder that was not there';
is join(' ', map { sprintf '%04o', (stat "$gw->{dir}/$_")[2] & 07777 } 'data', map { "data/aigw.db$_" } '', '-wal', '-shm'), '0700 0600 0600 0600', '… which nobody else reads';
is join(' ', map { (stat "$gw->{dir}/data/aigw.db$_")[4] } '', '-wal'), join(' ', ($> ? $> : (getpwnam 'nobody')[2]) x 2), '… and is the children\'s';
$gw->stop;
my $none = AIGW::Server->new(stopped => 1, conf => "AIGWStore sqlite:no/such/folder/aigw.db\n$location");
eval { $none->start };
like $none->log . (slurp("$none->{dir}/start") // ''), qr/AIGW0520: .*neither the folder .*such\/folder, which would be made, nor the one above it: make it/, 'a folder that cannot be made: httpd does not start, and says why';
$none->configure("AIGWStore sqlite:httpd.conf\n$location");
chmod 0666, "$none->{dir}/httpd.conf";
chown +(getpwnam 'nobody')[2, 3], "$none->{dir}" if !$>;
eval { $none->start };
like $none->log . (slurp("$none->{dir}/start") // ''), qr/AIGW0503: .*not a database.*it must be a file of SQLite/, 'nor with a file that is no database';

# a file that was there: what httpd -t says of it
{
    my $dir = File::Temp->newdir;
    my $file = "$dir/x.db";
    my @nobody = $> ? ($>, -1) : (getpwnam 'nobody')[2, 3];
    my $user = $> ? '' : join '', "User nobody\nGroup ", scalar getgrgid($nobody[1]), "\n";
    my $says = sub { my ($path) = @_; my ($status, $said) = conf_check("${user}AIGWStore sqlite:" . ($path // $file) . "\n"); return ($status ? 'refused: ' : 'ok: ') . join ' ', $said =~ /(AIGW052\d: .*)/g };
    chmod 0700, "$dir";
    chown @nobody, "$dir";
    is $says->(), 'ok: ', 'a file that is not there yet';
    spew($file, '');
    chmod 0600, $file;
    chown @nobody, $file;
    is $says->(), 'ok: ', '… one that is only ours';
    chmod 0640, $file;
    like $says->(), qr/\Aok: AIGW0521: .*\Q$file\E, .* is of mode 640 and of user $nobody[0]: /, '… that others may read: a warning';
    like $says->("$dir/no/such/x.db"), qr/\Arefused: AIGW0520: .*neither the folder \Q$dir\E\/no\/such/, 'a folder that is not there: refused';
    is $says->("$dir/no/x.db"), 'ok: ', '… one that would be made';
    like $says->("$dir"), qr/\Arefused: AIGW0520: .*it is a folder: name a file in it/, '… what is a folder itself';
    like $says->("$file/x.db"), qr/\Arefused: AIGW0520: .*x\.db is no folder/, '… what is in a file';
  SKIP: {
        skip 'root only', 3 if $>;
        chown 0, 0, $file;
        like $says->(), qr/\Arefused: AIGW0520: .*may not read and write it: give it to him/, "somebody else's: refused";
        chmod 0666, $file;
        like $says->(), qr/\Aok: AIGW0521: .*is of mode 666 and of user 0: /, '… but a warning where everybody may';
        chown 0, 0, "$dir";
        chmod 0755, "$dir";
        chown @nobody, $file;
        like $says->(), qr/\Arefused: AIGW0520: .*its folder \Q$dir\E must be of the user/, '… and a folder of somebody else: refused';
    }
}

# ------------------------------------------------------------------ each store

for my $name (@stores) {
    my $server = { pgsql => sub { AIGW::Postgres->new }, redis => sub { AIGW::Redis->new(conf => ['appendonly yes']) } }->{$name};
    $server &&= $server->();
    my $dir = File::Temp->newdir;
    chown +(getpwnam 'nobody')[2, 3], "$dir" if !$>;
    my $store = { sqlite => sub { "AIGWStore sqlite:$dir/aigw.db" }, pgsql => sub { 'AIGWStore "pgsql:' . $server->conninfo . "\"\nAIGWStoreConnections 2" }, redis => sub { "AIGWStore redis\nAIGWRedis " . $server->url . "\nAIGWStoreConnections 2" } }->{$name}->();
    my @gw = map { AIGW::Server->new(conf => "$store\n$location" . (Apache::Test::have_module('mpm_prefork') ? '' : "StartServers 2\nServerLimit 2\nThreadsPerChild 8\nMaxRequestWorkers 16\n")) } 1, 2;

    # two gateways of several children each, eight clients that make, take and end; children are killed meanwhile
    my (@made, @clients);
    push @made, create($gw[$_ % 2], 'owner' . $_ % 5)->{task}{id} for 1 .. 120;
    for my $n (1 .. 8) {
        pipe my $out, my $in;
        my $pid = fork // die;
        if (!$pid) {
            my $until = time + 60;
            close $out;
            while (time < $until) {
                my $said = op($gw[$n % 2], 'claim', holder => "h$n", max => 3, lease => 2 * SECOND);
                if ($said->{rv} eq 'ok' && !@{ $said->{tasks} }) {
                    my $count = op($gw[$n % 2], 'count');
                    last if $count->{rv} eq 'ok' && $count->{states}[PENDING] + $count->{states}[RUNNING] == 0;
                    op($gw[$n % 2], 'sweep', attempts => 100, error => '""');
                }
                for my $task (@{ $said->{tasks} || [] }) {
                    my $end = op($gw[$n % 2], 'end', ends => [{ lease_of($task), state => COMPLETED, tokens => 1, result => "\"h$n $task->{number}\"" }]);
                    syswrite $in, "$task->{id} h$n $task->{number} " . ($end->{rv} eq 'ok' ? $end->{said}[0] // 'unknown' : 'unknown') . "\n";
                }
            }
            POSIX::_exit(0);
        }
        close $in;
        push @clients, [$pid, $out];
    }
    for my $gone (1 .. 4) {
        my @children = $gw[$gone % 2]->children;
        kill 'KILL', (split m{/}, $children[0])[0] if @children;
        sleep 0.3;
    }
    my (%ends, %written);
    for (@clients) {
        my ($pid, $out) = @$_;
        while (my $line = readline $out) { my ($id, @rest) = split ' ', $line; push @{ $ends{$id} }, "@rest"; $written{$id}{"\"$rest[0] $rest[1]\""} = 1 if $rest[2] ne 'lost' }
        waitpid $pid, 0;
    }
    my %found = map { my $task = op($gw[0], 'get', id => $made[$_ - 1], owner => 'owner' . $_ % 5, with => \1)->{task}; $made[$_ - 1] => $task } 1 .. 120;
    is_deeply [grep { $found{$_}{state} != COMPLETED } @made], [], "$name: two gateways, children that are killed: every task was done";
    is_deeply [grep { !$written{$_}{ $found{$_}{result} // '' } } @made], [], '… its result is that of one who was told so, or was not told';
    is_deeply [grep { my $id = $_; 1 < grep { / written\z/ } @{ $ends{$id} } } @made], [], '… and no two were told so';
    $gw[1]->stop;

    # a newer version
    $gw[0]->stop;
    my $version = sub {
        my $sql = "UPDATE aigw_meta SET value = $_[0] WHERE name = 'schema'";
        return { sqlite => sub { system 'sqlite3', "$dir/aigw.db", $sql }, pgsql => sub { $server->sql($sql) }, redis => sub { $server->cmd('SET', '{aigw}:store:version', $_[0]) } }->{$name}->(@_);
    };
    $version->(99);
    eval { $gw[0]->start };
    my $says = $name eq 'redis' ? 'AIGW0513' : 'AIGW0504';
    ok $gw[0]->wait_for('the refusal', 20, sub { $gw[0]->log =~ /$says: .*version 99/ }), "$name: what a newer version has made: httpd does not start, and says why";
    $version->(1);
    $gw[0]->stop;
    $gw[0]->start;
    is op($gw[0], 'get', id => $made[0], owner => 'owner1')->{rv}, 'ok', '… and it does when they are known';
    is_deeply [grep { !/AH00052.*signal (?:Killed|SIGKILL)/ } $gw[0]->crashes, $gw[1]->crashes], [], 'nothing crashed but who was killed';
    unlike $gw[0]->log . $gw[1]->log, qr/AIGW0502|AIGW0517/, '… and no statement was refused';

    next if !$server;

    # --- away
    my ($is, $away, $starts) = $name eq 'redis' ? ('Redis', 'AIGW0510', 'AIGW0512') : ('PostgreSQL', 'AIGW0507', 'AIGW0508');
    $server->pause;
    my $began = time;
    is create($gw[0], 'p')->{rv}, 'again', "$is is stopped: not now";
    cmp_ok time - $began, '<', 30, '… after a while';
    like $gw[0]->log, qr/$away: .*no answer in time/, '… and the log says why';
    $server->resume;
    until_so '… until it goes on', sub { create($gw[0], 'p')->{rv} eq 'ok' };
    $server->kill_hard;
    is create($gw[0], 'p')->{rv}, 'again', "$is is killed: not now";
    $server->start;
    until_so '… until it is back', sub { create($gw[0], 'p')->{rv} eq 'ok' };
    is op($gw[0], 'get', id => $made[0], owner => 'owner1')->{rv}, 'ok', '… with all that was in it';
    $gw[0]->stop;
    $server->stop;
    $gw[0]->start;
    ok $gw[0]->wait_for('the warning', 20, sub { $gw[0]->log =~ /$starts: / }), "$is is away when httpd starts: a warning";
    is op($gw[0], 'ping')->{rv}, 'again', '… it starts without';
    $server->start;
    until_so '… and finds it', sub { op($gw[0], 'ping')->{rv} eq 'ok' };
}

# ------------------------------------------------------------------ a full disk

if ($tmpfs) {
    my $dir = File::Temp->newdir;
    system("mount -t tmpfs -o size=1m,mode=0777 none $dir") == 0 or die;
    my $full = AIGW::Server->new(conf => "AIGWStore sqlite:$dir/aigw.db\n$location");
    my ($said, @kept);
    while (($said = create($full, 'full', request => '"' . 'x' x 20_000 . '"'))->{rv} eq 'ok' && @kept < 200) { push @kept, $said->{task}{id} }
    is $said->{rv}, 'again', 'a full disk: not now';
    cmp_ok scalar @kept, '>', 5, '… after some';
    like $full->log, qr/AIGW0501: .*full/, '… and the log says why';
    is_deeply [grep { op($full, 'get', id => $_, owner => 'full')->{rv} ne 'ok' } @kept], [], '… what was accepted is there';
    system("mount -o remount,size=8m $dir") == 0 or die;
    until_so '… and there is room again by itself', sub { create($full, 'full', request => '"' . 'x' x 20_000 . '"')->{rv} eq 'ok' };
    $full->stop;
    is_deeply [$full->crashes], [], 'nothing crashed';
    system("umount $dir");
}
