"""What a job's command says on standard error: log4j's lines, in the form that programs such as mrjob read."""

import sys
import time

from apollo_client.cli.harmless import harmless


def info(logger: str, message: str) -> None:
    _write("INFO", logger, message)


def warn(logger: str, message: str) -> None:
    _write("WARN", logger, message)


def error(logger: str, message: str) -> None:
    _write("ERROR", logger, message)


def plain(message: str) -> None:
    sys.stderr.write(f"{harmless(message)}\n")
    sys.stderr.flush()


def _write(level: str, logger: str, message: str) -> None:
    now = time.time()
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    plain(f"{moment},{int(now * 1000) % 1000:03d} {level} {logger}: {message}")
