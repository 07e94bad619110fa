"""The `hadoop` command, answered by Apollo: Hadoop Streaming jobs, file system verbs, with Hadoop's words and statuses.

Arguments are read here, become a job like any other, and what happens is told in Hadoop's words. Nothing here speaks
HTTP or reads S3 by itself. `programs` holds what runs beside a job's own programs, on workers.
"""

HADOOP_VERSION = "3.4.2"
"""The release whose answers these are; the tests compare with it."""
