"""Word count through the whole of Apollo equals what coreutils counts.

PYTEST_WORD_COUNT_MIB sets the size of the text; PYTEST_WORD_COUNT_CASES=all tries every combination of language, number
of reducers, split size and stores, instead of a selection that has every pair of language and number of reducers.
"""

import hashlib
import json
import os
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

from support.apollo_cli import REPOSITORY, apollo
from support.corpus import coreutils_word_count, parts, read_parts, sorted_lines, write_python_sources
from support.seaweedfs import S3Server

WORD_COUNT = REPOSITORY / "examples" / "word_count"
SIZE_BYTES = int(os.environ.get("PYTEST_WORD_COUNT_MIB", "6")) << 20
DEADLINE_SECONDS = 120 + SIZE_BYTES / 1e6

LANGUAGES = ("python", "c", "awk")
REDUCERS = (1, 4, 64)
SPLIT_SIZES = ("1MiB", "64MiB")
STORES = ("file to file", "file to s3", "s3 to file", "s3 to s3")
SELECTION = [
    (language, reducers, SPLIT_SIZES[(row + column) % 2], STORES[(row + 3 * column) % 4])
    for row, language in enumerate(LANGUAGES)
    for column, reducers in enumerate(REDUCERS)
]
ALL = list(product(LANGUAGES, REDUCERS, SPLIT_SIZES, STORES))
CASES = ALL if os.environ.get("PYTEST_WORD_COUNT_CASES") == "all" else SELECTION


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_python_sources(tmp_path_factory.mktemp("corpus") / "corpus.txt", SIZE_BYTES)


