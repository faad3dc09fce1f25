"""Score a corpus with a detector: each clip decoded once, each result kept.

What is kept are the two logits of a clip under the fingerprints of the clip, of the weights and of what was done to
the waveform. Notebooks that ask for the same clips again get the same numbers without computing them, and a run that
was killed goes on where it stopped.

A clip's score never depends on the clips beside it: only waveforms of equal length share a batch, so nothing is ever
padded.
"""

import hashlib
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfdlib import audio, detector, files
from dfdlib.corpus import LABEL_NAMES, LABELS, Corpus
from dfdlib.errors import CheckpointError, DataError, ParameterError, RunError

#: The study's window in samples: 4.04 s at 16 kHz.
PARITY_WINDOW = 64_600
#: Native windows are no longer than this (30 s at 16 kHz): memory grows with the square of a window's length.
NATIVE_LONGEST = 480_000
#: Native windows are no shorter than this (0.5 s at 16 kHz); a shorter clip is repeated until it is.
NATIVE_SHORTEST = 8_000


@dataclass(frozen=True)
class Protocol:
    """How a file becomes a score.

    Attributes
    ----------
    name : str
    rate : int
        The rate in Hz that clips are resampled to. The detector takes what it gets for 16,000 Hz, so any other number
        is a mistake on purpose.
    window : int or None
        Clips are cut, or repeated end to end, to this many samples. None is native: the clip as long as it is, in
        equal windows of at most 30 s whose logits are averaged, and nothing repeated but clips under 0.5 s.
    score : {"difference", "logit"}
        The logit of bona fide minus the logit of spoof, or the logit of bona fide alone.
    """

    name: str
    rate: int = audio.RATE
    window: int | None = PARITY_WINDOW
    score: str = "difference"

    @property
    def treatment(self) -> str:
        """What was done to the waveform, as text: scores of equal treatment share their logits."""
        return f"rate={self.rate} window={self.window or 'native'}"

    @property
    def fingerprint(self) -> str:
        """A SHA-256 over everything that a score depends on beside the clip and the weights."""
        return hashlib.sha256(f"{self.treatment} score={self.score}".encode()).hexdigest()

    def windows(self, wave: np.ndarray) -> np.ndarray:
        """Return `wave`, shape (n_samples,), as the detector gets it: shape (n_windows, window)."""
        if self.window is not None:
            return audio.fit(wave, length=self.window)[np.newaxis]
        wave = audio.fit(wave, length=max(len(wave), NATIVE_SHORTEST))
        count = -(-len(wave) // NATIVE_LONGEST)
        length = len(wave) // count
        return wave[: count * length].reshape(count, length)

    def of_logits(self, logits: np.ndarray) -> np.ndarray:
        """Return scores, shape (n,), from logits, shape (n, 2) as spoof and bona fide."""
        return logits[:, 1] - logits[:, 0] if self.score == "difference" else logits[:, 1]


PROTOCOLS = {
    # What the study ran: librosa's default rate taken for 16 kHz, and one of two logits.
    "original": Protocol("original", rate=22_050, score="logit"),
    "corrected": Protocol("corrected"),
}
#: Names for what a clip is cut to.
WINDOWS = {"parity": PARITY_WINDOW, "native": None}


def protocol(name: str, *, window: str = "parity") -> Protocol:
    """Return a protocol by its name and the name of its window.

    Raises
    ------
    ParameterError
        A name that is in neither `PROTOCOLS` nor `WINDOWS`.
    """
    if name not in PROTOCOLS:
        raise ParameterError(f"protocol={name!r}: choose one of {', '.join(PROTOCOLS)}")
    if window not in WINDOWS:
        raise ParameterError(f"window={window!r}: choose one of {', '.join(WINDOWS)}")
    return replace(PROTOCOLS[name], window=WINDOWS[window])


@dataclass(frozen=True)
class Scores:
    """The clips of a corpus with their scores; a higher score means bona fide.

    Attributes
    ----------
    table : DataFrame
        The corpus's columns, then ``score``, ``checkpoint`` and ``protocol`` (fingerprints).
    left_out : DataFrame
        ``path`` and ``reason`` of clips that the corpus or the decoder refused.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame

    @property
    def labels(self) -> np.ndarray:
        """Labels, shape (n,): 1 bona fide, 0 spoof."""
        return self.table["label"].to_numpy(dtype=np.int8)

    @property
    def values(self) -> np.ndarray:
        """Scores, shape (n,)."""
        return self.table["score"].to_numpy(dtype=np.float64)

    def to_csv(self, path: str | Path) -> None:
        """Write the table with labels as words, atomically."""
        table = self.table.assign(label=self.table["label"].map(LABEL_NAMES))
        first = ["path", "label", "score"]
        with files.atomic(path) as file:
            table[[*first, *(column for column in table.columns if column not in first)]].to_csv(file, index=False)

    def to_parquet(self, path: str | Path) -> None:
        """Write the table with labels as words, atomically."""
        with files.atomic(path, "wb") as file:
            self.table.assign(label=self.table["label"].map(LABEL_NAMES)).to_parquet(file, index=False)


def read_scores(path: str | Path) -> Scores:
    """Read scores from a CSV or Parquet file with the columns ``path``, ``label`` and ``score``.

    Raises
    ------
    DataError
        The file is missing, is no table, lacks a column, or holds a label or score that is none.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; 'dfd score' writes one")
    text = ("path", "split", "speaker", "sentence", "attack")
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values={"score": [""]})
    except Exception as error:  # pandas and pyarrow raise a dozen kinds for files that are not tables
        raise DataError(f"{path}: cannot be read as a table ({error}); expected columns path,label,score") from error
    for column in ("path", "label", "score"):
        if column not in table:
            raise DataError(f"{path}: has no column {column!r}; expected path,label,score")
    labels = table["label"].astype(str).str.strip().str.lower().map({**LABELS, "1": 1, "0": 0})
    scores = pd.to_numeric(table["score"], errors="coerce")
    for name, column in (("label", labels), ("score", scores.where(np.isfinite(scores)))):
        if column.isna().any():
            row = int(column.isna().to_numpy().argmax())
            raise DataError(
                f"{path}, row {row + 1} ({table['path'].iloc[row]}): {name} {str(table[name].iloc[row])!r} is "
                f"{'neither bonafide nor spoof' if name == 'label' else 'not a finite number'}; correct or remove it"
            )
    table = table.assign(label=labels.astype("Int8"), score=scores.astype(float))
    return Scores(table=table, left_out=pd.DataFrame(columns=["path", "reason"]))


