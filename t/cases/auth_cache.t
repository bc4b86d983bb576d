# mod_cache before locations that want a key: what was answered to one who has it is for nobody else, in whatever field it came.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use File::Temp ();
use AIGW::Client qw(get);
use AIGW::Log;
use AIGW::Server;
use AIGW::Services qw(slurp spew);

my $dir = File::Temp->newdir('auth-cache-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
my $key = 'aigw_alice_' . 'k' x 43;
my ($libexec) = slurp("$ENV{AIGW_BUILD}/base.conf") =~ m{"([^"]+)/mod_authn_file\.so"};
my @ways = (['X-API-Key', $key], ['api-key', $key], ['Sec-WebSocket-Protocol', "chat, aigw.bearer.$key"], ['Authorization', "Bearer $key"]);
plan tests => 5 * @ways + 5, need(need_module("mod_aigw", "mod_aigw_auth"), { "no mod_cache_disk" => -e "$libexec/mod_cache_disk.so" });

spew("$dir/keys", qq({"id":"alice","sha256":"${\ sha256_hex($key)}","user":"alice"}\n));
mkdir "$dir/$_" for qw(cache docs docs/files docs/open);
chmod 0777, "$dir/cache";
# so old that a cache keeps them for hours, whatever is said of it
for (map({ "files/$_" } 0 .. $#ways), 'open/0') {
    spew("$dir/docs/$_.txt", "for those with a key\n");
    chmod 0644, "$dir/docs/$_.txt";
    utime time - 864_000, time - 864_000, "$dir/docs/$_.txt";
}
chmod 0644, "$dir/keys";
my $s = AIGW::Server->new(conf => <<"CONF");
LoadModule cache_module "$libexec/mod_cache.so"
LoadModule cache_disk_module "$libexec/mod_cache_disk.so"
DocumentRoot "$dir/docs"
CacheRoot "$dir/cache"
CacheEnable disk /
CacheHeader on
AIGWErrors on
AIGWKeyFile $dir/keys
<Directory "$dir/docs">
    Require all granted
</Directory>
<Location /files>
    AuthType AIGW
    Require valid-user
</Location>
<Location /open>
    AuthType AIGW
    Require all granted
</Location>
CONF
my $port = $s->{port};

for my $n (0 .. $#ways) {
    my ($field, $value) = @{ $ways[$n] };
    my $mine = get("/files/$n.txt", port => $port, headers => [$field => $value]);
    is $mine->{status}, 200, "$field: the file";
    is $mine->header('Cache-Control'), $field eq 'Authorization' ? undef : 'private', '… which caches that others see too leave alone';
    for my $other (['somebody without a key'], ['one with a wrong key', 'X-API-Key' => 'wrong']) {
        my ($who, @fields) = @$other;
        is get("/files/$n.txt", port => $port, headers => \@fields)->{status}, 401, "… $who does not get it";
    }
    is get("/files/$n.txt", port => $port, headers => [$field => $value])->content, "for those with a key\n", '… and the first one does, again';
}
# what is for everybody is kept all the same
is get('/open/0.txt', port => $port)->{status}, 200, 'a file for all';
like get('/open/0.txt', port => $port)->header('X-Cache'), qr/HIT/, '… comes from the cache';
is get('/open/0.txt', port => $port)->header('Cache-Control'), undef, '… and says nothing of it';
is_deeply [$s->crashes], [], 'nobody crashed';
log_clean();
