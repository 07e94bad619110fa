"""The gRPC surface of the worker: proto messages in and out, nothing decided here."""
