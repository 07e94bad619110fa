"""Workers as pods. Imported only where this pool is chosen: its client library takes 2 s to load.

`pool.py` is the WorkerPool; `api.py` the only file that touches the client library. Objects of Kubernetes are plain
JSON dictionaries here, parsed into what is needed of them in `pods.py`.
"""
