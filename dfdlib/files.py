"""Files written whole or not at all, and recognised by their content."""

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dfdlib.errors import RunError

# What the system says when a place cannot be written, whoever is at fault.
_REFUSALS = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST,
}  # fmt: skip


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of the bytes of the file at `path`, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short(digest: str) -> str:
    """Return the first twelve digits of a fingerprint: enough to tell files apart on a page."""
    return digest[:12]


@contextlib.contextmanager
def atomic(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Open a temporary file beside `path` that takes its place when the block ends well.

    A reader sees the old file or the new one, never a part; a killed process leaves the old one.

    Parameters
    ----------
    path : str or Path
        The file to write. Its folder is made when missing.
    mode : {"w", "wb"}
        Text (UTF-8, newlines as written) or bytes.

    Raises
    ------
    RunError
        The folder cannot be written or the disk is full.
    """
    path = Path(path)
    options = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; a result is for everyone the umask allows.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        if error.errno in _REFUSALS:
            raise RunError(
                f"{path}: cannot be written ({os.strerror(error.errno)}); free some space or choose another folder"
            ) from error
        raise
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
