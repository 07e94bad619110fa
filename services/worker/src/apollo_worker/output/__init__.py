"""Pairs -> a formatted, compressed, uploaded part. Nothing that is written here is visible before the commit."""
