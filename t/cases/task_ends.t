# What becomes of a task that has ended: an answer that the store refuses takes nothing from the others; 410 for a day once its time is over, then 404. And bodies that make none.
# any MPM
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use File::Temp ();
use IPC::Open2 qw(open2);
use Time::HiRes qw(time);
use AIGW::Client qw(get post_json);
use AIGW::Raw;
use AIGW::Server;
use AIGW::Services qw(slurp spew);

my ($faketime) = grep { -e } glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
$faketime = undef if (slurp(Apache::Test::vars('httpd')) // '') =~ /LD_PRELOAD/;    # a sanitizer: one library before all others is enough

my @paths = ('/api/v1/tasks', '/ai/jobs');
my $conf  = "AIGWErrors on\nAIGWStore sqlite:data/aigw.db\nAIGWStoreTimeout 200ms\n<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\n<AIGWModel raw>\nAIGWUpstream openai http://127.0.0.1:$ENV{AIGW_RAW_PORT}/v1\n</AIGWModel>\nAIGWDefaultModel echo\n"
    . join '', map { "<Location $_>\nSetHandler aigw-tasks\n</Location>\n" } @paths;

# What is sent, what it is answered with. 10,000 deep, and about a MiB, which is AIGWTaskMaxBody.
my $n = 10_000;
my ($open, $shut) = ('{"a":[' x ($n / 2), ']}' x ($n / 2));
my @bodies = (
    ['brackets'                    => '[' x $n,                                                              400, 'invalid_json'],
    ['objects and arrays'          => "$open 1 $shut",                                                       400, 'invalid_json'],
    ['a deep prompt'               => qq({"prompt":$open 1 $shut}),                                          400, 'invalid_json'],
    ['a deep body'                 => qq({"endpoint":"/v1/chat/completions","body":$open 1 $shut}),          400, 'invalid_json'],
    ['a deep member of a body'     => qq({"endpoint":"/v1/chat/completions","body":{"messages":$open 1 $shut}}), 400, 'invalid_json'],
    ['a deep body that is not shut' => qq({"endpoint":"/v1/chat/completions","body":$open),                  400, 'invalid_json'],
    ['a body of a MiB and more'    => '{"prompt":"' . 'x' x 1_048_576 . '"}',                                413, 'request_too_large'],
    ['one of 20 MB'                => '{"prompt":"' . 'x' x 20_000_000 . '"}',                               413, 'request_too_large'],
    ['one of a MiB, deep'          => '[' x 1_048_576,                                                       400, 'invalid_json'],
    ['one of a MiB, all members'   => '{' . join(',', map { qq("k$_":1) } 1 .. 90_000) . '}',                400, 'invalid_json'],
    ['one of a MiB less a little'  => '{"prompt":"' . 'x' x 1_000_000 . '"}',                                202, undef],
);
plan tests => @paths * 2 * @bodies + 3 + 6 + ($faketime ? 9 : 0), need { sqlite3 => sub { grep { -x "$_/sqlite3" } split /:/, $ENV{PATH} } }, need_module('mod_aigw', 'mod_aigw_stream', 'mod_aigw_tasks');

my $s  = AIGW::Server->new(conf => $conf);
my $db = "$s->{dir}/data/aigw.db";
sub sql { my ($sql) = @_; my $said = `sqlite3 -cmd '.timeout 20000' '$db' "$sql"`; $? and die "sqlite3: $sql\n"; return $said =~ s/\n\z//r }
sub task { my ($id) = @_; return get("/api/v1/tasks/$id", port => $s->{port})->json }
sub code { my ($r) = @_; return join ' ', $r->{status}, $r->{status} >= 400 ? ($r->header('Content-Type'), @{ $r->json->{error} }{qw(type code)}) : () }

# ------------------------------------------------------------------ bodies

for my $path (@paths) {
    for (@bodies) {
        my ($name, $body, $status, $code) = @$_;
        for my $chunked (0, 1) {
            my $r = AIGW::Client::once(POST => $path, port => $s->{port}, headers => { 'Content-Type' => 'application/json' }, body => $body, chunked => $chunked);
            is code($r), $code ? "$status application/json invalid_request_error $code" : $status, "$path, $name" . ($chunked ? ', in chunks' : '');
        }
    }
}
is scalar @{ get($_, port => $s->{port})->json->{ $_ eq '/ai/jobs' ? 'jobs' : 'tasks' } }, 4, "$_: four were taken" for @paths;
unlike $s->log, qr/\[[^\]]*:(?:error|crit|emerg)\]/, 'and the log says nothing of it';

# ------------------------------------------------------------------ an answer that the store refuses

# Of three that end at the same time: the store cannot be written meanwhile, so that their ends are written in one step.
my %tag = map { $_ => tag() } qw(one two three);
my %id  = map { $_ => post_json('/api/v1/tasks', { endpoint => '/v1/chat/completions', body => { model => 'raw', scenario => 'gate', tag => $tag{$_}, messages => [{ role => 'user', content => 'x' }] } }, port => $s->{port})->json->{task_id} } sort keys %tag;
raw_wait('request', tag => $_, timeout => 30) for values %tag;
sql("CREATE TRIGGER refuse BEFORE UPDATE ON aigw_task WHEN NEW.id = '$id{two}' AND NEW.state = 2 BEGIN SELECT RAISE(ABORT, 'refused by a test'); END");
my $pid = open2(my $out, my $in, 'sqlite3', '-cmd', '.timeout 20000', $db);
syswrite $in, "BEGIN IMMEDIATE;\nSELECT 'held';\n";
is scalar readline($out), "held\n", 'the store cannot be written';
raw_go($_) for values %tag;
$s->wait_for('what the log says of it', 30, sub { $s->log =~ /AIGW0501: .*locked/ });
# each is refused after a while: all three have ended by then
AIGW::Client::once(POST => '/api/v1/tasks', port => $s->{port}, json => { prompt => 'x' }) for 1 .. 2;
close $in;
waitpid $pid, 0;
$s->wait_for("the end of $_", 60, sub { task($id{$_})->{status} =~ /completed|failed/ }) for sort keys %id;
is_deeply [map { my $t = task($id{$_}); join ' ', $t->{status}, $t->{attempts}, $t->{error} ? $t->{error}{code} : $t->{result}{choices}[0]{message}{content} } qw(one two three)],
    ['completed 1 one two three four five', 'failed 1 internal_error', 'completed 1 one two three four five'], 'one answer that the store refuses: that task has failed, and the others are written';
like task($id{two})->{error}{message}, qr/does not take the answer/, '… and it is told why';
like $s->log, qr/AIGW0502: .*refused by a test/, '… in the log, too';
is_deeply [map { scalar @{ raw_log($tag{$_})->{requests} } } sort keys %tag], [1, 1, 1], '… and nothing was asked twice';
$s->stop;
is_deeply [$s->crashes], [], 'nothing crashed';

# ------------------------------------------------------------------ gone

# SQLite's clock is the machine's, which is set here: httpd runs below libfaketime.
if ($faketime) {
    my $dir = File::Temp->newdir('ends-XXXXXX', DIR => Apache::Test::vars('t_logs'));
    chmod 0755, "$dir";
    my $set = sub { my ($hours) = @_; spew("$dir/new", sprintf "%+d\n", 3600 * $hours); rename "$dir/new", "$dir/clock" or die "$dir/clock: $!"; return };
    $set->(0);
    my $gw = AIGW::Server->new(conf => $conf, env => { LD_PRELOAD => $faketime, FAKETIME_TIMESTAMP_FILE => "$dir/clock", FAKETIME_NO_CACHE => 1, FAKETIME_DONT_FAKE_MONOTONIC => 1, DONT_FAKE_MONOTONIC => 1 });
    my %at = (port => $gw->{port}, timeout => 60);
    my $once = sub { my ($ttl) = @_; return post_json('/api/v1/tasks', { prompt => 'x', ttl => $ttl }, %at, headers => { 'Idempotency-Key' => "key $ttl" }) };
    my @id = map { $once->($_)->json->{task_id} } 1, 3600;
    my $says = sub { return [map { my $id = $_; map { code(get("$_$id", %at)) =~ s{ application/json invalid_request_error}{}r } '/api/v1/tasks/', '/ai/jobs/' } @id] };
    my $swept = sub { $gw->wait_for('a sweep', 60, sub { `sqlite3 -cmd '.timeout 20000' '$gw->{dir}/data/aigw.db' 'SELECT count(*) FROM aigw_task'` =~ /^0/ }) };
    $gw->wait_for('its end', 30, sub { get("/api/v1/tasks/$id[1]", %at)->json->{status} eq 'completed' });
    $gw->wait_for('the end of its time', 30, sub { get("/api/v1/tasks/$id[0]", %at)->{status} == 410 });
    is_deeply $says->(), [('410 gone') x 2, (200) x 2], 'once its time is over it is gone';
    is code($once->(1)), '410 application/json invalid_request_error gone', '… which its key says, too';
    $gw->stop;
    $set->(23);
    $gw->start;
    is_deeply $says->(), [('410 gone') x 4], '23 hours later it is gone, and so is another one';
    $swept->();
    is_deeply $says->(), [('410 gone') x 4], '… swept away or not';
    is_deeply get('/api/v1/tasks', %at)->json->{tasks}, [], '… and no page has them';
    $set->(26);
    is_deeply $says->(), [('404 not_found') x 4], '26 hours later they are as if they had never been';
    is code($once->(1)), 202, '… and the key is free';

    # nobody swept for days
    $gw->wait_for('its end', 30, sub { get('/api/v1/tasks', %at)->json->{tasks}[0] ? 0 : 1 });
    my $late = $once->(3600)->json->{task_id};
    $gw->wait_for('its end', 30, sub { get("/api/v1/tasks/$late", %at)->json->{status} eq 'completed' });
    $gw->stop;
    $set->(96);
    $gw->start;
    $swept->();
    is code(get("/api/v1/tasks/$late", %at)), '404 application/json invalid_request_error not_found', 'where nobody swept for days it is not gone for a day from then';
    $gw->stop;
    is_deeply [$gw->crashes], [], 'nothing crashed';
}
