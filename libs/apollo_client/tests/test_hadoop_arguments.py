"""What Hadoop Streaming's arguments mean: words, options, properties, paths. Expected values are the real Hadoop's."""

import re
from pathlib import Path

import pytest

from apollo_client.hadoop.arguments import StreamingArguments, parse_streaming, split_paths
from apollo_client.hadoop.commandline import split_command
from apollo_client.hadoop.counters import counter_lines
from apollo_client.hadoop.errors import HadoopUsage, UnsupportedOption
from apollo_client.hadoop.files.port import Status
from apollo_client.hadoop.files.tree import expand_braces
from apollo_client.hadoop.generic import parse_generic
from apollo_client.hadoop.inputs import Inputs, packed_split_size
from apollo_client.hadoop.jobconf import JobConf
from apollo_client.hadoop.keys import key_rules, output_separator
from apollo_client.hadoop.names import current_name, is_known
from apollo_client.hadoop.paths import Paths
from apollo_client.hadoop.programs.hadoop_aggregate import java_double
from apollo_client.hadoop.records import record_format
from apollo_client.hadoop.roles import roles_of
from apollo_client.hadoop.surroundings import role_variables
from apollo_common.record_format import parse_record_format

PROPERTIES = Path(__file__).with_name("hadoop_properties") / "expected.txt"
REQUIRED = ["-input", "in", "-output", "out", "-mapper", "cat"]


def test_a_command_is_cut_at_spaces_and_quotes() -> None:
    command = r"""args.sh 'a b' "c d" e\ f x'y z'w "q'r" $HOME *.txt"""

    words = split_command(command)

    assert words == ["args.sh", "a b", "c d", "e\\", "f", "x", "y z", "w", "q'r", "$HOME", "*.txt"]


def test_paths_are_cut_at_commas_outside_braces() -> None:
    assert split_paths("a,{b,c{d,e}},f,") == ["a", "{b,c{d,e}}", "f"]


def test_braces_stand_for_every_choice() -> None:
    assert expand_braces("/x/{a,b{1,2}}/y") == ["/x/a/y", "/x/b1/y", "/x/b2/y"]


def test_braces_are_bounded() -> None:
    with pytest.raises(HadoopUsage, match="more than 10000"):
        expand_braces("{a,b}" * 20)


