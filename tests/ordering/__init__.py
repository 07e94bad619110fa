"""Keys, lines and their order as the real Hadoop Streaming has them."""
