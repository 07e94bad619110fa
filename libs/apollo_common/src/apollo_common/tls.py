"""Mutual TLS between a coordinator and a job's workers: what each side loads and what it insists on.

A job's authority signs two certificates, `WORKER_NAME` for servers and `COORDINATOR_NAME` for the client, and is then
forgotten. Each side trusts that authority alone, and a certificate serves its own role only (RFC 5280, 4.2.1.12): a
worker's does not let anybody command another worker.
"""

import os
import ssl
from pathlib import Path
from typing import Final

from apollo_common.errors import InvalidSetting

WORKER_NAME: Final = "apollo-worker"
"""What a worker's certificate is made out to: pods have no address yet when it is issued."""

COORDINATOR_NAME: Final = "apollo-coordinator"

AUTHORITY_FILE: Final = "ca.crt"
CERTIFICATE_FILE: Final = "tls.crt"
KEY_FILE: Final = "tls.key"


def worker_context(directory: Path) -> ssl.SSLContext:
    """What a worker serves with, from the three files of `directory`. Reads the disk. InvalidSetting."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cafile=directory / AUTHORITY_FILE)
        context.load_cert_chain(directory / CERTIFICATE_FILE, directory / KEY_FILE)
    except PermissionError as error:
        raise InvalidSetting(
            f"the keys in {directory} cannot be read ({error.filename or 'permission denied'}): "
            "set securityContext.fsGroup in the worker pod's template"
        ) from None
    except OSError as error:
        raise InvalidSetting(
            f"{directory} holds no usable {AUTHORITY_FILE}, {CERTIFICATE_FILE} and {KEY_FILE}: {_words(error)}"
        ) from None
    return context


def coordinator_context(authority: str, certificate: str, key: str) -> ssl.SSLContext:
    """What a coordinator calls a job's workers with, from PEM texts. ValueError when they are not usable."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=authority)
        _load_from_memory(context, f"{certificate}\n{key}".encode())
    except (OSError, ValueError) as error:
        raise ValueError(f"these keys cannot be used: {_words(error)}") from None
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2"])
    return context


def _load_from_memory(context: ssl.SSLContext, pem: bytes) -> None:
    """Python loads keys from files only: this one has no name and is on no disk."""
    descriptor = os.memfd_create("apollo-keys", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _words(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
