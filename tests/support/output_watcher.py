"""A reader of an output in S3 that looks at it all the time, and notes what no reader may ever see."""

import hashlib
import json
import threading
from collections.abc import Mapping
from typing import Any, Self

from botocore.exceptions import ClientError

SUCCESS = "_SUCCESS"


class OutputWatcher:
    """Reads `s3://bucket/prefix/` through a plain client until the context is left.

    `old` and `new` are the contents by name that may be seen: of the output that was there before, and of the job's.
    """

    def __init__(
        self, client: Any, bucket: str, prefix: str, old: Mapping[str, bytes], new: Mapping[str, bytes]
    ) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self._old, self._new = dict(old), dict(new)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="output watcher")
        self.violations: list[str] = []
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def parts(self) -> dict[str, bytes]:
        """Every object of the output but `_SUCCESS`, by name."""
        listed = self._client.list_objects_v2(Bucket=self._bucket, Prefix=f"{self._prefix}/").get("Contents", [])
        names = [each["Key"].removeprefix(f"{self._prefix}/") for each in listed]
        found = {name: self._read(name) for name in names if name != SUCCESS}
        return {name: content for name, content in found.items() if content is not None}

    def success(self) -> bytes | None:
        return self._read(SUCCESS)

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            before, parts, after = self.success(), self.parts(), self.success()
            self.looks += 1
            for name, content in parts.items():
                if content not in (self._old.get(name), self._new.get(name)):
                    self.violations.append(f"{name} is neither the old nor the new part: {len(content)} bytes")
            if before is not None and before == after:
                self._check_whole(before, parts)

    def _check_whole(self, success: bytes, parts: Mapping[str, bytes]) -> None:
        expected = self._old if success == self._old.get(SUCCESS) else self._new
        if parts != {name: content for name, content in expected.items() if name != SUCCESS}:
            self.violations.append(f"{SUCCESS} stands beside other parts than its own: {sorted(parts)}")
        for part in json.loads(success).get("parts", []):
            if hashlib.sha256(parts.get(part["name"], b"")).hexdigest() != part["sha256"]:
                self.violations.append(f"{SUCCESS} has another checksum for {part['name']}")

    def _read(self, name: str) -> bytes | None:
        try:
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}")["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return content
