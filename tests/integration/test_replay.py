"""`apollo replay` on a machine without workers: attempts of past jobs run again, and see what they saw."""

import hashlib
import os
import pty
import shutil
import signal
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from support.apollo_cli import Outcome, apollo, command, environment
from support.coordinator_process import CoordinatorProcess, wait_for

pytestmark = pytest.mark.timeout(300)

WITNESS = """\
#!/usr/bin/env python3
import hashlib, os, sys
content = sys.stdin.buffer.read()
told = {k: v for k, v in os.environ.items() if k.startswith("APOLLO_") or k == "MODE"}
print("input", hashlib.sha256(content).hexdigest(), file=sys.stderr)
print("side", open("side.txt").read().strip(), file=sys.stderr)
print("told", sorted(told.items()), file=sys.stderr)
print("reporter:counter:witness,lines,%d" % content.count(b"\\n"), file=sys.stderr)
sys.exit(3)
"""
PICKY = """\
#!/usr/bin/env python3
from apollo_sdk import run

def last_digit(line, emit):
    emit(line[-1:], line)

def largest(digit, numbers, emit):
    numbers = [int(number) for number in numbers]
    if digit == b"7":
        raise ValueError("no sevens")
    emit(digit, max(numbers))

run(map=last_digit, reduce=largest)
"""
LARGEST = """\
{ digit = substr($0, length($0)); if ($0 + 0 > most[digit]) most[digit] = $0 + 0 }
END { for (digit in most) print digit "\\t" most[digit] }
"""
NUMBERS = "".join(f"{number}\n" for number in range(1, 2001))


def lines_of(number: int, size: int = 4000) -> bytes:
    """Those that begin in a split."""
    at, kept = 0, []
    for line in NUMBERS.encode().splitlines(keepends=True):
        if number * size <= at < (number + 1) * size:
            kept.append(line)
        at += len(line)
    return b"".join(kept)


