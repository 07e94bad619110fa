"""What a job's mapper reads: Hadoop's input formats, as formats of Apollo's.

Source: TextInputFormat, KeyValueTextInputFormat, CombineTextInputFormat and PipeMapper of Hadoop 3.4.2.
"""

from apollo_client.hadoop.arguments import StreamingArguments
from apollo_client.hadoop.errors import HadoopUsage, UnsupportedOption
from apollo_client.hadoop.jobconf import JobConf
from apollo_client.hadoop.line_splits import NAME as LINES_TO_TASKS
from apollo_client.hadoop.names import IGNORE_KEY, RECORD_DELIMITER
from apollo_common.record_format import MAX_DELIMITER_BYTES

LAID_ASIDE = "lines"
"""Of files that `line_splits` has written."""

KEY_VALUE = "hadoop-keyvalue"

_TEXT = {"", "TextInputFormat", "org.apache.hadoop.mapred.TextInputFormat"}
_KEY_VALUE = {"KeyValueTextInputFormat", "org.apache.hadoop.mapred.KeyValueTextInputFormat"}
_MANY_FILES = "org.apache.hadoop.mapred.lib.CombineTextInputFormat"
_KEY_SEPARATOR = "mapreduce.input.keyvaluelinerecordreader.key.value.separator"


def record_format(given: StreamingArguments) -> str:
    """The job's `inputFormat`. HadoopUsage, UnsupportedOption."""
    conf = given.conf
    if given.input_format == LINES_TO_TASKS:
        return LAID_ASIDE
    if given.input_format in _KEY_VALUE:
        return _key_value(conf)
    if given.input_format not in _TEXT and not packs_files(given):
        why = f"Apollo has Hadoop's TextInputFormat, KeyValueTextInputFormat, {_MANY_FILES} and {LINES_TO_TASKS}"
        raise UnsupportedOption(f"-inputformat {given.input_format}", why)
    kind = "hadoop-text" if conf.flag(IGNORE_KEY, default=not packs_files(given)) else "hadoop-offset"
    return f"{kind}:{_delimiter(conf)}" if RECORD_DELIMITER in conf else kind


def packs_files(given: StreamingArguments) -> bool:
    """Whether a map task reads as many files as there is room for in a split."""
    return given.input_format == _MANY_FILES


def _key_value(conf: JobConf) -> str:
    """Hadoop's class heeds no delimiter of records."""
    if conf.flag(IGNORE_KEY, default=False):
        raise UnsupportedOption(f"-D {IGNORE_KEY}=true", "KeyValueTextInputFormat gives mappers whole lines here")
    separator = conf.get(_KEY_SEPARATOR, "\t")
    if separator[:1] != "\t":  # Hadoop takes the first character
        raise UnsupportedOption(f"-D {_KEY_SEPARATOR}={separator}", "Apollo's KeyValueTextInputFormat knows tabs only")
    return KEY_VALUE


def _delimiter(conf: JobConf) -> str:
    """As an `inputFormat` spells it."""
    delimiter = conf.get(RECORD_DELIMITER)
    if len(delimiter.encode()) > MAX_DELIMITER_BYTES:
        raise HadoopUsage(f"-D {RECORD_DELIMITER}={delimiter}: name a text of 1 to {MAX_DELIMITER_BYTES} bytes")
    return delimiter.replace("\\", "\\\\")
