"""What reads each record format."""

from apollo_common.record_format import RecordFormat, RecordKind
from apollo_worker.input.csv_rows import CsvScanner
from apollo_worker.input.cutter import Extent, InputLimits, RecordCutter
from apollo_worker.input.delimiter import DelimiterScanner
from apollo_worker.input.hadoop_lines import HadoopLineScanner, KeyValueScanner, OffsetScanner
from apollo_worker.input.json_lines import JsonLineScanner
from apollo_worker.input.lines import LineCutter
from apollo_worker.input.scanned import ScannedCutter
from apollo_worker.input.scanner import Beginning, LookBack, Scanner
from apollo_worker.input.sized import FixedCutter, WholeCutter


def look_back(record_format: RecordFormat) -> LookBack | None:
    """For formats whose extents have to look at what is before them; None for all others."""
    if record_format.kind is RecordKind.CSV:
        return CsvScanner(record_format.separator)
    if record_format.kind is RecordKind.LINES and record_format.delimiter:
        delimited = DelimiterScanner(record_format.delimiter)
        return delimited if delimited.overlaps_itself else None
    return None


def make_cutter(
    record_format: RecordFormat, extent: Extent, limits: InputLimits, beginning: Beginning | None = None
) -> RecordCutter:
    """`beginning`: what looking back has found out, for an extent that does not start with its object."""
    if record_format.kind is RecordKind.WHOLE:
        return WholeCutter(extent, limits)
    if record_format.kind is RecordKind.FIXED:
        return FixedCutter(extent, limits, record_format.record_bytes)
    if record_format.kind is RecordKind.LINES and not record_format.delimiter:
        return LineCutter(extent, limits)
    return ScannedCutter(extent, limits, _scanner(record_format), beginning or _beginning(record_format, extent))


def _beginning(record_format: RecordFormat, extent: Extent) -> Beginning:
    """Without looking back: by what the extent before it reads of what lies between them."""
    if record_format.kind.of_hadoop:
        return Beginning(extent.start, at_record=extent.start == 0)
    parting_bytes = len(record_format.delimiter) or 1
    start = max(0, extent.start - parting_bytes)
    return Beginning(start, at_record=start == 0)


def _scanner(record_format: RecordFormat) -> Scanner:
    kind, delimiter = record_format.kind, record_format.delimiter
    if kind is RecordKind.CSV:
        return CsvScanner(record_format.separator)
    if kind is RecordKind.JSON_LINES:
        return JsonLineScanner()
    if not kind.of_hadoop:
        return DelimiterScanner(delimiter)
    lines = DelimiterScanner(delimiter, as_hadoop=True) if delimiter else HadoopLineScanner()
    if kind is RecordKind.HADOOP_OFFSET:
        return OffsetScanner(lines)
    return KeyValueScanner(lines) if kind is RecordKind.HADOOP_KEY_VALUE else lines
