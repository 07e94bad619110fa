r"""Pairs -> the bytes of an output format.

- `text`: `key<TAB>value<NEWLINE>`, or with the job's own separator. Written as they are: a key with a separator or a
  newline, or a value with a newline, does not read back as it was.
- `jsonl`: `{"key":"...","value":"..."}<NEWLINE>`. Bytes that are no UTF-8 become U+FFFD.
- `raw`: the values' bytes back to back, without their keys.
"""

from collections.abc import Callable
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from apollo_common.errors import PermanentError
from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import PairBatch
from apollo_worker.core.line_fields import TAB_SEPARATED
from apollo_worker.core.text import join_pairs
from apollo_worker.output.json_escape import escape_column

Formatter = Callable[[PairBatch], bytes | memoryview]


def formatter(name: str, separator: bytes = TAB_SEPARATED.separator) -> Formatter:
    """The function that formats a batch, which must be a few MiB at most (see slices). PermanentError.

    `separator` stands between key and value of `text`.
    """
    formatters: dict[str, Formatter] = {
        "text": partial(join_pairs, separator=separator),
        "jsonl": _json_lines,
        "raw": _raw,
    }
    if name not in formatters:
        raise PermanentError(f"{name!r} is no output format: use {', '.join(formatters)}")
    return formatters[name]


def _json_lines(batch: PairBatch) -> bytes | memoryview:
    keys = binary_array(*escape_column(batch.key_offsets, batch.key_bytes))
    values = binary_array(*escape_column(batch.value_offsets, batch.value_bytes))
    lines = _joined(b'{"key":"', keys, b'","value":"', values, b'"}\n')
    # The quotes are ASCII, so a broken sequence ends with its string.
    return str(lines, "utf-8", "replace").encode()


def _raw(batch: PairBatch) -> memoryview:
    return batch.value_bytes[batch.value_offsets[0] : batch.value_offsets[-1]].data


def _joined(*parts: pa.Array | bytes) -> memoryview:
    """Columns and constants side by side, row after row."""
    scalars = [pa.scalar(part, pa.binary()) if isinstance(part, bytes) else part for part in parts]
    rows = pc.binary_join_element_wise(*scalars, pa.scalar(b"", pa.binary()))
    offsets, content = binary_columns(rows)
    return content[offsets[0] : offsets[-1]].data
