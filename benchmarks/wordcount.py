"""Word count of real text beside every peer; what is slow by nature counts an eighth of it."""

from collections.abc import Collection, Mapping
from pathlib import Path

from apollo_common.units import format_size
from benchmarks.contenders import BENCH, Preparation
from benchmarks.corpus import write_corpus
from benchmarks.peers import apollo, coreutils, dask_bag, hadoop_streaming, mawk, mrjob, spark
from benchmarks.race import Race, left_out, run_races

WHOLE, PART = "words", "words-part"
PART_SHARE = 8
PART_RUNS = 2
BASELINE = "coreutils"
CONTENDERS: Mapping[str, Preparation] = {
    BASELINE: coreutils.words,
    "mawk": mawk.words,
    "apollo-c": lambda: apollo.words_compiled("c"),
    "apollo-go": lambda: apollo.words_compiled("go"),
    "apollo-rust": lambda: apollo.words_compiled("rust"),
    "apollo-python": apollo.words_in_python,
    "spark-sql": spark.sql_words,
    "pyspark-rdd": spark.rdd_words,
}
SLOW_CONTENDERS: Mapping[str, Preparation] = {
    BASELINE: coreutils.words,
    "apollo-python": apollo.words_in_python,
    "apollo-python-records": apollo.words_in_python_records,
    "apollo-awk": apollo.words_in_awk,
    "pyspark-rdd": spark.rdd_words,
    "mrjob": mrjob.words,
    "dask-bag": dask_bag.words,
    "hadoop-streaming": hadoop_streaming.words,
}
NAMES = tuple(dict.fromkeys((*CONTENDERS, *SLOW_CONTENDERS)))
QUICK_NAMES = frozenset({BASELINE, "mawk", "apollo-c", "apollo-python"})


def run(names: Collection[str], *, size_bytes: int, runs: int, quick: bool, results_folder: Path) -> None:
    """The contenders of these names, and the baseline. `quick` leaves out those that have to be installed."""
    races = [
        _race(WHOLE, "Word count", CONTENDERS, names, size_bytes, runs, quick=quick),
        _race(PART, "Word count", SLOW_CONTENDERS, names, size_bytes // PART_SHARE, min(runs, PART_RUNS), quick=quick),
    ]
    title = "Word count: Apollo and its peers"
    run_races("wordcount", title, [race for race in races if len(race.contenders) > 1], results_folder=results_folder)


def _race(
    name: str,
    title: str,
    contenders: Mapping[str, Preparation],
    names: Collection[str],
    size_bytes: int,
    runs: int,
    *,
    quick: bool,
) -> Race:
    chosen = {
        contender: left_out("left out by --quick") if quick and contender not in QUICK_NAMES else prepare
        for contender, prepare in contenders.items()
        if contender in {BASELINE, *names}
    }
    text = write_corpus(BENCH / f"text-utf8-{size_bytes}.txt", size_bytes)
    return Race(name, f"{title}, {format_size(size_bytes)} of text", text, chosen, runs, in_order=False)
