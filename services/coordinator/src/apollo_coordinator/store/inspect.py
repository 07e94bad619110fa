"""What an uploaded file is, from its bytes alone: whether a worker could execute it, and which protocol it speaks.

A program speaks `frames` when it holds the marker below, which every compiled SDK embeds, or is a Python script that
imports `apollo_sdk`: a regular expression walks over the source's strings and comments and looks for the import
statement outside of them. Parsing is not used, because the script may be written for another Python. Anything else
speaks `text`.
"""

import re
import struct

from apollo_common.errors import ArtifactRejected

MARKER = b"apollo-artifact:frames/1"
SOURCE_BYTES = 1 << 20  # how much of a script is looked at for imports
MAX_NAME_BYTES = 255
MAX_SHEBANG_BYTES = 255  # the kernel cuts the line there (binfmt_script)

_IMPORT = re.compile(
    rb"""
      "{3}(?:[^\\]|\\.)*?(?:"{3}|\Z)    | '{3}(?:[^\\]|\\.)*?(?:'{3}|\Z)    # strings and comments, to be skipped
    | "(?:[^"\\\n]|\\.)*(?:"|$)         | '(?:[^'\\\n]|\\.)*(?:'|$)         | \#[^\n]*
    | (?:^|[;:])[ \t]*(?P<statement>
        from[ \t]+apollo_sdk\b
      | import[ \t]+(?:[\w.]+(?:[ \t]+as[ \t]+\w+)?[ \t]*,[ \t]*)*apollo_sdk\b
      )
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ELF_MACHINES = {"x86_64": (2, 62), "aarch64": (2, 183)}  # class (2: 64 bits), e_machine
_ELF_NAMES = {
    3: "x86 (32 bits)",
    40: "ARM (32 bits)",
    62: "x86_64",
    183: "aarch64",
    243: "RISC-V",
    21: "ppc64",
    22: "s390x",
}
_ELF_RELOCATABLE, _ELF_SHARED, _ELF_CORE = 1, 3, 4
_PROGRAM_INTERPRETER = 3
_MACHO = (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_SHEBANG_FIX = "Begin the file with a line such as #!/usr/bin/env python3, or upload a compiled program."


def check_name(name: str) -> None:
    """Raises ArtifactRejected unless the name can name an artifact and a file in a working directory."""
    if not name or name in (".", "..") or "/" in name:
        raise ArtifactRejected("This name cannot name an artifact.", fix="Use a plain file name without a slash.")
    if len(name.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
        raise ArtifactRejected("The name is too long.", fix=f"Shorten it to {MAX_NAME_BYTES} bytes.")
    if _CONTROL.search(name) or any("\ud800" <= character <= "\udfff" for character in name):
        raise ArtifactRejected("The name holds characters that cannot be shown.", fix="Use a plain file name.")
    if name.startswith(("builtin:", "shell:")):
        raise ArtifactRejected("Names do not start with builtin: or shell:.", fix="Rename the file.")


class Probe:
    """Looks at an upload piece by piece: keeps its beginning and searches all of it for the marker."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._border = b""
        self.size_bytes = 0
        self.has_marker = False

    def feed(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        if len(self._head) < SOURCE_BYTES:
            self._head += chunk[: SOURCE_BYTES - len(self._head)]
        if not self.has_marker:
            seam = self._border + chunk[: len(MARKER)]
            self.has_marker = MARKER in seam or MARKER in chunk
            self._border = (self._border + chunk)[1 - len(MARKER) :]

    def protocol(self, machine: str) -> str:
        """`frames` or `text` for a program that `machine` (as in uname -m) executes; ArtifactRejected for others."""
        head = bytes(self._head)
        check_executable(head, machine)
        return "frames" if self.has_marker or _imports_sdk(head) else "text"


def check_executable(head: bytes, machine: str) -> None:
    """Raises ArtifactRejected, saying what the file is instead, unless it is a program. `head`: its first bytes."""
    if not head:
        raise ArtifactRejected("The file is empty.", fix="Upload the program itself.")
    if head.startswith(b"\x7fELF"):
        _check_elf(head, machine)
    elif head.startswith(b"#!"):
        _check_shebang(head)
    elif head.startswith(b"PK\x03\x04"):
        fix = "Make a zipapp that names its interpreter: python -m zipapp -p '/usr/bin/env python3' DIRECTORY."
        raise ArtifactRejected("The file is a ZIP archive without a shebang.", fix=fix)
    elif head.startswith(b"\xef\xbb\xbf#!"):
        fix = "Save the file as UTF-8 without a byte order mark."
        raise ArtifactRejected("A byte order mark stands before the shebang.", fix=fix)
    elif head.startswith(b"MZ"):
        raise ArtifactRejected("The file is a Windows program.", fix=f"Build it for Linux on {machine}.")
    elif head.startswith(_MACHO):
        raise ArtifactRejected("The file is a macOS program.", fix=f"Build it for Linux on {machine}.")
    else:
        raise ArtifactRejected("The file is neither an ELF program nor a script with a shebang.", fix=_SHEBANG_FIX)


def _check_elf(head: bytes, machine: str) -> None:
    """ELF header fields: System V ABI, chapter 4; same order of bytes for all machines that workers run on."""
    if len(head) < 64:
        raise ArtifactRejected("The ELF file is cut short.", fix="Upload the whole file.")
    bits, order = head[4], head[5]
    kind, architecture = struct.unpack_from("<HH" if order == 1 else ">HH", head, 16)
    if machine in _ELF_MACHINES and (order != 1 or (bits, architecture) != _ELF_MACHINES[machine]):
        built_for = _ELF_NAMES.get(architecture, f"machine type {architecture}")
        raise ArtifactRejected(f"The program is built for {built_for}.", fix=f"Build it for Linux on {machine}.")
    if kind == _ELF_RELOCATABLE:
        raise ArtifactRejected("The file is an object file.", fix="Link it to a program, and upload that.")
    if kind == _ELF_CORE:
        raise ArtifactRejected("The file is a core dump.", fix="Upload the program itself.")
    if kind == _ELF_SHARED and bits == 2 and _is_library(head):
        raise ArtifactRejected("The file is a shared library.", fix="Link it to a program, and upload that.")


def _is_library(head: bytes) -> bool:
    """A shared object with neither an entry point nor an interpreter; position-independent programs have one."""
    (entry, headers_offset) = struct.unpack_from("<QQ", head, 24)
    size, count = struct.unpack_from("<HH", head, 54)
    kinds = [
        struct.unpack_from("<I", head, headers_offset + index * size)[0]
        for index in range(count)
        if headers_offset + index * size + 4 <= len(head)
    ]
    return entry == 0 and _PROGRAM_INTERPRETER not in kinds


def _check_shebang(head: bytes) -> None:
    line = head[2:].split(b"\n", 1)[0]
    if line.endswith(b"\r"):
        fix = "Save the file with Unix line ends: sed -i 's/\\r$//' FILE."
        raise ArtifactRejected("The shebang ends in a carriage return (Windows line ends).", fix=fix)
    if len(line) + 2 > MAX_SHEBANG_BYTES:
        fix = f"Shorten it to {MAX_SHEBANG_BYTES} bytes; the kernel reads no more."
        raise ArtifactRejected("The shebang line is too long.", fix=fix)
    words = line.split()
    if not words or not words[0].startswith(b"/"):
        raise ArtifactRejected("The shebang names no interpreter by an absolute path.", fix=_SHEBANG_FIX)
    if words[0].endswith(b"/env") and len(words) == 1:
        raise ArtifactRejected("The shebang names env, but no program for it.", fix=_SHEBANG_FIX)


def _imports_sdk(head: bytes) -> bool:
    shebang = head.split(b"\n", 1)[0]
    if not (shebang.startswith(b"#!") and b"python" in shebang):
        return False
    return any(match["statement"] for match in _IMPORT.finditer(head))
