"""The protocol's test vectors: bytes written by hand, so that no codec judges itself."""

import json
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parents[2] / "docs/artifact-protocol/vectors.json"


def vectors(sender: str) -> list[dict[str, Any]]:
    """Those that a `worker` or a `program` sends, each with its `bytes`; the bad ones have meaning.error."""
    documents = json.loads(_FILE.read_text())
    return [
        document | {"bytes": bytes.fromhex("".join(document["hex"]))}
        for document in documents
        if document["from"] == sender
    ]


def good(sender: str) -> list[dict[str, Any]]:
    return [vector for vector in vectors(sender) if "error" not in vector["meaning"]]
