"""Sorts lines in Spark SQL: SOURCE TARGET, and a file for the seconds that the job takes once there is a session."""

import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

source, target, seconds = sys.argv[1:]
spark = SparkSession.builder.getOrCreate()
began = time.perf_counter()
spark.read.text(source).orderBy("value").write.text(target)
Path(seconds).write_text(str(time.perf_counter() - began))
spark.stop()
