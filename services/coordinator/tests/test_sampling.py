"""The range partitioner's samplers: maps wait for the splitters that follow from them, across failures and restarts."""

import base64
import random
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.assignment import Split, SplitPiece
from apollo_common.key_samples import MAX_KEY_BYTES, MAX_KEYS, SAMPLED_BYTES, pack_keys, unpack_keys
from apollo_coordinator.core import commands, events, facts
from apollo_coordinator.core.model import JobStatus, TaskStatus
from apollo_coordinator.core.plan import beginning
from apollo_coordinator.core.splitters import MAX_SPLITTERS_BYTES, choose_splitters, sampled_splits
from support.scheduling import World, attempts


def packed(*keys: bytes) -> str:
    return base64.b64encode(pack_keys(keys)).decode()


def splitters(world: World, job: str = "j") -> list[bytes]:
    return unpack_keys(base64.b64decode(world.state.jobs[job].splitters or ""))


def a_world(maps: int = 2, **spec) -> World:
    world = World()
    world.job(maps=maps, **{"partitioner": "range", "n_reducers": 2} | spec)
    world.workers("w1", "w2")
    return world


def test_maps_start_once_every_sampler_is_done_and_the_splitters_are_journaled():
    world = a_world(maps=3)
    assert [attempt for fact in world.facts if (attempt := getattr(fact, "attempt", None))] == [
        "j-s-00000-0",
        "j-s-00001-0",
    ]
    assert attempts(world.done("j-s-00000-0", packed(b"a", b"b"), 2)) == ["j-s-00002-0"]
    assert attempts(world.done("j-s-00001-0", packed(b"c"), 1)) == []
    commands = world.done("j-s-00002-0", packed(b"d"), 1)
    assert attempts(commands) == ["j-m-00000-0", "j-m-00001-0"]
    kinds = [type(fact) for fact in world.journal]
    assert kinds.index(facts.SplittersChosen) < kinds.index(facts.AttemptStarted, kinds.index(facts.SplittersChosen))
    assert splitters(world) == [b"c"]
    job = world.state.jobs["j"]
    assert [task.output.sample for task in job.samplers] == ["", "", ""]  # journaled, and no more of use
    assert job.counters == {}


def test_the_workers_of_the_maps_may_start_while_the_job_is_sampled():
    world = World()
    world.job(maps=40, partitioner="range", n_reducers=2)
    assert [command.workers for command in world.asked if isinstance(command, commands.ScalePool)] == [40]
    world.workers(*(f"w{number}" for number in range(16)))
    for number in range(16):
        world.done(f"j-s-{number:05d}-0", packed(b"a"), 1)
    assert [command.workers for command in world.asked if isinstance(command, commands.ScalePool)] == [40]


def test_what_a_running_sampler_counts_counts_for_nothing():
    world = a_world(maps=1)
    world.tell(events.AttemptProgressed("j-s-00000-0", "w1", 5, 10, {"apollo": {"input_records": 5}}))
    attempt = world.state.jobs["j"].samplers[0].attempts[0]
    assert (attempt.input_bytes, attempt.counters) == (5, {})


def test_a_job_succeeds_behind_its_samplers():
    world = a_world(maps=1, n_reducers=2)
    world.done("j-s-00000-0", packed(b"m"), 1)
    world.done("j-m-00000-0")
    for attempt in ("j-r-00000-0", "j-r-00001-0"):
        world.opened(attempt)
        world.done(attempt)
    assert world.state.jobs["j"].status is JobStatus.COMMITTING


@pytest.mark.parametrize("spec", [{"n_reducers": 1}, {"n_reducers": 0}, {"partitioner": "hash"}])
def test_nothing_is_sampled_where_nothing_is_cut(spec):
    world = a_world(**spec)
    assert world.state.jobs["j"].samplers == []
    assert world.state.jobs["j"].maps[0].status is TaskStatus.IN_PROGRESS


def test_a_job_without_input_samples_nothing():
    world = a_world(maps=0)
    assert world.state.jobs["j"].samplers == []
    assert [task.status for task in world.state.jobs["j"].reduces] == [TaskStatus.IN_PROGRESS] * 2


def test_a_sampler_that_fails_too_often_fails_the_job_and_names_its_program():
    world = a_world(maps=1, max_attempts=1)
    world.failed("j-s-00000-0")
    job = world.state.jobs["j"]
    assert (job.status, job.failure.task, job.failure.program) == (JobStatus.FAILED, "j-s-00000", "builtin:identity")
    assert {task.status for task in job.maps} == {TaskStatus.STOPPED}


def test_a_job_that_is_stopped_while_it_is_sampled_leaves_nothing_behind():
    world = a_world(maps=3)
    world.done("j-s-00000-0", packed(b"a"), 1)
    asked = world.tell(events.StopRequested("j"))
    running = {"j-s-00001-0", "j-s-00002-0"}
    assert {command.attempt for command in asked if isinstance(command, commands.CancelAttempt)} == running
    job = world.state.jobs["j"]
    assert [task.status for task in job.samplers] == [TaskStatus.COMPLETED, TaskStatus.STOPPED, TaskStatus.STOPPED]
    assert {task.status for task in (*job.maps, *job.reduces)} == {TaskStatus.STOPPED}
    world.cancelled("j-s-00001-0")
    late = world.done("j-s-00002-0", packed(b"late"), 1)
    assert attempts(late) == []
    assert commands.CleanUp("j") in late
    assert job.splitters is None


def test_a_lost_sampler_runs_again():
    world = a_world(maps=1)
    assert attempts(world.lost("j-s-00000-0")) == ["j-s-00000-1"]
    assert attempts(world.done("j-s-00000-1", packed(b"a", b"k"), 2)) == ["j-m-00000-0"]


