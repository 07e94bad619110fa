"""Apollo's own errors: each has a stable reason code, a sentence for the user, and says whether trying again may help.

Adapters map the errors of third-party libraries to these where the library is touched; nothing above an adapter
catches a foreign exception.
"""

from typing import ClassVar


class ApolloError(Exception):
    """Base of all errors that a user may see. `str(error)` is a sentence for the user, free of secrets."""

    reason: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False


class TemporaryError(ApolloError):
    """Trying the same again may succeed."""

    reason = "temporary"
    retryable = True


class PermanentError(ApolloError):
    """Trying the same again fails in the same way."""

    reason = "permanent"


# Storage


class StorageUnavailable(TemporaryError):
    reason = "storage_unavailable"


class ObjectNotFound(PermanentError):
    reason = "object_not_found"


class InputNotFound(ObjectNotFound):
    """Nothing is at one of a job's input paths."""


class BucketNotFound(PermanentError):
    reason = "bucket_not_found"


class StorageAccessDenied(PermanentError):
    reason = "storage_access_denied"


class CredentialsUnusable(PermanentError):
    """A job names credentials that are not there, or not for what it wants with them."""

    reason = "credentials_unusable"


class InputChanged(PermanentError):
    """An input object is not the one that the splits were planned from."""

    reason = "input_changed"


class InputCorrupt(PermanentError):
    """A compressed input cannot be decoded."""

    reason = "input_corrupt"


class UnsupportedCompression(PermanentError):
    """An input is compressed, by its name, in a way that Apollo does not read."""

    reason = "unsupported_compression"


class InvalidLocation(PermanentError):
    """A URL that names no place that Apollo can read or write."""

    reason = "invalid_location"


class TooManySplits(PermanentError):
    """The input would be cut into more pieces than one job may have."""

    reason = "too_many_splits"


class OutputExists(PermanentError):
    reason = "output_exists"
    fix: ClassVar[str] = "Name another output, or set overwrite to true."


class OutputHoldsInput(OutputExists):
    """A job reads what lies at its own output under a name that its commit removes or replaces."""

    reason = "output_holds_input"
    fix = "Name another output: a job's output never replaces its own input."


class OutputWouldMix(OutputExists):
    """An output has parts, called otherwise than the job's own, that its commit would leave there."""

    reason = "output_would_mix"
    fix = "Set partPrefix to that of the parts there, remove them, or name another output."


class OutputNotWritable(PermanentError):
    reason = "output_not_writable"


class OutputIncomplete(PermanentError):
    """A job was stopped while its output was being published: what is there may be old, new or both."""

    reason = "output_incomplete"


class UploadLost(TemporaryError):
    """The store no longer knows an upload; a new attempt gets a new one."""

    reason = "upload_lost"


class VolumeFull(TemporaryError):
    """A volume has no space left, or a bucket no quota.

    `volume` says which, in the words of apollo_common.volumes; empty: the message does. `needed_bytes`: about how much
    more room than there is would do; 0: nobody knows.
    """

    reason = "volume_full"

    def __init__(self, message: str, *, volume: str = "", needed_bytes: int = 0) -> None:
        super().__init__(message)
        self.volume = volume
        self.needed_bytes = needed_bytes


class ScratchExceeded(PermanentError):
    """An attempt needs more of its worker's own disk than the operator gives it."""

    reason = "scratch_exceeded"


# The user's program


class ProgramError(TemporaryError):
    """The program misbehaved. Retried, because the cause may be its machine; `maxAttempts` bounds it."""

    reason = "program_failed"
    stderr_tail: bytes = b""  # what the program last wrote there, at most 4 KiB


class ProgramExited(ProgramError):
    """Exit status other than 0, or death by a signal."""

    reason = "program_exited"

    def __init__(self, message: str, *, exit_status: int = -1, signal: int = 0) -> None:
        super().__init__(message)
        self.exit_status = exit_status
        self.signal = signal


class OutOfMemory(ProgramError):
    """The kernel ended a whole worker, whose memory it shared with the program."""

    reason = "out_of_memory"


class ProgramReadNothing(ProgramError):
    """Exit status 0 without reading any of a non-empty input."""

    reason = "program_read_nothing"


