"""The C SDK against the protocol's test vectors, over a real socket, under the address sanitizer."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from apollo_worker.core.frames import Limits, encode_hello
from support.vectors import good, vectors

SDK = Path(__file__).parents[2] / "sdk/c"
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
BYTES = {vector["name"]: vector["bytes"] for vector in vectors("worker") + vectors("program")}


@pytest.fixture(scope="session")
def probe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("c") / "probe"
    flags = [
        "-std=c11",
        "-D_GNU_SOURCE",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-g",
        "-fsanitize=address,undefined",
        f"-I{SDK}",
    ]
    subprocess.run(["cc", *flags, "-o", path, SDK / "tests/probe.c", SDK / "apollo.c"], check=True)
    return path


@pytest.fixture
def converse(probe, tmp_path):
    """Runs the probe against given bytes; returns what it sent, its output and its exit status."""

    def run(content: bytes) -> tuple[bytes, str, int]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            listener.listen(1)
            environment = {"APOLLO_SOCKET": str(tmp_path / "s")}
            with subprocess.Popen([probe], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(content)
                    connection.shutdown(socket.SHUT_WR)
                    sent = b""
                    while piece := connection.recv(65536):
                        sent += piece
                output, errors = process.communicate(timeout=30)
        return sent, (output + errors).decode(), process.returncode

    return run


def hello(**settings: str) -> bytes:
    return encode_hello(settings, Limits.of_budget(64 << 20))


def test_a_mapper_understands_every_frame_and_sends_the_bytes_of_the_page(converse):
    names = ["records-lines"] * 86 + ["records-lines-inexact", "input", "records-sized"]
    records = BYTES["hello-worker"] + b"".join(BYTES[name] for name in names) + BYTES["end-worker"]
    sent, output, status = converse(records)
    assert status == 0, output
    meanings = {vector["name"]: vector["meaning"] for vector in good("worker")}
    inputs = {"records-sized": "s3://b/k"}
    expected = [
        f"{inputs.get(name, '')} record {record}"
        for name in names
        if name != "input"
        for record in meanings[name]["records"]
    ]
    assert output.splitlines() == ["role map q é", *expected]
    taken = 86 * 3 + 2 + 3
    assert sent == b"".join(
        BYTES[name] for name in ["hello-program", "pairs", "output", "counter", "status"]
    ) + bytes.fromhex("08000000 09000000") + taken.to_bytes(8, "little")


def test_a_reducer_understands_groups_that_go_on(converse):
    groups = BYTES["groups"] + BYTES["groups-continued"] * 2 + BYTES["groups"] + BYTES["end-worker"]
    sent, output, status = converse(hello(role="reduce") + groups)
    assert status == 0, output
    once = ["group ", "value 31", "group 6b", "value ", "value 3233"]
    assert output.splitlines() == ["role reduce q -", *once, "value 34", "value 34", *once]
    assert sent.endswith((4).to_bytes(8, "little"))


def test_values_left_unread_are_skipped(converse):
    groups = BYTES["groups"] + BYTES["groups-continued"] * 2 + BYTES["groups"] + BYTES["end-worker"]
    _, output, _ = converse(hello(role="reduce", **{"param.skip": "1"}) + groups)
    assert output.splitlines()[1:] == ["group ", "group 6b"] * 2


def test_giving_up_sends_an_error_frame(converse):
    sent, output, status = converse(hello(role="map", **{"param.fail": "1"}))
    assert (sent, status) == (BYTES["hello-program"] + BYTES["error"], 1)
    assert output.endswith("apollo: no\n")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        hello(role="map") + bytes.fromhex("01000000 03000000 00"),
        hello(role="map") + bytes.fromhex("12000000 03000000 0000 0000 02000000 0000000000000000 610a"),
        hello(role="map") + bytes.fromhex("14000000 03000000 0100 0000 01000000 0000000000000000 05000000"),
        hello(role="map") + bytes.fromhex("00000000 05000000"),
        hello(role="reduce") + bytes.fromhex("0c000000 04000000 ffffffff 00000000 ffffffff"),
        hello(role="reduce") + bytes.fromhex("0c000000 04000000 00000000 01000000 00000000"),
    ],
)
def test_what_the_protocol_does_not_allow_ends_the_program_with_a_message(converse, content):
    _, output, status = converse(content)
    assert status == 1, output
    assert "apollo: the worker" in output


def test_the_marker_says_that_it_speaks_frames(probe):
    assert b"apollo-artifact:frames/1" in probe.read_bytes()
