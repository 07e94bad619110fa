"""From a job's body to the job's specification and secrets: the checks that look at more than one field."""

import asyncio
import hashlib
import json
from dataclasses import dataclass

from apollo_common.storage.location import endpoint_of
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.api.given_inputs import check_inputs, given_inputs
from apollo_coordinator.api.key_fields import check_key_fields, to_key_rules
from apollo_coordinator.api.locations import check_form, check_own, out_of_reach
from apollo_coordinator.api.pod_fields import check_pods, to_overrides
from apollo_coordinator.api.problem import ApiProblem, FieldError, invalid
from apollo_coordinator.api.schemas import Credentials, JobBody
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.strictness import shortened
from apollo_coordinator.api.text_fields import check_text_fields, to_text_fields
from apollo_coordinator.core.bad_records import FAILURES_BEFORE_SKIPPING, MIN_ATTEMPTS
from apollo_coordinator.core.plan import SplitPolicy
from apollo_coordinator.core.spec import JobInput, JobSpec, ProgramRef, ProgramSource, SideFileRef
from apollo_coordinator.ports import ArtifactInfo, ArtifactStore, JobSecrets

BUILTIN_MAPPERS = ("identity",)
BUILTIN_REDUCERS = ("identity", "sum", "count", "min", "max", "unique")
BUILTIN_COMBINERS = ("identity", "sum", "min", "max", "unique")  # counting counts would be wrong

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
    artifacts = await _find_artifacts(body, store)
    inputs = given_inputs(body)
    each_input = tuple(
        JobInput(path, _program(given.mapper, body, artifacts), given.record_format)
        for given in inputs
        for path in given.paths
    )
    spec = JobSpec(
        input_paths=tuple(given.path for given in each_input),
        output_path=body.output_path,
        mapper=each_input[0].mapper,
        record_format=each_input[0].record_format,
        inputs=each_input if body.inputs else (),
        split_policy=SplitPolicy(body.split_policy),
        allow_no_input=body.allow_no_input,
        reducer=_program(body.reducer_name, body, artifacts) if body.reducer_name else None,
        combiner=_program(body.combiner_name, body, artifacts) if body.combiner_name else None,
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
    return Submission(spec, _secrets(body), artifacts)


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
        if name.startswith("builtin:") and name.removeprefix("builtin:") not in builtins:
            choice = "one of " if len(builtins) > 1 else ""
            fix = f"Use {choice}{', '.join(f'builtin:{builtin}' for builtin in builtins)}."
            message = f"There is no built-in {shortened(name)} for this role."
            wrong.append(FieldError(field=field, message=message, fix=fix))
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
        (
            inputs[0].path_field,
            "inputStorageCredentials",
            [location for _, location in input_paths],
            body.input_storage_credentials,
        ),
        ("outputPath", "outputStorageCredentials", [body.output_path], body.output_storage_credentials),
    )
    for field, credentials_field, locations, credentials in sides:
        for endpoint in dict.fromkeys(filter(None, map(endpoint_of, locations))):
            if body.use_ssl is not None and body.use_ssl != endpoint.startswith("https:"):
                fix = f"Make {field} and useSSL agree, or leave useSSL out."
                wrong.append(FieldError(field="useSSL", message=f"useSSL contradicts {field}.", fix=fix))
            given = credentials is not None or body.credentials_secret is not None
            if not given and not settings.store_policy.trusts(endpoint):
                message = "The coordinator's own credentials are not sent to this endpoint."
                fix = (
                    f"Name a Secret with credentialsSecret, give {credentials_field}, or have the operator list the "
                    "endpoint in APOLLO_STORAGE_ENDPOINTS."
                )
                wrong.append(FieldError(field=credentials_field, message=message, fix=fix))
        if settings.store_policy.own_prefix and credentials is None and body.credentials_secret is None:
            wrong += [error for location in locations if (error := check_own(field, location, settings.store_policy))]
    if not wrong and settings.store_policy.file_roots is not None:
        wrong = _check_roots([*input_paths, ("outputPath", body.output_path)], settings.store_policy)
    return wrong


def _check_roots(sides: list[tuple[str, str]], policy: StorePolicy) -> list[FieldError]:
    fix = "Use a location below a root that the operator lists, or s3://."
    return [
        FieldError(field=field, message="This file:// location is outside what the operator allows.", fix=fix)
        for field, location in sides
        if location.startswith("file://") and out_of_reach(location, policy)
    ]


async def _find_artifacts(body: JobBody, store: ArtifactStore) -> dict[str, ArtifactInfo]:
    wanted = [("files", name) for name in body.files]
    for field, name in (
        *_mappers(body),
        ("reducerName", body.reducer_name),
        ("combinerName", body.combiner_name),
    ):
        if name is not None and not name.startswith(("builtin:", "shell:")):
            wanted.append((field, name))
    found: dict[str, ArtifactInfo] = {}
    missing: list[FieldError] = []
    for field, name in wanted:
        info = await store.get(name)
        if info is None:
            fix = "Upload it with PUT /api/v1/artifacts, or correct the name."
            missing.append(FieldError(field=field, message=f"There is no artifact {name!r}.", fix=fix))
        elif field != "files" and info.type != "executable":
            fix = "Upload it again without type=file."
            raise invalid(FieldError(field=field, message=f"{name!r} was uploaded as a side file.", fix=fix))
        else:
            found[name] = info
    if missing:
        raise ApiProblem(404, missing[0].message, fields=missing, reason="unknown_artifact")
    return found


def _program(name: str, body: JobBody, artifacts: dict[str, ArtifactInfo]) -> ProgramRef:
    if name.startswith("builtin:"):
        return ProgramRef(ProgramSource.BUILTIN, name, stdio=body.stdio)
    if name.startswith("shell:"):
        return ProgramRef(ProgramSource.SHELL, name.removeprefix("shell:"), stdio=body.stdio)
    info = artifacts[name]
    protocol = info.protocol if body.protocol == "auto" else body.protocol
    return ProgramRef(ProgramSource.ARTIFACT, name, info.digest, protocol, body.stdio)


def _secrets(body: JobBody) -> JobSecrets | None:
    if body.input_storage_credentials is None and body.output_storage_credentials is None:
        return None
    return JobSecrets(_access(body.input_storage_credentials), _access(body.output_storage_credentials))


def _access(credentials: Credentials | None) -> StorageAccess:
    if credentials is None:
        return StorageAccess()
    return StorageAccess(access_key_id=credentials.username, secret_access_key=credentials.password.get_secret_value())
