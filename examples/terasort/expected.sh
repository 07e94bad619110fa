#!/bin/sh
# The lines of the files given in the order of their keys, by sort: what the parts hold, one after the other.
export LC_ALL=C
sort -s -t "$(printf '\t')" -k 1,1 -- "$@"
