"""Fetch Debian packages without root and without installing them, and keep them.

`apt-get` works from lists and a cache of its own below one folder, so it needs no privilege and leaves the system
alone; apt checks each download against Debian's signed lists. `dpkg-deb` unpacks. A record of names, versions and
SHA-256 lies beside the packages: what is there and unchanged is not fetched again.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dfdlib import files
from dfdlib.errors import RunError

RECORD = "packages.json"
SMALL = 5_000_000  # bytes; packages below are fetched together
OWN_DATA = "or use data of your own (data/README.md says how to lay it out)"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Packages:
    """Unpacked packages."""

    root: Path  # holds their files as the system's root would: ``root/usr/share/…``
    versions: dict[str, str] = field(compare=False)  # the version of each package asked for that this release has
    missing: tuple[str, ...] = ()  # the packages asked for that it has not

    def environment(self) -> dict[str, str]:
        """Return the environment in which programs from these packages find their libraries and data."""
        libraries = [*self.root.glob("usr/lib/*-linux-*"), *self.root.glob("lib/*-linux-*")]
        folders = [str(each) for library in libraries for each in (library, library / "pulseaudio") if each.is_dir()]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": os.pathsep.join(folders)}
        for library in libraries:
            if (library / "espeak-ng-data").is_dir():
                environment["ESPEAK_DATA_PATH"] = str(library / "espeak-ng-data")
        return environment

    def program(self, name: str) -> str:
        """Return the path of the program `name`."""
        return str(self.root / "usr" / "bin" / name)


def fetch(
    folder: str | Path, *, data: Sequence[str], programs: Sequence[str], progress: Progress = lambda *_: None
) -> Packages:
    """Download and unpack packages below `folder`, unless they are there already.

    Those of `data` are taken alone, `programs` with the libraries they need and this system lacks; `progress` is called
    with (what is fetched, done, total).

    Raises
    ------
    RunError
        There is no apt-get or dpkg-deb, no network, or this release has none of the packages.
    """
    folder = Path(folder).resolve()
    wanted = [*data, *programs]
    record = files.read_json(folder / RECORD)
    if not set(wanted) <= set(record) or not _intact(folder, record):
        record = _download(folder, record, data=data, programs=programs, progress=progress)
    root = folder / "unpacked"
    done = folder / "unpacked.json"
    fingerprint = json.dumps(record, sort_keys=True)
    if not done.is_file() or done.read_text(encoding="utf-8") != fingerprint:
        progress("unpacking packages", 0, 1)
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        for package in record.values():
            if package["file"]:
                _run(["dpkg-deb", "-x", str(folder / package["file"]), str(root)], folder)
        with files.atomic(done) as file:
            file.write(fingerprint)
        progress("unpacking packages", 1, 1)
    versions = {name: record[name]["version"] for name in wanted if record[name]["file"]}
    return Packages(root=root, versions=versions, missing=tuple(name for name in wanted if name not in versions))


def _intact(folder: Path, record: dict[str, dict[str, str]]) -> bool:
    return all(
        (folder / package["file"]).is_file() and files.sha256(folder / package["file"]) == package["sha256"]
        for package in record.values()
        if package["file"]
    )


def _download(
    folder: Path, record: dict, *, data: Sequence[str], programs: Sequence[str], progress: Progress
) -> dict[str, dict[str, str]]:
    """Fetch what is not in the record or not as it says; return the record with it."""
    apt = _apt(folder)
    # A repository that does not answer may not be needed; a missing package is left out.
    progress("reading the lists of packages", 0, 1)
    _run([*apt("apt-get"), "update"], folder, check=False)
    progress("reading the lists of packages", 1, 1)
    sizes = _sizes(apt, folder, [*data, *programs])
    if not sizes:
        # Nothing is known of any of them: apt says why.
        _run([*apt("apt-get"), "download", *data, *programs], folder / "debs")
    there = [name for name in programs if name in sizes]
    plan = _run([*apt("apt-get"), "--simulate", "--no-install-recommends", "install", *there], folder) if there else ""
    libraries = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    sizes |= _sizes(apt, folder, [name for name in libraries if name not in sizes])
    kept = {name: package for name, package in record.items() if package["file"] and _intact(folder, {name: package})}
    new = sorted((name for name in sizes if name not in kept), key=lambda name: (-sizes[name], name))
    small = [name for name in new if sizes[name] < SMALL]
    total, done = sum(sizes[name] for name in new), 0
    for names in (*([name] for name in new if name not in small), *([small] if small else [])):
        what = names[0] if len(names) == 1 else f"{len(names)} small packages"
        size = sum(sizes[name] for name in names)
        progress(f"fetching {what}, {size / 1e6:.0f} MB of {total / 1e6:.0f}", done, len(new))
        _run([*apt("apt-get"), "download", *names], folder / "debs")
        done += len(names)
        progress(f"fetching {what}, {size / 1e6:.0f} MB of {total / 1e6:.0f}", done, len(new))
    record = {
        name: {"file": "", "version": "", "sha256": ""} for name in (*data, *programs) if name not in sizes
    } | kept
    for file in sorted((folder / "debs").glob("*.deb")):
        name, version = _run(["dpkg-deb", "-W", "--showformat=${Package} ${Version}", str(file)], folder).split()
        if name in new:
            record[name] = {"file": f"debs/{file.name}", "version": version, "sha256": files.sha256(file)}
    with files.atomic(folder / RECORD) as file:
        json.dump(record, file, indent=2, sort_keys=True)
    return record


def _apt(folder: Path) -> Callable[[str], list[str]]:
    """Return what begins a command of apt that keeps to `folder`."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise RunError(
                f"{tool}: not found, and the demo data comes from Debian packages; "
                f"build it on Debian or Ubuntu, {OWN_DATA}"
            )
    for needed in ("apt/lists/partial", "apt/cache/archives/partial", "debs"):
        (folder / needed).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::Lists": folder / "apt" / "lists",
        "Dir::Cache": folder / "apt" / "cache",
        # Hooks of the system may want root; these lists do not need them.
        "APT::Update::Post-Invoke": "",
        "APT::Update::Post-Invoke-Success": "",
        # As root, apt would otherwise hand downloads to a user who may not reach this folder.
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
        "Acquire::Retries": "3",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return lambda tool: [tool, *(["-qq"] if tool == "apt-get" else []), *words]


def _sizes(apt: Callable[[str], list[str]], folder: Path, names: Sequence[str]) -> dict[str, int]:
    """Return the size in bytes of each package that this release has."""
    if not names:
        return {}
    said = _run([*apt("apt-cache"), "--no-all-versions", "show", *names], folder, check=False)
    packages = re.findall(r"^Package: (\S+)$.*?^Size: (\d+)$", said, re.MULTILINE | re.DOTALL)
    return {name: int(size) for name, size in packages if name in names}


def _run(command: list[str], folder: Path, *, check: bool = True) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[0]
        what = next((word for word in command[1:] if word in {"download", "install", "-x", "-W"}), "")
        raise RunError(f"{command[0]} {what}: {said}; check the network and the disk, {OWN_DATA}")
    return done.stdout
