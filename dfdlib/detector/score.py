"""Score a corpus with a detector: each clip decoded once, each result kept.

What is kept are the two logits of a clip under the fingerprints of the clip, of the weights and of what was done to
the waveform. Notebooks that ask for the same clips again get the same numbers without computing them, and a run that
was killed goes on where it stopped.

A clip's score never depends on the clips beside it: only waveforms of equal length share a batch, so nothing is ever
padded. Which clips share one is settled by the corpus alone, before anything is looked up or shared out: a run that
was stopped, or was done by several processes, forms the batches of one that was not, and gives the same bytes (with as
many threads a process: torch's sums depend on their number in the last digit).

Recordings are read in blocks, so their length does not matter to the memory.
"""

import collections
import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfdlib import files
from dfdlib.data import audio, tables
from dfdlib.data.corpus import Corpus
from dfdlib.data.labels import LABEL_NAMES
from dfdlib.detector import network
from dfdlib.detector.score_cache import Cache
from dfdlib.detector.scorer import Scorer, TorchScorer
from dfdlib.errors import CheckpointError, DataError, ParameterError
from dfdlib.processes import ALONE, Processes

#: The study's window in samples: 4.04 s at 16 kHz.
PARITY_WINDOW = 64_600
#: Native windows are no longer than this (30 s at 16 kHz): memory grows with the square of a window's length.
NATIVE_LONGEST = 480_000
#: Native windows are no shorter than this (0.5 s at 16 kHz); a shorter clip is repeated until it is.
NATIVE_SHORTEST = 8_000
#: Samples between the starts of a timeline's windows: they overlap by half.
HOP = PARITY_WINDOW // 2

# Samples that are decoded at a time: 30 s at 16 kHz.
_BLOCK = 480_000
# Batches that are read, and computed, ahead of the one that is wanted next, and threads that read them.
_AHEAD, _READERS = 3, 2
# Rows of a table that are looked up at a time.
_ROWS = 10_000


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
        Clips are cut, or repeated end to end, to this many samples. None is native: the clip as long as it is. One
        over 30 s gives windows of 30 s, the last of which ends with the clip, and the mean of their logits counts;
        nothing is repeated but clips under 0.5 s.
    score : {"difference", "logit"}
        The logit of bona fide minus the logit of spoof, or the logit of bona fide alone.
    """

    name: str
    rate: int = audio.RATE
    window: int | None = PARITY_WINDOW
    score: str = "difference"

    @property
    def treatment(self) -> str:
        """What was done to the waveform, and by what code, as text: scores of equal treatment share their logits."""
        return f"rate={self.rate} window={self.window or f'native of {NATIVE_LONGEST}'} {_versions()}"

    @property
    def fingerprint(self) -> str:
        """A SHA-256 over everything that a score depends on beside the clip and the weights."""
        return hashlib.sha256(f"{self.treatment} score={self.score}".encode()).hexdigest()

    def windows(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield what the detector gets of a waveform, given in blocks of shape (n,): windows of shape (window,).

        All of the waveform is read whatever the window, so that a damaged file is one under every protocol.
        """
        length = self.window or NATIVE_LONGEST
        for start, wave in cut(blocks, length=length, hop=length):
            if self.window is None:
                yield audio.fit(wave, length=max(len(wave), NATIVE_SHORTEST))
            elif start == 0:
                yield audio.fit(wave, length=length)

    def seconds(self, duration: np.ndarray) -> np.ndarray:
        """Return how much of clips of such durations, in seconds, shape (n,), the detector gets."""
        if self.window is not None:
            return np.full(len(duration), self.window / self.rate)
        return np.maximum(duration, NATIVE_SHORTEST / self.rate)

    def cuts(self, duration: np.ndarray) -> np.ndarray:
        """Return which clips of such durations, in seconds, shape (n,), give more than one window."""
        return np.asarray(duration) > (np.inf if self.window is not None else NATIVE_LONGEST / self.rate)

    def of_logits(self, logits: np.ndarray) -> np.ndarray:
        """Return scores, shape (n,), from logits, shape (n, 2) as spoof and bona fide."""
        return logits[:, 1] - logits[:, 0] if self.score == "difference" else logits[:, 1]


