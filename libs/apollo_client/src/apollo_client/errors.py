"""What can go wrong between a client and a coordinator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apollo_common.errors import ApolloError, PermanentError, TemporaryError


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request, as the coordinator says it."""

    field: str
    message: str
    fix: str = ""

    def sentences(self, name: str) -> str:
        """What is wrong and what to do about it, with the field called `name`."""
        return f"{name}: {self.message.rstrip('.')}. {self.fix}".strip()


class RequestRefused(PermanentError):
    """The coordinator answered with an error (problem+json, RFC 9457). `str()` is its sentence for the user."""

    reason = "request_refused"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        fields: tuple[FieldError, ...] = (),
        document: Mapping[str, Any] | None = None,
    ) -> None:
        """`document`: the whole problem, where the coordinator sent one."""
        super().__init__(message)
        self.status = status
        self.fields = fields
        self.document = dict(document or {})


class MapOutputsGone(RequestRefused):
    """A job cannot be redriven from its map outputs. With what it cost to map all of its input."""

    reason = "map_outputs_gone"

    def __init__(self, refused: RequestRefused) -> None:
        super().__init__(str(refused), status=refused.status, fields=refused.fields, document=refused.document)
        self.map_tasks = int(self.document["mapTasks"])
        self.input_bytes = int(self.document["inputBytes"])
        self.map_milliseconds = int(self.document["mapMilliseconds"])  # of all workers together


class CoordinatorUnreachable(TemporaryError):
    """Nobody answers at the coordinator's address, or the connection broke and did not come back."""

    reason = "coordinator_unreachable"


class NotACoordinator(PermanentError):
    """Something answers at the address, but not in the coordinator's words."""

    reason = "not_a_coordinator"


class BadRecordsNotSaved(PermanentError):
    """A job's bad records cannot be written where they were asked for."""

    reason = "bad_records_not_saved"


class CannotReplay(ApolloError):
    """An attempt cannot be run again here with what it had there, or nobody tells what that was."""

    reason = "cannot_replay"


class LocalModeFailed(ApolloError):
    """The embedded coordinator or `apollo up` cannot start on this machine."""

    reason = "local_mode_failed"
