"""Get files from the web: resumed after a break, checked by size and checksum, unpacked inside their folder only.

Zenodo and plain addresses go through pooch, Kaggle through kagglehub, Hugging Face through huggingface-hub; the latter
two look for credentials where they always do. Nothing here is imported before it is needed.
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from dfdlib import files
from dfdlib.data.archives import unpack
from dfdlib.data.corpora import Source
from dfdlib.errors import RunError, first_line
from dfdlib.text import one_line

#: The sites that are asked; None is huggingface-hub's own.
ZENODO = "https://zenodo.org"
HUGGINGFACE: str | None = None

#: Seconds between two attempts after a break, and how many may bring nothing in a row.
WAITS = (1.0, 5.0, 15.0)

#: The list of what a folder holds already, by which a fetch goes on.
RECORD = ".fetched.json"

# Bytes asked for at a time; what a break cuts off of them is asked for again.
_CHUNK = 2**16
_TIMEOUT = (15, 60)
_GO_ON = "run the same command again to go on where it stopped"

Say = Callable[[str], None]


class File(NamedTuple):
    """A file on the web."""

    url: str
    name: str  # what to call it
    size: int | None = None  # in bytes, where it is known
    digest: str = ""  # as ``md5:…`` or ``sha256:…``; "" where none is published

    @classmethod
    def at(cls, url: str, digest: str = "") -> "File":
        """Return the file at an address, called by the end of it."""
        return cls(url, unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or "download", digest=digest)


def fetch(source: Source, folder: Path, *, say: Say) -> None:
    """Get all of a source into a folder and unpack it; what is there already is kept.

    `say` is called with lines for the user: licences, sizes, files.

    Raises
    ------
    RunError
        No network, no right, not enough room, or other content than published: one line.
    DataError
        An archive that is damaged, or that would write outside of the folder.
    """
    wanted = []
    for record in source.zenodo:
        found, licence = zenodo(record)
        say(f"{ZENODO}/records/{record}: licence {licence or 'not stated'}")
        wanted += found
    wanted += [File.at(url, digest) for url, digest in source.urls.items()]
    done = files.read_json(folder / RECORD)
    new = [file for file in wanted if file.name not in done]
    if new:
        _require_room(folder, sum(file.size or 0 for file in new), say=say)
    for file in new:
        say(f"{file.name}{f', {_bytes(file.size)}' if file.size else ''}")
        archive = download(file, folder, say=say)
        if unpack(archive, folder):
            archive.unlink()
        done[file.name] = {"url": file.url, "size": file.size, "digest": file.digest}
        files.write_json(folder / RECORD, done)
    sets = [handle for handle in (source.huggingface, source.kaggle) if handle and handle not in done]
    if source.huggingface in sets:
        huggingface(source.huggingface, folder, only=source.only, say=say)
    if source.kaggle in sets:
        kaggle(source.kaggle, folder, say=say)
    if sets:
        for archive in sorted(path for path in folder.rglob("*") if path.suffix in (".zip", ".tar", ".gz", ".tgz")):
            if archive.name not in done and unpack(archive, archive.parent):
                say(f"unpacked {archive.relative_to(folder)}")
                archive.unlink()
        files.write_json(folder / RECORD, done | {handle: {} for handle in sets})


def download(file: File, folder: Path, *, say: Say | None = None) -> Path:
    """Get one file into a folder, and return where it is; a file that is there is checked, not fetched again."""
    import pooch

    pooch.get_logger().setLevel("ERROR")
    _require_plain(file.name)
    place = folder / file.name
    if place.exists() and file.size is not None and place.stat().st_size != file.size:
        place.unlink()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = pooch.retrieve(
            file.url, file.digest or None, fname=file.name, path=folder, downloader=_Resumed(file, say=say)
        )
    except ValueError as error:  # pooch's word for another checksum; the file is gone
        raise RunError(
            f"{file.url}: has other content than published ({file.digest}), and was removed; fetch it again, or see "
            "whether a newer version is out"
        ) from error
    except OSError as error:
        raise RunError(f"{place}: cannot be written ({error.strerror or error}); free some space") from error
    return Path(found)


class _Resumed:
    """Downloads for pooch: what came before a break is kept beside the file, and asked for no more."""

    def __init__(self, file: File, *, say: Say | None) -> None:
        self._file, self._say = file, say

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        import requests

        part = Path(output_file).with_name(f"{self._file.name}.part")
        failures = 0
        while True:
            before = _size(part)
            try:
                self._piece(part, before)
                break
            except requests.RequestException as error:
                failures = 0 if _size(part) > before else failures + 1
                if failures >= len(WAITS):
                    raise RunError(_broken(self._file, _size(part), error)) from error
                time.sleep(WAITS[failures])
        if self._file.size is not None and _size(part) != self._file.size:
            size = _size(part)
            part.unlink()
            raise RunError(
                f"{url}: has {size:,} bytes where {self._file.size:,} are published, and was removed; fetch it again"
            )
        os.replace(part, output_file)

    def _piece(self, part: Path, have: int) -> None:
        """Ask for what is missing, and add it."""
        import requests

        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(self._file.url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code == 416:
                # All of it is there, or it has become shorter: its size and checksum tell.
                if have != self._file.size:
                    part.unlink()
                    raise requests.ConnectionError("the file has changed; begun anew")
                return
            if answer.status_code >= 500:
                raise requests.ConnectionError(f"the server answers {answer.status_code}")
            if not answer.ok:
                raise RunError(_refused(self._file.url, answer.status_code))
            if have and answer.status_code == 206 and self._say:
                self._say(f"{self._file.name}: goes on at {_bytes(have)}")
            with open(part, "ab" if answer.status_code == 206 else "wb") as out:
                for chunk in answer.iter_content(_CHUNK):
                    out.write(chunk)


def zenodo(record: str) -> tuple[list[File], str]:
    """Return the files of a record of Zenodo, and its licence."""
    import requests

    url = f"{ZENODO}/api/records/{record}"
    try:
        answer = requests.get(url, timeout=_TIMEOUT)
        if not answer.ok:
            raise RunError(_refused(url, answer.status_code))
        told = answer.json()
        found = [
            File(one["links"]["self"], one["key"], int(one["size"]), one.get("checksum") or "") for one in told["files"]
        ]
        licence = (told.get("metadata") or {}).get("license") or {}
    except requests.JSONDecodeError as error:
        raise RunError(f"{url}: is no record of Zenodo; check its number") from error
    except requests.RequestException as error:
        raise RunError(_broken(File(url, record), 0, error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{url}: is no record with files that are open to all; see its page") from error
    return found, licence.get("id", "") if isinstance(licence, dict) else str(licence)


def huggingface(repo: str, folder: Path, *, only: str = "", kind: str = "dataset", say: Say) -> None:
    """Get the files of a repository of Hugging Face; `only` is a pattern of their names, `kind` dataset or model."""
    hub = _imported("huggingface_hub", "huggingface-hub")
    page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repo}"
    errors = _imported("huggingface_hub.errors", "huggingface-hub")
    _imported("huggingface_hub.utils.logging", "huggingface-hub").set_verbosity_error()
    try:
        told = hub.HfApi(endpoint=HUGGINGFACE).repo_info(repo, repo_type=kind, files_metadata=True)
        licence = (told.card_data or {}).get("license") or "not stated"
        say(f"{page}: licence {licence}")
        _require_room(folder, sum(one.size or 0 for one in told.siblings or () if not only), say=say)
        hub.snapshot_download(
            repo, repo_type=kind, revision=told.sha, local_dir=folder, allow_patterns=only or None, endpoint=HUGGINGFACE
        )
    except errors.GatedRepoError as error:
        raise RunError(
            f"{page}: is given on agreement; agree to its terms there, then sign in with 'hf auth login'"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise RunError(
            f"{page}: is not there, or not for everybody; sign in with 'hf auth login' if you may have it"
        ) from error
    except Exception as error:  # the hub's, those of its network library, and of the disk
        if isinstance(error, RunError):
            raise
        raise RunError(f"{page}: cannot be fetched ({first_line(error)}); {_GO_ON}") from error


def kaggle(handle: str, folder: Path, *, say: Say) -> None:
    """Get a data set of Kaggle."""
    hub = _imported("kagglehub", "kagglehub")
    page = f"https://www.kaggle.com/datasets/{handle}"
    say(f"{page}: its licence is stated there")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        hub.dataset_download(handle, output_dir=str(folder))
    except Exception as error:  # Kaggle's own, requests', and those of the disk
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise RunError(
                f"{page}: Kaggle gives it to signed-in users only ({status}); put a token where Kaggle looks for it "
                "(~/.kaggle/kaggle.json or KAGGLE_API_TOKEN), and agree to the terms on the page if it has some"
            ) from error
        raise RunError(f"{page}: cannot be fetched ({first_line(error)}); {_GO_ON}") from error


def _require_plain(name: str) -> None:
    if not name or name != PurePosixPath(name.replace("\\", "/")).name or name.startswith("."):
        raise RunError(f"{one_line(name)!r}: is no name for a file here; fetch it by hand")


def _require_room(folder: Path, needed: int, *, say: Say) -> None:
    """Refuse what does not fit on the disk; archives and what they hold lie beside each other for a while."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise RunError(
            f"{folder}: {_bytes(needed)} are to be fetched, {_bytes(free)} are free; choose another disk with --to"
        )
    if needed:
        say(f"{_bytes(needed)} to {folder}")


def _imported(name: str, package: str):
    """Import a package that only fetching needs."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RunError(f"{package} is not installed; run: pip install {package}") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _bytes(count: int | None) -> str:
    """Return a number of bytes for people."""
    value, unit = float(count or 0), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1_000:
            break
        value, unit = value / 1_000, larger
    return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"


def _refused(url: str, status: int) -> str:
    if status in (401, 403):
        return f"{url}: is refused ({status}); sign in or ask for it on its page, then fetch it by hand"
    what = "is not there (404); it may have moved, see its page" if status == 404 else f"is answered by {status}"
    return f"{url}: {what}"


def _broken(file: File, have: int, error: Exception) -> str:
    what = "broke off" if have else "cannot be reached"
    where = f" at {_bytes(have)}{f' of {_bytes(file.size)}' if file.size else ''}" if have else ""
    return f"{file.url}: {what}{where} ({first_line(error)}); check the network, and {_GO_ON}"
