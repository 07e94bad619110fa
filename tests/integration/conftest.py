from support.leftovers import scene
from support.pod_cluster import cluster
from support.seaweedfs import s3_bucket, s3_server

__all__ = ["cluster", "s3_bucket", "s3_server", "scene"]
