"""Which files a job reads, and how large a split is: as Hadoop's FileInputFormat lists and cuts them.

Source: org.apache.hadoop.mapred.FileInputFormat of Hadoop 3.4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from apollo_client.hadoop.errors import LaunchFailed
from apollo_client.hadoop.files.port import Status
from apollo_client.hadoop.files.tree import Files, is_pattern
from apollo_client.hadoop.jobconf import JobConf
from apollo_client.hadoop.paths import Paths
from apollo_common.storage import glob

DEFAULT_BLOCK_BYTES = 32 << 20  # of Hadoop's local and S3 file systems
MAX_INPUT_FILES = 10_000  # that a job of Apollo's may name one by one


@dataclass(frozen=True, slots=True)
class Inputs:
    """`file_count`: how many files the job was given. `roots`: the files and directories that it named."""

    files: tuple[Status, ...]
    split_size_bytes: int
    file_count: int
    roots: tuple[str, ...] = ()

    @property
    def urls(self) -> list[str]:
        """Patterns for Apollo, each of which matches one file; where there is none, directories without any."""
        return [glob.escape(url) for url in ([status.url for status in self.files] or self.roots)]


async def find_inputs(files: Files, paths: Paths, given: Sequence[str], conf: JobConf) -> Inputs:
    """LaunchFailed for a path or pattern that nothing is at, and for a directory where a file must be."""
    recursive = conf.flag("mapreduce.input.fileinputformat.input.dir.recursive", default=False)
    found: list[Status] = []
    roots: list[str] = []
    for text in given:
        url = paths.url(text)
        matched = await files.match(url, hidden=False)
        if not matched:
            what = "Input Pattern {} matches 0 files" if is_pattern(url) else "Input path does not exist: {}"
            raise LaunchFailed(what.format(paths.shown(url)))
        for status in matched:
            roots.append(status.url)
            found += await _files_of(files, paths, status, recursive=recursive)
    if len(found) > MAX_INPUT_FILES:
        raise LaunchFailed(f"the input holds more than {MAX_INPUT_FILES} files: put small files together")
    size = _split_size(conf, sum(status.size_bytes for status in found))
    return Inputs(tuple(found), size, len(found), tuple(roots))


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
    block = conf.number("dfs.blocksize", DEFAULT_BLOCK_BYTES)
    return max(least, min(max(1, total_bytes // maps), block))


def packed_split_size(inputs: Inputs, conf: JobConf) -> int:
    """Of CombineTextInputFormat: without a limit all files are one split."""
    total_bytes = sum(status.size_bytes for status in inputs.files)
    return conf.number("mapreduce.input.fileinputformat.split.maxsize", 0) or max(1, total_bytes)
