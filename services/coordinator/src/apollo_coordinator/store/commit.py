"""Opens, publishes and discards the parts of a job's output. The only code that makes an output visible.

A commit refuses to take the place of the job's own input, removes an old `_SUCCESS`, completes every part, aborts what
losing attempts left, deletes surplus parts of an older output, and writes `_SUCCESS` last. Each step does nothing when
it was done before, so a commit that was cut off anywhere is finished by running it again. Readers that wait for
`_SUCCESS` never see a mixture of outputs.
"""

from contextlib import aclosing

from apollo_common.errors import (
    ObjectNotFound,
    OutputExists,
    OutputNotWritable,
    OutputWouldMix,
    PermanentError,
    UploadLost,
)
from apollo_common.ids import AttemptId
from apollo_common.lifecycle import opened, to_the_end
from apollo_common.logging import get_logger
from apollo_common.parallel import each
from apollo_common.storage import glob
from apollo_common.storage.location import resolve_output
from apollo_common.storage.open import StoreOpener
from apollo_common.storage.port import ObjectStore, StorageAccess, Upload
from apollo_common.threads import in_thread
from apollo_coordinator.core.model import Job, JobStatus, Task
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.order import OutputTarget
from apollo_coordinator.store.manifest import MAX_MANIFEST_BYTES, SUCCESS, Written, decode_manifest, encode_manifest
from apollo_coordinator.store.overlap import check_apart
from apollo_coordinator.store.part_names import is_part, part_name

CONCURRENT_REQUESTS = 16
MAX_CLOCK_SKEW_MS = 15 * 60 * 1000  # S3 refuses requests of clocks that differ more (RequestTimeTooSkewed)
ATTEMPT_METADATA = "apollo-attempt"

_log = get_logger(__name__)


class StoredOutput:
    """The OutputCommitter over object stores."""

    def __init__(self, stores: StoreOpener) -> None:
        self._stores = stores

    async def check_free(self, spec: JobSpec, access: StorageAccess) -> None:
        """OutputExists when something is there and the job may not overwrite it, or not all of it (OutputWouldMix).

        Begins an upload and aborts it: OutputNotWritable, StorageAccessDenied and BucketNotFound show before any work.
        """
        output, store = await self._open(spec, access)
        if output.startswith("file://") and await store.stat(output) is not None:
            raise OutputExists(f"{spec.output_path} is a file; name a directory that does not exist yet")
        if not spec.overwrite and await _holds_anything(store, output):
            raise OutputExists(f"there is something at {spec.output_path}; name another output or set overwrite")
        if spec.overwrite:
            _check_replaceable(spec, await _written(store, f"{output}/{SUCCESS}"))
        await to_the_end(_try_upload(store, f"{output}/{SUCCESS}"))

    async def open_part(self, job: Job, task: Task, attempt: AttemptId, access: StorageAccess) -> OutputTarget:
        output, store = await self._open(job.spec, access)
        url = f"{output}/{part_name(job.spec, task.kind, task.index)}"
        upload = await opened(store.create_upload(url, metadata={ATTEMPT_METADATA: attempt}), store.abort_upload)
        return OutputTarget(upload.url, upload.upload_id)

    async def commit(self, job: Job, access: StorageAccess) -> None:
        """Publish the accepted outputs.

        OutputExists when another one has appeared that may not be overwritten; OutputWouldMix; OutputHoldsInput;
        OutputNotWritable
        when somebody else has removed an upload: no further try brings it back.
        """
        output, store = await self._open(job.spec, access)
        success = f"{output}/{SUCCESS}"
        written = await _written(store, success)
        if written is not None and written.job == job.id:
            return
        if written is not None and not job.spec.overwrite:
            raise OutputExists(f"another output has appeared at {job.spec.output_path}; run the job to another place")
        _check_replaceable(job.spec, written)
        await check_apart(job.spec, store, _read_by(job))
        if written is not None:  # who writes fresh outputs only needs no right to delete
            await store.delete([success])
        await each(_accepted(job), lambda task: _complete(store, task), at_once=CONCURRENT_REQUESTS)
        await _abort_uploads(store, output, job, published=True)
        if job.spec.overwrite:
            await store.delete(await _surplus_parts(store, output, job))
        await store.put(success, await in_thread(encode_manifest, job))

    async def discard_part(self, job: Job, part: OutputTarget, access: StorageAccess) -> None:
        _, store = await self._open(job.spec, access)
        await store.abort_upload(Upload(part.url, part.upload_id))

    async def discard(self, job: Job, access: StorageAccess) -> None:
        """Abort the uploads of all attempts of the job. What was published, or was there before, stays."""
        output, store = await self._open(job.spec, access)
        await _abort_uploads(store, output, job, published=job.status is JobStatus.SUCCEEDED)

    async def _open(self, spec: JobSpec, access: StorageAccess) -> tuple[str, ObjectStore]:
        output, access = resolve_output(spec.output_path, access)
        return output, await self._stores.open(output, access)


