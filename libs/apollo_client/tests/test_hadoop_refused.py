"""What a coordinator refuses is told by the property that the user gave."""

import pytest

from apollo_client.errors import FieldError
from apollo_client.hadoop.jobconf import JobConf
from apollo_client.hadoop.refused import MAX_SHOWN_CHARACTERS, refused_properties

LONG = "x" * (MAX_SHOWN_CHARACTERS + 1)


@pytest.mark.parametrize(
    ("field", "given", "named"),
    [
        ("mapOutputSeparator", [("stream.map.output.field.separator", ",,")], "stream.map.output.field.separator=,,"),
        (
            "outputSeparator",
            [("mapred.textoutputformat.separator", "x")],
            "mapreduce.output.textoutputformat.separator=x",
        ),
        ("nReducers", [("mapred.reduce.tasks", "9999999")], "mapreduce.job.reduces=9999999"),
        ("partitioner", [("num.key.fields.for.partition", "0x")], "num.key.fields.for.partition=0x"),
        (
            "partitioner",
            [("mapred.text.key.partitioner.options", LONG)],
            f"mapreduce.partition.keypartitioner.options={LONG[:-1]}...",
        ),
    ],
)
def test_the_property_is_named_with_its_value(field: str, given: list[tuple[str, str]], named: str) -> None:
    refusal = refused_properties([FieldError(field, "This is wrong.", "Mend it.")], JobConf(given))

    assert str(refusal) == f"-D {named}: This is wrong. Mend it."


def test_every_property_is_told_on_a_line_of_its_own() -> None:
    conf = JobConf([("stream.num.map.output.key.fields", "0"), ("mapred.job.name", "n")])
    fields = [FieldError(name, "wrong") for name in ("mapOutputKeyFields", "inputPath", "name")]

    refusal = refused_properties(fields, conf)

    assert str(refusal) == "-D stream.num.map.output.key.fields=0: wrong.\n-D mapreduce.job.name=n: wrong."


@pytest.mark.parametrize("field", ["inputPath", "mapOutputSeparator"])
def test_a_field_that_no_property_gave_is_left_to_others(field: str) -> None:
    assert refused_properties([FieldError(field, "wrong")], JobConf()) is None