def test_a_late_report_of_a_sampler_changes_nothing():
    world = a_world(maps=1)
    world.lost("j-s-00000-0")
    world.done("j-s-00000-1", packed(b"a", b"k"), 2)
    before = splitters(world)
    world.tell(events.AttemptDone("j-s-00000-0", "w1", {}, sample=packed(b"other"), records=1))
    assert splitters(world) == before == [b"k"]


def test_a_sampler_is_no_map_output_that_could_be_lost():
    world = a_world(maps=1, n_reducers=2)
    world.done("j-s-00000-0", packed(b"a", b"k"), 2)
    world.done("j-m-00000-0")
    world.opened("j-r-00000-0")
    world.fetch_failed("j-r-00000-0", "j-s-00000-0")
    assert world.state.jobs["j"].samplers[0].status is TaskStatus.COMPLETED


def test_splitters_are_chosen_after_a_restart_between_two_facts():
    world = a_world(maps=1)
    world.done("j-s-00000-0", packed(b"a", b"k"), 2)
    cut = next(place for place, fact in enumerate(world.journal) if isinstance(fact, facts.SplittersChosen))
    again = world.restart(cut)
    assert splitters(again) == [b"k"]
    again.workers("w3")
    assert again.state.jobs["j"].maps[0].status is TaskStatus.IN_PROGRESS


def test_splitters_outlive_a_restart():
    world = a_world(maps=2)
    world.done("j-s-00000-0", packed(b"a", b"k"), 2)
    world.done("j-s-00001-0", packed(b"x"), 1)
    again = world.restart()
    assert splitters(again) == splitters(world) == [b"x"]


def test_sixteen_splits_spread_over_all_are_sampled():
    assert sampled_splits(3) == (0, 1, 2)
    assert sampled_splits(1600) == tuple(range(0, 1600, 100))


def test_a_sampler_reads_the_beginning_of_a_plain_split():
    split = Split((SplitPiece("file:///in", 64 << 20, 64 << 20, 1 << 30, "v"),))
    assert beginning(split) == Split((SplitPiece("file:///in", 64 << 20, SAMPLED_BYTES, 1 << 30, "v"),))
    packed_split = Split((SplitPiece("file:///in.gz", 0, 64 << 20, 64 << 20, "v", "gzip"),))
    assert beginning(packed_split) == packed_split


def test_a_sampler_reads_as_many_small_objects_as_it_takes():
    small = [SplitPiece(f"file:///{at}", 0, SAMPLED_BYTES // 3, SAMPLED_BYTES // 3, "v") for at in range(9)]
    sampled = beginning(Split(tuple(small), "csv", 2))
    assert (sampled.format, sampled.job_input) == ("csv", 2)
    assert [piece.url for piece in sampled.pieces] == [f"file:///{at}" for at in range(4)]
    assert sampled.size_bytes == SAMPLED_BYTES
    whole = Split((SplitPiece("file:///a", 0, 2 * SAMPLED_BYTES, 2 * SAMPLED_BYTES, "v"), small[0]), "whole")
    assert beginning(whole) == Split(whole.pieces[:1], "whole")


@given(
    st.lists(st.tuples(st.lists(st.binary(max_size=3), max_size=50), st.integers(0, 200)), max_size=5),
    st.integers(2, 12),
)
def test_splitters_rise_and_are_keys_of_the_sample(samples, partitions):
    chosen = choose_splitters(samples, partitions)
    assert chosen == sorted(set(chosen))
    assert len(chosen) < partitions
    assert set(chosen) <= {key for keys, _ in samples for key in keys}


def test_partitions_get_equal_shares():
    numbers = list(range(10_000))
    random.Random(3).shuffle(numbers)
    keys = [b"%05d" % number for number in numbers]
    # Two halves of the input, of which the first is sampled five times more sparsely.
    samples = [(keys[:5000:10], 5000), (keys[5000::2], 5000)]
    chosen = choose_splitters(samples, 10)
    bounds = [0, *(int(key) for key in chosen), 10_000]
    sizes = [stop - start for start, stop in pairwise(bounds)]
    assert len(sizes) == 10
    assert max(sizes) < 1250
    assert min(sizes) > 750


def test_a_key_that_fills_partitions_is_one_splitter():
    assert choose_splitters([([b"a"] * 90 + [b"b"] * 10, 100)], 10) == [b"a", b"b"]
    assert choose_splitters([], 3) == []


def test_long_splitters_are_cut_so_that_all_stay_small():
    keys = [b"%04d" % number + b"x" * (MAX_KEY_BYTES - 4) for number in range(5000)]
    chosen = choose_splitters([(keys, 5000)], 4000)
    assert sum(map(len, chosen)) <= MAX_SPLITTERS_BYTES
    assert all(any(key.startswith(splitter) for key in keys) for splitter in chosen[:3])


def test_keys_are_packed_and_unpacked():
    for keys in ([], [b""], [b"", b"a\0", b"\xff" * 1000]):
        assert unpack_keys(pack_keys(keys)) == keys
    assert unpack_keys(b"") == []


@pytest.mark.parametrize(
    "blob",
    [
        b"x",
        zlib.compress(b""),
        zlib.compress(b"\x02\0\0\0\1\0\0\0"),
        pack_keys([b"ab"])[:-6],
        zlib.compress(bytes(1 << 25)),
        pack_keys([b""] * (MAX_KEYS + 1)),
    ],
)
def test_what_is_no_list_of_keys_is_refused(blob):
    with pytest.raises(ValueError, match="list of keys"):
        unpack_keys(blob)