class Past:
    """Jobs that have ended, on a coordinator that has no worker any more."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings: dict[str, str] = {}
        self.coordinator = CoordinatorProcess(directory / "coordinator", self.settings)
        self.input = directory / "numbers.txt"
        self.input.write_text(NUMBERS)
        for name, content in (("witness.py", WITNESS), ("picky.py", PICKY), ("side.txt", "beside\n")):
            (directory / name).write_text(content)
            (directory / name).chmod(0o755)

    def make(self) -> None:
        common = ("--input", self.input, "--max-attempts", 2, "--split-size", 4000)
        self.witness = self.submit(
            *common,
            *("--mapper", "witness.py", "--file", "side.txt", "--reducer", "builtin:count"),
            *("--env", "MODE=a b'c", "--param", "threshold=7"),
        )
        self.picky = self.submit(
            *common, "--mapper", "picky.py", "--reducer", "picky.py", "--reducers", 3, "--keep-intermediate"
        )
        self.counted = self.submit(*common, "--mapper", "shell:sed 's/.*\\(.\\)$/\\1/'", "--reducer", "builtin:count")

    def submit(self, *options: object) -> str:
        output = self.directory / f"out-{os.urandom(4).hex()}"
        done = self.apollo("submit", "--wait", "--json", "--output", output, *options)
        return str(done.job["id"])

    def apollo(self, *arguments: object, **env: str) -> Outcome:
        return apollo(*arguments, cwd=self.directory, **self._own, **env)

    def environment(self) -> dict[str, str]:
        return environment(**self._own)

    @property
    def _own(self) -> dict[str, str]:
        return {"APOLLO_COORDINATOR": self.coordinator.url, "TMPDIR": str(self.directory / "tmp")}

    def left(self) -> list[str]:
        """What replays have not removed."""
        return [entry.name for entry in (self.directory / "tmp").iterdir() if entry.name.startswith("apollo-replay-")]

    def lose_workers(self) -> None:
        """The coordinator comes back without any: its only one is where nobody listens."""
        pids = self.coordinator.worker_pids()
        self.coordinator.kill()
        for pid in pids:
            os.kill(pid, 9)
        self.settings |= {"APOLLO_POOL": "static", "APOLLO_WORKER_ADDRESSES": "127.0.0.1:9"}
        self.coordinator.start()


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    directory = tmp_path_factory.mktemp("past")
    (directory / "tmp").mkdir()
    past = Past(directory)
    with past.coordinator:
        past.make()
        past.lose_workers()
        yield past
        assert past.left() == []


def test_a_program_sees_what_it_saw_and_fails_as_it_did(past):
    there = past.apollo("logs", f"{past.witness}-m-00001-0")
    here = past.apollo("replay", past.witness, "m-1", "--attempt", 0, "--json")
    assert (here.status, here.documents[0]["status"], here.documents[0]["sameFailure"]) == (1, "failed", True)
    assert here.documents[0]["counters"]["witness"] == {"lines": lines_of(1).count(b"\n")}
    assert "'a b\\'c'" in there.stdout or '"a b\'c"' in there.stdout
    assert "APOLLO_PARAM_THRESHOLD" in there.stdout
    assert here.stderr.partition("It runs again here.\n")[2] == there.stdout


def test_which_attempt_is_asked_for(past):
    by_id = past.apollo("replay", past.witness, f"{past.witness}-m-00000-0")
    advice = past.apollo("job", past.witness).stdout.splitlines()[-1]
    assert advice.partition(": ")[2] in [f"apollo replay {past.witness} m-0000{task}-1" for task in range(3)]
    assert "apollo replay" not in past.apollo("job", past.counted).stdout
    assert "('APOLLO_ATTEMPT', '0')" in by_id.stderr
    assert "in the same way: the map program" in by_id.stderr
    wrong = past.apollo("replay", past.witness, f"{past.picky}-m-00000")
    assert (wrong.status, "is no task of job" in wrong.stderr) == (2, True)
    unknown = past.apollo("replay", past.witness, "m-0", "--attempt", 9)
    assert (unknown.status, "there is no attempt 9" in unknown.stderr) == (3, True)


def test_a_reduce_that_failed_fails_and_one_that_went_well_gives_the_same(past):
    bad = int(past.coordinator.job(past.picky)["failure"]["task"][-1])
    failed = past.apollo("replay", past.picky, f"r-{bad}", "--json")
    assert (failed.status, failed.documents[0]["failure"]["exitStatus"]) == (1, 1)
    assert failed.documents[0]["sameFailure"]
    assert "ValueError: no sevens" in failed.stderr
    went_well = past.apollo("replay", past.picky, f"r-{(bad + 1) % 3}", "--output", past.directory / "reduced")
    assert went_well.status == 0
    lines = (past.directory / "reduced").read_text().splitlines()
    largest = subprocess.check_output(["awk", LARGEST, past.input], text=True).splitlines()
    assert lines == [line for line in sorted(largest) if line in lines]
    assert 1 <= len(lines) <= 9


def test_what_a_mapper_gives_is_written_by_key(past):
    assert past.apollo("replay", past.counted, "m-0", "--output", "mapped.jsonl").status == 0
    emitted = ["sed", 's/.*\\(.\\)$/{"key":"\\1","value":""}/']
    expected = sorted(subprocess.check_output(emitted, input=lines_of(0)).splitlines())
    assert (past.directory / "mapped.jsonl").read_bytes().splitlines() == expected


def test_a_kept_directory_runs_the_program_without_apollo(past):
    kept = past.directory / "kept"
    here = past.apollo("replay", past.witness, "m-1", "--keep", kept)
    assert (kept / "input").read_bytes() == lines_of(1)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {stat.S_IMODE((kept / name).stat().st_mode) for name in ("input", "environment")} == {0o600}
    alone = subprocess.run([kept / "run.sh"], env={"MINE": "1"}, capture_output=True, text=True, check=False)
    assert alone.returncode == 3
    said = [line for line in alone.stderr.splitlines() if not line.startswith("reporter:")]
    assert said == here.stderr.splitlines()[1 : 1 + len(said)]
    assert f"input {hashlib.sha256(lines_of(1)).hexdigest()}" in said
    again = past.apollo("replay", past.witness, "m-1", "--keep", kept)
    assert (again.status, "there is something in it" in again.stderr) == (2, True)


def test_a_kept_frames_program_says_how_it_is_run(past):
    kept = past.directory / "kept-frames"
    assert past.apollo("replay", past.picky, "m-0", "--keep", kept).status == 0
    alone = subprocess.run([kept / "run.sh"], capture_output=True, text=True, check=False)
    assert (alone.returncode, f"apollo replay {past.picky}" in alone.stderr) == (2, True)
    assert not (kept / "input").exists()


@pytest.mark.parametrize(("job", "task"), [("witness", "m-0"), ("picky", "m-0")])  # text, frames
def test_a_command_runs_the_program(past, job, task):
    wrapper, trace = past.directory / "wrapper.sh", past.directory / f"trace-{job}"
    wrapper.write_text(f'#!/bin/sh\necho "$@" > {trace}\nexec "$2"\n')
    wrapper.chmod(0o755)
    under = past.apollo("replay", getattr(past, job), task, "--under", "./wrapper.sh 'two words'", "--json")
    assert under.documents[0]["status"] == ("failed" if job == "witness" else "succeeded")
    assert trace.read_text().startswith("two words /")
    assert f"/work/{job}" in trace.read_text()


def test_a_command_that_is_not_there_is_told(past):
    missing = past.apollo("replay", past.witness, "m-0", "--under", "no-such-debugger -x")
    assert (missing.status, "`no-such-debugger`, which is to run the program" in missing.stderr) == (3, True)


def test_an_interrupt_ends_the_program_and_leaves_nothing(past):
    pid, sleeper = past.directory / "pid", past.directory / "sleeper.sh"
    sleeper.write_text(f"#!/bin/sh\necho $$ > {pid}.new && mv {pid}.new {pid}\nexec sleep 1000\n")
    sleeper.chmod(0o755)
    process = subprocess.Popen(
        command("replay", past.witness, "m-0", "--under", sleeper),
        cwd=past.directory,
        env=past.environment(),
        stderr=subprocess.DEVNULL,
    )
    with process:
        started = int(wait_for(lambda: pid.exists() and pid.read_text(), "the program"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert not Path(f"/proc/{started}").exists()
    assert past.left() == []


def test_a_debugger_has_the_terminal(past):
    """`pdb` of a reducer that speaks frames, whose input comes over the socket: typed at, it answers."""
    setsid = shutil.which("setsid")
    assert setsid is not None
    ours, theirs = pty.openpty()
    arguments = command("replay", past.picky, "r-0", "--under", "python3 -m pdb")
    process = subprocess.Popen(
        [setsid, "--ctty", "--wait", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=past.directory,
        env=past.environment(),
    )
    os.close(theirs)
    said = bytearray()
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        for waited, typed in ((b"(Pdb) ", b"p 6 * 7, __name__\n"), (b"(42, '__main__')", b"quit\n")):
            while waited not in said:
                said += os.read(ours, 1024)
            os.write(ours, typed)
        while True:
            try:
                piece = os.read(ours, 1024)
            except OSError:  # EIO: the last that had the terminal has ended
                break
            if not piece:
                break
            said += piece
        process.wait()
    finally:
        watchdog.cancel()
        os.close(ours)
    assert b"It fails here" in said


def test_a_reduce_without_kept_map_outputs_says_what_would_help(past):
    refused = past.apollo("replay", past.counted, "r-0")
    assert refused.status == 3
    assert "were removed when it ended" in refused.stderr
    assert "--keep-intermediate" in refused.stderr


def test_an_input_that_has_changed_is_told(past):
    before = past.input.stat()
    os.utime(past.input, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
    try:
        refused = past.apollo("replay", past.witness, "m-0")
    finally:
        os.utime(past.input, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert refused.status == 3
    assert "cannot be run again here" in refused.stderr
    assert "changed" in refused.stderr
    assert "input " not in refused.stderr.partition("It runs again here.\n")[2].splitlines()[0]


def test_map_outputs_in_a_bucket_come_by_the_coordinator_and_input_by_ones_own_keys(tmp_path, s3_server, s3_bucket):
    client = s3_server.client()
    client.put_object(Bucket=s3_bucket, Key="in/numbers.txt", Body=NUMBERS.encode())
    intermediate = f"s3://{s3_bucket}/shuffle"
    settings = {**s3_server.environment, "APOLLO_INTERMEDIATE_DIR": intermediate}
    here = {"TMPDIR": str(tmp_path)}
    with CoordinatorProcess(tmp_path / "coordinator", settings) as coordinator:
        here["APOLLO_COORDINATOR"] = coordinator.url
        job = coordinator.submit(
            mapperName="shell:cat",
            reducerName="builtin:count",
            nReducers=2,
            inputPath=f"s3://{s3_bucket}/in/numbers.txt",
            outputPath=(tmp_path / "out").as_uri(),
            keepIntermediate=True,
        )
        assert coordinator.ended(job)["status"] == "succeeded"
        reduce = apollo("replay", job, "r-1", "--output", "reduced", cwd=tmp_path, **here)
        assert (reduce.status, "It succeeds here, too." in reduce.stderr) == (0, True)
        assert (tmp_path / "reduced").read_bytes() == (tmp_path / "out/part-r-00001").read_bytes()
        own = {name: value for name, value in s3_server.environment.items() if "KEY" not in name}
        wrong = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}
        refused = apollo("replay", job, "m-0", cwd=tmp_path, **here, **own, **wrong)
        assert (refused.status, "The attempt cannot be run again here" in refused.stderr) == (3, True)
        allowed = apollo("replay", job, "m-0", "--output", "mapped", cwd=tmp_path, **here, **s3_server.environment)
        assert allowed.status == 0
        assert sorted((tmp_path / "mapped").read_text().replace("\t", "").splitlines()) == sorted(NUMBERS.splitlines())
        client.put_object(Bucket=s3_bucket, Key="in/numbers.txt", Body=NUMBERS[::-1].encode())
        changed = apollo("replay", job, "m-0", cwd=tmp_path, **here, **s3_server.environment)
        assert (changed.status, "changed" in changed.stderr) == (3, True)
