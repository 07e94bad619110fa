"""Real text to work on: source code and documentation that the machine has, in a fixed order.

All of it is UTF-8: some peers read nothing else.
"""

import itertools
import sysconfig
from collections.abc import Iterator
from pathlib import Path

FOLDERS = (Path(sysconfig.get_path("stdlib")), Path("/usr/include"), Path("/usr/share"), Path("/usr/lib/python3"))
SUFFIXES = frozenset({".py", ".h", ".hpp", ".c", ".txt", ".md", ".rst", ".html", ".pl", ".pm", ".el", ".sh"})


def write_corpus(path: Path, size_bytes: int) -> Path:
    """A file of exactly `size_bytes`; what the machine has is repeated if it is too little. Made once."""
    if path.exists() and path.stat().st_size == size_bytes:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    left = size_bytes
    with path.open("wb") as out:
        for source in itertools.chain.from_iterable(_sources() for _ in itertools.count()):
            try:
                text = source.read_bytes().decode()
            except (OSError, UnicodeDecodeError):  # what may not be read or is a dangling link
                continue
            left -= out.write(_cut(text, left))
            if left == 0:
                return path
    return path


def _sources() -> Iterator[Path]:
    for folder in FOLDERS:
        for source in sorted(folder.rglob("*")):
            if source.suffix in SUFFIXES and source.is_file():
                yield source


def _cut(text: str, size_bytes: int) -> bytes:
    """So many bytes at most; a character that would be cut becomes spaces."""
    content = text.encode()
    if len(content) <= size_bytes:
        return content
    return content[:size_bytes].decode(errors="ignore").encode().ljust(size_bytes)
