"""Which calls to an S3 server go wrong, and how: rules with a seed, and a count of what they did."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from support.s3_calls import Call


class Fault(StrEnum):
    """The first seven answer in the server's place; the call is not passed on."""

    INTERNAL_ERROR = "internal-error"  # 500
    SLOW_DOWN = "slow-down"  # 503, as S3 asks for fewer requests
    FORBIDDEN = "forbidden"  # 403
    EXPIRED = "expired"  # 400, as S3 refuses credentials that were given for a time
    SKEWED = "skewed"  # 403, as S3 refuses requests of a clock that is wrong
    FULL = "full"  # 507, as MinIO says that its disks are full
    ERROR_IN_200 = "error-in-200"  # status 200, and an error as the body: CompleteMultipartUpload may do that
    CUT_REQUEST = "cut-request"  # the server gets half of the body, the client a reset
    CUT_ANSWER = "cut-answer"  # the client gets half of the body
    LOST_ANSWER = "lost-answer"  # the server has done it, the client gets a reset
    HANG = "hang"  # silence for `seconds`, then a reset; not passed on
    TRICKLE = "trickle"  # the answer's body comes in small pieces, for at most `seconds`


TRANSIENT = tuple(fault for fault in Fault if fault not in (Fault.FORBIDDEN, Fault.EXPIRED, Fault.SKEWED, Fault.FULL))
"""What a client must get over when it happens now and then."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault for the calls that match. The defaults match every call, for ever."""

    fault: Fault
    operations: frozenset[str] = frozenset()  # empty: all
    key: str = "*"  # a shell pattern over the whole key
    probability: float = 1.0
    nth: frozenset[int] = frozenset()  # which of the matching calls, counted from 1; empty: all
    times: int | None = None  # at most
    seconds: float = 1.0

    def covers(self, call: Call) -> bool:
        return (not self.operations or call.operation in self.operations) and fnmatchcase(call.key, self.key)


def everywhere(rate: float, faults: Sequence[Fault] = TRANSIENT, *, seconds: float = 1.0) -> list[Rule]:
    """Each of the faults for a share `rate` of all calls."""
    return [Rule(fault, probability=rate, seconds=seconds) for fault in faults]


@dataclass
class FaultPlan:
    """Rules, the first that fires wins. The same seed and the same calls in the same order give the same faults."""

    rules: Sequence[Rule] = ()
    seed: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    """How often each kind of fault was injected."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._seen: Counter[int] = Counter()
        self._fired: Counter[int] = Counter()
        self._lock = threading.Lock()

    def choose(self, call: Call) -> Rule | None:
        with self._lock:
            for index, rule in enumerate(self.rules):
                if rule.covers(call) and self._fires(index, rule):
                    self._fired[index] += 1
                    self.injected[rule.fault.value] += 1
                    return rule
        return None

    def replace(self, rules: Sequence[Rule]) -> None:
        """Other rules from now on; what was injected stays counted."""
        with self._lock:
            self.rules = rules
            self._seen.clear()
            self._fired.clear()

    def _fires(self, index: int, rule: Rule) -> bool:
        self._seen[index] += 1
        if rule.nth and self._seen[index] not in rule.nth:
            return False
        if rule.times is not None and self._fired[index] >= rule.times:
            return False
        return rule.probability >= 1 or self._random.random() < rule.probability
