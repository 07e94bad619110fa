"""`python -m boards DIRECTORY` (./dev gen does it): every dashboard, as a file that Grafana provisions."""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from boards import coordinator, job_flow, overview, workers

BOARDS = (overview.board, job_flow.board, workers.board, coordinator.board)


def write(directory: Path) -> None:
    for make in BOARDS:
        board = make()
        content = json.dumps(board, cls=JSONEncoder, indent=2, ensure_ascii=False)
        (directory / f"{board.uid}.json").write_text(f"{content}\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
