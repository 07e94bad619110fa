"""The commit, cut off after every call that it makes to the store, and run again."""

import hashlib
import json
from contextlib import aclosing
from dataclasses import replace

import pytest

from apollo_common.assignment import Split, SplitPiece
from apollo_common.errors import (
    OutputExists,
    OutputHoldsInput,
    OutputNotWritable,
    OutputWouldMix,
    PermanentError,
    StorageUnavailable,
)
from apollo_common.ids import AttemptId, JobId, attempt_id, map_task_id, reduce_task_id
from apollo_common.storage.file import FileStore
from apollo_common.storage.memory import MemoryStore
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.model import Attempt, AttemptOutput, Job, Task, TaskKind
from apollo_coordinator.core.spec import JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.store.commit import StoredOutput
from apollo_coordinator.store.part_names import part_name

NO_ACCESS = StorageAccess()
PROGRAM = ProgramRef(ProgramSource.SHELL, "cat")
JOB = JobId("k3v9d2m7q4xa")
CONTENTS = [b"first\t1\n", b"", b"third\t3\n"]


class FaultyStore:
    """Passes calls on to a real store; the chosen one is done, and then its answer is lost (or it is never done)."""

    def __init__(self, store, fail_at=None, *, done_first=True):
        self.store, self.fail_at, self.done_first = store, fail_at, done_first
        self.calls = 0

    def __getattr__(self, name):
        method = getattr(self.store, name)
        if name in ("find", "read"):
            return method

        async def call(*args, **kwargs):
            self.calls += 1
            failing = self.calls == self.fail_at
            if failing and not self.done_first:
                raise StorageUnavailable("the connection broke")
            answer = await method(*args, **kwargs)
            if failing:
                raise StorageUnavailable("the answer got lost")
            return answer

        return call


class OneStore:
    def __init__(self, store):
        self.store = store

    async def open(self, url, access):
        return self.store


@pytest.fixture(params=["memory", "file"])
def place(request, tmp_path):
    """(a function that makes a fresh place, each with the store and the output's URL)."""
    numbers = iter(range(1000))

    def fresh():
        if request.param == "memory":
            return MemoryStore(), "s3://bucket/out[1]"
        return FileStore(), f"file://{tmp_path}/{next(numbers)}/out[1]"

    return fresh


def new_job(output, *, overwrite=False, n_reducers=3, job=JOB, compression="", part_prefix=""):
    spec = JobSpec(
        ("file:///in",),
        output,
        PROGRAM,
        PROGRAM,
        n_reducers=n_reducers,
        overwrite=overwrite,
        compression=compression,
        part_prefix=part_prefix,
        env={"API_KEY": "hunter2"},
        params={"api_key": "hunter2"},
    )
    counters = {"apollo": {"output_records": 2}}
    reduces = [Task(reduce_task_id(job, index), index, TaskKind.REDUCE) for index in range(n_reducers)]
    return Job(job, spec, created_ms=0, reduces=reduces, counters=counters)


async def run_attempt(committer, store, job, task, content, *, accept=True):
    """What engine and worker do for one attempt."""
    attempt = attempt_id(task.id, len(task.attempts))
    target = await committer.open_part(job, task, attempt, NO_ACCESS)
    task.attempts.append(Attempt(attempt, "w1", 0, output_url=target.url, upload_id=target.upload_id))
    uploads = [each for each in await store.list_uploads(target.url) if each.upload_id == target.upload_id]
    part = await store.upload_part(uploads[0], 1, content)
    if accept:
        task.accepted = attempt
        sha256 = hashlib.sha256(content).hexdigest()
        task.output = AttemptOutput(
            "", target.url, target.upload_id, (part,), len(content), content.count(b"\n"), sha256
        )


async def run_job(store, job):
    """All attempts, with a losing one beside each, and an upload that a crash kept from being noted."""
    committer = StoredOutput(OneStore(store))
    for task, content in zip(job.reduces, CONTENTS, strict=True):
        await run_attempt(committer, store, job, task, b"loser", accept=False)
        await run_attempt(committer, store, job, task, content)
    await committer.open_part(job, job.reduces[0], AttemptId(f"{job.reduces[0].id}-9"), NO_ACCESS)


async def content(store, url):
    return b"".join([chunk async for chunk in store.read(url)])


