"""`hadoop jar STREAMING.jar`: runs a job here or on a coordinator, and tells of it as Hadoop does."""

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from apollo_client.cli.connection import is_local, rest_client
from apollo_client.cli.following import follow, stop_and_wait
from apollo_client.cli.run import coordinator_address
from apollo_client.cli.submission import JobRefused, submit_job
from apollo_client.hadoop import log
from apollo_client.hadoop.arguments import USAGE, StreamingArguments, parse_streaming
from apollo_client.hadoop.counters import counter_lines
from apollo_client.hadoop.errors import HadoopUsage, LaunchFailed, UnsupportedOption
from apollo_client.hadoop.files.tree import Files
from apollo_client.hadoop.paths import HDFS_VARIABLE, resolver
from apollo_client.hadoop.refused import refused_properties
from apollo_client.hadoop.roles import Roles
from apollo_client.hadoop.streaming import StreamingJob, streaming_job
from apollo_client.rest import Document, RestClient
from apollo_common.errors import ApolloError

STATUS_FAILED, STATUS_LAUNCH = 1, 5  # as Streaming's own

_STREAMING_JAR = re.compile(r".*streaming.*\.jar", re.IGNORECASE)
_STARTER = re.compile(r"\b(map|combine|reduce) program `hadoop_task-[0-9a-f]+\.py`")
_COMMAND_FAILED = "Streaming Command Failed!"


async def run_jar(arguments: Sequence[str], coordinator: str | None) -> int:
    """`arguments` follow `jar`. The exit status."""
    if not arguments:
        log.plain("RunJar jarFile [mainClass] args...")
        return 255
    jar = arguments[0]
    if not _STREAMING_JAR.fullmatch(os.path.basename(jar)):  # noqa: PTH119  # it may be a URL
        log.plain(f"{jar}: Apollo runs the jobs of Hadoop Streaming, no other jar: *streaming*.jar")
        return 255
    return await run_streaming(arguments[1:], coordinator)


async def run_streaming(arguments: Sequence[str], coordinator: str | None) -> int:
    """`arguments` are those of Hadoop Streaming. The exit status."""
    try:
        given = parse_streaming(arguments)
        if given.help:
            click.echo(USAGE, nl=False)
            return 0
        status = await _run(given, coordinator)
    except HadoopUsage as error:
        log.error("streaming.StreamJob", str(error))
        log.plain("Try -help for more information")
        status = STATUS_FAILED
    except UnsupportedOption as error:
        log.error("streaming.StreamJob", f"Apollo cannot run this job. {error}")
        status = STATUS_FAILED
    except (LaunchFailed, ApolloError, click.UsageError) as error:
        words = error.message if isinstance(error, click.UsageError) else str(error)
        log.error("streaming.StreamJob", f"Error Launching job : {words}")
        status = STATUS_LAUNCH
    if status:
        log.plain(_COMMAND_FAILED)
    return status


async def _run(given: StreamingArguments, coordinator: str | None) -> int:
    if given.background and coordinator is None:
        raise UnsupportedOption("-background", "a job on this machine ends with its command; set APOLLO_COORDINATOR")
    paths = resolver(given.conf.get("fs.defaultFS"))
    job_id = new_job_id()
    if given.packed:
        log.warn("streaming.StreamJob", "-file option is deprecated, please use generic option -files instead.")
    # Artifacts are linked or fetched into it.
    with tempfile.TemporaryDirectory(prefix="apollo-hadoop-") as name:
        directory = Path(name)
        here = is_local(coordinator) and not given.background
        staging = f"file://{directory}/staging" if here else f"{paths.hdfs_root}/user/{paths.user}/.staging/{job_id}"
        async with Files() as files:
            job = await streaming_job(given, files, paths, directory, job_id, staging)
            if not is_local(coordinator):
                _check_reach(job)
            log.info("mapred.FileInputFormat", f"Total input files to process : {job.file_count}")
            try:
                return await _submit(given, job, job_id, coordinator)
            finally:
                if not given.background and await files.status(staging) is not None:
                    await files.of(staging).remove(staging)


