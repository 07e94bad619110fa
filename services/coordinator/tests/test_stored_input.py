from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from apollo_common.errors import (
    ApolloError,
    InputNotFound,
    InvalidLocation,
    ObjectNotFound,
    TooManySplits,
    UnsupportedCompression,
)
from apollo_common.storage.open import Stores
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.plan import SplitPolicy
from apollo_coordinator.core.spec import JobInput, JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.store import inputs
from apollo_coordinator.store.inputs import StoredInput

MAPPER = ProgramRef(ProgramSource.SHELL, "cat")
NO_ACCESS = StorageAccess()
NO_FILES = r"holds no files to read \(names that begin with \. or _ are passed over\)"


def spec(*paths, split_size=10):
    return JobSpec(paths, "file:///out", MAPPER, split_size_bytes=split_size)


@pytest.fixture
async def planner():
    stores = Stores()
    yield StoredInput(stores)
    await stores.close()


def fill(directory, **sizes):
    for name, size in sizes.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)


async def test_paths_in_the_order_given_and_objects_in_byte_order(planner, tmp_path):
    fill(tmp_path, b=5, a=15, sub__c=1, _hidden=9, empty=0)
    job = spec(f"file://{tmp_path}/sub/", f"file://{tmp_path}/*")
    await planner.check_input(job, NO_ACCESS)
    pieces = [split.pieces[0] for split in await planner.plan(job, NO_ACCESS)]
    assert [(piece.url.removeprefix(f"file://{tmp_path}/"), piece.offset, piece.length_bytes) for piece in pieces] == [
        ("sub/c", 0, 1),
        ("a", 0, 10),
        ("a", 10, 5),
        ("b", 0, 5),
    ]


async def test_a_path_that_matches_nothing_is_named(planner, tmp_path):
    fill(tmp_path, a=1)
    job = spec(f"file://{tmp_path}/a", f"file://{tmp_path}/*.none")
    for work in (planner.check_input(job, NO_ACCESS), planner.plan(job, NO_ACCESS)):
        with pytest.raises(ObjectNotFound, match=r"/\*\.none; check inputPath"):
            await work


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("empty", f"/empty {NO_FILES}"),
        ("empty/", f"/empty/ {NO_FILES}"),
        ("hidden", f"/hidden {NO_FILES}"),
        ("link", "/link is a link to nothing"),
        ("absent", "nothing is at .*/absent"),
        ("absent/", "nothing is at .*/absent/"),
    ],
)
async def test_what_is_there_and_is_no_input_is_told_from_nothing(planner, tmp_path, path, words):
    fill(tmp_path, hidden___SUCCESS=1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputNotFound, match=f"{words}; check inputPath$"):
        await planner.check_input(spec(f"file://{tmp_path}/{path}"), NO_ACCESS)


async def test_what_cannot_be_decompressed_is_refused_before_the_job_where_it_comes_first(planner, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "b.txt").write_bytes(b"text")
    for name in ("a.zip", "*"):
        with pytest.raises(UnsupportedCompression, match=r"/a\.zip "):
            await planner.check_input(spec(f"file://{tmp_path}/{name}"), NO_ACCESS)
    later = spec(f"file://{tmp_path}/b.txt", f"file://{tmp_path}/")
    with pytest.raises(UnsupportedCompression, match=r"/a\.zip "):
        await planner.plan(later, NO_ACCESS)


async def test_empty_objects_are_an_input_without_splits(planner, tmp_path):
    fill(tmp_path, empty=0)
    job = spec(f"file://{tmp_path}/empty")
    await planner.check_input(job, NO_ACCESS)
    assert await planner.plan(job, NO_ACCESS) == []


async def test_a_path_with_nothing_gives_no_splits_where_that_is_allowed(planner, tmp_path):
    fill(tmp_path, a=1)
    job = JobSpec((f"file://{tmp_path}/none/", f"file://{tmp_path}/a"), "file:///out", MAPPER, allow_no_input=True)
    await planner.check_input(job, NO_ACCESS)
    assert [split.size_bytes for split in await planner.plan(job, NO_ACCESS)] == [1]


async def test_whole_objects_need_not_be_of_a_compression_that_is_read(planner, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK")
    job = replace(spec(f"file://{tmp_path}/a.zip"), record_format="whole")
    await planner.check_input(job, NO_ACCESS)
    assert [split.size_bytes for split in await planner.plan(job, NO_ACCESS)] == [2]


async def test_inputs_have_formats_and_mappers_of_their_own(planner, tmp_path):
    fill(tmp_path, users__a=15, users__b=3, orders__c=12)
    users, orders = ProgramRef(ProgramSource.SHELL, "users"), ProgramRef(ProgramSource.SHELL, "orders")
    inputs = (
        JobInput(f"file://{tmp_path}/users/", users, "csv"),
        JobInput(f"file://{tmp_path}/orders/", orders, "fixed:4"),
        JobInput(f"file://{tmp_path}/orders/c", orders, "whole"),
    )
    paths = tuple(given.path for given in inputs)
    job = JobSpec(paths, "file:///out", users, inputs=inputs, split_size_bytes=10, split_policy=SplitPolicy.PACKED)
    splits = await planner.plan(job, NO_ACCESS)
    assert [(split.format, split.size_bytes, job.mapper_of(split).name) for split in splits] == [
        ("csv", 10, "users"),
        ("csv", 5, "users"),
        ("csv", 3, "users"),
        ("fixed:4", 10, "orders"),
        ("fixed:4", 2, "orders"),
        ("whole", 12, "orders"),
    ]
    assert job.programs == (users, orders)


async def test_objects_of_several_paths_are_packed_together(planner, tmp_path):
    fill(tmp_path, a=2, b=2, c=2, d=2)
    job = spec(*(f"file://{tmp_path}/{name}" for name in "abcd"), split_size=6)
    splits = await planner.plan(replace(job, split_policy=SplitPolicy.PACKED), NO_ACCESS)
    assert [[piece.url[-1] for piece in split.pieces] for split in splits] == [["a", "b", "c"], ["d"]]


async def test_objects_are_counted_even_when_empty(planner, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_INPUT_OBJECTS", 2)
    fill(tmp_path, a=0, b=0, c=0)
    with pytest.raises(TooManySplits, match="more than 2 objects"):
        await planner.plan(spec(f"file://{tmp_path}/"), NO_ACCESS)


async def test_a_web_server_is_told_from_what_http_locations_stand_for(planner):
    async with TestServer(web.Application()) as server:
        location = str(server.make_url("/files/1342.txt"))
        with pytest.raises(ApolloError, match=f"at the S3 server http://127.0.0.1:{server.port} "):
            await planner.check_input(spec(location), StorageAccess(access_key_id="key", secret_access_key="secret"))


async def test_a_location_of_no_known_kind_is_refused(planner):
    with pytest.raises(InvalidLocation, match="ftp"):
        await planner.check_input(spec("ftp://host/x"), NO_ACCESS)
