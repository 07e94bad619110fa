"""From a redrive's body and the job that it redrives to the new job's specification and secrets."""

import asyncio
from dataclasses import replace

from apollo_common.record_format import parse_record_format
from apollo_coordinator.api.given_programs import BUILTIN_MAPPERS, check_builtin, find_artifacts, program_ref
from apollo_coordinator.api.locations import Side, check_form, check_sides
from apollo_coordinator.api.problem import FieldError, invalid
from apollo_coordinator.api.schemas import RedriveBody
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.submission import Submission, to_secrets
from apollo_coordinator.api.text_fields import check_text_fields
from apollo_coordinator.core.admission import output_key
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.redrive import with_mapper
from apollo_coordinator.core.spec import JobSpec, ProgramRef
from apollo_coordinator.ports import ArtifactStore


async def check_redrive(body: RedriveBody, spec: JobSpec, settings: ApiSettings) -> None:
    """Raises a 422 that names every field that is wrong. `spec`: of the job that is redriven."""
    wrong = [error for error in (check_builtin("mapperName", body.mapper_name, BUILTIN_MAPPERS),) if error]
    wrong += await asyncio.to_thread(_check_locations, body, spec, settings)
    if wrong:
        raise invalid(*wrong)


async def resolve_redrive(
    body: RedriveBody,
    job: Job,
    failed: ProgramRef,
    store: ArtifactStore,
    *,
    user: str,
    idempotency_key: str,
    body_digest: str,
) -> Submission:
    """The job's own specification, with another mapper in place of `failed` and another output."""
    artifacts = await find_artifacts([("mapperName", body.mapper_name)], store)
    fixed = program_ref(body.mapper_name, artifacts, protocol="auto", stdio=failed.stdio)
    secrets = to_secrets(body.input_storage_credentials, body.output_storage_credentials)
    spec = replace(
        with_mapper(job.spec, failed, fixed),
        output_path=body.output_path,
        overwrite=body.overwrite,
        use_ssl=not body.output_path.startswith("http://") if body.use_ssl is None else body.use_ssl,
        name=job.spec.name if body.name is None else body.name,
        credentials_secret="" if secrets is not None else job.spec.credentials_secret,
        redrive_of="" if body.remap else job.id,
        remap_of=job.id if body.remap else "",
        user=user,
        idempotency_key=idempotency_key,
        body_digest=body_digest,
    )
    wrong = [*_check_identity(fixed, spec), *_check_text(spec)]
    if wrong:
        raise invalid(*wrong)
    return Submission(spec, secrets, artifacts)


def _check_locations(body: RedriveBody, spec: JobSpec, settings: ApiSettings) -> list[FieldError]:
    """Reads the disk. The input is read only if all of it is mapped again."""
    if (wrong := check_form("outputPath", body.output_path)) is not None:
        return [wrong]
    if (
        not spec.n_reducers
        and not body.remap
        and output_key(replace(spec, output_path=body.output_path)) == output_key(spec)
    ):
        message = "This is the output of the job itself, in whose place only what its bad records give would be left."
        return [FieldError(field="outputPath", message=message, fix="Name another output.")]
    credentials = body.output_storage_credentials is not None
    sides = [Side("outputPath", "outputStorageCredentials", [("outputPath", body.output_path)], credentials)]
    if body.remap:
        paths = [("inputPath", path) for path in spec.input_paths]
        credentials = body.input_storage_credentials is not None
        sides.append(Side("inputPath", "inputStorageCredentials", paths, credentials))
    gives_any = body.input_storage_credentials is not None or body.output_storage_credentials is not None
    names_secret = bool(spec.credentials_secret) and not gives_any
    return check_sides(sides, settings, use_ssl=body.use_ssl, names_secret=names_secret)


def _check_identity(fixed: ProgramRef, spec: JobSpec) -> list[FieldError]:
    formats = (given.record_format for given in spec.each_input if given.mapper == fixed)
    if fixed.name != "builtin:identity" or all(parse_record_format(name).has_lines for name in formats):
        return []
    return [
        FieldError(
            field="mapperName", message="builtin:identity maps lines of text only.", fix="Name a mapper program."
        )
    ]


def _check_text(spec: JobSpec) -> list[FieldError]:
    """The job's rules for lines of text were for a mapper that wrote some."""
    others = [program for program in (spec.reducer, spec.combiner) if program is not None]
    return [
        FieldError(
            field="mapperName",
            message=f"The job sets {error.field}, which this mapper does not heed.",
            fix="Name one that speaks the text protocol.",
        )
        for error in check_text_fields(spec.text, spec.mappers, others, spec.output_format)
    ]
