"""apollo jobs, job, wait, stop, counters: look at a coordinator's jobs and end them."""

import asyncio
from collections import Counter

import click

from apollo_client.cli.causes import cause_lines
from apollo_client.cli.connection import coordinator_option, rest_client
from apollo_client.cli.display import duration, failure_lines, progress_line
from apollo_client.cli.following import see_through
from apollo_client.cli.output import json_option, local_time, print_json, print_table, show
from apollo_client.cli.running import run_async
from apollo_client.cli.timings import tell_timings
from apollo_client.cli.values import Name
from apollo_client.cli.wording import in_command_words
from apollo_client.rest import Document, RestClient
from apollo_common.ids import job_of

MAX_SHOWN_TASKS = 10

_job_argument = click.argument("job_id", metavar="JOB", type=Name())


@click.command(short_help="List jobs, in order of creation.")
@coordinator_option
@json_option
def jobs(*, coordinator: str | None, as_json: bool) -> int:
    """List the coordinator's jobs, in order of creation."""

    async def work() -> int:
        async with rest_client(coordinator) as client:
            documents = [document async for document in client.jobs()]
        if as_json:
            for document in documents:
                print_json(document)
        else:
            print_table(["JOB", "STATUS", "STARTED", "TOOK", "NAME", "OUTPUT"], [_row(job) for job in documents])
        return 0

    return run_async(work())


@click.command(short_help="Show one job and its tasks.")
@_job_argument
@click.option("--timings", "timed", is_flag=True, help="Show where the time of its attempts went, and the slowest.")
@coordinator_option
@json_option
def job(*, job_id: str, timed: bool, coordinator: str | None, as_json: bool) -> int:
    """Show one job: what it is, how far it is, what runs and what is tried again, why it waits or failed.

    With --timings also what held its attempts up, so that one sees whether the program or Apollo is slow.
    """

    async def work() -> int:
        async with rest_client(coordinator) as client:
            document = await client.job(job_id)
            tasks = [] if as_json else [task async for task in client.tasks(job_id)]
            attempts = await _attempts_in_progress(client, tasks)
            waits = _waits_for_a_worker(document, tasks, attempts)
            busy = _busy_lines([worker async for worker in client.workers()]) if waits else []
            if not as_json:
                lines = _description(document, tasks) + busy + _attempt_lines(attempts, tasks)
                show("\n".join(lines + _end_lines(document)))
            if timed:
                await tell_timings(client, job_id, as_json=as_json)
        if as_json:
            print_json(document)
        return 0

    return run_async(work())


@click.command(short_help="Wait for a job's end; its exit status says how.")
@_job_argument
@coordinator_option
@json_option
def wait(*, job_id: str, coordinator: str | None, as_json: bool) -> int:
    """Wait for a job's end: status 0 if it succeeded, 1 if it failed or was stopped. Ctrl-C leaves the job alone."""

    async def work() -> int:
        async with rest_client(coordinator) as client:
            await client.job(job_id)  # tells sooner than a stream of events that nobody answers
            try:
                return await see_through(client, job_id, as_json=as_json)
            except asyncio.CancelledError:
                show(f"The job goes on. Wait for it again with `apollo wait {job_id}`.", err=True)
                raise

    return run_async(work())


@click.command(short_help="Stop a job.")
@_job_argument
@coordinator_option
@json_option
def stop(*, job_id: str, coordinator: str | None, as_json: bool) -> int:
    """Stop a job; its output stays as it was before the job."""

    async def work() -> int:
        async with rest_client(coordinator) as client:
            document = await client.stop(job_id)
        show(f"Job {job_id} is {document.get('status', 'stopped')}.", err=True)
        if as_json:
            print_json(document)
        return 0

    return run_async(work())


@click.command(short_help="Show a job's counters.")
@_job_argument
@coordinator_option
@json_option
def counters(*, job_id: str, coordinator: str | None, as_json: bool) -> int:
    """Show a job's counters: Apollo's own in the group `apollo`, and those of its programs."""

    async def work() -> int:
        async with rest_client(coordinator) as client:
            groups = await client.counters(job_id)
        if as_json:
            print_json(groups)
        else:
            rows = [[group, name, f"{value}"] for group, names in groups.items() for name, value in names.items()]
            print_table(["GROUP", "COUNTER", "VALUE"], rows)
        return 0

    return run_async(work())


def _row(job: Document) -> list[str]:
    return [
        job["id"],
        job["status"],
        local_time(job["startTime"]),
        duration(job),
        job["name"] or "-",
        job["outputLocation"]["location"],
    ]


async def _attempts_in_progress(client: RestClient, tasks: list[Document]) -> list[Document]:
    """All of those tasks in progress that have run longest: among them is what holds a job up."""
    running = sorted((task for task in tasks if task["status"] == "in-progress"), key=lambda task: task["startTime"])
    return [attempt for task in running[:MAX_SHOWN_TASKS] async for attempt in client.attempts(task["id"])]


