"""Partition, sort, spill, index, merge and group: vectorised, bounded memory. Knows nothing of programs or gRPC."""
