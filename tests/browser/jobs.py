"""Jobs that the page is looked at with: real ones, of a few map tasks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.coordinator_process import CoordinatorProcess, wait_for

WORDS = b"to\nbe\nor\nnot\nto\nbe\n"
_HELD = "shell:cat; echo before the gate >&2; until [ -e $APOLLO_PARAM_GATE ]; do sleep 0.1; done; echo behind it >&2"


@dataclass(frozen=True)
class Desk:
    """Submits jobs over files of one directory. `clear` it at the end: what is left of its jobs takes workers."""

    coordinator: CoordinatorProcess
    directory: Path
    jobs: list[str] = field(default_factory=list)

    def submit(
        self, name: str, mapper: str, content: bytes = WORDS, *, input_name: str = "words", **fields: Any
    ) -> str:
        """The job's id."""
        source = self.directory / input_name
        source.write_bytes(content)
        body = {"reducerName": "builtin:count", "nReducers": 1, "overwrite": True} | fields
        output = f"file://{self.directory}/out/{input_name}-{len(list(self.directory.iterdir()))}"
        job = self.coordinator.submit(
            name=name, mapperName=mapper, inputPath=f"file://{source}", outputPath=output, **body
        )
        self.jobs.append(job)
        return job

    def held(self, name: str = "held", **fields: Any) -> tuple[str, Path]:
        """A job whose one map attempt writes to its log, waits for a file at the path, and writes again."""
        gate = self.directory / f"gate-{name}"
        return self.submit(name, _HELD, params={"GATE": str(gate)}, **fields), gate

    def runs(self, job: str) -> None:
        """Wait for its first map attempt."""
        wait_for(lambda: self.coordinator.job(job)["progress"]["maps"]["running"], f"an attempt of job {job}")

    def clear(self) -> None:
        for job in self.jobs:
            self.coordinator.request("DELETE", f"/jobs/{job}")  # a refusal says that it has ended
            self.ended(job)

    def ended(self, job: str) -> dict[str, Any]:
        return self.coordinator.ended(job)

    def at(self, view: str) -> str:
        """The address of a view."""
        return f"{self.coordinator.url}/#/{view}"
