"""Parts of a key as `sort` and Hadoop's KeyFieldBased classes name them: `-k1,1 -k2.3,2.5nr`.

    -k FIRST[.BYTE][n][r][,LAST[.BYTE][n][r]]

From byte BYTE (default 1) of field FIRST to byte BYTE (default: the last) of field LAST (default: the key's end);
fields and bytes count from 1. `n` compares as decimal numbers, `r` turns the order round. `-n`, `-r` and `-nr` by
themselves hold for every part that has neither; without any `-k` for the whole key.
"""

import re
from dataclasses import dataclass, replace

MAX_PARTS = 16
MAX_NUMBER = 10_000  # of fields and bytes
_POSITION = r"([0-9]{1,9})(?:\.([0-9]{1,9}))?([nr]*)"
_PART = re.compile(rf"{_POSITION}(?:,{_POSITION})?")
_FLAGS = re.compile(r"-[nr]{1,2}")


@dataclass(frozen=True, slots=True)
class KeyPart:
    """Fields and bytes count from 1."""

    first_field: int = 1
    first_byte: int = 1
    last_field: int = 0  # 0: the part goes on to the key's end
    last_byte: int = 0  # 0: the field's last one
    numeric: bool = False
    reverse: bool = False
    there_if_empty: bool = False  # at the key's end, too, where Hadoop holds an empty part for missing

    def __str__(self) -> str:
        """As it is written behind `-k`."""
        first = f"{self.first_field}" + (f".{self.first_byte}" if self.first_byte > 1 else "")
        last = f",{self.last_field}" + (f".{self.last_byte}" if self.last_byte else "") if self.last_field else ""
        return f"{first}{last}{'n' * self.numeric}{'r' * self.reverse}"

    def within(self, fields: int) -> bool:
        """Whether it is made of whole fields among the first `fields` ones."""
        return self.first_byte == 1 and self.last_byte == 0 and 1 <= self.last_field <= fields


def parse_key_parts(options: str) -> tuple[KeyPart, ...]:
    """At least one part. ValueError with a sentence for the user."""
    words = options.split()
    parts: list[KeyPart] = []
    flags = ""
    while words:
        word = words.pop(0)
        if word == "-k" and words:
            parts.append(_part(words.pop(0)))
        elif word.startswith("-k"):
            parts.append(_part(word.removeprefix("-k")))
        elif _FLAGS.fullmatch(word):
            flags += word
        else:
            raise ValueError(f"{word[:40]!r} is none of -k, -n, -r and -nr; write parts of a key such as -k1,1 -k2,2nr")
    if len(parts) > MAX_PARTS:
        raise ValueError(f"these are {len(parts)} parts, more than {MAX_PARTS}")
    if not parts and not flags:
        raise ValueError("no part of the key is named; write parts such as -k1,1 -k2,2nr")
    common = KeyPart(numeric="n" in flags, reverse="r" in flags)
    return tuple(
        part if part.numeric or part.reverse else replace(part, numeric=common.numeric, reverse=common.reverse)
        for part in parts or (common,)
    )


def keeping_groups(parts: tuple[KeyPart, ...], fields: int) -> tuple[KeyPart, ...]:
    """The same order, but keys whose first `fields` fields agree stay side by side, whatever else is compared.

    Without parts it is the order of these fields: that of whole keys puts `a b,1` between `a` and `a,1`. Numbers may
    be equal and written differently: their bytes are compared next. An empty field is there wherever it is: its group
    has keys that end with it, and others. ValueError when the order does not begin with these fields.
    """
    covered: set[int] = set()
    parts = parts or (KeyPart(last_field=fields),)
    for count, part in enumerate(parts, 1):
        if not part.within(fields):
            break
        covered |= set(range(part.first_field, part.last_field + 1))
        if len(covered) == fields:
            first, others = parts[:count], parts[count:]
            if any(part.numeric for part in first):
                first = (*first, KeyPart(last_field=fields))
            return (*(replace(part, there_if_empty=True) for part in first), *others)
    raise ValueError(
        f"keys of one group would not come side by side: the order does not begin with fields 1 to {fields}"
    )


def order_for_groups(parts: tuple[KeyPart, ...], fields: int) -> str:
    """Options for the nearest order to that of `parts` that keeps groups of the first `fields` fields together.

    Parts within these fields come first, then the fields that none of them has, then the other parts.
    """
    within = [part for part in parts if part.within(fields)]
    others = [part for part in parts if not part.within(fields)]
    covered = {field for part in within for field in range(part.first_field, part.last_field + 1)}
    missing = sorted(set(range(1, fields + 1)) - covered)
    starts = [field for field in missing if field - 1 not in missing]
    ends = [field for field in missing if field + 1 not in missing]
    runs = [KeyPart(first, last_field=last) for first, last in zip(starts, ends, strict=True)]
    return " ".join(f"-k{part}" for part in (*within, *runs, *others))


def _part(text: str) -> KeyPart:
    match = _PART.fullmatch(text)
    if match is None:
        raise ValueError(
            f"-k{text[:40]} is no part of a key; write -kFIELD[.BYTE],FIELD[.BYTE] with n or r, as in -k2,2nr"
        )
    first_field, first_byte, first_flags, last_field, last_byte, last_flags = match.groups()
    numbers = [int(number) for number in (first_field, first_byte, last_field) if number is not None]
    if not all(1 <= number <= MAX_NUMBER for number in numbers) or int(last_byte or 0) > MAX_NUMBER:
        raise ValueError(f"-k{text[:40]}: fields and bytes count from 1 to {MAX_NUMBER}")
    flags = first_flags + (last_flags or "")
    part = KeyPart(
        int(first_field),
        int(first_byte or 1),
        int(last_field or 0),
        int(last_byte or 0),
        numeric="n" in flags,
        reverse="r" in flags,
    )
    if part.last_field and (part.last_field, part.last_byte or MAX_NUMBER) < (part.first_field, part.first_byte):
        raise ValueError(f"-k{text[:40]} ends before it begins; write the smaller field first")
    return part
