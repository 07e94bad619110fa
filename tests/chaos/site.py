"""Where a run's jobs read and write: one bucket, one directory. Read with boto3 and pathlib, not with Apollo's code."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chaos.corpus import write_corpus
from chaos.shapes import COMMON, Shape
from support.seaweedfs import S3Server

OLD_OUTPUT = {f"part-r-{number:05d}": b"old %d\n" % number for number in range(5)} | {"_SUCCESS": b'{"job": "older"}\n'}

_KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Site:
    directory: Path
    server: S3Server  # as it is
    told: S3Server  # what Apollo is told: the same, or a proxy before it
    bucket: str
    corpus: list[Path]

    def behind(self, endpoint_url: str) -> "Site":
        """The same site, where Apollo reaches the server at another address."""
        return replace(self, told=replace(self.server, endpoint_url=endpoint_url))

    def body(self, shape: Shape, output: str) -> dict[str, Any]:
        """What a user would POST to run a job of this shape into an output of its own."""
        body = {**COMMON, **shape.body, "name": shape.name, "inputPath": self._input(shape)}
        body["outputPath"] = self._url(shape, output)
        if shape.credentials:
            given = {"username": self.server.access_key_id, "password": self.server.secret_access_key}
            body["outputStorageCredentials"] = given
            if shape.source == "s3":
                body["inputStorageCredentials"] = given
        return body

    def place_old_output(self, shape: Shape, output: str) -> None:
        for name, content in OLD_OUTPUT.items():
            if shape.target == "file":
                (self.directory / output).mkdir(parents=True, exist_ok=True)
                (self.directory / output / name).write_bytes(content)
            else:
                self.server.client().put_object(Bucket=self.bucket, Key=f"{output}/{name}", Body=content)

    def read_output(self, shape: Shape, output: str) -> dict[str, bytes]:
        """Everything that lies there, hidden or not, by its name below the output."""
        if shape.target == "file":
            root = self.directory / output
            return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        client = self.server.client()
        listed = client.list_objects_v2(Bucket=self.bucket, Prefix=f"{output}/").get("Contents", [])
        keys = [entry["Key"] for entry in listed]
        return {
            key.removeprefix(f"{output}/"): client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in keys
        }

    def uploads(self) -> list[str]:
        found = self.server.client().list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [f"{entry['Key']} {entry['UploadId']}" for entry in found]

    def staged(self) -> list[str]:
        """What uploads to files leave while they are under way."""
        return [str(path) for path in self.directory.rglob(".apollo-staging")]

    def _input(self, shape: Shape) -> str:
        if shape.source == "file":
            return f"file://{self.corpus[0].parent}/*.txt"
        return f"{self._s3(shape)}/in/"

    def _url(self, shape: Shape, output: str) -> str:
        if shape.target == "file":
            return f"file://{self.directory}/{output}"
        return f"{self._s3(shape)}/{output}"

    def _s3(self, shape: Shape) -> str:
        """The bucket, as a user with credentials of their own writes it, and as one without."""
        return f"{self.told.endpoint_url}/{self.bucket}" if shape.credentials else f"s3://{self.bucket}"


@contextmanager
def made(server: S3Server, seed: str) -> Iterator[Site]:
    """A site with its corpus in place, in a directory of its own: removed at the end, unless something was raised."""
    bucket = f"chaos-{secrets.token_hex(4)}"
    directory = Path(tempfile.gettempdir(), bucket)  # short: sockets lie below it
    directory.mkdir(mode=0o700)
    server.client().create_bucket(Bucket=bucket)
    corpus = write_corpus(directory / "in", seed)
    for path in corpus:
        server.client().put_object(Bucket=bucket, Key=f"in/{path.name}", Body=path.read_bytes())
    yield Site(directory, server, server, bucket, corpus)
    if not (directory / _KEPT).exists():
        shutil.rmtree(directory)


def keep(site: Site) -> None:
    """Leave the directory there when the site is closed."""
    (site.directory / _KEPT).touch()
