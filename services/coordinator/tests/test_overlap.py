"""No commit takes the place of what its job reads, however the two are written."""

from dataclasses import replace

import pytest

from apollo_common.errors import OutputHoldsInput
from apollo_common.storage.memory import MemoryStore
from apollo_common.storage.open import Stores
from apollo_coordinator.core.spec import JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.ports import NO_SECRETS
from apollo_coordinator.store.inputs import StoredInput

MAPPER = ProgramRef(ProgramSource.SHELL, "cat")


def spec(output, *inputs, overwrite=True):
    return JobSpec(inputs, output, MAPPER, overwrite=overwrite)


class Endpoints:
    """One store for each endpoint."""

    def __init__(self, **stores):
        self.stores = stores

    async def open(self, url, access):
        return self.stores[access.endpoint_url.partition("://")[2] or "default"]


@pytest.fixture
async def planner():
    stores = Stores()
    yield StoredInput(stores)
    await stores.close()


@pytest.fixture
def output(tmp_path):
    """A directory with an old output, something else, and links from everywhere."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("part-r-00000", "part-m-00012.gz", "_SUCCESS", "other.log"):
        (out / name).write_text("old\n")
    (out / "part-r-00001").touch()
    (out / "sub").mkdir()
    (out / "sub" / "part-r-00000").write_text("deeper\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.log").write_text("input\n")
    (tmp_path / "same").symlink_to("out")
    (tmp_path / "in" / "link").symlink_to("../same/part-r-00000")
    (tmp_path / "in" / "link-to-link").symlink_to("link")
    (out / "part-r-00009").symlink_to("../in/a.log")
    (tmp_path / "in" / "hard").hardlink_to(out / "part-r-00000")
    return out


@pytest.mark.parametrize(
    "read",
    [
        "out",
        "out/",
        "out/part-r-00000",
        "out/part-r-00001",  # empty: no split would be made of it
        "out/_SUCCESS",
        "out/*.gz",
        "o*/*",
        "**/part-?-00000",
        "same/part-r-00000",
        "in/../out/part-r-00000",
        "in/link",
        "in/link-to-link",
        "out/part-r-00009",
    ],
)
@pytest.mark.parametrize("written", ["out", "same", "in/../out/", "same/sub/.."])
async def test_files_at_the_output(planner, tmp_path, output, read, written):
    job = spec(f"file://{tmp_path}/{written}", f"file://{tmp_path}/in/a.log", f"file://{tmp_path}/{read}")
    with pytest.raises(
        OutputHoldsInput, match=rf"{written} holds an input of this job, file://{tmp_path}/.*: name another output"
    ):
        await planner.check_apart(job, NO_SECRETS)


@pytest.mark.parametrize("overwrite", [True, False])
async def test_an_output_that_is_not_to_be_overwritten_is_not_read_either(planner, tmp_path, output, overwrite):
    job = spec(f"file://{output}", f"file://{output}", overwrite=overwrite)
    with pytest.raises(OutputHoldsInput):
        await planner.check_apart(job, NO_SECRETS)


@pytest.mark.parametrize(
    ("read", "written"),
    [
        ("out/other.log", "out"),  # no commit touches it
        ("out/sub/part-r-00000", "out"),
        ("out/part-r-00000", "out/sub/deeper"),
        ("in/hard", "out"),  # another name of the same bytes keeps them
        ("in/a.log", "out"),  # what is removed is a link to it
        ("out", "absent"),
        ("out", "in"),
    ],
)
async def test_files_that_a_commit_does_not_touch(planner, tmp_path, output, read, written):
    await planner.check_apart(spec(f"file://{tmp_path}/{written}", f"file://{tmp_path}/{read}"), NO_SECRETS)


async def test_files_with_the_prefix_of_the_jobs_own_parts(planner, output):
    (output / "day-7.00001").write_bytes(b"x")
    job = spec(f"file://{output}", f"file://{output}/day-7.00001")
    await planner.check_apart(job, NO_SECRETS)
    with pytest.raises(OutputHoldsInput, match="day-7"):
        await planner.check_apart(replace(job, part_prefix="day-7."), NO_SECRETS)


async def test_links_in_a_circle_end(planner, tmp_path, output):
    (tmp_path / "in" / "part-r-00000").symlink_to("part-r-00001")
    (tmp_path / "in" / "part-r-00001").symlink_to("part-r-00000")
    await planner.check_apart(spec(f"file://{output}", f"file://{tmp_path}/in/a.log"), NO_SECRETS)


@pytest.fixture
async def bucket():
    store = MemoryStore()
    for key in ("out/part-m-00003", "out/_SUCCESS", "out/a.log", "out/sub/part-r-00000", "outer/part-r-00000"):
        await store.put(f"s3://bucket/{key}", b"old\n")
    return store


@pytest.mark.parametrize("read", ["out", "out/", "o*/*", "**", "", "out/part-m-00003", "out/_SUCCESS"])
@pytest.mark.parametrize("written", ["out", "out//", "/out", r"\out", "in/../out"])
async def test_objects_at_the_output(bucket, read, written):
    """Some stores take all these for one place."""
    planner = StoredInput(Endpoints(default=bucket))
    with pytest.raises(OutputHoldsInput, match="s3://bucket/out/"):
        await planner.check_apart(spec(f"s3://bucket/{written}", f"s3://bucket/{read}"), NO_SECRETS)


@pytest.mark.parametrize(
    ("read", "written"),
    [
        ("s3://bucket/out/a.log", "s3://bucket/out"),
        ("s3://bucket/out/sub/", "s3://bucket/out"),
        ("s3://bucket/outer/", "s3://bucket/out"),
        ("s3://bucket/out/", "s3://bucket/outer"),
        ("s3://bucket/out/", "s3://other/out"),
        ("s3://bucket/out/", "file:///bucket/out"),
    ],
)
async def test_objects_that_a_commit_does_not_touch(bucket, read, written):
    await StoredInput(Endpoints(default=bucket)).check_apart(spec(written, read), NO_SECRETS)


async def test_one_store_by_two_names(bucket):
    planner = StoredInput(Endpoints(default=bucket, alias=bucket))
    with pytest.raises(OutputHoldsInput):
        await planner.check_apart(spec("s3://bucket/out", "https://alias/bucket/out"), NO_SECRETS)
    with pytest.raises(OutputHoldsInput):
        await planner.check_apart(spec("http://alias/bucket/out", "s3://bucket/out"), NO_SECRETS)


async def test_two_stores_with_buckets_of_one_name(bucket):
    mirror = MemoryStore()
    planner = StoredInput(Endpoints(default=bucket, mirror=mirror))
    job = spec("https://mirror/bucket/out", "s3://bucket/out")
    await planner.check_apart(job, NO_SECRETS)
    for content in (b"older\n", b"of another time\n"):
        await mirror.put("s3://bucket/out/part-m-00003", content)
    await planner.check_apart(job, NO_SECRETS)
