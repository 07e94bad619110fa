"""The process pool and its workers through kill -9: of a worker, of the coordinator, of both one after the other."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apollo_coordinator.order import AttemptDone
from apollo_coordinator.pools.local_worker import WorkerStartFailed
from apollo_coordinator.pools.process import ProcessPool, spawn_worker
from apollo_coordinator.ports import PoolBroken, PoolTrouble, WorkerGone, WorkerUp
from apollo_coordinator.rpc.link import GrpcWorkerLink, LinkSettings
from apollo_coordinator.store import data_directory
from support.orders import map_order
from support.pools import (
    PATIENCE_SECONDS,
    Heard,
    connect,
    process_pool,
    process_settings,
    read_state,
    running,
    scripted_environment,
)

COORDINATOR = """
import asyncio, json, pathlib, sys
from apollo_coordinator.ports import WorkerUp
from support.orders import map_order
from support.pools import Heard, process_pool, read_state
from apollo_common.logging import configure_logging

configure_logging("coordinator")

async def main():
    directory, options = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
    pool, heard = process_pool(directory, **options), Heard()
    await pool.start(heard)
    up = (await heard.until(WorkerUp, count=options.get("initial_workers", 1)))[0]
    async for _ in pool.link(up.worker).run(map_order("steps:40")):
        print(up.worker, read_state(directory, up.worker).pid, flush=True)

asyncio.run(main())
"""


def killed_coordinator(directory: Path, **options: object) -> tuple[str, int]:
    """Start a coordinator in a process of its own, kill it in the middle of an attempt; its worker's id and process."""
    coordinator = subprocess.Popen(
        [sys.executable, "-c", COORDINATOR, str(directory), json.dumps(options)],
        env=scripted_environment(),
        stdout=subprocess.PIPE,
    )
    assert coordinator.stdout is not None
    with coordinator.stdout:
        worker, pid = coordinator.stdout.readline().decode().split()
        coordinator.kill()
    coordinator.wait()
    return worker, int(pid)


