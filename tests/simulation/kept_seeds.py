"""Seeds that have found something, each with a word on what it was. Run by every test run, so that it stays mended.

A change of the simulation itself may give a seed another run; the scenario then lives on in a test of its own, by name.
"""

from typing import NamedTuple


class Kept(NamedTuple):
    part: str
    seed: int
    found: str


KEPT = (
    Kept("engine", 1, "an upload stayed behind for ever when the answer to its beginning, or to its abort, was lost"),
    Kept("engine", 428, "a map ran again although its backup attempts had used up the job's maxAttempts"),
    Kept("engine", 1593, "a worker met again under another name before the pool had said that the first was gone"),
)
