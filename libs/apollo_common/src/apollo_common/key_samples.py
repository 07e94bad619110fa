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


def pack_keys(keys: Sequence[bytes]) -> bytes:
    lengths = [len(key) for key in keys]
    return zlib.compress(struct.pack(f"<{len(keys) + 1}I", len(keys), *lengths) + b"".join(keys), 1)


def unpack_keys(blob: bytes) -> list[bytes]:
    """Nothing in nothing."""
    if not blob:
        return []
    content = zlib.decompress(blob)
    (count,) = struct.unpack_from("<I", content)
    lengths = struct.unpack_from(f"<{count}I", content, 4)
    bounds = accumulate(lengths, initial=4 * (count + 1))
    return [content[start:stop] for start, stop in pairwise(bounds)]
