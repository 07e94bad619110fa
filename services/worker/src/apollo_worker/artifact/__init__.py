"""Launches the user's program and speaks the artifact protocols with it over Unix-domain sockets.

Knows nothing of gRPC or the shuffle.
"""
