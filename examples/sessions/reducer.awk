#!/usr/bin/awk -f
# The lines come by user, and a user's by time: a session is complete when either changes too much.
function tell() { print user "\t" begin " " last - begin " " pages " " first_page }
BEGIN { FS = "\t" }
NR > 1 && ($1 != user || $2 - last >= 1800) { tell(); pages = 0 }
{ user = $1; last = $2 }
!pages++ { begin = $2; first_page = $3 }
END { if (NR) tell() }
