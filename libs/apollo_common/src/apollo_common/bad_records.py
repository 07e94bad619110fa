"""What coordinator and worker agree on about bad records: which failures they explain, and what a job may keep of them.

A record is bad if the mapper fails on it alone.
"""

from typing import Final

from apollo_common.errors import ApolloError, ProgramExited, ProgramProtocolError, ProgramTimeout

ERRORS_OF_RECORDS: Final[tuple[type[ApolloError], ...]] = (ProgramExited, ProgramTimeout, ProgramProtocolError)
"""How a program fails that a record has broken."""

SEARCHED: Final = ". The job may skip bad records, but "
"""Begins what a skipping attempt's failure says beside its cause, which is that of the attempts before."""

MAX_BAD_RECORD_BYTES: Final = 1 << 20
"""The largest record that can be quarantined, and so skipped."""

MAX_QUARANTINE_BYTES: Final = 64 << 20
"""Of all bad records of a job, with what the program said of each."""

BAD_RECORDS: Final = "bad_records"
QUARANTINED_BYTES: Final = "quarantined_bytes"
BISECTION_RUNS: Final = "bisection_runs"
"""Built-in counters: records skipped, what they take in the quarantine, runs of the mapper to find them."""
