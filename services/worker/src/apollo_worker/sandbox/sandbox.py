"""The sandbox of a worker's programs: what this machine offers, what the operator asks for, and one program's share."""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from apollo_common.errors import InvalidSetting
from apollo_common.settings import SandboxMode
from apollo_worker.sandbox import seccomp
from apollo_worker.sandbox.landlock import DEVICE, READ, WRITE, Ruleset, kernel_abi
from apollo_worker.sandbox.places import DEVICES, expanded, system_places

NO_DESCRIPTOR: Final = -1
_TRUNCATE_ABI: Final = 3
_SECCOMP_ACTIONS: Final = Path("/proc/sys/kernel/seccomp/actions_avail")


class Confinement:
    """What the launcher puts on one program. A context: the launcher has its descriptor before it ends."""

    def __init__(self, sandbox: "Sandbox", *, network: bool) -> None:
        """OSError."""
        self._sandbox = sandbox
        self._ruleset = Ruleset(sandbox.abi, network=network) if sandbox.abi else None
        self.filter = (
            seccomp.program_filter(sandbox.machine, network=network, refuse_truncate=sandbox.abi < _TRUNCATE_ABI)
            if sandbox.abi
            else b""
        )

    @property
    def descriptor(self) -> int:
        """Of the Landlock ruleset; NO_DESCRIPTOR where there is no sandbox."""
        return self._ruleset.descriptor if self._ruleset is not None else NO_DESCRIPTOR

    def allow(self, own: Path, readable: Iterable[Path]) -> None:
        """Let the program write below `own` and read `readable` and what all programs may.

        Nothing that the program itself names, such as its interpreter: the name may mean another file to the worker
        than to the kernel, when it follows links of the program's making. Blocking, for about a millisecond. OSError.
        """
        ruleset = self._ruleset
        if ruleset is None:
            return
        for place in (*self._sandbox.readable, *map(str, readable)):
            ruleset.allow(place, READ)
        for device in DEVICES:
            ruleset.allow(device, DEVICE)
        for place in (str(own), *self._sandbox.writable, *self._sandbox.temporary):
            ruleset.allow(place, WRITE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ruleset is not None:
            self._ruleset.close()


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What all programs of this worker have in common. Where `abi`, the version of Landlock, is 0, there is none."""

    description: str
    """For people: `landlock 7, seccomp`, or why there is none."""
    abi: int = 0
    machine: str = ""
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()
    """Written by programs, and emptied when an attempt has ended, sandbox or not."""

    def confinement(self, *, network: bool) -> Confinement:
        """For one program; it reaches nothing yet. OSError."""
        return Confinement(self, network=network)


NO_SANDBOX: Final = Sandbox("off")


def establish(
    mode: SandboxMode, readable: Sequence[str] = (), writable: Sequence[str] = (), temporary: Sequence[str] = ()
) -> Sandbox:
    """What this machine offers, with the operator's own paths; the first two may be patterns.

    InvalidSetting: `require` cannot be met, or a path will not do.
    """
    wrong = [path for path in (*readable, *writable, *temporary) if not path.startswith("/")]
    if wrong:
        raise InvalidSetting(
            "APOLLO_SANDBOX_READABLE, APOLLO_SANDBOX_WRITABLE and APOLLO_SANDBOX_TEMPORARY hold absolute paths, "
            f"not {wrong[0]!r}"
        )
    if mode == "off":
        return Sandbox("off", temporary=tuple(temporary))
    machine = platform.machine()
    missing = _missing(machine)
    if missing and mode == "require":
        raise InvalidSetting(
            f"APOLLO_SANDBOX is `require`, but {missing}: programs cannot be confined here. Run the worker on Linux "
            "5.13 or newer with `landlock` in the kernel's lsm= list, or set APOLLO_SANDBOX to `prefer`"
        )
    if missing:
        return Sandbox(f"none: {missing}", temporary=tuple(temporary))
    abi = kernel_abi()
    return Sandbox(
        f"landlock {abi}, seccomp",
        abi,
        machine,
        readable=tuple(dict.fromkeys((*system_places(), *expanded(readable)))),
        writable=tuple(expanded(writable)),
        temporary=tuple(temporary),
    )


def _missing(machine: str) -> str:
    """What a sandbox needs and this machine does not offer."""
    try:
        kernel_abi()
    except OSError as error:
        return f"the kernel offers no Landlock ({error.strerror})"
    if machine not in seccomp.MACHINES:
        return f"there is no seccomp filter for {machine}, only for {' and '.join(seccomp.MACHINES)}"
    try:
        actions = _SECCOMP_ACTIONS.read_text().split()
    except OSError:
        actions = []
    return "" if "errno" in actions else "the kernel offers no seccomp filters"
