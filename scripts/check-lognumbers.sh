#!/usr/bin/env bash
# Every number of our log messages ("AIGW0101: ...") stands in one place of modules/ and has a section in docs/errors.md, and the other way round.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
page=docs/errors.md bad=0

code=$(find modules -name '*.[ch]' -exec grep -hoE '"AIGW[0-9]+: ' {} + | grep -oE 'AIGW[0-9]+' | sort)
docs=$(sed -nE 's/^##+ +`?(AIGW[0-9]+).*/\1/p' "$page" 2>/dev/null | sort)
[ -n "$code" ] || { echo 'no log number found in modules/'; exit 1; }

complain() { # TEXT NUMBERS
    [ -n "$2" ] || return 0
    bad=1
    printf '%s\n' "$1"
    printf '  %s\n' $2
}
complain 'numbers used in more than one place:' "$(uniq -d <<<"$code")"
complain 'numbers that have not four digits:' "$(grep -vE '^AIGW[0-9]{4}$' <<<"$code")"
complain "numbers without a section in $page:" "$(comm -23 <(sort -u <<<"$code") <(sort -u <<<"$docs"))"
complain "sections of $page without a message:" "$(comm -13 <(sort -u <<<"$code") <(sort -u <<<"$docs" | grep .))"
complain "sections that stand twice in $page:" "$(uniq -d <<<"$docs")"
exit $bad
