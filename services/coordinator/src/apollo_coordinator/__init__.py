"""The coordinator service: HTTP API, scheduling, worker pools, artifact store and the commit of outputs."""

__version__ = "0.1.0"
