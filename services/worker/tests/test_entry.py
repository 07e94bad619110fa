"""The command before it has imported the rest of itself."""

import signal
import subprocess
import sys

SLOW_IMPORT = """
import sys, time
from apollo_worker.entry import main

class Slow:
    def find_spec(self, name, *_):
        if name == "apollo_worker.app":
            print("importing", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
main()
"""


def test_a_signal_ends_it_while_it_imports():
    """By a handler of its own: the first process of a container is not ended by a signal's default."""
    with subprocess.Popen([sys.executable, "-c", SLOW_IMPORT], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "importing\n"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 128 + signal.SIGTERM