@pytest.fixture(scope="module")
def expected(corpus: Path) -> bytes:
    return coreutils_word_count(corpus)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Mapper and reducer by language."""
    compiled = tmp_path_factory.mktemp("bin") / "word_count"
    sdk = REPOSITORY / "sdk" / "c"
    compiler = shutil.which("cc") or pytest.skip("no C compiler: install gcc")
    sources = [WORD_COUNT / "word_count.c", sdk / "apollo.c"]
    subprocess.run([compiler, "-O2", "-D_GNU_SOURCE", f"-I{sdk}", "-o", compiled, *sources], check=True)
    python = str(WORD_COUNT / "word_count.py")
    return {
        "python": (python, python),
        "c": (str(compiled), str(compiled)),
        "awk": (str(WORD_COUNT / "mapper.awk"), str(WORD_COUNT / "reducer.awk")),
    }


@pytest.fixture(scope="module")
def corpus_in_s3(s3_server: S3Server, corpus: Path) -> str:
    client = s3_server.client()
    client.create_bucket(Bucket="corpus")
    client.upload_file(str(corpus), "corpus", "text/corpus.txt")
    return "s3://corpus/text/corpus.txt"


@pytest.mark.timeout(DEADLINE_SECONDS + 60)
@pytest.mark.parametrize(("language", "reducers", "split_size", "stores"), CASES)
def test_equals_coreutils(
    tmp_path: Path,
    corpus: Path,
    corpus_in_s3: str,
    expected: bytes,
    programs: dict[str, tuple[str, str]],
    s3_server: S3Server,
    s3_bucket: str,
    language: str,
    reducers: int,
    split_size: str,
    stores: str,
) -> None:
    mapper, reducer = programs[language]
    source, _, target = stores.partition(" to ")
    outcome = apollo(
        "run", "--json", "--mapper", mapper, "--reducer", reducer, "--reducers", reducers, "--split-size", split_size,
        "--input", corpus_in_s3 if source == "s3" else corpus,
        "--output", f"s3://{s3_bucket}/out" if target == "s3" else tmp_path / "out",
        timeout_seconds=DEADLINE_SECONDS, **s3_server.environment,
    )  # fmt: skip
    assert outcome.status == 0, outcome
    if target == "s3":
        download(s3_server, s3_bucket, tmp_path / "out")
    assert len(parts(tmp_path / "out")) == reducers
    assert sorted_lines(read_parts(tmp_path / "out")) == expected


def download(server: S3Server, bucket: str, target: Path) -> None:
    """The objects below `out/`, by a client that knows nothing of Apollo."""
    target.mkdir()
    client = server.client()
    for found in client.list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]:
        client.download_file(bucket, found["Key"], str(target / found["Key"].removeprefix("out/")))


def test_the_manifest_describes_the_parts(tmp_path: Path, corpus: Path, programs: dict[str, tuple[str, str]]) -> None:
    mapper, reducer = programs["awk"]
    outcome = apollo(
        "run", "--json", "--mapper", mapper, "--reducer", reducer, "--combiner", "builtin:sum", "--input", corpus,
        "--output", tmp_path / "out", "--reducers", 3, "--split-size", "1MiB",
    )  # fmt: skip
    assert outcome.status == 0, outcome
    manifest = json.loads((tmp_path / "out" / "_SUCCESS").read_bytes())
    assert manifest["job"] == outcome.job["id"]
    assert manifest["parts"] == [
        {
            "name": part.name,
            "size": part.stat().st_size,
            "records": part.read_bytes().count(b"\n"),
            "sha256": hashlib.sha256(part.read_bytes()).hexdigest(),
        }
        for part in parts(tmp_path / "out")
    ]
    counters = manifest["counters"]["apollo"]
    text = corpus.read_bytes()
    assert counters["input_bytes"] == len(text)
    assert counters["input_records"] == text.count(b"\n") + (not text.endswith(b"\n"))
    assert counters["map_output_records"] == len(text.split())
    assert counters["reduce_input_groups"] == len(set(text.split()))
    assert counters["output_records"] == len(set(text.split()))
    assert counters["output_bytes"] == len(read_parts(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "_SUCCESS", "part-r-00000", "part-r-00001", "part-r-00002",
    ]  # fmt: skip


def test_the_order_of_values_does_not_depend_on_the_workers(tmp_path: Path, corpus: Path) -> None:
    """Values come by map task, then by emission, so two runs with different workers agree byte for byte."""
    outputs = []
    for workers in (1, 2):
        out = tmp_path / f"out-{workers}"
        outcome = apollo(
            "run", "--json", "--mapper", "shell:awk '{print length($0) \"\\t\" $0}'", "--reducer", "shell:cat",
            "--input", corpus, "--output", out, "--reducers", 2, "--split-size", "1MiB", "--workers", workers,
        )  # fmt: skip
        assert outcome.status == 0, outcome
        outputs.append(read_parts(out))
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(("suffix", "compress"), [("gz", "gzip -c"), ("bz2", "bzip2 -c"), ("zst", "zstd -q -c")])
def test_compressed_inputs(
    tmp_path: Path, corpus: Path, expected: bytes, programs: dict[str, tuple[str, str]], suffix: str, compress: str
) -> None:
    """Two members in one object, as `cat a.gz b.gz` makes them."""
    packed = tmp_path / f"corpus.txt.{suffix}"
    script = f"{{ head -c 3000000 {corpus} | {compress}; tail -c +3000001 {corpus} | {compress}; }} > {packed}"
    if subprocess.run(
        ["/bin/sh", "-c", f"command -v {compress.split()[0]}"], capture_output=True, check=False
    ).returncode:
        pytest.skip(f"{compress.split()[0]} is not installed")
    subprocess.run(["/bin/sh", "-c", script], check=True)
    mapper, reducer = programs["python"]
    outcome = apollo(
        "run", "--json", "--mapper", mapper, "--reducer", reducer,
        "--input", packed, "--output", tmp_path / "out", "--reducers", 2,
    )  # fmt: skip
    assert outcome.status == 0, outcome
    assert sorted_lines(read_parts(tmp_path / "out")) == expected
