"""Hadoop 3.4.2 from Maven Central's jars, in local mode; kept in the cache by the digest of pom.xml."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.cluster.places import cache_directory

_POM = Path(__file__).with_name("pom.xml")
_RUN_SECONDS = 120
_FETCH_SECONDS = 900
_CONFIGURATION = "<configuration><property><name>fs.defaultFS</name><value>file:///</value></property></configuration>"


class CannotInstall(Exception):
    pass


def ensure_hadoop() -> Path:
    """The directory with `lib` and `conf`; fetched when it is not there yet."""
    home = cache_directory() / f"hadoop-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]}"
    if home.is_dir():
        return home
    for program, package in (("java", "default-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise CannotInstall(f"{program} is missing; on Debian: apt-get install {package}")
    unfinished = home.with_name(home.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "conf").mkdir(parents=True)
    command = ["mvn", "-q", "-B", "-f", _POM, "dependency:copy-dependencies", f"-DoutputDirectory={unfinished}/lib"]
    subprocess.run([*map(str, command)], check=True, timeout=_FETCH_SECONDS)
    (unfinished / "conf/core-site.xml").write_text(_CONFIGURATION)
    unfinished.rename(home)
    return home


def streaming(arguments: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Runs a job as `hadoop jar hadoop-streaming.jar` would, in `directory`."""
    options = ["-D", "mapreduce.framework.name=local", "-D", f"hadoop.tmp.dir={directory}/hadoop-tmp"]
    return _java("org.apache.hadoop.streaming.HadoopStreaming", [*options, *arguments], directory)


def shell(arguments: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Runs `hadoop fs`."""
    return _java("org.apache.hadoop.fs.FsShell", arguments, directory)


def _java(main_class: str, arguments: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    home = ensure_hadoop()
    memory = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    opens = ["--add-opens", "java.base/java.lang=ALL-UNNAMED"]
    command = ["java", *memory, *opens, "-cp", f"{home}/conf:{home}/lib/*", main_class, *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        env=os.environ | {"TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS,
        check=False,
    )
