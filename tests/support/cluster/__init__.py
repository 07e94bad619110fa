"""A real Kubernetes of one node on this machine, and a Docker Engine beside it, for tests: built, started, removed.

Everything it writes lies below two directories (`places.py`): what is worth keeping is cached by what it was made
from, all else goes with the cluster. Needs root, Go and Debian's packages; nothing of Apollo is imported here.
`support/compose` uses the parts of it that have to do with containers alone.
"""