class Cache:
    """Logits on disk, found again by the content that they were computed from.

    One SQLite file: what was committed survives a kill at any moment, and several processes may read and write it.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=60)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS logits (clip TEXT, checkpoint TEXT, treatment TEXT, spoof REAL, "
                "bonafide REAL, PRIMARY KEY (clip, checkpoint, treatment)) WITHOUT ROWID"
            )
            self._database.commit()
        except (OSError, sqlite3.Error) as error:
            raise RunError(
                f"{path}: the score cache cannot be used ({error}); remove it or choose another folder"
            ) from error

    def get(self, clips: Iterable[str], *, checkpoint: str, treatment: str) -> dict[str, tuple[float, float]]:
        """Return what is known of `clips` (fingerprints): a dict of clip to its two logits."""
        wanted = set(clips)
        rows = self._database.execute(
            "SELECT clip, spoof, bonafide FROM logits WHERE checkpoint = ? AND treatment = ?", (checkpoint, treatment)
        )
        return {clip: (spoof, bonafide) for clip, spoof, bonafide in rows if clip in wanted}

    def put(self, logits: dict[str, tuple[float, float]], *, checkpoint: str, treatment: str) -> None:
        """Add the logits of clips; they are safe on disk when this returns."""
        rows = [(clip, checkpoint, treatment, spoof, bonafide) for clip, (spoof, bonafide) in logits.items()]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO logits VALUES (?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise RunError(f"the score cache cannot be written ({error}); free some space and run again") from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def score(
    corpus: Corpus,
    model: detector.Detector,
    *,
    protocol: Protocol,
    cache: Cache | None = None,
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score every clip of a corpus.

    Parameters
    ----------
    corpus : Corpus
        Labels are carried along, never looked at.
    model : Detector
        Put into evaluation mode here, on whatever device it is.
    protocol : Protocol
        What happens to a waveform, and which number is the score.
    cache : Cache, optional
        Where logits are looked up and kept.
    batch_size : int
        Windows per forward pass. It changes the speed, not the scores.
    progress : callable, optional
        Called with the number of clips done and their total.

    Raises
    ------
    ParameterError
        `batch_size` is below one.
    DataError
        No clip could be scored.
    CheckpointError
        The detector gave a score that is not finite.
    """
    if batch_size < 1:
        raise ParameterError(f"batch_size={batch_size}: a batch has at least one window")
    model.eval()
    checkpoint = detector.fingerprint(model)
    known = {}
    if cache is not None:
        known = cache.get(corpus.table["sha256"], checkpoint=checkpoint, treatment=protocol.treatment)
    reasons: dict[str, str] = {}
    # Clips of like length follow each other, so that batches fill up. Parts are cut before known clips are dropped:
    # a run that goes on after a kill forms the same batches as one that was never stopped, and gives the same bytes.
    ordered = corpus.table.drop_duplicates("sha256").sort_values(["duration", "path"], kind="stable")
    done = len(corpus) - len(ordered)
    for part in _parts(ordered, size=8 * batch_size):
        unknown = part[~part["sha256"].isin(known)]
        if len(unknown):
            waves = _decode(unknown, protocol=protocol, reasons=reasons)
            fresh = _logits(model, waves, batch_size=batch_size)
            known |= fresh
            if cache is not None:
                cache.put(fresh, checkpoint=checkpoint, treatment=protocol.treatment)
        done += len(part)
        if progress is not None:
            progress(done, len(corpus))
    return _gather(corpus, known, reasons, checkpoint=checkpoint, protocol=protocol)


