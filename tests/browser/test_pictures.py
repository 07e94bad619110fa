"""The docs' pictures of the web page can be made anew, and show what they say they do."""

import re
import struct

import pytest

from browser.pictures import IMAGES, MAX_PNG_BYTES, PICTURES, run_jobs, take
from support.apollo_cli import REPOSITORY

PAGE = REPOSITORY / "docs/web-page.md"


def size_px(png):
    """Width and height, as its header (IHDR) has them."""
    header = png.read_bytes()[:24]
    assert header.startswith(b"\x89PNG\r\n")
    return struct.unpack(">II", header[16:])


@pytest.mark.timeout(180)  # five jobs, one of them slow on purpose
def test_every_picture_shows_what_it_did(browser, desk, tmp_path):
    jobs = run_jobs(desk)
    for picture in PICTURES:
        taken = take(browser, desk, jobs, picture, tmp_path)
        assert size_px(taken) == size_px(IMAGES / taken.name)


def test_the_docs_show_every_picture():
    shown = re.findall(r"!\[[^\]]+\]\(images/(web-[^)]*)\)", PAGE.read_text())
    assert sorted(shown) == sorted(f"web-{picture.name}.png" for picture in PICTURES)
    assert sorted(shown) == sorted(file.name for file in IMAGES.glob("web-*.png"))
    assert [name for name in shown if (IMAGES / name).stat().st_size > MAX_PNG_BYTES] == []
