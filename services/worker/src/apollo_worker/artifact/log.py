"""A program's standard error: read as it comes, its reporter lines heard, its tail kept."""

import os

from apollo_worker.artifact.channel import Channel
from apollo_worker.artifact.silence import Silence
from apollo_worker.artifact.stderr import CounterLine, StatusLine, StderrFilter
from apollo_worker.ports import ProgramObserver

LOG_CHUNK_BYTES = 64 << 10
LAST_LINE_CHARACTERS = 300


class ProgramLog:
    """Owns both ends of the pipe until the program has its own copy of `write_end`."""

    def __init__(self, silence: Silence, observer: ProgramObserver) -> None:
        reader, self.write_end = os.pipe()
        self._channel = Channel(reader, silence)
        self._observer = observer
        self._filter = StderrFilter()

    @property
    def tail(self) -> bytes:
        return self._filter.tail

    @property
    def last_line(self) -> str:
        """The last line with something in it, for an error's sentence; empty when there is none."""
        lines = self.tail.decode("utf-8", "replace").split("\n")
        return next((line.strip()[:LAST_LINE_CHARACTERS] for line in reversed(lines) if line.strip()), "")

    def program_started(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    async def pump(self) -> None:
        """Pass everything on until the stream ends."""
        buffer = memoryview(bytearray(LOG_CHUNK_BYTES))
        while received := await self._channel.receive_into(buffer):
            self._tell(self._filter.feed(bytes(buffer[:received])))
        self._tell(self._filter.close())

    def close(self) -> None:
        self.program_started()
        self._channel.close()

    def _tell(self, heard: list[bytes | CounterLine | StatusLine]) -> None:
        for item in heard:
            match item:
                case CounterLine(group, name, increment):
                    self._observer.counter(group, name, increment)
                case StatusLine(message):
                    self._observer.status(message)
                case bytes():
                    for at in range(0, len(item), LOG_CHUNK_BYTES):
                        self._observer.stderr(item[at : at + LOG_CHUNK_BYTES])
