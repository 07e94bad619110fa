"""The environment of a user's program: what Apollo tells it, and nothing of the worker's own."""

import os
import re
import sys
from pathlib import Path

from apollo_worker.artifact.context import ArtifactProgram, ProgramContext, ShellProgram

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program_environment(
    context: ProgramContext, directory: Path, sdk_directory: Path, socket_path: Path
) -> dict[str, str]:
    """The job's variables, then Apollo's own, which win.

    PATH begins with the directory of the worker's interpreter, so that `#!/usr/bin/env python3` runs it.
    """
    env = dict(context.env)
    env["PATH"] = os.pathsep.join(
        (str(Path(sys.executable).parent), env.get("PATH", os.environ.get("PATH", DEFAULT_PATH)))
    )
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(sdk_directory), env.get("PYTHONPATH"))))
    env["HOME"] = env["TMPDIR"] = str(directory)
    env["LANG"] = "C.UTF-8"
    env |= {variable_name(name): value for name, value in context.params.items()}
    env |= {
        "APOLLO_ROLE": context.role,
        "APOLLO_JOB_ID": context.job_id,
        "APOLLO_TASK_ID": context.task_id,
        "APOLLO_ATTEMPT": str(context.attempt_number),
        "APOLLO_PARTITION": str(context.partition),
    }
    if context.role == "map":
        env["APOLLO_INPUT"] = context.input_url
        env["APOLLO_INPUT_OFFSET"] = str(context.input_offset)
        env["APOLLO_INPUT_LENGTH"] = str(context.input_length_bytes)
    if context.protocol == "frames":
        env["APOLLO_SOCKET"] = str(socket_path)
    return env


def command_line(program: ArtifactProgram | ShellProgram, directory: Path) -> list[str]:
    """What runs the program that lies in `directory`."""
    if isinstance(program, ShellProgram):
        return ["/bin/sh", "-c", program.command]
    return [str(directory / program.name)]


def hello_settings(context: ProgramContext) -> dict[str, str]:
    """The same for a frames program, by its HELLO; parameters keep their names."""
    settings = {
        "role": context.role,
        "job_id": context.job_id,
        "task_id": context.task_id,
        "attempt": str(context.attempt_number),
        "partition": str(context.partition),
    }
    return settings | {f"param.{name}": value for name, value in context.params.items()}


def variable_name(param: str) -> str:
    """`min-count` is APOLLO_PARAM_MIN_COUNT."""
    return "APOLLO_PARAM_" + re.sub(r"[^A-Z0-9_]", "_", param.upper())
