"""Tries to command a worker from inside a pod: `python - HOST:PORT ATTEMPT`, this file on standard input.

Prints one JSON object: what it tried, and what came of it. Needs what both images hold, and no more.
"""

import asyncio
import json
import socket
import ssl
import sys
import urllib.request
from pathlib import Path

from apollo_common.grpc import GrpcChannel, bearer_metadata
from apollo_proto.apollo.v1 import AttachTaskRequest, CancelTaskRequest, DescribeRequest, WorkerStub

PATIENCE_SECONDS = 20
KEYS = Path("/var/run/secrets/apollo.io/tls")  # of a worker's pod


def careless() -> ssl.SSLContext:
    """Takes anybody for the worker, and has nothing to show."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def with_keys_of_another_job() -> ssl.SSLContext:
    from apollo_common.tls import coordinator_context
    from apollo_coordinator.pools.kubernetes.job_keys import make_job_keys

    keys = make_job_keys()
    context = coordinator_context(keys["ca.crt"], keys["coordinator.crt"], keys["coordinator.key"])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def with_the_pods_own_keys() -> ssl.SSLContext:
    context = careless()
    context.load_cert_chain(KEYS / "tls.crt", KEYS / "tls.key")
    return context


async def outcome(address: str, attempt: str, tls: ssl.SSLContext | None) -> dict[str, str]:
    host, _, port = address.rpartition(":")
    found = {}
    for call in ("describe", "attach", "cancel"):
        channel = GrpcChannel(host, int(port), tls=tls)
        worker = WorkerStub(channel, metadata=bearer_metadata("guess"))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if call == "describe":
                    found[call] = f"answered: {(await worker.describe(DescribeRequest())).worker_id}"
                elif call == "cancel":
                    answer = await worker.cancel_task(CancelTaskRequest(attempt_id=attempt, reason="mischief"))
                    found[call] = f"answered: {answer.was_running}"
                else:
                    event = await anext(worker.attach_task(AttachTaskRequest(attempt_id=attempt)))
                    found[call] = f"answered: {event.sequence}"
        except Exception as error:  # noqa: BLE001 - whatever stops it
            found[call] = f"refused: {type(error).__name__}"
        finally:
            channel.close()
    return found


def probe(address: str) -> str:
    """What the worker's probe says, if its gRPC port takes connections too. OSError."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS).close()
    with urllib.request.urlopen(f"http://{host}:8091/healthz", timeout=PATIENCE_SECONDS) as answer:
        return answer.read().decode().strip()


async def main(address: str, attempt: str) -> None:
    reachable = probe(address)
    tries = {"plain text": lambda: None, "TLS without a certificate": careless}
    if KEYS.exists():
        tries["the keys of its own pod"] = with_the_pods_own_keys
    else:
        tries["the keys of another job"] = with_keys_of_another_job
    results = {name: await outcome(address, attempt, make()) for name, make in tries.items()}
    sys.stdout.write(json.dumps({"reachable": reachable, "tried": results}))


asyncio.run(main(*sys.argv[1:]))
