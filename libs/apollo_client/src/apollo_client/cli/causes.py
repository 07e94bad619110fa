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
    """Where the first attempt failed, as far as that is known; empty of what reads no input."""
    record = group.get("firstRecord")
    if not record:
        return ""
    if "preview" in record:
        return f"{preview(record['preview'])} at byte {record['offset']} of {record['input']}"
    return f"after byte {record['offset']} of {record['input']}"


def foremost(groups: list[Group]) -> list[Group]:
    """The causes that most attempts failed by, the most first."""
    return sorted(groups, key=lambda group: -group["attempts"])
