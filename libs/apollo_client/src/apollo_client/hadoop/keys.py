"""Fields, order and partitions of keys: what Hadoop's properties and classes for them are in a job of Apollo's."""

from typing import Any

from apollo_client.hadoop.arguments import StreamingArguments
from apollo_client.hadoop.errors import HadoopUsage, UnsupportedOption
from apollo_client.hadoop.jobconf import JobConf
from apollo_client.hadoop.names import KEY_COMPARATOR, KEY_FIELD_COMPARATORS
from apollo_common.key_parts import parse_key_parts

TAB = "\t"

PROPERTY_OF = {
    "keySeparator": "mapreduce.map.output.key.field.separator",
    "mapOutputSeparator": "stream.map.output.field.separator",
    "mapOutputKeyFields": "stream.num.map.output.key.fields",
    "reduceInputSeparator": "stream.reduce.input.field.separator",
    "reduceOutputSeparator": "stream.reduce.output.field.separator",
    "reduceOutputKeyFields": "stream.num.reduce.output.key.fields",
    "outputSeparator": "mapreduce.output.textoutputformat.separator",
    "keyOrder": "mapreduce.partition.keycomparator.options",
}
"""Fields of a job's body that are the value of one property each."""

_HASH = {
    "",
    "HashPartitioner",
    "org.apache.hadoop.mapred.lib.HashPartitioner",
    "org.apache.hadoop.mapreduce.lib.partition.HashPartitioner",
}
_KEY_FIELDS = {
    "KeyFieldBasedPartitioner",
    "org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner",
    "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedPartitioner",
}
_PARTITIONER_OPTIONS = "mapreduce.partition.keypartitioner.options"
_COMPARATOR_OPTIONS = PROPERTY_OF["keyOrder"]
_PARTITION_FIELDS = "num.key.fields.for.partition"
PARTITIONER_PROPERTIES = (_PARTITION_FIELDS, _PARTITIONER_OPTIONS)
"""The first that is given counts."""
_WHOLE_KEY = "-k1"


def map_fields(conf: JobConf) -> dict[str, Any]:
    """How lines of the mapper are cut. HadoopUsage."""
    return {
        "mapOutputSeparator": _separator(conf, "mapOutputSeparator"),
        "mapOutputKeyFields": _fields(conf, PROPERTY_OF["mapOutputKeyFields"]),
    }


def reduce_fields(conf: JobConf) -> dict[str, Any]:
    """What the reducer's lines, and the combiner's, are joined by and cut at. HadoopUsage."""
    return {
        "reduceInputSeparator": _separator(conf, "reduceInputSeparator"),
        "reduceOutputSeparator": _separator(conf, "reduceOutputSeparator"),
        "reduceOutputKeyFields": _fields(conf, PROPERTY_OF["reduceOutputKeyFields"]),
    }


def output_separator(conf: JobConf) -> str:
    """HadoopUsage."""
    return _separator(conf, "outputSeparator")


def keeps_lines(conf: JobConf) -> bool:
    """Whether a reducer that copies its lines copies its pairs, too, as far as the parts show. HadoopUsage."""
    fields = reduce_fields(conf)
    separators = {fields["reduceInputSeparator"], fields["reduceOutputSeparator"], output_separator(conf)}
    return len(separators) == 1 and fields["reduceOutputKeyFields"] == 1


def keeps_pairs(conf: JobConf) -> bool:
    """Whether a combiner that copies its lines copies its pairs. HadoopUsage."""
    return set((map_fields(conf) | reduce_fields(conf)).values()) == {TAB, 1}


def key_rules(given: StreamingArguments, reducers: int) -> dict[str, Any]:
    """Partitioner, order and separator of keys. HadoopUsage, UnsupportedOption."""
    conf = given.conf
    rules = {"keySeparator": _separator(conf, "keySeparator")}
    if given.partitioner in _KEY_FIELDS:
        rules["partitioner"] = f"keyfields:{_partitioner_options(conf)}"
    elif given.partitioner in _HASH or reducers <= 1:
        rules["partitioner"] = "hadoop"
    else:
        why = "Apollo has Hadoop's HashPartitioner and KeyFieldBasedPartitioner; with one reducer any will do"
        raise UnsupportedOption(f"-partitioner {given.partitioner}", why)
    if reducers and conf.get(KEY_COMPARATOR) in KEY_FIELD_COMPARATORS and conf.get(_COMPARATOR_OPTIONS).strip():
        rules["keyOrder"] = _options(conf, _COMPARATOR_OPTIONS)
    return rules


def _partitioner_options(conf: JobConf) -> str:
    if _PARTITION_FIELDS in conf:
        return f"-k1,{_fields(conf, _PARTITION_FIELDS)}"
    return _options(conf, _PARTITIONER_OPTIONS) if conf.get(_PARTITIONER_OPTIONS).strip() else _WHOLE_KEY


def _options(conf: JobConf, name: str) -> str:
    options = conf.get(name)
    try:
        parse_key_parts(options)
    except ValueError as error:
        raise HadoopUsage(f"-D {name}={options}: {error}") from None
    return options


def _separator(conf: JobConf, field: str) -> str:
    name = PROPERTY_OF[field]
    separator = conf.get(name, TAB)
    if "\n" in separator:
        raise HadoopUsage(f"-D {name}={separator}: name a text without line ends")
    return separator


def _fields(conf: JobConf, name: str) -> int:
    return max(1, conf.number(name, 1))
