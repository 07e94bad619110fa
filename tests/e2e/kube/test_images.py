"""The images of services/*/Dockerfile, run by the Docker Engine as a restricted pod would be."""

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from support.apollo_cli import REPOSITORY
from support.cluster.images import COORDINATOR, WORKER

pytestmark = pytest.mark.timeout(600)  # the first builds images

IMAGES = {"coordinator": COORDINATOR, "worker": WORKER}
RESTRICTED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--network=none",
    "--tmpfs=/tmp:exec",
)
TOOLS = ("cc", "gcc", "c++", "ld", "as", "make", "pip", "pip3", "git", "curl", "wget", "apollo")
WORD_COUNT = REPOSITORY / "examples/word_count"
STATIC_SOURCE = "#include <stdio.h>\nint main(void) { int c; while ((c = getchar()) != EOF) putchar(c); return 0; }\n"

Run = Callable[..., str]


@pytest.fixture
def run(cluster) -> Run:
    """The output of a command in a new container of an image, as the image's own user."""

    def run(image: str, *command: str, options: tuple[str, ...] = RESTRICTED, stdin: str = "") -> str:
        docker = ["/usr/bin/docker", "--host", f"unix://{cluster.state.docker_socket}", "run", "--rm", "--interactive"]
        done = subprocess.run(
            [*docker, *options, f"--entrypoint={command[0]}", image, *command[1:]], input=stdin, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(params=IMAGES)
def service(request) -> str:
    return request.param


def test_an_image_says_what_it_is_and_runs_as_nobody_special(cluster, service, record_property):
    (image,) = json.loads(cluster.docker("image", "inspect", IMAGES[service]))
    labels = {name.rpartition(".")[2]: value for name, value in image["Config"]["Labels"].items()}
    version = tomllib.loads((REPOSITORY / f"services/{service}/pyproject.toml").read_text())["project"]["version"]
    said = (labels["title"], labels["version"], labels["licenses"], labels["revision"])
    assert said == (f"apollo-{service}", version, "Apache-2.0", "unknown")
    assert image["Config"]["User"] == "10001:10001"
    record_property(f"image of the {service}, MB", image["Size"] // 1_000_000)


def test_an_image_has_neither_tools_nor_tests_nor_sources_in_c(run, service):
    there = run(IMAGES[service], "sh", "-c", f"for tool in {' '.join(TOOLS)}; do command -v $tool; done; true")
    assert there == ""
    assert (
        run(IMAGES[service], "find", "/opt", "-name", "tests", "-o", "-name", "conftest.py", "-o", "-name", "*.[ch]")
        == ""
    )


def test_its_user_can_change_no_file_of_an_image(run, service):
    """Not even with a root file system that is not read-only."""
    # It says so where that user may not even look.
    script = "find / -xdev -type f -writable 2>/dev/null; find /opt -xdev ! -user root; test $(id -u) = 10001"
    assert run(IMAGES[service], "sh", "-c", script, options=("--network=none",)) == ""


def test_a_worker_has_what_programs_in_python_need(run):
    code = "import apollo_sdk, sys; print(apollo_sdk.__name__, sys.version_info >= (3, 11))"
    assert run(WORKER, "/usr/bin/env", "python3", "-c", code) == "apollo_sdk True\n"


def test_a_worker_runs_shell_and_awk(run):
    with_examples = (*RESTRICTED, f"--volume={WORD_COUNT}:/programs:ro")
    mapped = run(WORKER, "/programs/mapper.awk", options=with_examples, stdin="to be or\nnot to be\n")
    assert mapped == "to\t1\nbe\t1\nor\t1\nnot\t1\nto\t1\nbe\t1\n"
    assert run(WORKER, "sh", "-c", "sort | uniq -c | tr -d ' '", stdin="be\nto\nbe\n") == "2be\n1to\n"


def test_a_worker_runs_a_static_program(run, tmp_path: Path):
    (tmp_path / "copy.c").write_text(STATIC_SOURCE)
    subprocess.run(["gcc", "-static", "-o", tmp_path / "copy", tmp_path / "copy.c"], check=True)
    tmp_path.chmod(0o755)
    with_program = (*RESTRICTED, f"--volume={tmp_path}:/programs:ro")
    assert run(WORKER, "/programs/copy", options=with_program, stdin="a line\n") == "a line\n"
