"""`hadoop fs`: verbs on files and directories, with Hadoop's output and exit statuses.

`verbs.py` has the table of them; `looking.py` those that only look, `content.py` those that show what files hold,
`changing.py` those that write.
"""

from collections.abc import Sequence


async def run_fs(arguments: Sequence[str]) -> int:
    """`arguments` follow `fs`. The exit status: 0, 1 if something went wrong, 255 for wrong usage."""
    from apollo_client.hadoop.fs.verbs import run

    return await run(arguments)