def test_generic_options_come_first() -> None:
    given = parse_generic(
        [
            "-Dx=1",
            "-D",
            "mapred.reduce.tasks=2",
            "-files",
            "a,b#c",
            "-archives",
            "d.zip",
            "-fs",
            "hdfs://n/",
            "-input",
            "i",
        ]
    )

    assert dict(given.conf.items()) == {"x": "1", "mapreduce.job.reduces": "2", "fs.defaultFS": "hdfs://n/"}
    assert (given.files, given.archives, given.rest) == (("a", "b#c"), ("d.zip",), ("-input", "i"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-D"], "Missing argument for option: D"),
        (["-D", "novalue"], "-D novalue"),
        ([*REQUIRED, "-files", "x"], "Unrecognized option: -files"),
        ([*REQUIRED, "stray"], "Unrecognized option: stray"),
        (["-input", "in", "-mapper"], "Missing argument for option: mapper"),
        (["-input", "in"], "Required argument: -output <name>"),
        ([*REQUIRED, "-mapper", "tac"], "-mapper is given more than once"),
        ([*REQUIRED, "-cmdenv", "A"], "-cmdenv A"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], words: str) -> None:
    with pytest.raises(HadoopUsage, match=words):
        parse_streaming(arguments)


@pytest.mark.parametrize("options", [["-io", "typedbytes"], ["-lazyOutput"], ["-inputreader", "x"], ["-mapdebug", "x"]])
def test_options_that_apollo_lacks_are_named(options: list[str]) -> None:
    with pytest.raises(UnsupportedOption, match=options[0]):
        parse_streaming([*REQUIRED, *options])


def test_options_of_any_age_are_one_job() -> None:
    given = parse_streaming(
        [
            *("-input", "a,b", "-input", "c", "-output", "o", "-mapper", "m", "-jobconf", "mapred.job.name=n"),
            *("-file", "m", "-cacheFile", "hdfs:///x#y", "-numReduceTasks", "3", "-cmdenv", "A=b=c"),
        ]
    )

    assert given.inputs == ["a", "b", "c"]
    assert (given.files, given.packed, given.environment) == (["hdfs:///x#y"], ["m"], {"A": "b=c"})
    assert given.conf.get("mapreduce.job.name") == "n"
    assert given.conf.number("mapreduce.job.reduces", 1) == 3


def test_a_partitioner_may_be_a_property() -> None:
    of_property = ["-D", "mapred.partitioner.class=A"]

    assert parse_streaming([*of_property, *REQUIRED]).partitioner == "A"
    assert parse_streaming([*of_property, *REQUIRED, "-partitioner", "B"]).partitioner == "B"


@pytest.mark.parametrize(
    "name",
    [
        "mapreduce.map.memory.mb",
        "mapred.child.java.opts",
        "yarn.nodemanager.x",
        "mapreduce.job.queuename",
        "my.own.name",
    ],
)
def test_how_hadoop_runs_does_not_matter(name: str) -> None:
    JobConf([(name, "1")]).check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stream.map.input.field.separator", "."),
        ("mapreduce.job.output.key.comparator.class", "org.example.Comparator"),
        ("mapred.output.value.groupfn.class", "org.example.Comparator"),
        ("mapreduce.nothing.of.the.kind", "1"),
        ("stream.nothing.of.the.kind", "1"),
        ("mapred.output.key.class", "org.apache.hadoop.io.LongWritable"),
        ("mapred.working.dir", "/elsewhere"),
        ("mapreduce.input.pathFilter.class", "org.example.Filter"),
        ("stream.map.output", "typedbytes"),
        ("stream.stderr.reporter.prefix", "report:"),
    ],
)
def test_properties_that_would_change_the_result_are_named(name: str, value: str) -> None:
    with pytest.raises(UnsupportedOption, match=r"^-D .*="):
        JobConf([(name, value)]).check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stream.map.input.field.separator", "\t"),
        ("stream.map.input.ignoreKey", "true"),
        ("mapred.mapoutput.key.class", "org.apache.hadoop.io.Text"),
        ("stream.reduce.input", "text"),
        ("stream.stderr.reporter.prefix", "reporter:"),
    ],
)
def test_properties_with_the_usual_value_are_taken(name: str, value: str) -> None:
    JobConf([(name, value)]).check()


def hadoops_properties(kind: str) -> list[list[str]]:
    """hadoop_properties/Properties.java has printed them, with Hadoop 3.4.2."""
    words = [line.split() for line in PROPERTIES.read_text().splitlines()]
    return [rest for first, *rest in words if first == kind]


def test_every_old_name_means_the_new_one() -> None:
    renamed = hadoops_properties("renamed")
    assert len(renamed) > 150
    assert [(old, current_name(old)) for old, _ in renamed] == [(old, new) for old, new in renamed]


def test_every_property_that_hadoop_has_a_default_for_is_known() -> None:
    defaults = [name for (name,) in hadoops_properties("default")]
    assert len(defaults) > 150
    assert [name for name in defaults if not is_known(name)] == []


def test_variables_are_put_in_up_to_the_first_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "there")
    monkeypatch.delenv("NOWHERE", raising=False)
    given = {"n": "5", "a": "${n}${mapred.job.name}", "b": "${env.HERE}/${env.NOWHERE:-x}", "c": "${no} ${n}"}
    conf = JobConf([("mapred.job.name", "j"), *given.items(), ("d", "${n} ${no} ${n}"), ("loop", "${loop}")])

    assert [conf.get(name) for name in "nabcd"] == ["5", "5j", "there/x", "${no} ${n}", "5 ${no} ${n}"]
    assert dict(conf.items())["a"] == "5j"
    assert conf.get("loop") == "${loop}"


