"""Jobs of Hadoop Streaming, with the very arguments of its command, and what the real one gives for them.

They run in a directory that holds `jobs` and `input`; the output is `out`. `python -m support.hadoop record` runs them
with Hadoop 3.4.2 in local mode and keeps the parts in `expected`.
"""

from dataclasses import dataclass

HASH = "-partitioner org.apache.hadoop.mapred.lib.HashPartitioner"
GZIP = "org.apache.hadoop.io.compress.GzipCodec"


def blocks(size_bytes: int) -> str:
    """So large are splits: of Hadoop's local mode, which knows the first name only, and of Apollo."""
    return f"-D fs.local.block.size={size_bytes} -D dfs.blocksize={size_bytes}"


@dataclass(frozen=True)
class Case:
    name: str
    arguments: str  # as for a shell
    compressed: bool = False

    def __str__(self) -> str:
        return self.name


CASES = [
    Case(
        "word-count-in-python",
        "-D mapreduce.job.reduces=3 -files jobs/words.py,jobs/total.py -input 'input/books/*.txt' -output out "
        "-mapper words.py -combiner total.py -reducer total.py",
    ),
    Case(
        "old-names-and-file",
        "-D mapred.reduce.tasks=1 -D mapred.job.name=bytes -input input/logs/monday.log -input input/logs/tuesday.log "
        "-output out -mapper status_bytes.awk -reducer sum.awk -file jobs/status_bytes.awk -file jobs/sum.awk",
    ),
    Case(
        "jobconf-after-options",
        "-input input/logs -output out -mapper 'awk \"{print $3}\"' -reducer 'uniq -c' -jobconf mapred.reduce.tasks=2",
    ),
    Case("grep-without-reducer", "-input input/books/wood.txt -output out -mapper 'grep -i stone' -reducer NONE"),
    Case(
        "no-match-is-no-failure",
        "-D stream.non.zero.exit.is.failure=false -D mapred.reduce.tasks=0 -input input/logs -output out "
        "-mapper 'grep PUT'",
    ),
    Case(
        "inverted-index",
        "-files jobs/where.sh,jobs/places.sh -input input/books/sea.txt,input/books/wood.txt -output out "
        "-mapper where.sh -reducer places.sh -numReduceTasks 4",
    ),
    Case("aggregate", "-files jobs/aggregate.py -input input/logs -output out -mapper aggregate.py -reducer aggregate"),
    Case("cat-and-cat", "-D mapreduce.job.reduces=2 -input input/logs -output out -mapper cat -reducer cat"),
    Case("identity-reducer", "-input input/logs -output out -mapper cat"),
    Case(
        "identity-reducer-by-class",
        "-input input/logs -output out -mapper cat -reducer org.apache.hadoop.mapred.lib.IdentityReducer",
    ),
    Case(
        "what-tasks-are-told",
        "-D mapreduce.job.name=told -D my.own-setting=seven -files jobs/told.sh -input input/logs/monday.log "
        "-output out -mapper told.sh -numReduceTasks 0 -cmdenv GREETING=hello",
    ),
    Case(
        "archives-folders-and-names",
        "-files jobs/look_up.py,input/books/old/first.txt#renamed.txt,input/logs#folder "
        "-archives input/table.tar.gz#table,input/hosts.zip -input input/logs/monday.log -output out "
        "-mapper 'python3 look_up.py' -reducer 'sort -u'",
    ),
    Case(
        "words-of-a-command",
        "-input input/logs/monday.log -output out -reducer NONE "
        "-mapper \"awk -v 'a=two words' -v b=one '{print a, b, $1; exit}'\"",
    ),
    Case(
        "globs-and-braces",
        "-input 'input/{books/[sw]*.txt,logs/mon*}' -output out -mapper 'cut -c1-9' -reducer 'uniq -c'",
    ),
    Case(
        "directories-below",
        "-D mapred.input.dir.recursive=true -input input/books -output out -mapper 'wc -l' -reducer 'sort -n'",
    ),
    Case(
        "parts-of-maps-by-size",
        "-D mapreduce.job.reduces=0 -input input/logs -input input/books/sea.txt -output out -mapper 'head -n 2'",
    ),
    Case(
        "compressed-output",
        f"-D mapred.output.compress=true -D mapred.output.compression.codec={GZIP} -input input/logs -output out "
        "-mapper 'cut -d\" \" -f1' -reducer 'uniq -c'",
        compressed=True,
    ),
    Case(
        "bytes-and-line-ends",
        f"-input input/books/mixed.txt -output out -mapper cat -reducer cat -numReduceTasks 3 {HASH}",
    ),
    Case(
        "script-without-interpreter",
        "-input input/logs/monday.log -output out -mapper plain.sh -reducer NONE -file jobs/plain.sh",
    ),
    Case(
        "lines-to-tasks",
        "-D mapreduce.input.lineinputformat.linespermap=2 -input input/logs -output out -reducer NONE "
        "-inputformat org.apache.hadoop.mapred.lib.NLineInputFormat -mapper cat",
    ),
    Case(
        "lines-of-any-end-to-tasks",
        "-D mapreduce.input.lineinputformat.linespermap=2 -D textinputformat.record.delimiter=e -reducer NONE "
        "-input input/returns.txt -output out -inputformat org.apache.hadoop.mapred.lib.NLineInputFormat -mapper cat",
    ),
    Case("lines-of-any-end", "-input input/returns.txt,input/books/mixed.txt -output out -mapper cat -reducer cat"),
    Case(
        "splits-by-size",
        f"{blocks(45)} -D mapreduce.job.reduces=0 -input input/logs,input/books/sea.txt,input/empty "
        "-output out -mapper split.sh -file jobs/split.sh",
    ),
    Case(
        "records-up-to-a-text",
        f"-D textinputformat.record.delimiter='e ' {blocks(45)} -input input/books/sea.txt -output out "
        "-mapper cat -reducer 'uniq -c'",
    ),
    Case(
        "offsets-before-lines",
        f"-D stream.map.input.ignoreKey=false {blocks(14)} -D mapreduce.job.reduces=0 "
        "-input input/returns.txt,input/books/mixed.txt -output out -mapper cat",
    ),
    Case(
        "keys-and-values",
        f"-D textinputformat.record.delimiter=e {blocks(14)} -input input/returns.txt,input/books/mixed.txt "
        "-output out -reducer NONE -inputformat KeyValueTextInputFormat -mapper cat",
    ),
    Case(
        "keys-and-values-as-they-are",
        "-D stream.map.output.field.separator=e -input input/returns.txt,input/books/sea.txt -output out -reducer cat "
        "-inputformat KeyValueTextInputFormat -mapper org.apache.hadoop.mapred.lib.IdentityMapper -numReduceTasks 2",
    ),
    Case(
        "many-files-to-a-task",
        "-D mapreduce.job.reduces=0 -input input/logs,input/books/sea.txt,input/empty -output out -mapper 'wc -lc' "
        "-inputformat org.apache.hadoop.mapred.lib.CombineTextInputFormat",
    ),
    Case("no-input-at-all", "-input input/nothing -output out -mapper cat -reducer 'wc -l' -numReduceTasks 2"),
]
