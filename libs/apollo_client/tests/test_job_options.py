"""What the options of `run` and `submit`, and a job file, become in the body of the job."""

import click
import pytest

from apollo_client.cli.joboptions import JobRequest, flag_of, job_options, job_request
from apollo_client.cli.root import execute


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@click.command
@job_options
def probe(**options):
    return job_request(options, embedded=False, local_paths=True)


def parse(*arguments: object) -> JobRequest:
    return probe.main([str(argument) for argument in arguments], standalone_mode=False)


def refusal(*arguments: object) -> str:
    with pytest.raises(click.ClickException) as refused:
        parse(*arguments)
    return refused.value.format_message()


MINIMAL = ("--mapper", "shell:cat", "--reducer", "builtin:sum", "--input", "in.txt", "--output", "out")


class TestBody:
    def test_only_what_was_said_is_sent(self, tmp_path):
        assert parse(*MINIMAL).body == {
            "mapperName": "shell:cat",
            "reducerName": "builtin:sum",
            "inputPath": [f"file://{tmp_path}/in.txt"],
            "outputPath": f"file://{tmp_path}/out",
        }

    def test_every_option_has_its_field(self, tmp_path):
        (tmp_path / "stop.txt").touch()
        body = parse(
            *MINIMAL, "--combiner", "builtin:sum", "--overwrite", "--reducers", 4, "--split-size", "1MiB",
            "--workers", 2, "--protocol", "text", "--stdio", "pipe", "--file", "stop.txt", "--env", "A=1=2",
            "--param", "n=3", "--param", "m=", "--partitioner", "field:2", "--output-format", "jsonl",
            "--compression", "gzip", "--memory-budget", 9000000, "--max-attempts", 2, "--timeout-seconds", 5,
            "--job-timeout-seconds", 60,
            "--key-order", "-k1,1 -k2,2nr", "--key-separator", ":", "--group-key-fields", 1,
            "--map-output-separator", ",", "--map-output-key-fields", 2, "--reduce-input-separator", "=",
            "--reduce-output-separator", "::", "--reduce-output-key-fields", 3, "--output-separator", " ",
            "--part-prefix", "part-",
            "--name", "mine", "--priority", -3, "--no-speculation", "--max-bad-records", 7, "--ignore-input",
            "--input-format", "csv:;", "--split-policy", "packed", "--allow-no-input",
            "--keep-intermediate", "--credentials-secret", "s", "--kubernetes", '{"labels": {"team": "data"}}',
        ).body  # fmt: skip
        for name in ("mapperName", "reducerName", "inputPath", "outputPath"):
            del body[name]
        assert body == {
            "combinerName": "builtin:sum", "overwrite": True, "nReducers": 4, "splitSize": 1 << 20, "maxWorkers": 2,
            "protocol": "text", "stdio": "pipe", "files": ["stop.txt"], "env": {"A": "1=2"},
            "params": {"n": "3", "m": ""}, "partitioner": "field:2", "outputFormat": "jsonl", "compression": "gzip",
            "keyOrder": "-k1,1 -k2,2nr", "keySeparator": ":", "groupKeyFields": 1,
            "mapOutputSeparator": ",", "mapOutputKeyFields": 2, "reduceInputSeparator": "=",
            "reduceOutputSeparator": "::", "reduceOutputKeyFields": 3, "outputSeparator": " ",
            "partPrefix": "part-",
            "memoryBudget": 9000000, "maxAttempts": 2, "timeoutSeconds": 5, "jobTimeoutSeconds": 60,
            "name": "mine", "priority": -3,
            "speculation": False, "maxBadRecords": 7, "ignoreInput": True, "keepIntermediate": True,
            "inputFormat": "csv:;", "splitPolicy": "packed", "allowNoInput": True,
            "credentialsSecret": "s", "kubernetes": {"labels": {"team": "data"}},
        }  # fmt: skip

    def test_wishes_for_pods_are_an_object(self):
        assert "this is no JSON" in refusal(*MINIMAL, "--kubernetes", "{")
        assert "this is no object" in refusal(*MINIMAL, "--kubernetes", "[1]")

    def test_a_map_only_job_has_no_reducer(self):
        body = parse("--mapper", "shell:cat", "--input", "x", "--output", "y", "--reducers", 0).body
        assert body["nReducers"] == 0
        assert "reducerName" not in body

    def test_programs_that_are_files_are_to_be_uploaded(self, tmp_path):
        (tmp_path / "map.py").touch()
        request = parse(*MINIMAL, "--mapper", "map.py")
        assert {name: path.name for name, path in request.programs.items()} == {"mapperName": "map.py"}

    def test_a_name_without_a_file_is_an_artifact(self):
        assert parse(*MINIMAL, "--mapper", "uploaded").body["mapperName"] == "uploaded"

    def test_inputs_with_mappers_of_their_own(self, tmp_path):
        (tmp_path / "users.py").touch()
        request = parse(
            *MINIMAL[2:4], "--output", "out", "--input-with", "users.py", "csv", "users/*.csv",
            "--input-with", "shell:cut -f1", "lines", "s3://in/orders/",
        )  # fmt: skip
        assert request.body["inputs"] == [
            {"mapperName": "users.py", "inputFormat": "csv", "inputPath": f"file://{tmp_path}/users/*.csv"},
            {"mapperName": "shell:cut -f1", "inputFormat": "lines", "inputPath": "s3://in/orders/"},
        ]
        assert {field: path.name for field, path in request.programs.items()} == {"inputs.0.mapperName": "users.py"}
        assert not {"inputPath", "mapperName", "inputFormat"} & set(request.body)

    def test_fields_lead_back_to_options(self):
        assert flag_of("inputs.0.inputPath") == "--input-with"
        assert flag_of("nReducers") == "--reducers"
        assert flag_of("params.x") == "--param"
        assert flag_of("inputPath[1]") == "--input"
        assert flag_of("speculation") == "--speculation"
        assert flag_of("inputStorageCredentials.username") == "--input"
        assert flag_of("useSSL") is None


