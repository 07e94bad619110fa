"""What both services share: ids, errors, settings, logging, metrics, lifecycle, object stores and hand-over formats.

Nothing here knows of scheduling, HTTP routes or the shuffle.
"""
