from support.kernel_without_landlock import kernel_without_landlock
from support.leftovers import scene
from support.pod_cluster import cluster
from support.seaweedfs import s3_bucket, s3_server

__all__ = ["cluster", "kernel_without_landlock", "s3_bucket", "s3_server", "scene"]
