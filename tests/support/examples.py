"""The examples as jobs over texts that lie in a bucket; what they should come to is computed by coreutils."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apollo_client.rest import RestClient
from support.apollo_cli import REPOSITORY
from support.corpus import sorted_lines
from support.rest_jobs import Site, submitted, succeeded

EXAMPLES_FOLDER = REPOSITORY / "examples"
TEXTS = sorted((EXAMPLES_FOLDER / "data").glob("*.txt"))
TEXTS_INPUT = "texts/"
_STATIC_C = "word_count.c"


def put_texts(site: Site) -> None:
    for text in TEXTS:
        site.put(f"{TEXTS_INPUT}{text.name}", text)


@dataclass(frozen=True)
class Example:
    """One of examples/: its programs, the job's other fields, and the arguments of its expected.sh."""

    folder: str
    programs: tuple[str, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.folder}/{self.programs[0]}"

    def expected(self) -> bytes:
        command = ["/bin/sh", str(EXAMPLES_FOLDER / self.folder / "expected.sh"), *self.arguments, *map(str, TEXTS)]
        return sorted_lines(subprocess.run(command, capture_output=True, check=True).stdout)

    async def run(self, site: Site, rest: RestClient, scratch: Path) -> tuple[str, bytes]:
        """The job's id and its output, sorted, once it has succeeded."""
        files = [self._program(name, scratch) for name in self.programs]
        for file in files:
            await rest.upload(file)
        output = f"example-{self.folder}-{self.programs[0]}"
        job = await submitted(rest, site.body(output, TEXTS_INPUT, *(file.name for file in files), **self.fields))
        await succeeded(rest, job)
        return job, sorted_lines(site.output(output))

    def _program(self, name: str, scratch: Path) -> Path:
        source = EXAMPLES_FOLDER / self.folder / name
        if name != _STATIC_C:
            return source
        program, sdk = scratch / source.stem, REPOSITORY / "sdk/c"
        command = ["cc", "-O2", "-static", "-D_GNU_SOURCE", f"-I{sdk}", "-o", program, source, sdk / "apollo.c"]
        subprocess.run(command, check=True)
        return program


EXAMPLES = (
    Example("word_count", ("word_count.py", "word_count.py"), {"nReducers": 2}),
    Example("word_count", ("mapper.awk", "reducer.awk"), {"combinerName": "reducer.awk"}),
    Example("word_count", (_STATIC_C, _STATIC_C)),
    Example("grep", ("grep.py",), {"params": {"pattern": "[Ll]iberty"}}, ("[Ll]iberty",)),
    Example(
        "inverted_index",
        ("inverted_index.py", "inverted_index.py"),
        {"combinerName": "inverted_index.py", "nReducers": 3},
    ),
)
