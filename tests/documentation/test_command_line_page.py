"""docs/command-line.md says which field of the API each option stands for."""

import re

from apollo_client.cli.joboptions import FLAG_OF
from apollo_client.cli.submit import submit
from support.apollo_cli import REPOSITORY

ROW = re.compile(r"^\| (`--.*?) \| (`.*?) \|$", re.MULTILINE)


def test_every_option_that_help_shows_is_there_with_its_field() -> None:
    hidden = {option.opts[0] for option in submit.params if getattr(option, "hidden", False)}
    told: dict[str, str] = {}
    for options, fields in ROW.findall((REPOSITORY / "docs/command-line.md").read_text()):
        flags = [flag for flag in re.findall(r"`(--[a-z-]+)`", options) if not flag.startswith("--no-")]
        told |= dict(zip(re.findall(r"`(\w+)`", fields), flags, strict=True))
    assert told == {field: flag for field, flag in FLAG_OF.items() if flag not in hidden}
