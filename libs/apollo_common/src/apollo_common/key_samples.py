"""Lists of keys in one blob: samples on their way to the coordinator, splitters on theirs to the workers.

Compressed: number of keys u32, their lengths u32, little-endian, then their bytes.
"""

import struct
import zlib
from collections.abc import Sequence
from itertools import accumulate, pairwise

MAX_KEY_BYTES = 1024
"""Of a key in a sample; a longer one is known by its beginning."""

SAMPLED_SPLITS = 16
SAMPLED_BYTES = 1 << 20
"""Of each of those splits, so much of the beginning is sampled."""

MAX_KEYS = 10_000
MAX_UNPACKED_BYTES = 2 << 20
"""Of a list: as many keys as a job may have reducers, and twice what their splitters or a sample come to."""


def pack_keys(keys: Sequence[bytes]) -> bytes:
    lengths = [len(key) for key in keys]
    return zlib.compress(struct.pack(f"<{len(keys) + 1}I", len(keys), *lengths) + b"".join(keys), 1)


def unpack_keys(blob: bytes) -> list[bytes]:
    """Nothing in nothing. ValueError for what is damaged or far larger than any such list."""
    if not blob:
        return []
    try:
        content = zlib.decompressobj().decompress(blob, MAX_UNPACKED_BYTES)
        (count,) = struct.unpack_from("<I", content)
        if count > MAX_KEYS:
            raise ValueError(f"a list of keys has {count} of them, more than {MAX_KEYS}")
        lengths = struct.unpack_from(f"<{count}I", content, 4)
    except (zlib.error, struct.error) as error:
        raise ValueError(f"this is no list of keys: {error}") from error
    bounds = list(accumulate(lengths, initial=4 * (count + 1)))
    if bounds[-1] != len(content):
        raise ValueError(f"a list of keys has {len(content)} bytes instead of {bounds[-1]}")
    return [content[start:stop] for start, stop in pairwise(bounds)]
