"""`python -m support.cluster up|down|running`. `up` also builds Apollo's images, as the sources are now."""

import subprocess
import sys

from support.cluster.binaries import CannotBuild
from support.cluster.cluster import Cluster
from support.cluster.daemons import DaemonFailed
from support.cluster.images import build_images
from support.cluster.packages import CannotInstall


def main() -> None:
    cluster = Cluster()
    match sys.argv[1:]:
        case ["up"]:
            cluster.up()
            build_images(cluster)
            print(f"export KUBECONFIG={cluster.state.kubeconfig} PATH={cluster.environment['PATH']}")
        case ["down"]:
            cluster.down()
        case ["running"]:
            sys.exit(not cluster.is_up)
        case _:
            sys.exit("usage: python -m support.cluster up|down|running")


if __name__ == "__main__":
    try:
        main()
    except (CannotBuild, CannotInstall, DaemonFailed) as error:
        sys.exit(f"cluster: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"cluster: {error}\n{error.stderr or ''}")
