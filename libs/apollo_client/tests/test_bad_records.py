"""Bad records for people: what a terminal shows of them, and what a job says of them at its end."""

import pytest

from apollo_client.cli.bad_records import preview, tell_of_bad_records, where, why, without_commands

JOB = {"id": "j", "status": "succeeded", "badRecords": 2}
FAILED = {"id": "j", "status": "failed", "badRecords": 0, "failure": {"reason": "too_many_bad_records"}}


SHOWN = "".join(f"  /in:{n}  exit status 3  a\\tb\n" for n in range(5)) + "  ...\n"


class Client:
    async def bad_records(self, _job):
        for number in range(6):
            yield {"input": "file:///in", "offset": number, "reason": "x", "exitStatus": 3, "preview": "a\tb"}


def test_a_failure_names_no_command_where_nobody_is_left_to_ask():
    message = "maxBadRecords of 2 allows no more: see them with `apollo bad j`, then mend the program"
    failed = FAILED | {"failure": FAILED["failure"] | {"message": message}}
    assert without_commands(failed)["failure"]["message"] == "maxBadRecords of 2 allows no more: mend the program"
    assert without_commands(JOB) == JOB


def test_where_it_is():
    assert where({"input": "file:///data/in.txt", "offset": 12}) == "/data/in.txt:12"
    assert where({"input": "s3://bucket/in.txt", "offset": 0}) == "s3://bucket/in.txt:0"


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"reason": "program_exited", "exitStatus": 3}, "exit status 3"),
        ({"reason": "program_exited", "signal": 11}, "SIGSEGV"),
        ({"reason": "program_exited", "signal": 99}, "signal 99"),
        ({"reason": "program_timeout"}, "timeout"),
        ({"reason": "program_timeout", "stderr": " \n"}, "timeout"),
        ({"reason": "program_exited", "exitStatus": 1, "stderr": "m.py\nKeyError: \x1b[x\n\n"}, "KeyError: \\x1b[x"),
        ({"reason": "program_protocol_error"}, "protocol error"),
    ],
)
def test_why_it_is_bad(record, told):
    assert why(record) == told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a,b", "a,b"),
        ("a\tb", "a\\tb"),
        ("\x1b[2J\nb", "\\x1b[2J\\nb"),
        ("\u202eevil", "\\u202eevil"),
        ("x" * 60, "x" * 48 + "..."),
    ],
)
def test_a_preview_does_nothing_to_the_terminal(text, shown):
    assert preview(text) == shown


@pytest.mark.parametrize(
    ("job", "stays", "said"),
    [
        (JOB, True, "2 bad records were skipped: see `apollo bad j`.\n"),
        (JOB | {"badRecords": 1}, True, "1 bad record was skipped: see `apollo bad j`.\n"),
        (
            JOB,
            False,
            "2 bad records were skipped; they go with this command: give it `--bad-records DIR` to save them.\n"
            + SHOWN,
        ),
        (FAILED, True, ""),  # its failure names the command
        (FAILED, False, "The bad records go with this command: give it `--bad-records DIR` to save them.\n" + SHOWN),
        (JOB | {"badRecords": 0}, True, ""),
    ],
)
async def test_what_a_job_says_of_them_at_its_end(job, stays, said, capsys):
    await tell_of_bad_records(Client(), job, save_to=None, stays=stays)
    assert capsys.readouterr().err == said
