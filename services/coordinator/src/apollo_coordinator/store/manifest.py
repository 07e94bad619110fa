"""`_SUCCESS`: what a committed output says of itself."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from apollo_common.key_samples import unpack_keys
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.spec import JobSpec, KeyRules, ProgramRef, TextFields

SUCCESS = "_SUCCESS"
MAX_MANIFEST_BYTES = 64 << 20


def encode_manifest(job: Job) -> bytes:
    """{job, parts: [{name, size, records, sha256}], counters, spec}.

    The spec holds neither `env` nor `params`: people put keys of other systems there.
    """
    outputs = [task.output for task in job.output_tasks if task.output is not None]
    parts = [
        {
            "name": output.url.rpartition("/")[2],
            "size": output.size_bytes,
            "records": output.records,
            "sha256": output.sha256,
        }
        for output in outputs
    ]
    document = {"job": job.id, "parts": parts, "counters": job.counters, "spec": _spec(job.spec) | _splitters(job)}
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Written:
    """What a `_SUCCESS` says: the job that wrote it, empty when it is none of ours, and what its parts are called."""

    job: str = ""
    parts: tuple[str, ...] = ()


def decode_manifest(content: bytes) -> Written:
    """Whatever the bytes are."""
    try:
        document = json.loads(content)
    except ValueError:
        return Written()
    if not isinstance(document, dict):
        return Written()
    parts = document.get("parts")
    names = [part.get("name") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return Written(str(document.get("job", "")), tuple(name for name in names if isinstance(name, str)))


def _spec(spec: JobSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "inputPath": list(spec.input_paths),
        "inputFormat": spec.record_format,
        "inputs": [
            {"inputPath": given.path, "inputFormat": given.record_format, "mapper": _program(given.mapper)}
            for given in spec.inputs
        ],
        "outputPath": spec.output_path,
        "nReducers": spec.n_reducers,
        "splitSize": spec.split_size_bytes,
        "mapper": _program(spec.mapper),
        "combiner": _program(spec.combiner),
        "reducer": _program(spec.reducer),
        "partitioner": spec.partitioner,
        "outputFormat": spec.output_format,
        "compression": spec.compression,
        **({"redriveOf": spec.redrive_of} if spec.redrive_of else {}),
        **_keys(spec.keys),
        **_differing(spec.text, TextFields()),
    }


def _differing(given: TextFields, usual: TextFields) -> Mapping[str, Any]:
    """Fields that a job has set, under their names in its body."""
    return {_camel_case(name): value for name, value in asdict(given).items() if value != getattr(usual, name)}


def _splitters(job: Job) -> dict[str, Any]:
    """Of keys in the order of their bytes; others are known by their splitters to the shuffle alone."""
    if job.splitters is None or job.spec.keys.order:
        return {}
    return {"splitters": [key.hex() for key in unpack_keys(base64.b64decode(job.splitters))]}


def _keys(keys: KeyRules) -> Mapping[str, Any]:
    if not keys.order and not keys.group_fields:
        return {}
    return {"keySeparator": keys.separator, "keyOrder": keys.order, "groupKeyFields": keys.group_fields}


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _program(program: ProgramRef | None) -> Mapping[str, str] | None:
    return (
        None
        if program is None
        else {"name": program.given_name, "sha256": program.digest, "protocol": program.protocol}
    )