def test_a_property_without_a_value_is_as_not_given() -> None:
    """As in the file that Hadoop's tasks read."""
    conf = JobConf([("a.b", "1"), ("a.b", ""), ("mapred.textoutputformat.separator", "")])

    assert list(conf.items()) == []
    assert output_separator(conf) == "\t"


def reading(input_format: str = "", **properties: str) -> StreamingArguments:
    names = {"delimiter": "textinputformat.record.delimiter", "ignore": "stream.map.input.ignoreKey"}
    names["separator"] = "key.value.separator.in.input.line"
    conf = JobConf([(names[name], value) for name, value in properties.items()])
    return StreamingArguments(input_format=input_format, conf=conf)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (reading(), ("hadoop-text", b"")),
        (reading("org.apache.hadoop.mapred.TextInputFormat", ignore="true"), ("hadoop-text", b"")),
        (reading(delimiter="\n"), ("hadoop-text", b"\n")),
        (reading(delimiter=r"\n:é"), ("hadoop-text", rb"\n:" + "é".encode())),
        (reading(delimiter="x" * 255, ignore="false"), ("hadoop-offset", b"x" * 255)),
        (reading("KeyValueTextInputFormat", delimiter=";"), ("hadoop-keyvalue", b"")),  # which does not heed it
        (reading("KeyValueTextInputFormat", separator="\tx", ignore="false"), ("hadoop-keyvalue", b"")),
        (reading(separator=","), ("hadoop-text", b"")),
        (reading("org.apache.hadoop.mapred.lib.NLineInputFormat", delimiter=";"), ("lines", b"")),
        (reading("org.apache.hadoop.mapred.lib.CombineTextInputFormat", delimiter=";"), ("hadoop-offset", b";")),
        (reading("org.apache.hadoop.mapred.lib.CombineTextInputFormat", ignore="true"), ("hadoop-text", b"")),
    ],
)
def test_records_are_those_of_the_input_format(given: StreamingArguments, expected: tuple[str, bytes]) -> None:
    parsed = parse_record_format(record_format(given))

    assert (parsed.kind, parsed.delimiter) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (reading(delimiter="é" * 128), "1 to 255 bytes"),
        (reading("KeyValueTextInputFormat", ignore="true"), "-D stream.map.input.ignoreKey=true"),
        (reading("KeyValueTextInputFormat", separator=","), r"key\.value\.separator=,"),
        (reading("SequenceFileAsTextInputFormat"), "-inputformat SequenceFileAsTextInputFormat"),
    ],
)
def test_records_that_apollo_cannot_cut_are_named(given: StreamingArguments, words: str) -> None:
    with pytest.raises((HadoopUsage, UnsupportedOption), match=words):
        record_format(given)


BY_FIELDS = "org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner"
COMPARED = ("mapred.output.key.comparator.class", "org.apache.hadoop.mapred.lib.KeyFieldBasedComparator")


