"""Where the cases' files are."""

import shutil
from pathlib import Path

HERE = Path(__file__).parent
EXPECTED = HERE / "expected"


def copy_inputs(directory: Path) -> None:
    """`jobs` and `input`, as every case finds them."""
    for name in ("jobs", "input"):
        shutil.copytree(HERE / name, directory / name)
