"""Object stores behind one port: local files, S3, and memory for tests.

An adapter maps its library's errors to apollo_common.errors; nothing outside knows which store it speaks to.
"""
