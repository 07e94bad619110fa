"""Jobs that the page is looked at with: real ones, of a few map tasks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.coordinator_process import CoordinatorProcess

WORDS = b"to\nbe\nor\nnot\nto\nbe\n"
_HELD = "shell:cat; echo before the gate >&2; until [ -e $APOLLO_PARAM_GATE ]; do sleep 0.1; done; echo behind it >&2"


@dataclass(frozen=True)
class Desk:
    """Submits jobs over files of one directory."""

    coordinator: CoordinatorProcess
    directory: Path

    def submit(
        self, name: str, mapper: str, content: bytes = WORDS, *, input_name: str = "words", **fields: Any
    ) -> str:
        """The job's id."""
        source = self.directory / input_name
        source.write_bytes(content)
        body = {"reducerName": "builtin:count", "nReducers": 1, "overwrite": True} | fields
        output = f"file://{self.directory}/out/{input_name}-{len(list(self.directory.iterdir()))}"
        return self.coordinator.submit(
            name=name, mapperName=mapper, inputPath=f"file://{source}", outputPath=output, **body
        )

    def held(self, name: str = "held", **fields: Any) -> tuple[str, Path]:
        """A job whose one map attempt writes to its log, waits for a file at the path, and writes again."""
        gate = self.directory / f"gate-{name}"
        return self.submit(name, _HELD, params={"GATE": str(gate)}, **fields), gate

    def ended(self, job: str) -> dict[str, Any]:
        return self.coordinator.ended(job)

    def at(self, view: str) -> str:
        """The address of a view."""
        return f"{self.coordinator.url}/#/{view}"
