"""Build the demo corpora: fetch, measure, plan, make, and write manifests."""

import functools
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dfdlib import files, machine, processes
from dfdlib.data.demo import clips, copies, debian, recordings, synthesis
from dfdlib.data.demo.debian import Progress
from dfdlib.data.demo.plan import PARTS, VOICES, plan
from dfdlib.data.listing import MANIFEST
from dfdlib.errors import ParameterError, RunError

#: What a report does not need; the baseline detector was trained on it.
TRAINING_PART = "source/training"
DEFAULT_PARTS = tuple(part for part in PARTS if part != TRAINING_PART)
#: Recordings, and a voice made of them, that only that part uses.
TRAINING_PACKAGES = (recordings.READINGS,)
#: Festival's voices that the plan has use for, with what they need.
VOICE_PACKAGES = (
    *("festvox-kdlpc16k", "festvox-us-slt-hts", "festlex-cmu", "festlex-poslex"),
    *("festvox-ca-ona-hts", "festival-ca"),
)

#: Raised whenever the recipe gives other clips than before: what was built with another one is built again.
RECIPE = 3

MANIFEST_COLUMNS = (
    *("path", "label", "split", "speaker", "sentence", "attack", "language"),
    *("source_package", "source_version", "source_recording", "duration", "sha256"),
)
CHUNK = 8  # clips that a worker takes at a time
MOST_LEFT_OUT = 0.05  # of a part's clips; beyond that something is wrong with a tool, not with a recording


