"""`python -m support.compose up|down|running`: the engine, with all images, those of Apollo as the sources are now."""

import shlex
import subprocess
import sys

from support.cluster.binaries import CannotBuild
from support.cluster.daemons import DaemonFailed
from support.cluster.packages import CannotInstall
from support.compose.machine import Machine


def main() -> None:
    machine = Machine()
    match sys.argv[1:]:
        case ["up"]:
            machine.up()
            machine.build_images()
            exported = (f"{name}={shlex.quote(value)}" for name, value in machine.variables.items())
            print("export", *exported)  # noqa: T201 - a command
        case ["down"]:
            machine.down()
        case ["running"]:
            sys.exit(not machine.is_up)
        case _:
            sys.exit("usage: python -m support.compose up|down|running")


if __name__ == "__main__":
    try:
        main()
    except (CannotBuild, CannotInstall, DaemonFailed) as error:
        sys.exit(f"compose: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"compose: {error}\n{error.stderr or ''}")
