# The core's client of Redis, by a third party's handler (t/modules/mod_aigw_test.c), against a real redis-server: ways to reach it and to log in; away, killed, stopped, slow, lying; the breaker;
# more threads than connections; and the directives.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use IO::Select ();
use IO::Socket::INET ();
use AIGW::Client qw(get);
use AIGW::Conf qw(conf_check);
use AIGW::Log;
use AIGW::Redis;
use AIGW::Server;
use AIGW::Services qw(free_port slurp spew);

my $prefork = Apache::Test::have_module('mpm_prefork');
my $secret  = 'Sesame-open-7361';
my @logs;

# One child, so that what it knows is known.
my $mpm = "StartServers 1\nServerLimit 1\n"
    . ($prefork ? "MinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 1\n" : "ThreadsPerChild 16\nThreadLimit 16\nMaxRequestWorkers 16\nMinSpareThreads 1\nMaxSpareThreads 16\n");

# o: more: lines of its configuration; env
sub gateway {
    my ($redis, %o) = @_;
    my $s = AIGW::Server->new(conf => "$mpm$redis\n" . ($o{more} // '') . "\n<Location /redis>\nSetHandler aigw-test-redis\n</Location>\n", env => $o{env} || {});
    its_child($s);
    return $s;
}

sub its_child { my ($s) = @_; return $s->{child} = $s->wait_for('a child', 20, sub { my @all = $s->children; @all == 1 && $all[0] }) }

# It still has the child that it had. What a hard stop does to that is not asked: it may crash httpd by itself (docs/faults.md).
sub ended {
    my ($s, $name) = @_;
    my @children = $s->children;
    $s->stop;
    push @logs, $s->log;
    is_deeply [@children, grep { !/AH0005/ } $s->crashes], [$s->{child}], "$name: nothing crashed";
    return;
}

sub path { my ($what, $words, %o) = @_; return "/redis?$what=" . join('%20', map { s/([^\w])/sprintf '%%%02x', ord $1/ger } split / /, $words) . join '', map { "&$_=$o{$_}" } sort keys %o }
sub said { my ($s, @path) = @_; return get(path(@path), port => $s->{port}, timeout => 60)->content =~ s/\n\z//r }
sub cmd  { my ($s, $words, %o) = @_; return said($s, 'cmd', $words, %o) }
sub ev   { my ($s, $words, %o) = @_; return said($s, 'eval', $words, %o) }
sub times_logged { my ($s, $what) = @_; return scalar(() = $s->log =~ /$what: /g) }

# Until it answers again.
sub recovers { my ($s, $name) = @_; ok $s->wait_for('Redis is back', 20, sub { cmd($s, 'PING') eq 'ok PONG/4' }), "$name: it is back by itself" }

# ------------------------------------------------------------------ configuration

my @good = (
    (map { ["AIGWRedis $_", ''] } qw(redis://127.0.0.1 redis://127.0.0.1:6380 redis://localhost/15 REDIS://redis.example:1/0 redis://[::1]:6379/ unix:/run/redis.sock), 'redis://h db=3', 'unix:/x db=3'),
    ["AIGWRedis redis://gw\@h password=env:REDIS_PASSWORD"], ["AIGWRedis unix:/x user=gw password=env:REDIS_PASSWORD db=1"], ["AIGWRedis redis://h password=env:REDIS_PASSWORD"],
    ["AIGWRedisTimeout connect=250ms command=50ms\nAIGWRedisTimeout command=1s\nAIGWRedisTimeout connect=30s"],
    ["AIGWRedisConnections 1\nAIGWRedisConnections 1024"], ["AIGWRedisFailure open\nAIGWRedisFailure closed\nAIGWRedisFailure local"],
    ["AIGWRedisPrefix {aigw}:\nAIGWRedisPrefix {a}\nAIGWRedisPrefix prod:{gw-1}:"],
);
my @wrong = (
    ['AIGWRedis',                                  qr/AIGWRedis: where is it\? Write for example AIGWRedis redis:/],
    (map { ["AIGWRedis $_", qr/AIGWRedis: \Q$_\E is not the address of a Redis: write redis:/] } qw(127.0.0.1:6379 http://127.0.0.1 redis://), 'redis://h:0', 'redis://h:65536', 'redis://h:x', 'redis://h/0#x'),
    (map { ["AIGWRedis $_", qr/AIGWRedis: a password does not stand in the URL \(it is not repeated here\): write password=env:NAME/] } "redis://gw:$secret\@h", "redis://:$secret\@h:1/2"),
    ["AIGWRedis redis://gw:$secret\@h?x",          qr/AIGWRedis: this \(not repeated, it may hold a secret\)/],
    (map { ["AIGWRedis $_", qr/AIGWRedis: unix: needs a whole path, of at most 107 bytes/] } 'unix:', 'unix:run/redis', 'unix:/' . 'x' x 107),
    (map { ["AIGWRedis redis://h$_", qr/AIGWRedis: '[-\w]+' is not the number of a database/] } '/x', '/-1', '/65536', ' db=1x'),
    ["AIGWRedis redis://h password=$secret",       qr/AIGWRedis password: a secret does not stand in the configuration: write env:NAME/],
    ["AIGWRedis redis://h $secret",                qr/AIGWRedis: what stands behind the address is none of password=SOURCE/],
    ['AIGWRedis redis://a@h user=b password=env:X', qr/AIGWRedis: the user is said twice/],
    ['AIGWRedis redis://h user= password=env:X',   qr/AIGWRedis: the user's name is empty/],
    ['AIGWRedis redis://gw@h',                     qr/AIGWRedis: a user needs a password: add password=env:NAME/],
    ["AIGWRedis redis://h\nAIGWRedis redis://i",   qr/AIGWRedis: there is one already, in line 1 of .*snippet/],
    ['AIGWRedis redis://h password=env:AIGW_NOT_SET', qr/AIGW0105: .*snippet:1: AIGWRedis: the password from env:AIGW_NOT_SET cannot be had: this variable is not set/],
    ['AIGWRedisTimeout 50ms',                      qr/AIGWRedisTimeout: '50ms' is none of connect=TIME, command=TIME/],
    (map { ["AIGWRedisTimeout command=$_", qr/AIGWRedisTimeout: '$_' is not a time from 1ms to 30s/] } qw(0 31s x)),
    (map { ["AIGWRedisConnections $_", qr/AIGWRedisConnections: '$_' is not a number of connections of a child: 1 to 1024/] } qw(0 -1 1025 8x)),
    ['AIGWRedisFailure Open',                      qr/AIGWRedisFailure: 'Open' is none of local .*, open .*, closed/],
    (map { ["AIGWRedisPrefix \"$_\"", qr/AIGWRedisPrefix: '\Q$_\E' is no prefix for all keys: .*write for example \{aigw\}:/] } 'aigw:', '{}aigw:', '}{aigw', '{}{aigw}', '{a b}', '{' . 'x' x 64 . '}'),
    (map { ["<VirtualHost *:1>\n$_\n</VirtualHost>", qr/AIGWRedis\w* cannot occur within/] } 'AIGWRedis redis://h', 'AIGWRedisTimeout command=1s', 'AIGWRedisConnections 1', 'AIGWRedisFailure open', 'AIGWRedisPrefix {a}'),
);

my $threaded_tests = $prefork ? 0 : 13;
plan tests => @good + 3 * @wrong + 111 + $threaded_tests, need(need_module('mod_aigw'), { 'redis-server (Debian: redis-server)' => sub { AIGW::Redis->available } });

for (@good) {
    my ($status, $out) = conf_check("$_->[0]\n", env => { REDIS_PASSWORD => $secret });
    is $status, 0, ($_->[0] =~ s/\n/, /gr) . ': passes' or diag $out;
}
for (@wrong) {
    my ($conf, $like) = @$_;
    my ($status, $out) = conf_check("$conf\n");
    my $name = $conf =~ s/\s+/ /gr;
    isnt $status, 0, "$name: fails";
    like $out, $like, "$name: says why";
    unlike $out, qr/\Q$secret\E/, "$name: repeats no secret";
}

# ------------------------------------------------------------------ commands, replies, scripts

my $redis = AIGW::Redis->new(password => '', databases => 8, users => { gw => { password => $secret, rules => '~{aigw}:* -@all +get +set +select' } });
{
    my $proxy = $redis->proxy;
    my $s = gateway("AIGWRedis $proxy->{url}", more => "AIGWRedisTimeout command=10s\nAIGWRedisFailure closed\nAIGWRedisPrefix x{y}:");
    is said($s, 'about', 1), 'failure=2 prefix=x{y}:', 'what the directives say is known to other modules';
    is said($s, 'away', 1), 'away=0', '… and it is there';
    is cmd($s, 'SET a one'), 'ok OK/2', 'a status';
    is cmd($s, 'GET a'), 'ok one/3', '… a string';
    is cmd($s, 'GET nothing'), 'ok nil', '… nil';
    is cmd($s, 'INCRBY n -5'), 'ok -5', '… a number';
    is cmd($s, 'MGET a nothing n'), 'ok [ one/3 nil -5/2 ]3', '… a list';
    is cmd($s, 'EVAL return{1,{2,{3,{}}},false} 0'), 'ok [ 1 [ 2 [ 3 [ ]0 ]2 ]2 nil ]3', '… lists in lists';
    like cmd($s, 'INCR a'), qr/^ok error:ERR value is not an integer/, '… an error, which is an answer';
    is cmd($s, 'SET b %00', lens => 1), 'ok OK/2', 'bytes with a NUL among them';
    is $redis->cmd('GET', 'b'), "\0", '… arrive';
    is cmd($s, 'STRLEN b'), 'ok 1', '… as they are';
    is cmd($s, 'PING', n => 3), "ok PONG/4\nok PONG/4\nok PONG/4", 'several of one request';
    $proxy->forget;
    is ev($s, '1 k 5'), 'ok [ 5 5/1 k/1 ]3', 'a script';
    is ev($s, '1 k 6', lens => 1), 'ok [ 11 6/1 k/1 ]3', '… again';
    is_deeply $proxy->seen->{names}, { EVALSHA => 2, EVAL => 1 }, '… is sent once';
    $redis->cmd('SCRIPT', 'FLUSH');
    is ev($s, '1 k 1', lens => 1), 'ok [ 12 1/1 k/1 ]3', '… and once more when the server has forgotten it';
    is_deeply $proxy->seen->{names}, { EVALSHA => 3, EVAL => 2 }, '… for which it was asked';
    is $proxy->seen->{open}, 1, 'all over one connection';
    $redis->cmd('SET', 'large', 'x' x 900_000);
    is cmd($s, 'GET large'), 'ok .../900000', 'a large reply';
    $redis->cmd('APPEND', 'large', 'x' x 200_000);
    is cmd($s, 'GET large'), 'reset', 'one that is too large is none';
    is cmd($s, 'GET a'), 'ok one/3', '… and is not taken for another';

    # What lies is not believed. Between two lies something true: the breaker stays closed.
    my @lies = ("\x00\xff\x80garbage\r\n", "\$-5\r\n", "\$999999999999999999999\r\n", "*2147483647\r\n", "*65537\r\n", "*-7\r\n", ":12a\r\n", "*1\r\n" x 9 . ":1\r\n", "\r\n\r\n", '$1100000' . "\r\n" . 'x' x 1_090_000, 'HTTP/1.1 400 Bad Request' . "\r\n",
        ("*3\r\n:1\r\n\$3\r\nabcdef\r\n"));
    for my $lie (@lies) {
        my $name = substr($lie, 0, 24) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;
        $proxy->mode('garbage', bytes => $lie);
        my $answer = cmd($s, 'GET a');
        $proxy->mode('pass');
        my $after = cmd($s, 'GET a');
        is "$answer, $after", 'reset, ok one/3', "an answer that is no answer: $name" if $lie ne $lies[0];
        is "$answer, $after", 'reset, ok one/3', 'garbage' if $lie eq $lies[0];
    }
    $proxy->mode('garbage', bytes => "*2\r\n:1\r\n", close => 1);
    is cmd($s, 'GET a'), 'reset', 'half an answer, and then the end';
    $proxy->mode('garbage', bytes => "+one\r\n+two\r\n");
    is cmd($s, 'GET a'), 'ok one/3', 'more than was asked for';
    $proxy->mode('pass');
    is cmd($s, 'GET a'), 'ok one/3', '… is not the answer to the next question';
    ended($s, 'lies');
    cmp_ok times_logged($s, 'AIGW0195'), '>=', 1, '… and the first was logged';
}

# ------------------------------------------------------------------ ways to it

{
    my $s = gateway("AIGWRedis unix:$redis->{socket} db=3");
    is cmd($s, 'SET way unix'), 'ok OK/2', 'a Unix socket';
    $redis->cmd('SELECT', 3);
    is $redis->cmd('GET', 'way'), 'unix', '… and a database by number';
    $redis->cmd('SELECT', 0);
    ended($s, 'unix');

    $s = gateway("AIGWRedis redis://localhost:$redis->{port}/2");
    is cmd($s, 'SET way name'), 'ok OK/2', 'a name, and a database in the URL';
    $redis->cmd('SELECT', 2);
    is $redis->cmd('GET', 'way'), 'name', '… which it is';
    $redis->cmd('SELECT', 0);
    ended($s, 'a name');

    $s = gateway("AIGWRedis redis://gw\@127.0.0.1:$redis->{port}/1 password=env:REDIS_PASSWORD", env => { REDIS_PASSWORD => $secret });
    is cmd($s, 'SET {aigw}:x 1'), 'ok OK/2', 'a user of the ACL';
    like cmd($s, 'SET x 1'), qr/^ok error:NOPERM/, '… with its rights';
    ended($s, 'ACL');

    my $locked = AIGW::Redis->new(password => $secret);
    my $file = spew("$locked->{dir}/password", "$secret\n");
    $s = gateway("AIGWRedis $locked->{socket} password=file:$file" =~ s/ / unix:/r);
    is cmd($s, 'SET a 1'), 'ok OK/2', 'a password from a file';
    $locked->restart;
    is cmd($s, 'PING'), 'ok PONG/4', '… also after a restart of Redis, which is not even noticed';
    ended($s, 'password');
    is times_logged($s, 'AIGW019[4-8]'), 0, '… nor logged';

    for (['a wrong password', 'password=env:REDIS_PASSWORD', qr/AIGW0198: Redis redis:\/\/[\d.:]+: AUTH of user default is refused: WRONGPASS/, "$secret-not"],
        ['no password', '', qr/AIGW0198: Redis redis:\/\/[\d.:]+: it wants a password: add password=env:NAME/, ''],
        ['no such database', 'db=99 password=env:REDIS_PASSWORD', qr/AIGW0198: Redis redis:\/\/[\d.:]+: SELECT 99 is refused: ERR DB index/, $secret]) {
        my ($name, $options, $log, $password) = @$_;
        my $proxy = $locked->proxy;
        $s = gateway("AIGWRedis $proxy->{url} $options", env => { REDIS_PASSWORD => $password });
        my %answers;
        $answers{ cmd($s, 'GET a') }++ for 1 .. 50;
        is_deeply [sort keys %answers], ['again', 'refused'], "$name: no answer";
        cmp_ok $answers{refused}, '<=', 3, '… and it is not tried again and again';
        like $s->log, $log, '… says the log';
        ended($s, $name);
    }
}

# The rights that docs/operations.md gives are those that the modules' scripts and commands need.
{
    my $top = "$ENV{AIGW_SRC}/..";
    my ($rule) = slurp("$top/docs/operations.md") =~ /^user gateway on >THE_PASSWORD (.*)$/m;
    my %given  = map { $_ => 1 } $rule =~ /\+(\w+)/g;
    my @sources = map { slurp($_) } glob "$top/modules/*/*.lua $top/modules/*/*redis*.c";
    my %used = map { lc $_ => 1 } map { (/redis\.call\('(\w+)'/g, /argv\[\] = \{"([A-Z]+)"/g) } @sources;
    is join(' ', sort keys %given), join(' ', sort keys %used, qw(eval evalsha ping select)), 'the rights that the documentation gives are those that are used';
    my $strict = AIGW::Redis->new(users => { gateway => { password => $secret, rules => $rule } });
    my $s = gateway('AIGWRedis redis://gateway@127.0.0.1:' . "$strict->{port}/1 password=env:REDIS_PASSWORD", env => { REDIS_PASSWORD => $secret });
    is cmd($s, 'SET {aigw}:x 1'), 'ok OK/2', '… and are enough to get in';
    like cmd($s, 'CONFIG GET dir'), qr/^ok error:NOPERM/, '… and no more';
    ended($s, 'rights');
}

# ------------------------------------------------------------------ away, killed, stopped, slow

{
    my $late = AIGW::Redis->new;
    $late->stop;
    my $s = gateway("AIGWRedis " . $late->url);
    ok $s->wait_for('a warning', 20, sub { $s->log =~ /AIGW0194: Redis redis:\S+: no connection: .*refused.*: this child starts without it, AIGWRedisFailure local holds/ }), 'away at the start: a warning';
    is join(' ', map { cmd($s, 'PING') } 1 .. 5), 'refused refused again again again', '… three failures, and nobody waits any more';
    is said($s, 'away', 1), 'away=1', '… as is known';
    like $s->log, qr/AIGW0196: Redis redis:\S+ is away, no connection: /, '… and logged';
    $late->start;
    ok $s->wait_for('the breaker closed', 20, sub { said($s, 'away', 1) eq 'away=0' }), '… it comes later: who only asks whether it is away hears so';
    is cmd($s, 'PING'), 'ok PONG/4', '… and it answers';
    like $s->log, qr/AIGW0197: Redis redis:\S+ is back after \d+\.\d s/, '… and logged';

    $late->kill;
    $late->start;
    is cmd($s, 'PING'), 'ok PONG/4', 'killed and restarted while nobody asks: nobody notices';
    $late->kill;
    is cmd($s, 'PING', n => 5), "refused\nrefused\nrefused\nagain\nagain", 'killed: three failures';
    $late->start;
    ok $s->wait_for('the line', 20, sub { times_logged($s, 'AIGW0197') == 2 }), '… started again: it is found to be back while nobody asks';
    is cmd($s, 'PING'), 'ok PONG/4', '… and who asks then has an answer at once';
    is join(' ', map { times_logged($s, "AIGW019$_") } 4, 6 .. 8), '1 2 2 0', 'one line each' or diag $s->log;

    $late->pause;
    is ev($s, '1 k 1', n => 6), "timeup\ntimeup\ntimeup\nagain\nagain\nagain", 'stopped: three time-outs';
    $late->resume;
    recovers($s, 'stopped');
    is $late->cmd('GET', 'k') // 'none', 'none', '… scripts that it did not know were not done';
    is ev($s, '1 k 1'), 'ok [ 1 1/1 k/1 ]3', '… and now are';
    $late->pause;
    is ev($s, '1 k 10', n => 6), "timeup\ntimeup\ntimeup\nagain\nagain\nagain", 'stopped again';
    $late->resume;
    recovers($s, 'stopped again');
    # those whose connection was closed before Redis read them may have been dropped; done twice is none
    like $late->cmd('GET', 'k'), qr/^(?:1|11|21|31)\z/, '… nothing was sent twice';
    ended($s, 'away');
}
{
    my $proxy = $redis->proxy;
    my $s = gateway("AIGWRedis $proxy->{url}", more => 'AIGWRedisTimeout connect=1s command=100ms');
    $redis->cmd(MSET => 'one', 1, 'two', 2, 'k', 0);
    ev($s, '1 k 0');
    $proxy->forget;
    $proxy->mode('hold');
    is cmd($s, 'GET one', n => 2), "timeup\ntimeup", 'answers that are held back: nobody waits for them';
    $proxy->mode('pass');
    is cmd($s, 'GET two'), 'ok 2/1', '… and when they come, nobody takes them for others';

    $proxy->mode('lose');
    is ev($s, '1 k 1'), 'reset', 'an answer that is lost';
    $proxy->mode('pass');
    is cmd($s, 'GET k'), 'ok 1/1', '… it was done, and only once';
    $proxy->mode('reset');
    is ev($s, '1 k 1'), 'reset', 'a connection that is reset';
    $proxy->mode('pass');
    is cmd($s, 'GET k'), 'ok 1/1', '… is no reason to do it later';

    # far slower than the time-out: whoever waited for it would be seen
    $proxy->forget;
    $proxy->mode('pass', delay_ms => 60_000);
    my $answers = cmd($s, 'GET one', n => 300);
    is_deeply [(split /\n/, $answers)[0 .. 2]], [('timeup') x 3], 'a slow one: three wait for a command time-out';
    is scalar(() = $answers =~ /again/g), 297, '… and all others not at all';
    is $proxy->seen->{names}{GET}, 3, '… nothing of theirs is even sent';
    $proxy->wait_seen(PING => 1) if cmd($s, 'GET one', n => 1) && $s->wait_for('a probe', 20, sub { cmd($s, 'GET one'); $proxy->seen->{names}{PING} });
    is $proxy->seen->{names}{GET}, 3, '… but it is tried in the background';
    $proxy->mode('swallow');
    my %answers = map { $_ => 1 } split /\n/, cmd($s, 'GET one', n => 50);
    is_deeply [keys %answers], ['again'], 'one that says nothing at all: the same';
    $proxy->mode('pass');
    recovers($s, 'slow');
    like $s->log, qr/AIGW0195: Redis redis:\S+: no answer to GET in time/, '… and the log says what was wrong';
    # a graceful restart makes new ones, and closes the old
    $proxy->forget;
    $s->signal('USR1');
    $s->wait_gone(30, $s->{child});
    its_child($s);
    is cmd($s, 'GET two'), 'ok 2/1', 'a graceful restart';
    ok $s->wait_for('one connection', 20, sub { $proxy->seen->{open} == 1 }), '… closes the connections of the old children';
    ended($s, 'slow');
}

# The answer to the first comes while the second waits for its own.
{
    my $proxy = $redis->proxy;
    my $s = gateway("AIGWRedis $proxy->{url}", more => 'AIGWRedisTimeout command=2s');
    $proxy->mode('hold');
    is cmd($s, 'GET one'), 'timeup', 'an answer that is held back';
    my $c = AIGW::Client->new(port => $s->{port}, timeout => 60);
    $c->request(GET => path('cmd', 'GET two'));
    $proxy->wait_seen(GET => 2);
    $proxy->mode('pass');
    is $c->response->content, "ok 2/1\n", '… is not that of the next, which comes before it has';
    ended($s, 'held back');
}

# ------------------------------------------------------------------ more threads than connections

if (!$prefork) {
    my $proxy = $redis->proxy(delay_ms => 5);
    my $s = gateway("AIGWRedis $proxy->{url}", more => "AIGWRedisConnections 2\nAIGWRedisTimeout command=20s");
    my @c = map { AIGW::Client->new(port => $s->{port}, timeout => 60) } 1 .. 14;
    $_->request(GET => path('cmd', 'INCR many', n => 10)) for @c;
    my @answers = map { split /\n/, $_->response->content } @c;
    is scalar(grep { /^ok \d+$/ } @answers), 140, 'fourteen threads, two connections: all are answered';
    is_deeply [sort { $a <=> $b } map { /(\d+)/ } @answers], [1 .. 140], '… each with its own answer';
    cmp_ok $proxy->seen->{connections}, '<=', 2, '… over two connections';
    # those that wait while another fails do not wait for their own failure too
    $proxy->mode('hold');
    $proxy->forget;
    $_->close for @c;
    ended($s, 'threads');
    $s = gateway("AIGWRedis " . $redis->url, more => "AIGWRedisConnections 2\nAIGWRedisTimeout command=1s");
    is cmd($s, 'PING'), 'ok PONG/4', 'two connections';
    $redis->pause;
    @c = map { AIGW::Client->new(port => $s->{port}, timeout => 60) } 1 .. 14;
    $_->request(GET => path('cmd', 'PING')) for @c;
    my %got;
    $got{ $_->response->content =~ s/\n//r }++ for @c;
    $redis->resume;
    is_deeply \%got, { timeup => 2, again => 12 }, '… whose holders time out: those that wait for one go with them';
    recovers($s, 'two connections');
    ended($s, 'holders');

    # A place that is taken for longer than a command may last: by one that connects. Its queue is full, so that its kernel answers nobody.
    my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => free_port(), Listen => 1) or die $@;
    $s = gateway('AIGWRedis redis://127.0.0.1:' . $full->sockport, more => "AIGWRedisConnections 1\nAIGWRedisTimeout connect=20s command=50ms");
    close $full->accept;    # the one that the child made at its start
    my @fill = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) } 1 .. 8;
    @c = map { AIGW::Client->new(port => $s->{port}, timeout => 60) } 1 .. 4;
    $_->request(GET => path('cmd', 'PING')) for @c;
    # whichever of them is the one that connects
    my $select = IO::Select->new(map { $_->{fh} } @c);
    my %told;
    while (keys %told < 3) {
        my @ready = $select->can_read(30) or die "nobody is told that all connections are in use\n";
        $select->remove(@ready);
        $told{ fileno $_ } = 1 for @ready;
    }
    my ($connects) = grep { !$told{ fileno $_->{fh} } } @c;
    is join('', map { $_->response->content } grep { $_ != $connects } @c), "again\n" x 3, 'all connections are in use: not tried';
    like $s->log, qr/AIGW0199: Redis redis:\S+: all 1 connections of this child were in use .*raise AIGWRedisConnections/, '… and the log says so';
    is times_logged($s, 'AIGW0199'), 1, '… once';
    close $full;
    close $_ for @fill;
    is $connects->response->content, "refused\n", '… and the one that connects is told';
    ended($s, 'busy');
}

# ------------------------------------------------------------------ the end

{
    my $s = gateway('ServerAdmin nobody@example.com');
    is cmd($s, 'PING'), 'none', 'no AIGWRedis, no Redis';
    ended($s, 'none');
}
is scalar(grep { /\Q$secret\E/ } @logs, $redis->log), 0, 'no log has a password';
log_clean();
