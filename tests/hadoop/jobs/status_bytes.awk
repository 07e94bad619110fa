#!/usr/bin/awk -f
{ print $4 "\t" $5; print "reporter:counter:Requests," $2 ",1" > "/dev/stderr" }
