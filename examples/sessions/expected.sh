#!/bin/sh
# USER<TAB>BEGIN SECONDS PAGES FIRST-PAGE of each session in the logs given, by coreutils and awk.
export LC_ALL=C
cat -- "$@" | sort -s -k 2,2 -k 1,1n | awk '
  function tell() { print user "\t" start " " seen - start " " count " " page }
  user != "" && ($2 != user || $1 - seen >= 1800) { tell(); count = 0 }
  count == 0 { start = $1; page = $3 }
  { user = $2; seen = $1; count++ }
  END { if (NR) tell() }' | sort
