"""The names of job properties: old ones and what they are called now, and what each means to Apollo.

Source: Hadoop 3.4.2, DeprecatedProperties and mapred-default.xml.
"""

import re
from collections.abc import Collection

RENAMED = {
    "fs.default.name": "fs.defaultFS",
    "dfs.block.size": "dfs.blocksize",
    "job.end.notification.url": "mapreduce.job.end-notification.url",
    "keep.failed.task.files": "mapreduce.task.files.preserve.failedtasks",
    "io.sort.factor": "mapreduce.task.io.sort.factor",
    "io.sort.mb": "mapreduce.task.io.sort.mb",
    "key.value.separator.in.input.line": "mapreduce.input.keyvaluelinerecordreader.key.value.separator",
    "map.input.file": "mapreduce.map.input.file",
    "map.input.length": "mapreduce.map.input.length",
    "map.input.start": "mapreduce.map.input.start",
    "map.output.key.field.separator": "mapreduce.map.output.key.field.separator",
    "mapred.cache.archives": "mapreduce.job.cache.archives",
    "mapred.cache.files": "mapreduce.job.cache.files",
    "mapred.compress.map.output": "mapreduce.map.output.compress",
    "mapred.create.symlink": "mapreduce.job.cache.symlink.create",
    "mapred.input.dir": "mapreduce.input.fileinputformat.inputdir",
    "mapred.input.dir.recursive": "mapreduce.input.fileinputformat.input.dir.recursive",
    "mapred.job.id": "mapreduce.job.id",
    "mapred.job.map.memory.mb": "mapreduce.map.memory.mb",
    "mapred.job.name": "mapreduce.job.name",
    "mapred.job.priority": "mapreduce.job.priority",
    "mapred.job.queue.name": "mapreduce.job.queuename",
    "mapred.job.reduce.memory.mb": "mapreduce.reduce.memory.mb",
    "mapred.job.reuse.jvm.num.tasks": "mapreduce.job.jvm.numtasks",
    "mapred.line.input.format.linespermap": "mapreduce.input.lineinputformat.linespermap",
    "mapred.map.child.java.opts": "mapreduce.map.java.opts",
    "mapred.map.max.attempts": "mapreduce.map.maxattempts",
    "mapred.map.output.compression.codec": "mapreduce.map.output.compress.codec",
    "mapred.map.tasks": "mapreduce.job.maps",
    "mapred.map.tasks.speculative.execution": "mapreduce.map.speculative",
    "mapred.max.split.size": "mapreduce.input.fileinputformat.split.maxsize",
    "mapred.min.split.size": "mapreduce.input.fileinputformat.split.minsize",
    "mapred.output.compress": "mapreduce.output.fileoutputformat.compress",
    "mapred.output.compression.codec": "mapreduce.output.fileoutputformat.compress.codec",
    "mapred.output.compression.type": "mapreduce.output.fileoutputformat.compress.type",
    "mapred.output.dir": "mapreduce.output.fileoutputformat.outputdir",
    "mapred.output.key.comparator.class": "mapreduce.job.output.key.comparator.class",
    "mapred.output.value.groupfn.class": "mapreduce.job.output.group.comparator.class",
    "mapred.reduce.child.java.opts": "mapreduce.reduce.java.opts",
    "mapred.reduce.max.attempts": "mapreduce.reduce.maxattempts",
    "mapred.reduce.slowstart.completed.maps": "mapreduce.job.reduce.slowstart.completedmaps",
    "mapred.reduce.tasks": "mapreduce.job.reduces",
    "mapred.reduce.tasks.speculative.execution": "mapreduce.reduce.speculative",
    "mapred.task.id": "mapreduce.task.attempt.id",
    "mapred.task.is.map": "mapreduce.task.ismap",
    "mapred.task.partition": "mapreduce.task.partition",
    "mapred.task.timeout": "mapreduce.task.timeout",
    "mapred.text.key.comparator.options": "mapreduce.partition.keycomparator.options",
    "mapred.text.key.partitioner.options": "mapreduce.partition.keypartitioner.options",
    "mapred.textoutputformat.separator": "mapreduce.output.textoutputformat.separator",
    "mapred.tip.id": "mapreduce.task.id",
    "mapred.userlog.limit.kb": "mapreduce.task.userlog.limit.kb",
    "mapreduce.textoutputformat.separator": "mapreduce.output.textoutputformat.separator",
    "user.name": "mapreduce.job.user.name",
}
"""Old name -> new one."""

IGNORE_KEY = "stream.map.input.ignoreKey"
RECORD_DELIMITER = "textinputformat.record.delimiter"

USED = frozenset(
    {
        "dfs.blocksize",
        "fs.defaultFS",
        "mapreduce.input.fileinputformat.input.dir.recursive",
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
        "stream.map.output.field.separator",
        "stream.non.zero.exit.is.failure",
        "stream.num.map.output.key.fields",
        "stream.num.reduce.output.key.fields",
        "stream.reduce.input.field.separator",
        "stream.reduce.output.field.separator",
        RECORD_DELIMITER,
    }
)
"""What a job becomes other by; `streaming.py`, `keys.py`, `inputs.py` and `records.py` read them."""

KEY_COMPARATOR = "mapreduce.job.output.key.comparator.class"
KEY_FIELD_COMPARATORS = frozenset(
    {
        "org.apache.hadoop.mapred.lib.KeyFieldBasedComparator",
        "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator",
    }
)
_COMPARATORS = KEY_FIELD_COMPARATORS | {"org.apache.hadoop.io.Text$Comparator"}

ONLY_AS: dict[str, Collection[str]] = {
    "mapred.mapper.new-api": ("false",),
    "mapred.reducer.new-api": ("false",),
    KEY_COMPARATOR: _COMPARATORS,
    "mapreduce.job.output.group.comparator.class": _COMPARATORS,
    "stream.map.input.field.separator": ("\t",),
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
      | mapreduce\.(map|reduce)\.(memory\.mb|cpu\.vcores|java\.opts|log\.level|env|resource\..*|failures\.maxpercent
                    |skip\..*|output\.compress(\.codec|\.type)?|sort\..*|shuffle\..*|input\.buffer\.percent
                    |merge\.inmem\.threshold|markreset\..*|maxtaskfailures.*)
      | mapreduce\.task\.(io\..*|userlog\..*|profile.*|files\..*|exit\..*|combine\..*|merge\..*|skip\..*|stuck\..*)
      | mapreduce\.output\.fileoutputformat\.compress\.type
      | mapreduce\.input\.(fileinputformat\.(list-status\..*|split\.maxsize)|keyvaluelinerecordreader\..*)
      | mapreduce\.job\.(acl.*|cache\..*|classloader.*|committer\..*|counters\..*|emit-.*|end-notification\..*|hdfs-.*
                    |heap\..*|jar|jvm\..*|local.*|log4j.*|max\..*|queuename|reduce\.slowstart\..*|reducer\..*
                    |running\..*|speculative\..*|split\..*|submithost.*|tags|token.*|ubertask\..*|user\.name
                    |userlog\..*|working\.dir|node-label-expression|(map|reduce)\..*)
      | stream\.(jobconf\.truncate\.limit|stderr\.reporter\..*|addenvironment|shipped\..*|tmpdir|joindelay\.milli)
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