def given_conf(*properties: tuple[str, str], partitioner: str = "") -> StreamingArguments:
    return StreamingArguments(partitioner=partitioner, conf=JobConf(properties))


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        (given_conf(), {"keySeparator": "\t", "partitioner": "hadoop"}),
        (
            given_conf(
                ("map.output.key.field.separator", "."), ("num.key.fields.for.partition", "2"), partitioner=BY_FIELDS
            ),
            {"keySeparator": ".", "partitioner": "keyfields:-k1,2"},
        ),
        (
            given_conf(("mapred.text.key.partitioner.options", "-k2,2"), partitioner=BY_FIELDS),
            {"keySeparator": "\t", "partitioner": "keyfields:-k2,2"},
        ),
        (given_conf(partitioner=BY_FIELDS), {"keySeparator": "\t", "partitioner": "keyfields:-k1"}),
        (
            given_conf(COMPARED, ("mapred.text.key.comparator.options", "-k1,1 -k2,2nr")),
            {"keySeparator": "\t", "partitioner": "hadoop", "keyOrder": "-k1,1 -k2,2nr"},
        ),
        (
            given_conf(("mapred.text.key.comparator.options", "-k2,2nr")),  # of no comparator
            {"keySeparator": "\t", "partitioner": "hadoop"},
        ),
    ],
)
def test_keys_are_partitioned_and_ordered_by_their_fields(given: StreamingArguments, rules: dict[str, str]) -> None:
    assert key_rules(given, reducers=2) == rules


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            given_conf(("mapred.text.key.partitioner.options", "-kx"), partitioner=BY_FIELDS),
            "keypartitioner.options=-kx",
        ),
        (given_conf(COMPARED, ("mapred.text.key.comparator.options", "-f")), "keycomparator.options=-f"),
        (given_conf(("map.output.key.field.separator", "a\n")), "field.separator=a\n"),
        (given_conf(partitioner="org.example.Partitioner"), "-partitioner org.example.Partitioner"),
    ],
)
def test_what_says_nothing_of_keys_is_named(given: StreamingArguments, words: str) -> None:
    with pytest.raises((HadoopUsage, UnsupportedOption), match=re.escape(words)):
        key_rules(given, reducers=2)


def test_a_cat_that_cuts_its_lines_otherwise_is_run() -> None:
    """Else lines that are copied are pairs that are copied, and no program is needed."""

    def reducer(*properties: tuple[str, str]) -> str | None:
        given = StreamingArguments(mapper="cat", reducer="cat", conf=JobConf(properties))
        return roles_of(given, aggregator="", hides_cat=False).builtins.get("reduce")

    assert reducer() == reducer(("stream.map.output.field.separator", ",")) == "builtin:identity"
    assert reducer(("stream.num.reduce.output.key.fields", "2")) is None
    assert reducer(("mapreduce.output.textoutputformat.separator", ",")) is None


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("128m", 128 << 20), ("1G", 1 << 30), ("", 5)])
def test_numbers_may_have_units(text: str, number: int) -> None:
    assert JobConf([("x", text)]).number("x", 5) == number


PATHS = Paths("s3://lake/hdfs", "", user="ann", directory="/home/ann/here")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("a/b", "file:///home/ann/here/a/b"),
        ("/a//b/", "file:///a/b"),
        ("file:/a", "file:///a"),
        ("file:///a/../b", "file:///b"),
        ("s3a://bucket/key/", "s3://bucket/key"),
        ("hdfs:///user/ann/x", "s3://lake/hdfs/user/ann/x"),
        ("hdfs://namenode:8020/x", "s3://lake/hdfs/x"),
    ],
)
def test_paths_become_store_urls(text: str, url: str) -> None:
    assert PATHS.url(text) == url


def test_paths_without_a_scheme_may_lie_in_hdfs() -> None:
    paths = Paths("file:///data", "file:///data", user="ann")

    assert (paths.url("/x"), paths.url("x/y")) == ("file:///data/x", "file:///data/user/ann/x/y")
    assert paths.shown("file:///data/x") == "hdfs:///x"


def test_a_scheme_that_nobody_serves_is_named() -> None:
    with pytest.raises(HadoopUsage, match="gopher"):
        PATHS.url("gopher://x/y")