async def ended(pid: int) -> None:
    """Wait until a process is gone, or is a zombie that nobody has fetched."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while _lives(pid):
            await asyncio.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_worker_that_was_spawned_before_is_the_first(tmp_path):
    settings = process_settings(tmp_path)
    first = spawn_worker(settings)
    async with running(ProcessPool(settings, connect, first)) as heard:
        (up,) = await heard.until(WorkerUp)
        assert (up.worker, read_state(tmp_path, up.worker).pid) == (first.worker_id, first.child.pid)
        os.kill(first.child.pid, signal.SIGKILL)
        (_, second) = await heard.until(WorkerUp, count=2)
        assert second.worker != up.worker
    first.discard()


async def test_a_worker_that_was_spawned_for_no_pool_ends(tmp_path):
    first = spawn_worker(process_settings(tmp_path))
    first.discard()
    assert first.child.returncode == -signal.SIGKILL
    first.discard()


def test_nothing_is_left_of_a_worker_that_cannot_be_spawned(tmp_path):
    with pytest.raises(WorkerStartFailed, match="no-such-program"):
        spawn_worker(process_settings(tmp_path / "data", command=("no-such-program",)))
    data_directory.take(tmp_path / "data")  # which it refuses where it finds something


async def test_a_killed_worker_is_replaced_under_another_name(tmp_path):
    async with running(process_pool(tmp_path)) as heard:
        (first,) = await heard.until(WorkerUp)
        os.kill(read_state(tmp_path, first.worker).pid, signal.SIGKILL)
        (gone,) = await heard.until(WorkerGone)
        assert (gone.worker, gone.reason) == (first.worker, "its process was killed by SIGKILL")
        _, second = await heard.until(WorkerUp, count=2)
        assert second.worker != first.worker
        assert not (tmp_path / "workers" / first.worker).exists()


async def test_a_stopped_worker_is_given_up_and_replaced(tmp_path):
    async with running(process_pool(tmp_path)) as heard:
        (first,) = await heard.until(WorkerUp)
        pid = read_state(tmp_path, first.worker).pid
        os.kill(pid, signal.SIGSTOP)
        (gone,) = await heard.until(WorkerGone)
        assert "has not answered" in gone.reason
        await heard.until(WorkerUp, count=2)
        await ended(pid)


async def test_a_clean_close_leaves_no_process_and_no_state(tmp_path):
    pool = process_pool(tmp_path, workers=2, initial_workers=2, die_with_parent=False)
    async with running(pool) as heard:
        ups = await heard.until(WorkerUp, count=2)
        pids = [read_state(tmp_path, up.worker).pid for up in ups]
        async for _ in pool.link(ups[0].worker).run(map_order("hang")):
            break
    assert not any(map(_lives, pids))
    assert list((tmp_path / "workers").iterdir()) == []


async def test_closing_while_a_worker_starts_leaves_no_process(tmp_path):
    pool = process_pool(tmp_path)
    await pool.start(Heard())
    await asyncio.sleep(0.1)
    await pool.close()
    assert list((tmp_path / "workers").iterdir()) == []


async def test_more_workers_start_when_a_job_wants_them_up_to_the_limit(tmp_path):
    pool = process_pool(tmp_path, workers=2, initial_workers=1)
    async with running(pool) as heard:
        await heard.until(WorkerUp)
        await pool.scale(None, 50)
        await heard.until(WorkerUp, count=2)
        await asyncio.sleep(0.5)
        assert len(heard.events) == 2


async def test_workers_of_run_end_with_a_killed_coordinator(tmp_path):
    _, pid = killed_coordinator(tmp_path, die_with_parent=True)
    await ended(pid)
    assert list((tmp_path / "workers").iterdir()) == []


async def test_an_orphan_ends_by_itself(tmp_path):
    _, pid = killed_coordinator(tmp_path, die_with_parent=False, orphan_seconds=1)
    await ended(pid)


async def test_a_restarted_coordinator_adopts_the_worker_and_its_attempt(tmp_path):
    worker, pid = killed_coordinator(tmp_path, die_with_parent=False)
    pool = process_pool(tmp_path, die_with_parent=False)
    async with running(pool) as heard:
        (up,) = (event for event in heard.events if isinstance(event, WorkerUp))  # by the end of the start
        assert up.worker == worker
        reports = [report async for report in pool.link(up.worker).attach(map_order("steps:40").attempt_id)]
        assert isinstance(reports[-1], AttemptDone)
        assert _lives(pid)
    await ended(pid)


async def test_a_job_that_wants_workers_during_adoption_gets_no_more_than_the_limit(tmp_path):
    worker, _ = killed_coordinator(tmp_path, die_with_parent=False)
    pool = process_pool(tmp_path, die_with_parent=False)
    heard = Heard()
    starting = asyncio.create_task(pool.start(heard))
    while not starting.done():
        await pool.scale(None, 1)
        await asyncio.sleep(0)
    await starting
    try:
        await heard.until(WorkerUp)
        assert [log.stem for log in (tmp_path / "worker-logs").iterdir()] == [worker]
    finally:
        await pool.close()


async def test_a_stopped_worker_keeps_no_other_from_being_adopted_and_is_ended(tmp_path):
    worker, pid = killed_coordinator(tmp_path, die_with_parent=False, workers=2, initial_workers=2)
    others = [path.name for path in (tmp_path / "workers").iterdir() if path.name != worker]
    other_pid = read_state(tmp_path, others[0]).pid
    os.kill(pid, signal.SIGSTOP)
    pool, heard = process_pool(tmp_path, die_with_parent=False, workers=2, initial_workers=2), Heard()
    starting = asyncio.create_task(pool.start(heard))
    (up,) = await heard.until(WorkerUp)
    assert (up.worker, starting.done()) == (others[0], False)
    _, replacement = await heard.until(WorkerUp, count=2)
    assert replacement.worker not in (worker, *others)
    await starting
    await ended(pid)
    await pool.close()
    await ended(other_pid)


async def test_places_of_dead_workers_are_filled_before_a_stopped_one_is_given_up(tmp_path):
    worker, pid = killed_coordinator(tmp_path, die_with_parent=False, workers=2, initial_workers=2)
    (other,) = (path.name for path in (tmp_path / "workers").iterdir() if path.name != worker)
    os.kill(read_state(tmp_path, other).pid, signal.SIGKILL)
    os.kill(pid, signal.SIGSTOP)
    # More patience than the test has: only a place that does not wait for the stopped worker is filled in time.
    patient = lambda address, token: GrpcWorkerLink(address, token, LinkSettings(call_seconds=10 * PATIENCE_SECONDS))
    pool, heard = (
        process_pool(tmp_path, die_with_parent=False, connector=patient, workers=2, initial_workers=2),
        Heard(),
    )
    starting = asyncio.create_task(pool.start(heard))
    (up,) = await heard.until(WorkerUp)
    assert up.worker not in (worker, other)
    os.kill(pid, signal.SIGKILL)
    await starting
    await pool.close()


async def test_a_process_that_has_a_dead_workers_id_is_left_alone(tmp_path):
    worker, pid = killed_coordinator(tmp_path, die_with_parent=False)
    os.kill(pid, signal.SIGKILL)
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    file = tmp_path / "workers" / worker / "worker.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pid": stranger.pid}))
    async with running(process_pool(tmp_path, die_with_parent=False)) as heard:
        (up,) = await heard.until(WorkerUp)
        assert up.worker != worker
        assert not (tmp_path / "workers" / worker).exists()
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


async def test_a_worker_that_died_with_its_coordinator_is_not_adopted(tmp_path):
    worker, pid = killed_coordinator(tmp_path, die_with_parent=False)
    os.kill(pid, signal.SIGKILL)
    async with running(process_pool(tmp_path, die_with_parent=False)) as heard:
        (up,) = await heard.until(WorkerUp)
        assert up.worker != worker
        assert [path.name for path in (tmp_path / "workers").iterdir()] == [up.worker]


async def test_the_token_is_in_a_file_for_its_owner_only_and_in_no_command_line(tmp_path):
    async with running(process_pool(tmp_path)) as heard:
        (up,) = await heard.until(WorkerUp)
        state = read_state(tmp_path, up.worker)
        file = tmp_path / "workers" / up.worker / "worker.json"
        assert file.stat().st_mode & 0o777 == 0o600
        command = Path(f"/proc/{state.pid}/cmdline").read_bytes()
        assert b"apollo-worker" in command
        assert state.token.encode() not in command
        assert state.token not in repr(state)
        assert state.token not in (tmp_path / "worker-logs" / f"{up.worker}.log").read_text()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/no/such/command",), "No such file"),
        ((sys.executable, "-c", "raise SystemExit('the disk is upside down')"), "the disk is upside down"),
    ],
)
async def test_workers_that_cannot_start_are_told_of_in_words(tmp_path, command, words):
    async with running(process_pool(tmp_path, command=command)) as heard:
        (trouble,) = await heard.until(PoolTrouble)
        assert words in trouble.message


async def test_a_worker_that_refuses_its_settings_is_not_started_again(tmp_path):
    command = (sys.executable, "-c", "import sys; sys.stderr.write('APOLLO_MOON: no such phase'); sys.exit(2)")
    async with running(process_pool(tmp_path, command=command, workers=2, initial_workers=2)) as heard:
        await heard.until(PoolBroken, count=2)
        assert heard.events == 2 * [PoolBroken("a worker does not start: APOLLO_MOON: no such phase")]
        assert len(list((tmp_path / "worker-logs").iterdir())) == 2
    assert list((tmp_path / "workers").iterdir()) == []


async def test_a_worker_that_never_becomes_ready_is_given_up(tmp_path):
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    async with running(process_pool(tmp_path, command=command, start_seconds=0.2)) as heard:
        (trouble,) = await heard.until(PoolTrouble)
        assert "not ready within 0.2 s" in trouble.message
    assert list((tmp_path / "workers").iterdir()) == []


async def test_closing_while_a_released_worker_is_being_ended_leaves_no_process(tmp_path):
    pool = process_pool(tmp_path, die_with_parent=False, stop_seconds=1)
    async with running(pool) as heard:
        (up,) = await heard.until(WorkerUp)
        pid = read_state(tmp_path, up.worker).pid
        os.kill(pid, signal.SIGSTOP)  # so that ending it takes its time
        await pool.release(up.worker)
        await heard.until(WorkerGone)
    assert not _lives(pid)


async def test_a_defect_while_a_worker_is_met_does_not_give_up_its_place(tmp_path):
    met = []

    def defective_once(address, token):
        met.append(address)
        if len(met) == 1:
            raise LookupError("a defect")
        return connect(address, token)

    async with running(process_pool(tmp_path, initial_workers=1, connector=defective_once)) as heard:
        await heard.until(WorkerUp)
    assert len(met) == 2
