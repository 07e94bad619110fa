"""What a coordinator refuses of a job, in the words in which the user gave it."""

from collections.abc import Iterable

from apollo_client.errors import FieldError
from apollo_client.hadoop.errors import HadoopUsage
from apollo_client.hadoop.jobconf import JobConf
from apollo_client.hadoop.keys import PARTITIONER_PROPERTIES, PROPERTY_OF

MAX_SHOWN_CHARACTERS = 80  # of a property's value

_GIVEN_BY = {
    **{field: (name,) for field, name in PROPERTY_OF.items()},
    "name": ("mapreduce.job.name",),
    "nReducers": ("mapreduce.job.reduces",),
    "partitioner": PARTITIONER_PROPERTIES,
}


def refused_properties(fields: Iterable[FieldError], conf: JobConf) -> HadoopUsage | None:
    """Names the properties behind the fields; None where none of the fields comes from a property."""
    told = []
    for error in fields:
        name = next((name for name in _GIVEN_BY.get(error.field, ()) if name in conf), None)
        if name is not None:
            told.append(error.sentences(f"-D {name}={_shortened(conf.get(name))}"))
    return HadoopUsage("\n".join(told)) if told else None


def _shortened(value: str) -> str:
    return value if len(value) <= MAX_SHOWN_CHARACTERS else f"{value[:MAX_SHOWN_CHARACTERS]}..."
