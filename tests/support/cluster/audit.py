"""What the API server's audit log tells of one service account."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from support.cluster.places import State

_LONG = ("watch",)  # told when they begin and again when they end


@dataclass(frozen=True)
class Call:
    """`allowed` is what RBAC said; a quota or an admission may have refused the call all the same."""

    at: datetime
    verb: str
    resource: str  # with its subresource, as RBAC writes it
    status: int
    allowed: bool


def calls_of(state: State, user: str, since: datetime) -> list[Call]:
    return [call for call in _read(state, user) if call.at >= since]


def table(calls: list[Call]) -> str:
    """Markdown: how often each verb was used on each resource."""
    counts = Counter((call.verb, call.resource) for call in calls)
    rows = [f"| {verb} | {resource} | {count} |" for (verb, resource), count in sorted(counts.items())]
    return "\n".join(["| verb | resource | calls |", "| --- | --- | --- |", *rows])


def now() -> datetime:
    return datetime.now(UTC)


def _read(state: State, user: str) -> Iterator[Call]:
    with state.audit_log.open() as lines:
        for line in lines:
            event = json.loads(line)
            told = "ResponseStarted" if event["verb"] in _LONG else "ResponseComplete"
            if event["user"]["username"] == user and event["stage"] == told and "objectRef" in event:
                yield _call(event)


def _call(event: dict[str, Any]) -> Call:
    target = event["objectRef"]
    return Call(
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        verb=event["verb"],
        resource="/".join(filter(None, [target["resource"], target.get("subresource")])),
        status=event["responseStatus"]["code"],
        allowed=event["annotations"].get("authorization.k8s.io/decision") == "allow",
    )
