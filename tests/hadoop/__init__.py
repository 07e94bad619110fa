"""`apollo hadoop` beside the real Hadoop Streaming and an unpatched mrjob."""
