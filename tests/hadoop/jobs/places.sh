#!/bin/sh
# The files of each word, in a fixed order.
sort -u | awk -F '\t' '$1 != w { if (NR > 1) print w "\t" f; w = $1; f = $2; next } { f = f "," $2 } END { if (NR) print w "\t" f }'
