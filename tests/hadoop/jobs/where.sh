#!/bin/sh
# Which file has which word: old and new names of the same variable.
[ "$map_input_file" = "$mapreduce_map_input_file" ] || exit 3
name=${map_input_file##*/}
tr -cs 'A-Za-z' '\n' | tr 'A-Z' 'a-z' | sed -n "s/..*/&	$name/p" | sort -u
