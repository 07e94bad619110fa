"""Prometheus metrics: families that are declared before they are counted, and those that both services serve.

Names follow https://prometheus.io/docs/practices/naming: `apollo_` prefix, base units, `_total` for counters. Every
label has a known, bounded set of values, never an id. Importing anything here loads prometheus_client.
"""
