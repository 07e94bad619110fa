#!/usr/bin/env python3
"""Maps rows of customers (CSV with a header: id, name, city) to id -> name and city."""

import csv
import json

from apollo_sdk import context, run


def by_id(row, emit):
    if context.offset == 0:  # the header of the file
        return
    ((identity, name, city),) = csv.reader([row.decode()])
    emit(identity, json.dumps({"name": name, "city": city}))


run(map=by_id)
