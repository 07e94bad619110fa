"""What a worker is told about one attempt, put together from the model and the job's secrets."""

import asyncio
import base64
from dataclasses import replace

from apollo_common.assignment import MapOutputRef
from apollo_common.errors import CredentialsUnusable
from apollo_common.ids import AttemptId, JobId
from apollo_common.lifecycle import TaskOwner
from apollo_common.storage.location import endpoint_of, resolve_inputs, resolve_output
from apollo_common.storage.port import AttemptAccess, StorageAccess
from apollo_coordinator.core.adoption import BadRecordRange
from apollo_coordinator.core.bad_records import allowance, skips
from apollo_coordinator.core.failures import seeks_bad_record
from apollo_coordinator.core.model import Job, TaskKind
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.core.state import JobQueue, State, locate, task_of
from apollo_coordinator.engine.ports import WorkersOwnCredentials
from apollo_coordinator.engine.redrives import packed_records
from apollo_coordinator.order import NO_MAP_OUTPUTS, AttemptOrder, IntermediatePlace, MapOutputs, OutputTarget
from apollo_coordinator.ports import NO_SECRETS, BadRecordStore, CredentialSource, JobSecrets, SecretStore


def output_path(attempt: AttemptId) -> str:
    """The directory of a map attempt's output, below the intermediate volume or prefix."""
    return f"{locate(attempt).job}/{task_of(attempt)}/{attempt}"


def map_outputs(job: Job) -> MapOutputs:
    """Those that there are, as the job's reduces read them."""
    return MapOutputs(
        MapOutputRef(task.id, task.output_attempt or "", task.output.path)
        for task in job.maps
        if task.output is not None
    )


async def named_secrets(spec: JobSpec, credentials: CredentialSource) -> JobSecrets | None:
    """What a job's `credentialsSecret` stands for; None when it names none. CredentialsUnusable."""
    if not spec.credentials_secret:
        return None
    endpoints = frozenset(filter(None, map(endpoint_of, (*spec.input_paths, spec.output_path))))
    access = await credentials.named(spec.credentials_secret, endpoints)
    return JobSecrets(access, access)


def _on_s3(path: str) -> bool:
    return not path.startswith("file://")


