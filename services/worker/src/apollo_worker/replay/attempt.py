"""One attempt, run again from what its worker was told."""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from apollo_common.assignment import MapOutputRef
from apollo_common.errors import PermanentError, ProgramStartFailed
from apollo_common.settings import SandboxMode
from apollo_proto.apollo import v1
from apollo_worker.artifact.context import UNWATCHED, Watch
from apollo_worker.bad_records import Found
from apollo_worker.cache import ArtifactCache
from apollo_worker.events import EventLog
from apollo_worker.failure import STDERR_TAIL_BYTES, failed_event
from apollo_worker.memory import memory_limit
from apollo_worker.pipeline import Pipeline, Places
from apollo_worker.ports import Counters
from apollo_worker.programs import AttemptPrograms, artifact_digests
from apollo_worker.replay.keeping import KeptPrograms
from apollo_worker.replay.pairs import write_pairs
from apollo_worker.replay.source import MAP_OUTPUTS, PART, ReplayStores, Source
from apollo_worker.reporting import AttemptReporter
from apollo_worker.sandbox.sandbox import establish

UNLIMITED: Final = sys.maxsize


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wants of a replay.

    `words`: of a command that runs the programs, such as `strace -f`; `terminal`: a descriptor of the one that an
    interactive debugger is to have, -1 for none. `output`: a file for what the attempt gives; `keep`: an empty
    directory, for what it takes to run the program without Apollo.
    """

    words: Sequence[str] = ()
    terminal: int = UNWATCHED.terminal
    output: Path | None = None
    keep: Path | None = None
    sandbox: SandboxMode = "off"


@dataclass(frozen=True, slots=True)
class ReplayEnd:
    """How the attempt went here. `failure` is None when it succeeded."""

    counters: Counters
    failure: v1.Failed | None = None


class NewerCoordinator(PermanentError):
    """The coordinator tells of an attempt what this release does not know."""

    reason = "newer_coordinator"


class Replay:
    """One replay, in a directory of its own that is the caller's to remove. Run once, then close."""

    def __init__(
        self,
        document: Mapping[str, Any],
        source: Source,
        directory: Path,
        options: Options,
        *,
        stderr: Callable[[bytes], None],
    ) -> None:
        """`document` is the coordinator's answer; `stderr` hears what the programs write there, as it comes.

        NewerCoordinator; ProgramStartFailed when the command to run programs with is not there; InvalidSetting.
        """
        self._assignment = _assignment(document["assignment"])
        self._sizes = {artifact["digest"]: artifact["size"] for artifact in document["artifacts"]}
        self._source = source
        self._directory = directory
        self._options = options
        self._watch = _watch(options)
        if self._watch.words:
            self._assignment.timeout_ms = 0  # whoever looks at it in a debugger takes longer
        self._sandbox = establish(options.sandbox)
        self._cache = ArtifactCache(directory / "artifacts", UNLIMITED)
        self._budget_bytes = memory_limit().budget_bytes(self._assignment.memory_budget_bytes)
        part = options.output if self._assignment.output is not None else None
        self._stores = ReplayStores(source, part)
        self._places = Places(self._stores, directory / "volume", directory / "scratch", UNLIMITED)
        self._reporter = _Reporter(EventLog(self._assignment), stderr)

    async def close(self) -> None:
        await self._stores.close()

    async def run(self) -> ReplayEnd:
        """Fetch, keep, run. Errors of the source; those of keeping, which reads the input too."""
        digests = artifact_digests(self._assignment)
        for digest in sorted(digests):
            await self._cache.store(digest, self._sizes[digest], self._source.artifact(digest))
        with self._cache.pinned(digests):
            keep, skips = self._options.keep, self._assignment.map is not None and self._assignment.map.max_bad_records
            if keep is not None and not skips:
                await self._keep(keep, None)
            end, found = await self._run()
            if keep is not None and skips:
                await self._keep(keep, found)
            return end

    async def _keep(self, directory: Path, found: Found | None) -> None:
        """A pass of its own over the input, because a program need not read all of it. Without the bad records that
        were `found`: then the program reads what it has read here.
        """
        assignment = v1.TaskAssignment.parse(bytes(self._assignment))
        if assignment.map is not None:
            assignment.map.max_bad_records = 0
        unheard = AttemptReporter(EventLog(assignment))
        programs = KeptPrograms(
            assignment,
            self._cache,
            self._directory / "attempts",
            unheard,
            self._budget_bytes,
            self._sandbox,
            directory=directory,
        )
        places = replace(self._places, volume=self._directory / "unused")
        if await programs.write():
            await Pipeline(assignment, programs, places, unheard, self._budget_bytes, found).run()

    async def _run(self) -> tuple[ReplayEnd, Found | None]:
        """And the bad records that it has skipped."""
        programs = AttemptPrograms(
            self._assignment,
            self._cache,
            self._directory / "attempts",
            self._reporter,
            self._budget_bytes,
            self._sandbox,
            self._watch,
        )
        pipeline = Pipeline(self._assignment, programs, self._places, self._reporter, self._budget_bytes)
        failure = None
        try:
            await pipeline.run()
        except Exception as error:  # noqa: BLE001 - whatever happens to an attempt is its result
            failure = failed_event(error, self._reporter.stderr_tail)
        else:
            await self._write_map_output()
        return ReplayEnd(self._reporter.counters(), failure), pipeline.found

    async def _write_map_output(self) -> None:
        """To the user's file, where the attempt has left its output on what it takes for a volume."""
        work, target = self._assignment.map, self._options.output
        if target is None or work is None or not work.output_path or work.sample_bytes:
            return
        output = MapOutputRef(self._assignment.task_id, self._assignment.attempt_id, work.output_path)
        await write_pairs(output, work.partitions, self._assignment.keys, self._places, self._budget_bytes, target)


class _Reporter(AttemptReporter):
    """Standard error is passed on at once and whole, not in pieces that a coordinator can take."""

    def __init__(self, events: EventLog, tell: Callable[[bytes], None]) -> None:
        super().__init__(events)
        self._tell = tell

    def found(self, record: v1.BadRecord) -> None:
        """The job has it in its quarantine."""

    def stderr(self, content: bytes) -> None:
        self.stderr_tail = (self.stderr_tail + content)[-STDERR_TAIL_BYTES:]
        self._tell(content)


def _assignment(document: Mapping[str, Any]) -> v1.TaskAssignment:
    """As the worker got it, but for where map outputs come from and output goes. Nothing is skipped."""
    try:
        assignment = v1.TaskAssignment.from_dict(document)
    except (KeyError, ValueError, TypeError):
        raise NewerCoordinator(
            "the coordinator describes the attempt in a way that this release does not know: install the client and "
            "the worker of its release here"
        ) from None
    if assignment.reduce is not None:
        assignment.intermediate = v1.Intermediate(url=MAP_OUTPUTS)
    if assignment.output is not None:
        assignment.output.url = PART
    return assignment


def _watch(options: Options) -> Watch:
    if not options.words:
        return UNWATCHED
    command, *others = options.words
    found = shutil.which(command)
    if found is None:
        raise ProgramStartFailed(f"`{command}`, which is to run the program, is not on your PATH: install it")
    return Watch((str(Path(found).absolute()), *others), options.terminal)  # programs run in directories of their own
