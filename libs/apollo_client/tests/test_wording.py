"""What a coordinator says of fields, in the words of the command line."""

import pytest

from apollo_client.cli.wording import in_command_words


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("nothing is at s3://in/x; check inputPath", "nothing is at s3://in/x; check --input"),
        ("name another output or set overwrite", "name another output or give --overwrite"),
        ("Name another output, or set overwrite to true.", "Name another output, or give --overwrite."),
        ("A job with nReducers 0 is map-only.", "A job with --reducers 0 is map-only."),
        ("such as builtin:identity, or set nReducers to 0.", "such as builtin:identity, or give --reducers 0."),
        ("Leave protocol out: it is recognised.", "Leave --protocol out: it is recognised."),
        ("and `network: true` if it needs the network", "and `--network` if it needs the network"),
        (
            "its standard error ends with: no memoryBudget (it runs in a sandbox: give it `network: true`)",
            "its standard error ends with: no memoryBudget (it runs in a sandbox: give it `--network`)",
        ),
        (
            "its standard error ends with: set overwrite. Memory had run out: lower memoryBudget",
            "its standard error ends with: set overwrite. Memory had run out: lower --memory-budget",
        ),
        (
            "the program gave up: set overwrite. Memory had run out: lower memoryBudget",
            "the program gave up: set overwrite. Memory had run out: lower --memory-budget",
        ),
        ("This is wrong. Change it to what /docs describes.", "This is wrong. Change it to what --help describes."),
        ("S3 needs credentials: give them in the job, or set X", "S3 needs credentials: set X"),
    ],
)
def test_fields_become_options(said: str, shown: str) -> None:
    assert in_command_words(said) == shown


@pytest.mark.parametrize(
    "text",
    [
        "file:///data/inputPath/memoryBudget.txt cannot be read",
        "s3://bucket/nReducers: it is not there",
        "the map program `shell:echo splitSize` ended with exit status 1",
        "it ended with exit status 1; its standard error ends with: KeyError: 'splitSize'\nset overwrite",
        "its standard error ends with: I need `network: true`",
        "task j-m-00000 failed 4 times; the last: the program gave up: no splitSize\nuse `name: x`, set overwrite",
        "the program counts 'splitSize' in the group 'memoryBudget'; use another group",
        "it was silent; stderr: set name to x",
        "the name of the file is in use by another job of the same name",
        "set it to 0",
        "file:///docs/x cannot be read",
    ],
)
def test_what_is_the_users_own_stays(text: str) -> None:
    assert in_command_words(text) == text
