#!/bin/sh
# expected.sh PATTERN FILE...: what grep itself finds, as NAME:OFFSET<TAB>LINE.
export LC_ALL=C
pattern=$1
shift
grep -abHE -e "$pattern" -- "$@" | sed -E 's#^([^:]*/)?([^/:]*:[0-9]+):#\2\t#' | sort
