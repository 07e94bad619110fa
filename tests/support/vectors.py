"""The protocol's test vectors: bytes written by hand, so that no codec judges itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "docs/artifact-protocol/vectors.txt"


def vectors(sender: str) -> list[dict[str, Any]]:
    """Those that a `worker` or a `program` sends: `name`, `bytes`, `first`, `meaning`, and `type` of the good ones.

    What stands in hexadecimal in the file is so in the meaning. The bad ones have meaning["error"].
    """
    blocks = FILE.read_text().split("\n\n")[1:]
    found = [_vector(block.splitlines()) for block in blocks]
    return [vector for vector in found if vector["from"] == sender]


def good(sender: str) -> list[dict[str, Any]]:
    return [vector for vector in vectors(sender) if "error" not in vector["meaning"]]


def bad(sender: str) -> list[dict[str, Any]]:
    return [vector for vector in vectors(sender) if "error" in vector["meaning"]]


def _hex(text: str) -> str:
    return "" if text == "-" else text


def _is_true(text: str) -> bool:
    return text == "true"


_ABOUT: dict[str, Callable[[str], Any]] = {"vector": str, "from": str, "type": str, "first": _is_true}
_SINGLE: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("version", "max_body_bytes", "offset", "increment", "taken"), int),
    **dict.fromkeys(("url", "message", "content", "error", "why", "counter_group", "counter_name"), str),
    **dict.fromkeys(("exact_offsets", "continues"), _is_true),
}


def _vector(lines: list[str]) -> dict[str, Any]:
    meaning: dict[str, Any] = {}
    vector: dict[str, Any] = {"bytes": b"", "first": False, "meaning": meaning}
    for line in lines:
        word, _, text = line.partition(" ")
        if word == "hex":
            vector["bytes"] += bytes.fromhex(text)
        elif word in _ABOUT:
            vector[word] = _ABOUT[word](text)
        elif word in _SINGLE:
            meaning[word.removeprefix("counter_")] = _SINGLE[word](text)
        else:
            _collect(meaning, word, text)
    vector["name"] = vector.pop("vector")
    return vector


def _collect(meaning: dict[str, Any], word: str, text: str) -> None:
    """A word that a vector may have several times."""
    match word:
        case "setting":
            key, _, value = text.partition(" ")
            meaning.setdefault("settings", {})[key] = value
        case "record":
            meaning.setdefault("records", []).append(_hex(text))
        case "group":
            meaning.setdefault("groups", []).append([_hex(text), []])
        case "value":
            meaning["groups"][-1][1].append(_hex(text))
        case "pairs":  # how many there are, which may be none
            meaning["pairs"] = []
        case "pair":
            meaning["pairs"].append([_hex(item) for item in text.split(" ")])
        case _:
            raise ValueError(f"{FILE} has the unknown word {word}")
