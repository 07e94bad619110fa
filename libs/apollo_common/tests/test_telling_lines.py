"""What is told of a failed program's standard error. The texts are what these languages' own runtimes wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.telling_lines import MAX_LINE_CHARACTERS, MAX_LINES, telling_lines

PYTHON = """\
Traceback (most recent call last):
  File "/tmp/a/map.py", line 6, in main
    words(sys.argv[1])
  File "/tmp/a/map.py", line 3, in words
    return int(line)
           ^^^^^^^^^
ValueError: invalid literal for int() with base 10: 'abc12'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/tmp/a/map.py", line 9, in <module>
    main()
  File "/tmp/a/map.py", line 8, in main
    raise KeyError(sys.argv[1]) from e
KeyError: 'abc12'
"""
PYTHON_GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "map.py", line 1, in <module>
  | ExceptionGroup: many (1 sub-exception)
  +-+---------------- 1 ----------------
    | ValueError: x 1
    +------------------------------------
"""
PYTHON_CRASH = """\
Fatal Python error: Segmentation fault

Current thread 0x00007fe67e691b80 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "map.py", line 1 in <module>
"""
JAVA = """\
Exception in thread "main" java.lang.IllegalStateException: bad record x17
\tat Map.parse(Map.java:1)
\tat Map.main(Map.java:2)
Caused by: java.lang.NumberFormatException: For input string: "x17"
\tat java.base/java.lang.NumberFormatException.forInputString(NumberFormatException.java:67)
\tat java.base/java.lang.Integer.parseInt(Integer.java:668)
\t... 2 more
"""
NODE = """\
/tmp/a/map.js:2
  throw new Error("bad record " + l);
  ^

Error: bad record 17
    at words (/tmp/a/map.js:2:9)
    at Object.<anonymous> (/tmp/a/map.js:4:1)
    at node:internal/main/run_main_module:28:49

Node.js v20.20.2
"""
GO = """\
panic: runtime error: index out of range [99] with length 3

goroutine 1 [running]:
main.words(...)
\t/tmp/a/map.go:3
main.main()
\t/tmp/a/map.go:4 +0x39
exit status 2
"""
GO_PANIC_AGAIN = """\
panic: bad [recovered]
\tpanic: worse

goroutine 1 [running]:
panic({0x45d120?, 0x489f40?})
\t/usr/local/go/src/runtime/panic.go:792 +0x132
main.words()
\t/tmp/a/map.go:7 +0x1d
"""
IN_LIBRARIES = """\
Traceback (most recent call last):
  File "/tmp/a/work/map.py", line 9, in <module>
    run(map=pairs)
  File "/tmp/a/sdk/apollo_sdk/program.py", line 70, in run
    link.serve()
  File "/tmp/a/work/map.py", line 6, in pairs
    row = json.loads(line)
          ^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode
    raise JSONDecodeError("Expecting value", s, err.value) from None
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)
"""
JAVA_IN_LIBRARIES = """\
Exception in thread "main" java.lang.NumberFormatException: For input string: "x17"
\tat java.base/java.lang.NumberFormatException.forInputString(NumberFormatException.java:67)
\tat java.base/java.lang.Integer.parseInt(Integer.java:668)
\tat Map.parse(Map.java:1)
\tat Map.main(Map.java:2)
"""
RUST = """\

thread 'main' (15582) panicked at src/map.rs:1:28:
index out of bounds: the len is 3 but the index is 91
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/59807616e1fa/library/std/src/panicking.rs:689:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
"""
RUST_OF_OLD = """\
thread 'main' panicked at 'index out of bounds: the len is 3 but the index is 91', src/map.rs:1:28
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
CPP = """\
terminate called after throwing an instance of 'std::out_of_range'
  what():  vector::_M_range_check: __n (which is 99) >= this->size() (which is 3)
