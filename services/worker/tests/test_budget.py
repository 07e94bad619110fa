import pytest

from apollo_worker.core.budget import DEFAULT_BUDGET_BYTES, effective_budget_bytes, record_limit_bytes
from apollo_worker.core.frames import Limits
from apollo_worker.input.cutter import InputLimits

GIB = 1 << 30


@pytest.mark.parametrize(
    ("budget_bytes", "limit_bytes"), [(64 << 20, 16 << 20), (GIB, GIB // 4), (8 * GIB, GIB // 4), (1 << 44, GIB // 4)]
)
def test_input_and_programs_have_one_limit_that_offsets_of_32_bits_hold(budget_bytes, limit_bytes):
    assert record_limit_bytes(budget_bytes) == limit_bytes
    assert InputLimits.for_memory_budget(budget_bytes).max_record_bytes == limit_bytes
    assert Limits.of_budget(budget_bytes).record_bytes == limit_bytes
    assert Limits.of_budget(budget_bytes).data_body_bytes < 1 << 31


def test_an_assignment_may_leave_the_budget_to_the_worker():
    assert effective_budget_bytes(0) == DEFAULT_BUDGET_BYTES
    assert effective_budget_bytes(64 << 20) == 64 << 20
