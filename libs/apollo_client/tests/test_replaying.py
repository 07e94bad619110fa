"""Whether a replay has failed as the attempt did."""

import pytest

from apollo_client.errors import RequestRefused
from apollo_client.replaying import CoordinatorSource, Replayed
from apollo_common.errors import FetchFailed

EXITED = {"reason": "program_exited", "message": "exit status 1", "exitStatus": 1, "stderrTail": "no amount in 'a'"}
TOO_MANY = {"reason": "too_many_bad_records", "message": "the program fails on more than 2 bad records; the last: ..."}


@pytest.mark.parametrize(
    ("there", "here", "alike"),
    [
        (EXITED, EXITED | {"stderrTail": "no amount in 'b'"}, True),
        (EXITED, EXITED | {"stderrTail": "cannot open /etc/hosts"}, False),
        (EXITED, TOO_MANY, False),
        # A coordinator words it for the whole job.
        (TOO_MANY | {"message": "the map program fails on more than 2 records, and the job's ..."}, TOO_MANY, True),
        ({}, EXITED, False),
        (EXITED, None, False),
    ],
)
def test_alike(there, here, alike):
    assert Replayed({}, here).fails_like(there) is alike


async def test_a_map_output_that_is_cut_short_is_told_in_these_words():
    class Client:
        async def map_output(self, *_range):
            raise RequestRefused("There are 8 bytes: ask for some of these.", status=416)
            yield b""

    with pytest.raises(FetchFailed, match="map output j-m-00000-0, which the attempt read, is damaged"):
        async for _ in CoordinatorSource(Client()).map_output("j-m-00000-0", "data", 8, 8):
            pass
