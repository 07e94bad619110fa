"""Where the time of a job's attempts went, for `--timings`."""

import time
from collections.abc import Mapping
from typing import Any

from apollo_client.cli.display import in_words
from apollo_client.cli.output import print_json, print_table, show
from apollo_client.rest import Document, RestClient

SHOWN_ATTEMPTS = 3  # of each phase
LOOKED_AT_TASKS = 20  # of each phase: each is a call
_PHASES = {"mapper": "map", "reducer": "reduce"}
_WHAT = {
    "start": "the program is started, until it runs",
    "read": "Apollo waits for input, or for map outputs",
    "merge": "map outputs are brought into the order of their keys",
    "send": "the program is given its input",
    "program": "the program works, or the built-in in its place: Apollo waits for it",
    "receive": "what the program wrote is taken",
    "sort": "what the program wrote is sorted",
    "write": "sorted runs, or the output, are written",
    "commit": "what was written is made to last",
}


async def tell_timings(client: RestClient, job: str, *, as_json: bool) -> None:
    """To standard output: a document, or tables of all attempts together and of the slowest."""
    timings = await client.timings(job)
    if as_json:
        print_json({"timings": timings})
        return
    _print_sums(timings)
    slowest = await _slowest_attempts(client, job)
    if slowest:
        show("")
        title = f"SLOWEST ({SHOWN_ATTEMPTS} of each phase)"
        print_table([title, "TOOK", "MOSTLY"], [_row(attempt) for attempt in slowest])


async def _slowest_attempts(client: RestClient, job: str) -> list[Document]:
    """By the sum of their steps, the longest first: of the maps, then of the reduces.

    Looks at the tasks only that were under way longest.
    """
    now_ms = time.time() * 1000
    began = [task async for task in client.tasks(job) if task["startTime"]]
    began.sort(key=lambda task: task["startTime"] - task.get("endTime", now_ms))
    found = []
    for kind in _PHASES:
        tasks = [task for task in began if task["type"] == kind][:LOOKED_AT_TASKS]
        attempts = [
            attempt for task in tasks async for attempt in client.attempts(task["id"]) if attempt.get("timings")
        ]
        found += sorted(attempts, key=lambda attempt: -sum(attempt["timings"].values()))[:SHOWN_ATTEMPTS]
    return found


def _print_sums(timings: Mapping[str, Mapping[str, int]]) -> None:
    """`timings`: milliseconds by task type and step."""
    phases = [kind for kind in _PHASES if sum(timings[kind].values())]
    if not phases:
        show("No attempt has told where its time went.")
        return
    titles = [title for kind in phases for title in (_PHASES[kind].upper(), "SHARE")]
    rows = [
        [step, *(cell for kind in phases for cell in _cells(timings[kind], step)), what] for step, what in _WHAT.items()
    ]
    print_table(["STEP", *titles, "WHAT"], rows)


def _cells(spent_ms: Mapping[str, int], step: str) -> list[str]:
    return [in_words(spent_ms[step] / 1000), f"{_percent(spent_ms, step)} %"]


def _row(attempt: Mapping[str, Any]) -> list[str]:
    spent_ms = attempt["timings"]
    largest = sorted(spent_ms, key=lambda step: -spent_ms[step])[:2]
    mostly = ", ".join(f"{step} {_percent(spent_ms, step)} %" for step in largest if spent_ms[step])
    return [attempt["id"], in_words(sum(spent_ms.values()) / 1000), mostly]


def _percent(spent_ms: Mapping[str, int], step: str) -> int:
    return round(100 * spent_ms[step] / (sum(spent_ms.values()) or 1))
