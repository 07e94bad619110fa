"""From a job's body to the job's specification and secrets: the checks that look at more than one field."""

import asyncio
import hashlib
import json
from dataclasses import dataclass

from apollo_common.storage.location import endpoint_of
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.api.given_inputs import check_inputs, given_inputs
from apollo_coordinator.api.given_programs import (
    BUILTIN_COMBINERS,
    BUILTIN_MAPPERS,
    BUILTIN_REDUCERS,
    SIDE_FILES,
    check_builtin,
    find_artifacts,
    program_ref,
)
from apollo_coordinator.api.key_fields import check_key_fields, to_key_rules
from apollo_coordinator.api.locations import Side, check_form, check_sides
from apollo_coordinator.api.pod_fields import check_pods, to_overrides
from apollo_coordinator.api.problem import FieldError, invalid
from apollo_coordinator.api.schemas import Credentials, JobBody
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.text_fields import check_text_fields, to_text_fields
from apollo_coordinator.core.bad_records import FAILURES_BEFORE_SKIPPING, MIN_ATTEMPTS
from apollo_coordinator.core.plan import SplitPolicy
from apollo_coordinator.core.spec import JobInput, JobSpec, ProgramRef, SideFileRef
from apollo_coordinator.ports import ArtifactInfo, ArtifactStore, JobSecrets

_SCRYPT_COST = 1 << 14  # 16 MiB, some 50 ms: the body may hold a password, which its digest must not give away


@dataclass(frozen=True, slots=True)
class Submission:
    """A checked job. `artifacts`: what its programs are now, by name."""

    spec: JobSpec
    secrets: JobSecrets | None
    artifacts: dict[str, ArtifactInfo]


def digest_body(raw: bytes, idempotency_key: str) -> str:
    """Tells one body from another under the same key; equal for equal JSON, whatever its order and white space."""
    canonical = json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")).encode()
    return hashlib.scrypt(canonical, salt=idempotency_key.encode(), n=_SCRYPT_COST, r=8, p=1, dklen=32).hex()


async def check(body: JobBody, settings: ApiSettings) -> None:
    """Raises a 422 that names every field that is wrong, before any artifact is looked at."""
    wrong = [*check_inputs(body), *_check_programs(body), *_check_options(body, settings)]
    wrong += check_key_fields(body, reducers=body.n_reducers, reducer_name=body.reducer_name or "")
    wrong += check_pods(body.kubernetes, settings.pod_policy)
    wrong += await asyncio.to_thread(_check_locations, body, settings)  # thousands of them take a second
    if wrong:
        raise invalid(*wrong)


async def resolve(
    body: JobBody, store: ArtifactStore, *, user: str, idempotency_key: str, body_digest: str
) -> Submission:
    """Look the artifacts up and make the specification.

    404 when one does not exist, 422 for fields that make no sense with what it is.
    """
    artifacts = await find_artifacts(_named_programs(body), store)

    def program(name: str) -> ProgramRef:
        return program_ref(name, artifacts, protocol=body.protocol, stdio=body.stdio)

    inputs = given_inputs(body)
    each_input = tuple(
        JobInput(path, program(given.mapper), given.record_format) for given in inputs for path in given.paths
    )
    spec = JobSpec(
        input_paths=tuple(given.path for given in each_input),
        output_path=body.output_path,
        mapper=each_input[0].mapper,
        record_format=each_input[0].record_format,
        inputs=each_input if body.inputs else (),
        split_policy=SplitPolicy(body.split_policy),
        allow_no_input=body.allow_no_input,
        reducer=program(body.reducer_name) if body.reducer_name else None,
        combiner=program(body.combiner_name) if body.combiner_name else None,
        n_reducers=body.n_reducers,
        name=body.name,
        input_type=body.input_type,
        use_ssl=not body.output_path.startswith("http://") if body.use_ssl is None else body.use_ssl,
        split_size_bytes=body.split_size,
        overwrite=body.overwrite,
        params=dict(body.params),
        env=dict(body.env),
        files=tuple(SideFileRef(name, artifacts[name].digest) for name in body.files),
        max_attempts=body.max_attempts,
        timeout_seconds=body.timeout_seconds,
        job_timeout_seconds=body.job_timeout_seconds,
        partitioner=body.partitioner,
        keys=to_key_rules(body, body.map_output_separator),
        output_format=body.output_format,
        compression=body.compression,
        part_prefix=body.part_prefix,
        max_workers=body.max_workers,
        memory_budget_bytes=body.memory_budget,
        priority=body.priority,
        speculation=body.speculation,
        keep_intermediate=body.keep_intermediate,
        max_bad_records=body.max_bad_records,
        ignore_input=body.ignore_input,
        network=body.network,
        text=to_text_fields(body),
        credentials_secret=body.credentials_secret or "",
        kubernetes=to_overrides(body.kubernetes),
        user=user,
        idempotency_key=idempotency_key,
        body_digest=body_digest,
    )
    unheeded = check_text_fields(
        spec.text, spec.mappers, [*filter(None, (spec.reducer, spec.combiner))], spec.output_format
    )
    if wrong := list(unheeded):
        raise invalid(*wrong)
    return Submission(spec, to_secrets(body.input_storage_credentials, body.output_storage_credentials), artifacts)