class TestLocations:
    def locations(self, *inputs: str) -> list[str]:
        return parse(*MINIMAL[:4], *(word for text in inputs for word in ("--input", text)), "--output", "o").body[
            "inputPath"
        ]

    def test_urls_stay_as_they_are(self):
        urls = ["s3://bucket/a b/*.txt", "file:///x/%", "http://host:9000/b/k", "https://host/b/k"]
        assert self.locations(*urls) == urls

    def test_a_trailing_slash_stays(self, tmp_path):
        assert self.locations("data/", "/abs/") == [f"file://{tmp_path}/data/", "file:///abs/"]

    def test_a_pattern_stays_one(self, tmp_path):
        assert self.locations("data/*.txt", "../x[0-9]/**/*.gz") == [
            f"file://{tmp_path}/data/*.txt",
            f"file://{tmp_path.parent}/x[0-9]/**/*.gz",
        ]

    def test_a_file_whose_name_looks_like_a_pattern_is_that_file(self, tmp_path):
        (tmp_path / "x[1].txt").touch()
        assert self.locations("x[1].txt") == [f"file://{tmp_path}/x[[]1].txt"]

    def test_the_working_directory_is_no_pattern(self, tmp_path, monkeypatch):
        folder = tmp_path / "a*b"
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert self.locations("*.txt") == [f"file://{tmp_path}/a[*]b/*.txt"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (MINIMAL[2:], ["--mapper"]),
            (MINIMAL[:4] + MINIMAL[6:], ["--input"]),
            ((*MINIMAL, "--input-with", "shell:cat", "csv", "x"), ["--mapper and --input-with", "all inputs"]),
            ((*MINIMAL[2:], "--input-with", "shell:cat", "csv", "x"), ["--input and --input-with"]),
            ((*MINIMAL[2:4], "--output", "o", "--input-with", "./none.py", "csv", "x"), ["--input-with ./none.py"]),
            ((*MINIMAL, "--split-policy", "wide"), ["--split-policy", "packed"]),
            (MINIMAL[:2] + MINIMAL[4:], ["--reducer is missing", "--reducers 0"]),
            ((*MINIMAL, "--reducers", "0"), ["--reducers 0", "--reducer out"]),
            ((*MINIMAL, "--reducers", "-1"), ["--reducers", "-1"]),
            ((*MINIMAL, "--reducers", "1.5"), ["--reducers", "1.5"]),
            ((*MINIMAL, "--split-size", "64 furlongs"), ["--split-size", "64MiB"]),
            ((*MINIMAL, "--param", "novalue"), ["--param", "KEY=VALUE"]),
            ((*MINIMAL, "--mapper", "./nowhere.py"), ["--mapper ./nowhere.py", "no such file"]),
            ((*MINIMAL, "--mapper", "/"), ["--mapper /", "directory"]),
            ((*MINIMAL, "--file", "nowhere"), ["--file nowhere", "no such file"]),
            ((*MINIMAL, "--input", ""), ["--input is empty"]),
            ((*MINIMAL, "--mapper", ""), ["--mapper is empty", "builtin:NAME"]),
            ((*MINIMAL, "--protocol", "grpc"), ["--protocol", "frames"]),
        ],
    )
    def test_names_the_option_and_the_fix(self, arguments, words):
        message = refusal(*arguments)
        assert all(word in message for word in words), message

    def test_two_side_files_of_one_name(self, tmp_path):
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "x").touch()
        assert "also called x" in refusal(*MINIMAL, "--file", "a/x", "--file", "b/x")

    def test_paths_for_a_coordinator_elsewhere(self, capsys):
        assert execute(["submit", "--coordinator", "http://cluster:4750", *MINIMAL]) == 2
        message = capsys.readouterr().err
        assert "--input in.txt: the coordinator is on another machine" in message
        assert "with APOLLO_COORDINATOR unset, `apollo run` runs the job here" in message


