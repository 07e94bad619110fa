import pytest

from apollo_common.errors import MemoryBudgetTooLarge
from apollo_worker.core.budget import DEFAULT_BUDGET_BYTES, MIN_BUDGET_BYTES, MemoryLimit, record_limit_bytes
from apollo_worker.core.frames import Limits
from apollo_worker.input.cutter import InputLimits
from apollo_worker.memory import MemoryMeter, _cgroup_limits, memory_limit

GIB = 1 << 30


@pytest.mark.parametrize(
    ("budget_bytes", "limit_bytes"), [(64 << 20, 16 << 20), (GIB, GIB // 4), (8 * GIB, GIB // 4), (1 << 44, GIB // 4)]
)
def test_input_and_programs_have_one_limit_that_offsets_of_32_bits_hold(budget_bytes, limit_bytes):
    assert record_limit_bytes(budget_bytes) == limit_bytes
    assert InputLimits.for_memory_budget(budget_bytes).max_record_bytes == limit_bytes
    assert Limits.of_budget(budget_bytes).record_bytes == limit_bytes
    assert Limits.of_budget(budget_bytes).data_body_bytes < 1 << 31


@pytest.mark.parametrize(
    ("limit", "budget_bytes"),
    [
        (MemoryLimit(8 * GIB, of_cgroup=False), DEFAULT_BUDGET_BYTES),
        (MemoryLimit(GIB // 2, of_cgroup=False), GIB // 8),
        (MemoryLimit(8 * GIB, of_cgroup=True), 2 * GIB),
        (MemoryLimit(1 << 16, of_cgroup=True), MIN_BUDGET_BYTES),
    ],
)
def test_a_job_may_leave_the_budget_to_the_worker(limit, budget_bytes):
    assert limit.budget_bytes(0) == budget_bytes


def test_a_jobs_own_budget_wins_within_the_limit():
    limit = MemoryLimit(GIB, of_cgroup=True)
    assert limit.budget_bytes(64 << 20) == 64 << 20
    assert limit.budget_bytes(1) == MIN_BUDGET_BYTES
    assert limit.budget_bytes(GIB // 2) == GIB // 2
    words = r"memoryBudget is 1\.5 GiB, but this worker's memory limit of 1\.0 GiB allows 512MiB at most: lower"
    with pytest.raises(MemoryBudgetTooLarge, match=words):
        limit.budget_bytes(3 * GIB // 2)
    with pytest.raises(MemoryBudgetTooLarge):
        limit.budget_bytes(GIB // 2 + 1)


NONE_OF_V1 = str((1 << 63) - 4096)
GROUPS = {
    "v2": ("0::/a/b", {"memory.max": "max", "a/memory.max": str(GIB), "a/b/memory.max": "max"}, [GIB]),
    "v2, seen from a container": ("0::/../x", {"memory.max": str(GIB)}, [GIB]),
    "v2, the least counts": ("0::/a", {"memory.max": str(GIB), "a/memory.max": str(2 * GIB)}, [2 * GIB, GIB]),
    "v1": ("5:cpu:/\n4:memory,x:/a\n0::/", {"memory/a/memory.limit_in_bytes": str(GIB)}, [GIB]),
    "v1, seen from a container": ("4:memory:/docker/1", {"memory/memory.limit_in_bytes": str(GIB)}, [GIB]),
    "v1 without a limit": ("4:memory:/", {"memory/memory.limit_in_bytes": NONE_OF_V1}, [int(NONE_OF_V1)]),
    "no cgroups": ("", {}, []),
}


@pytest.mark.parametrize("case", GROUPS)
def test_limits_are_read_from_the_cgroup_and_those_above(tmp_path, case):
    membership, files, limits = GROUPS[case]
    (tmp_path / "cgroup").write_text(membership)
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    assert list(_cgroup_limits(tmp_path / "cgroup", tmp_path / "fs")) == limits


def test_workers_that_share_a_limit_have_a_part_each():
    assert memory_limit(4).limit_bytes == memory_limit().limit_bytes // 4


METERS = {
    "v2": ("0::/", {"memory.peak": "7000", "memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0"}),
    "v1": (
        "4:memory:/docker/1",
        {"memory/memory.max_usage_in_bytes": "7000", "memory/memory.oom_control": "under_oom 0\noom_kill 2"},
    ),
}


@pytest.mark.parametrize("case", METERS)
def test_what_the_kernel_counted_is_read_from_the_cgroup(tmp_path, case):
    membership, files = METERS[case]
    (tmp_path / "cgroup").write_text(membership)
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    meter = MemoryMeter(tmp_path / "cgroup", tmp_path / "fs")
    assert (meter.peak_bytes(), meter.kills()) == (7000, 2)


def test_where_the_kernel_tells_nothing_nothing_is_known(tmp_path):
    meter = MemoryMeter(tmp_path / "cgroup", tmp_path / "fs")
    assert (meter.peak_bytes(), meter.kills()) == (0, 0)
