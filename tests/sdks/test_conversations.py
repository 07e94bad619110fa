"""Every SDK over a real socket: what it understands of a worker's frames, what it sends, and what it refuses."""

import random
import socket
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from support import hostile
from support.apollo_cli import environment
from support.frames_reference import conversation
from support.fuzz import seeds
from support.vectors import bad, good, vectors

NATIVE = ["c", "go", "rust"]
LANGUAGES = [*NATIVE, "python"]
SDK_NAMES = {"c": "c/0.1.0", "go": "go/0.1.0", "rust": "rust/0.1.0", "python": "python/0.1.0"}
BYTES = {vector["name"]: vector["bytes"] for vector in vectors("worker") + vectors("program")}
MEANINGS = {vector["name"]: vector["meaning"] for vector in good("worker")}
WAIT_SECONDS = 60
END = 9
SENT = ("counter", "output", "pairs", "status")


class Outcome(NamedTuple):
    sent: bytes
    output: str
    errors: str
    status: int


Converse = Callable[[bytes], Outcome]


@pytest.fixture(params=LANGUAGES)
def language(request) -> str:
    return request.param


@pytest.fixture
def converse(language, probes, tmp_path) -> Converse:
    """Runs the probe against the bytes of a worker that then closes its end."""
    probe: Path = probes(language)

    def run(content: bytes) -> Outcome:
        path = tmp_path / "s"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(WAIT_SECONDS)
            settings = environment(
                APOLLO_SOCKET=str(path), ASAN_OPTIONS="exitcode=99:detect_leaks=0", UBSAN_OPTIONS="exitcode=99"
            )
            with subprocess.Popen([probe], env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                try:
                    sent = _play(listener, content)
                    output, errors = process.communicate(timeout=WAIT_SECONDS)
                except (TimeoutError, subprocess.TimeoutExpired):
                    process.kill()
                    pytest.fail(f"the probe neither speaks nor ends; it wrote {process.communicate()}")
        return Outcome(sent, output.decode(errors="replace"), errors.decode(errors="replace"), process.returncode)

    return run


def _play(listener: socket.socket, content: bytes) -> bytes:
    """Says `content` and nothing more; what the program said. It may go before it has heard all."""
    connection, _ = listener.accept()
    sent = b""
    with connection:
        connection.settimeout(WAIT_SECONDS)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                sent += piece
    return sent


def hello(role: str, **params: str) -> bytes:
    return hello_of([("role", role), *((f"param.{name}", value) for name, value in params.items())])


def hello_of(settings: list[tuple[str, str]]) -> bytes:
    columns = [*(len(key.encode()) for key, _ in settings), *(len(value.encode()) for _, value in settings)]
    texts = "".join([*(key for key, _ in settings), *(value for _, value in settings)]).encode()
    body = struct.pack(f"<III{len(columns)}I", 1, 1 << 24, len(settings), *columns) + texts
    return struct.pack("<II", len(body), 1) + body


def frames(content: bytes) -> list[bytes]:
    cut = []
    while content:
        (body_bytes,) = struct.unpack_from("<I", content)
        cut.append(content[: 8 + body_bytes])
        content = content[8 + body_bytes :]
    return cut


def kinds(content: bytes) -> list[int]:
    return [frame[4] for frame in frames(content)]


def program_hello(language: str) -> bytes:
    name = SDK_NAMES[language].encode()
    return struct.pack("<7I", 23 + len(name), 1, 1, 0, 1, 3, len(name)) + b"sdk" + name


def test_a_mapper_understands_every_frame_and_sends_the_bytes_of_the_page(language, converse):
    names = [*["records-lines"] * 86, "records-lines-inexact", "input", "records-sized"]
    heard = converse(BYTES["hello-worker"] + b"".join(BYTES[name] for name in names) + BYTES["end-worker"])
    assert heard.status == 0, heard
    lines = ["record - 4294967296 6162", "record - 4294967299 ", "record - 4294967300 ff"] * 86
    inexact = ["record - 7 61", "record - -1 62"]
    sized = ["record s3://b/k 16 610a62", "record s3://b/k 19 ", "record s3://b/k 19 00"]
    assert heard.output.splitlines() == [*lines, *inexact, *sized, "role map q é"]
    first, *middle, last = frames(heard.sent)
    assert first == program_hello(language)
    assert sorted(middle) == sorted(BYTES[name] for name in SENT)
    assert last == BYTES["end-program"][:8] + (86 * 3 + 2 + 3).to_bytes(8, "little")


def test_a_reducer_understands_groups_that_go_on(converse):
    groups = BYTES["groups"] + BYTES["groups-continued"] * 2 + BYTES["groups"] + BYTES["end-worker"]
    heard = converse(hello("reduce") + groups)
    assert heard.status == 0, heard
    once = ["group ", "value 31", "group 6b", "value ", "value 3233"]
    assert heard.output.splitlines() == [*once, "value 34", "value 34", *once, "role reduce q -"]
    assert heard.sent.endswith((4).to_bytes(8, "little"))


def test_a_combiner_does_what_the_reducer_does(converse):
    heard = converse(hello("combine") + BYTES["groups"] + BYTES["end-worker"])
    assert heard.output.splitlines()[-1] == "role combine q -"
    assert heard.sent.endswith((2).to_bytes(8, "little"))


def test_values_left_unread_are_skipped(converse):
    groups = BYTES["groups"] + BYTES["groups-continued"] * 2 + BYTES["groups"] + BYTES["end-worker"]
    heard = converse(hello("reduce", skip="1") + groups)
    assert heard.output.splitlines()[:-1] == ["group ", "group 6b"] * 2


def test_an_input_without_records_is_none(converse):
    heard = converse(hello("map") + BYTES["end-worker"])
    assert (heard.status, heard.output.splitlines()) == (0, ["role map q -"])
    assert heard.sent.endswith(bytes(8))


@pytest.mark.parametrize("language", NATIVE)
def test_giving_up_sends_an_error_frame(language, converse):
    heard = converse(hello("map", fail="1") + BYTES["end-worker"])
    assert heard.sent == program_hello(language) + BYTES["error"]
    assert (heard.status, heard.errors) == (1, "apollo: no\n")


def test_a_program_that_nobody_runs_says_how_to(language, probes):
    done = subprocess.run([probes(language)], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "apollo run --mapper" in done.stderr


@pytest.mark.parametrize("vector", bad("worker"), ids=lambda vector: vector["name"])
def test_what_a_worker_may_not_send_ends_the_program_with_a_message(converse, vector):
    role = "reduce" if "groups" in vector["name"] else "map"
    heard = converse(vector["bytes"] if vector["first"] else hello(role) + vector["bytes"] + BYTES["end-worker"])
    assert heard.status == 1, heard
    assert "the worker" in heard.errors or "version 1" in heard.errors
    assert END not in kinds(heard.sent)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        hello("map")[:-1],
        hello("map") + BYTES["records-lines"][:-1],
        hello("map") + BYTES["records-lines"],
        hello("map") + BYTES["groups"],
        hello("map") + BYTES["hello-worker"],
        hello("reduce") + BYTES["records-lines"],
        hello("reduce") + BYTES["groups"],
        hello("reduce") + BYTES["groups-continued"],
        hello("reduce")
        + BYTES["groups"][:-1]
        + b"3"
        + BYTES["groups-continued"].replace(b"k", b"j")
        + BYTES["end-worker"],
    ],
)
def test_a_conversation_that_breaks_off_or_goes_wrong_ends_the_program_with_a_message(converse, content):
    heard = converse(content)
    assert heard.status == 1, heard
    assert "the worker" in heard.errors


