"""Objects and uploads in the words of S3's requests and answers."""

from collections.abc import Mapping
from typing import Any

from apollo_common.errors import InvalidLocation
from apollo_common.storage.location import parse
from apollo_common.storage.port import ObjectInfo, Upload


def object_arguments(url: str) -> dict[str, Any]:
    """How requests name one object. InvalidLocation when the URL names none."""
    location = parse(url)
    if location.scheme != "s3" or not location.key:
        raise InvalidLocation(f"{url} names no object: write s3://bucket/key")
    return {"Bucket": location.bucket, "Key": location.key}


def upload_arguments(upload: Upload) -> dict[str, Any]:
    """How requests name one upload."""
    return {**object_arguments(upload.url), "UploadId": upload.upload_id}


def listed_object(bucket: str, found: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(f"s3://{bucket}/{found['Key']}", found["Size"], found["ETag"], modified_ms(found))


def modified_ms(found: Mapping[str, Any]) -> int | None:
    """Since 1970; None where the answer does not tell."""
    return int(found["LastModified"].timestamp() * 1000) if "LastModified" in found else None


def listed_upload(bucket: str, found: Mapping[str, Any]) -> Upload:
    begun_ms = int(found["Initiated"].timestamp() * 1000) if "Initiated" in found else None
    return Upload(f"s3://{bucket}/{found['Key']}", found["UploadId"], begun_ms=begun_ms)
