"""The ways through a worker: input -> mapper -> shuffle, input -> mapper -> part, shuffle -> reducer -> part, and for
samplers the beginning of an input -> mapper -> some of its keys.
"""

import struct
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from apollo_common.assignment import decode_map_outputs, decode_split, encode_counters, encode_part_uploads
from apollo_common.errors import PermanentError, ProgramError, VolumeFull
from apollo_common.key_samples import pack_keys, unpack_keys
from apollo_common.storage.location import parse
from apollo_common.storage.open import StoreOpener
from apollo_common.storage.port import Upload
from apollo_common.threads import in_thread
from apollo_common.timings import Step
from apollo_common.volumes import Volume
from apollo_proto.apollo import v1
from apollo_worker.access import storage_access
from apollo_worker.bad_records import BadRecordSearch, Found, Unheard, skipping, tell_of_search
from apollo_worker.core.columns import PairBatch, RecordBlock
from apollo_worker.core.line_fields import TAB_SEPARATED
from apollo_worker.core.slices import bounded_slices
from apollo_worker.first_bad_record import first_bad_record
from apollo_worker.input.cutter import InputLimits
from apollo_worker.input.inline import InlineReader
from apollo_worker.input.reader import SplitReader
from apollo_worker.output.part import PartWriter
from apollo_worker.ports import PairSink, RecordReader
from apollo_worker.programs import AttemptPrograms
from apollo_worker.reporting import AttemptReporter
from apollo_worker.room import tell_of_room, whole_bytes
from apollo_worker.sampling import KeySampler, beginning
from apollo_worker.shuffle.bucket_store import BucketStore
from apollo_worker.shuffle.group import key_at
from apollo_worker.shuffle.key_order import KeyOrder, with_prefixes
from apollo_worker.shuffle.key_rules import key_rules
from apollo_worker.shuffle.largest_group import LargestGroup
from apollo_worker.shuffle.map_output import MapOutputWriter, Spilled
from apollo_worker.shuffle.merge import merged
from apollo_worker.shuffle.store import MapOutputStore
from apollo_worker.shuffle.volume_store import VolumeStore
from apollo_worker.steps import Timed, doing


@dataclass(frozen=True, slots=True)
class Places:
    """Where an attempt finds its data and leaves it."""

    stores: StoreOpener
    volume: Path
    scratch: Path
    scratch_limit_bytes: int


