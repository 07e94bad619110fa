"""Failed attempts in words, each cause once: how many there were of it, and what the first of them said."""

from typing import Any

from apollo_client.cli.bad_records import preview
from apollo_client.cli.output import counted
from apollo_client.cli.wording import in_command_words

Group = dict[str, Any]


def cause_lines(group: Group) -> list[str]:
    """How many attempts failed in this way and why, and below it what its program wrote that is not in it already."""
    message = in_command_words(group["message"])
    told = [f"| {line}" for line in group["lines"] if line not in message]
    return [f"{how_many(group)} failed{' alike' if group['attempts'] > 1 else ''}: {message}", *told]


def how_many(group: Group) -> str:
    """`800 attempts of 200 tasks on 8 workers`."""
    if group["attempts"] == 1:
        return "1 attempt"
    return (
        f"{counted(group['attempts'], 'attempt')} of {counted(group['tasks'], 'task')} "
        f"on {counted(group['workers'], 'worker')}"
    )


def first_record(group: Group) -> str:
    """A record on which the program fails in this way, and where it is; empty as long as none is known."""
    record = group.get("firstRecord", {})
    if "preview" not in record:
        return ""
    return f"{preview(record['preview'])} at byte {record['offset']} of {record['input']}"


def first_split(group: Group) -> str:
    """Where the split of the first attempt begins, in which no record is known to be to blame; empty of a reduce."""
    record = group.get("firstRecord", {})
    if not record or "preview" in record:
        return ""
    return f"begins at byte {record['offset']} of {record['input']}"


def foremost(groups: list[Group]) -> list[Group]:
    """The causes that most attempts failed by, the most first."""
    return sorted(groups, key=lambda group: -group["attempts"])
