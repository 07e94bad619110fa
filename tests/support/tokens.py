"""People with tokens, as an operator writes them into a tokens file."""

import hashlib
from pathlib import Path

TOKENS = {
    "vera": ("viewer", "vera-token-Zk3"),
    "alice": ("submitter", "alice-token-7Qp"),
    "bob": ("submitter", "bob-token-x0L"),
    "root": ("admin", "root-token-9uW"),
}


def tokens_file(path: Path) -> Path:
    lines = [f"{name} {role} sha256:{sha256(token)}\n" for name, (role, token) in TOKENS.items()]
    path.write_text("".join(lines))
    path.chmod(0o600)
    return path


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def bearer(user: str) -> dict[str, str]:
    """Headers of a call by one of them."""
    return {"Authorization": f"Bearer {TOKENS[user][1]}"}
