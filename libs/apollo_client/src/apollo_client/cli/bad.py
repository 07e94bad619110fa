"""apollo bad: the records that a job has skipped, because its mapper fails on them."""

import sys
from pathlib import Path

import click

from apollo_client.cli.bad_records import preview, save, where, why
from apollo_client.cli.connection import coordinator_option, rest_client
from apollo_client.cli.output import counted, json_option, print_json, print_table, show
from apollo_client.cli.running import run_async
from apollo_client.cli.values import Name, Number
from apollo_client.cli.wording import in_command_words
from apollo_client.rest import Document, RestClient

SHOWN_BYTES = 4096
"""Of one record that is shown whole."""

_LINE_BYTES = 64


@click.command(short_help="Show the records that a job has skipped.")
@click.argument("job_id", metavar="JOB", type=Name())
@click.argument("number", metavar="[N]", required=False, type=Number(1))
@click.option("--raw", is_flag=True, help="Write the bytes of record N to standard output, and nothing else.")
@click.option(
    "--save",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each record to a file of its own in DIR, and what is known of them to index.jsonl.",
)
@coordinator_option
@json_option
def bad(
    *, job_id: str, number: int | None, raw: bool, directory: Path | None, coordinator: str | None, as_json: bool
) -> int:
    """List the records that a job has skipped: where they are, and how the mapper fails on each of them alone.

    With N all that is known of one; --raw gives its bytes, --save DIR those of all.
    """
    if raw and (number is None or as_json):
        raise click.UsageError("--raw writes the bytes of one record: name its number, and leave --json out")
    if directory is not None and number is not None:
        raise click.UsageError("--save writes all records: leave the number out")

    async def work() -> int:
        async with rest_client(coordinator) as client:
            if directory is not None:
                saved = await save(client, job_id, directory)
                show(f"Saved {counted(saved, 'bad record')} in {directory}.", err=True)
            elif number is None:
                records = [record async for record in client.bad_records(job_id)]
                if records or as_json:
                    _list(records, as_json=as_json)
                else:
                    show(f"Job {(await client.job(job_id))['id']} has skipped no records.", err=True)
            elif raw:
                sys.stdout.buffer.write(await client.bad_record_bytes(job_id, number))
                sys.stdout.buffer.flush()
            else:
                await _show(client, job_id, number, as_json=as_json)
        return 0

    return run_async(work())


def _list(records: list[Document], *, as_json: bool) -> None:
    if as_json:
        for record in records:
            print_json(record)
        return
    rows = [[f"{record['number']}", where(record), why(record), preview(record["preview"])] for record in records]
    print_table(["N", "WHERE", "WHY", "RECORD"], rows)


async def _show(client: RestClient, job: str, number: int, *, as_json: bool) -> None:
    content = await client.bad_record_bytes(job, number)  # refused when there is none
    record = await client.bad_record(job, number)
    if as_json:
        print_json(record)
        return
    rest = "" if len(content) <= SHOWN_BYTES else f" begins (--raw writes all of its {len(content)} bytes)"
    lines = [
        f"record    {record['number']} of job {job}",
        f"input     {record['input']}",
        f"offset    {record['offset']}",
        f"size      {record['size']}",
        f"task      {record['task']}",
        f"attempt   {record['attempt']}",
        f"why       {in_command_words(record['message'])}",
        *([] if not record["stderr"].strip() else ["On standard error the mapper said:"]),
        *(f"  | {preview(line, None)}" for line in record["stderr"].rstrip().splitlines()),
        f"The record{rest}:",
        *_dump(content[:SHOWN_BYTES]),
    ]
    show("\n".join(lines))


def _dump(content: bytes) -> list[str]:
    """As text, where it is; else with the offset of each line, other bytes escaped as in Python."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        starts = range(0, len(content), _LINE_BYTES)
        return [f"  {start:>6}  {repr(content[start : start + _LINE_BYTES])[2:-1]}" for start in starts]
    return [f"  | {preview(line, None)}" for line in text.split("\n")]
