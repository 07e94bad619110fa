"""Keeps a job's commit from its own input: an object that it reads, and that lies at its output under a name that a
commit removes or replaces, would be gone. However input and output are written: by links, by mounts of one directory
at two places, with slashes that the store drops, or by two names of one endpoint.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from apollo_common.errors import OutputHoldsInput
from apollo_common.storage.location import parse, resolve_inputs, resolve_output
from apollo_common.storage.places import may_meet, tidy
from apollo_common.storage.port import ObjectStore, StorageAccess
from apollo_common.threads import in_thread
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.store.manifest import SUCCESS
from apollo_coordinator.store.part_names import is_part

MAX_LINKS = 40  # as many as Linux follows

_Directory = tuple[int, int]  # device and inode
_Names = Callable[[str], bool]


def may_overlap(url: str, output: str) -> bool:
    """Whether an input location, perhaps with wildcards, can name objects at the output. Blocks."""
    if parse(url).scheme != parse(output).scheme:
        return False
    if output.startswith("file://"):
        return Path(parse(output).key).is_dir()  # links lead anywhere
    return may_meet(url, output)


async def check_apart(spec: JobSpec, store: ObjectStore, read: Sequence[tuple[str, str]]) -> None:
    """OutputHoldsInput when the commit would remove or replace one of the objects that the job reads.

    `read`: their URLs and versions; `store`: the output's.
    """
    output, output_access = resolve_output(spec.output_path, StorageAccess())
    met = await in_thread(_first_at, output, read, partial(_is_replaced, prefix=spec.part_prefix))
    if met is None:
        return
    url, version = met
    _, input_access = resolve_inputs(spec.input_paths, StorageAccess())
    if input_access.endpoint_url != output_access.endpoint_url and not url.startswith("file://"):
        there = await store.stat(url)  # one store by two names, or two with buckets of one name
        if there is None or there.version != version:
            return
    raise OutputHoldsInput(
        f"{spec.output_path} holds an input of this job, {url}, which the commit would remove or replace: "
        "name another output"
    )


def _first_at(output: str, read: Iterable[tuple[str, str]], is_replaced: _Names) -> tuple[str, str] | None:
    """The first object that lies at the output under a name that a commit removes or replaces. Blocks."""
    if output.startswith("file://"):
        there = _directory(Path(parse(output).key))
        if there is None:
            return None
        files = (seen for seen in read if seen[0].startswith("file://"))
        return next((seen for seen in files if there in _directories(Path(parse(seen[0]).key), is_replaced)), None)
    objects = (seen for seen in read if seen[0].startswith("s3://"))
    return next((seen for seen in objects if _lies_right_below(tidy(output), tidy(seen[0]), is_replaced)), None)


def _lies_right_below(prefix: str, key: str, is_replaced: _Names) -> bool:
    above, _, name = key.rpartition("/")
    return above == prefix and is_replaced(name)


def _directories(file: Path, is_replaced: _Names) -> Iterator[_Directory]:
    """Where a file would be lost to a commit: its own directory, if it is called like something that a commit removes
    or replaces, and if it is a link, that of the file that it leads to, and so on.
    """
    with suppress(OSError):  # no link any more, or something on the way is gone
        for _ in range(MAX_LINKS):
            if is_replaced(file.name) and (found := _directory(file.parent)) is not None:
                yield found
            file = file.parent / file.readlink()


def _directory(path: Path) -> _Directory | None:
    """Tells a directory from all others, by whatever path it is reached; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_replaced(name: str, prefix: str) -> bool:
    return name == SUCCESS or is_part(name, prefix)
