#!/usr/bin/awk -f
BEGIN { FS = "\t" }
$1 != key && NR > 1 { print key "\t" sum "\t" n; sum = n = 0 }
{ key = $1; sum += $2; n++ }
END { if (NR) print key "\t" sum "\t" n }
