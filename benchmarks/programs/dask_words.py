"""Word count with a bag of Dask: PROCESSES SOURCE TARGET."""

import sys
from pathlib import Path

import dask
import dask.bag

BLOCK_BYTES = 16 << 20

if __name__ == "__main__":
    processes, source, target = sys.argv[1:]
    with dask.config.set(scheduler="processes", num_workers=int(processes)):
        lines = dask.bag.read_text(source, blocksize=BLOCK_BYTES, encoding="utf-8")
        counts = lines.map(str.encode).map(bytes.split).flatten().frequencies()
        Path(target).mkdir()
        counts.map(lambda pair: f"{pair[0].decode()}\t{pair[1]}").to_textfiles(f"{target}/part-*", last_endline=True)
