"""Labels that several families share."""

from collections.abc import Iterator
from types import ModuleType
from typing import Final

from apollo_common import errors
from apollo_common.errors import ApolloError
from apollo_common.metrics.families import OTHER, Label
from apollo_coordinator.core.model import AttemptStatus, JobStatus
from apollo_coordinator.pools.kubernetes import errors as kubernetes_errors


def _reasons(*modules: ModuleType) -> Iterator[str]:
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, ApolloError):
                yield value.reason


MAP: Final = "map"
REDUCE: Final = "reduce"

PHASE: Final = Label((MAP, REDUCE))
ENDED_ATTEMPT: Final = Label(tuple(status.value for status in AttemptStatus if status.ended))
ENDED_JOB: Final = Label(tuple(status.value for status in JobStatus if status.ended))
REASON: Final = Label(
    tuple(sorted({*_reasons(errors, kubernetes_errors)})),
    more=True,
    words=f"a reason code, as in [operate.md](operate.md), or `{OTHER}`",
)