class Pipeline:
    """Runs one attempt's data through its programs; counts on the way."""

    def __init__(
        self,
        assignment: v1.TaskAssignment,
        programs: AttemptPrograms,
        places: Places,
        reporter: AttemptReporter,
        budget_bytes: int,
        found: Found | None = None,
    ) -> None:
        """`found`: of an attempt whose bad records were looked for already."""
        self._assignment = assignment
        self._programs = programs
        self._places = places
        self._reporter = reporter
        self._budget_bytes = budget_bytes
        self._keys = key_rules(assignment.keys)
        self._rows_expected = 0
        self._rows_read = 0
        self._largest_group = LargestGroup()
        self.found = found  # of a skipping attempt, once it has read its input to the end

    async def run(self) -> v1.Done:
        """What the attempt's kind asks for. Errors: those of input, program, shuffle and output."""
        if self._assignment.reduce is not None:
            return await self._reduce(self._assignment.reduce)
        if self._assignment.map is None:
            raise PermanentError(f"attempt {self._assignment.attempt_id} neither maps nor reduces")
        if self._assignment.map.max_bad_records and self.found is None:
            self.found = await self._bad_records(self._assignment.map)
        if self._assignment.map.sample_bytes:
            return await self._sample(self._assignment.map)
        if self._assignment.map.partitions:
            return await self._map_to_shuffle(self._assignment.map)
        return await self._map_to_part(self._assignment.map)

    @property
    def searched_in_vain(self) -> bool:
        """Whether the attempt has looked for bad records, and every other one that looks would find as little."""
        return self.found is not None and self.found.unexplained and not self.found.bad

    async def first_bad_record(self, failed: v1.Failed) -> v1.RecordPlace | None:
        """A record on which the program fails as the attempt has, if it was to be looked for."""
        work = self._assignment.map
        if work is None or not work.find_bad_record:
            return None
        mapper, blocks = self._programs.mapper(Unheard()), self._reader(work).blocks()
        return await first_bad_record(mapper, blocks, failed, self._reporter.status, self._budget_bytes)

    async def _sample(self, work: v1.MapWork) -> v1.Done:
        sampler = KeySampler(self._keys.order)
        await self._map(work, sampler)
        return v1.Done(
            counters=encode_counters(self._reporter.counters()),
            output_records=sampler.records,
            sample_keys=pack_keys(sampler.kept),
            timings=self._reporter.timings(),
        )

    async def _map_to_shuffle(self, work: v1.MapWork) -> v1.Done:
        store = await self._map_output_store()
        space = store.space()
        writer = MapOutputWriter(
            store.directory(work.output_path),
            work.partitions,
            self._keys.partitioner(work.partitioner, unpack_keys(work.splitters)),
            self._budget_bytes,
            self._keys.combiner(self._programs.combiner()),
            space,
        )
        try:
            sink = ShuffleSink(writer, self._reporter, self._keys.order)
            async with self._telling_of_room(writer, space.disk.name):
                await self._map(work, sink)
                summary = await writer.finish()
                sink.tell(summary.spilled)
                with doing(Step.COMMIT):
                    await store.publish(work.output_path)
        except BaseException:
            await writer.abort()
            raise
        self._reporter.add("shuffle_bytes", sum(summary.partition_bytes))
        return v1.Done(
            counters=encode_counters(self._reporter.counters()),
            output_bytes=summary.size_bytes,
            output_records=summary.records,
            partition_bytes=struct.pack(f"<{len(summary.partition_bytes)}q", *summary.partition_bytes),
            timings=self._reporter.timings(),
        )

    async def _map_to_part(self, work: v1.MapWork) -> v1.Done:
        writer = await self._part_writer()
        try:
            async with self._telling_of_room(writer, Volume.OUTPUT):
                await self._map(work, _PartSink(writer, self._reporter, "map_output_records"))
                return await self._finish(writer)
        except BaseException:
            await writer.abort()
            raise

    async def _map(self, work: v1.MapWork, sink: PairSink) -> None:
        reader = self._reader(work)
        mapper = self._programs.mapper()
        async with aclosing(self._counted_blocks(self._records(work, reader), reader)) as blocks:
            try:
                await mapper.map(blocks, sink)
            except ProgramError as error:
                if self.found is not None:
                    tell_of_search(error, self.found)
                raise

    async def _bad_records(self, work: v1.MapWork) -> Found:
        """The first of two passes over the split."""
        search = BadRecordSearch(
            self._programs.mapper(Unheard()),
            self._reporter,
            self._budget_bytes,
            allowed=work.max_bad_records,
            tell=self._reporter.found,
        )
        async with aclosing(self._records(work, self._reader(work))) as blocks:
            return await search.find(blocks)

    def _records(self, work: v1.MapWork, reader: RecordReader) -> AsyncGenerator[RecordBlock, None]:
        """What is to be mapped, or searched for bad records."""
        if self.found is not None:
            return skipping(reader.blocks(), self.found)
        return beginning(reader.blocks(), work.sample_bytes) if work.sample_bytes else reader.blocks()

    def _reader(self, work: v1.MapWork) -> RecordReader:
        reader: RecordReader
        if work.records:
            reader = InlineReader(work.records)
        else:
            limits = InputLimits.for_memory_budget(self._budget_bytes)
            reader = SplitReader(self._places.stores, decode_split(work.split), storage_access(work.access), limits)
        self._reporter.input_bytes_total = reader.size_bytes
        return reader

    async def _reduce(self, work: v1.ReduceWork) -> v1.Done:
        outputs = decode_map_outputs(work.map_outputs)
        pairs = merged(
            outputs,
            await self._map_output_store(),
            work.partition,
            self._budget_bytes,
            scratch=self._places.scratch,
            scratch_limit_bytes=self._places.scratch_limit_bytes,
            counted=self._expect,
        )
        reducer = self._programs.reducer()
        writer = await self._part_writer()
        try:
            async with self._telling_of_room(writer, Volume.OUTPUT):
                async with aclosing(pairs), aclosing(self._counted_groups(self._keys.restored(pairs))) as counted:
                    await reducer.reduce(counted, _PartSink(writer, self._reporter, ""))
                return await self._finish(writer)
        except BaseException:
            await writer.abort()
            raise

    async def _counted_blocks(
        self, records: AsyncGenerator[RecordBlock, None], reader: RecordReader
    ) -> AsyncGenerator[RecordBlock, None]:
        async with aclosing(records) as blocks:
            async for block in Timed(Step.READ, blocks):
                self._reporter.add("input_records", block.count)
                yield block
                del block  # it may be one large record, and the next one is being read
                self._read_up_to(reader.input_bytes)
        self._read_up_to(reader.input_bytes)

    def _read_up_to(self, input_bytes: int) -> None:
        more_bytes = input_bytes - self._reporter.input_bytes
        self._reporter.read(more_bytes)
        self._reporter.add("input_bytes", more_bytes)

    async def _counted_groups(self, pairs: AsyncGenerator[PairBatch, None]) -> AsyncGenerator[PairBatch, None]:
        grouping = self._keys.grouping
        last_key: bytes | None = None
        async with aclosing(pairs):
            async for batch in pairs:
                if len(batch):
                    with doing(Step.SEND):
                        continues = last_key is not None and grouping.joins(last_key, key_at(batch, 0))
                        starts = grouping.starts(batch)
                        self._largest_group.add(batch, starts, continues=continues)
                        self._reporter.add("reduce_input_groups", len(starts) - continues)
                        last_key = key_at(batch, len(batch) - 1)
                rows = len(batch)
                yield batch
                del batch  # it may be one large pair, and the next one is being read
                self._read_pairs(rows)

    def _expect(self, rows: int, size_bytes: int) -> None:
        """A reduce's input is told in bytes of map output, as a map's is in bytes of its split."""
        self._rows_expected = rows
        self._reporter.input_bytes_total = size_bytes

    def _read_pairs(self, rows: int) -> None:
        self._rows_read += rows
        read_bytes = self._reporter.input_bytes_total * self._rows_read // max(1, self._rows_expected)
        more_bytes = read_bytes - self._reporter.input_bytes
        self._reporter.read(more_bytes)
        self._reporter.fetched(more_bytes)

    @asynccontextmanager
    async def _telling_of_room(self, writer: MapOutputWriter | PartWriter, volume: Volume) -> AsyncIterator[None]:
        """The error of the volume that is written to says how much is missing, as long as what was written is there."""
        try:
            yield
        except VolumeFull as error:
            place = self._place_of(error.volume)
            if error.volume == volume and place is not None and not error.needed_bytes:
                needed_bytes = whole_bytes(
                    writer.made_bytes, self._reporter.input_bytes, self._reporter.input_bytes_total
                )
                await in_thread(tell_of_room, error, needed_bytes, writer.kept_bytes, place)
            raise

    def _place_of(self, volume: str) -> Path | None:
        """A directory on what errors call so; None: it is no file system of ours."""
        target = self._assignment.output
        if volume == Volume.OUTPUT and target is not None:
            return Path(parse(target.url).key).parent
        return {str(Volume.INTERMEDIATE): self._places.volume, str(Volume.WORKER): self._places.scratch}.get(volume)

    async def _map_output_store(self) -> MapOutputStore:
        place = self._assignment.intermediate
        if place is None:
            return VolumeStore(self._places.volume)
        store = await self._places.stores.open(place.url, storage_access(place.access))
        return BucketStore(store, place.url, self._places.scratch, self._places.scratch_limit_bytes)

    async def _part_writer(self) -> PartWriter:
        target = self._assignment.output
        if target is None:
            raise PermanentError(f"attempt {self._assignment.attempt_id} has no output part to write")
        store = await self._places.stores.open(target.url, storage_access(target.access))
        upload = Upload(target.url, target.upload_id)
        return PartWriter(
            store,
            upload,
            output_format=target.format or "text",
            compression=target.compression,
            separator=target.separator.encode() or TAB_SEPARATED.separator,
        )

    async def _finish(self, writer: PartWriter) -> v1.Done:
        with doing(Step.COMMIT):
            part = await writer.finish()
        self._reporter.add("output_records", part.records)
        self._reporter.add("output_bytes", part.size_bytes)
        return v1.Done(
            counters=encode_counters(self._reporter.counters()),
            output_parts=encode_part_uploads(part.parts),
            output_bytes=part.size_bytes,
            output_records=part.records,
            output_sha256=part.sha256,
            largest_group=self._told_group(),
            timings=self._reporter.timings(),
        )

    def _told_group(self) -> v1.LargestGroup | None:
        group = self._largest_group
        if not group.records:
            return None
        return v1.LargestGroup(key=group.key, records=group.records, of_records=group.of_records)


