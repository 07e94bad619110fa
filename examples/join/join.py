#!/usr/bin/env python3
"""Joins customers with their orders: id -> name, city, number of orders and their sum. Customers without orders stay.

A key's values come in the order of the job's inputs, and customers are the first of them: so the customer is the first
value, and the orders after it need not be kept.
"""

import json

from apollo_sdk import counter, run


def join(identity, values, emit):
    first = json.loads(next(values))
    if not isinstance(first, dict):
        counter("join", "orders without a customer", 1 + sum(1 for _ in values))
        return
    orders = cents = 0
    for value in values:
        orders += 1
        cents += int(value)
    emit(identity, json.dumps(first | {"orders": orders, "cents": cents}))


run(reduce=join)
