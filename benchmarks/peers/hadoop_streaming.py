"""The real Hadoop Streaming in local mode, with Python scripts."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.contenders import BENCH, PROGRAMS, WORKERS, Contender, NotAvailable, program
from support.hadoop.reference import CannotInstall, ensure_hadoop

HEAP = "-Xmx2g"


def words() -> Contender:
    """Mapper, combiner and reducer are what an introduction to Hadoop Streaming shows."""
    java = program("java")
    try:
        home = ensure_hadoop()
    except (CannotInstall, OSError, subprocess.SubprocessError) as error:
        raise NotAvailable(f"Hadoop cannot be installed: {error}") from None
    settings = {
        "mapreduce.framework.name": "local",
        "hadoop.tmp.dir": BENCH / "hadoop-scratch",
        "mapreduce.local.map.tasks.maximum": WORKERS,
        "mapreduce.local.reduce.tasks.maximum": WORKERS,
        "mapreduce.job.reduces": WORKERS,
    }
    options = [word for key, value in settings.items() for word in ("-D", f"{key}={value}")]
    reducer = f"{sys.executable} {PROGRAMS / 'hadoop_reduce.py'}"

    def command(source: Path, target: Path, _: Path) -> list[str]:
        return [
            java, HEAP, "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-cp", f"{home}/conf:{home}/lib/*",
            "org.apache.hadoop.streaming.HadoopStreaming", *options,
            "-mapper", f"{sys.executable} {PROGRAMS / 'hadoop_map.py'}", "-combiner", reducer, "-reducer", reducer,
            "-input", str(source), "-output", str(target),
        ]  # fmt: skip

    jar = next((home / "lib").glob("hadoop-streaming-*.jar"))
    return Contender("hadoop-streaming", re.sub(r"hadoop-streaming-(.*)\.jar", r"\1", jar.name), command)
