"""What a coordinator asks of the API server: a bounded number of calls for a job, all allowed, none granted in vain."""

import json
from collections import Counter
from datetime import datetime

import pytest

from support.cluster import audit
from support.installation import COORDINATOR, COORDINATOR_USER, Installation
from support.rest_jobs import ended, submitted

pytestmark = pytest.mark.timeout(300)

LINES_PER_MAP = 4
WATCH_SECONDS = 60  # the shortest watch; then it is asked for again
REVIEW_SECONDS = 30  # as long is remembered whose a token is


async def calls_of_a_job(installation: Installation, rest, maps: int) -> tuple[list[audit.Call], float]:
    """Of one with so many map tasks and a reduce, on two workers; and how many seconds it took."""
    line = f"{'word ' * 7}\n".encode()
    name = f"calls-{maps}"
    installation.put(name, line * LINES_PER_MAP * maps)
    began = audit.now()
    words = "shell:tr ' ' '\\n' | grep ."
    split = {"splitSize": len(line) * LINES_PER_MAP}
    job = await submitted(rest, installation.body(f"{name}-out", name, words, "builtin:count", **split))
    assert (await ended(rest, job))["status"] == "succeeded"
    assert installation.output(f"{name}-out") == f"word\t{7 * LINES_PER_MAP * maps}\n".encode()
    assert len([task async for task in rest.tasks(job)]) == maps + 1
    await installation.nothing_left(job)
    return _calls(installation, began), (audit.now() - began).total_seconds()


async def test_a_job_of_100_tasks_makes_as_many_calls_as_one_of_10(installation, rest, record_property):
    small, _ = await calls_of_a_job(installation, rest, 9)
    large, seconds = await calls_of_a_job(installation, rest, 99)
    record_property("calls of a job of 100 tasks to the API server", f"\n\n{audit.table(large)}")
    assert _for_the_job(large) <= _for_the_job(small), "their number grows with the tasks"
    watches = [call for call in large if call.verb == "watch"]
    assert len(watches) <= 1 + seconds / WATCH_SECONDS, "it asks again and again"
    reviews = [call for call in large if call.resource == "tokenreviews"]
    assert len(reviews) <= 1 + seconds / REVIEW_SECONDS, "it asks for every request"


@pytest.mark.after_all
def test_every_granted_verb_is_used_and_no_call_is_forbidden(installation, request):
    """After all scenarios, since each uses some."""
    calls = _calls(installation, installation.applied_at)
    assert [call for call in calls if not call.allowed] == []
    here = {path.name for path in request.path.parent.glob("test_*.py")}
    if not here <= {item.path.name for item in request.session.items}:
        pytest.skip("only all scenarios together use every verb, also in CI")
    assert _granted(installation) == {(call.verb, call.resource) for call in calls}


def _calls(installation: Installation, since: datetime) -> list[audit.Call]:
    return audit.calls_of(installation.namespace.cluster.state, COORDINATOR_USER, since)


def _for_the_job(calls: list[audit.Call]) -> Counter[tuple[str, str]]:
    """Without those whose number grows with time: watches, and the reviews of our own token."""
    return Counter(
        (call.verb, call.resource) for call in calls if call.verb != "watch" and call.resource != "tokenreviews"
    )


def _granted(installation: Installation) -> set[tuple[str, str]]:
    """Verb and resource, by the Roles and ClusterRoles that are bound to the coordinator's service account."""
    granted = set()
    for scope in ("role", "clusterrole"):
        bindings = json.loads(installation.namespace.kubectl("get", f"{scope}bindings", "--output=json"))["items"]
        for binding in bindings:
            if COORDINATOR in {subject["name"] for subject in binding.get("subjects", ())}:
                reference = binding["roleRef"]
                role = installation.namespace.kubectl("get", reference["kind"], reference["name"], "--output=json")
                granted |= {
                    (verb, resource)
                    for rule in json.loads(role)["rules"]
                    for resource in rule["resources"]
                    for verb in rule["verbs"]
                }
    return granted
