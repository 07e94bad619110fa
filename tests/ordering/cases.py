"""Jobs about key fields, separators and order: the arguments for Hadoop Streaming, and Apollo's job.

`python -m ordering record` runs them with Hadoop 3.4.2 in local mode and keeps the parts in `expected`; it needs a
network once, Java and Maven. `check` says what Hadoop answers otherwise today. Orders that leave keys equal are not
among them: Hadoop's sort is not stable.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
INPUT = HERE / "input"
EXPECTED = HERE / "expected"

BY_FIELDS = "-partitioner org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner"
COMPARED = (
    "-D mapreduce.job.output.key.comparator.class=org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator"
)
CSV_KEYS = "-D stream.map.output.field.separator=, -D mapreduce.map.output.key.field.separator=,"


@dataclass(frozen=True)
class Case:
    name: str
    input: str
    hadoop: str  # as for a shell, without -input and -output
    apollo: dict[str, Any]  # fields of the job's body

    def __str__(self) -> str:
        return self.name


CASES = [
    Case(
        "partition-by-two-of-four-fields",
        "versions.txt",
        "-D stream.map.output.field.separator=. -D stream.num.map.output.key.fields=4 "
        "-D mapreduce.map.output.key.field.separator=. -D mapreduce.partition.keypartitioner.options=-k1,2 "
        f"-D mapreduce.job.reduces=12 -mapper cat -reducer cat {BY_FIELDS}",
        {
            "mapperName": "shell:cat",
            "reducerName": "shell:cat",
            "nReducers": 12,
            "partitioner": "keyfields:-k1,2",
            "mapOutputSeparator": ".",
            "mapOutputKeyFields": 4,
        },
    ),
    Case(
        "compare-numbers-downwards",
        "versions.txt",
        "-D stream.map.output.field.separator=. -D stream.num.map.output.key.fields=4 "
        "-D mapreduce.map.output.key.field.separator=. "
        f"-D 'mapreduce.partition.keycomparator.options=-k2,2nr -k1,1n -k3,3n -k4,4' {COMPARED} "
        "-mapper cat -reducer cat",
        {
            "mapperName": "shell:cat",
            "reducerName": "shell:cat",
            "keyOrder": "-k2,2nr -k1,1n -k3,3n -k4,4",
            "mapOutputSeparator": ".",
            "mapOutputKeyFields": 4,
        },
    ),
    Case(
        "secondary-sort-by-amount",
        "sales.csv",
        f"{CSV_KEYS} -D stream.num.map.output.key.fields=3 -D mapreduce.partition.keypartitioner.options=-k1,1 "
        f"-D 'mapreduce.partition.keycomparator.options=-k1,1 -k3,3nr -k2,2' {COMPARED} "
        f"-D mapreduce.job.reduces=3 -mapper cat -reducer cat {BY_FIELDS}",
        {
            "mapperName": "shell:cat",
            "reducerName": "shell:cat",
            "nReducers": 3,
            "partitioner": "keyfields:-k1,1",
            "keyOrder": "-k1,1 -k3,3nr -k2,2",
            "mapOutputSeparator": ",",
            "mapOutputKeyFields": 3,
        },
    ),
    Case(
        "bytes-of-fields-and-reversed-texts",
        "sales.csv",
        f"{CSV_KEYS} -D stream.num.map.output.key.fields=3 "
        "-D 'mapreduce.partition.keypartitioner.options=-k2.2,2.3 -k1.1,1.1' "
        f"-D 'mapreduce.partition.keycomparator.options=-r -k1.2,2.1 -k2 -k3,3n' {COMPARED} "
        f"-D mapreduce.job.reduces=4 -mapper cat -reducer cat {BY_FIELDS}",
        {
            "mapperName": "shell:cat",
            "reducerName": "shell:cat",
            "nReducers": 4,
            "partitioner": "keyfields:-k2.2,2.3 -k1.1,1.1",
            "keyOrder": "-r -k1.2,2.1 -k2 -k3,3n",
            "mapOutputSeparator": ",",
            "mapOutputKeyFields": 3,
        },
    ),
    Case(
        "hash-of-a-key-of-two-fields",
        "sales.csv",
        f"{CSV_KEYS} -D stream.num.map.output.key.fields=2 -D mapreduce.job.reduces=3 -mapper 'sort -u -t, -k1,2' "
        "-reducer cat",
        {
            "mapperName": "shell:sort -u -t, -k1,2",
            "reducerName": "shell:cat",
            "nReducers": 3,
            "partitioner": "hadoop",
            "mapOutputSeparator": ",",
            "mapOutputKeyFields": 2,
        },
    ),
    Case(
        "separators-on-every-way",
        "sales.csv",
        "-D stream.map.output.field.separator=, -D stream.num.map.output.key.fields=2 "
        "-D stream.reduce.input.field.separator=:: -D stream.reduce.output.field.separator=, "
        "-D stream.num.reduce.output.key.fields=3 -D 'mapreduce.output.textoutputformat.separator= => ' "
        "-D mapreduce.job.reduces=2 -mapper 'sort -u -t, -k1,2' -reducer 'sed s/day/DAY/'",
        {
            "mapperName": "shell:sort -u -t, -k1,2",
            "reducerName": "shell:sed s/day/DAY/",
            "nReducers": 2,
            "partitioner": "hadoop",
            "mapOutputSeparator": ",",
            "mapOutputKeyFields": 2,
            "reduceInputSeparator": "::",
            "reduceOutputSeparator": ",",
            "reduceOutputKeyFields": 3,
            "outputSeparator": " => ",
        },
    ),
    Case(
        "a-combiner-speaks-like-a-reducer",
        "sales.csv",
        "-D stream.map.output.field.separator=, -D stream.num.map.output.key.fields=2 "
        "-D 'stream.reduce.input.field.separator=;' -D 'stream.reduce.output.field.separator=;' -mapper 'sed s/,/-/' "
        "-combiner 'sed s/day/combined/' -reducer 'cut -d; -f1,2'",
        {
            "mapperName": "shell:sed s/,/-/",
            "reducerName": "shell:cut -d ';' -f1,2",
            "combinerName": "shell:sed s/day/combined/",
            "mapOutputSeparator": ",",
            "mapOutputKeyFields": 2,
            "reduceInputSeparator": ";",
            "reduceOutputSeparator": ";",
        },
    ),
    Case(
        "separators-of-a-map-only-job",
        "sales.csv",
        "-D stream.map.output.field.separator=, -D stream.num.map.output.key.fields=3 "
        "-D mapreduce.output.textoutputformat.separator=| -mapper cat -reducer NONE",
        {
            "mapperName": "shell:cat",
            "nReducers": 0,
            "mapOutputSeparator": ",",
            "mapOutputKeyFields": 3,
            "outputSeparator": "|",
        },
    ),
    Case(
        "separators-that-overlap-themselves",
        "sales.csv",
        "-D stream.map.output.field.separator=:: -D stream.num.map.output.key.fields=3 "
        "-mapper 'sed s/,/:::/g' -reducer cat",
        {
            "mapperName": "shell:sed s/,/:::/g",
            "reducerName": "shell:cat",
            "mapOutputSeparator": "::",
            "mapOutputKeyFields": 3,
        },
    ),
    Case(
        "a-field-that-a-key-lacks-comes-first",
        "sales.csv",
        f"{CSV_KEYS} -D stream.num.map.output.key.fields=4 "
        f"-D 'mapreduce.partition.keycomparator.options=-k3,3n -k4.5,4n' {COMPARED} "
        "-mapper 'sed s/,-7,day.78//;s/,0,day/,-200.5,day/' -reducer cat",
        {
            "mapperName": "shell:sed 's/,-7,day.78//;s/,0,day/,-200.5,day/'",
            "reducerName": "shell:cat",
            "keyOrder": "-k3,3n -k4.5,4n",
            "mapOutputSeparator": ",",
            "mapOutputKeyFields": 4,
        },
    ),
]