class TestJobFile:
    @pytest.fixture
    def project(self, tmp_path):
        project = tmp_path / "project"
        project.mkdir()
        (project / "map.py").touch()
        (project / "job.yaml").write_text(
            """
            mapper: map.py
            reducer: builtin:sum
            input: [data/*.txt, s3://bucket/more/]
            output: out/
            reducers: 4
            split-size: 1MiB
            overwrite: true
            param: {pattern: x=y, limit: 3}
            env: [A=1]
            kubernetes:
              resources: {limits: {memory: 2Gi, cpu: 2}}
              tolerations: [{key: spot, operator: Exists}]
            """
        )
        return project

    def test_its_paths_are_relative_to_it(self, project):
        request = parse("--job-file", "project/job.yaml")
        assert request.programs == {"mapperName": project / "map.py"}
        assert request.body == {
            "mapperName": str(project / "map.py"), "reducerName": "builtin:sum", "nReducers": 4, "splitSize": 1 << 20,
            "inputPath": [f"file://{project}/data/*.txt", "s3://bucket/more/"], "outputPath": f"file://{project}/out/",
            "overwrite": True, "params": {"pattern": "x=y", "limit": "3"}, "env": {"A": "1"},
            "kubernetes": {
                "resources": {"limits": {"memory": "2Gi", "cpu": 2}},
                "tolerations": [{"key": "spot", "operator": "Exists"}],
            },
        }  # fmt: skip

    def test_inputs_with_mappers_of_their_own(self, project):
        (project / "join.yaml").write_text(
            """
            reducer: builtin:identity
            output: out/
            input-with:
              - {mapper: map.py, input-format: csv, input: users/*.csv}
              - {mapper: "shell:cat", input: s3://in/orders/}
            """
        )
        request = parse("--job-file", "project/join.yaml")
        assert request.programs == {"inputs.0.mapperName": project / "map.py"}
        assert [(given["inputFormat"], given["inputPath"]) for given in request.body["inputs"]] == [
            ("csv", f"file://{project}/users/*.csv"),
            ("lines", "s3://in/orders/"),
        ]

    def test_inputs_on_the_command_line_replace_those_of_the_other_kind(self, tmp_path):
        own = ("--input-with", "shell:cat", "csv", "s3://in/x")
        body = parse("--job-file", "project/job.yaml", *own).body
        assert [given["inputPath"] for given in body["inputs"]] == ["s3://in/x"]
        assert not {"inputPath", "mapperName"} & set(body)
        (tmp_path / "join.yaml").write_text(
            "reducer: builtin:sum\noutput: o\ninput-with: {mapper: 'shell:cat', input: x}\n"
        )
        body = parse("--job-file", "join.yaml", "--mapper", "shell:cat", "--input", "s3://in/y").body
        assert (body["inputPath"], "inputs" in body) == (["s3://in/y"], False)

    def test_a_job_file_with_inputs_of_both_kinds_is_refused(self, project):
        with (project / "job.yaml").open("a") as file:
            file.write("\n            input-with: [{mapper: map.py, input: x}]\n")
        message = refusal("--job-file", "project/job.yaml")
        assert message.startswith("--job-file project/job.yaml: mapper and input-with exclude each other"), message

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("maper: m, input: x", "entry 2 of input-with has no key 'maper'. Did you mean mapper?"),
            (
                "mapper: m, input: x, format: csv",
                "entry 2 of input-with has no key 'format'. Did you mean input-format?",
            ),
            (
                "mapper: m, input: x, o: 1",
                "entry 2 of input-with has no key 'o'. There are: mapper, input-format, input.",
            ),
            ("mapper: m", "entry 2 of input-with is no mapping with mapper, input-format, input"),
        ],
    )
    def test_an_input_that_is_wrong_is_told_with_its_number(self, project, given, said):
        entries = f"[{{mapper: m, input: x}}, {{{given}}}]"
        (project / "join.yaml").write_text(f"output: o\nreducer: builtin:sum\ninput-with: {entries}\n")
        assert said in refusal("--job-file", "project/join.yaml")

    @pytest.mark.parametrize("given", ["users.csv", "[{mapper: m}]"])
    def test_an_input_without_its_mapper_is_refused(self, project, given):
        (project / "join.yaml").write_text(f"output: o\nreducer: builtin:sum\ninput-with: {given}\n")
        assert "{mapper: users.py, input-format: csv" in refusal("--job-file", "project/join.yaml")

    def test_options_win_wherever_they_stand(self, tmp_path):
        body = parse("--reducers", 2, "--job-file", "project/job.yaml", "--input", "here.txt").body
        assert body["nReducers"] == 2
        assert body["inputPath"] == [f"file://{tmp_path}/here.txt"]

    @pytest.fixture(autouse=True)
    def _project(self, project):
        pass

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("mappper: x", ["'mappper'", "Did you mean mapper?"]),
            ("split_size: 1MiB", ["'split_size'", "Did you mean split-size?"]),
            ("nReducers: 2", ["'nReducers'", "Did you mean reducers?"]),
            ("maxWorkers: 2", ["'maxWorkers'", "Did you mean workers?"]),
            ("json: true", ["'json'", "There are: allow-no-input, combiner, "]),
            ("job-file: other.yaml", ["'job-file'", "It belongs on the command line."]),
            ("- a list", ["mapping"]),
            ("mapper: [", ["no YAML: line 1: "]),
            ("mapper: x\nreducer: y: z", ["no YAML: line 2: "]),
            ("name: '\0'", ["no YAML"]),
            ("mapper: {a: b}", ["mapper", "quotes"]),
            ("reducers: [1, 2]", ["reducers", "one value"]),
            ("reducers: many", ["reducers: 'many' is"]),
            ("split-size: 1 furlong", ["split-size: ", "64MiB"]),
            ("protocol: grpc", ["protocol: 'grpc' is", "frames"]),
            ("speculation: maybe", ["speculation: write true or false."]),
            ("overwrite: 7", ["overwrite: write true or false."]),
            ("combiner: ./nowhere", ["combiner ", "/nowhere: there is no such file"]),
            ("file: nowhere", ["file ", "/nowhere: there is no such file"]),
            ("combiner: ''", ["combiner is empty"]),
            ("name: a\nname: b", ["no YAML: line 2: 'name' is there twice."]),
            ("param: {a: 1, b: 2, a: 3}", ["no YAML: line 1: 'a' is there twice."]),
        ],
    )
    def test_what_is_wrong_with_it_is_named(self, tmp_path, content, words):
        (tmp_path / "bad.yaml").write_text(content)
        message = refusal(*MINIMAL, "--job-file", "bad.yaml")
        assert message.startswith("--job-file bad.yaml: "), message
        assert all(word in message for word in words), message
        assert "--" not in message.removeprefix("--job-file")

    @pytest.mark.parametrize(
        ("paths", "said"), [("input: ''\noutput: y", "input is empty"), ("input: x\noutput: ''", "output is empty")]
    )
    def test_an_empty_path_is_not_the_directory_of_the_file(self, tmp_path, paths, said):
        (tmp_path / "bad.yaml").write_text(f"{paths}\nmapper: shell:cat\nreducers: 0")
        assert said in refusal("--job-file", "bad.yaml")

    def test_a_tilde_is_the_home_directory(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "map.py").touch()
        (tmp_path / "project" / "home.yaml").write_text(
            "mapper: ~/map.py\nreducers: 0\ninput: [~/in/*.txt, ./~/x]\noutput: ~/out/"
        )
        request = parse("--job-file", "project/home.yaml")
        assert request.programs == {"mapperName": tmp_path / "map.py"}
        assert request.body["inputPath"] == [f"file://{tmp_path}/in/*.txt", f"file://{tmp_path}/project/~/x"]
        assert request.body["outputPath"] == f"file://{tmp_path}/out/"

    def test_map_only_on_the_command_line_leaves_out_what_the_file_says_of_reducing(self, tmp_path):
        (tmp_path / "job.yaml").write_text("reducer: builtin:sum\ncombiner: builtin:sum\nreducers: 4")
        rest = (*MINIMAL[:2], *MINIMAL[4:], "--job-file", "job.yaml")
        body = parse(*rest, "--reducers", "0").body
        assert body["nReducers"] == 0
        assert not {"reducerName", "combinerName"} & body.keys()
        assert "leave --reducer out" in refusal(*rest, "--reducers", "0", "--reducer", "builtin:sum")

    def test_map_only_in_the_file_alone_is_said_of_the_file(self, tmp_path):
        (tmp_path / "job.yaml").write_text("reducer: builtin:sum\nreducers: 0")
        rest = (*MINIMAL[:2], *MINIMAL[4:], "--job-file", "job.yaml")
        assert refusal(*rest) == "--job-file job.yaml: reducers 0 is a map-only job: leave reducer out."
        assert refusal(*rest, "--reducer", "x").endswith("leave --reducer out.")

    def test_what_options_replace_is_not_looked_at(self, tmp_path):
        (tmp_path / "bad.yaml").write_text("reducers: many")
        assert parse(*MINIMAL, "--job-file", "bad.yaml", "--reducers", 2).body["nReducers"] == 2
        assert refusal(*MINIMAL, "--job-file", "bad.yaml", "--reducers", "few").startswith("Invalid value for '--red")

    def test_one_that_is_not_there(self):
        assert "nowhere.yaml" in refusal(*MINIMAL, "--job-file", "nowhere.yaml")


@click.command
@job_options
def embedded_probe(**options):
    return job_request(options, embedded=True, local_paths=True)


def test_run_keeps_no_map_outputs():
    with pytest.raises(click.UsageError, match="apollo up"):
        embedded_probe.main([*MINIMAL, "--keep-intermediate"], standalone_mode=False)
