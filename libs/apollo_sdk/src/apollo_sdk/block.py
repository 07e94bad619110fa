"""A block of whole input records, as it arrives."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, repeat


class Block:
    r"""`count` records of one input object, in order.

    Lines (`lengths` is None): each record in `data` ends with one `\n`. Otherwise `data` holds the records back to
    back and `lengths` cuts them. `offset` is the byte offset of the first record in the (decompressed) object;
    `exact_offsets` is false when later ones cannot be counted from it, because `\r\n` was replaced.
    """

    __slots__ = ("count", "data", "exact_offsets", "input", "lengths", "offset")

    def __init__(
        self,
        data: bytes,
        count: int,
        offset: int = 0,
        input: str = "",  # noqa: A002  # as in the context
        lengths: Sequence[int] | None = None,
        *,
        exact_offsets: bool = True,
    ) -> None:
        self.data = data
        self.count = count
        self.offset = offset
        self.input = input
        self.lengths = lengths
        self.exact_offsets = exact_offsets

    def records(self) -> list[bytes]:
        """The records, without line ends."""
        if self.lengths is None:
            records = self.data.split(b"\n")
            records.pop()
            return records
        return [
            self.data[end - length : end] for end, length in zip(accumulate(self.lengths), self.lengths, strict=True)
        ]

    def offsets(self) -> Iterable[int | None]:
        """Each record's byte offset in the object; None where it is not known."""
        if not self.count:
            return ()
        if not self.exact_offsets:
            return chain((self.offset,), repeat(None, self.count - 1))
        lengths = self.lengths
        if lengths is None:
            lengths = [len(record) + 1 for record in self.records()]
        return accumulate(lengths[:-1], initial=self.offset)
