"""Word count in Spark SQL: SOURCE TARGET, and a file for the seconds that the job takes once there is a session."""

import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

source, target, seconds = sys.argv[1:]
spark = SparkSession.builder.getOrCreate()
began = time.perf_counter()
words = spark.read.text(source).select(f.explode(f.split("value", r"[ \t\r\x0B\f]+")).alias("word"))
counts = words.where("word <> ''").groupBy("word").count()
counts.select(f.concat_ws("\t", "word", "count")).write.text(target)
Path(seconds).write_text(str(time.perf_counter() - began))
spark.stop()
