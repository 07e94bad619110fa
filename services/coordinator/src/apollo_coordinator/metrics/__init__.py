"""What the coordinator tells Prometheus. Adapters of the observers that the engine, the links and the stores have.

What changes with every event is counted there; what only describes the present is read when it is asked for.
"""
