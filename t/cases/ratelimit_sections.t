# mod_aigw_ratelimit: sections inside of each other and twice; behind a redirect inside of httpd.
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Client qw(chat get);
use AIGW::Server;
use AIGW::Services qw(slurp);

my $dir = File::Temp->newdir('sections-t-XXXXXX', DIR => Apache::Test::vars('t_logs'));
chmod 0755, "$dir";
mkdir "$dir/docs", 0755;

my ($libexec) = slurp("$ENV{AIGW_BUILD}/base.conf") =~ m{"([^"]+)/mod_authn_file\.so"};

# 65 paths that are one
my $many = join '', map { "<Location ~ \"^/many" . '(?:)' x $_ . "\">\nAIGWLimit requests 5/minute\n</Location>\n" } 1 .. 65;
my $s = AIGW::Server->new(conf => <<"CONF");
AIGWErrors on
<AIGWModel echo>
    AIGWUpstream echo
</AIGWModel>
AIGWDefaultModel echo
<IfModule !remoteip_module>
    LoadModule remoteip_module "$libexec/mod_remoteip.so"
</IfModule>
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
DocumentRoot $dir/docs
<Directory $dir/docs>
    Require all granted
    RewriteEngine on
    RewriteRule ^go\$ /three
    ErrorDocument 404 /three
</Directory>
<Location /three>
    SetHandler aigw-models
    AIGWLimit requests 3/minute
    AIGWLimitBy address
</Location>
<Location /by>
    SetHandler aigw-chat-completions
    AIGWLimit requests 2/minute
</Location>
<Location /by/model>
    AIGWLimit tokens 100k/minute
    AIGWLimitBy model
</Location>
<Location /dry>
    SetHandler aigw-models
    AIGWLimit requests 2/minute
</Location>
<Location /dry/new>
    SetHandler aigw-models
    AIGWLimit requests 1/hour
    AIGWLimitMode dry-run
</Location>
<Location /by/model>
    SetHandler aigw-chat-completions
</Location>
<Location /out>
    SetHandler aigw-models
    AIGWLimitMode dry-run
</Location>
<Location /out/in>
    SetHandler aigw-models
    AIGWLimit requests 1/hour
</Location>
<Location /twice>
    SetHandler aigw-models
    AIGWLimit requests 9/minute
    AIGWLimitBy address
</Location>
<Location /twice>
    AIGWLimit requests 4/minute
    AIGWLimitBy address
</Location>
<Location /differ>
    SetHandler aigw-models
    AIGWLimit requests 4/minute
    AIGWLimitBy address
</Location>
<Location /differ>
    AIGWLimit requests 3/minute
    AIGWLimitBy user
</Location>
<Location /team>
    SetHandler aigw-models
    AIGWLimit requests 1/minute
    AIGWLimitBy header:X-Team
</Location>
<Location /each>
    SetHandler aigw-models
    AIGWLimit requests 5/day
    AIGWLimitBy header:X-Each
</Location>
<Location /many>
    SetHandler aigw-models
</Location>
$many
AIGWLimitEntries 1024
CONF
my $port = $s->{port};

sub ask  { my ($path, $address, @fields) = @_; return get($path, port => $port, headers => ['X-Forwarded-For' => $address, @fields]) }
sub many { my ($n, @a) = @_; return join ' ', map { ask(@a)->{status} } 1 .. $n }
sub said { my ($path, $address) = @_; return chat('echo', 'a', path => $path, port => $port, headers => ['X-Forwarded-For' => $address])->{status} }

plan tests => 20, need_module('mod_aigw', 'mod_aigw_ratelimit', 'mod_rewrite');

# ------------------------------------------------------------------ a redirect inside of httpd

is many(5, '/go', '10.0.1.1'), '200 200 200 429 429', 'RewriteRule in a directory: what is behind it is limited';
is many(2, '/three', '10.0.1.1'), '429 429', '… by the same counter';
is many(3, '/three', '10.0.1.2'), '200 200 200', 'another address';
is many(3, '/nowhere', '10.0.1.2'), '200 200 200', '… a page that ErrorDocument names costs nothing and is not refused';

# ------------------------------------------------------------------ sections inside of each other

is join(' ', map { said('/by/model', "10.0.2.$_") } 1 .. 4), '200 200 200 200', 'AIGWLimitBy of an inner section is not for the limits around it';
is join(' ', map { said('/by/model', '10.0.2.1') } 1 .. 2), '200 429', '… which count as they do elsewhere';
is many(4, '/dry/new', '10.0.3.1'), '200 200 429 429', 'dry-run of an inner section is not for the limits around it';
is many(3, '/out/in', '10.0.3.2'), '200 200 200', 'a section that says nothing goes by the one around it';

# ------------------------------------------------------------------ a path twice

is many(5, '/twice', '10.0.4.1'), '200 200 200 200 429', 'two sections of one path: each request is charged once, the smaller limit holds';
is ask('/twice', '10.0.4.2')->header('RateLimit-Policy'), '"requests";q=4;w=60', '… and is shown';
my $r = ask('/differ', '10.0.4.1');
is $r->header('RateLimit'), '"requests";r=3;t=' . ($r->header('RateLimit') =~ /\A"requests";r=3;t=(\d+)/ ? $1 : '?') . ', "requests-2";r=2;t=' . ($r->header('RateLimit') =~ /(\d+)\z/ ? $1 : '?'),
    'one path, by address and by a user who is not known: two counters';
is many(3, '/differ', '10.0.4.1'), '200 200 429', '… each charged once';

# ------------------------------------------------------------------ header

is many(2, '/team', '10.0.5.1', 'X-Team' => 'a'), '200 429', 'by header';
is many(1, '/team', '10.0.5.1', 'x-team' => 'a'), '429', '… whatever its case';
is many(2, '/team', '10.0.5.1', 'X-Team' => 'b'), '200 429', '… another value';
is many(2, '/team', '10.0.5.1'), '200 429', '… none';

# ------------------------------------------------------------------ more than there is room for

is ask('/many', '10.0.7.1')->{status}, 503, 'more limits than one decision takes';
like $s->log, qr/AIGW0417: 65 limits hold for one request, more than 64/, '… says the log';
ask('/each', '10.0.7.1', 'X-Each' => $_) for 1 .. 1100;
like $s->log, qr/AIGW0416: all counters are in use/, 'a table full of those who are active: the log says so';
is ask('/each', '10.0.7.1', 'X-Each' => 1)->header('X-RateLimit-Remaining'), 3, '… and nobody in it is forgotten';
