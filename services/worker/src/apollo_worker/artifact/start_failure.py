"""Why the kernel refuses to execute a program, in a sentence that names the fix."""

import errno
import os
import shutil
import struct
from pathlib import Path

_READ_BYTES = 4096
_SHEBANG_LIMIT_BYTES = 255
_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64", 22: "s390x", 21: "ppc64le"}
_PT_INTERP = 3


def missing_env_interpreter(program: Path, search_path: str) -> str | None:
    """The NAME of a `#!/usr/bin/env NAME` line that is not on the path; exec itself would not notice."""
    words = _shebang(_head(program))
    if len(words) >= 2 and words[0].endswith("/env") and not words[1].startswith("-"):
        name = words[1]
        if shutil.which(name, path=search_path) is None:
            return f"its interpreter `{name}` is not on the worker's PATH"
    return None


def explain(program: Path, error_number: int) -> str:
    """The cause of a failed execve of `program`."""
    head = _head(program)
    shebang = _shebang(head)
    if error_number == errno.ENOENT and shebang:
        carriage_return = (
            " (the line ends in \\r: save the file with \\n line ends)" if head.split(b"\n")[0].endswith(b"\r") else ""
        )
        return f"its interpreter `{shebang[0]}` does not exist on the worker{carriage_return}"
    if error_number == errno.EACCES and shebang:
        return (
            f"its interpreter `{shebang[0]}` may not be executed; where programs run in a sandbox, the worker's "
            "APOLLO_SANDBOX_READABLE names the places of interpreters outside the system's"
        )
    if error_number == errno.ENOENT and head.startswith(b"\x7fELF"):
        return f"its dynamic loader `{_elf_interpreter(head)}` does not exist on the worker; link it statically"
    if error_number == errno.ENOEXEC and head.startswith(b"\x7fELF"):
        machine = _elf_machine(head)
        return f"it is an ELF file for {machine}, the worker is {os.uname().machine}"
    if error_number == errno.ENOEXEC:
        return "it is neither an executable for this machine nor a script that begins with #!"
    return os.strerror(error_number)


def _head(program: Path) -> bytes:
    with program.open("rb") as file:
        return file.read(_READ_BYTES)


def _shebang(head: bytes) -> list[str]:
    if not head.startswith(b"#!"):
        return []
    return head[2:_SHEBANG_LIMIT_BYTES].split(b"\n")[0].decode("utf-8", "replace").split()


def _elf_machine(head: bytes) -> str:
    if len(head) < 20:
        return "no machine (it is cut off)"
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return _MACHINES.get(number, f"machine number {number}")


def _elf_interpreter(head: bytes) -> str:
    """The PT_INTERP segment of a 64-bit little-endian ELF file; elf(5)."""
    try:
        table, _, _, _, entry_bytes, entries = struct.unpack_from("<QQIHHH", head, 32)
        for index in range(entries):
            kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", head, table + index * entry_bytes)
            if kind == _PT_INTERP:
                return head[offset : offset + size].rstrip(b"\0").decode("utf-8", "replace")
    except struct.error:
        return "?"
    return "?"
