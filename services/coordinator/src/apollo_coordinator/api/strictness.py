"""What all models of requests share: strict types, JSON names in camel case, errors that say what to do."""

from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

STRICT: Final = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)
"""A number in quotes is no number, and a field that a model does not name is an error."""


MAX_SHOWN_CHARACTERS: Final = 80


def shortened(value: str) -> str:
    """For a message, in quotes; of values that are no secret, as the name of something is none."""
    return repr(value if len(value) <= MAX_SHOWN_CHARACTERS else f"{value[:MAX_SHOWN_CHARACTERS]}…")


class RequestModel(BaseModel):
    """The base of all that requests hold."""

    model_config = STRICT


def wrong(message: str, fix: str) -> PydanticCustomError:
    """For a validator to raise: what is wrong with the value, and what to do."""
    return PydanticCustomError("apollo", "{message}", {"message": message, "fix": fix})