async def _try_upload(store: ObjectStore, url: str) -> None:
    await store.abort_upload(await store.create_upload(url, metadata={}))


async def _holds_anything(store: ObjectStore, output: str) -> bool:
    async with aclosing(store.find(f"{glob.escape(output)}/")) as found:
        async for _ in found:
            return True
    return await store.stat(f"{output}/{SUCCESS}") is not None


async def _written(store: ObjectStore, success: str) -> Written | None:
    """None when there is no such object."""
    info = await store.stat(success)
    if info is None:
        return None
    if info.size_bytes > MAX_MANIFEST_BYTES:
        return Written()
    try:
        content = b"".join([chunk async for chunk in store.read(success)])
    except ObjectNotFound:
        return None
    return await in_thread(decode_manifest, content)


def _check_replaceable(spec: JobSpec, written: Written | None) -> None:
    """OutputWouldMix for parts with a prefix that this job does not know: they would stay, and be read with its own."""
    staying = next((name for name in written.parts if not is_part(name, spec.part_prefix)), None) if written else None
    if staying is not None:
        raise OutputWouldMix(
            f"the output at {spec.output_path} has parts such as {staying[:100]}, which overwrite would leave there: "
            "set partPrefix to theirs, remove them, or name another output"
        )


def _read_by(job: Job) -> list[tuple[str, str]]:
    """(URL, version) of the objects that the splits were planned from."""
    pieces = (piece for task in job.maps if task.split is not None for piece in task.split.pieces)
    return list(dict.fromkeys((piece.url, piece.version) for piece in pieces))


def _accepted(job: Job) -> list[Task]:
    missing = [task.id for task in job.output_tasks if task.output is None or task.accepted is None]
    if missing:
        raise PermanentError(f"job {job.id} cannot be committed: {missing[0]} has no accepted output")
    return job.output_tasks


async def _complete(store: ObjectStore, task: Task) -> None:
    output = task.output
    if output is not None:
        upload = Upload(output.url, output.upload_id, {ATTEMPT_METADATA: task.accepted or ""})
        try:
            await store.complete_upload(upload, output.parts)
        except UploadLost as error:
            raise OutputNotWritable(
                f"an upload was removed before it was published ({error}): run the job again"
            ) from error


async def _abort_uploads(store: ObjectStore, output: str, job: Job, *, published: bool) -> None:
    """Abort what is left of uploads to the job's keys; with `published`, accepted ones are objects by now.

    Also those that nobody noted, because a crash or a lost answer came between their beginning and the journal. The
    output is reserved for the job until its clean-up is over, so they are no other job's of this coordinator. What
    began clearly before the job is another writer's, and stays.
    """
    await each(_noted_uploads(job, published=published), store.abort_upload, at_once=CONCURRENT_REQUESTS)
    keys = {f"{output}/{name}" for name in (SUCCESS, *_part_names(job))}
    begun_from_ms = job.created_ms - MAX_CLOCK_SKEW_MS
    try:
        listed = await store.list_uploads(f"{output}/")
    except PermanentError as error:  # some stores cannot list uploads, or do not let us
        _log.warning(
            "unfinished uploads to an output cannot be listed: allow it (s3:ListBucketMultipartUploads), "
            "or have a lifecycle rule of the bucket remove them",
            job=job.id,
            error=str(error),
        )
        return
    left = [
        upload
        for upload in listed
        if upload.url in keys and (upload.begun_ms is None or upload.begun_ms >= begun_from_ms)
    ]
    await each(left, store.abort_upload, at_once=CONCURRENT_REQUESTS)


def _noted_uploads(job: Job, *, published: bool) -> list[Upload]:
    return [
        Upload(attempt.output_url, attempt.upload_id)
        for task in job.output_tasks
        for attempt in task.attempts
        if attempt.upload_id and not (published and attempt.id == task.accepted)
    ]


def _part_names(job: Job) -> list[str]:
    return [part_name(job.spec, task.kind, task.index) for task in job.output_tasks]


async def _surplus_parts(store: ObjectStore, output: str, job: Job) -> list[str]:
    """Parts of an older output, by their exact names, that this job has not replaced."""
    ours = {task.output.url for task in job.output_tasks if task.output is not None}
    prefix = job.spec.part_prefix
    places = dict.fromkeys(f"{glob.escape(output)}/{beginning}*" for beginning in ("part-", prefix or "part-"))
    found = dict.fromkeys([info.url for place in places async for info in store.find(place)])
    return [url for url in found if url not in ours and is_part(url.rpartition("/")[2], prefix)]