def _description(job: Document, tasks: list[Document]) -> list[str]:
    lines = [
        f"job       {job['id']}" + (f" ({job['name']})" if job["name"] else ""),
        *([f"user      {job['user']}"] if "user" in job else []),
        *([f"redrives  {job['redriveOf']}"] if "redriveOf" in job else []),
        f"status    {progress_line(job)}",
        *_input_lines(job),
        f"output    {job['outputLocation']['location']}",
        *(f"{role:<9} {job[role]['name']}" for role in ("combiner", "reducer") if job.get(role)),
        f"reducers  {job['nReducers']}",
        *_key_lines(job),
        *(
            [f"bad       {job['badRecords']} of at most {job['maxBadRecords']} records skipped"]
            if job["badRecords"]
            else []
        ),
        f"started   {local_time(job['startTime'])}",
        f"took      {duration(job)}",
    ]
    statuses = Counter((task["type"], task["status"]) for task in tasks)
    lines += [f"tasks     {number} {kind} {status}" for (kind, status), number in statuses.items()]
    return lines + (_cause_lines(job) if job["status"] != "failed" else [])  # which tells in the end why


def _cause_lines(job: Document) -> list[str]:
    """Why attempts failed, each cause once."""
    lines: list[str] = []
    for group in job.get("failures", []):
        headline, *told = cause_lines(group)
        lines += [f"failed    {headline}", *(f"          {line}" for line in told)]
    return lines


def _input_lines(job: Document) -> list[str]:
    """Where it is, in which format if not in lines, and what maps it: of each input, if each has its own mapper."""
    if "inputs" in job:
        return [
            f"input     {given['path']}{_format(given['format'])}, mapper {given['mapper']}" for given in job["inputs"]
        ]
    data = job["inputData"]
    paths = data["path"] if isinstance(data["path"], str) else " ".join(data["path"])
    return [f"input     {paths}{_format(data['format'])}", f"mapper    {job['mapper']['name']}"]


def _format(record_format: str) -> str:
    return "" if record_format == "lines" else f", format {record_format}"


def _key_lines(job: Document) -> list[str]:
    """What the job says of its keys."""
    fields = job["groupKeyFields"]
    return [
        *([f"partition {job['partitioner']}"] if job["partitioner"] != "hash" else []),
        *([f"key order {job['keyOrder']}"] if job.get("keyOrder") else []),
        *([f"groups    {'field 1' if fields == 1 else f'fields 1 to {fields}'}"] if fields else []),
    ]


def _attempt_lines(attempts: list[Document], tasks: list[Document]) -> list[str]:
    """What runs, where and for how long, and why tasks are tried again, or wait to be. `attempts`: of what runs."""
    lines = [
        f"running   {attempt['id']} on {attempt['worker']} for {duration(attempt)}, {_share_given(attempt)}"
        + (f", says: {attempt['programStatus']}" if attempt["programStatus"] else "")
        for attempt in attempts
        if attempt["status"] == "running"
    ]
    ended = [attempt for attempt in attempts if attempt["status"] in ("failed", "lost")]
    setbacks = Counter(attempt["task"] for attempt in ended)
    last = {attempt["task"]: attempt["failure"] for attempt in ended}
    lines += [_retried(task, number, last[task]) for task, number in setbacks.items()]
    waiting = [task for task in tasks if task["status"] == "scheduled" and task.get("failure")]
    return lines + [_retried(task["id"], task["attempts"], task["failure"]) for task in waiting[:MAX_SHOWN_TASKS]]


def _retried(task: str, attempts: int, failure: Document) -> str:
    return f"retried   {task} after {attempts} of its attempts: {in_command_words(failure['message'])}"


def _share_given(attempt: Document) -> str:
    """Of the input: what went to the program, which may not have looked at it yet."""
    total_bytes = attempt["inputBytesTotal"]
    share = f"{100 * attempt['inputBytes'] // total_bytes} %" if total_bytes else "nothing"
    return f"was given {share} of its input"


def _waits_for_a_worker(job: Document, tasks: list[Document], attempts: list[Document]) -> bool:
    """Whether none of its tasks is run, and the coordinator does not say why."""
    explained = attempts or job.get("trouble")
    return job["status"] == "running" and not explained and any(task["status"] == "scheduled" for task in tasks)


def _busy_lines(workers: list[Document]) -> list[str]:
    """That other jobs have all workers, if they do. Those of one job alone, as in Kubernetes, keep nobody waiting."""
    if not workers or any("attempt" not in worker or "job" in worker for worker in workers):
        return []
    others = ", ".join(sorted({job_of(worker["attempt"]) for worker in workers})[:MAX_SHOWN_TASKS])
    at_work = "the only worker is" if len(workers) == 1 else f"all {len(workers)} workers are"
    return [f"waiting   {at_work} at work for other jobs: {others}"]


def _end_lines(job: Document) -> list[str]:
    return failure_lines(job) + _replay_lines(job) if job["status"] in ("failed", "stopped") else []


def _replay_lines(job: Document) -> list[str]:
    """How to run again what the job failed by. A reduce needs what is removed, unless the job was told to keep it."""
    failure = job.get("failure", {})
    attempt = failure.get("attempt", "").removeprefix(f"{job['id']}-")
    if not failure.get("program") or (attempt.startswith("r") and not job.get("keepIntermediate")):
        return []
    return [f"  Run it again here: apollo replay {job['id']} {attempt}"]
