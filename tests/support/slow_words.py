"""A job of a few map tasks that take seconds each, or end when they are let, so that something can happen meanwhile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from apollo_client.rest import RestClient
from support.apollo_cli import REPOSITORY
from support.corpus import coreutils_word_count, sorted_lines, write_python_sources
from support.rest_jobs import Site, submitted

_PROGRAMS = REPOSITORY / "examples/word_count"


@dataclass(frozen=True)
class SlowWords:
    """Counts words as examples/word_count does in awk. Its mapper also waits: for a time, or for a file."""

    INPUT: ClassVar[str] = "slow-words"
    MAPS: ClassVar[int] = 6
    SPLIT_BYTES: ClassVar[int] = 16 << 10
    INPUT_BYTES: ClassVar[int] = MAPS * SPLIT_BYTES
    _SLEEPER: ClassVar[str] = "shell:awk -f mapper.awk && sleep $APOLLO_PARAM_SECONDS"
    # Of a file that the sandbox does not show, a program still sees whether it is there.
    _HELD: ClassVar[str] = (
        "shell:awk -f mapper.awk && until [ $APOLLO_PARTITION -lt $APOLLO_PARAM_FREE ] || [ -e $APOLLO_PARAM_GATE ]; "
        "do sleep 0.2; done"
    )

    site: Site
    expected: bytes

    @classmethod
    def put(cls, site: Site, scratch: Path) -> "SlowWords":
        """With its input in the bucket."""
        corpus = write_python_sources(scratch / "text", cls.INPUT_BYTES)
        site.put(cls.INPUT, corpus)
        return cls(site, coreutils_word_count(corpus))

    async def submit(self, rest: RestClient, output: str, *, seconds: float = 3, **fields: Any) -> str:
        """The id of a new job whose map attempts take `seconds` at least."""
        return await self._submit(rest, output, self._SLEEPER, {"seconds": str(seconds)}, fields)

    async def submit_held(self, rest: RestClient, output: str, gate: str, *, free: int = 0, **fields: Any) -> str:
        """The id of a new job whose map attempts end once there is a file at the path `gate`; the first `free`
        tasks' do not wait for it."""
        return await self._submit(rest, output, self._HELD, {"gate": gate, "free": str(free)}, fields)

    async def _submit(
        self, rest: RestClient, output: str, mapper: str, params: dict[str, str], fields: dict[str, Any]
    ) -> str:
        for program in ("mapper.awk", "reducer.awk"):
            await rest.upload(_PROGRAMS / program)
        slow = {"splitSize": self.SPLIT_BYTES, "files": ["mapper.awk"], "params": params}
        return await submitted(rest, self.site.body(output, self.INPUT, mapper, "reducer.awk", **(slow | fields)))

    def counted(self, output: str) -> bool:
        """Whether a job's output is what coreutils counts."""
        return sorted_lines(self.site.output(output)) == self.expected
