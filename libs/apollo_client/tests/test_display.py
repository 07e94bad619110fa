"""What a waiting user reads."""

from apollo_client.cli.causes import first_record, first_split
from apollo_client.cli.display import MAX_SHOWN_COUNTERS, LineDisplay, counter_lines, failure_lines, progress_line


def a_job(status="running", *, planned=True, maps=(1, 8), reduces=(0, 4), **more):
    phases = {
        name: {"completed": done, "total": total} for name, (done, total) in (("maps", maps), ("reduces", reduces))
    }
    return {"status": status, "progress": {"planned": planned, **phases}, **more}


def test_a_line_says_how_far_the_job_is():
    assert progress_line(a_job()) == "running: map 1/8, reduce 0/4"
    assert progress_line(a_job(reduces=(0, 0))) == "running: map 1/8"
    assert progress_line(a_job("queued", planned=False)) == "queued"


def test_a_line_says_why_the_job_waits():
    job = a_job("running", planned=False, trouble="a worker does not start: no such module")
    assert progress_line(job) == "running; it waits: a worker does not start: no such module"


def test_what_programs_counted_is_told():
    assert counter_lines({"apollo": {"input_records": 3}}) == []
    assert counter_lines({"apollo": {"input_records": 3}, "words": {"long": 1200, "odd": 1}}) == [
        "Counted by the programs:",
        "  words: long: 1,200",
        "  words: odd: 1",
    ]


def test_of_very_many_counters_some_are_told():
    lines = counter_lines({"users": {f"user {index}": index for index in range(MAX_SHOWN_COUNTERS + 7)}})
    assert len(lines) == 1 + MAX_SHOWN_COUNTERS + 1
    assert lines[-1] == "  and 7 counters more, which _SUCCESS of the output has"


def test_a_line_is_shown_once(capsys):
    display = LineDisplay()
    display.show(a_job())
    display.show(a_job())
    display.show(a_job("committing", maps=(8, 8), reduces=(4, 4), trouble="s3 is away"))
    assert capsys.readouterr().err.splitlines() == [
        "running: map 1/8, reduce 0/4",
        "committing: map 8/8, reduce 4/4; it waits: s3 is away",
    ]


def test_a_failure_says_which_attempt_of_its_task_it_was():
    def told(attempt: str) -> list[str]:
        return failure_lines(
            {
                "id": "j1",
                "status": "failed",
                "failure": {"message": "it gave up.", "program": "map.py", "attempt": attempt},
            }
        )

    assert told("j1-m-00000-0") == ["Job j1 failed: it gave up.", "  program: map.py", "  attempt: j1-m-00000-0"]
    assert (
        told("j1-s-00000-0")[-1] == "  attempt: j1-s-00000-0 (of the mapper, to learn where the range partitioner cuts)"
    )
    assert told("j1-s-00000-3")[-1].endswith(
        " (attempt 4 of its task; of the mapper, to learn where the range partitioner cuts)"
    )
    assert told("j1-m-00000-3")[-1] == "  attempt: j1-m-00000-3 (attempt 4 of its task)"


def a_group(fingerprint="f1", attempts=1, **more):
    group = {"fingerprint": fingerprint, "attempts": attempts, "tasks": 2, "workers": 1, "lines": [], "message": "no."}
    return group | more


def test_a_failed_job_says_how_many_failed_alike_and_what_else_failed():
    failure = {"message": "it gave up.", "fingerprint": "f1", "stderrTail": "boom\n"}
    record = {"input": "s3://in/a", "offset": 7, "size": 4, "preview": "b\x1bd\n"}
    groups = [
        a_group("f1", 1200, tasks=300, workers=2, message="it gave up.", firstRecord=record),
        a_group("f2", message="set maxAttempts to 3", lines=["KeyError: 1"]),
        a_group("f3", 3, message="KeyError: 2", lines=["in map.py", "KeyError: 2"]),
    ]
    assert failure_lines({"id": "j1", "status": "failed", "failure": failure, "failures": groups}) == [
        "Job j1 failed: it gave up.",
        "  record: b\\x1bd\\n at byte 7 of s3://in/a",
        "  1,200 attempts of 300 tasks on 2 workers failed alike",
        "  The program's last words on standard error:",
        "  | boom",
        "  also: 1 attempt failed: give --max-attempts 3",
        "  | KeyError: 1",
        "  also: 3 attempts of 2 tasks on 1 worker failed alike: KeyError: 2",
        "  | in map.py",
    ]


def test_as_long_as_no_record_is_known_the_split_is_told():
    group = a_group(firstRecord={"input": "s3://in/a", "offset": 7})
    assert (first_record(group), first_split(group)) == ("", "begins at byte 7 of s3://in/a")
    found = a_group(firstRecord={"input": "s3://in/a", "offset": 7, "size": 1, "preview": "b"})
    assert (first_record(found), first_split(found)) == ("b at byte 7 of s3://in/a", "")
    assert (first_record(a_group()), first_split(a_group())) == ("", "")  # a reduce's


def test_an_attempt_that_failed_alone_is_not_counted():
    failure = {"message": "it gave up.", "fingerprint": "f1"}
    told = failure_lines({"id": "j1", "status": "failed", "failure": failure, "failures": [a_group()]})
    assert told == ["Job j1 failed: it gave up."]
