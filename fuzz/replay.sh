#!/bin/sh
# replay.sh CORPORA TARGET: replays the corpus that bears the target's name
target=$2
name=$(basename "$target" | sed 's/^fuzz_//')
exec "$target" "$1/$name"
