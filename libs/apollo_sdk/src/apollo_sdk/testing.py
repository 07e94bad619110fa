"""Tries mappers and reducers without a server: the whole job in memory, in this process.

For example:

    from apollo_sdk.testing import run_job

    def test_word_count():
        assert run_job(split, add_up, ["a b", "a"]) == [(b"a", b"2"), (b"b", b"1")]

Nothing is started, so a debugger and print() work as ever.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter

from apollo_sdk.block import Block
from apollo_sdk.link import Group
from apollo_sdk.program import MapBlockFunction, MapFunction, ReduceFunction, perform

LINES_PER_BLOCK = 100

Pair = tuple[bytes, bytes]


class JobResult(list[Pair]):
    """The output pairs in order; beside them the counters, the status lines and what was written raw."""

    def __init__(self) -> None:
        super().__init__()
        self.counters: dict[str, dict[str, int]] = {}
        self.statuses: list[str] = []
        self.written = b""


class TestingError(AssertionError):
    """The program could not do what it was asked to."""

    __test__ = False


def run_job(
    map: MapFunction | None = None,  # noqa: A002  # as in apollo_sdk.run
    reduce: ReduceFunction | None = None,
    lines: Iterable[bytes | str] = (),
    *,
    combine: ReduceFunction | None = None,
    map_block: MapBlockFunction | None = None,
    params: Mapping[str, str] | None = None,
    input: str = "memory:input",  # noqa: A002  # as in the context
) -> JobResult:
    """Map, combine where there is a combiner, sort, reduce. Without `reduce`, the result is what the mapper emits."""
    functions = _Functions(map, reduce, combine, map_block)
    result = JobResult()
    pairs = functions.perform(_MemoryLink("map", params, result, lines=_clean(lines), input_url=input))
    if combine is not None:
        pairs = functions.perform(_MemoryLink("combine", params, result, pairs=_sorted(pairs)))
    if reduce is not None:
        pairs = functions.perform(_MemoryLink("reduce", params, result, pairs=_sorted(pairs)))
    result.extend(pairs)
    return result


class _Functions:
    def __init__(
        self,
        map_: MapFunction | None,
        reduce: ReduceFunction | None,
        combine: ReduceFunction | None,
        map_block: MapBlockFunction | None,
    ) -> None:
        self._map, self._reduce, self._combine, self._map_block = map_, reduce, combine, map_block

    def perform(self, link: "_MemoryLink") -> list[Pair]:
        perform(link, map=self._map, reduce=self._reduce, combine=self._combine, map_block=self._map_block)
        return link.emitted


class _MemoryLink:
    """One task of the job."""

    def __init__(
        self,
        role: str,
        params: Mapping[str, str] | None,
        result: JobResult,
        *,
        lines: Iterable[bytes] = (),
        pairs: Iterable[Pair] = (),
        input_url: str = "",
    ) -> None:
        self.settings = {"role": role, "job_id": "test", "task_id": f"test-{role[0]}-00000"}
        self.settings |= {f"param.{name}": value for name, value in (params or {}).items()}
        self.emitted: list[Pair] = []
        self._result = result
        self._lines = list(lines)
        self._pairs = pairs
        self._input_url = input_url

    def blocks(self) -> Iterator[Block]:
        offset = 0
        for at in range(0, len(self._lines), LINES_PER_BLOCK):
            lines = self._lines[at : at + LINES_PER_BLOCK]
            data = b"".join(line + b"\n" for line in lines)
            yield Block(data, len(lines), offset, self._input_url)
            offset += len(data)

    def groups(self) -> Iterator[Group]:
        for key, group in groupby(self._pairs, itemgetter(0)):
            yield key, (value for _, value in group)

    def pairs(self, keys: list[bytes], values: list[bytes]) -> None:
        self.emitted += zip(keys, values, strict=True)

    def write(self, content: bytes) -> None:
        self._result.written += content

    def counter(self, group: str, name: str, increment: int) -> None:
        names = self._result.counters.setdefault(group, {})
        names[name] = names.get(name, 0) + increment

    def status(self, message: str) -> None:
        self._result.statuses.append(message)

    def end(self, taken: int) -> None:
        """Nothing waits for it."""

    def fail(self, message: str) -> None:
        raise TestingError(message)


def _clean(lines: Iterable[bytes | str]) -> Iterator[bytes]:
    for line in lines:
        yield (line.encode() if isinstance(line, str) else line).removesuffix(b"\n")


def _sorted(pairs: Iterable[Pair]) -> list[Pair]:
    """By key, as unsigned bytes; equal keys keep the order in which they were emitted."""
    return sorted(pairs, key=itemgetter(0))
