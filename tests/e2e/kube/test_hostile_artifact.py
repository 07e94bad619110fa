"""A hostile mapper in a real, restricted worker pod: what it gets is what docs/security.md says."""

import asyncio
import re
from urllib.parse import urlsplit

import pytest

from support.apollo_cli import REPOSITORY
from support.rest_jobs import PATIENCE_SECONDS, attempts_of, ended, submitted

pytestmark = pytest.mark.timeout(300)

HOSTILE = REPOSITORY / "tests/support/programs/hostile.py"
DOCUMENT = REPOSITORY / "docs/security.md"
VOLUME = "/var/lib/apollo/intermediate"
HIDDEN = (
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "/var/run/secrets/apollo.io/tls/tls.key",
    "/etc/shadow",
)
ROW = re.compile(r"\| (?P<attempt>[^|]+) \| (?P<got>[^|]+) \|")


def documented() -> dict[str, str]:
    """The table under the heading, by attempt."""
    section = DOCUMENT.read_text().partition("### What a hostile program got")[2].partition("\n#")[0]
    rows = [found for line in section.splitlines() if (found := ROW.fullmatch(line))]
    return {row["attempt"]: row["got"] for row in rows[2:]}


async def kept_map_output(installation, rest) -> str:
    """Where, in every worker pod, the map output of another job lies."""
    await rest.upload(REPOSITORY / "examples/word_count/word_count.py")
    program = "word_count.py"
    body = installation.body("victim", "prey/text", program, program, keepIntermediate=True)
    job = await submitted(rest, body)
    document = await ended(rest, job)
    assert document["status"] == "succeeded", document
    (attempt,) = [found["id"] for found in await attempts_of(rest, job) if "-m-" in found["id"]]
    return f"{VOLUME}/{job}/{attempt.rpartition('-')[0]}/{attempt}/index"


async def worker_of(rest, job: str) -> dict[str, str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := [worker async for worker in rest.workers() if worker.get("job") == job]):
            await asyncio.sleep(0.05)
    return found[0]


async def test_a_hostile_mapper_gets_what_the_document_says(installation, rest, record_property):
    installation.put("prey/text", b"secret words\n")
    victim = await kept_map_output(installation, rest)
    coordinator = urlsplit(installation.url).netloc
    kubernetes = installation.namespace.cluster.kubectl(
        "get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}"
    )
    await rest.upload(HOSTILE)
    params = {
        "volume": VOLUME,
        "victim": victim,
        "hidden": ",".join(HIDDEN),
        "beside": "/tmp,/work,/var/tmp",
        "addresses": ",".join(
            (
                f"the coordinator's API={coordinator}",
                "its own worker's gRPC=127.0.0.1:8090",
                f"the Kubernetes API={kubernetes}:443",
                "the metadata service=169.254.169.254:80",
            )
        ),
    }
    body = installation.body(
        "hostile", "prey/text", "hostile.py", params=params, maxWorkers=1, stdio="pipe", outputFormat="raw"
    )
    job = await submitted(rest, body)
    assert (await worker_of(rest, job))["sandbox"].startswith("landlock")
    document = await ended(rest, job)
    assert document["status"] == "succeeded", document
    got = dict(line.split("\t") for line in installation.output("hostile").decode().splitlines())
    table = "\n".join(f"| {attempt} | {what} |" for attempt, what in got.items())
    record_property("what a hostile program got", f"\n\n| attempt | what it got |\n| --- | --- |\n{table}")
    assert got == documented()
