"""A body's inputs, each with its mapper and format, whichever of the two ways it names them."""

from collections.abc import Iterator
from dataclasses import dataclass

from apollo_common.record_format import parse_record_format
from apollo_coordinator.api.problem import FieldError
from apollo_coordinator.api.schemas import MAX_INPUT_PATHS, JobBody


@dataclass(frozen=True, slots=True)
class GivenInputs:
    """Paths that share a mapper and a format. The fields are where the body has them, for messages."""

    paths: list[str]
    mapper: str
    record_format: str
    path_field: str
    mapper_field: str
    format_field: str


def given_inputs(body: JobBody) -> list[GivenInputs]:
    """In the order of the body; at least one."""
    if body.input_path is not None:
        fields = ("inputPath", "mapperName", "inputFormat")
        return [GivenInputs(body.input_path, body.mapper_name or "", body.input_format, *fields)]
    return [
        GivenInputs(
            given.input_path,
            given.mapper_name or body.mapper_name or "",
            given.input_format or body.input_format,
            f"inputs.{number}.inputPath",
            f"inputs.{number}.mapperName" if given.mapper_name is not None else "mapperName",
            f"inputs.{number}.inputFormat" if given.input_format is not None else "inputFormat",
        )
        for number, given in enumerate(body.inputs)
    ]


def check_inputs(body: JobBody) -> Iterator[FieldError]:
    """What is wrong with them as a whole."""
    inputs = given_inputs(body)
    if sum(len(given.paths) for given in inputs) > MAX_INPUT_PATHS:
        message = f"These are more than {MAX_INPUT_PATHS} paths."
        yield FieldError(field="inputs", message=message, fix="Use patterns or folders.")
    for given in inputs:
        if given.mapper == "builtin:identity" and not parse_record_format(given.record_format).has_lines:
            fix = "Name a mapper program, or use the format lines or jsonl."
            yield FieldError(field=given.mapper_field, message="builtin:identity maps lines of text only.", fix=fix)
