# A large key file is replaced again and again, once by one with a mistake, while clients ask on kept connections: none of their requests fails, and
# the last file is what counts.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use IO::Select ();
use POSIX ();
use AIGW::Client qw(get);
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(spew);

# with prefork nine processes read the file each time, each for itself
my $KEYS     = $ENV{AIGW_TEST_KEYS} || (Apache::Test::have_module('mpm_prefork') ? 30_000 : 100_000);
my $CLIENTS  = 8;
my $PATIENCE = 60;
my $tool     = "$ENV{AIGW_BUILD}/../tools/aigw-key";

my %key = map { $_ => "aigw_${_}_" . substr sha256_hex("secret of $_"), 0, 43 } qw(alice bob carol);
sub line { my ($id) = @_; return qq({"id":"$id","sha256":"@{[sha256_hex($key{$id} // $id)]}","user":"$id","tier":"pro","scopes":["chat"]}\n) }
my $many = join '', map { line("k$_") } 1 .. $KEYS;

my $dir = File::Temp->newdir('key-reload-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
my $file = "$dir/keys.jsonl";
sub replace { my ($text) = @_; spew("$file.tmp", $text); chmod 0644, "$file.tmp"; rename "$file.tmp", $file or die "$file: $!\n"; return }

replace($many . line('alice') . line('bob'));
my $s = AIGW::Server->new(conf => <<"CONF");
AIGWKeyFile $file
AIGWErrors on
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
<Location /v1/models>
    AuthType AIGW
    Require valid-user
    SetHandler aigw-models
</Location>
KeepAlive on
KeepAliveTimeout 120
MaxKeepAliveRequests 0
<IfModule mpm_prefork_module>
    StartServers 9
    ServerLimit 9
    MaxRequestWorkers 9
    MaxSpareServers 9
</IfModule>
<IfModule !mpm_prefork_module>
    StartServers 2
    ServerLimit 2
    ThreadsPerChild 16
    MaxRequestWorkers 32
    MinSpareThreads 1
    MaxSpareThreads 32
</IfModule>
CONF

plan tests => 11 + $CLIENTS, need_module('mod_aigw', 'mod_aigw_auth');

# ------------------------------------------------------------------ the clients

sub headers { my ($key) = @_; return (headers => [Authorization => "Bearer $key"]) }
sub status { my ($key) = @_; return get('/v1/models', port => $s->{port}, headers($key), timeout => $PATIENCE)->{status} }

# Asks until somebody closes the pipe to it; "asked" for the first answer, and in the end how many there were, or what went wrong.
sub client {
    my ($stopped, $says) = @_;
    my ($asked, $wrong) = (0, '');
    syswrite $says, "asked\n" if eval {
        my $c = AIGW::Client->new(port => $s->{port}, timeout => $PATIENCE);
        while (!IO::Select->new($stopped)->can_read($asked ? 0.01 : 0)) {
            $c->request(GET => '/v1/models', headers($key{alice}));
            my $r = $c->response;
            die "$r->{status} " . $r->content . "\n" if $r->{status} != 200 || !$r->complete;
            syswrite $says, "asked\n" if !$asked++;
        }
        0;
    };
    $wrong = $@;
    syswrite $says, ($wrong ? "after $asked: $wrong" =~ s/\n/ /gr : "well: $asked") . "\n";
    return;
}

my ($stop_read, $stop_write);
pipe $stop_read, $stop_write or die "pipe: $!\n";
my @clients = map {
    pipe my $read, my $write or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close $stop_write;
        client($stop_read, $write);
        POSIX::_exit(0);
    }
    close $write;
    { pid => $pid, says => $read };
} 1 .. $CLIENTS;
my @begun = map { scalar readline $_->{says} } @clients;
is_deeply \@begun, [("asked\n") x $CLIENTS], 'all clients have had an answer';

# ------------------------------------------------------------------ the file changes under them

# Until every child has said so of the file as it is now.
sub every_child {
    my ($what, $change) = @_;
    my $from = length $s->log;
    my $said = $change->();
    $s->wait_for($what, $PATIENCE, sub {
        my %did = map { $_ => 1 } substr($s->log, $from) =~ /\[pid (\d+)[^\n]*$what/g;
        !grep { !$did{ (split m{/})[0] } } $s->children;
    });
    return $said;
}

is status($key{carol}), 401, 'carol has no key yet';
SKIP: {
    skip 'aigw-key is not built', 1 if !-x $tool;
    my $made = every_child(qr/AIGW0313[^\n]*: @{[$KEYS + 3]} keys/, sub { (qx('$tool' create --file '$file' --user dave 2>/dev/null) // '') =~ /^(aigw_\S+)$/m ? $1 : die "aigw-key create\n" });
    is status($made), 200, 'a key that aigw-key has added works';
}
every_child(qr/AIGW0311[^\n]*line @{[$KEYS + 2]}:/, sub { replace($many . line('alice') . '{"id":') });
is status($key{bob}), 200, 'a file that breaks off: the keys stay as they were';
# as fast as it goes: whoever reads sees one of them
every_child(qr/AIGW0313[^\n]*: @{[$KEYS + 2]} keys/, sub { replace($many . line($_) . line('alice')) for qw(bob bob carol) });
is status($key{bob}), 401, 'a key that was removed is refused';
is status($key{carol}), 200, '… and one that was added works';

# ------------------------------------------------------------------ nobody noticed

close $stop_write;
close $stop_read;
my $asked = 0;
for my $client (@clients) {
    my $said = readline $client->{says};
    waitpid $client->{pid}, 0;
    like $said, qr/\Awell: \d+\n\z/, 'a client: each request was answered, on one connection';
    $asked += $1 if $said =~ /(\d+)$/m;
}
cmp_ok $asked, '>', 10 * $CLIENTS, "… $asked of them";
is status($key{alice}), 200, 'and a new connection';
is_deeply [grep { /AIGW0310/ } split /\n/, $s->log], [], 'the file was there all the time';
is_deeply [$s->crashes], [], 'nobody crashed';
log_clean();
