"""What each property of a job means to Apollo, by its new name.

Source: mapred-default.xml of Hadoop 3.4.2.
"""

import re
from collections.abc import Collection

from apollo_client.hadoop.renamed import RENAMED

IGNORE_KEY = "stream.map.input.ignoreKey"
PARTITIONER_CLASS = "mapred.partitioner.class"
RECORD_DELIMITER = "textinputformat.record.delimiter"

USED = frozenset(
    {
        "dfs.blocksize",
        "fs.defaultFS",
        "mapreduce.input.fileinputformat.input.dir.recursive",
        "mapreduce.input.fileinputformat.split.maxsize",
        "mapreduce.input.fileinputformat.split.minsize",
        "mapreduce.input.lineinputformat.linespermap",
        "mapreduce.job.maps",
        "mapreduce.job.name",
        "mapreduce.job.priority",
        "mapreduce.job.reduces",
        "mapreduce.map.maxattempts",
        "mapreduce.map.speculative",
        "mapreduce.output.fileoutputformat.compress",
        "mapreduce.output.fileoutputformat.compress.codec",
        "mapreduce.output.textoutputformat.separator",
        "mapreduce.reduce.maxattempts",
        "mapreduce.reduce.speculative",
        "mapreduce.task.timeout",
        IGNORE_KEY,
        PARTITIONER_CLASS,
        "stream.map.output.field.separator",
        "stream.non.zero.exit.is.failure",
        "stream.num.map.output.key.fields",
        "stream.num.reduce.output.key.fields",
        "stream.reduce.input.field.separator",
        "stream.reduce.output.field.separator",
        RECORD_DELIMITER,
    }
)
"""What a job becomes other by; `arguments.py`, `streaming.py`, `keys.py`, `inputs.py` and `records.py` read them."""

KEY_COMPARATOR = "mapreduce.job.output.key.comparator.class"
KEY_FIELD_COMPARATORS = frozenset(
    {
        "org.apache.hadoop.mapred.lib.KeyFieldBasedComparator",
        "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator",
    }
)
_COMPARATORS = KEY_FIELD_COMPARATORS | {"org.apache.hadoop.io.Text$Comparator"}

_TEXT_CLASS = ("org.apache.hadoop.io.Text",)
_TEXT = ("text",)

ONLY_AS: dict[str, Collection[str]] = {
    "mapred.mapper.new-api": ("false",),
    "mapred.reducer.new-api": ("false",),
    KEY_COMPARATOR: _COMPARATORS,
    "mapreduce.job.output.group.comparator.class": _COMPARATORS,
    "mapreduce.job.output.key.class": _TEXT_CLASS,
    "mapreduce.job.output.value.class": _TEXT_CLASS,
    "mapreduce.map.output.key.class": _TEXT_CLASS,
    "mapreduce.map.output.value.class": _TEXT_CLASS,
    "stream.map.input": _TEXT,
    "stream.map.input.field.separator": ("\t",),
    "stream.map.output": _TEXT,
    "stream.reduce.input": _TEXT,
    "stream.reduce.output": _TEXT,
    "stream.stderr.reporter.enabled": ("true",),
    "stream.stderr.reporter.prefix": ("reporter:",),
}
"""What changes records, their order or their grouping in a way that Apollo cannot, but for these values.

Programs see lines, and by themselves where a group of keys ends: how Hadoop groups changes nothing for them.
"""

PARTITIONING = frozenset(
    {
        "mapreduce.map.output.key.field.separator",
        "mapreduce.partition.keycomparator.options",
        "mapreduce.partition.keypartitioner.options",
        "num.key.fields.for.partition",
    }
)
"""Means something to a partitioner or comparator of the KeyFieldBased kind only; without one, nothing."""

_WITHOUT_EFFECT = re.compile(
    r"""(dfs|fs|ftp|hadoop|ha|io|ipc|net|nfs|rpc|s3|ssl|tfile|yarn|zlib)\..*
      | mapred\.(child\.(java\.opts|ulimit|env)|job\.tracker(\..*)?|local\.dir|tasktracker\..*|skip\..*|acls\..*)
      | mapreduce\.(admin|am|app-submission|client|cluster|framework|ifile|jobhistory|jobtracker|jvm|local
                    |shuffle|tasktracker|fileoutputcommitter|outputcommitter)(\..*)?
      | mapreduce\.(map|reduce)\.(memory\.(mb|totalbytes)|cpu\.vcores|java\.opts|log\.level|env(\..*)?|resource\..*
                    |failures\.maxpercent|skip\..*|output\.compress(\.codec|\.type)?|combine\..*|sort\..*|shuffle\..*|input\.buffer\.percent
                    |merge\.inmem\.threshold|markreset\..*|maxtaskfailures.*)
      | mapreduce\.task\.(io\..*|userlog\..*|profile.*|files\..*|exit\..*|combine\..*|merge\..*|skip\..*|stuck\..*
                    |debugout\..*|local-fs\..*|ping-.*|spill\..*)
      | mapreduce\.output\.fileoutputformat\.compress\.type
      | mapreduce\.input\.(fileinputformat\.(list-status\..*|split\.minsize\.per\.(node|rack))
                    |keyvaluelinerecordreader\..*)
      | mapreduce\.job\.(acl.*|cache\..*|classloader.*|classpath\..*|committer\..*|complete\..*|counters\..*|dfs\..*
                    |emit-.*|encrypted-.*|end-notification\..*|finish-.*|hdfs-.*|heap\..*|jar|jvm\..*|local.*|log4j.*
                    |max\..*|maxtaskfailures\..*|queuename|reduce\.slowstart\..*|reducer\..*|running\..*|sharedcache\..*
                    |skip.*|speculative\..*|split\..*|submithost.*|tags|token.*|ubertask\..*|user\.(name|classpath\..*)
                    |userlog\..*|node-label-expression|(map|reduce)\..*)
      | stream\.(jobconf\.truncate\.limit|addenvironment|shipped\..*|tmpdir|joindelay\.milli)
    """,
    re.VERBOSE,
)
"""How Hadoop runs, not what it computes: memory, buffers, queues, daemons. Programs still see it."""

_HADOOPS_OWN = re.compile(r"(mapred|mapreduce|stream|yarn|dfs|textinputformat|keep)\..*")


def current_name(name: str) -> str:
    return RENAMED.get(name, name)


def is_known(name: str) -> bool:
    """Whether Apollo knows what the property means, or it is a user's own, which only programs read."""
    if name in USED or name in ONLY_AS or name in PARTITIONING or _WITHOUT_EFFECT.fullmatch(name):
        return True
    return not _HADOOPS_OWN.fullmatch(name)
