#!/usr/bin/env python3
"""Runs beside a job's own program, in its working directory: makes Hadoop's surroundings, then becomes the program.

Files get the names that the job gave them, archives are unpacked, variables are set, and the program of the role takes
this process's place. What to do is in APOLLO_PARAM_HADOOP_TASK, JSON: `commands` (role -> words), `variables` (map and
reduce -> name -> value), `files` ([name in the directory, name that the program expects, kind] each), `roots` ([store
URL, what Hadoop calls it] each), `hdfs` (where it lies), `job` (Hadoop's id), `failures` (whether a status other than 0
is a failure).
"""

import errno
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tarfile
import termios
import zipfile
from typing import Any

INTERPRETER = "@python"
PARAMETER = "APOLLO_PARAM_HADOOP_TASK"
TAR_KINDS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ZIP_KINDS = (".zip", ".jar")
NOT_FOUND, NOT_EXECUTABLE = 127, 126


def main() -> None:
    task = json.loads(os.environ.pop(PARAMETER))
    role = os.environ["APOLLO_ROLE"]
    for placed, wanted, kind in task["files"]:
        place(placed, wanted, kind)
    for placed in {placed for placed, _, _ in task["files"]}:
        os.unlink(placed)
    os.environ.update(hadoop_variables(task, role))
    restore_path()
    for name, value in task["variables"]["reduce" if role == "reduce" else "map"].items():
        os.environ[name] = os.path.expandvars(value)
    if role == "reduce" and not has_input():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Hadoop Streaming drops what such a reducer writes
    words = task["commands"][role]
    program = sys.executable if words[0] == INTERPRETER else find(words[0])
    begin = os.execv if task["failures"] else wait_for
    try:
        begin(program, words)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            sys.stderr.write(f"Cannot run program {words[0]!r}: {error.strerror}\n")
            sys.exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE)
        # A script without a first line that names its interpreter is one of the shell's, as in execvp(3).
        begin("/bin/sh", ["sh", program, *words[1:]])


def wait_for(program: str, words: list[str]) -> None:
    """With whatever status it ends."""
    subprocess.run(words, executable=program, check=False)  # noqa: S603  # what the job asks for


def has_input() -> bool:
    """Waits for the first bytes of standard input, or for its end."""
    select.select([0], [], [])
    return any(fcntl.ioctl(0, termios.FIONREAD, bytes(4)))


def place(placed: str, wanted: str, kind: str) -> None:
    """Give a file its name; unpack an archive into a directory of that name."""
    os.makedirs(os.path.dirname(wanted) or ".", exist_ok=True)
    if kind == "file":
        os.link(placed, wanted)
        return
    os.mkdir(wanted)
    if kind.endswith(ZIP_KINDS):
        with zipfile.ZipFile(placed) as archive:
            for entry in archive.infolist():
                path = archive.extract(entry, wanted)
                os.chmod(path, (entry.external_attr >> 16) & 0o777 | 0o500)
    elif kind.endswith(TAR_KINDS):
        with tarfile.open(placed) as archive:
            if hasattr(tarfile, "tar_filter"):
                archive.extraction_filter = staticmethod(tarfile.tar_filter)
            archive.extractall(wanted)  # noqa: S202  # in the task's own directory, filtered where Python can
    else:  # as Hadoop does with what it cannot unpack
        os.link(placed, os.path.join(wanted, os.path.basename(wanted)))


def hadoop_variables(task: dict[str, Any], role: str) -> dict[str, str]:
    """What Hadoop tells of the task. A combiner is a part of its map task."""
    is_map = role != "reduce"
    partition = os.environ["APOLLO_PARTITION"]
    identity = f"{task['job'].removeprefix('job_')}_{'m' if is_map else 'r'}_{int(partition):06d}"
    attempt = f"attempt_{identity}_{os.environ['APOLLO_ATTEMPT']}"
    told = {
        "APOLLO_HDFS": task["hdfs"],  # programs may call the command themselves
        "mapreduce_job_id": task["job"],
        "mapred_job_id": task["job"],
        "mapreduce_task_id": f"task_{identity}",
        "mapred_tip_id": f"task_{identity}",
        "mapreduce_task_attempt_id": attempt,
        "mapred_task_id": attempt,
        "mapreduce_task_partition": partition,
        "mapred_task_partition": partition,
        "mapreduce_task_ismap": str(is_map).lower(),
        "mapred_task_is_map": str(is_map).lower(),
        "mapreduce_job_local_dir": os.getcwd(),
        "job_local_dir": os.getcwd(),
    }
    if role == "map":
        split = {
            "file": shown(task, os.environ["APOLLO_INPUT"]),
            "start": os.environ["APOLLO_INPUT_OFFSET"],
            "length": os.environ["APOLLO_INPUT_LENGTH"],
        }
        for name, value in split.items():
            told[f"mapreduce_map_input_{name}"] = told[f"map_input_{name}"] = value
    return told


def shown(task: dict[str, Any], url: str) -> str:
    for root, name in task["roots"]:
        if url.startswith(root):
            return str(name) + url[len(root) :]
    return url


def restore_path() -> None:
    """The worker's interpreter came first for this script; the program finds what the machine's PATH finds first."""
    first, _, rest = os.environ["PATH"].partition(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(filter(None, (rest, first)))


def find(word: str) -> str:
    """Files of the working directory come before those of PATH."""
    if "/" in word:
        return word
    return os.path.abspath(word) if os.path.isfile(word) else shutil.which(word) or word


if __name__ == "__main__":
    main()
