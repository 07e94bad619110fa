"""Verbs that write: -mkdir, -put, -get, -cp, -mv, -moveFromLocal, -rm, -rmdir, -touchz, -getmerge."""

import sys
from collections.abc import AsyncIterator, Callable

from apollo_client.hadoop.files.port import EXISTS, IS_DIRECTORY, NO_SUCH, NOT_DIRECTORY, PathProblem, Status
from apollo_client.hadoop.files.tree import Files
from apollo_client.hadoop.fs.call import HERE, Call, Found
from apollo_client.hadoop.fs.content import bytes_of, content_of
from apollo_client.hadoop.paths import Paths
from apollo_common.errors import ApolloError
from apollo_common.threads import in_thread

STDIN_CHUNK_BYTES = 1 << 20
_STDIO = "-"

_Reader = Callable[[Call, Found], AsyncIterator[bytes]]


async def mkdir(call: Call) -> None:
    for text in call.paths:
        try:
            await _make(call, text)
        except ApolloError as error:
            call.failed(error)


async def _make(call: Call, text: str) -> None:
    url = call.resolve.url(text)
    found = await call.files.status(url)
    if found is not None and not found.is_directory:
        raise PathProblem(text, NOT_DIRECTORY)
    if "p" not in call.options:
        if found is not None:
            raise PathProblem(text, EXISTS)
        await _check_above(call, url, call.resolve.shown(url.rpartition("/")[0]), "")
    await call.files.of(url).make_directory(url)


async def _check_above(call: Call, url: str, shown: str, where: str) -> None:
    """A file system, unlike a bucket, has directories that must exist. `shown` and `where` tell what is missing."""
    above = url.rpartition("/")[0]
    if not url.startswith("file://"):
        return
    found = await call.files.status(above or "file:///")
    if found is None:
        raise PathProblem(shown, NO_SUCH + where)
    if not found.is_directory:
        raise PathProblem(call.resolve.shown(above), NOT_DIRECTORY)


async def _check_above_file(call: Call, to: Found) -> None:
    await _check_above(call, to.status.url, to.shown, f": `{call.resolve.shown(to.status.url)}'")


async def put(call: Call) -> None:
    """From this machine's files, whatever paths without a scheme mean otherwise."""
    await _copy(call, _local(call), call.resolve)


async def get(call: Call) -> None:
    """Other programs read the copy, such as `cat OUT/*`: a marker comes without its manifest."""
    await _copy(call, call.resolve, _local(call), content_of)


async def move_from_local(call: Call) -> None:
    await _copy(call, _local(call), call.resolve, move=True)


async def cp(call: Call) -> None:
    await _copy(call, call.resolve, call.resolve)


async def mv(call: Call) -> None:
    await _copy(call, call.resolve, call.resolve, move=True)


def _local(call: Call) -> Paths:
    return Paths(call.resolve.hdfs_root, "", call.resolve.user, call.resolve.directory)


async def _copy(call: Call, sources: Paths, targets: Paths, read: _Reader = bytes_of, *, move: bool = False) -> None:
    *given, last = call.paths if len(call.paths) > 1 else (*call.paths, HERE)
    if call.verb in ("get", "copyToLocal") and last == _STDIO:
        raise PathProblem(last, "use -cat to write to standard output")
    target = Found(_named(targets.url(last)), last)
    there = await call.files.status(target.status.url)
    if len(given) > 1 and there is None:
        raise PathProblem(last, NO_SUCH)
    if len(given) > 1 and there is not None and not there.is_directory:
        raise PathProblem(last, NOT_DIRECTORY)
    if there is not None and not there.is_directory and "f" not in call.options:
        raise PathProblem(last, EXISTS)
    into = there is not None and there.is_directory
    if not into and last.endswith("/") and not target.status.url.startswith("s3://"):
        raise PathProblem(last, f"{NO_SUCH}: `{call.resolve.shown(target.status.url)}'")
    into = into or last.endswith("/")
    reader = Call(call.verb, call.options, tuple(given), call.files, sources)
    if given == [_STDIO]:
        await _write(call, target, _standard_input())
        return
    async for found in reader.each(reader.paths):
        to = _inside(target, found.status.name) if into else target
        try:
            await _copy_one(call, found, to, read)
            if move:
                await call.files.of(found.status.url).remove(found.status.url)
        except ApolloError as error:
            call.failed(error)
    call.status = call.status or reader.status


