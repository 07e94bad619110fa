"""`up`, `down` and `running` for a shell: of whatever is started for tests and outlives the command."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Protocol

from support.cluster.binaries import CannotBuild
from support.cluster.daemons import DaemonFailed
from support.cluster.packages import CannotInstall


class Place(Protocol):
    """What end-to-end tests run on. `up` and `down` may be called again."""

    @property
    def is_up(self) -> bool: ...

    @property
    def variables(self) -> Mapping[str, str]:
        """With which a shell's programs reach it."""
        ...

    def up(self) -> None: ...

    def down(self) -> None: ...


def run_verb(name: str, place: Place, build_images: Callable[[], None]) -> None:
    """The one on the command line; `up` also builds the images. Ends the process with a sentence after a failure."""
    try:
        match sys.argv[1:]:
            case ["up"]:
                place.up()
                build_images()
                print("export", *(f"{variable}={shlex.quote(value)}" for variable, value in place.variables.items()))
            case ["down"]:
                place.down()
            case ["running"]:
                sys.exit(not place.is_up)
            case _:
                sys.exit(f"usage: python -m support.{name} up|down|running")
    except (CannotBuild, CannotInstall, DaemonFailed) as error:
        sys.exit(f"{name}: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{name}: {error}\n{error.stderr or ''}")