class ProgramProtocolError(ProgramError):
    """Bytes on the socket that the artifact protocol does not allow."""

    reason = "program_protocol_error"


class ProgramTimeout(ProgramError):
    """No bytes in or out of the program for the job's timeout."""

    reason = "program_timeout"


class JobTimeout(PermanentError):
    """The job ran for longer than its `jobTimeoutSeconds`."""

    reason = "job_timeout"


class ProgramStartFailed(PermanentError):
    """The program cannot be executed on this machine."""

    reason = "program_start_failed"


class RecordTooLarge(PermanentError):
    """A record larger than a quarter of the memory budget."""

    reason = "record_too_large"


class TooManyBadRecords(PermanentError):
    """More records make the mapper fail than the job's `maxBadRecords` allows to skip."""

    reason = "too_many_bad_records"


class RecordsFailOtherwise(PermanentError):
    """The mapper fails on records alone otherwise than on them together: it keeps something between them."""

    reason = "records_fail_otherwise"


class BadRecordTooLarge(PermanentError):
    """A record makes the mapper fail that is too large to be kept, and is therefore not skipped."""

    reason = "bad_record_too_large"


class QuarantineFull(PermanentError):
    """The bad records of a job take more room than the coordinator keeps for them."""

    reason = "quarantine_full"


class InvalidValue(PermanentError):
    """A built-in met a value that it cannot work on, such as `builtin:sum` a word."""

    reason = "invalid_value"


class UnknownBuiltin(PermanentError):
    """A built-in program that does not exist, or not in the role that the job gives it."""

    reason = "unknown_builtin"


# Shuffle


class InvalidPartitioner(PermanentError):
    """A partitioner that does not exist or is written wrongly."""

    reason = "invalid_partitioner"


class InvalidKeyOrder(PermanentError):
    """An order of keys that is written wrongly."""

    reason = "invalid_key_order"


class FetchFailed(TemporaryError):
    """A reduce cannot read an accepted map output; only that map task is run again."""

    reason = "fetch_failed"

    def __init__(self, message: str, *, task: str, attempt: str) -> None:
        super().__init__(message)
        self.task = task
        self.attempt = attempt


class MapOutputsGone(PermanentError):
    """The map outputs of a job were removed when it ended, or since."""

    reason = "map_outputs_gone"


# Services


class InvalidSetting(PermanentError):
    """An environment variable or option of a service that it cannot start with."""

    reason = "invalid_setting"


class MemoryBudgetTooLarge(PermanentError):
    """A job asks for more memory per attempt than a worker can give."""

    reason = "memory_budget_too_large"


class DirectoryInUse(PermanentError):
    """A directory that belongs to one process belongs to another one that runs."""

    reason = "directory_in_use"


class ArtifactMissing(TemporaryError):
    """An attempt names an artifact that its worker does not hold (any more); installing it again helps."""

    reason = "artifact_missing"


class ArtifactCorrupt(TemporaryError):
    """An artifact's bytes are not the ones that its digest promises."""

    reason = "artifact_corrupt"


# Coordinator


class WorkerUnreachable(TemporaryError):
    reason = "worker_unreachable"


class WorkerBusy(TemporaryError):
    reason = "worker_busy"


class WorkerDrained(TemporaryError):
    """A worker that was asked to stop takes no attempt any more, or hands back the one that it ran."""

    reason = "worker_drained"


class UnknownJob(PermanentError):
    reason = "unknown_job"


class JobEnded(PermanentError):
    reason = "job_ended"


class CoordinatorBroken(TemporaryError):
    """The coordinator cannot go on and has to be started again."""

    reason = "coordinator_broken"


class LimitExceeded(TemporaryError):
    """An operator's limit on jobs, tasks or workers."""

    reason = "limit_exceeded"


class IdempotencyConflict(PermanentError):
    """The idempotency key was used with another body."""

    reason = "idempotency_conflict"


# Artifacts


class ArtifactRejected(PermanentError):
    """An upload that no worker could execute, or whose name cannot be used. `fix` says what to do about it."""

    reason = "artifact_rejected"

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


class ArtifactTooLarge(PermanentError):
    reason = "artifact_too_large"