class ShuffleSink:
    """What a mapper emits, on its way to the map output. Counts while that is written, spills too."""

    def __init__(self, writer: MapOutputWriter, reporter: AttemptReporter, order: KeyOrder | None = None) -> None:
        """`order`: what keys get prefixes for."""
        self._writer = writer
        self._reporter = reporter
        self._order = order
        self._told = Spilled()

    async def pairs(self, batch: PairBatch) -> None:
        if self._order is None:
            await self._writer.add(batch)
        else:
            for piece in bounded_slices(batch):
                await self._writer.add(await with_prefixes(piece, self._order))
        self._reporter.add("map_output_records", len(batch))
        if (spilled := self._writer.spilled) != self._told:
            self.tell(spilled)

    def tell(self, spilled: Spilled) -> None:
        told, self._told = self._told, spilled
        self._reporter.spilled(spilled.runs - told.runs, spilled.records - told.records)
        self._reporter.add("combine_output_records", spilled.combine_output_records - told.combine_output_records)

    async def raw(self, content: bytes | memoryview) -> None:
        raise PermanentError(
            f"the mapper wrote {len(content)} bytes of raw output, but its output goes to reducers: emit pairs"
        )


class _PartSink:
    """Counts under `counter`, where there is one, while the part is written."""

    def __init__(self, writer: PartWriter, reporter: AttemptReporter, counter: str) -> None:
        self._writer = writer
        self._reporter = reporter
        self._counter = counter

    async def pairs(self, batch: PairBatch) -> None:
        with doing(Step.WRITE):
            await self._writer.pairs(batch)
        if self._counter:
            self._reporter.add(self._counter, len(batch))

    async def raw(self, content: bytes | memoryview) -> None:
        with doing(Step.WRITE):
            await self._writer.raw(content)
