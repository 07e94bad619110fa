"""Program logs on a real disk."""

import asyncio
import errno
import random
import re
from pathlib import Path

import pytest

from apollo_common.ids import AttemptId, JobId
from apollo_coordinator.store.logs import LogFiles

ATTEMPT = AttemptId("job0-m-00000-0")
SMALL = {"head_bytes": 100, "tail_bytes": 50, "segment_bytes": 10}


class Log:
    """Tells a log piece after piece, as a worker does."""

    def __init__(self, store: LogFiles, attempt: AttemptId = ATTEMPT, told_bytes: int = 0) -> None:
        self._store, self._attempt, self._told_bytes = store, attempt, told_bytes

    async def tell(self, content: bytes) -> None:
        begin, self._told_bytes = self._told_bytes, self._told_bytes + len(content)
        await self._store.append(self._attempt, content, begin)


@pytest.fixture
def logs(tmp_path):
    return LogFiles(tmp_path, **SMALL)


@pytest.fixture
def log(logs):
    return Log(logs)


async def test_what_fits_is_kept_as_it_is(logs, log):
    assert await logs.read(ATTEMPT) is None
    for content in (b"one\n", b"", b"two\xff", b"x" * 140):
        await log.tell(content)
    assert await logs.read(ATTEMPT) == b"one\ntwo\xff" + b"x" * 140
    await logs.close_attempt(ATTEMPT)
    assert await logs.read(ATTEMPT) == b"one\ntwo\xff" + b"x" * 140


async def test_the_middle_is_left_out_and_says_so(tmp_path):
    """Against a string: the first 100 bytes, the last 50, and how many are between."""
    random_ = random.Random(3)
    for case in range(40):
        logs, written = LogFiles(tmp_path / str(case), **SMALL), b""
        log = Log(logs)
        for _ in range(random_.randint(1, 40)):
            piece = random_.randbytes(random_.randint(1, 40))
            await log.tell(piece)
            written += piece
        left_out = len(written) - 150
        expected = (
            written if left_out <= 0 else written[:100] + b"\n... %d bytes left out ...\n" % left_out + written[-50:]
        )
        assert await logs.read(ATTEMPT) == expected
        assert (
            sum(path.stat().st_size for path in tmp_path.joinpath(str(case)).rglob("[0-9]*") if path.is_file()) <= 160
        )


async def test_a_log_goes_on_after_a_restart(logs, tmp_path):
    await logs.append(ATTEMPT, b"a" * 130, 0)
    again = LogFiles(tmp_path, **SMALL)
    await again.append(ATTEMPT, b"b" * 100, 130)
    content = await again.read(ATTEMPT)
    assert content == b"a" * 100 + b"\n... 80 bytes left out ...\n" + b"b" * 50


async def test_what_is_told_again_after_a_restart_is_kept_once(tmp_path):
    """The worker tells from a random place on what it still has, cut in other pieces; nothing is there twice."""
    random_ = random.Random(8)
    whole = b"".join(b"line %d\n" % number for number in range(500))
    for case in range(30):
        known = random_.randrange(len(whole))
        await LogFiles(tmp_path / str(case)).append(ATTEMPT, whole[:known], 0)
        logs = LogFiles(tmp_path / str(case))
        begin = random_.randrange(known + 1)
        again = Log(logs, told_bytes=begin)
        while begin < len(whole):
            size = random_.randrange(1, 300)
            await again.tell(whole[begin : begin + size])
            begin += size
        assert await logs.read(ATTEMPT) == whole


async def test_what_was_told_while_nobody_listened_and_is_gone_is_left_out_by_name(tmp_path):
    await LogFiles(tmp_path).append(ATTEMPT, b"before\n", 0)
    logs = LogFiles(tmp_path)
    await logs.append(ATTEMPT, b"after\n", 107)
    assert await logs.read(ATTEMPT) == b"before\n\n... 100 bytes left out ...\nafter\n"


async def test_a_follower_hears_everything_in_order(tmp_path):
    logs = LogFiles(tmp_path)
    log = Log(logs)
    heard = bytearray()

    async def follow():
        async for chunk in logs.follow(ATTEMPT):
            heard.extend(chunk)

    followers = [asyncio.create_task(follow())]
    written = b""
    for index in range(200):
        piece = b"line %d\n" % index
        written += piece
        await log.tell(piece)
    await asyncio.sleep(0)
    await logs.close_attempt(ATTEMPT)
    async with asyncio.timeout(10):
        await asyncio.gather(*followers)
    assert bytes(heard) == written


async def test_a_follower_that_comes_late_or_leaves_early_harms_nobody(logs, log):
    await log.tell(b"one\n")
    leaving = asyncio.create_task(anext(logs.follow(ATTEMPT)))
    assert await leaving == b"one\n"
    stream = logs.follow(ATTEMPT)
    assert await anext(stream) == b"one\n"
    waiting = asyncio.create_task(anext(stream))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await log.tell(b"two\n")
    assert await logs.read(ATTEMPT) == b"one\ntwo\n"


async def test_a_slow_follower_loses_the_middle_only(logs, log):
    await log.tell(b"a" * 20)
    stream = logs.follow(ATTEMPT)
    heard = await anext(stream)
    await log.tell(b"b" * 500)
    await logs.close_attempt(ATTEMPT)
    heard += b"".join([chunk async for chunk in stream])
    assert heard == b"a" * 20 + b"b" * 80 + b"\n... 370 bytes left out ...\n" + b"b" * 50


async def test_concurrent_appends_of_many_attempts_do_not_mix(tmp_path):
    logs = LogFiles(tmp_path)
    attempts = [AttemptId(f"job0-m-{index:05d}-0") for index in range(20)]
    told = [Log(logs, attempt) for attempt in attempts]
    await asyncio.gather(*(log.tell(b"%d " % n) for n in range(20) for log in told))
    for attempt in attempts:
        assert await logs.read(attempt) == b"".join(b"%d " % n for n in range(20))


async def test_a_forgotten_job_is_gone_and_its_followers_end(logs, tmp_path):
    other = AttemptId("job1-m-00000-0")
    await logs.append(ATTEMPT, b"one", 0)
    await logs.append(other, b"two", 0)
    stream = logs.follow(ATTEMPT)
    await anext(stream)
    await logs.forget(JobId("job0"))
    assert [chunk async for chunk in stream] == []
    assert await logs.read(ATTEMPT) is None
    assert await logs.read(other) == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["job1"]


async def test_a_full_volume_costs_lines_and_nothing_else(logs, log, monkeypatch):
    await log.tell(b"before\n")
    real = Path.open

    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    await log.tell(b"lost line\n")
    monkeypatch.setattr(Path, "open", real)
    await log.tell(b"after\n")
    assert await logs.read(ATTEMPT) == b"before\n\n... 10 bytes left out ...\nafter\n"


@pytest.mark.parametrize("attempt", ["", "../../etc/passwd", "job0", "job0-m-0-0"])
async def test_what_is_no_attempt_is_no_path(logs, attempt):
    with pytest.raises(ValueError, match=re.escape(repr(attempt))):
        await logs.read(attempt)
