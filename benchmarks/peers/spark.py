"""Spark in local mode, by spark-submit: Spark SQL, which stays in the JVM, and RDDs of Python objects."""

import os
from pathlib import Path

from benchmarks.contenders import BENCH, PROGRAMS, WORKERS, Contender, environment_of, locked_version, program

DRIVER_MEMORY = "4g"
SHUFFLE_PARTITIONS = 8  # its default of 200 is made for clusters


def sql_words() -> Contender:
    return _submit("spark-sql", "spark_sql_words.py")


def rdd_words() -> Contender:
    return _submit("pyspark-rdd", "spark_rdd_words.py")


def sql_sort() -> Contender:
    return _submit("spark-sql", "spark_sql_sort.py")


def _submit(name: str, script: str) -> Contender:
    program("java")
    python = environment_of("spark")
    home = next(python.parents[1].glob("lib/python*/site-packages/pyspark"))
    scratch = BENCH / "spark-scratch"
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": SHUFFLE_PARTITIONS,
        "spark.local.dir": scratch,
        "spark.sql.warehouse.dir": scratch / "warehouse",
    }
    options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]

    def command(source: Path, target: Path, seconds: Path) -> list[str]:
        return [
            str(home / "bin/spark-submit"), "--master", f"local[{WORKERS}]", "--driver-memory", DRIVER_MEMORY,
            *options, str(PROGRAMS / script), str(source), str(target), str(seconds),
        ]  # fmt: skip

    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": str(python),
        "PYSPARK_DRIVER_PYTHON": str(python),
    }
    environment.pop("PYTHONPATH", None)  # those of Apollo's sources
    return Contender(name, locked_version("spark", "pyspark"), command, environment, times_itself=True)
