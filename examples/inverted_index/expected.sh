#!/bin/sh
# WORD<TAB>NAME,NAME,... for the files given, by coreutils and awk.
export LC_ALL=C
for file in "$@"; do
  tr 'A-Z' 'a-z' < "$file" | tr -cs 'a-z' '\n' | sed '/^$/d' | sort -u | sed "s/\$/\t$(basename "$file")/"
done | sort -t "$(printf '\t')" -k 1,1 -k 2,2 | awk -F '\t' '
  $1 != word { if (NR > 1) print word "\t" names; word = $1; names = $2; next }
  { names = names "," $2 }
  END { if (NR) print word "\t" names }'
