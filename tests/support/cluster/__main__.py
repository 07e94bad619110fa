"""`python -m support.cluster up|down|running`. `up` also builds Apollo's images, as the sources are now."""

from support.cluster.cluster import Cluster
from support.cluster.images import build_images
from support.cluster.verbs import run_verb

if __name__ == "__main__":
    cluster = Cluster()
    run_verb("cluster", cluster, lambda: build_images(cluster))