"""
R = "Error in f(x) : object 'y' not found\nCalls: f\nExecution halted\n"


@pytest.mark.parametrize(
    ("stderr", "lines"),
    [
        (PYTHON, ['File "/tmp/a/map.py", line 8, in main', "KeyError: 'abc12'"]),
        (PYTHON[200:] + "closing\n", ['File "/tmp/a/map.py", line 8, in main', "KeyError: 'abc12'"]),
        (PYTHON_GROUP, ['File "map.py", line 1, in <module>', "ExceptionGroup: many (1 sub-exception)"]),
        (
            PYTHON_CRASH,
            [
                "Fatal Python error: Segmentation fault",
                'File "map.py", line 1 in <module>',
            ],
        ),
        (
            "  File \"map.py\", line 3\n    foo(\n       ^\nSyntaxError: '(' was never closed\n",
            ['File "map.py", line 3', "SyntaxError: '(' was never closed"],
        ),
        (
            JAVA,
            [
                'Caused by: java.lang.NumberFormatException: For input string: "x17"',
                "at java.base/java.lang.NumberFormatException.forInputString(NumberFormatException.java:67)",
            ],
        ),
        (
            IN_LIBRARIES,
            [
                'File "/tmp/a/work/map.py", line 6, in pairs',
                "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
            ],
        ),
        (
            IN_LIBRARIES.replace("/tmp/a/work", "/x/lib/python3/site-packages"),  # all of it
            [
                'File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode',
                "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
            ],
        ),
        (
            JAVA_IN_LIBRARIES,
            [
                'Exception in thread "main" java.lang.NumberFormatException: For input string: "x17"',
                "at Map.parse(Map.java:1)",
            ],
        ),
        (NODE, ["Error: bad record 17", "at words (/tmp/a/map.js:2:9)"]),
        (GO, ["panic: runtime error: index out of range [99] with length 3", "/tmp/a/map.go:3"]),
        (GO_PANIC_AGAIN, ["panic: bad [recovered]", "/tmp/a/map.go:7"]),
        (
            RUST,
            [
                "thread 'main' (15582) panicked at src/map.rs:1:28:",
                "index out of bounds: the len is 3 but the index is 91",
            ],
        ),
        (
            RUST_OF_OLD,
            ["thread 'main' panicked at 'index out of bounds: the len is 3 but the index is 91', src/map.rs:1:28"],
        ),
        (
            "map.rb:3:in `parse': bad (RuntimeError)\n\tfrom map.rb:7:in `<main>'\n",
            ["map.rb:3:in `parse': bad (RuntimeError)", "from map.rb:7:in `<main>'"],
        ),
    ],
    ids=[
        *("python", "python-cut", "python-group", "python-crash", "python-syntax"),
        *("java", "python-libraries", "python-libraries-only", "java-libraries"),
        *("node", "go", "go-again", "rust", "rust-of-old", "ruby"),
    ],
)
def test_a_traceback_tells_by_its_error_and_its_innermost_frame(stderr, lines):
    assert telling_lines("reading the input\n" + stderr) == (tuple(lines), True)


@pytest.mark.parametrize(
    ("stderr", "lines"),
    [
        ("", []),
        ("\n \n", []),
        ("bad record 17\n", ["bad record 17"]),
        ("./m.sh: line 1: foo: command not found\n\n^\n", ["./m.sh: line 1: foo: command not found"]),
        (
            CPP,
            [
                "terminate called after throwing an instance of 'std::out_of_range'",
                "what():  vector::_M_range_check: __n (which is 99) >= this->size() (which is 3)",
            ],
        ),
        (R, ["Error in f(x) : object 'y' not found"]),
        ("no such column\n2026-11-23 13:00:00,123 INFO closing\n", ["no such column"]),
        ("2026-11-23 13:00:00,123 INFO closing\n", ["2026-11-23 13:00:00,123 INFO closing"]),
        (" 10 %\r 20 %\rcannot go on\n", ["cannot go on"]),
        ("\x1b[31mred\x1b[0m \x07\u202egnol\n", ["red gnol"]),
        ("no\x1b]0;title\x07 \x1b]8;;x\x1b\\link\n", ["no link"]),
    ],
)
def test_without_a_traceback_the_last_line_tells_that_is_no_noise(stderr, lines):
    assert telling_lines(stderr) == (tuple(lines), False)


_PIECES = st.sampled_from(
    [PYTHON, PYTHON_GROUP, JAVA, GO, RUST, CPP, "goroutine 1 [running]:\n", "\tat x\n", "thread 'm' panicked at x:\n"]
)


@given(st.lists(st.one_of(_PIECES, st.text(), st.text(" \n\r\t|+-\x1b[m\ud800")), max_size=5))
def test_what_is_told_is_bounded_and_can_be_shown(pieces):
    told = telling_lines("".join(pieces)).lines
    assert len(told) <= MAX_LINES
    for line in told:
        assert 0 < len(line) <= MAX_LINE_CHARACTERS
        assert not any(character in line for character in "\n\r\x1b\x00\x7f\ud800")
