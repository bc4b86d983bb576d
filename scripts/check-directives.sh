#!/usr/bin/env bash
# Every directive of modules/ has a section in docs/directives.md and is named in a test; every section there is a directive.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
page=docs/directives.md bad=0

# AP_INIT_FLAG("AIGWErrors" and AP_INIT_RAW_ARGS("<AIGWModel", also where the line is broken after the parenthesis
code=$(find modules -name '*.c' -exec cat {} + | tr '\n' ' ' | grep -oE 'AP_INIT_[A-Z0-9_]+\( *"<?AIGW[A-Za-z]+' | grep -oE 'AIGW[A-Za-z]+' | sort -u)
docs=$(sed -nE 's/^##+ +`?(<|&lt;|\\<)?(AIGW[A-Z][A-Za-z]+).*/\2/p' "$page" 2>/dev/null | sort)
[ -n "$code" ] || { echo 'no directive found in modules/'; exit 1; }

complain() { # TEXT NAMES
    [ -n "$2" ] || return 0
    bad=1
    printf '%s\n' "$1"
    printf '  %s\n' $2
}
complain "directives without a section in $page:" "$(comm -23 <(echo "$code") <(sort -u <<<"$docs"))"
complain "sections of $page without a directive:" "$(comm -13 <(echo "$code") <(sort -u <<<"$docs" | grep .))"
complain "sections that stand twice in $page:" "$(uniq -d <<<"$docs")"
tested=$(find t unit \( -name node_modules -o -name work \) -prune -o -type f -exec grep -hoIE 'AIGW[A-Z][A-Za-z]+' {} + | sort -u)
complain 'directives that no test under t/ or unit/ names:' "$(comm -23 <(echo "$code") <(echo "$tested"))"
exit $bad
