"""Hadoop's paths, and the store URLs that they mean here.

`hdfs://` lies where APOLLO_HDFS says: a file:// or s3:// URL, by default a directory of the user's own. Paths without a
scheme are files of this machine, as for a Hadoop that nobody has configured, or lie there as well where APOLLO_HDFS or
`fs.defaultFS` says so.
"""

import getpass
import os
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from apollo_client.hadoop.errors import HadoopUsage

HDFS_VARIABLE = "APOLLO_HDFS"
_LOCAL_HDFS = ".local/share/apollo/hdfs"
_S3_SCHEMES = frozenset({"s3", "s3a", "s3n"})
_HDFS_SCHEMES = frozenset({"hdfs", "viewfs", "webhdfs"})
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Paths:
    """Both roots are store URLs without a trailing slash; `default_root` is empty where this machine is meant."""

    hdfs_root: str
    default_root: str = ""
    user: str = "nobody"
    directory: str = "/"

    def url(self, text: str) -> str:
        """The store URL of a path as a user writes it, without a trailing slash. HadoopUsage."""
        if not text:
            raise HadoopUsage("Can not create a Path from an empty string")
        match = _SCHEME.fullmatch(text)
        if match is None:
            if not self.default_root:
                return f"file://{_clean(posixpath.join(self.directory, text))}"
            return _below(self.default_root, posixpath.join(f"/user/{self.user}", text))
        scheme, rest = match[1].lower(), match[2]
        authority, path = _parts(rest)
        if scheme == "file":
            return f"file://{_clean(path)}"
        if scheme in _S3_SCHEMES:
            return _below(f"s3://{authority}", path)
        if scheme in _HDFS_SCHEMES:
            return _below(self.hdfs_root, path)
        raise HadoopUsage(f'No FileSystem for scheme "{scheme}": use file://, s3:// or hdfs:// ({HDFS_VARIABLE})')

    def shown(self, url: str) -> str:
        """A store URL as Hadoop would show it: `file:/path`, `s3://bucket/key`, `hdfs:///path`."""
        if url.startswith(f"{self.hdfs_root}/"):
            return f"hdfs://{url[len(self.hdfs_root) :]}"
        return f"file:{url.removeprefix('file://')}" if url.startswith("file://") else url


def resolver(default_fs: str = "") -> Paths:
    """The paths of this process. `default_fs` is `fs.defaultFS` as a user gives it; empty: not given."""
    configured = os.environ.get(HDFS_VARIABLE, "")
    hdfs_root = _root(configured) if configured else f"file://{Path.home() / _LOCAL_HDFS}"
    user = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
    plain = Paths(hdfs_root, user=user, directory=os.getcwd())  # noqa: PTH109  # a string is wanted
    default_root = hdfs_root if configured else ""
    if default_fs:
        default_root = "" if default_fs.startswith("file:") else plain.url(default_fs).rstrip("/")
    return Paths(hdfs_root, default_root, user, plain.directory)


def _root(text: str) -> str:
    if text.startswith("/"):
        text = f"file://{text}"
    if not text.startswith(("file:///", "s3://")):
        raise HadoopUsage(f"{HDFS_VARIABLE}={text}: write file:///path or s3://bucket/prefix")
    return text.rstrip("/")


def _parts(rest: str) -> tuple[str, str]:
    if not rest.startswith("//"):
        return "", rest
    authority, slash, path = rest[2:].partition("/")
    return authority, slash + path


def _below(root: str, path: str) -> str:
    return root + _clean(f"/{path}").rstrip("/")


def _clean(path: str) -> str:
    """Without double slashes, `.` and `..`, which stay as they are in no path of Hadoop's."""
    return posixpath.normpath(f"/{path.lstrip('/')}")
