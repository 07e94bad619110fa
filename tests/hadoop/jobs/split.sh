#!/bin/sh
# Says which bytes of a file it got, and what lies there.
echo "$mapreduce_map_input_start $mapreduce_map_input_length"
exec cat