async def everything(store, output):
    """What lies in the output: name -> bytes. No upload may be left."""
    escaped = output.replace("[", "[[]")
    found = {}
    async with aclosing(store.find(f"{escaped}/")) as infos:
        async for info in infos:
            found[info.url.removeprefix(f"{output}/")] = await content(store, info.url)
    if await store.stat(f"{output}/_SUCCESS") is not None:
        found["_SUCCESS"] = await content(store, f"{output}/_SUCCESS")
    assert await store.list_uploads(f"{output}/") == []
    return found


async def old_output(store, output, *, parts=5):
    for index in range(parts):
        await store.put(f"{output}/part-r-{index:05d}", b"old")
    await store.put(f"{output}/part-m-00000.gz", b"old")
    await store.put(f"{output}/part-00003", b"old")
    await store.put(f"{output}/part-r-notes.txt", b"mine")
    await store.put(f"{output}/sub/part-r-00009", b"mine")
    await store.put(f"{output}/_SUCCESS", b'{"job": "older"}')


def check_committed(found, *, kept=()):
    assert sorted(found) == sorted(["_SUCCESS", "part-r-00000", "part-r-00001", "part-r-00002", *kept])
    assert [found[f"part-r-{index:05d}"] for index in range(3)] == CONTENTS
    manifest = json.loads(found["_SUCCESS"])
    assert manifest["job"] == JOB
    assert manifest["counters"] == {"apollo": {"output_records": 2}}
    assert manifest["parts"] == [
        {
            "name": f"part-r-{index:05d}",
            "size": len(each),
            "records": each.count(b"\n"),
            "sha256": hashlib.sha256(each).hexdigest(),
        }
        for index, each in enumerate(CONTENTS)
    ]
    assert b"hunter2" not in found["_SUCCESS"]


async def test_nothing_is_visible_before_the_commit_and_nothing_is_left_behind_it(place):
    store, output = place()
    job = new_job(output)
    await run_job(store, job)
    async with aclosing(store.find(f"{output}/")) as infos:
        assert [info async for info in infos] == []
    await StoredOutput(OneStore(store)).commit(job, NO_ACCESS)
    check_committed(await everything(store, output))


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("done_first", [False, True])
async def test_a_commit_cut_off_at_any_call_is_finished_by_the_next(place, overwrite, done_first):
    fail_at = 0
    cut_off = True
    while cut_off:
        fail_at += 1
        store, output = place()
        if overwrite:
            await old_output(store, output)
        job = new_job(output, overwrite=overwrite)
        await run_job(store, job)
        faulty = FaultyStore(store, fail_at, done_first=done_first)
        try:
            await StoredOutput(OneStore(faulty)).commit(job, NO_ACCESS)
            cut_off = False
        except StorageUnavailable:
            cut_off = True
        restarted = store if isinstance(store, MemoryStore) else FileStore()
        await StoredOutput(OneStore(restarted)).commit(job, NO_ACCESS)
        check_committed(await everything(store, output), kept=("part-r-notes.txt", "sub/part-r-00009") * overwrite)
    assert fail_at > 8


async def test_committing_again_changes_nothing(place):
    store, output = place()
    job = new_job(output)
    await run_job(store, job)
    committer = StoredOutput(OneStore(store))
    await committer.commit(job, NO_ACCESS)
    before = await store.stat(f"{output}/_SUCCESS")
    await committer.commit(job, NO_ACCESS)
    assert await store.stat(f"{output}/_SUCCESS") == before


async def test_an_output_that_appeared_meanwhile_is_not_overwritten(place):
    store, output = place()
    job = new_job(output)
    await run_job(store, job)
    await store.put(f"{output}/_SUCCESS", b'{"job": "another"}')
    with pytest.raises(OutputExists, match="appeared"):
        await StoredOutput(OneStore(store)).commit(job, NO_ACCESS)
    assert await content(store, f"{output}/_SUCCESS") == b'{"job": "another"}'


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("name", ["part-r-00000", "part-m-00004", "_SUCCESS"])
async def test_what_the_job_has_read_is_never_replaced_nor_removed(place, name, overwrite):
    store, output = place()
    await store.put(f"{output}/{name}", b"input")  # since the job was submitted
    read = await store.stat(f"{output}/{name}")
    job = new_job(output, overwrite=overwrite)
    piece = SplitPiece(read.url, 0, read.size_bytes, read.size_bytes, read.version)
    job.maps = [Task(map_task_id(JOB, 0), 0, TaskKind.MAP, split=Split((piece,)))]
    await run_job(store, job)
    committer = StoredOutput(OneStore(store))
    with pytest.raises(OutputExists if name == "_SUCCESS" and not overwrite else OutputHoldsInput):
        await committer.commit(job, NO_ACCESS)
    await committer.discard(job, NO_ACCESS)
    assert await everything(store, output) == {name: b"input"}


