"""Which files a job reads, and how they are cut: as Hadoop's FileInputFormat lists and splits them.

Source: org.apache.hadoop.mapred.FileInputFormat and JobSubmitter of Hadoop 3.4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from apollo_client.hadoop.errors import LaunchFailed
from apollo_client.hadoop.files.port import Status
from apollo_client.hadoop.files.tree import Files
from apollo_client.hadoop.jobconf import JobConf
from apollo_client.hadoop.paths import Paths
from apollo_common.storage import glob

DEFAULT_BLOCK_BYTES = 32 << 20  # of Hadoop's local and S3 file systems
MAX_INPUT_FILES = 10_000  # that a job of Apollo's may name one by one


@dataclass(frozen=True, slots=True)
class Inputs:
    """`files` come in the order of the map tasks. `file_count`: how many the job was given."""

    files: tuple[Status, ...]
    split_size_bytes: int
    file_count: int

    @property
    def urls(self) -> list[str]:
        """Patterns for Apollo, each of which matches one file."""
        return [glob.escape(status.url) for status in self.files]


async def find_inputs(files: Files, paths: Paths, given: Sequence[str], conf: JobConf) -> Inputs:
    """LaunchFailed for a path or pattern that nothing is at, and for a directory where a file must be."""
    recursive = conf.flag("mapreduce.input.fileinputformat.input.dir.recursive", default=False)
    found: list[Status] = []
    for text in given:
        url = paths.url(text)
        matched = await files.match(url, hidden=False)
        if not matched:
            what = (
                "Input Pattern {} matches 0 files" if any(c in url for c in "*?[{") else "Input path does not exist: {}"
            )
            raise LaunchFailed(what.format(paths.shown(url)))
        for status in matched:
            found += await _files_of(files, paths, status, recursive=recursive)
    if len(found) > MAX_INPUT_FILES:
        raise LaunchFailed(f"the input holds more than {MAX_INPUT_FILES} files: put small files together")
    if not found:
        raise LaunchFailed(f"there are no files in {', '.join(given)}")
    size = _split_size(conf, sum(status.size_bytes for status in found))
    # The greatest splits come first, so that the longest tasks do not start last; equals in the order of the listing.
    ordered = sorted(found, key=lambda status: -min(status.size_bytes, size))
    return Inputs(tuple(ordered), size, len(found))


async def _files_of(files: Files, paths: Paths, status: Status, *, recursive: bool) -> list[Status]:
    if not status.is_directory:
        return [status]
    found = []
    for child in await files.children(status.url):
        if child.name.startswith(("_", ".")):
            continue
        if child.is_directory and not recursive:
            raise LaunchFailed(f"Not a file: {paths.shown(child.url)}")
        found += await _files_of(files, paths, child, recursive=True) if child.is_directory else [child]
    return found


def _split_size(conf: JobConf, total_bytes: int) -> int:
    maps = max(1, conf.number("mapreduce.job.maps", 1))
    least = max(1, conf.number("mapreduce.input.fileinputformat.split.minsize", 1))
    most = conf.number("dfs.blocksize", DEFAULT_BLOCK_BYTES)
    most = min(most, conf.number("mapreduce.input.fileinputformat.split.maxsize", most))
    return max(least, min(max(1, total_bytes // maps), most))
