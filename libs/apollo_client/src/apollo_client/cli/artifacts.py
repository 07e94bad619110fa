"""apollo artifacts: the programs and files that a coordinator keeps."""

from pathlib import Path

import click

from apollo_client.cli.connection import coordinator_option, rest_client
from apollo_client.cli.output import json_option, local_time, print_json, print_table, show
from apollo_client.cli.running import run_async
from apollo_client.cli.values import Name
from apollo_common.units import format_size


@click.group(short_help="The programs and files that a coordinator keeps.")
def artifacts() -> None:
    """The programs and files that a coordinator keeps, by name."""


@artifacts.command
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--name", help="The artifact's name.  [the file's name]")
@click.option("--side-file", is_flag=True, help="A file of any content, for jobs' --file.")
@coordinator_option
@json_option
def push(*, file: Path, name: str | None, side_file: bool, coordinator: str | None, as_json: bool) -> int:
    """Upload a program. An artifact of the same name is replaced; jobs that run keep the bytes they started with."""

    async def work() -> int:
        async with rest_client(coordinator) as client:
            artifact = await client.upload(file, name=name, side_file=side_file)
        if as_json:
            print_json(artifact)
        else:
            show(f"{artifact['name']}  {format_size(artifact['size'])}  {artifact['hash']}")
        return 0

    return run_async(work())


@artifacts.command
@coordinator_option
@json_option
def ls(*, coordinator: str | None, as_json: bool) -> int:
    """List artifacts."""

    async def work() -> int:
        async with rest_client(coordinator) as client:
            documents = [document async for document in client.artifacts()]
        if as_json:
            for document in documents:
                print_json(document)
        else:
            rows = [
                [
                    document["name"],
                    format_size(document["size"]),
                    document.get("protocol", "-"),
                    local_time(document.get("createdTime")),
                    document["hash"],
                ]
                for document in documents
            ]
            print_table(["NAME", "SIZE", "PROTOCOL", "UPLOADED", "SHA-256"], rows)
        return 0

    return run_async(work())


@artifacts.command
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=Name())
@coordinator_option
def rm(*, names: tuple[str, ...], coordinator: str | None) -> int:
    """Delete artifacts. One that an unfinished job needs stays."""

    async def work() -> int:
        async with rest_client(coordinator) as client:
            for name in names:
                await client.delete_artifact(name)
        return 0

    return run_async(work())