def _check_programs(body: JobBody) -> list[FieldError]:
    wrong: list[FieldError] = []
    if body.n_reducers == 0:
        for field, value in (("reducerName", body.reducer_name), ("combinerName", body.combiner_name)):
            if value is not None:
                fix = "Leave it out, or ask for one reducer or more."
                wrong.append(FieldError(field=field, message="A job with nReducers 0 is map-only.", fix=fix))
    elif body.reducer_name is None:
        fix = "Name a reducer, such as builtin:identity, or set nReducers to 0."
        wrong.append(FieldError(field="reducerName", message="A job with reducers needs a reducer.", fix=fix))
    named = [
        *((field, name, BUILTIN_MAPPERS) for field, name in _mappers(body)),
        ("reducerName", body.reducer_name, BUILTIN_REDUCERS),
        ("combinerName", body.combiner_name, BUILTIN_COMBINERS),
    ]
    for field, name, builtins in named:
        if name is None:
            continue
        if (unknown := check_builtin(field, name, builtins)) is not None:
            wrong.append(unknown)
        if name.startswith("shell:") and body.protocol == "frames":
            fix = "Leave protocol out: programs that speak frames are recognised."
            wrong.append(FieldError(field="protocol", message="Shell commands speak the text protocol.", fix=fix))
    if len(set(body.files)) != len(body.files):
        wrong.append(FieldError(field="files", message="A side file is named twice.", fix="Name each file once."))
    return wrong


def _mappers(body: JobBody) -> list[tuple[str, str]]:
    """Field and name of each mapper, once."""
    return list(dict.fromkeys((given.mapper_field, given.mapper) for given in given_inputs(body)))


def _check_options(body: JobBody, settings: ApiSettings) -> list[FieldError]:
    wrong: list[FieldError] = []
    if body.max_bad_records and body.max_attempts < MIN_ATTEMPTS:
        fix = f"Set maxAttempts to {MIN_ATTEMPTS} or more, or leave maxBadRecords out."
        message = (
            f"Bad records are looked for once a task has failed {FAILURES_BEFORE_SKIPPING} times, but maxAttempts is "
            f"{body.max_attempts}."
        )
        wrong.append(FieldError(field="maxBadRecords", message=message, fix=fix))
    if body.network and not settings.allow_network:
        fix = "Leave network out, or have the operator set APOLLO_ALLOW_NETWORK on the coordinator."
        wrong.append(FieldError(field="network", message="Programs may not use the network here.", fix=fix))
    if body.credentials_secret is not None and not settings.secret_references:
        fix = (
            "Leave it out for the coordinator's own keys, or use inputStorageCredentials and outputStorageCredentials."
        )
        message = "Secrets can only be named on a coordinator that runs on Kubernetes."
        wrong.append(FieldError(field="credentialsSecret", message=message, fix=fix))
    if body.credentials_secret is not None and (body.input_storage_credentials or body.output_storage_credentials):
        message = "This job names a Secret and gives credentials."
        wrong.append(FieldError(field="credentialsSecret", message=message, fix="Do one or the other."))
    return wrong


def _check_locations(body: JobBody, settings: ApiSettings) -> list[FieldError]:
    """Reads the disk."""
    inputs = given_inputs(body)
    input_paths = [(given.path_field, path) for given in inputs for path in given.paths]
    wrong = [error for field, location in input_paths if (error := check_form(field, location))]
    wrong += [error for error in (check_form("outputPath", body.output_path),) if error]
    if wrong:
        return wrong
    if len({endpoint_of(location) for _, location in input_paths if not location.startswith("file://")}) > 1:
        fix = "Read from one endpoint in one job."
        wrong.append(FieldError(field=inputs[0].path_field, message="These inputs lie on several endpoints.", fix=fix))
    sides = (
        Side(inputs[0].path_field, "inputStorageCredentials", input_paths, body.input_storage_credentials is not None),
        Side(
            "outputPath",
            "outputStorageCredentials",
            [("outputPath", body.output_path)],
            body.output_storage_credentials is not None,
        ),
    )
    wrong += check_sides(sides, settings, use_ssl=body.use_ssl, names_secret=body.credentials_secret is not None)
    return wrong


def _named_programs(body: JobBody) -> list[tuple[str, str]]:
    """Fields and names, side files first."""
    named = [(SIDE_FILES, name) for name in body.files]
    named += _mappers(body)
    others = (("reducerName", body.reducer_name), ("combinerName", body.combiner_name))
    return named + [(field, name) for field, name in others if name is not None]


def to_secrets(of_input: Credentials | None, of_output: Credentials | None) -> JobSecrets | None:
    if of_input is None and of_output is None:
        return None
    return JobSecrets(_access(of_input), _access(of_output))


def _access(credentials: Credentials | None) -> StorageAccess:
    if credentials is None:
        return StorageAccess()
    return StorageAccess(access_key_id=credentials.username, secret_access_key=credentials.password.get_secret_value())
