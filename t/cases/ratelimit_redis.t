# mod_aigw_ratelimit in Redis: exact over children and over two gateways; what happens where Redis is killed, stopped, slow or forgetful, and that it is well again by itself;
# what calls hold open is given back, however they and their child end.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);
use AIGW::Client qw(get);
use AIGW::Log;
use AIGW::Raw;
use AIGW::Redis;
use AIGW::Server;
use AIGW::Services qw(slurp);

my ($mpm) = map { /(\w+)/ } grep { Apache::Test::have_module("mpm_$_") } qw(event worker prefork);
my $refused = '429 rate_limit_error rate_limit_exceeded';
plan tests => 4 + 7 + 4 + 3 * 22 - 3 + 5 + 5 + 3 + 2 + 3 + 2 + 4 + 2 + 4 + 2 + 3 + 8, need_module('mod_aigw', 'mod_aigw_ratelimit'), sub { AIGW::Redis->available };

# ------------------------------------------------------------------ gateways

sub gateway {
    my ($url, %o) = @_;
    my $more = $o{conf} // '';
    return AIGW::Server->new(conf => <<"CONF");
AIGWErrors on
AIGWRedis $url
AIGWRedisFailure @{[ $o{failure} // 'local' ]}
AIGWLimitStore redis
AIGWLimitLease @{[ $o{lease} // '60s' ]}
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
<AIGWModel raw>
    AIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1
    AIGWTokenEstimate bytes=4
</AIGWModel>
AIGWLimitBy header:X-Team
<Location /window>
    SetHandler aigw-models
    AIGWLimit requests 100/hour
</Location>
<Location /bucket>
    SetHandler aigw-models
    AIGWLimit requests 100/day algorithm=token-bucket burst=100
</Location>
<Location /small>
    SetHandler aigw-models
    AIGWLimit requests 2/hour
</Location>
<Location /large>
    SetHandler aigw-models
    AIGWLimit requests 1000000/hour
</Location>
<Location /tokens>
    SetHandler aigw-chat-completions
    AIGWLimit tokens 100/hour
</Location>
<Location /slots>
    SetHandler aigw-chat-completions
    AIGWLimit concurrent 2
</Location>
<Location /server-status>
    SetHandler server-status
</Location>
<IfModule !mpm_prefork_module>
    StartServers 3
    ServerLimit 3
    ThreadsPerChild 16
    MaxRequestWorkers 48
    MinSpareThreads 48
    MaxSpareThreads 48
</IfModule>
$more
CONF
}

sub ask { my ($s, $path, $team) = @_; return get($path, port => $s->{port}, headers => ['X-Team' => $team]) }
sub what { my ($r) = @_; my $e = $r->{status} >= 400 ? $r->json->{error} : undef; return $e ? join ' ', $r->{status}, $e->{type}, $e->{code} // 'null' : $r->{status} }

# Eight clients, each 50 requests, or until they are told to stop: how often which status. The longest that one took is in {longest}.
sub hammer {
    my ($servers, $path, $team, $during, $endless) = @_;
    my @pipes;
    pipe my $stop, my $go or die $!;
    for my $client (0 .. 7) {
        pipe my $in, my $out or die $!;
        my $pid = fork // die $!;
        if (!$pid) {
            close $go;
            my ($s, $longest, %count) = ($servers->[$client % @$servers], 0);
            for (my $n = 0; $endless ? !IO::Select->new($stop)->can_read(0.002) : $n < 50; $n++) {
                my $began = time;
                $count{ eval { ask($s, $path, $team)->{status} } // 'lost' }++;
                $longest = time - $began if time - $began > $longest;
            }
            syswrite $out, join(' ', (map { "$_=$count{$_}" } sort keys %count), sprintf 'longest=%d', 1000 * $longest) . "\n";
            POSIX::_exit(0);
        }
        push @pipes, [$pid, $in];
        close $out;
    }
    close $stop;
    my $ok = !$during || eval { $during->(); 1 };
    my $why = $@;
    close $go;
    my %all = (longest => 0);
    for (@pipes) {
        my ($pid, $in) = @$_;
        my $line = <$in> // '';
        while ($line =~ /(\w+)=(\d+)/g) { $1 eq 'longest' ? ($all{longest} = $2 > $all{longest} ? $2 : $all{longest}) : ($all{$1} += $2) }
        waitpid $pid, 0;
    }
    die $why if !$ok;
    return \%all;
}
sub statuses { my ($all) = @_; return { map { $_ => $all->{$_} } grep { $_ ne 'longest' } keys %$all } }
sub lines { my ($s, $re) = @_; my $log = $s->log; return scalar(() = $log =~ /$re/g) }

# ------------------------------------------------------------------ Redis

my $redis = AIGW::Redis->new;

# What all windows have counted.
sub used {
    my $sum = 0;
    for (map { $redis->cmd('GET', $_) // '' } grep { $redis->cmd('TYPE', $_) eq 'string' } @{ $redis->cmd('KEYS', '*') }) {
        my (undef, @counts) = split ' ';
        $sum += $_ for @counts;
    }
    return $sum;
}

# Each child finds out by itself: until all that found it away have found it back, and many requests in a row are counted by Redis.
sub well_again {
    my ($s) = @_;
    return $s->wait_for('children that are well again', 20, sub { lines($s, 'AIGW0196') == lines($s, 'AIGW0197') or return; my $before = used(); ask($s, '/large', 'well') for 1 .. 15; return used() == $before + 15 });
}

# ------------------------------------------------------------------ exact

# a machine that is busy with other tests is no Redis that is away
my ($one, $two) = map { gateway($redis->url, conf => 'AIGWRedisTimeout command=5s') } 1 .. 2;
is_deeply statuses(hammer([$one], '/window', 'a')), { 200 => 100, 429 => 300 }, 'eight clients, three children, 400 requests, a limit of 100: exactly 100';
is_deeply statuses(hammer([$one], '/bucket', 'a')), { 200 => 100, 429 => 300 }, '… of a token bucket too';
is_deeply statuses(hammer([$one, $two], '/window', 'b')), { 200 => 100, 429 => 300 }, 'two gateways: exactly 100';
is_deeply statuses(hammer([$one, $two], '/bucket', 'b', sub { $redis->cmd('SCRIPT', 'FLUSH') for 1 .. 20 })), { 200 => 100, 429 => 300 }, '… of a bucket, while Redis forgets the script: exactly 100';

# ------------------------------------------------------------------ what clients are told

my $r = ask($one, '/small', 'c');
is join(' ', map { $r->header($_) } qw(x-ratelimit-limit-requests x-ratelimit-remaining-requests X-RateLimit-Remaining RateLimit-Policy)), '2 1 1 "requests";q=2;w=3600', 'headers';
cmp_ok $r->header('x-ratelimit-reset-requests') =~ /^(\d+)h(\d+)m/ ? $1 * 60 + $2 : -1, '>=', 60, '… the time until all is back: of the window and its slice';
is what(ask($two, '/small', 'c')), 200, 'the second at the other gateway';
$r = ask($one, '/small', 'c');
is what($r), $refused, 'the third is refused';
cmp_ok $r->header('Retry-After'), '>', 3000, '… for most of an hour';
is $r->header('x-ratelimit-remaining-requests'), 0, '… and nothing is left';
is_deeply [grep { $redis->cmd('PTTL', $_) <= 0 } @{ $redis->cmd('KEYS', '*') }], [], 'every key expires';

# ------------------------------------------------------------------ Redis is restarted

my $all = hammer([$one, $two], '/window', 'd', sub {
    $one->wait_for('requests', 20, sub { @{ $redis->cmd('KEYS', '*') } });
    $redis->restart;
});
is $all->{lost}, undef, 'Redis is restarted in the middle of it: everybody is answered';
is $all->{200} + $all->{429}, 400, '… with yes or no';
cmp_ok $all->{200}, '<=', 100 + 100 + 2 * 100, '… never more than the limit of Redis before and after, and of both machines between' or diag explain $all;
well_again($_) for $one, $two;
is what(ask($one, '/small', 'f')) . what(ask($two, '/small', 'f')) . what(ask($one, '/small', 'f')), "200200$refused", 'then it counts again';
$_->stop for $one, $two;

# ------------------------------------------------------------------ without Redis

# One trouble of Redis's under load. The gateway has found out when it says so, and is well again when it says that.
sub trouble {
    my ($s, $failure, $name, $begin, $end) = @_;
    my ($away, $back) = map { lines($s, $_) } 'AIGW0430', 'AIGW0431';
    my $team = "$name-" . int rand 1e9;
    my @answers;
    my $all = hammer([$s], '/large', 'load', sub {
        $begin->();
        $s->wait_for("a gateway that notices ($name)", 20, sub { lines($s, 'AIGW0430') > $away });
        # every child has to notice; a question that still waits is answered like the others
        @answers = map { ask($s, '/small', $team) } 1 .. 8;
        $end->();
        $s->wait_for("a gateway that is well again ($name)", 20, sub { lines($s, 'AIGW0431') - $back == lines($s, 'AIGW0430') - $away });
    }, 1);
    is $all->{lost}, undef, "$failure, $name: every client is answered";
    my @other = grep { !/^(?:200|longest)$/ } keys %$all;
    is "@other", $failure eq 'closed' ? '503' : '', '… as it should be';
    my $whats = join ',', map { what($_) } @answers;
    my %expected = (open => join(',', (200) x 8), local => qr/^200,200(?:,\Q$refused\E){6}\z/, closed => join(',', ('503 server_error store_unavailable') x 8));
    like $whats, ref $expected{$failure} ? $expected{$failure} : qr/^\Q$expected{$failure}\E\z/, "… what AIGWRedisFailure $failure says";
    is $answers[0]->header('x-ratelimit-remaining-requests'), $failure eq 'local' ? 1 : undef, '… and the headers say only what is known' if $failure ne 'closed';
    well_again($s);
    is what(ask($s, '/small', "$team-after")) . what(ask($s, '/small', "$team-after")) . what(ask($s, '/small', "$team-after")), "200200$refused", '… then it counts again';
    cmp_ok $all->{longest}, '<', 5000, '… and nobody waited for long';
    ok $s->wait_for('idle workers', 20, sub { get('/server-status?auto', port => $s->{port})->content =~ /^BusyWorkers: 1$/m }), '… no worker hangs';
    return;
}

$redis->cmd('FLUSHALL');
for my $failure (qw(local open closed)) {
    my $proxy = $redis->proxy;
    my $s = gateway($proxy->{url}, failure => $failure, conf => 'AIGWRedisTimeout command=50ms connect=250ms');
    trouble($s, $failure, 'killed', sub { $redis->kill }, sub { $redis->start });
    trouble($s, $failure, 'stopped', sub { $redis->pause }, sub { $redis->resume });
    trouble($s, $failure, 'slow', sub { $proxy->mode('pass', delay_ms => 100) }, sub { $proxy->mode('pass') });
    $s->stop;
    is lines($s, 'exit signal|AIGW0432'), 0, '… no child has crashed';
}

# ------------------------------------------------------------------ calls

my $gw = gateway($redis->url, lease => '1s');

# A call that has begun and waits in the middle of its answer, unless it is refused. Costs 40 tokens.
sub begin {
    my ($path, $team, %more) = @_;
    my $tag = tag();
    my $c = AIGW::Client->new(port => $gw->{port});
    my %body = (model => 'raw', scenario => 'gate:2', tag => $tag, stream => \1, max_tokens => 30, messages => [{ role => 'user', content => 'x' x 12 }], %more);
    $c->request(POST => $path, headers => ['X-Team' => $team], json => \%body);
    return { client => $c, tag => $tag };
}
sub status { my ($call) = @_; $call->{head} ||= $call->{client}->head; return $call->{head}{status} }
sub finish { my ($call) = @_; status($call); raw_go($call->{tag}); return ($call->{client}->events)[-1]{data} }

sub members { return map { @{ $redis->cmd('ZRANGE', $_, 0, -1) } } grep { $redis->cmd('TYPE', $_) eq 'zset' } @{ $redis->cmd('KEYS', '*') } }
sub none_held { my ($why) = @_; return ok $gw->wait_for('calls that hold nothing', 20, sub { !members() }), $why }
# After the lease of what is held now
sub after_lease {
    my ($key) = grep { $redis->cmd('TYPE', $_) eq 'zset' } @{ $redis->cmd('KEYS', '*') };
    my (undef, $until) = @{ $redis->cmd('ZRANGE', $key, 0, 0, 'WITHSCORES') };
    $gw->wait_for('time', 20, sub { my ($s, $us) = @{ $redis->cmd('TIME') }; $s * 1e6 + $us > $until });
    return;
}

$redis->cmd('FLUSHALL');
my @calls = map { begin('/tokens', 'a') } 1 .. 5;
is join(' ', sort map { status($_) } @calls), '200 200 429 429 429', 'five calls of 40 tokens at once, a limit of 100: two';
is used(), 80, '… their tokens are reserved';
my @two = grep { status($_) == 200 } @calls;
after_lease();
is((status(begin('/tokens', 'a'))), 429, '… for as long as they run');
finish($_) for @two;
none_held('then nothing is reserved');
my $each = used() / 2;
cmp_ok $each, '<', 40, "… but charged what was used: $each each";

$redis->cmd('FLUSHALL');
@calls = map { begin('/slots', 'a') } 1 .. 2;
is join(' ', map { status($_) } @calls), '200 200', 'two calls at a time';
my $third = begin('/slots', 'a');
is what($third->{client}->response), '429 rate_limit_error concurrency_limit_exceeded', 'a third is refused';
after_lease();
is status(begin('/slots', 'a')), 429, '… for as long as they run';
$redis->restart;
$gw->wait_for('slots', 20, sub { members() == 2 });
pass 'what runs comes back after Redis was restarted';
finish($_) for @calls;
none_held('… and goes when it ends');

# ------------------------------------------------------------------ however they end

$redis->cmd('FLUSHALL');
@calls = (begin('/tokens', 'b'), begin('/slots', 'b'), begin('/slots', 'b'));
status($_) for @calls;
is scalar(members()), 3, 'three calls';
my @children = $gw->children;
kill KILL => map { (split m{/})[0] } @children;
$gw->wait_gone(20, @children);
$gw->wait_for('slots of children that were killed', 20, sub { my $call = begin('/slots', 'b', scenario => 'ok'); status($call) == 200 });
$gw->wait_for('tokens of children that were killed', 20, sub { my $call = begin('/tokens', 'b', max_tokens => 90, scenario => 'ok'); status($call) == 200 });
pass 'their children are killed: after the lease all of it is free again';
none_held('… and nothing is held');

$redis->cmd('FLUSHALL');
@calls = (begin('/tokens', 'c'), begin('/slots', 'c'));
status($_) for @calls;
is scalar(members()), 2, 'two calls';
$_->{client}->close for @calls;
none_held('their clients have gone: nothing is held');

$redis->cmd('FLUSHALL');
@calls = (begin('/tokens', 'd'), begin('/slots', 'd'));
status($_) for @calls;
$redis->pause;
finish($_) for @calls;
pass 'calls end while Redis is stopped: their clients do not wait';
$redis->resume;
none_held('… and when it goes on it is told');
is used(), $each, '… of each once';

$redis->cmd('FLUSHALL');
@calls = (begin('/tokens', 'e'), begin('/slots', 'e'));
status($_) for @calls;
$redis->kill;
finish($_) for @calls;
$redis->start;
$gw->wait_for('a child that tells Redis', 20, sub { used() });
is used(), $each, 'calls end while Redis is killed: what they used is charged when it is back';
none_held('… and nothing is held');

$redis->cmd('FLUSHALL');
@calls = (begin('/tokens', 'f'), begin('/slots', 'f'));
status($_) for @calls;
@children = $gw->children;
$gw->signal('USR1');
$gw->wait_for('a restart', 20, sub { lines($gw, 'resuming normal operations') == 2 });
after_lease();
is scalar(members()), 2, 'calls of children that are to go are held on';
finish($_) for @calls;
$_->{client}->close for @calls;
$gw->wait_gone(20, @children);
is join(',', members()), '', 'when the children have gone nothing is held';
is used(), $each, '… and what was used is charged';
$gw->stop;
is lines($gw, 'exit signal (?!Killed)|AIGW043[2356]'), 0, 'no child has crashed, nothing was lost' or diag $gw->log;

# ------------------------------------------------------------------ answers that are lost: it was done, and nobody knows

my $proxy = $redis->proxy;
$gw = gateway($proxy->{url}, lease => '1s', conf => "StartServers 1\n<Location /dry>\nSetHandler aigw-models\nAIGWLimit requests 2/hour\nAIGWLimitMode dry-run\n</Location>");
$redis->cmd('FLUSHALL');
@calls = (begin('/tokens', 'g'), begin('/slots', 'g'));
status($_) for @calls;
$proxy->mode('lose');
finish($_) for @calls;
$gw->wait_for('a settlement whose answer is lost', 20, sub { used() == $each });
my ($key) = grep { $redis->cmd('TYPE', $_) eq 'string' } @{ $redis->cmd('KEYS', '*') };
$proxy->mode('pass');
well_again($gw);
finish(begin('/tokens', 'g')); # it is told behind the other
none_held('settlements whose answers were lost are told again');
is eval { (split ' ', $redis->cmd('GET', $key))[1] }, 2 * $each, '… and charged once';

$redis->cmd('FLUSHALL');
$proxy->mode('lose');
my $call = begin('/tokens', 'h');
is status($call), 200, 'a decision whose answer is lost: this machine decides';
is scalar(members()), 1, '… though Redis has reserved tokens';
$proxy->mode('pass');
finish($call);
after_lease();
well_again($gw);
my $large = begin('/tokens', 'h', max_tokens => 90, scenario => 'ok');
is status($large), 200, '… which are there again after their lease';
none_held('… and nothing is held');

# ------------------------------------------------------------------ dry run

is join(' ', map { my $answer = ask($gw, '/dry', 'i'); $answer->{status} . ($answer->header('x-ratelimit-limit-requests') // '') } 1 .. 4), '200 200 200 200', 'a dry run refuses nothing';
is lines($gw, 'AIGW0421'), 2, '… and says what it would have';
$gw->stop;

$gw = gateway($proxy->{url}, conf => 'StartServers 1');
$redis->cmd('FLUSHALL');
$redis->cmd('CONFIG', 'RESETSTAT');
$proxy->mode('lose');
$call = begin('/slots', 'j');
is status($call), 200, 'an answer is lost, and there are minutes until the lease is over';
like $redis->cmd('INFO', 'commandstats'), qr/^cmdstat_zadd:calls=1,/m, '… though Redis has given a slot';
$proxy->mode('pass');
none_held('… it is told that nobody has it');
finish($call);
$gw->stop;

# ------------------------------------------------------------------ configuration

for (
    ['AIGWLimitStore redis', qr/AIGW0437: .*AIGWRedis redis:/],
    ['AIGWLimitStore disk', qr/AIGWLimitStore: "disk" is neither memory nor redis/],
    ['AIGWLimitLease 0s', qr/AIGWLimitLease: "0s" is no time from 1s to 1h/],
    ["<VirtualHost *>\nAIGWLimitStore memory\n</VirtualHost>", qr/AIGWLimitStore cannot occur within <VirtualHost>/],
) {
    my ($conf, $remedy) = @$_;
    my $none = AIGW::Server->new(stopped => 1, conf => $conf);
    my $said = `$none->{httpd} -d $none->{dir} -f $none->{dir}/httpd.conf -t 2>&1`;
    isnt $?, 0, "$conf: configtest fails";
    like $said . $none->log, $remedy, '… and says why';
}