async def test_an_upload_that_somebody_removed_ends_the_commit_for_good(place):
    store, output = place()
    job = new_job(output)
    await run_job(store, job)
    for upload in await store.list_uploads(f"{output}/"):
        await store.abort_upload(upload)
    with pytest.raises(OutputNotWritable, match="run the job again"):
        await StoredOutput(OneStore(store)).commit(job, NO_ACCESS)


async def test_a_fresh_output_needs_no_right_to_delete(place):
    store, output = place()
    job = new_job(output)
    await run_job(store, job)
    forbidding = FaultyStore(store)
    forbidding.delete = None
    await StoredOutput(OneStore(forbidding)).commit(job, NO_ACCESS)
    check_committed(await everything(store, output))


async def test_a_job_without_parts_still_says_success(place):
    store, output = place()
    job = replace(new_job(output), reduces=[])
    await StoredOutput(OneStore(store)).commit(job, NO_ACCESS)
    assert list(await everything(store, output)) == ["_SUCCESS"]


async def test_a_task_without_an_accepted_output_is_not_committed(place):
    store, output = place()
    job = new_job(output)
    with pytest.raises(PermanentError, match="k3v9d2m7q4xa-r-00000"):
        await StoredOutput(OneStore(store)).commit(job, NO_ACCESS)


async def test_discard_leaves_the_old_output_untouched(place):
    store, output = place()
    await old_output(store, output)
    job = new_job(output, overwrite=True)
    committer = StoredOutput(OneStore(store))
    for task in job.reduces:
        await run_attempt(committer, store, job, task, b"new")
    await committer.discard(job, NO_ACCESS)
    await committer.discard(job, NO_ACCESS)
    found = await everything(store, output)
    assert len(found) == 10
    assert found["part-r-00000"] == b"old"
    assert found["_SUCCESS"] == b'{"job": "older"}'


async def test_one_part_is_discarded_and_the_others_stay(place):
    store, output = place()
    job = new_job(output)
    committer = StoredOutput(OneStore(store))
    opened = [await committer.open_part(job, task, AttemptId(f"{task.id}-9"), NO_ACCESS) for task in job.reduces]
    for _ in range(2):
        await committer.discard_part(job, opened[0], NO_ACCESS)
    left = {upload.upload_id for upload in await store.list_uploads(f"{output}/")}
    assert left == {part.upload_id for part in opened[1:]}


async def test_discard_also_aborts_uploads_that_nobody_noted(place):
    """Of attempts, and of the check before the job: a crash or a lost answer came before the journal."""
    store, output = place()
    job = new_job(output)
    await run_job(store, job)
    await store.create_upload(f"{output}/_SUCCESS", metadata={})
    others = [await store.create_upload(f"{output}/{name}", metadata={}) for name in ("part-r-00003", "part-r-0000")]
    await StoredOutput(OneStore(store)).discard(job, NO_ACCESS)
    left = await store.list_uploads(f"{output}/")
    assert sorted(upload.url for upload in left) == sorted(upload.url for upload in others)


async def test_discard_after_the_commit_leaves_the_output(place):
    store, output = place()
    job = new_job(output)
    await run_job(store, job)
    committer = StoredOutput(OneStore(store))
    await committer.commit(job, NO_ACCESS)
    await committer.discard(job, NO_ACCESS)
    check_committed(await everything(store, output))


async def test_a_file_output_of_a_discarded_job_is_gone_with_its_directory(tmp_path):
    store, output = FileStore(), f"file://{tmp_path}/new/out"
    job = new_job(output)
    committer = StoredOutput(OneStore(store))
    for task in job.reduces:
        await run_attempt(committer, store, job, task, b"new")
    assert (tmp_path / "new/out").is_dir()
    await committer.discard(job, NO_ACCESS)
    assert list(tmp_path.iterdir()) == []


async def test_a_committed_file_output_holds_nothing_hidden(tmp_path):
    store, output = FileStore(), f"file://{tmp_path}/out"
    job = new_job(output)
    await run_job(store, job)
    await StoredOutput(OneStore(store)).commit(job, NO_ACCESS)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "_SUCCESS",
        "part-r-00000",
        "part-r-00001",
        "part-r-00002",
    ]


# Before the job


async def test_a_free_output(place):
    store, output = place()
    await StoredOutput(OneStore(store)).check_free(new_job(output).spec, NO_ACCESS)
    assert await everything(store, output) == {}


