"""Programs as requests name them: artifacts, `builtin:NAME`, `shell:COMMAND`."""

from collections.abc import Iterable, Sequence

from apollo_coordinator.api.problem import ApiProblem, FieldError, invalid
from apollo_coordinator.api.strictness import shortened
from apollo_coordinator.core.spec import ProgramRef, ProgramSource
from apollo_coordinator.ports import ArtifactInfo, ArtifactStore

BUILTIN_MAPPERS = ("identity",)
BUILTIN_REDUCERS = ("identity", "sum", "count", "min", "max", "unique")
BUILTIN_COMBINERS = ("identity", "sum", "min", "max", "unique")  # counting counts would be wrong

SIDE_FILES = "files"
"""The field that names artifacts which are no programs."""


def check_builtin(field: str, name: str, builtins: Sequence[str]) -> FieldError | None:
    if not name.startswith("builtin:") or name.removeprefix("builtin:") in builtins:
        return None
    choice = "one of " if len(builtins) > 1 else ""
    fix = f"Use {choice}{', '.join(f'builtin:{builtin}' for builtin in builtins)}."
    return FieldError(field=field, message=f"There is no built-in {shortened(name)} for this role.", fix=fix)


async def find_artifacts(named: Iterable[tuple[str, str]], store: ArtifactStore) -> dict[str, ArtifactInfo]:
    """By name. `named`: fields and what they hold. 404 for what does not exist, 422 for what is no program."""
    found: dict[str, ArtifactInfo] = {}
    missing: list[FieldError] = []
    for field, name in named:
        if field != SIDE_FILES and name.startswith(("builtin:", "shell:")):
            continue
        info = await store.get(name)
        if info is None:
            fix = "Upload it with PUT /api/v1/artifacts, or correct the name."
            missing.append(FieldError(field=field, message=f"There is no artifact {name!r}.", fix=fix))
        elif field != SIDE_FILES and info.type != "executable":
            fix = "Upload it again without type=file."
            raise invalid(FieldError(field=field, message=f"{name!r} was uploaded as a side file.", fix=fix))
        else:
            found[name] = info
    if missing:
        raise ApiProblem(404, missing[0].message, fields=missing, reason="unknown_artifact")
    return found


def program_ref(name: str, artifacts: dict[str, ArtifactInfo], *, protocol: str, stdio: str) -> ProgramRef:
    """`protocol`: auto, frames or text."""
    if name.startswith("builtin:"):
        return ProgramRef(ProgramSource.BUILTIN, name, stdio=stdio)
    if name.startswith("shell:"):
        return ProgramRef(ProgramSource.SHELL, name.removeprefix("shell:"), stdio=stdio)
    info = artifacts[name]
    return ProgramRef(
        ProgramSource.ARTIFACT, name, info.digest, info.protocol if protocol == "auto" else protocol, stdio
    )
