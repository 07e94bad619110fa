"""The REST client, the apollo command and the embedded local mode."""
