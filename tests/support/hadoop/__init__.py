"""The real Hadoop Streaming and mrjob, as references for what `apollo hadoop` must do."""
