#!/usr/bin/awk -f
BEGIN { FS = "[ \t\v\f\r]+" }
{ for (i = 1; i <= NF; i++) if ($i != "") print $i "\t1" }
