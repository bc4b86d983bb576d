#!/bin/sh
# What make check runs of limit-stress: with processes that are killed, and without.
set -e
./limit-stress --processes 4 --threads 3 --kills 300
./limit-stress --processes 3 --threads 3 --kills 0 --decisions 300000
