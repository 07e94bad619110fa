"""Fields of a job's body about keys: which partition they go to, in which order they come, and which are one group."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from apollo_common.key_parts import keeping_groups, order_for_groups, parse_key_parts
from apollo_coordinator.api.problem import FieldError
from apollo_coordinator.api.strictness import RequestModel, shortened, wrong
from apollo_coordinator.api.text_fields import MAX_KEY_FIELDS, Separator
from apollo_coordinator.core.spec import KeyRules

MAX_OPTIONS_CHARACTERS = 1000

_FIELDS = re.compile(r"field:([1-9][0-9]{0,3}|10000)")
_KEY_FIELDS = "keyfields:"
_PARTITIONERS = "hash, field:N, hadoop, keyfields:OPTIONS or range"


def _partitioner(value: str) -> str:
    if value in ("hash", "hadoop", "range") or _FIELDS.fullmatch(value):
        return value
    if value.startswith(_KEY_FIELDS):
        _key_parts(value.removeprefix(_KEY_FIELDS))
        return value
    raise wrong(f"There is no partitioner {shortened(value)}", f"Use {_PARTITIONERS}, with N from 1 to 10000.")


def _key_parts(value: str) -> str:
    try:
        parse_key_parts(value)
    except ValueError as error:
        raise wrong(str(error), "Name parts of the key as sort does.") from None
    return value


KeyOptions = Annotated[str, Field(max_length=MAX_OPTIONS_CHARACTERS), AfterValidator(_key_parts)]


class KeyBody(RequestModel):
    """What a job's body may say of keys."""

    partitioner: Annotated[
        str, Field(max_length=MAX_OPTIONS_CHARACTERS, description=_PARTITIONERS), AfterValidator(_partitioner)
    ] = "hash"
    key_separator: Annotated[
        Separator | None, Field(description="What separates the fields of a key; by default mapOutputSeparator")
    ] = None
    key_order: Annotated[
        KeyOptions | None, Field(description="Parts of the key as sort names them, such as -k1,1 -k2,2nr")
    ] = None
    group_key_fields: Annotated[
        int, Field(ge=0, le=MAX_KEY_FIELDS, description="Keys whose first fields agree are one group; 0: equal keys")
    ] = 0


def to_key_rules(body: KeyBody, separator: str) -> KeyRules:
    """`separator` is the one of a mapper's lines."""
    return KeyRules(body.key_separator or separator, body.key_order or "", body.group_key_fields)


def check_key_fields(body: KeyBody, *, reducers: int, reducer_name: str) -> Iterator[FieldError]:
    """What makes no sense together; `reducer_name` is empty for a job without."""
    for field, given in (("keyOrder", body.key_order is not None), ("groupKeyFields", body.group_key_fields > 0)):
        if given and reducers == 0:
            message = "A job with nReducers 0 neither sorts nor groups."
            yield FieldError(field=field, message=message, fix="Leave it out, or ask for one reducer or more.")
    fields = body.group_key_fields
    if not fields or not reducers:
        return
    if reducer_name.startswith("builtin:"):
        message = f"{reducer_name} works on equal keys."
        yield FieldError(field="groupKeyFields", message=message, fix="Leave it out, or use a program as the reducer.")
    if reducers > 1 and not _keeps_together(body.partitioner, fields):
        message = f"The partitioner {body.partitioner} may send keys of one group to several reducers."
        fix = f"Partition by no more than the group's fields: field:{fields} does."
        yield FieldError(field="partitioner", message=message, fix=fix)
    if body.key_order is not None:
        parts = parse_key_parts(body.key_order)
        try:
            keeping_groups(parts, fields)
        except ValueError as error:
            order = order_for_groups(parts, fields)
            fix = f"Let the order begin with the group's fields, as in {order}."
            yield FieldError(field="keyOrder", message=f"{error}.", fix=fix)


def _keeps_together(partitioner: str, fields: int) -> bool:
    if match := _FIELDS.fullmatch(partitioner):
        return int(match[1]) <= fields
    if not partitioner.startswith(_KEY_FIELDS):
        return False
    parts = parse_key_parts(partitioner.removeprefix(_KEY_FIELDS))
    return all(part.within(fields) for part in parts)
