#!/usr/bin/env python3
"""Cuts every user's visits into sessions: one ends where nothing follows for half an hour.

The log's lines are TIME USER PAGE, in any order. The key is USER<TAB>TIME; the job orders keys by user, then by time,
and makes one group of a user's keys, so that a reducer sees visits as they happened without keeping any.
"""

from apollo_sdk import run

PAUSE_SECONDS = 1800


def by_user_and_time(record, emit):
    time, user, page = record.split(b" ", 2)
    emit(user + b"\t" + time, time + b" " + page)


def sessions(key, visits, emit):
    user = key.partition(b"\t")[0]
    begin = last = pages = 0
    first_page = b""
    for visit in visits:
        time, page = visit.split(b" ", 1)
        if pages and int(time) - last >= PAUSE_SECONDS:
            emit(user, b"%d %d %d %s" % (begin, last - begin, pages, first_page))
            pages = 0
        if not pages:
            begin, first_page = int(time), page
        last, pages = int(time), pages + 1
    emit(user, b"%d %d %d %s" % (begin, last - begin, pages, first_page))


run(map=by_user_and_time, reduce=sessions)
