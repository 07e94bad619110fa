"""The operating system's errors as ours, with the URL named."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from apollo_common.errors import (
    ApolloError,
    InvalidLocation,
    ObjectNotFound,
    OutputNotWritable,
    StorageAccessDenied,
    StorageUnavailable,
    VolumeFull,
)
from apollo_common.volumes import Volume, shortage

MISSING = frozenset({errno.ENOENT, errno.ENOTDIR})
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})

_PASSING = frozenset({errno.EIO, errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE})
_READ_ERRORS: dict[int, type[ApolloError]] = {
    errno.EACCES: StorageAccessDenied,
    errno.EPERM: StorageAccessDenied,
    errno.ENOENT: ObjectNotFound,
    errno.ENOTDIR: ObjectNotFound,
    errno.ENAMETOOLONG: InvalidLocation,
    errno.ELOOP: InvalidLocation,
}


@contextmanager
def reading(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        ours = _READ_ERRORS.get(error.errno or 0, StorageUnavailable)
        raise ours(f"{url} cannot be read: {_words(error)}") from error


@contextmanager
def writing(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise VolumeFull(f"{url} cannot be written: {shortage(Volume.OUTPUT)}", volume=Volume.OUTPUT) from error
        if error.errno in _PASSING:
            raise StorageUnavailable(f"{url} cannot be written: {_words(error)}") from error
        # Directories are made as they are needed: what is missing cannot be made.
        why = "no directory can be made there" if error.errno == errno.ENOENT else _words(error)
        raise OutputNotWritable(f"{url} cannot be written: {why}; name another place") from error


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
