# <AIGWTier> and the directives of mod_aigw_ratelimit: what is right passes `httpd -t`, what is wrong fails with words that name the directive and the remedy.
# any MPM
use strict;
use warnings FATAL => 'all';
use Apache::Test qw(-withtestmore);
use AIGW::Conf qw(conf_check);
use AIGW::Log;

sub tier { return "<AIGWTier x>\n" . join("\n", @_) . "\n</AIGWTier>\n" }
my @good = (
    ['rates',          join '', map { "<Location /$_>\nAIGWLimit requests $_/minute\n</Location>\n" } qw(1 60 100k 2M)],
    ['spans',          "AIGWLimit requests 1/second 2/minute 3/hour 4/day 5/month\n"],
    ['… in brief',     "AIGWLimit requests 1/s 2/min 3/h 4/d\n"],
    ['algorithms',     "AIGWLimit requests 60/minute algorithm=token-bucket burst=5\nAIGWLimit requests 60/hour algorithm=sliding-window\n"],
    ['tiers',          tier('AIGWLimit requests 1/minute', 'AIGWLimitBy key') . "AIGWDefaultTier x\n<VirtualHost *:1>\nAIGWDefaultTier x\n</VirtualHost>\n<VirtualHost *:2>\n" . tier('AIGWLimit requests 5/h') . "</VirtualHost>\n"],
    ['an empty tier',  tier()],
    ['what',           "AIGWLimit tokens 100k/minute 1M/day\nAIGWLimit input-tokens 1/s algorithm=token-bucket burst=1000\nAIGWLimit output-tokens 5/month\nAIGWLimit concurrent 1\n<Location /x>\nAIGWLimit concurrent 1000000\n</Location>\n"],
    ['AIGWLimitBy',    "AIGWLimitBy address user key model header:X-Team\n<Location /x>\nAIGWLimitBy user\n</Location>\n"],
    ['AIGWLimitMode',  "AIGWLimitMode dry-run\n<Location /x>\nAIGWLimitMode enforce\n</Location>\n"],
    ['AIGWLimitCached', "AIGWLimitCached 0%\n<Location /x>\nAIGWLimitCached 100\n</Location>\n" . tier('AIGWLimitCached 10%')],
    ['AIGWLimitReserve', "AIGWLimitReserve 1\n<Location /x>\nAIGWLimitReserve 1000000000\n</Location>\n" . tier('AIGWLimitReserve 500')],
    ['AIGWTokenEstimate', map { "<AIGWModel x>\nAIGWUpstream echo\n$_\n</AIGWModel>\n" } 'AIGWTokenEstimate bytes=3.5 image=500'],
    ['AIGWLimitExempt', "AIGWLimitExempt \"-R '10.0.0.0/8'\"\nAIGWLimitExempt \"%{REMOTE_USER} == 'monitor'\"\n"],
    ['AIGWLimitEntries', "AIGWLimitEntries 1024\nAIGWLimitEntries 16777216\n"],
);
my @wrong = (
    ['AIGWLimit x 1/minute',                              qr/AIGWLimit: "x" is none of requests, tokens, input-tokens, output-tokens, concurrent/],
    ['AIGWLimit requests',                                qr/AIGWLimit requests: how many in what time\? Write for example AIGWLimit requests 60\/minute/],
    (map { ["AIGWLimit requests $_", qr/AIGWLimit requests: "\Q$_\E" is no rate: write for example 60\/minute/] } qw(60 0/minute -1/minute x/minute 1.5/minute 1000001M/day)),
    ['AIGWLimit requests 1/week',                         qr/AIGWLimit requests: "week" is none of second, minute, hour, day, month/],
    ['AIGWLimit requests 1/minute 2/minute',              qr/AIGWLimit requests: this section has a limit of that time already/],
    ["AIGWLimit requests 1/minute\nAIGWLimit requests 2/min", qr/AIGWLimit requests: this section has a limit of that time already/],
    ['AIGWLimit requests 1/minute burst=5',               qr/AIGWLimit: burst= is a token bucket's: write algorithm=token-bucket as well/],
    (map { ["AIGWLimit requests 1/minute algorithm=token-bucket burst=$_", qr/AIGWLimit: "burst=\Q$_\E": write a number such as burst=20/] } qw(0 -1 x 5x)),
    ['AIGWLimit requests 1/minute algorithm=leaky',       qr/AIGWLimit: "algorithm=leaky" is none of algorithm=token-bucket/],
    (map { ["AIGWLimitBy $_", qr/AIGWLimitBy: "\Q$_\E" is none of address, user, key, model, header:NAME/] } 'User', 'ip', 'header:', 'header:a:b', 'header'),
    (map { ["<AIGWModel x>\nAIGWUpstream echo\n$_\n</AIGWModel>", qr/AIGWLimit\w* does not stand inside <AIGWModel>: to limit a model write AIGWLimit and AIGWLimitBy model/] } 'AIGWLimit concurrent 3', 'AIGWLimitBy model', 'AIGWLimitMode dry-run', 'AIGWLimitExempt "true"', 'AIGWLimitCached 1%', 'AIGWLimitReserve 5'),
    ['AIGWLimit 60/minute',                               qr/: write for example AIGWLimit requests 60\/minute/],
    ['AIGWLimitLease 10m',                                qr/AIGWLimitLease: "10m" is no time from 1s to 1h: write for example 30s or 5min/],
    ['AIGWLimitBy header:X-A header:X-B',                 qr/AIGWLimitBy: a section counts by one header, and this one has header:X-A already/],
    (map { ["AIGWLimit concurrent$_", qr/AIGWLimit concurrent: how many calls at a time\? Write one number/] } '', ' 0', ' -1', ' x', ' 1000001', ' 5/minute', ' 5 6'),
    ["AIGWLimit concurrent 1\nAIGWLimit concurrent 2",  qr/AIGWLimit concurrent: this section has one already/],
    ['AIGWLimit tokens',                                  qr/AIGWLimit tokens: how many in what time\? Write for example AIGWLimit tokens 60/],
    ['AIGWLimit output-tokens 1/week',                    qr/AIGWLimit output-tokens: "week" is none of/],
    (map { ["AIGWLimitCached $_", qr/AIGWLimitCached: "\Q$_\E" is not a share from 0% to 100%/] } qw(-1 101% x 5x)),
    (map { ["AIGWLimitReserve $_", qr/AIGWLimitReserve: "\Q$_\E" is not a number of tokens/] } qw(0 -1 x 1000000001 5k)),
    (map { ["<AIGWModel x>\nAIGWUpstream echo\nAIGWTokenEstimate $_\n</AIGWModel>", qr/AIGWTokenEstimate: '\Q$_\E' is neither bytes=N/] } qw(bytes bytes= bytes=0.4 bytes=101 bytes=nan image=0 image=x words=3)),
    ['AIGWTokenEstimate bytes=4',                         qr/AIGWTokenEstimate stands inside <AIGWModel name>/],
    ['AIGWLimitMode off',                                 qr/AIGWLimitMode: "off" is neither enforce nor dry-run/],
    ['AIGWLimitExempt "%{"',                              qr/AIGWLimitExempt: .*: write an expression such as/],
    (map { ["AIGWLimitEntries $_", qr/AIGWLimitEntries: how many users, addresses and so on/] } qw(0 1023 16777217 x 5k)),
    ["<VirtualHost *:1>\nAIGWLimitEntries 5000\n</VirtualHost>", qr/AIGWLimitEntries cannot occur within/],
    ["<AIGWTier>\n</AIGWTier>",                           qr/<AIGWTier> takes one name, such as pro/],
    ["<AIGWTier a b>\n</AIGWTier>",                       qr/<AIGWTier> takes one name/],
    [tier() . tier(),                                     qr/<AIGWTier x>: there is one of this name already/],
    [tier("<AIGWTier y>\n</AIGWTier>"),                   qr/<AIGWTier/],
    ["<Location /x>\n" . tier() . '</Location>',          qr/AIGWTier/],
    [tier('AIGWLimitEntries 5000'),                       qr/AIGWLimitEntries (?:not allowed|cannot occur)/],
    [tier('Listen 1'),                                    qr/Listen/],
    ['AIGWDefaultTier nobody',                            qr/AIGW0104: AIGWDefaultTier nobody: there is no such tier: add <AIGWTier nobody>/],
);
plan tests => @good + 2 * @wrong + 2, need_module('mod_aigw', 'mod_aigw_ratelimit');

for (@good) {
    my ($name, $conf) = @$_;
    my ($status, $out) = conf_check($conf);
    is $status, 0, "$name: passes" or diag $out;
}
for (@wrong) {
    my ($conf, $said) = @$_;
    my ($status, $out) = conf_check("$conf\n");
    my $name = $conf =~ s/\s+/ /gr;
    isnt $status, 0, "$name: fails";
    like $out, $said, "$name: says why";
}
my ($status, $out) = conf_check("ServerAdmin x\n", without => qr/aigw_module|aigw_auth|aigw_stream|aigw_test/);
isnt $status, 0, 'without mod_aigw: fails';
like $out, qr/AIGW0401: mod_aigw_ratelimit needs mod_aigw .*load mod_aigw before mod_aigw_ratelimit/, '… and says so';
