# shellcheck shell=bash
# title: a2enmod on a private tree
# packages: curl=curl
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree gcc || exit 1
# Debian's package apache2 starts a server when it is installed; its files are all that is needed
package=''
if ! dpkg-query -L apache2 2>/dev/null | grep -q mods-available/; then
    package=$BUILD/apache2-package
    if [ ! -d "$package/etc" ]; then
        mkdir -p "$package" && cd "$package" || exit 1
        apt-get -q download "apache2=$(dpkg-query -W -f='${Version}' apache2-bin)" && dpkg-deb -x apache2_*.deb . || exit 1
    fi
fi
exec "$TOP/t/a2enmod.sh" "$TREE" "$package"
