"""The pictures of the web page that the docs show: `./dev screenshots` makes them anew, of jobs that really run.

python -m browser.pictures [DIRECTORY]
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apollo_client.rest import RestClient
from browser.jobs import Desk
from support.apollo_cli import REPOSITORY
from support.chromium import Browser, chromium
from support.coordinator_process import CoordinatorProcess

IMAGES = REPOSITORY / "docs/images"
WORKERS = 4
MAX_PNG_BYTES = 150_000

_NUMBERS = b"".join(b"%d\n" % number for number in range(20_000))
_WORDS = "shell:tr -s ' ' '\\n'; if [ $APOLLO_PARTITION$APOLLO_ATTEMPT = 90 ]; then sleep 60; else sleep 0.3; fi"
_ORDERS = """#!/usr/bin/env python3
import sys

def price(order):
    if order.endswith("9999"):
        raise ValueError(f"no such price: {order}")
    return int(order) % 100

for line in sys.stdin:
    print(price(line.strip()), 1, sep="\\t")
"""


@dataclass(frozen=True)
class Picture:
    """`view`: the page's, with the name of a job in braces. `shows`: what has to be read there."""

    name: str
    view: str
    shows: tuple[str, ...]
    dark: bool = False
    width: int = 1040
    height: int = 1000  # px at most


PICTURES = (
    Picture("jobs", "", ("word count", "nightly prices", "all orders", "succeeded", "failed", "running"), height=400),
    Picture(
        "job",
        "jobs/{word count}",
        ("word count", "succeeded", "backup attempt", "far slower than usual", "What held it up"),
        height=1000,
    ),
    Picture(
        "failures",
        "jobs/{nightly prices}",
        ("The job failed.", "ValueError: no such price", "First record", "failed"),
        height=900,
    ),
    Picture("bad-records", "jobs/{all orders}", ("Bad records", "19999", "What held it up"), height=1000),
    Picture("dark", "jobs/{word count}", ("word count", "succeeded", "Far slower than usual"), dark=True, height=640),
    Picture("telephone", "", ("word count", "nightly prices"), width=360, height=480),
)


def run_jobs(desk: Desk) -> dict[str, str]:
    """Jobs as the pictures want them, and one that goes on: their ids by name."""
    program = desk.directory / "orders.py"
    program.write_text(_ORDERS)
    asyncio.run(_upload(desk.coordinator.url, program))
    jobs = {}

    def run(name: str, mapper: str, split_size: str, **fields: Any) -> None:
        given = {"input_name": f"{name.replace(' ', '-')}.txt", "splitSize": split_size} | fields
        jobs[name] = desk.submit(name, mapper, _NUMBERS, **given)
        desk.ended(jobs[name])

    run("warm up", "shell:cat", "32KiB")
    run("word count", _WORDS, "8KiB", nReducers=3)
    run("nightly prices", program.name, "8KiB")
    run("all orders", program.name, "64KiB", maxBadRecords=20)
    jobs["weekly report"], _ = desk.held("weekly report")
    return jobs


async def _upload(url: str, program: Path) -> None:
    async with RestClient(url) as rest:
        await rest.upload(program)


def take(browser: Browser, desk: Desk, jobs: dict[str, str], picture: Picture, directory: Path) -> Path:
    """The picture's file, once the page shows what it has to."""
    view = picture.view
    for name, job in jobs.items():
        view = view.replace(f"{{{name}}}", job)
    browser.look(width=picture.width, dark=picture.dark)
    browser.open(desk.at(view))
    for words in picture.shows:
        browser.shows(words)
    if picture.view:
        browser.shows("map", ".legend")  # the timeline is drawn
    file = directory / f"web-{picture.name}.png"
    browser.picture(file, width=picture.width, dark=picture.dark, most_px=picture.height)
    return file


def main(directory: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="apollo-") as scratch,
        chromium() as browser,
        CoordinatorProcess(Path(scratch) / "site", {}, workers=WORKERS) as coordinator,
    ):
        desk = Desk(coordinator, Path(scratch))
        jobs = run_jobs(desk)
        for picture in PICTURES:
            take(browser, desk, jobs, picture, directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