async def _copy_one(call: Call, found: Found, to: Found, read: _Reader) -> None:
    if not found.status.is_directory:
        if to.status.url != found.status.url or "f" not in call.options:
            await _write(call, to, read(call, found))
        return
    if f"{to.status.url}/".startswith(f"{found.status.url}/"):
        raise PathProblem(f"{found.shown}' to `{to.shown}", "is a subdirectory of itself")
    await call.files.of(to.status.url).make_directory(to.status.url)
    for child in await call.files.children(found.status.url):
        await _copy_one(call, found.below(child), _inside(to, child.name), read)


async def _write(call: Call, to: Found, content: AsyncIterator[bytes]) -> None:
    there = await call.files.status(to.status.url)
    if there is not None and there.is_directory:
        raise PathProblem(to.shown, IS_DIRECTORY)
    if there is not None and "f" not in call.options:
        raise PathProblem(to.shown, EXISTS)
    if there is None:
        await _check_above_file(call, to)
    await call.files.of(to.status.url).write(to.status.url, content)


async def rm(call: Call) -> None:
    recursive = bool(call.options & {"r", "R"}) or call.verb == "rmr"
    for text in call.paths:
        try:
            for found in await call.find(text):
                await _remove(call, found, recursive=recursive)
        except PathProblem as error:
            if not (NO_SUCH in str(error) and "f" in call.options):
                call.failed(error)
        except ApolloError as error:
            call.failed(error)


async def _remove(call: Call, found: Found, *, recursive: bool) -> None:
    if found.status.is_directory and not recursive:
        raise PathProblem(found.shown, IS_DIRECTORY)
    await call.files.of(found.status.url).remove(found.status.url)
    print(f"Deleted {found.shown}")


async def rmdir(call: Call) -> None:
    async for found in call.each(call.paths):
        if not found.status.is_directory:
            call.failed(PathProblem(found.shown, NOT_DIRECTORY))
        elif await call.files.children(found.status.url):
            call.failed(PathProblem(found.shown, "Directory is not empty"))
        else:
            await call.files.of(found.status.url).remove(found.status.url)


async def touchz(call: Call) -> None:
    """An empty file; an error where there is one that is not empty."""
    for text in call.paths:
        try:
            url = call.resolve.url(text)
            found = await call.files.status(url)
            if found is not None and found.is_directory:
                raise PathProblem(text, IS_DIRECTORY)
            if found is not None and found.size_bytes:
                raise PathProblem(text, "Not a zero-length file")
            await _check_above_file(call, Found(_named(url), text))
            await call.files.of(url).write(url, _nothing())
        except ApolloError as error:
            call.failed(error)


async def getmerge(call: Call) -> None:
    """The files of directories, one after the other in the order of their names, as one file of this machine."""
    *given, last = call.paths
    url = _local(call).url(last)
    sources: list[Found] = []
    for text in given:
        for found in await call.find(text):
            sources += await _files_right_below(call.files, found)
    there = await call.files.status(url)
    if there is not None and there.is_directory:
        raise PathProblem(last, IS_DIRECTORY)
    await call.files.of(url).write(url, _merged(call, sources))


async def _files_right_below(files: Files, found: Found) -> list[Found]:
    if not found.status.is_directory:
        return [found]
    return [found.below(child) for child in await files.children(found.status.url) if not child.is_directory]


async def _merged(call: Call, sources: list[Found]) -> AsyncIterator[bytes]:
    for found in sources:
        if "skip-empty-file" in call.options and (found.is_marker or not found.status.size_bytes):
            continue
        async for chunk in content_of(call, found):
            yield chunk
        if "nl" in call.options:
            yield b"\n"


async def _standard_input() -> AsyncIterator[bytes]:
    while chunk := await in_thread(sys.stdin.buffer.read, STDIN_CHUNK_BYTES):
        yield chunk


async def _nothing() -> AsyncIterator[bytes]:
    no_chunks: tuple[bytes, ...] = ()
    for chunk in no_chunks:
        yield chunk


def _named(url: str) -> Status:
    """Of a path that need not exist."""
    return Status(url, is_directory=False)


def _inside(directory: Found, name: str) -> Found:
    shown = name if directory.shown == HERE else f"{directory.shown.rstrip('/')}/{name}"
    return Found(_named(f"{directory.status.url}/{name}"), shown)
