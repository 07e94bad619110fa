#!/usr/bin/env python3
"""Maps orders (JSON lines: customer, cents) to the customer's id -> cents."""

import json

from apollo_sdk import run


def by_customer(line, emit):
    order = json.loads(line)
    emit(order["customer"], order["cents"])


run(map=by_customer)
