"""Files written whole or not at all, checked before the work for them begins, and recognised by their content."""

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dfdlib.errors import ParameterError, RunError

#: System errors of a place that cannot be written.
_REFUSALS = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR,
    errno.ENAMETOOLONG, errno.ELOOP, errno.EFBIG, errno.EIO, errno.ENXIO, errno.EPIPE, errno.EBADF,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file, or a folder, that a command is going to write."""

    option: str  # what names it in messages, as ``--out``
    path: Path
    suffixes: tuple[str, ...] = ()  # what the name may end with; anything if empty. Devices may have any name.
    folder: bool = False  # it is a folder, which may exist
    reread: bool = False  # it is read again, so it must be a file
    # The file that it is written with. One that is there without that was not written by the same command.
    beside: Path | None = None

    def __str__(self) -> str:
        return f"{self.option} {self.path}"


def check_outputs(outputs: Iterable[Output], *, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse, before any work is done, what could not be written in the end or would destroy something.

    Parameters
    ----------
    inputs : iterable of str or Path
        Files and folders that the command reads.

    Raises
    ------
    ParameterError
        An output has a wrong suffix, is a folder, or is an input or another output, by whatever path or link; or a
        folder to write holds an input.
    RunError
        A place cannot be written: no rights, a file where a folder should be, a name too long.
    """
    outputs, earlier = list(outputs), []
    # There may be half a million inputs: each is looked at once, whatever is written.
    read = _Places(inputs if outputs else ())
    for output in outputs:
        _check_kind(output)
        if read.have(output.path, below=output.folder):
            raise ParameterError(f"{output}: is read by this command, and would be lost; choose another name")
        if output.folder and (inside := read.below(output.path)):
            raise ParameterError(f"{output}: holds {inside}, which is read by this command and might be lost")
        if output.beside is not None and os.path.exists(output.path) and not os.path.exists(output.beside):
            raise ParameterError(f"{output}: is there without {output.beside}, and would be lost; choose another name")
        for other in earlier:
            if _Places([other.path]).have(output.path, below=True):
                raise ParameterError(f"{output}: is {other.option} as well; choose another name")
        with _refused(output):
            _try(output)
        earlier.append(output)


def _check_kind(output: Output) -> None:
    """Refuse an output that has another form than it should."""
    if os.path.exists(output.path) and os.path.isdir(output.path) != output.folder:
        raise ParameterError(
            f"{output}: is a file; name a folder" if output.folder else f"{output}: is a folder; name a file in it"
        )
    if _is_special(output.path):
        if output.reread:
            raise ParameterError(f"{output}: is read again later, so it must be a file")
        return
    target = Path(os.path.realpath(output.path))
    # What a link leads to may be a store's file, without a suffix.
    fit = target.suffix.lower() in (*output.suffixes, "") and output.path.suffix.lower() in output.suffixes
    if output.suffixes and not fit:
        leads = f", which leads to {target}" if output.path.is_symlink() else ""
        raise ParameterError(f"{output}{leads}: the name must end with {' or '.join(output.suffixes)}")


def _try(output: Output) -> None:
    """Try to write an output, and leave nothing behind; OSError where it cannot be written."""
    there, target = os.path.exists(output.path), Path(os.path.realpath(output.path))
    if there and not output.folder and not os.access(output.path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if there and _is_special(output.path):
        return
    folder = target if output.folder else target.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    for name in target.relative_to(folder).parts:
        with contextlib.suppress(FileNotFoundError):
            os.stat(folder / name)  # a name too long, links in a circle
    tempfile.TemporaryFile(dir=folder).close()


class _Places:
    """Files and folders, known by where they lie and by what they are."""

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self._real: set[str] = set()
        self._files: set[tuple[int, int]] = set()
        for path in paths:
            with contextlib.suppress(OSError, ValueError):  # not there, or a zero byte, which no name has
                self._real.add(os.path.realpath(path))
                self._files.add(_identity(path))

    def have(self, path: str | Path, *, below: bool = False) -> bool:
        """Tell whether a path is one of these places, by whatever link, or lies below one."""
        real = os.path.realpath(path)
        if real in self._real:
            return real != os.devnull
        if _is_special(path):
            return False
        if below and not self._real.isdisjoint(map(str, Path(real).parents)):
            return True
        try:
            return _identity(path) in self._files
        except OSError:
            return False

    def below(self, folder: Path) -> str | None:
        """Return one of these places that lies in a folder, or None."""
        real = Path(os.path.realpath(folder))
        return next((place for place in sorted(self._real) if real in Path(place).parents), None)


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def is_standard_output(path: str | Path) -> bool:
    """Tell whether a path names what standard output is, as ``/dev/stdout`` does."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False


def _is_special(path: str | Path) -> bool:
    """Tell whether a path names something that is written into, not replaced: a device, a pipe, standard output."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return is_standard_output(path) or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of the bytes of the file at `path`, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short(digest: str) -> str:
    """Return the first twelve digits of a fingerprint: enough to tell files apart on a page."""
    return digest[:12]


def to_json(value: object, *, indent: int | None = None) -> str:
    """Return a value as JSON: numpy's numbers and arrays as plain ones, and null for a number that is not finite."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def write_json(path: str | Path, value: object) -> None:
    """Write what `to_json` makes of a value, atomically."""
    with atomic(path) as file:
        file.write(to_json(value, indent=1))


def read_json(path: str | Path) -> dict:
    """Return the object in a JSON file; an empty one where there is none, or the file is damaged."""
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(Path(path).read_text("utf-8"))
        return value if isinstance(value, dict) else {}
    return {}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def atomic(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Open a temporary file, text in UTF-8 or bytes, that takes the place of `path` when the block ends well.

    A reader sees the old file or the new one, never a part; a killed process leaves the old one. The target of a
    symbolic link is replaced, not the link. A device or a pipe gets all that was written when the block ends well. A
    missing folder is made.
    """
    options = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    if _is_special(path):
        with _refused(path, _REFUSALS), tempfile.TemporaryFile(f"{mode}+", **options) as file:
            yield file
            file.flush()
            with open(file.fileno(), "rb", closefd=False) as written, _device(path) as device:
                written.seek(0)
                shutil.copyfileobj(written, device)
        return
    target = Path(os.path.realpath(path))
    # of a length of its own, as the name may be as long as names can be
    temporary = target.parent / f".{secrets.token_hex(8)}.unfinished"
    try:
        with _refused(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            file = open(temporary, mode.replace("w", "x"), **options)  # noqa: SIM115
        with _refused(path, _REFUSALS), file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _refused(path):
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _device(path: str | Path) -> IO[bytes]:
    if not is_standard_output(path):
        return open(path, "wb")
    sys.stdout.flush()
    return open(os.dup(1), "wb")


@contextlib.contextmanager
def _refused(what: str | Path | Output, reasons: set[int] | None = None) -> Iterator[None]:
    """Turn system errors, of these numbers or any, into one line that names the place."""
    try:
        yield
    except OSError as error:
        if reasons is not None and error.errno not in reasons:
            raise
        raise RunError(
            f"{what}: cannot be written ({error.strerror or error}); free some space or choose another name or folder"
        ) from error
