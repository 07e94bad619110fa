"""Each package's wheel installs alone, with what it declares and nothing else, and all of it can be imported."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = sorted(str(path.parent.relative_to(REPOSITORY)) for path in REPOSITORY.glob("*/*/pyproject.toml"))
BIN = Path(sys.executable).parent

IMPORT_ALL = """
import importlib, importlib.metadata, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
for script in importlib.metadata.distribution(sys.argv[2]).entry_points:
    print(script.name, callable(script.load()))
"""


def project(folder: str) -> dict:
    return tomllib.loads((REPOSITORY / folder / "pyproject.toml").read_text())["project"]


def module(folder: str) -> str:
    (package,) = (path.parent.name for path in (REPOSITORY / folder / "src").glob("*/__init__.py"))
    return package


def run(*command: object) -> str:
    # No PYTHONPATH: what the wheel lacks must be missed.
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONDEVMODE")}
    done = subprocess.run(
        [*map(str, command)], env=env, capture_output=True, text=True, cwd="/", timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("wheels")
    for folder in PACKAGES:
        run(BIN / "uv", "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--quiet",
            "--out-dir", target, REPOSITORY / folder)  # fmt: skip
    return target


def install(wheels: Path, venv: Path, requirement: str) -> None:
    """Into a new environment. Our own packages come from the wheels only, whatever an index has under their names."""
    own = {project(folder)["name"]: next(wheels.glob(f"{module(folder)}-*.whl")) for folder in PACKAGES}
    wheel = own.pop(requirement.partition("[")[0])
    overrides = venv.parent / "own.txt"
    overrides.write_text("".join(f"{name} @ {path.as_uri()}\n" for name, path in own.items()))
    run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, venv)
    run(BIN / "uv", "pip", "install", "--quiet", "--python", venv / "bin/python", "--overrides", overrides,
        "--constraint", REPOSITORY / "requirements/runtime.txt", f"{requirement} @ {wheel.as_uri()}")  # fmt: skip


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_wheel_installs_alone(wheels, tmp_path, folder):
    name = project(folder)["name"]
    python = tmp_path / "venv/bin/python"
    install(wheels, tmp_path / "venv", name)
    loaded = run(python, "-c", IMPORT_ALL, module(folder), name).splitlines()
    assert sorted(loaded) == sorted(f"{script} True" for script in project(folder).get("scripts", {}))


def test_the_command_runs_from_wheels(wheels, tmp_path):
    """The client with its local extra, and nothing of the checkout."""
    install(wheels, tmp_path / "venv", "apollo-client[local]")
    words, out = tmp_path / "words.txt", tmp_path / "out"
    words.write_text("to\nbe\nor\nnot\nto\nbe\n")
    run(tmp_path / "venv/bin/apollo", "run", "--mapper", "shell:cat", "--reducer", "builtin:count",
        "--input", words, "--output", out)  # fmt: skip
    assert (out / "part-r-00000").read_text() == "be\t2\nnot\t1\nor\t1\nto\t2\n"
    assert run(tmp_path / "venv/bin/apollo-hadoop", "version").startswith("Hadoop ")
    assert (tmp_path / "venv/share/apollo/hadoop-streaming-apollo.jar").exists()  # mrjob looks for it there


def test_the_coordinators_wheel_holds_the_web_page(wheels):
    (wheel,) = wheels.glob("apollo_coordinator-*.whl")
    source = REPOSITORY / "services/coordinator/src"
    files = {str(path.relative_to(source)) for path in (source / "apollo_coordinator/web").glob("*.*")}
    assert "apollo_coordinator/web/index.html" in files
    assert files <= set(ZipFile(wheel).namelist())


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_package_says_its_version_once(wheels, folder):
    """The changelog's newest entry, the wheel and, where there is one, `__version__` agree."""
    version = project(folder)["version"]
    assert f"## {version}" in (REPOSITORY / folder / "CHANGELOG.md").read_text()
    assert len(list(wheels.glob(f"{project(folder)['name'].replace('-', '_')}-{version}-*.whl"))) == 1
    source = (REPOSITORY / folder / "src" / module(folder) / "__init__.py").read_text()
    assert "__version__" not in source or f'__version__ = "{version}"' in source
