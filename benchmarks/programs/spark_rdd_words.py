"""Word count with RDDs: SOURCE TARGET, and a file for the seconds that the job takes once there is a context."""

import sys
import time
from operator import add
from pathlib import Path

from pyspark import SparkContext

source, target, seconds = sys.argv[1:]
context = SparkContext()
began = time.perf_counter()
words = context.textFile(source, use_unicode=False).flatMap(bytes.split)
counts = words.map(lambda word: (word, 1)).reduceByKey(add)
counts.map(lambda pair: b"%s\t%d" % pair).saveAsTextFile(target)
Path(seconds).write_text(str(time.perf_counter() - began))
context.stop()
