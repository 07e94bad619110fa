"""The link to a pipe: lines on standard input, `key<TAB>value` lines on standard output (Hadoop Streaming's way)."""

import sys
from collections.abc import Iterator, Mapping
from itertools import groupby

from apollo_sdk.block import Block
from apollo_sdk.link import Group

BLOCK_BYTES = 1 << 20


class TextLink:
    """For trying a program in a shell, and for jobs whose protocol is `text`."""

    def __init__(self, role: str, environment: Mapping[str, str]) -> None:
        self.settings = {"role": role, "input": environment.get("APOLLO_INPUT", "")}
        for name in ("job_id", "task_id", "attempt", "partition"):
            self.settings[name] = environment.get(f"APOLLO_{name.upper()}", "0")
        for name, value in environment.items():
            if name.startswith("APOLLO_PARAM_"):
                self.settings["param." + name.removeprefix("APOLLO_PARAM_").lower()] = value
        self._input = sys.stdin.buffer
        self._output = sys.stdout.buffer

    def blocks(self) -> Iterator[Block]:
        offset = 0
        while data := self._input.read(BLOCK_BYTES):
            data += self._input.readline()
            if not data.endswith(b"\n"):
                data += b"\n"
            yield Block(data, data.count(b"\n"), offset, self.settings["input"])
            offset += len(data)

    def groups(self) -> Iterator[Group]:
        pairs = (line.removesuffix(b"\n").partition(b"\t") for line in self._input)
        for key, group in groupby(pairs, lambda pair: pair[0]):
            yield key, (value for _, _, value in group)

    def pairs(self, keys: list[bytes], values: list[bytes]) -> None:
        self._output.write(b"".join(b"%b\t%b\n" % pair for pair in zip(keys, values, strict=True)))

    def write(self, content: bytes) -> None:
        self._output.write(content)

    def counter(self, group: str, name: str, increment: int) -> None:
        self._report(f"counter:{group},{name},{increment}")

    def status(self, message: str) -> None:
        self._report(f"status:{message}")

    def end(self, taken: int) -> None:  # noqa: ARG002  # the end of the stream says it
        self._output.flush()

    def fail(self, message: str) -> None:
        """The message comes with the exit status."""

    def _report(self, line: str) -> None:
        sys.stderr.write(f"reporter:{line}\n")
        sys.stderr.flush()
