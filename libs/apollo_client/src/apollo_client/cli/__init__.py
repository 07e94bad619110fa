"""The apollo command: reads options and job files, speaks with a coordinator through RestClient, shows what happens.

One file per group of commands, imported when it is called. No command speaks HTTP or schedules anything itself.
"""

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit; an interrupt at any moment, also during imports, ends it without a traceback."""
    # A KeyboardInterrupt during an import can be swallowed there. Nothing has been started that would have to be
    # stopped: work that has to clean up takes the signal over before it begins.
    signal.signal(signal.SIGINT, _end_now)
    # Imports and models make a hundred thousand objects that all stay: looking for garbage among them is lost time.
    gc.set_threshold(50_000)
    try:
        from apollo_client.cli.root import execute

        status = execute(sys.argv[1:])
    except KeyboardInterrupt:  # asyncio hands the signal back to Python when its loop ends
        status = 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read our output has left, like `head`
        status = 128 + signal.SIGPIPE
    status = _flushed(status)
    sys.stderr.flush()
    # All has been closed by now; taking down what was imported would cost another quarter of a second.
    os._exit(status)


def answer_as_hadoop() -> NoReturn:
    """The command `apollo-hadoop`: `apollo hadoop` in one word, for programs that are told of a `hadoop` binary."""
    sys.argv.insert(1, "hadoop")
    main()


def _flushed(status: int) -> int:
    """The exit status once standard output is written, or known not to be."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would complain again, in its own words, when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 128 + signal.SIGPIPE
        if status == 0:
            sys.stderr.write(f"apollo: The output cannot be written: {error.strerror}.\n")
        return status or 1
    return status


def _end_now(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
