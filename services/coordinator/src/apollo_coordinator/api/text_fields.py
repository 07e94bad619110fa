"""Fields of a job's body about lines of text: where they are cut into keys and values, and what joins those."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from apollo_coordinator.api.problem import FieldError
from apollo_coordinator.api.strictness import RequestModel, wrong
from apollo_coordinator.core.spec import TAB, ProgramRef, ProgramSource, TextFields

MAX_SEPARATOR_CHARACTERS = 32
MAX_KEY_FIELDS = 10_000


def _separator(value: str) -> str:
    if "\n" in value:
        raise wrong("A separator holds no line end", "Separate fields by something that is within a line.")
    return value


Separator = Annotated[str, Field(min_length=1, max_length=MAX_SEPARATOR_CHARACTERS), AfterValidator(_separator)]
KeyFields = Annotated[int, Field(ge=1, le=MAX_KEY_FIELDS)]


class TextBody(RequestModel):
    """What a job's body may say of lines. The reducer's fields are the combiner's, too."""

    map_output_separator: Annotated[
        Separator, Field(description="Ends the key in a line of a text mapper; a text or character of your choice")
    ] = TAB
    map_output_key_fields: Annotated[
        KeyFields, Field(description="So many fields of a text mapper's line are the key")
    ] = 1
    reduce_input_separator: Annotated[
        Separator, Field(description="Stands between key and value in the lines that a text reducer reads")
    ] = TAB
    reduce_output_separator: Annotated[Separator, Field(description="Ends the key in a line of a text reducer")] = TAB
    reduce_output_key_fields: Annotated[
        KeyFields, Field(description="So many fields of a text reducer's line are the key")
    ] = 1
    output_separator: Annotated[
        Separator, Field(description="Stands between key and value in parts of the format text")
    ] = TAB


def to_text_fields(body: TextBody) -> TextFields:
    return TextFields(
        map_output_separator=body.map_output_separator,
        map_output_key_fields=body.map_output_key_fields,
        reduce_input_separator=body.reduce_input_separator,
        reduce_output_separator=body.reduce_output_separator,
        reduce_output_key_fields=body.reduce_output_key_fields,
        output_separator=body.output_separator,
    )


def check_text_fields(
    fields: TextFields, mappers: Sequence[ProgramRef], reducers: Sequence[ProgramRef], output_format: str
) -> Iterator[FieldError]:
    """What is set though nothing heeds it. `reducers`: reducer and combiner, as far as there are."""
    reduce_lines = any(_speaks_text(program) for program in reducers)
    map_lines = any(_speaks_text(mapper) or mapper.source is ProgramSource.BUILTIN for mapper in mappers)
    sides = (
        ("mapOutputSeparator", fields.map_output_separator != TAB, map_lines, "mapper"),
        ("mapOutputKeyFields", fields.map_output_key_fields != 1, map_lines, "mapper"),
        ("reduceInputSeparator", fields.reduce_input_separator != TAB, reduce_lines, "reducer"),
        ("reduceOutputSeparator", fields.reduce_output_separator != TAB, reduce_lines, "reducer"),
        ("reduceOutputKeyFields", fields.reduce_output_key_fields != 1, reduce_lines, "reducer"),
    )
    for field, given, heeded, role in sides:
        if given and not heeded:
            message = f"This job has no {role} that speaks the text protocol, so nothing is cut out of lines."
            yield FieldError(field=field, message=message, fix="Leave it out.")
    if fields.output_separator != TAB and output_format != "text":
        message = f"Parts of the format {output_format} have no separators."
        yield FieldError(field="outputSeparator", message=message, fix="Leave it out, or set outputFormat to text.")


def _speaks_text(program: ProgramRef) -> bool:
    return program.source is not ProgramSource.BUILTIN and program.protocol == "text"
