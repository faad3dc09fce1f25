"""Unpack archives inside their folder only."""

import re
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from dfdlib.errors import DataError, first_line
from dfdlib.text import one_line


def unpack(archive: Path, folder: Path) -> bool:
    """Unpack a zip or tar file into a folder; return False for any other file.

    Raises
    ------
    DataError
        It is damaged, encrypted or part of a split archive, or a name or link in it leads outside of the folder.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                for member in packed.infolist():
                    _require_inside(member.filename, archive)
                    if stat.S_ISLNK(member.external_attr >> 16):
                        link = one_line(member.filename)
                        raise DataError(f"holds a link, {link!r}; unpack it yourself if you trust it", path=archive)
                packed.extractall(folder)
            return True
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter=_safe)
            return True
    except tarfile.FilterError as error:
        raise DataError(f"{first_line(error)}; unpack it yourself if you trust it", path=archive) from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise DataError(
            f"cannot be unpacked ({first_line(error)}); if it is one of several parts, join them with '7z x'; else "
            "remove it and fetch it again",
            path=archive,
        ) from error
    return False


def _safe(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Let a member of a tar file pass that stays in the folder: no absolute path, no step or link out, no device."""
    if PurePosixPath(member.name).is_absolute():
        raise tarfile.AbsolutePathError(member)
    return tarfile.data_filter(member, folder)


def _require_inside(name: str, archive: Path) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
        raise DataError(f"holds {one_line(name)!r}, which leads outside; unpack it yourself", path=archive)
