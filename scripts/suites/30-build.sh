# shellcheck shell=bash
# title: build (gcc, -Wall -Wextra -Werror)
# quick: yes
# packages: check
set -u
# shellcheck source=scripts/lib.sh
. "$TOP/scripts/lib.sh"

tree gcc || exit 1
n=$(find "$TREE" -name '*.o' ! -path '*/.libs/*' | wc -l) bad=0
# a module exports its record and nothing else: httpd loads modules with global symbols
for so in "$TREE"/modules/.libs/mod_*.so; do
    n=$((n + 1))
    name=$(basename "$so" .so)
    symbols=$(nm -D --defined-only "$so" | awk '{ print $3 }' | sed 's/@.*//')
    [ "$symbols" = "${name#mod_}_module" ] || {
        bad=$((bad + 1))
        printf '%s exports: %s\n' "$name" "$(tr '\n' ' ' <<<"$symbols")"
    }
done
checks "$n" $bad
