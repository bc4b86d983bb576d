package AIGW::Conf;
use strict;
use warnings FATAL => 'all';
use Apache::Test ();
use File::Temp ();
use base 'Exporter';
our @EXPORT_OK = qw(conf_check);

# What httpd -t says of a configuration snippet, with all modules of base.conf loaded: (exit status, its words). The file of the
# snippet is called "snippet" in them.
#   without => qr/ssl/    LoadModule lines that are left out      first => "…"   goes before the LoadModule lines
#   env => { NAME => "…" }
sub conf_check {
    my ($snippet, %o) = @_;
    my $v = Apache::Test::vars();
    open my $in, '<', $v->{httpd_conf} or die "$v->{httpd_conf}: $!";
    my $modules = join '', grep { /^LoadModule/ && !($o{without} && /$o{without}/) } <$in>;
    my $dir = File::Temp->newdir('conf-XXXXXX', DIR => $v->{t_logs});
    spew("$dir/snippet", $snippet);
    my $rest = "ServerName x\nListen 127.0.0.1:1\nDefaultRuntimeDir $dir\n<IfModule mime_module>\nTypesConfig /dev/null\n</IfModule>\n";
    spew("$dir/httpd.conf", ($o{first} // '') . $modules . $rest . "Include $dir/snippet\n");
    local @ENV{ keys %{ $o{env} || {} } } = values %{ $o{env} || {} };
    my $out = qx($v->{httpd} -t -d $v->{serverroot} -f $dir/httpd.conf 2>&1);
    my $status = $? >> 8 || ($? ? 128 + $? : 0);
    $out =~ s{\Q$dir\E/snippet}{snippet}g;
    return ($status, $out);
}

sub spew { my ($file, $text) = @_; open my $fh, '>', $file or die "$file: $!"; print $fh $text; close $fh or die "$file: $!"; return }

1;
