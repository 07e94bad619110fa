"""`builtin:identity` as a mapper: lines become pairs, without a program."""

from collections.abc import AsyncIterator

import numpy as np

from apollo_common.errors import InvalidValue
from apollo_common.threads import in_thread
from apollo_worker.core.columns import RecordBlock
from apollo_worker.core.line_fields import TAB_SEPARATED, LineFields
from apollo_worker.core.text import parse_lines
from apollo_worker.ports import PairSink, ProgramResult


class IdentityMapper:
    """A `ports.Mapper`: a line becomes a pair as in the text protocol."""

    def __init__(self, fields: LineFields = TAB_SEPARATED) -> None:
        self._fields = fields

    async def map(self, records: AsyncIterator[RecordBlock], sink: PairSink) -> ProgramResult:
        result = ProgramResult()
        async for block in records:
            if block.lengths is not None:
                raise InvalidValue(
                    f"{block.input_url}: builtin:identity maps lines of text only; name a mapper program"
                )
            pairs = await in_thread(parse_lines, np.frombuffer(block.data, np.uint8), self._fields)
            result.input_records += block.count
            result.output_records += len(pairs)
            await sink.pairs(pairs)
        return result
