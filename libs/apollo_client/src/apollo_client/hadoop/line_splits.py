"""`-inputformat org.apache.hadoop.mapred.lib.NLineInputFormat`: each map task gets so many lines of a file.

Such inputs are lists of what is to be done, so they are small: each task's lines are laid aside as a file of its own,
with their byte offsets before them, as Hadoop Streaming gives them to the mapper.
Source: org.apache.hadoop.mapred.lib.NLineInputFormat and PipeMapper of Hadoop 3.4.2.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

from apollo_client.hadoop.errors import LaunchFailed
from apollo_client.hadoop.files.port import Status
from apollo_client.hadoop.files.tree import Files
from apollo_client.hadoop.inputs import MAX_INPUT_FILES, Inputs
from apollo_client.hadoop.jobconf import JobConf
from apollo_client.hadoop.names import IGNORE_KEY

NAME = "org.apache.hadoop.mapred.lib.NLineInputFormat"
MAX_INPUT_BYTES = 64 << 20


async def lay_lines_aside(files: Files, inputs: Inputs, conf: JobConf, staging: str) -> Inputs:
    """The inputs of the tasks: files below `staging`, a store URL, one for each. LaunchFailed for too much input."""
    if sum(status.size_bytes for status in inputs.files) > MAX_INPUT_BYTES:
        raise LaunchFailed(f"-inputformat {NAME}: the input is larger than {MAX_INPUT_BYTES >> 20} MiB")
    lines_per_task = max(1, conf.number("mapreduce.input.lineinputformat.linespermap", 1))
    with_offsets = not conf.flag(IGNORE_KEY, default=False)
    tasks: list[tuple[int, bytes]] = []
    for status in inputs.files:
        content = b"".join([chunk async for chunk in files.of(status.url).read(status.url)])
        tasks += _tasks_of(content, lines_per_task, with_offsets=with_offsets)
    if len(tasks) > MAX_INPUT_FILES:
        raise LaunchFailed(f"-inputformat {NAME}: {len(tasks)} tasks are more than {MAX_INPUT_FILES}")
    tasks.sort(key=lambda task: -task[0])
    laid: list[Status] = []
    for number, (_, content) in enumerate(tasks):
        url = f"{staging}/{number:05d}"
        await files.of(url).write(url, _once(content))
        laid.append(Status(url, is_directory=False, size_bytes=len(content)))
    longest = max((len(content) for _, content in tasks), default=1)
    return replace(inputs, files=tuple(laid), split_size_bytes=longest)


def _tasks_of(content: bytes, lines_per_task: int, *, with_offsets: bool) -> list[tuple[int, bytes]]:
    """Hadoop's size of each task's split, which it sorts by, and what its mapper reads."""
    lines, offset = [], 0
    for line in content.splitlines(keepends=True):  # of bytes: \n, \r and \r\n end them, as in Hadoop
        lines.append((offset, line))
        offset += len(line)
    tasks = []
    for first in range(0, len(lines), lines_per_task):
        chosen = lines[first : first + lines_per_task]
        size = sum(len(line) for _, line in chosen) - (first == 0)
        told = [(b"%d\t" % at if with_offsets else b"") + line.rstrip(b"\r\n") + b"\n" for at, line in chosen]
        tasks.append((size, b"".join(told)))
    return tasks


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
