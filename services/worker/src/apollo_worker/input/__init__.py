"""A split -> blocks of whole records. Knows nothing of programs, the shuffle or gRPC."""