class OrderBook:
    """Builds orders. Keeps per unfinished job what all its orders share: credentials and the list of map outputs.

    Close it when nobody asks it any more.
    """

    def __init__(
        self,
        state: State,
        secrets: SecretStore,
        bad_records: BadRecordStore,
        intermediate: IntermediatePlace | None = None,
        *,
        credentials: CredentialSource | None = None,
    ) -> None:
        self._state = state
        self._intermediate = intermediate
        self._secrets = secrets
        self._bad_records = bad_records
        self._credentials = credentials or WorkersOwnCredentials()
        self._access: dict[JobId, JobSecrets] = {}
        self._reading: dict[JobId, asyncio.Task[JobSecrets]] = {}
        self._tasks = TaskOwner(lambda _name, _error: None)  # who waits for what is read hears of it
        self._map_outputs: dict[JobId, tuple[int, MapOutputs]] = {}

    async def access(self, job: JobId) -> JobSecrets:
        """The credentials of the job's body, or those that it names, or none: then the stores use the environment's.

        With the endpoints that the job's locations name, so that a worker needs no more than s3:// URLs.
        CredentialsUnusable; what the places of credentials cannot answer now.
        """
        known = self._access.get(job)
        if known is not None:
            return known
        return await asyncio.shield(self._reading.get(job) or self._read(job))

    def _read(self, job: JobId) -> asyncio.Task[JobSecrets]:
        """Once for all who ask meanwhile: after a restart every attempt of a job does at the same time."""
        reading = self._tasks.spawn(self._given(job), name=f"credentials of {job}")
        self._reading[job] = reading

        def ended(_: object) -> None:
            if self._reading.get(job) is not reading:  # its job was forgotten
                return
            del self._reading[job]
            if not reading.cancelled() and reading.exception() is None:
                self._access[job] = reading.result()

        reading.add_done_callback(ended)
        return reading

    async def _given(self, job: JobId) -> JobSecrets:
        spec = self._state.jobs[job].spec
        given = await named_secrets(spec, self._credentials) or await self._brought(job, spec)
        input_access = StorageAccess()
        if spec.reads_input:
            _, input_access = resolve_inputs(spec.input_paths, given.input_access)
        _, output_access = resolve_output(spec.output_path, given.output_access)
        return JobSecrets(input_access, output_access)

    async def attempt_access(self, job: JobId) -> AttemptAccess:
        """What attempts of the job reach stores with, but for what has to be lent to them."""
        own = await self.access(job)
        intermediate = self._intermediate.access if self._intermediate is not None else StorageAccess()
        return AttemptAccess(own.input_access, own.output_access, intermediate)

    async def lent_access(self, job: JobId) -> AttemptAccess:
        """The same, with credentials lent wherever it has none of its own; for some minutes."""
        own, spec = await self.attempt_access(job), self._state.jobs[job].spec
        in_buckets = self._intermediate is not None and spec.n_reducers > 0
        return AttemptAccess(
            await self._lent(own.input, on_s3=spec.reads_input and any(map(_on_s3, spec.input_paths))),
            await self._lent(own.output, on_s3=_on_s3(spec.output_path)),
            await self._lent(own.intermediate, on_s3=in_buckets),
        )

    async def _lent(self, access: StorageAccess, *, on_s3: bool) -> StorageAccess:
        return await self._credentials.lend(access) if on_s3 else access

    async def close(self) -> None:
        await self._tasks.close()

    def forget(self, job: JobId) -> None:
        self._access.pop(job, None)
        self._reading.pop(job, None)
        self._map_outputs.pop(job, None)

    async def _records(self, attempt_id: AttemptId) -> bytes:
        """Those that the attempt maps in place of its split."""
        running = self._state.running(attempt_id)
        origin = running.task.origin if running is not None else None
        return await packed_records(origin, self._bad_records) if isinstance(origin, BadRecordRange) else b""

    async def order(self, attempt_id: AttemptId) -> AttemptOrder | None:
        """None when the attempt is over already, or a map output that it needs was lost since it was assigned."""
        if self._state.running(attempt_id) is None:
            return None
        access = await self.lent_access(locate(attempt_id).job)
        records = await self._records(attempt_id)
        running = self._state.running(attempt_id)
        if running is None:
            return None
        task, attempt = running
        queue = self._state.queues[locate(attempt_id).job]
        map_outputs = NO_MAP_OUTPUTS
        if task.kind is TaskKind.REDUCE:
            if not queue.maps_done:
                return None
            map_outputs = self._outputs_of_maps(queue)
        shuffles = task.kind is not TaskKind.REDUCE and queue.job.spec.n_reducers > 0
        return AttemptOrder(
            job_id=queue.job.id,
            task=task,
            attempt_id=attempt_id,
            attempt_number=locate(attempt_id).attempt_number,
            spec=queue.job.spec,
            input_access=access.input,
            output_access=access.output,
            map_outputs=map_outputs,
            splitters=base64.b64decode(queue.job.splitters or ""),
            max_bad_records=allowance(queue.job) if skips(queue.job.spec, task) else 0,
            find_bad_record=seeks_bad_record(queue.job, task),
            records=records,
            output=None if shuffles else OutputTarget(attempt.output_url, attempt.upload_id),
            output_path=output_path(attempt_id) if shuffles else "",
            intermediate=self._place(access) if queue.job.spec.n_reducers else None,
        )

    async def _brought(self, job: JobId, spec: JobSpec) -> JobSecrets:
        """Never the environment's in place of those that were lost: the job may not be meant to reach so far."""
        kept = await self._secrets.get(job)
        if kept is None and spec.brings_credentials:
            raise CredentialsUnusable(
                "the storage credentials that came with the job are gone: somebody has deleted what kept them. "
                "Submit the job again"
            )
        return kept or NO_SECRETS

    def _place(self, access: AttemptAccess) -> IntermediatePlace | None:
        return self._intermediate and replace(self._intermediate, access=access.intermediate)

    def _outputs_of_maps(self, queue: JobQueue) -> MapOutputs:
        version, outputs = self._map_outputs.get(queue.job.id, (-1, NO_MAP_OUTPUTS))
        if version != queue.map_outputs_version:
            outputs = map_outputs(queue.job)
            self._map_outputs[queue.job.id] = (queue.map_outputs_version, outputs)
        return outputs
