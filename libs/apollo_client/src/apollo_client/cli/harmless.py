"""Text that programs and records have brought along, for a terminal: it is seen, and not obeyed."""

import codecs
from typing import TextIO


def harmless(text: str, kept: str = "\n\t") -> str:
    """What moves the cursor, sets colours or titles, or turns text around is escaped as in Python, but for `kept`."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in kept else repr(character)[1:-1] for character in text
    )


class ProgramOutput:
    """What a program wrote, on a stream of ours: byte for byte, but harmless on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.empty = True
        self._stream = stream
        # Pieces end in the midst of characters.
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace") if stream.isatty() else None

    def write(self, content: bytes) -> None:
        """And flush. OSError."""
        self.empty = False
        if self._decoder is not None:
            content = harmless(self._decoder.decode(content)).encode(self._stream.encoding, "backslashreplace")
        self._stream.buffer.write(content)
        self._stream.flush()
