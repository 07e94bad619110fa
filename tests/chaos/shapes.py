"""The kinds of jobs that a run submits, and what each must come to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from chaos import corpus

PROGRAMS = Path(__file__).with_name("programs")
SPLIT_SIZE = "64KiB"
PATIENT = 50
"""`maxAttempts` of jobs that must not fail, however many of their programs are killed."""

_REST = 'if (NR % 150 == 0) system("sleep 0.1")'  # so that faults meet programs at work, and cost no processor
_REST_OF_A_REDUCER = 'if (NR % 3000 == 0) system("sleep 0.1")'
_WORDS = f"shell:awk '{{ for (i = 2; i <= NF; i++) print $i \"\\t\" 1; {_REST} }}'"
_LONG = f"shell:awk 'length($2) > 6 {{ print $1 \"\\t\" $2 }} {{ {_REST} }}'"
_FAILS = f'shell:awk \'$1 == "{corpus.FAILING_LINE}" {{ exit 3 }} {{ print $2 "\\t" 1; {_REST} }}\''
_ENDLESS = 'shell:awk \'{ print $2 "\\t" 1; if (NR % 10 == 0) system("sleep 0.5") }\''
_TOTALS = (
    "shell:awk -F '\\t' '$1 != key && NR > 1 { print key \"\\t\" sum; sum = 0 } { key = $1; sum += $2; "
    f'{_REST_OF_A_REDUCER} }} END {{ if (NR) print key "\\t" sum }}\''
)

Place = Literal["s3", "file"]
Oracle = Callable[[Sequence[Path]], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Shape:
    """`expected` gives the content of the parts; when `joined`, only their concatenation is known."""

    name: str
    body: Mapping[str, Any]
    expected: Oracle | None = None
    joined: bool = False
    ends: Literal["succeeded", "failed", "stopped"] = "succeeded"
    source: Place = "s3"
    target: Place = "s3"
    old_output: bool = False  # there is one of before, which the job may overwrite
    credentials: bool = False  # in the job's body, rather than in the coordinator's environment
    programs: tuple[str, ...] = field(default=())


def _whole(compute: Callable[[Sequence[Path]], bytes]) -> Oracle:
    return lambda paths: (compute(paths),)


def _parts(compute: Callable[[Sequence[Path]], bytes], parts: int) -> Oracle:
    return lambda paths: corpus.partitioned(compute(paths), parts)


SHAPES = (
    Shape("map-only text", {"mapperName": _LONG, "nReducers": 0}, _whole(corpus.long_lines), joined=True),
    Shape(
        "R=1 text with a combiner",
        {"mapperName": _WORDS, "combinerName": "builtin:sum", "reducerName": "builtin:sum", "nReducers": 1},
        _whole(corpus.word_count),
        credentials=True,
    ),
    Shape(
        "R=4 text, file to s3",
        {"mapperName": _WORDS, "reducerName": _TOTALS, "nReducers": 4},
        _parts(corpus.word_count, 4),
        source="file",
    ),
    Shape(
        "R=4 frames with a combiner",
        {"mapperName": "count.py", "combinerName": "count.py", "reducerName": "count.py", "nReducers": 4},
        _parts(corpus.word_count, 4),
        credentials=True,
        programs=("count.py",),
    ),
    Shape(
        "R=2 frames, ordered values",
        {"mapperName": "index.py", "reducerName": "index.py", "nReducers": 2, "memoryBudget": "8MiB"},
        _parts(corpus.index, 2),
        programs=("index.py",),
    ),
    Shape(
        "R=3 ranges of keys, downwards",
        {
            "mapperName": _WORDS,
            "reducerName": _TOTALS,
            "nReducers": 3,
            "partitioner": "range",
            "keyOrder": "-r",
            "partPrefix": "part-",
        },
        _whole(lambda paths: corpus.downwards(corpus.word_count(paths))),
        joined=True,
    ),
    Shape(
        "overwrite in s3",
        {"mapperName": _WORDS, "reducerName": "builtin:sum", "nReducers": 2, "overwrite": True},
        _parts(corpus.word_count, 2),
        old_output=True,
    ),
    Shape(
        "overwrite in files",
        {"mapperName": "count.py", "reducerName": "count.py", "nReducers": 2, "overwrite": True},
        _parts(corpus.word_count, 2),
        target="file",
        old_output=True,
        programs=("count.py",),
    ),
    Shape(
        "must fail",
        {"mapperName": _FAILS, "reducerName": "builtin:sum", "nReducers": 2, "overwrite": True, "maxAttempts": 2},
        ends="failed",
        old_output=True,
        credentials=True,
    ),
    Shape(
        "is stopped",
        {"mapperName": _ENDLESS, "reducerName": "builtin:sum", "nReducers": 2, "overwrite": True},
        ends="stopped",
        old_output=True,
        credentials=True,
    ),
)

COMMON: Mapping[str, Any] = {
    "splitSize": SPLIT_SIZE,
    "partitioner": "hadoop",
    "maxAttempts": PATIENT,
    "speculation": True,
}
