"""How lines and pairs become each other; light to import, since a worker knows it before it serves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LineFields:
    """How a line becomes a pair: its first `key_fields` fields are the key, what follows their separator the value."""

    separator: bytes = b"\t"
    key_fields: int = 1


TAB_SEPARATED = LineFields()