def timeline(path: str | Path, model: detector.Detector, *, protocol: Protocol, batch_size: int = 16) -> pd.DataFrame:
    """Score a recording window by window, so that a spoofed passage in genuine speech shows.

    Windows have the study's length and overlap by half; the last one ends with the recording. A recording shorter than
    one window is repeated to fill it.

    Returns
    -------
    DataFrame
        ``start`` and ``end`` in seconds of the recording, and ``score``.

    Raises
    ------
    DataError
        The recording cannot be decoded.
    """
    wave = audio.load(path, rate=protocol.rate)
    starts = [*range(0, max(len(wave) - PARITY_WINDOW, 0), PARITY_WINDOW // 2), max(len(wave) - PARITY_WINDOW, 0)]
    windows = {str(start): audio.fit(wave[start:], length=PARITY_WINDOW)[np.newaxis] for start in starts}
    model.eval()
    logits = _logits(model, windows, batch_size=batch_size)
    ends = np.minimum(np.array(starts) + PARITY_WINDOW, len(wave))
    return pd.DataFrame(
        {
            "start": np.array(starts) / protocol.rate,
            "end": ends / protocol.rate,
            "score": protocol.of_logits(np.array([logits[str(start)] for start in starts])),
        }
    )


def write_timelines(
    path: str | Path, scores: Scores, model: detector.Detector, *, protocol: Protocol, batch_size: int = 16
) -> None:
    """Write the `timeline` of every clip of `scores` to one CSV file, with the clip's path in its first column."""
    tables = []
    for clip in scores.table["path"]:
        table = timeline(clip, model, protocol=protocol, batch_size=batch_size)
        table.insert(0, "path", clip)
        tables.append(table)
    with files.atomic(path) as file:
        pd.concat(tables, ignore_index=True).to_csv(file, index=False)


def _parts(table: pd.DataFrame, *, size: int) -> Iterator[pd.DataFrame]:
    for start in range(0, len(table), size):
        yield table.iloc[start : start + size]


def _decode(part: pd.DataFrame, *, protocol: Protocol, reasons: dict[str, str]) -> dict[str, np.ndarray]:
    """Return windows by clip fingerprint; what cannot be decoded goes into `reasons` by the same key."""

    def read(path: str) -> np.ndarray | DataError:
        try:
            return protocol.windows(audio.load(path, rate=protocol.rate))
        except DataError as error:
            return error

    with ThreadPoolExecutor(max_workers=2) as pool:
        results = dict(zip(part["sha256"], pool.map(read, part["path"]), strict=True))
    for clip, path in zip(part["sha256"], part["path"], strict=True):
        if isinstance(results[clip], DataError):
            reasons[clip] = str(results.pop(clip)).removeprefix(f"{path}: ")
    return results


def _logits(
    model: detector.Detector, waves: dict[str, np.ndarray], *, batch_size: int
) -> dict[str, tuple[float, float]]:
    """Return the mean logits over the windows of each clip; only windows of one length share a batch."""
    parameter = next(model.parameters())
    rows = [(clip, window) for clip, windows in waves.items() for window in windows]
    rows.sort(key=lambda row: len(row[1]))
    sums: dict[str, np.ndarray] = {}
    for _, alike in itertools.groupby(rows, key=lambda row: len(row[1])):
        for batch in _batched(alike, batch_size):
            windows = torch.from_numpy(np.stack([window for _, window in batch]))
            with torch.inference_mode():
                logits = model(windows.to(device=parameter.device, dtype=parameter.dtype)).double().cpu().numpy()
            if not np.isfinite(logits).all():
                clip = batch[int(np.argmax(~np.isfinite(logits).all(axis=1)))][0]
                raise CheckpointError(
                    f"the detector's score for clip {files.short(clip)} is not finite; its weights are damaged"
                )
            for (clip, _), pair in zip(batch, logits, strict=True):
                sums[clip] = sums.get(clip, 0.0) + pair
    return {clip: tuple((total / len(waves[clip])).tolist()) for clip, total in sums.items()}


def _batched(rows: Iterable, size: int) -> Iterator[tuple]:
    rows = iter(rows)
    while batch := tuple(itertools.islice(rows, size)):
        yield batch


def _gather(
    corpus: Corpus,
    known: dict[str, tuple[float, float]],
    reasons: dict[str, str],
    *,
    checkpoint: str,
    protocol: Protocol,
) -> Scores:
    scored = corpus.table["sha256"].isin(known)
    table = corpus.table[scored].reset_index(drop=True)
    gone = corpus.table[~scored]
    left_out = pd.concat(
        [corpus.left_out, pd.DataFrame({"path": gone["path"], "reason": gone["sha256"].map(reasons)})],
        ignore_index=True,
    )
    if table.empty:
        first = f"; the first: {left_out['reason'].iloc[0]}" if len(left_out) else ""
        raise DataError(f"{corpus.name}: none of {len(corpus)} clips could be scored{first}")
    logits = np.array([known[clip] for clip in table["sha256"]])
    table["score"] = protocol.of_logits(logits)
    table["checkpoint"] = files.short(checkpoint)
    table["protocol"] = files.short(protocol.fingerprint)
    return Scores(table=table, left_out=left_out)


def pair(first: Scores, second: Scores) -> pd.DataFrame:
    """Match two tables of scores clip by clip.

    Returns
    -------
    DataFrame
        The rows of the first whose clips are in both, in its order, with ``score_second`` added.

    Raises
    ------
    DataError
        No clip is in both, or a clip has another label in each.
    """
    both = first.table.merge(second.table[["path", "label", "score"]], on="path", suffixes=("", "_second"))
    if both.empty:
        raise DataError("the two tables have no path in common; score the same clips twice")
    differing = both["label"] != both["label_second"]
    if differing.any():
        raise DataError(f"{both.loc[differing, 'path'].iloc[0]}: has another label in each table; correct one of them")
    return both