def test_variables_of_one_role_only() -> None:
    given = parse_streaming(
        [
            *(
                "-D",
                "mapred.child.env=A=1,B=x y",
                "-D",
                "mapreduce.map.env=P=$P:/x,C=3",
                "-D",
                "mapreduce.map.env.D=4,5",
            ),
            *(*REQUIRED, "-cmdenv", "C=c"),
        ]
    )

    assert role_variables(given) == {"map": {"P": "$P:/x", "D": "4,5"}, "reduce": {"A": "1", "B": "x y"}}
    with pytest.raises(HadoopUsage, match="APOLLO_ROLE"):
        role_variables(parse_streaming(["-D", "mapreduce.reduce.env=APOLLO_ROLE=map", *REQUIRED]))


def test_aggregate_combines_by_itself() -> None:
    given = parse_streaming([*REQUIRED, "-reducer", "aggregate"])

    roles = roles_of(given, aggregator=".a.py", hides_cat=False)

    assert roles.commands == {"reduce": ["@python", ".a.py"], "combine": ["@python", ".a.py"]}
    assert roles.builtins == {"map": "builtin:identity"}


def test_a_file_of_the_job_called_cat_is_what_runs() -> None:
    roles = roles_of(parse_streaming(REQUIRED), aggregator=".a.py", hides_cat=True)

    assert roles.commands["map"] == ["cat"]


@pytest.mark.parametrize("options", [[], ["-mapper", "org.apache.hadoop.mapred.lib.IdentityMapper"]])
def test_hadoops_identity_copies_keys_and_values_only(options: list[str]) -> None:
    given = parse_streaming(["-input", "in", "-output", "out", *options])

    assert roles_of(given, aggregator="", hides_cat=True, maps_pairs=True).commands["map"] == ["/bin/cat"]
    with pytest.raises(UnsupportedOption, match=r"^-mapper .*byte offsets"):
        roles_of(given, aggregator="", hides_cat=True)


@pytest.mark.parametrize(("limit", "size"), [("", 30), ("100", 100)])
def test_files_are_packed_up_to_the_limit_that_is_given(limit: str, size: int) -> None:
    files = (
        Status("file:///a", is_directory=False, size_bytes=10),
        Status("file:///b", is_directory=False, size_bytes=20),
    )

    assert packed_split_size(Inputs(files, 1, 2), JobConf([("mapred.max.split.size", limit)])) == size


def test_counters_are_printed_as_hadoop_prints_them() -> None:
    lines = counter_lines({"apollo": {"input_records": 3, "output_records": 2}, "mine": {"b": 2, "a": 1}}, reducers=0)

    assert lines == [
        "Counters: 6",
        "\tMap-Reduce Framework",
        "\t\tMap input records=3",
        "\t\tMap output records=2",
        "\tmine",
        "\t\ta=1",
        "\t\tb=2",
        "\tFile Input Format Counters ",
        "\t\tBytes Read=0",
        "\tFile Output Format Counters ",
        "\t\tBytes Written=0",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (9.5, "9.5"),
        (6e7, "6.0E7"),
        (1e-4, "1.0E-4"),
        (-2.5e10, "-2.5E10"),
        (0.001, "0.001"),
        (1234567.0, "1234567.0"),
    ],
)
def test_numbers_are_written_as_java_writes_them(value: float, text: str) -> None:
    assert java_double(value) == text


def test_a_configuration_file_is_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "job.xml"
    file.write_text(
        "<configuration><property><name>mapred.reduce.tasks</name><value>2</value></property>"
        "<property><name>my.x</name><value>a b</value></property></configuration>"
    )

    given = parse_generic(["-conf", str(file), "-D", "my.x=c"])

    assert dict(given.conf.items()) == {"mapreduce.job.reduces": "2", "my.x": "c"}


@pytest.mark.parametrize("content", ["no xml", "<!DOCTYPE x [<!ENTITY e 'e'>]><configuration/>"])
def test_a_file_that_is_no_configuration_is_named(content: str, tmp_path: Path) -> None:
    file = tmp_path / "job.xml"
    file.write_text(content)

    with pytest.raises(HadoopUsage, match=r"-conf .*job\.xml"):
        parse_generic(["-conf", str(file)])
