#!/usr/bin/env bash
# A member of a configuration struct that is made UNSET is dealt with in a merge function of the same file, and what AIGW_MERGE merges is
# made UNSET: a member that is forgotten in either is a directive that silently does not inherit.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
bad=0 files=0
while IFS= read -r f; do
    unset_members=$(tr '\n' ' ' <"$f" | grep -oE '([a-z_]+->[a-z_]+ = )+[A-Z_]*UNSET;' | grep -oE -- '->[a-z_]+' | sed 's/->//' | sort -u)
    merge=$(awk '/^[a-z].*_merge\(/ { on = 1 } on { print } /^}/ { on = 0 }' "$f")
    merged=$(tr '\n' ' ' <"$f" | grep -oE 'AIGW_MERGE\([a-z_]+, *[a-z_]+, *[a-z_]+, *[a-z_]+\);' | sed -E 's/.*, *([a-z_]+)\);/\1/' | sort -u)
    [ -n "$unset_members" ] || continue
    files=$((files + 1))
    for m in $unset_members; do
        grep -qw -- "$m" <<<"$merge" || { echo "$f: $m is made UNSET but not merged"; bad=1; }
    done
    for m in $(comm -13 <(echo "$unset_members") <(echo "$merged")); do
        echo "$f: $m is merged but not made UNSET"
        bad=1
    done
done < <(find modules -name '*.c' -exec grep -lE '\bUNSET\b|_UNSET\b' {} +)
[ $files -gt 0 ] || { echo 'no configuration found in modules/'; exit 1; }
exit $bad
