"""The smallest job, from the command line to its result, nothing running before: what starting costs."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.contenders import BENCH, Preparation
from benchmarks.peers import apollo, coreutils, dask_bag, hadoop_streaming, mrjob, spark
from benchmarks.race import Race, left_out, run_races

TEXT = "the quick brown fox jumps over the lazy dog\nthe end\n"
CONTENDERS: Mapping[str, Preparation] = {
    "coreutils": coreutils.words,
    "apollo-python": apollo.words_in_python,
    "spark-sql": spark.sql_words,
    "pyspark-rdd": spark.rdd_words,
    "mrjob": mrjob.words,
    "dask-bag": dask_bag.words,
    "hadoop-streaming": hadoop_streaming.words,
}
QUICK_NAMES = frozenset({"coreutils", "apollo-python"})


def run(*, runs: int, quick: bool, results_folder: Path) -> None:
    """The words of two lines."""
    BENCH.mkdir(exist_ok=True)
    text = BENCH / "two-lines.txt"
    text.write_text(TEXT)
    contenders = {
        name: left_out("left out by --quick") if quick and name not in QUICK_NAMES else prepare
        for name, prepare in CONTENDERS.items()
    }
    race = Race("smallest", "The smallest job: word count of two lines", text, contenders, runs, in_order=False)
    run_races("smallest", "From the command line to the result", [race], results_folder=results_folder)
