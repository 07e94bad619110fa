import io
import json
import logging
import subprocess
import sys

import pytest

from apollo_common.logging import configure_logging, get_logger, log_context


@pytest.fixture
def lines():
    """Configure JSON logs to memory; calling the fixture gives the lines so far."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("worker", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_carries_the_ids_of_its_context(lines):
    with log_context(job="j", attempt="j-m-00000-0"):
        get_logger("test").info("attempt started", kind="map")
    get_logger("test").info("idle")
    first, second = lines()
    assert {name: first[name] for name in ("event", "level", "service", "job", "attempt", "kind")} == {
        "event": "attempt started",
        "level": "info",
        "service": "worker",
        "job": "j",
        "attempt": "j-m-00000-0",
        "kind": "map",
    }
    assert "job" not in second


def test_lines_of_libraries_look_the_same(lines):
    with log_context(worker="w"):
        logging.getLogger("some.library").warning("slow %s", "disk")
    assert [(line["event"], line["worker"], line["level"]) for line in lines()] == [("slow disk", "w", "warning")]


@pytest.mark.parametrize("name", ["token", "aws_secret_access_key", "Authorization", "password"])
def test_a_secret_is_never_written(lines, name):
    get_logger("test").info("connected", **{name: "s3cr3t"})
    (line,) = lines()
    assert line[name] == "[redacted]"


def test_a_traceback_is_one_line(lines):
    try:
        int("boom")
    except ValueError:
        get_logger("test").exception("failed")
    (line,) = lines()
    assert "ValueError: invalid literal" in line["exception"]


def test_chatty_libraries_are_heard_from_warnings_on(lines):
    logging.getLogger("botocore.auth").info("headers with a signature")
    assert lines() == []


def test_importing_it_leaves_rich_importable():
    code = "import apollo_common.logging, sys; assert 'rich' not in sys.modules; import rich"
    subprocess.run([sys.executable, "-c", code], check=True)
