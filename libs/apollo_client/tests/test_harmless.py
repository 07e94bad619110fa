"""Text that programs and records have brought along does nothing to a terminal."""

import io
import json

import pytest

from apollo_client.cli.harmless import ProgramOutput, harmless
from apollo_client.cli.output import print_json, print_table, show

TITLE = "\x1b]0;title\x07"
COLOUR = "\x1b[31m"


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve 平 \N{SNOWMAN}", "naïve 平 \N{SNOWMAN}"),
        ("two\nlines\tof it", "two\nlines\tof it"),
        (f"{TITLE}{COLOUR}red", r"\x1b]0;title\x07\x1b[31mred"),
        ("a\0b\x7fc\rd", r"a\x00b\x7fc\rd"),
        ("\x9b31m", r"\x9b31m"),  # one character that is what ESC [ are
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("\udcff", r"\udcff"),  # a byte of a path that is no UTF-8
    ],
)
def test_what_steers_a_terminal_is_escaped(text, shown):
    assert harmless(text) == shown


def test_lines_tables_and_documents_are_harmless(capsys):
    show(f"failed: {TITLE}", err=True)
    print_table(["NAME", "VALUE"], [[f"a{TITLE}\n", "1"], ["b", "2"]])
    out, err = capsys.readouterr()
    assert err == "failed: \\x1b]0;title\\x07\n"
    assert out.splitlines() == ["NAME" + " " * 17 + "VALUE", r"a\x1b]0;title\x07\n  1", "b" + " " * 20 + "2"]
    document = {"said": "ü\x7f\u202e" + TITLE}
    print_json(document)
    text = capsys.readouterr().out
    assert (text.removesuffix("\n").isprintable(), json.loads(text)) == (True, document)


def test_a_program_s_bytes_stay_as_they_are_but_on_a_terminal():
    content = f"{COLOUR}ü\r\n".encode() + b"\xff\n"
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    ProgramOutput(file).write(content)
    assert file.buffer.getvalue() == content
    terminal = Terminal(io.BytesIO(), encoding="utf-8")
    output = ProgramOutput(terminal)
    for byte in content:  # the worst that may come in pieces
        output.write(bytes([byte]))
    assert terminal.buffer.getvalue().decode() == "\\x1b[31mü\\r\n\\xff\n"
