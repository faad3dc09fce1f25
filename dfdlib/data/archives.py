"""Unpack archives inside their folder only."""

import re
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from dfdlib.errors import DataError, first_line
from dfdlib.text import one_line


def unpack(archive: Path, folder: Path) -> bool:
    """Unpack a zip or tar file into a folder; return False for any other file.

    DataError: it is damaged, encrypted or part of a split archive, holds a link, or a name in it leads outside.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                for member in packed.infolist():
                    _require_plain(member.filename, archive, link=stat.S_ISLNK(member.external_attr >> 16))
                packed.extractall(folder)
            return True
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as packed:
                for member in packed:
                    _require_plain(member.name, archive, link=not (member.isfile() or member.isdir()))
                    # Python has filters for this since 3.11.4; Debian 12 has 3.11.2.
                    place = folder / member.name
                    if member.isdir():
                        place.mkdir(parents=True, exist_ok=True)
                        continue
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with open(place, "wb") as file:
                        shutil.copyfileobj(packed.extractfile(member), file)
            return True
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise DataError(
            f"cannot be unpacked ({first_line(error)}); if it is one of several parts, join them with '7z x'; else "
            "remove it and fetch it again",
            path=archive,
        ) from error
    return False


def _require_plain(name: str, archive: Path, *, link: bool) -> None:
    """Refuse a member that is a link or a device, or whose name leads out of the folder."""
    path, what = PurePosixPath(name.replace("\\", "/")), ""
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
        what = f"{one_line(name)!r}, which leads outside"
    elif link:
        what = f"a link or a device, {one_line(name)!r}"
    if what:
        raise DataError(f"holds {what}; unpack it yourself if you trust it", path=archive)