async def _submit(given: StreamingArguments, job: StreamingJob, job_id: str, coordinator: str | None) -> int:
    async with coordinator_address(coordinator, None) as address, rest_client(address) as client:
        try:
            accepted = await submit_job(client, job.request)
        except JobRefused as error:
            raise refused_properties(error.fields, given.conf) or error from error
        log.info("mapreduce.JobSubmitter", f"Submitting tokens for job: {job_id}")
        log.info("mapreduce.Job", f"Apollo's job: {accepted['id']}")
        log.info("mapreduce.Job", f"Running job: {job_id}")
        if given.background:
            return 0
        try:
            return await _see_through(client, accepted["id"], job_id, given, job)
        except asyncio.CancelledError:
            await stop_and_wait(client, accepted["id"])
            raise


def _check_reach(job: StreamingJob) -> None:
    """Files of this machine mean nothing to a coordinator on another one."""
    for url in (*job.request.body["inputPath"], job.output):
        if url.startswith("file://"):
            raise LaunchFailed(
                f"{url}: the coordinator is on another machine; name s3:// locations, or set {HDFS_VARIABLE} to one"
            )


async def _see_through(
    client: RestClient, apollo_id: str, job_id: str, given: StreamingArguments, job: StreamingJob
) -> int:
    ended = await follow(client, apollo_id, as_json=False, display=_Progress())
    succeeded = ended["status"] == "succeeded"
    if succeeded:
        log.info("mapreduce.Job", f"Job {job_id} completed successfully")
    else:
        _tell_failure(ended, job_id, job.roles)
    counters = await client.counters(apollo_id)
    log.info("mapreduce.Job", "\n".join(counter_lines(counters, reducers=ended["nReducers"])))
    if not succeeded:
        log.error("streaming.StreamJob", "Job not successful!")
        return STATUS_FAILED
    log.info("streaming.StreamJob", f"Output directory: {given.output}")
    return 0


def _tell_failure(job: Document, job_id: str, roles: Roles) -> None:
    """The task that failed and why, then the job's end. Apollo names the program that starts the job's own."""
    failure = job.get("failure") or {}
    message = failure.get("message") or f"the job was {job['status']}"
    message = _STARTER.sub(lambda match: f"{match[1]} program `{roles.described(match[1])}`", message)
    attempt = re.fullmatch(r".*-([mr])-(\d+)-(\d+)", failure.get("attempt") or "")
    task = f"{job_id.removeprefix('job_')}_{attempt[1]}_{int(attempt[2]):06d}" if attempt else ""
    if attempt:
        tail = failure.get("stderrTail", "").rstrip()
        lines = [f"Task Id : attempt_{task}_{attempt[3]}, Status : FAILED", f"Error: {message}", *tail.splitlines()]
        log.info("mapreduce.Job", "\n".join(lines))
    state = "KILLED" if job["status"] == "stopped" else "FAILED"
    why = f"Task failed task_{task}" if task else message
    log.info("mapreduce.Job", f"Job {job_id} failed with state {state} due to: {why}")


class _Progress:
    """` map 50% reduce 0%`, whenever that changes; see Display."""

    def __init__(self) -> None:
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, job: dict[str, Any]) -> None:
        progress = job["progress"]
        line = f" map {_percent(progress['maps'])}% reduce {_percent(progress['reduces'])}%"
        if line != self._shown:
            self._shown = line
            log.info("mapreduce.Job", line)

    def say(self, line: str) -> None:
        log.plain(line)


def _percent(tasks: dict[str, int]) -> int:
    return 100 * tasks["completed"] // tasks["total"] if tasks["total"] else 0


def new_job_id() -> str:
    """An id of Hadoop's form. Apollo's own id is known only when the variables of the programs have been sent."""
    return f"job_{time.time_ns() // 1_000_000}_{os.getpid() % 10_000:04d}"
