"""Whatever bytes a program sends, the worker makes of them what the page says: over a real socket or pipe, however they
are cut. The reference reads the whole stream field by field.
"""

import asyncio
import os
import socket
import tempfile
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import ProgramError, ProgramProtocolError, RecordTooLarge
from apollo_worker.artifact import text_dialogue
from apollo_worker.artifact.context import TextProtocol
from apollo_worker.artifact.frames_dialogue import FramesDialogue
from apollo_worker.artifact.silence import Silence
from apollo_worker.artifact.text_dialogue import TextDialogue
from apollo_worker.core.frames import Limits
from support import hostile
from support.frames_reference import program_stream
from support.fuzz import SEED
from support.sessions import CollectingSink, RecordingObserver, grouped

LIMITS = Limits.of_budget(64 << 20)
chances = st.randoms(use_true_random=False)
cuts = st.lists(st.integers(1, 40), max_size=8)


class Listener(RecordingObserver, CollectingSink):
    """Sink and observer in one: all that was told, in its order."""

    def __init__(self) -> None:
        RecordingObserver.__init__(self)
        CollectingSink.__init__(self)
        self.told: list[tuple] = []

    async def pairs(self, batch) -> None:
        self.told.append(("pairs", batch.to_pairs()))

    async def raw(self, content) -> None:
        self.told.append(("raw", bytes(content)))

    def counter(self, group, name, increment) -> None:
        self.told.append(("counter", group, name, increment))

    def status(self, message) -> None:
        self.told.append(("status", message))


def pieces(content: bytes, sizes: list[int]) -> list[bytes]:
    found = []
    for size in sizes:
        found.append(content[:size])
        content = content[size:]
    return [*found, content]


async def speak(connection: socket.socket, content: list[bytes]) -> None:
    """As a program that reads nothing; the worker may have hung up."""
    loop = asyncio.get_running_loop()
    try:
        for piece in content:
            await loop.sock_sendall(connection, piece)
            await asyncio.sleep(0)
    except (BrokenPipeError, ConnectionResetError):
        return
    finally:
        connection.close()


async def heard_frames(content: list[bytes]) -> tuple[Listener, Exception | None]:
    """What a worker hears of a program that says this and hangs up, and what it finds wrong."""
    listener = Listener()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "s"
        dialogue = FramesDialogue(path, {}, LIMITS, Silence(0), group=grouped, observer=listener)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(0)
        await asyncio.get_running_loop().sock_connect(connection, str(path))
        program = asyncio.create_task(speak(connection, content))
        try:
            await dialogue.drain(listener)
            dialogue.check()
        except (ProgramError, RecordTooLarge) as error:
            return listener, error
        finally:
            dialogue.close()
            await program
    return listener, None


async def check_frames(content: bytes, sizes: list[int]) -> None:
    expected = program_stream(content, LIMITS.data_body_bytes)
    listener, error = await heard_frames(pieces(content, sizes))
    assert listener.told == expected.told
    if expected.refused_at is not None:
        assert isinstance(error, ProgramProtocolError | RecordTooLarge)
        assert isinstance(error, RecordTooLarge) or f"byte {expected.refused_at} of" in str(error)
    elif expected.gave_up:
        assert "gave up" in str(error)
    else:
        assert error is None


@given(chances, cuts)
async def test_frames_mean_what_the_page_says_up_to_the_first_that_is_wrong(chance, sizes):
    await check_frames(hostile.program_stream(chance), sizes)


@given(st.binary(max_size=200), cuts)
async def test_bytes_that_are_no_frames_at_all_are_refused_where_they_begin(content, sizes):
    await check_frames(content, sizes)


def test_hostile_streams_are_neither_all_good_nor_all_bad():
    chance = Random(SEED)
    heard = [program_stream(hostile.program_stream(chance), LIMITS.data_body_bytes) for _ in range(1000)]
    assert 200 < sum(each.refused_at is None for each in heard) < 800
    assert sum(bool(each.told and each.refused_at) for each in heard) > 100


lines = st.lists(
    st.sampled_from([b"k\tv", b"k", b"\t", b"\n", b"\r\n", b"\0", b"\xff", b"x" * 30, b"y" * 300])
    | st.binary(max_size=9)
)


@given(lines.map(b"".join), st.lists(st.integers(1, 200), max_size=8), st.sampled_from([64, 100, 1 << 20]))
async def test_lines_are_pairs_however_they_are_cut(content, sizes, buffer_bytes):
    wanted = [line.partition(b"\t")[::2] for line in content.removesuffix(b"\n").split(b"\n")] if content else []
    assert await heard_lines(pieces(content, sizes), buffer_bytes, raw_output=False) == wanted


@given(lines.map(b"".join), st.lists(st.integers(1, 200), max_size=8), st.sampled_from([64, 100, 1 << 20]))
async def test_raw_lines_keep_every_byte_however_they_are_cut(content, sizes, buffer_bytes):
    whole = content if content.endswith(b"\n") or not content else content + b"\n"
    assert await heard_lines(pieces(content, sizes), buffer_bytes, raw_output=True) == whole


async def heard_lines(content: list[bytes], buffer_bytes: int, *, raw_output: bool) -> list | bytes:
    sink = CollectingSink()
    usual, text_dialogue.READ_BUFFER_BYTES = text_dialogue.READ_BUFFER_BYTES, buffer_bytes
    dialogue = TextDialogue("pipe", TextProtocol(raw_output=raw_output), LIMITS, Silence(0))
    try:
        stdout = os.dup(dialogue.stdout)
        dialogue.program_started()
        hearing = asyncio.create_task(dialogue.drain(sink))
        for piece in content:
            os.write(stdout, piece)
            await asyncio.sleep(0)
        os.close(stdout)
        await hearing
    finally:
        text_dialogue.READ_BUFFER_BYTES = usual
        dialogue.close()
    return sink.content if raw_output else sink.emitted
