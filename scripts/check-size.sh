#!/usr/bin/env bash
# No file over 600 lines and no function over 80 in modules/, include/, bench/ and tools/.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
find modules include bench tools -name '*.[ch]' -exec awk '
    FNR == 1 { start = 0; files++ }
    FNR == 601 { print FILENAME ": over 600 lines"; bad = 1 }
    /^\{/ { start = FNR; name = before }
    /^\}/ { if (start && FNR - start - 1 > 80) { printf "%s:%d: %d lines: %s\n", FILENAME, start, FNR - start - 1, name; bad = 1 }
            start = 0 }
    { before = $0 }
    END { if (!files) print "no file found"; exit bad || !files }' {} +