@pytest.mark.parametrize("number", ["", "x", "-1", " 1", "1_0", "9" * 5000])
@pytest.mark.parametrize("language", ["go", "rust", "python"])  # C gives the text
def test_a_number_of_the_attempt_that_is_none_ends_the_program_with_a_message(language, converse, number):
    heard = converse(hello_of([("role", "map"), ("attempt", number)]) + BYTES["end-worker"])
    assert heard.status == 1, heard
    assert "the worker's attempt is no number" in heard.errors


def test_of_a_setting_that_comes_twice_the_last_counts(converse):
    heard = converse(
        hello_of([("role", "reduce"), ("role", "map"), ("param.q", "x"), ("param.q", "y")]) + BYTES["end-worker"]
    )
    assert heard.output.splitlines() == ["role map q y"]


@pytest.mark.parametrize("seed", seeds(20))
def test_any_conversation_means_what_the_page_says_or_ends_with_a_message(converse, seed):
    """Frames that are almost right, against a reference that reads them field by field."""
    chance = random.Random(seed)
    role = chance.choice(["map", "reduce"])
    content = hostile.conversation(chance, role)
    expected = conversation(role, content)
    heard = converse(hello(role) + content)
    if expected is None:
        assert heard.status == 1, heard
        assert "the worker" in heard.errors
        assert END not in kinds(heard.sent)
    else:
        assert heard.status == 0, heard
        assert heard.output.splitlines() == [*expected, f"role {role} q -"]


def test_conversations_are_neither_all_good_nor_all_bad():
    chance = random.Random(1)
    read = [conversation(role, hostile.conversation(chance, role)) for role in ("map", "reduce") for _ in range(500)]
    assert 200 < sum(each is None for each in read) < 800
    assert sum(bool(each) for each in read) > 200
