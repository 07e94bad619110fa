"""Worker traffic over gRPC: proto messages to core types and back."""