def cut(blocks: Iterable[np.ndarray], *, length: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Cut a waveform that comes in blocks of shape (n,) into windows, holding little more than one of each.

    Yields
    ------
    start : int
        In samples: 0, `hop`, 2 `hop`, … while a whole window fits, then where the last one starts, which ends with the
        waveform.
    window : ndarray, shape (length,)
        Shorter only where the whole waveform is.
    """
    held, first, start, last = np.zeros(0, np.float32), 0, 0, None
    for block in blocks:
        held = np.concatenate([held, block])
        while start + length <= first + len(held):
            # a copy: a view would keep all that is held
            yield start, held[start - first : start - first + length].copy()
            last, start = start, start + hop
        # Neither the next window nor the one that ends here, should this be the end, needs what is before.
        drop = max(0, min(start - first, len(held) - length))
        held, first = held[drop:], first + drop
    if last is None:
        yield 0, held
    elif last + length < first + len(held):
        yield first + len(held) - length, held[-length:]


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
    root : str
        As `Corpus.root`.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    root: str = ""

    @property
    def labels(self) -> np.ndarray:
        """Labels, shape (n,): 1 bona fide, 0 spoof."""
        return self.table["label"].to_numpy(dtype=np.int8)

    @property
    def values(self) -> np.ndarray:
        """Scores, shape (n,)."""
        return self.table["score"].to_numpy(dtype=np.float64)

    def to_csv(self, path: str | Path) -> None:
        """Write the table with labels as words and paths relative to the root, atomically."""
        tables.write(path, self.worded())

    def to_parquet(self, path: str | Path) -> None:
        """Write what `to_csv` writes, as Parquet."""
        with files.atomic(path, "wb") as file:
            self.worded().to_parquet(file, index=False)

    def relative(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with its column ``path`` relative to the root."""
        return table.assign(path=tables.below(table["path"], self.root))

    def worded(self) -> pd.DataFrame:
        """Return the table as it is written: labels as words, paths relative to the root."""
        table = self.relative(self.table).assign(label=self.table["label"].map(LABEL_NAMES))
        first = ["path", "label", "score"]
        return table[[*first, *(column for column in table.columns if column not in first)]]


def read_scores(path: str | Path, *, drop_copies: bool = False) -> Scores:
    """Read scores from a table with the columns ``path``, ``label`` and ``score``.

    Parameters
    ----------
    path : str or Path
    drop_copies : bool
        Drop rows that equal an earlier one; else they are refused.

    Raises
    ------
    DataError
        The file is missing or is not what `tables.read` takes, or holds a label or score that is none.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("there is no such file; 'dfd score' writes one", path=path)
    table = tables.read(path, needs=("label", "score"), drop_copies=drop_copies).drop(columns=tables.LINE)
    return Scores(table=table, left_out=pd.DataFrame(columns=["path", "reason"]))


def score(
    corpus: Corpus,
    model: network.Detector | Scorer,
    *,
    protocol: Protocol,
    cache: Cache | None = None,
    batch_size: int = 16,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    among: Processes = ALONE,
) -> Scores:
    """Score every clip of a corpus.

    Parameters
    ----------
    corpus : Corpus
        Labels are carried along, never looked at.
    model : Detector or Scorer
        A detector is put into evaluation mode and runs on whatever device it is.
    protocol : Protocol
        What happens to a waveform, and which number is the score.
    cache : Cache, optional
        Where logits are looked up, and kept batch by batch.
    batch_size : int
        Windows per forward pass. It changes the speed, and of the scores no more than the last digits.
    workers : int
        Batches that are computed at a time, each on as many of the processor's threads as torch uses now: for small
        networks, which are quicker on one thread each than on all threads in turn. It does not change the scores.
    progress : callable, optional
        Called with the number of clips done and their total, in the first process only.
    among : Processes
        Those that share the work. Each returns all scores.

    Raises
    ------
    ParameterError
        `batch_size` or `workers` is below one.
    DataError
        No clip could be scored.
    CheckpointError
        The detector gave a score that is not finite.
    RunError
        Another process has gone.
    """
    if batch_size < 1:
        raise ParameterError(f"batch_size={batch_size}: a batch has at least one window")
    if workers < 1:
        raise ParameterError(f"workers={workers}: at least one has to do it")
    scorer = _scorer(model)
    clips = corpus.table[["path", "sha256", "duration"]].drop_duplicates("sha256")
    clips = clips.sort_values(["duration", "path"], kind="stable").reset_index(drop=True)
    logits = np.full((len(clips), 2), np.nan)
    for start in range(0, len(clips) if cache is not None else 0, _ROWS):
        some = clips["sha256"].iloc[start : start + _ROWS]
        known = cache.get(some, checkpoint=scorer.fingerprint, treatment=protocol.treatment)
        for row, clip in enumerate(some, start):
            logits[row] = known.get(clip, np.nan)
    _merge(logits, among.of_all(logits))

    unknown = np.isnan(logits[:, 0])
    seconds = clips["duration"].to_numpy(float)
    long = protocol.cuts(seconds)
    batches = [rows[unknown[rows]] for rows in _batches(protocol.seconds(seconds), long, size=batch_size)]
    batches = [rows for rows in batches if len(rows)]
    mine = _shared(batches, [protocol.seconds(seconds[rows]).sum() for rows in batches], among=among)
    reasons: dict[str, str] = {}
    done, total = (len(corpus) - int(unknown.sum()) if among.first else 0), len(corpus)
    with (
        ThreadPoolExecutor(max_workers=_READERS) as readers,
        ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)) as pool,
    ):

        def read(rows: np.ndarray) -> list[tuple[int, Iterator[np.ndarray] | DataError]]:
            return [(int(row), _begun(clips["path"].iat[row], protocol=protocol)) for row in rows if not long[row]]

        def compute(waves: list) -> tuple[dict, dict]:
            return _mean_logits(scorer, waves, names=clips["path"], batch_size=batch_size)

        computed = _ahead(pool, compute, _ahead(readers, read, mine))
        for rows, (fresh, refused) in zip(mine, computed, strict=True):
            if long[rows[0]]:
                clip = clips.iloc[rows[0]]
                fresh, refused = _long_logits(
                    rows[0],
                    clip["path"],
                    clip["sha256"],
                    scorer,
                    rate=protocol.rate,
                    cache=cache,
                    batch_size=batch_size,
                )
            for row, pair in fresh.items():
                logits[row] = pair
            if cache is not None:
                by_content = {(clips["sha256"].iat[row], protocol.treatment): pair for row, pair in fresh.items()}
                cache.put(by_content, checkpoint=scorer.fingerprint)
            reasons |= {clips["sha256"].iat[row]: reason for row, reason in refused.items()}
            done += len(rows)
            everyone = among.total("clips", done)
            if progress is not None and among.first:
                progress(everyone, total)
    for others, more in among.of_all((logits, reasons)):
        _merge(logits, [others])
        reasons |= more
    return _gather(corpus, clips, logits, reasons, checkpoint=scorer.fingerprint, protocol=protocol)


def timelines(
    scores: Scores,
    model: network.Detector | Scorer,
    *,
    protocol: Protocol,
    hop: int = HOP,
    cache: Cache | None = None,
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
    among: Processes = ALONE,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score recordings window by window, so that a spoofed passage in genuine speech shows.

    Windows have the study's length, and one starts every `hop` samples; the last one ends with the recording. A
    recording shorter than one window is repeated to fill it.

    Parameters
    ----------
    scores : Scores
        Their clips are the recordings.
    model, protocol, cache, batch_size, progress, among
        As `score` takes them.
    hop : int
        In samples at the protocol's rate; by default half a window.

    Returns
    -------
    table : DataFrame
        ``path``, ``start`` and ``end`` in seconds of the recording, and ``score``.
    left_out : DataFrame
        ``path`` and ``reason`` of recordings that could not be read.

    Raises
    ------
    ParameterError
        `hop` is below one, or above the length of a window: some samples would be in none.
    CheckpointError, RunError
        As `score`.
    """
    if not 1 <= hop <= PARITY_WINDOW:
        raise ParameterError(f"hop={hop}: windows start 1 to {PARITY_WINDOW} samples after each other")
    scorer = _scorer(model)
    clips = scores.table[["path", "sha256", "duration"]]
    rows = np.arange(len(clips))
    mine = _shared([rows[[row]] for row in rows], clips["duration"].to_numpy(float), among=among)
    found: dict[int, np.ndarray] = {}
    reasons: dict[int, str] = {}
    for done, (row,) in enumerate(mine, 1):
        try:
            spans, logits = _scored_windows(
                clips["path"].iat[row],
                clips["sha256"].iat[row],
                scorer,
                rate=protocol.rate,
                length=PARITY_WINDOW,
                hop=hop,
                shortest=PARITY_WINDOW,
                cache=cache,
                batch_size=batch_size,
            )
            found[row] = np.column_stack([spans, protocol.of_logits(logits)])
        except DataError as error:
            reasons[row] = error.reason
        everyone = among.total("timelines", done)
        if progress is not None and among.first:
            progress(everyone, len(clips))
    for more, others in among.of_all((found, reasons)):
        found |= more
        reasons |= others
    table = pd.DataFrame(
        np.concatenate([found[row] for row in rows if row in found] or [np.zeros((0, 3))]),
        columns=["start", "end", "score"],
    )
    names = [clips["path"].iat[row] for row in rows if row in found for _ in range(len(found[row]))]
    table.insert(0, "path", pd.Series(names, dtype=object))
    gone = sorted(reasons)
    left_out = pd.DataFrame({"path": clips["path"].iloc[gone].tolist(), "reason": [reasons[row] for row in gone]})
    return table, left_out


def _scored_windows(
    path: str,
    clip: str,
    scorer: Scorer,
    *,
    rate: int,
    length: int,
    hop: int,
    shortest: int,
    cache: Cache | None,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return start and end of each window in seconds and its logits, both of shape (n_windows, 2).

    Windows are those of `cut`; one that is shorter than `shortest`, as all of a recording may be, is repeated to it.
    They are kept one by one, so that a long recording goes on after a kill.
    """
    known = {} if cache is None else cache.treatments(clip, checkpoint=scorer.fingerprint)
    spans, logits = [], []
    for batch in _batched(cut(audio.stream(path, rate=rate, block=_BLOCK), length=length, hop=hop), batch_size):
        treatments = [f"rate={rate} window={length} start={start} {_versions()}" for start, _ in batch]
        # All of a batch or nothing: what goes on after a kill forms the same batches.
        if not all(treatment in known for treatment in treatments):
            waves = np.stack([audio.fit(window, length=max(len(window), shortest)) for _, window in batch])
            pairs = _finite(scorer.logits(waves), names=[path] * len(batch))
            fresh = dict(zip(treatments, map(tuple, pairs.tolist()), strict=True))
            known |= fresh
            if cache is not None:
                by_content = {(clip, treatment): pair for treatment, pair in fresh.items()}
                cache.put(by_content, checkpoint=scorer.fingerprint)
        spans += [(start / rate, (start + len(window)) / rate) for start, window in batch]
        logits += [known[treatment] for treatment in treatments]
    return np.array(spans), np.array(logits)


def _versions() -> str:
    return f"audio={audio.VERSION} network={network.VERSION}"


def _scorer(model: network.Detector | Scorer) -> Scorer:
    if isinstance(model, network.Detector):
        return TorchScorer(model, device=next(model.parameters()).device.type)
    return model


def _batches(seconds: np.ndarray, long: np.ndarray, *, size: int) -> Iterator[np.ndarray]:
    """Yield which clips are scored together, as rows of `seconds`, shape (n_clips,), where equals are neighbours.

    What they have in common is the length of their windows, so that batches fill up. A clip that is `long`, of the same
    shape, fills batches by itself.
    """
    for _, rows in itertools.groupby(range(len(seconds)), key=seconds.__getitem__):
        for some in _batched(rows, size):
            yield from np.array(some)[:, np.newaxis] if long[some[0]] else [np.array(some)]


def _shared(batches: list[np.ndarray], costs: Iterable[float], *, among: Processes) -> list[np.ndarray]:
    """Return the batches that this process does: the longest first, each to whoever has least to do so far."""
    if among.count == 1:
        return batches
    loads = [(0.0, rank) for rank in range(among.count)]
    mine = []
    costs = list(costs)
    for number in sorted(range(len(batches)), key=lambda number: -costs[number]):
        load, rank = heapq.heappop(loads)
        if rank == among.rank:
            mine.append(batches[number])
        heapq.heappush(loads, (load + costs[number], rank))
    return mine


def _begun(path: str, *, protocol: Protocol) -> Iterator[np.ndarray] | DataError:
    """Return the windows of a clip, of which all that most clips have are decoded now, or why there are none."""
    windows = protocol.windows(audio.stream(path, rate=protocol.rate, block=_BLOCK))
    try:
        # Asking for a second window reads a clip of one window to its end.
        return itertools.chain(list(itertools.islice(windows, 2)), windows)
    except DataError as error:
        return error


def _ahead(pool: ThreadPoolExecutor, work: Callable, batches: Iterable) -> Iterator:
    """Yield ``work(batch)`` for each batch in turn, while `pool` works on the next ones."""
    waiting = collections.deque()
    for batch in batches:
        waiting.append(pool.submit(work, batch))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _mean_logits(
    scorer: Scorer,
    clips: list[tuple[int, Iterator[np.ndarray] | DataError]],
    *,
    names: pd.Series,
    batch_size: int,
) -> tuple[dict[int, tuple[float, float]], dict[int, str]]:
    """Return the mean logits over the windows of each clip, and why clips have none, by their keys in `names`."""
    sums: dict[int, np.ndarray] = {}
    counts: collections.Counter = collections.Counter()
    waiting: dict[int, list] = {}

    def run(some: list) -> None:
        logits = _finite(scorer.logits(np.stack([window for _, window in some])), names=[names[key] for key, _ in some])
        for (key, _), pair in zip(some, logits, strict=True):
            sums[key] = sums.get(key, 0.0) + pair
            counts[key] += 1

    reasons = {}
    for key, windows in clips:
        try:
            if isinstance(windows, DataError):
                raise windows
            for window in windows:
                alike = waiting.setdefault(len(window), [])
                alike.append((key, window))
                if len(alike) == batch_size:
                    run(waiting.pop(len(window)))
        except DataError as error:
            reasons[key] = error.reason
    for _, some in sorted(waiting.items()):
        run(some)
    return {key: tuple((sums[key] / counts[key]).tolist()) for key in sums if key not in reasons}, reasons


def _long_logits(
    key: int, path: str, clip: str, scorer: Scorer, *, rate: int, cache: Cache | None, batch_size: int
) -> tuple[dict[int, tuple[float, float]], dict[int, str]]:
    """Return what `_mean_logits` does, of one recording whose windows are kept as they come."""
    try:
        _, logits = _scored_windows(
            path,
            clip,
            scorer,
            rate=rate,
            length=NATIVE_LONGEST,
            hop=NATIVE_LONGEST,
            shortest=NATIVE_SHORTEST,
            cache=cache,
            batch_size=batch_size,
        )
    except DataError as error:
        return {}, {key: error.reason}
    return {key: tuple(logits.mean(axis=0).tolist())}, {}


def _finite(logits: np.ndarray, *, names: list[str]) -> np.ndarray:
    bad = ~np.isfinite(logits).all(axis=1)
    if bad.any():
        raise CheckpointError(
            f"{names[int(bad.argmax())]}: the detector's score is not finite; its weights are damaged, or the "
            "precision is too low for them"
        )
    return logits


def _batched(rows: Iterable, size: int) -> Iterator[tuple]:
    rows = iter(rows)
    while batch := tuple(itertools.islice(rows, size)):
        yield batch


def _merge(logits: np.ndarray, others: Iterable[np.ndarray]) -> None:
    """Fill what is not known in `logits`, shape (n, 2), from others of the same shape."""
    for other in others:
        missing = np.isnan(logits[:, 0])
        logits[missing] = other[missing]


def _gather(
    corpus: Corpus,
    clips: pd.DataFrame,
    logits: np.ndarray,
    reasons: dict[str, str],
    *,
    checkpoint: str,
    protocol: Protocol,
) -> Scores:
    places = pd.Index(clips["sha256"]).get_indexer(corpus.table["sha256"])
    pairs = logits[places]
    scored = ~np.isnan(pairs[:, 0])
    table = corpus.table[scored].reset_index(drop=True)
    gone = corpus.table[~scored]
    left_out = pd.concat(
        [corpus.left_out, pd.DataFrame({"path": gone["path"], "reason": gone["sha256"].map(reasons)})],
        ignore_index=True,
    )
    if table.empty:
        first = f"; the first: {left_out['reason'].iloc[0]}" if len(left_out) else ""
        raise DataError(f"{corpus.name}: none of {len(corpus)} clips could be scored{first}")
    table["score"] = protocol.of_logits(pairs[scored])
    table["checkpoint"] = files.short(checkpoint)
    table["protocol"] = files.short(protocol.fingerprint)
    return Scores(table=table, left_out=left_out, root=corpus.root)


def pair(first: Scores, second: Scores) -> pd.DataFrame:
    """Match two tables of scores clip by clip: by content where both know the ``sha256``, else by path.

    Each row has at most one partner: of clips with the same content, those of one path belong together, the others in
    the order of their paths.

    Returns
    -------
    DataFrame
        The rows of the first whose clips are in both, in its order, with ``score_second`` added.

    Raises
    ------
    DataError
        No clip is in both, or a clip has another label in each.
    """
    one, other = (_keys(scores.table) for scores in (first, second))
    partner = pd.Series(-1, index=one.index)
    for key in (["sha256", "path"], ["sha256", "turn"], ["path"]):
        left, right = one[partner < 0], other.drop(index=partner[partner >= 0])
        if "turn" in key:
            left, right = (
                rows.assign(turn=rows.sort_values("path", kind="stable").groupby("sha256").cumcount())
                for rows in (left, right)
            )
        found = left.reset_index().merge(right.reset_index(), on=key, suffixes=("", "_second"), validate="one_to_one")
        # Of two clips with a content each, a name says nothing.
        known = found["sha256"] != "" if "sha256" in key else (found["sha256"] == "") | (found["sha256_second"] == "")
        partner[found.loc[known, "index"]] = found.loc[known, "index_second"].to_numpy()
    rows = np.flatnonzero(partner >= 0)
    if not len(rows):
        raise DataError("the two tables have no clip in common, by sha256 or by path; score the same clips twice")
    both, matched = first.table.iloc[rows].reset_index(drop=True), second.table.iloc[partner.to_numpy()[rows]]
    differing = both["label"].to_numpy() != matched["label"].to_numpy()
    if differing.any():
        raise DataError(
            "has another label in each table; correct one of them", path=both.loc[differing, "path"].iloc[0]
        )
    return both.assign(score_second=matched["score"].to_numpy())


def _keys(table: pd.DataFrame) -> pd.DataFrame:
    """Return what a clip is known by, a row numbered from 0 each."""
    if (twice := table["path"].duplicated()).any():
        raise DataError("is there twice; keep one row for each clip", path=table.loc[twice, "path"].iloc[0])
    sha256 = table["sha256"].fillna("").astype(str) if "sha256" in table else ""
    return pd.DataFrame({"path": table["path"], "sha256": sha256}).reset_index(drop=True)
