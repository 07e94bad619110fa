"""What the coordinator keeps on its volume: journal, artifacts, program logs, job credentials, and the commit."""
