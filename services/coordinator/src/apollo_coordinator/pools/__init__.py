"""Where workers come from: local processes, a fixed list of addresses, memory for tests."""