@pytest.mark.parametrize("name", ["part-r-00000", "anything/else", "_SUCCESS"])
async def test_an_output_that_exists_is_refused_unless_it_may_be_overwritten(place, name):
    store, output = place()
    await store.put(f"{output}/{name}", b"old")
    committer = StoredOutput(OneStore(store))
    with pytest.raises(OutputExists, match="overwrite"):
        await committer.check_free(new_job(f"{output}/").spec, NO_ACCESS)
    await committer.check_free(new_job(output, overwrite=True).spec, NO_ACCESS)


async def test_an_output_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    committer = StoredOutput(OneStore(FileStore()))
    with pytest.raises(OutputExists, match="is a file"):
        await committer.check_free(new_job(f"file://{tmp_path}/file", overwrite=True).spec, NO_ACCESS)
    with pytest.raises(OutputNotWritable, match="file/out"):
        await committer.check_free(new_job(f"file://{tmp_path}/file/out").spec, NO_ACCESS)


async def test_checking_leaves_no_directory_behind(tmp_path):
    committer = StoredOutput(OneStore(FileStore()))
    await committer.check_free(new_job(f"file://{tmp_path}/a/b/out").spec, NO_ACCESS)
    assert list(tmp_path.iterdir()) == []


async def test_parts_of_a_map_only_job(place):
    store, output = place()
    job = new_job(output, n_reducers=0, compression="gzip")
    task = Task(map_task_id(JOB, 7), 7, TaskKind.MAP)
    target = await StoredOutput(OneStore(store)).open_part(job, task, attempt_id(task.id, 0), NO_ACCESS)
    assert target.url == f"{output}/part-m-00007.gz"
    assert part_name(job.spec, TaskKind.REDUCE, 123456) == "part-r-123456.gz"


async def test_parts_have_the_prefix_that_the_job_wants(place):
    store, output = place()
    job = new_job(output, part_prefix="part-")
    target = await StoredOutput(OneStore(store)).open_part(
        job, job.reduces[1], attempt_id(job.reduces[1].id, 0), NO_ACCESS
    )
    assert target.url == f"{output}/part-00001"


async def test_an_older_output_with_another_prefix_is_replaced(place):
    store, output = place()
    job = new_job(output, overwrite=True, part_prefix="day-7.")
    for name in ("day-7.00001", "day-7.00009", "part-00001", "part-r-00001", "day-8.00001", "day-7.x"):
        await store.put(f"{output}/{name}", b"old")
    await run_job(store, job)
    await StoredOutput(OneStore(store)).commit(job, NO_ACCESS)
    found = await everything(store, output)
    assert sorted(found) == ["_SUCCESS", "day-7.00000", "day-7.00001", "day-7.00002", "day-7.x", "day-8.00001"]
    assert found["day-7.00001"] == CONTENTS[1]


async def test_parts_that_an_older_job_has_called_otherwise_would_stay_so_they_are_told_of(place):
    """Whoever reads the output later would read them, too."""
    store, output = place()
    older = new_job(output, part_prefix="day-8.")
    await run_job(store, older)
    await StoredOutput(OneStore(store)).commit(older, NO_ACCESS)
    before = await everything(store, output)
    job = new_job(output, overwrite=True, job=JobId("another"))
    told = r"day-8\.00000.* partPrefix"
    with pytest.raises(OutputWouldMix, match=told):
        await StoredOutput(OneStore(store)).check_free(job.spec, NO_ACCESS)
    with pytest.raises(OutputWouldMix, match=told):
        await commit_of(store, job)
    assert await everything(store, output) == before
    again = new_job(output, overwrite=True, job=JobId("another"), part_prefix="day-8.", n_reducers=3)
    await StoredOutput(OneStore(store)).check_free(again.spec, NO_ACCESS)
    await commit_of(store, again)
    assert sorted(await everything(store, output)) == sorted(before)


async def commit_of(store, job):
    await run_job(store, job)
    try:
        await StoredOutput(OneStore(store)).commit(job, NO_ACCESS)
    except OutputWouldMix:
        await StoredOutput(OneStore(store)).discard(job, NO_ACCESS)
        raise


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"{}", b'{"job": 1, "parts": 7}', b'{"parts": [1, {"name": 2}, {}]}', b"\xff"]
)
async def test_a_success_of_something_else_names_no_parts(place, manifest):
    store, output = place()
    await store.put(f"{output}/_SUCCESS", manifest)
    await StoredOutput(OneStore(store)).check_free(new_job(output, overwrite=True).spec, NO_ACCESS)
