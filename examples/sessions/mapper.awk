#!/usr/bin/awk -f
# USER<TAB>TIME<TAB>PAGE: with --map-output-key-fields 2 the first two are the key.
{ print $2 "\t" $1 "\t" $3 }
