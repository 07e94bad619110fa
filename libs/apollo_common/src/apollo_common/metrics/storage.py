"""Calls to S3, counted. A StorageObserver."""

from dataclasses import replace
from typing import Final

from prometheus_client import CollectorRegistry

from apollo_common import errors
from apollo_common.calls import CANCELLED, OK
from apollo_common.metrics.families import CALL_BUCKETS_SECONDS, AnyFamily, Label, counter, histogram

_OPERATION: Final = Label(
    (
        *("head_object", "get_object", "put_object", "delete_objects", "list_objects_v2"),
        *("create_multipart_upload", "upload_part", "complete_multipart_upload", "abort_multipart_upload"),
        "list_multipart_uploads",
    ),
)
_OPERATION_MET: Final = replace(_OPERATION, at_once=False)
_RESULT: Final = Label(
    (
        OK,
        CANCELLED,
        *(
            error.reason
            for error in (
                errors.ObjectNotFound,
                errors.BucketNotFound,
                errors.UploadLost,
                errors.StorageAccessDenied,
                errors.StorageUnavailable,
                errors.VolumeFull,
                errors.InvalidLocation,
                errors.OutputExists,
                errors.PermanentError,
            )
        ),
    ),
    # Those that an alert compares, and what an operator has to mend.
    at_once=(OK, errors.StorageUnavailable.reason, errors.VolumeFull.reason, errors.StorageAccessDenied.reason),
    more=True,
)

REQUESTS: Final = counter(
    "apollo_s3_requests_total",
    "Requests to S3 that ended, by operation and by result: ok, or the reason code of the error; and bodies given up.",
    {"operation": _OPERATION, "result": _RESULT},
)
SECONDS: Final = histogram(
    "apollo_s3_request_duration_seconds",
    "From a request to its answer, with the library's own repeats; of get_object until its headers.",
    {"operation": _OPERATION_MET},
    buckets=(*CALL_BUCKETS_SECONDS, 180),
)
RETRIES: Final = counter(
    "apollo_s3_request_retries_total", "Repeats by the library within requests.", {"operation": _OPERATION}
)
RESUMES: Final = counter("apollo_s3_read_resumes_total", "Bodies that were cut off or slow, and read on.")
RECEIVED: Final = counter("apollo_s3_received_bytes_total", "Bytes of objects that were read.")
SENT: Final = counter("apollo_s3_sent_bytes_total", "Bytes of objects and parts that were written.")

FAMILIES: Final[tuple[AnyFamily, ...]] = (REQUESTS, SECONDS, RETRIES, RESUMES, RECEIVED, SENT)


class StorageMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = REQUESTS.on(registry)
        self._seconds = SECONDS.on(registry)
        self._retries = RETRIES.on(registry)
        self._resumes = RESUMES.on(registry).of()
        self._received = RECEIVED.on(registry).of()
        self._sent = SENT.on(registry).of()

    def call_ended(self, operation: str, result: str, seconds: float) -> None:
        self._requests.of(operation, result).inc()
        self._seconds.of(operation).observe(seconds)

    def repeated(self, operation: str, times: int) -> None:
        self._retries.of(operation).inc(times)

    def resumed(self) -> None:
        self._resumes.inc()

    def body_given_up(self, result: str) -> None:
        self._requests.of("get_object", result).inc()

    def received(self, size_bytes: int) -> None:
        self._received.inc(size_bytes)

    def sent(self, size_bytes: int) -> None:
        self._sent.inc(size_bytes)
