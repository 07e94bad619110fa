"""apollo demo: counts the words of a text that every machine with Python has, and shows what came out."""

import asyncio
import heapq
import json
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from apollo_client.cli.joboptions import JobRequest
from apollo_client.cli.run import run_job
from apollo_client.cli.running import run_async
from apollo_common.errors import OutputExists
from apollo_common.storage.staging import STAGING
from apollo_common.units import format_size

TOP_WORDS = 10
REDUCERS = 4
SPLIT_SIZE_BYTES = 4 << 20
JOB_NAME = "Apollo's demo"
MAX_MANIFEST_BYTES = 1 << 20  # of what a demo publishes: a few KiB
PROGRAM = Path(__file__).parent.parent / "demo/word_count.py"


@click.command(short_help="Count the words of Python's own source, to see Apollo work.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("apollo-demo-output"),
    show_default=True,
    help="Where the result goes.",
)
def demo(*, output: Path) -> int:
    """Count the words of Python's standard library source with a program in Python.

    Replaces what it left before, and nothing else.
    """
    return run_async(_demo(output.absolute()))


async def _demo(output: Path) -> int:
    overwrite = await asyncio.to_thread(_is_for_demos, output)
    with tempfile.TemporaryDirectory(prefix="apollo-demo-") as directory:
        text = Path(directory) / "python-source.txt"
        files = await asyncio.to_thread(gather_sources, text)
        size_bytes = (await asyncio.to_thread(text.stat)).st_size
        click.echo(
            f"Counting the words of Python's standard library: {files:,} files, {format_size(size_bytes)}.\n"
            f"The program: {PROGRAM}",
            err=True,
        )
        request = JobRequest(
            {
                "inputPath": [f"file://{text}"],
                "outputPath": f"file://{output}",
                "overwrite": overwrite,
                "nReducers": REDUCERS,
                "splitSize": SPLIT_SIZE_BYTES,
                "name": JOB_NAME,
            },
            dict.fromkeys(("mapperName", "combinerName", "reducerName"), PROGRAM),
        )
        started = time.monotonic()
        status = await run_job(request, None, workers=None, as_json=False)
    if status == 0:
        await asyncio.to_thread(_show, output, time.monotonic() - started)
    return status


def _is_for_demos(output: Path) -> bool:
    """Whether a demo may replace what is there; False: nothing is. OutputExists."""
    if is_of_demo(output):
        return True
    if _holds_anything(output):
        raise OutputExists(
            f"There is something at {output} that does not say it is a demo's. Name a directory that does not exist "
            "yet with --output. Or remove what is there, if nobody needs it: a demo of an earlier version, or one that "
            "was killed while it published, may have left it."
        )
    return False


def is_of_demo(output: Path) -> bool:
    """Whether a demo published what is there: by the manifest of its job."""
    try:
        with (output / "_SUCCESS").open("rb") as manifest:
            return bool(json.loads(manifest.read(MAX_MANIFEST_BYTES))["spec"]["name"] == JOB_NAME)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _holds_anything(output: Path) -> bool:
    """Beside uploads that nobody has finished, as a job leaves them that was killed: they are not published."""
    try:
        return any(entry.name != STAGING for entry in output.iterdir())
    except OSError:  # nothing is there; or it cannot be read, which the job says
        return False


def gather_sources(target: Path) -> int:
    """Write Python's own source files one after the other, in the order of their paths; how many there were."""
    root = Path(sysconfig.get_path("stdlib"))
    files = 0
    with target.open("wb") as out:
        for source in sorted(root.rglob("*.py")):
            if "site-packages" in source.parts:
                continue
            try:
                out.write(source.read_bytes())
            except OSError:  # some distributions leave dangling links
                continue
            files += 1
    return files


def _show(output: Path, seconds: float) -> None:
    click.echo(f"\nThe {TOP_WORDS} most frequent words, found in {seconds:.1f} s:")
    for count, word in heapq.nlargest(TOP_WORDS, _counts(output)):
        click.echo(f"  {count:>9,}  {word}")
    click.echo(f"All of them: {output}/part-r-*")


def _counts(output: Path) -> Iterator[tuple[int, str]]:
    for part in sorted(output.glob("part-r-*")):
        with part.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                word, _, count = line.rstrip("\n").rpartition("\t")
                yield int(count), word
