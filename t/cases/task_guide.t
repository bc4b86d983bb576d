# docs/tasks.md: its configurations are right, its questions to the store have answers, and its way from SQLite to PostgreSQL leads there.
# any MPM
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(get post_json);
use AIGW::Conf qw(conf_check);
use AIGW::Postgres;
use AIGW::Server;
use AIGW::Services qw(slurp);

my $repository = "$ENV{AIGW_SRC}/..";
my $guide = slurp("$repository/docs/tasks.md");
my %blocks;
push @{ $blocks{$1} }, $2 while $guide =~ /^```(\w+)\n(.*?)^```$/msg;

plan tests => @{ $blocks{apache} } + 3 + 7, need_module('mod_aigw', 'mod_aigw_stream', 'mod_aigw_tasks');

for my $example (@{ $blocks{apache} }) {
    my ($status, $words) = conf_check($example);
    is $status, 0, 'an example: ' . substr($example =~ s/\s+/ /gr, 0, 60) or diag $words;
}
my ($move) = grep { /pragma_table_info/ } @{ $blocks{sh} };
my ($ask)  = @{ $blocks{sql} };
ok $move, 'there is a way from SQLite to PostgreSQL';

my $locations = "AIGWStoreConnections 2\n<AIGWModel echo>\nAIGWUpstream echo\n</AIGWModel>\nAIGWDefaultModel echo\n<Location /api/v1/tasks>\nSetHandler aigw-tasks\n</Location>\n";
my $gw = AIGW::Server->new(conf => "AIGWStore sqlite:data/aigw.db\n$locations");
my $file = "$gw->{dir}/data/aigw.db";
my %at = (port => $gw->{port}, timeout => 60);
my $say  = q(an answer with "quotes", a comma, ü, \N and);
my $done = post_json('/api/v1/tasks', { prompt => "$say\nlines" }, %at, headers => { 'Idempotency-Key' => 'k' })->json->{task_id};
ok $gw->wait_for('its end', 60, sub { get("/api/v1/tasks/$done", %at)->json->{status} eq 'completed' }), 'a task that is over';
my $result = get("/api/v1/tasks/$done", %at)->json;
$gw->stop;
$gw->configure("AIGWStore sqlite:data/aigw.db\nAIGWTaskWorkers 0\n$locations");
$gw->start;
my $waits = post_json('/api/v1/tasks', { prompt => 'patience' }, %at)->json->{task_id};
$gw->stop;
my %counted = map { /\A(\w+)\|(\d+)\z/ ? ($1 => $2) : () } split /\n/, qx(sqlite3 -readonly '$file' "$ask");
is_deeply \%counted, { completed => 1, pending => 1 }, 'what the guide asks the store has an answer';

SKIP: {
    skip 'no PostgreSQL', 7 if !AIGW::Postgres->available;
    my $pg = AIGW::Postgres->new;
    $gw->configure('AIGWStore "pgsql:' . $pg->conninfo . "\"\nAIGWTaskWorkers 0\n$locations");
    $gw->start;
    is get('/api/v1/tasks', %at)->{status}, 200, 'the tables are there';
    $gw->stop;
    local @ENV{qw(SQLITE_FILE CONNINFO PATH)} = ($file, $pg->conninfo, AIGW::Postgres::bin() . ":$ENV{PATH}");
    is system('bash', '-euo', 'pipefail', '-c', $move), 0, 'its way to PostgreSQL is gone';
    like $pg->sql($ask), qr/completed\|1/, 'the same question there';
    $gw->configure('AIGWStore "pgsql:' . $pg->conninfo . "\"\n$locations");
    $gw->start;
    is_deeply get("/api/v1/tasks/$done", %at)->json, $result, 'what was over is as it was';
    is post_json('/api/v1/tasks', { prompt => "$say\nlines" }, %at, headers => { 'Idempotency-Key' => 'k' })->json->{task_id}, $done, '… and its key is known';
    ok $gw->wait_for('the end of what waited', 60, sub { get("/api/v1/tasks/$waits", %at)->json->{status} eq 'completed' }), 'what waited is run';
    $gw->stop;
    is_deeply [$gw->crashes], [], 'nothing crashed';
}