def build(
    root: str | Path,
    *,
    parts: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build the demo corpora below `root`, or finish a build that was stopped; return `root`, absolute.

    Parameters
    ----------
    root : str or Path
        Gets ``source/``, ``for-2seconds/``, ``custom/`` and ``telephone/``, each with a ``manifest.parquet``, and
        ``packages/``.
    parts : sequence of str, optional
        Some of `PARTS`; by default all but ``source/training``.
    workers : int, optional
        Processes; by default one a core.
    progress : callable, optional
        Called with (step, done, total); by default a bar on a terminal and plain lines elsewhere, on stderr.
    """
    root = Path(root).absolute()
    parts = DEFAULT_PARTS if parts is None else tuple(parts)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or not parts:
        raise ParameterError(f"parts={', '.join(unknown) or 'none'}: expected some of {', '.join(PARTS)}")
    if all(_is_built(root, part) for part in parts):
        return root
    workers = workers or machine.cores()
    progress = progress or _Show()

    data = [name for name in recordings.PACKAGES if TRAINING_PART in parts or name not in TRAINING_PACKAGES]
    data += VOICE_PACKAGES
    packages = debian.fetch(root / "packages", data=data, programs=synthesis.PROGRAMS, progress=progress)
    for name in packages.missing:
        progress(f"{name}: not in this release, left out", 1, 1)
    with processes.pool(workers, prepare=_one_thread) as pool:
        known, left_out = _survey(root, packages, pool, progress)
        versions = {**packages.versions, **_python_packages()}
        work = _Work(root, packages, versions, known.set_index("recording"), left_out, pool, progress)
        table = plan(known, there=packages.versions)
        for part in parts:
            if not _is_built(root, part):
                _build_part(work, part, table[table["part"] == part])
                _write_manifest(root, part.split("/")[0])
    return root


@dataclass(frozen=True)
class _Work:
    """Inputs and tools of a build."""

    root: Path
    packages: debian.Packages
    versions: dict[str, str]
    recordings: pd.DataFrame
    left_out: pd.DataFrame
    pool: ProcessPoolExecutor
    progress: Progress


def _build_part(work: _Work, part: str, rows: pd.DataFrame) -> None:
    """Make the clips of one part; write its manifest and the list of clips left out."""
    unfinished = _stamp(work.root, part).with_suffix(".unfinished")
    versions = {**work.versions, **_made_by(part)}
    made_with = {"recipe": RECIPE, "packages": versions, "attacks": _attacks(part)}
    _make_room(work.root, part, unfinished, json.dumps(made_with, sort_keys=True))
    jobs = [
        clips.Job(
            work.root / row.corpus / f"{row.clip}.wav",
            row._asdict(),
            list(work.recordings.loc[list(row.recordings), "file"]),
        )
        for row in rows.itertuples(index=False)
    ]
    # Clips cut from one recording follow each other, so that a worker reads it once.
    jobs.sort(key=lambda job: (job.row["recordings"], job.row["attack"], job.row["start"]))
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    results: list[clips.Result] = []
    work.progress(part, 0, len(jobs))
    for chunk in work.pool.map(functools.partial(clips.make_chunk, packages=work.packages), chunks):
        results += chunk
        work.progress(part, len(results), len(jobs))

    made, gone = [], []
    failed = {_twins(job) for job, result in zip(jobs, results, strict=True) if result.reason}
    for job, result in zip(jobs, results, strict=True):
        path = job.path.relative_to(work.root / job.row["corpus"]).as_posix()
        if _twins(job) in failed:
            gone.append({"path": path, "reason": result.reason or "its twin cannot be made"})
            job.path.unlink(missing_ok=True)
        else:
            made.append({"path": path, "duration": result.duration, "sha256": result.sha256, **_origin(work, job)})
    if len(gone) > MOST_LEFT_OUT * len(jobs):
        raise RunError(f"{part}: {len(gone)} of {len(jobs)} clips cannot be made; the first: {gone[0]['reason']}")
    made = pd.DataFrame(made, columns=list(MANIFEST_COLUMNS)).sort_values("path", ignore_index=True)
    gone = pd.concat([work.left_out, pd.DataFrame(gone, columns=["path", "reason"])], ignore_index=True)
    with files.atomic(_stamp(work.root, part).with_suffix(".parquet"), "wb") as file:
        made.to_parquet(file, index=False)
    with files.atomic(_stamp(work.root, part).with_suffix(".left_out.csv")) as file:
        gone.to_csv(file, index=False)
    with files.atomic(_stamp(work.root, part)) as file:
        json.dump({**made_with, "clips": len(made)}, file, indent=2, sort_keys=True)
    unfinished.unlink(missing_ok=True)


def _twins(job: clips.Job) -> tuple:
    """Return what a bona fide clip and its spoof twin share, and no other clip of the part."""
    return (job.row["recordings"], job.row["start"])


def _origin(work: _Work, job: clips.Job) -> dict[str, object]:
    """Return what the manifest says of where a clip comes from."""
    row = job.row
    read = row["attack"] in synthesis.READERS
    recorded = work.recordings.loc[list(row["recordings"]), "package"]
    sources = clips.reader(row, work.packages).packages if read else sorted(set(recorded))
    return {
        **{column: row[column] for column in ("label", "split", "speaker", "sentence", "attack", "language")},
        "source_package": " + ".join(sources),
        "source_version": " + ".join(work.versions[name] for name in sources),
        "source_recording": "" if read else " + ".join(row["recordings"]),
    }


def _make_room(root: Path, part: str, unfinished: Path, mark: str) -> None:
    """Keep the clips of a stopped build of the same recipe; remove those of another one."""
    if unfinished.is_file() and unfinished.read_text(encoding="utf-8") == mark:
        return
    folder = root / part
    if folder.is_dir() and any(folder.iterdir()):
        if not (unfinished.is_file() or _stamp(root, part).is_file()):
            raise RunError(f"{folder}: holds files that no build made; move them away or build in another folder")
        shutil.rmtree(folder)
    with files.atomic(unfinished) as file:
        file.write(mark)


def _survey(root: Path, packages: debian.Packages, pool, progress: Progress) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure the recordings, or read earlier measurements."""
    catalogue = recordings.catalogue(packages.root)
    catalogue = catalogue[catalogue["speaker"].isin(VOICES)].reset_index(drop=True)
    versions = hashlib.sha256(json.dumps(packages.versions, sort_keys=True).encode()).hexdigest()
    kept = root / "packages" / f"survey-{RECIPE}-{files.short(versions)}.parquet"
    if not kept.is_file():

        def in_pool(function: Callable, paths: Sequence[str]) -> Iterator:
            for number, seen in enumerate(pool.map(function, paths, chunksize=32), 1):
                if number % 64 == 0 or number == len(paths):
                    progress("measuring recordings", number, len(paths))
                yield seen

        with files.atomic(kept, "wb") as file:
            recordings.measure(catalogue, root=packages.root, map_=in_pool).to_parquet(file, index=False)
    seen = pd.read_parquet(kept)
    good = seen["reason"] == ""
    left_out = seen.loc[~good, ["file", "reason"]].rename(columns={"file": "path"})
    return seen[good].drop(columns="reason").reset_index(drop=True), left_out


def _is_built(root: Path, part: str) -> bool:
    return _is_current(root, part) and (root / part.split("/")[0] / MANIFEST).is_file()


def _is_current(root: Path, part: str) -> bool:
    """Say whether the clips of a part were made with this recipe, its attacks and what is installed now."""
    stamp = files.read_json(_stamp(root, part))
    if stamp.get("recipe") != RECIPE or stamp.get("attacks") != _attacks(part):
        return False
    return _made_by(part).items() <= stamp.get("packages", {}).items()


def _attacks(part: str) -> list[str]:
    return [attack for attack in PARTS[part].attacks if attack in synthesis.SYSTEMS]


def _stamp(root: Path, part: str) -> Path:
    return root / "built" / f"{part.replace('/', '-')}.json"


def _write_manifest(root: Path, corpus: str) -> None:
    parts = [part for part in PARTS if part.split("/")[0] == corpus and _is_current(root, part)]
    if parts:
        tables = [pd.read_parquet(_stamp(root, part).with_suffix(".parquet")) for part in parts]
        table = pd.concat(tables, ignore_index=True)
        with files.atomic(root / corpus / MANIFEST, "wb") as file:
            table.to_parquet(file, index=False)


def _python_packages() -> dict[str, str]:
    return {name: machine.version(name) for name in (*synthesis.PYTHON, "onnxruntime", "soxr", "av", "soundfile")}


def _made_by(part: str) -> dict[str, str]:
    """Return the versions of what comes with Python and with the project and makes the clips of a part."""
    if "neural-vocoder" not in PARTS[part].attacks:
        return _python_packages()
    weights = copies.weights_file()
    return {**_python_packages(), "torch": machine.version("torch"), weights.name: files.sha256(weights)}


def _one_thread() -> None:
    """Limit a worker to one thread: more are slower beside other workers, and sums may differ."""
    import scipy.linalg  # noqa: F401 (its own linear algebra is limited too)
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


class _Show:
    """Progress on stderr: a bar on a terminal, a line at each quarter elsewhere."""

    def __init__(self) -> None:
        self._step, self._bar, self._quarter = "", None, 0

    def __call__(self, step: str, done: int, total: int) -> None:
        new = step != self._step
        self._step = step
        if not sys.stderr.isatty():
            quarter = 4 * done // max(total, 1)
            if new or quarter > self._quarter:
                print(f"{step}: {done}/{total}", file=sys.stderr, flush=True)
            self._quarter = quarter
            return
        from tqdm import tqdm

        if new:
            self._bar = tqdm(total=total, desc=step, file=sys.stderr)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()
