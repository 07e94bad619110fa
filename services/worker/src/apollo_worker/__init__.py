"""The worker service: runs one attempt at a time for a coordinator that calls it over gRPC."""

__version__ = "0.1.0"
