"""Recorded terminals are compared with what is printed: a page that shows anything else is red."""

import pytest

from support.pages import Block, Shell
from support.transcripts import Recorded, transcript


def test_a_transcript_has_commands_with_output_and_status():
    text = "$ printf 'a\\nb\\n'\na\nb\n$ wc -l \\\n> nothing\nwc: ...\n(exit status 1)\n$ true\n"
    assert transcript(text) == [
        Recorded("printf 'a\\nb\\n'", ("a", "b")),
        Recorded("wc -l \\\nnothing", ("wc: ...",), 1),
        Recorded("true", ()),
    ]


def test_a_transcript_begins_with_a_command():
    with pytest.raises(ValueError, match="begins with a command"):
        transcript("printed\n$ true\n")


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (("took 1.5 s",), "took 1.5 s\n"),
        (("took ... s, id ...",), "took 12.25 s, id 7f\n"),
        (("first", "...", "last"), "first\nlast\n"),
        (("first", "...", "last"), "first\nmore\n\nand more\nlast\n"),
        ((), ""),
        (("no end of line",), "no end of line"),
    ],
)
def test_alike(printed, said):
    assert Recorded("command", printed).difference(said, 0) is None


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (("took 1.5 s",), "took 1x5 s\n"),
        (("took ... s",), "took 1\n2 s\n"),
        (("first",), "first\nsecond\n"),
        (("first", "second"), "first\n"),
        ((), "anything\n"),
        (("anything",), ""),
    ],
)
def test_unlike(printed, said):
    assert "but prints" in Recorded("command", printed).difference(said, 0)


def test_another_exit_status():
    assert "ended with 2, not 1" in Recorded("command", (), 1).difference("", 2)


@pytest.mark.parametrize(("shown", "fits"), [("5\n", True), ("6\n", False), ("5\n(exit status 1)\n", False)])
def test_commands_of_a_block_are_run(tmp_path, shown, fits):
    shell = Shell(tmp_path)
    shell.run(Block("", "export NUMBER=5\n"))
    block = Block("", "", tuple(transcript(f"$ echo $NUMBER >&2\n{shown}")))
    if fits:
        assert shell.run(block) == "5\n"
    else:
        with pytest.raises(AssertionError, match=r"is recorded as|ended with 0, not 1"):
            shell.run(block)
