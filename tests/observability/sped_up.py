"""The alerts and recording rules with shorter times, so that a test sees them fire: the same files, transformed.

A duration in square brackets (of a subquery too, whose step stays), a `for`, and a number that an `..._age_seconds`
gauge is compared with are divided. Nothing else differs.
"""

import re

import yaml

from observability.sources import Document

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RANGE = re.compile(r"\[(\d+)([smhd])(:?)\]")
_AGE = re.compile(r"(_age_seconds\)? > )(\d+)")


def sped_up(rule_file: str, factor: int) -> str:
    document: Document = yaml.safe_load(rule_file)
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = faster(rule["expr"], factor)
            if "for" in rule:
                rule["for"] = f"{_divided(rule['for'], factor)}s"
    return yaml.safe_dump(document)


def faster(expression: str, factor: int) -> str:
    expression = _RANGE.sub(lambda found: f"[{_divided(found[1] + found[2], factor)}s{found[3]}]", expression)
    return _AGE.sub(lambda found: f"{found[1]}{int(found[2]) // factor}", expression)


def _divided(duration: str, factor: int) -> int:
    seconds = int(duration[:-1]) * _SECONDS[duration[-1]]
    assert seconds % factor == 0, f"{duration} / {factor} is no whole second"
    return seconds // factor
