#!/bin/sh
# Words and how often they occur in the files given, by coreutils.
export LC_ALL=C
cat -- "$@" | tr -s '[:space:]' '\n' | sed '/^$/d' | sort | uniq -c | sed -E 's/^ *([0-9]+) (.*)$/\2\t\1/' | sort
