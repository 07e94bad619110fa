"""Finds a job's input in the object stores and plans its splits."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby

from apollo_common.assignment import Split
from apollo_common.errors import InputNotFound, TooManySplits
from apollo_common.record_format import parse_record_format
from apollo_common.storage.file import why_nothing
from apollo_common.storage.location import resolve_inputs, resolve_output
from apollo_common.storage.open import StoreOpener
from apollo_common.storage.port import ObjectInfo, StorageAccess
from apollo_common.threads import in_thread
from apollo_coordinator.core.plan import MAX_SPLITS, SplitPolicy, as_hadoop_orders, codec_of, plan_splits
from apollo_coordinator.core.spec import JobInput, JobSpec
from apollo_coordinator.ports import JobSecrets
from apollo_coordinator.store.overlap import check_apart, may_overlap

MAX_INPUT_OBJECTS = MAX_SPLITS  # empty ones too


@dataclass(frozen=True, slots=True)
class _Found:
    """An object of one of a job's inputs."""

    number: int
    given: JobInput
    info: ObjectInfo


class StoredInput:
    """The InputPlanner over object stores."""

    def __init__(self, stores: StoreOpener) -> None:
        self._stores = stores

    async def check_input(self, spec: JobSpec, access: StorageAccess) -> None:
        """InputNotFound names the first path that matches nothing. Looks at no more than one object of each.

        UnsupportedCompression when that one cannot be read; `plan` meets the others.
        """
        urls, access = resolve_inputs(spec.input_paths, access)
        for given, url in zip(spec.each_input, urls, strict=True):
            async with aclosing(self._find(given.path, url, access)) as found:
                first = await anext(found, None)
            if first is not None:
                codec_of(first.url, parse_record_format(given.record_format))
            elif not spec.allow_no_input:
                raise await _nothing_at(given.path, url)

    async def plan(self, spec: JobSpec, access: StorageAccess) -> Sequence[Split]:
        """Splits in the order of the paths; below a path, in byte order of the objects' URLs."""
        splits: list[Split] = []
        for (_, record_format), alike in groupby(
            await self._objects(spec, access), lambda found: (found.given.mapper, found.given.record_format)
        ):
            found = list(alike)
            splits += plan_splits(
                [each.info for each in found],
                spec.split_size_bytes,
                record_format=record_format,
                policy=spec.split_policy,
                job_input=found[0].number,
                max_splits=MAX_SPLITS - len(splits),
            )
        return as_hadoop_orders(splits) if spec.split_policy is SplitPolicy.HADOOP else splits

    async def _objects(self, spec: JobSpec, access: StorageAccess) -> list[_Found]:
        urls, access = resolve_inputs(spec.input_paths, access)
        objects: list[_Found] = []
        for number, (given, url) in enumerate(zip(spec.each_input, urls, strict=True)):
            below = [info async for info in self._find(given.path, url, access)]
            if not below and not spec.allow_no_input:
                raise await _nothing_at(given.path, url)
            objects += [_Found(number, given, info) for info in sorted(below, key=lambda info: info.url.encode())]
        return objects

    async def check_apart(self, spec: JobSpec, access: JobSecrets) -> None:
        """OutputHoldsInput when the job's commit would remove or replace what it reads. Lists what may lie there."""
        output, output_access = resolve_output(spec.output_path, access.output_access)
        urls, input_access = resolve_inputs(spec.input_paths, access.input_access)
        store = await self._stores.open(output, output_access)
        for path, url in zip(spec.input_paths, urls, strict=True):
            if await in_thread(may_overlap, url, output):
                found = [(info.url, info.version) async for info in self._find(path, url, input_access)]
                await check_apart(spec, store, found)

    async def _find(self, path: str, url: str, access: StorageAccess) -> AsyncGenerator[ObjectInfo, None]:
        """The objects of one input path: a bounded number."""
        store = await self._stores.open(url, access)
        count = 0
        async with aclosing(store.find(url)) as found:
            async for info in found:
                count += 1
                if count > MAX_INPUT_OBJECTS:
                    raise TooManySplits(
                        f"{path} matches more than {MAX_INPUT_OBJECTS} objects: concatenate small ones into larger, "
                        "or run a job for each part of them"
                    )
                yield info


async def _nothing_at(path: str, url: str) -> InputNotFound:
    why = await in_thread(why_nothing, url) if url.startswith("file://") else ""
    return InputNotFound(f"{why or f'nothing is at {path}'}; check inputPath")
