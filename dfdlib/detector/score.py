"""Score a corpus with a detector: each clip decoded once, each result kept.

The two logits of a clip are kept under the fingerprints of the clip, the weights and the preprocessing. The same clips
are not computed again, and a run that was killed goes on where it stopped.

Only waveforms of equal length share a batch: nothing is padded, and a clip's score does not depend on its neighbours.
The corpus alone decides which clips share one. A run that was stopped or sharded forms the same batches as any other
and gives the same bytes, with as many threads a process: torch's sums depend on their number in the last digit.

Recordings are read in blocks, so that long ones take no more memory.
"""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from dfdlib import files
from dfdlib.data import audio
from dfdlib.data.corpus import Corpus
from dfdlib.data.inspection import batched
from dfdlib.detector.network import Detector
from dfdlib.detector.preprocessing import FULL_LONGEST, FULL_SHORTEST, Preprocessing
from dfdlib.detector.score_cache import Cache
from dfdlib.detector.scorer import Scorer, as_scorer, finite_logits
from dfdlib.detector.scores import Scores
from dfdlib.detector.timelines import BLOCK, score_windows
from dfdlib.errors import DataError, ParameterError
from dfdlib.processes import WHOLE, Shard

# Prefetch depth in batches, and reader threads.
_AHEAD, _READERS = 3, 2
# Clips looked up at a time.
_ROWS = 10_000

# By row: logits of the clips of a batch, and reasons why clips have none.
_Result = tuple[dict[int, tuple[float, float]], dict[int, str]]


def score(
    corpus: Corpus,
    model: Detector | Scorer,
    *,
    preprocessing: Preprocessing,
    cache: Cache | None = None,
    batch_size: int = 16,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    shard: Shard = WHOLE,
) -> Scores:
    """Score every clip of a corpus, or those of one shard. Labels are carried along, never looked at.

    Parameters
    ----------
    model : Detector or Scorer
        A detector is put into evaluation mode and runs on whatever device it is.
    cache : Cache, optional
        Where logits are looked up, and kept batch by batch.
    batch_size : int
        Windows per forward pass. It changes the speed, and of the scores no more than the last digits.
    workers : int
        Batches computed at a time, each on as many threads as torch uses now: for small networks, which are quicker
        on one thread each than on all threads in turn. It does not change the scores.
    progress : callable, optional
        Called with the number of clips done and their total.
    shard : Shard
        The part to score. With the scores of all shards in one cache, scoring the whole computes nothing.

    Raises
    ------
    DataError
        No clip could be scored.
    CheckpointError
        The detector gave a score that is not finite.
    """
    if min(batch_size, workers) < 1:
        raise ParameterError(f"batch_size={batch_size}, workers={workers}: both must be at least 1")
    corpus, clips, batches = _sharded(corpus, preprocessing=preprocessing, batch_size=batch_size, shard=shard)
    work = _Scoring(clips, as_scorer(model), preprocessing, cache, batch_size, workers)
    checkpoint, content = work.scorer.fingerprint, clips["sha256"]
    logits = work.known()
    reasons: dict[str, str] = {}
    done = len(corpus) - int(np.isnan(logits[:, 0]).sum())
    for fresh, refused in work.computed(batches, unknown=np.isnan(logits[:, 0])):
        for row, pair in fresh.items():
            logits[row] = pair
        if cache is not None:
            cache.put(
                {(content.iat[row], preprocessing.key): pair for row, pair in fresh.items()}, checkpoint=checkpoint
            )
        reasons |= {content.iat[row]: reason for row, reason in refused.items()}
        done += len(fresh) + len(refused)
        if progress is not None:
            progress(done, len(corpus))
    scores = _gather(corpus, logits[pd.Index(content).get_indexer(corpus.table["sha256"])], reasons, work)
    if scores.table.empty and shard.count == 1:
        first = f"; the first: {scores.left_out['reason'].iloc[0]}" if len(scores.left_out) else ""
        raise DataError(f"{corpus.name}: none of {len(corpus)} clips could be scored{first}")
    return scores


def _sharded(
    corpus: Corpus, *, preprocessing: Preprocessing, batch_size: int, shard: Shard
) -> tuple[Corpus, pd.DataFrame, list[np.ndarray]]:
    """Return a shard of a corpus, the clips in it that differ, and which of them are scored together.

    Batches are those of the whole corpus, so that each clip gets the same bytes whoever scores it.
    """
    clips = corpus.table[["path", "sha256", "duration"]].drop_duplicates("sha256")
    clips = clips.sort_values(["duration", "path"], kind="stable").reset_index(drop=True)
    durations = clips["duration"].to_numpy(float)
    seconds = preprocessing.seconds(durations)
    batches = list(_batches(seconds, preprocessing.cuts(durations), size=batch_size))
    if shard.count > 1:
        batches = [batches[number] for number in shard.of([seconds[rows].sum() for rows in batches])]
        rows = np.sort(np.concatenate([np.zeros(0, int), *batches]))
        batches, clips = [np.searchsorted(rows, batch) for batch in batches], clips.iloc[rows].reset_index(drop=True)
        mine = corpus.table["sha256"].isin(clips["sha256"])
        corpus = replace(corpus, table=corpus.table[mine].reset_index(drop=True))
    return corpus, clips, batches


def _batches(seconds: np.ndarray, long: np.ndarray, *, size: int) -> Iterator[np.ndarray]:
    """Yield which clips are scored together, as rows of `seconds`, shape (n_clips,), where equals are neighbours.

    Clips of a batch have windows of one length. A clip that is `long`, of the same shape, fills batches by itself.
    """
    for _, rows in itertools.groupby(range(len(seconds)), key=seconds.__getitem__):
        for some in batched(rows, size):
            yield from np.array(some)[:, np.newaxis] if long[some[0]] else [np.array(some)]


@dataclass(frozen=True)
class _Scoring:
    """Clips that differ, shortest first, and how they are scored."""

    clips: pd.DataFrame
    scorer: Scorer
    preprocessing: Preprocessing
    cache: Cache | None
    batch_size: int
    workers: int

    def known(self) -> np.ndarray:
        """Return the logits of all clips, shape (n, 2), from the cache; NaN where it has none."""
        logits = np.full((len(self.clips), 2), np.nan)
        for start in range(0, len(self.clips) if self.cache is not None else 0, _ROWS):
            some = self.clips["sha256"].iloc[start : start + _ROWS]
            known = self.cache.get(some, checkpoint=self.scorer.fingerprint, preprocessing=self.preprocessing.key)
            for row, clip in enumerate(some, start):
                logits[row] = known.get(clip, np.nan)
        return logits

    def computed(self, batches: list[np.ndarray], *, unknown: np.ndarray) -> Iterator[_Result]:
        """Score those clips of batches that are not known: threads decode the next ones while others compute."""
        batches = [rest for rows in batches if len(rest := rows[unknown[rows]])]
        long = self.preprocessing.cuts(self.clips["duration"].to_numpy(float))
        with (
            ThreadPoolExecutor(max_workers=_READERS) as readers,
            ThreadPoolExecutor(
                self.workers, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)
            ) as pool,
        ):
            short = (rows for rows in batches if not long[rows[0]])
            yield from _ahead(pool, self._mean_logits, _ahead(readers, self._opened, short))
        yield from (self._of_long(int(row)) for row, *_ in batches if long[row])

    def _of_long(self, row: int) -> _Result:
        """Score a clip of more than one window; its windows are kept as they come."""
        path, clip = self.clips["path"].iat[row], self.clips["sha256"].iat[row]
        lengths = {"length": FULL_LONGEST, "hop": FULL_LONGEST, "shortest": FULL_SHORTEST}
        how = {"rate": self.preprocessing.rate, "cache": self.cache, "batch_size": self.batch_size}
        try:
            _, logits = score_windows(path, clip, self.scorer, **lengths, **how)
            return {row: tuple(logits.mean(axis=0).tolist())}, {}
        except DataError as error:
            return {}, {row: error.reason}

    def _opened(self, rows: np.ndarray) -> list[tuple[int, Iterator[np.ndarray] | DataError]]:
        """Decode the first two windows of clips and return all windows of each, or the error."""
        opened = []
        for row in map(int, rows):
            blocks = audio.stream(self.clips["path"].iat[row], rate=self.preprocessing.rate, block=BLOCK)
            windows = self.preprocessing.windows(blocks)
            try:
                # Asking for a second window reads a clip of one window to its end.
                opened.append((row, itertools.chain(list(itertools.islice(windows, 2)), windows)))
            except DataError as error:
                opened.append((row, error))
        return opened

    def _mean_logits(self, clips: list[tuple[int, Iterator[np.ndarray] | DataError]]) -> _Result:
        """Return the mean logits over the windows of each clip, and why clips have none."""
        sums: dict[int, np.ndarray] = {}
        counts: collections.Counter = collections.Counter()
        waiting: dict[int, list] = {}

        def run(some: list) -> None:
            windows = np.stack([window for _, window in some])
            logits = finite_logits(self.scorer, windows, names=[self.clips["path"].iat[row] for row, _ in some])
            for (row, _), pair in zip(some, logits, strict=True):
                sums[row] = sums.get(row, 0.0) + pair
                counts[row] += 1

        reasons = {}
        for row, windows in clips:
            try:
                if isinstance(windows, DataError):
                    raise windows
                for window in windows:
                    alike = waiting.setdefault(len(window), [])
                    alike.append((row, window))
                    if len(alike) == self.batch_size:
                        run(waiting.pop(len(window)))
            except DataError as error:
                reasons[row] = error.reason
        for _, some in sorted(waiting.items()):
            run(some)
        return {row: tuple((sums[row] / counts[row]).tolist()) for row in sums if row not in reasons}, reasons


def _ahead(pool: ThreadPoolExecutor, work: Callable, batches: Iterable) -> Iterator:
    """Yield ``work(batch)`` for each batch in turn, while `pool` works on the next ones."""
    waiting = collections.deque()
    for batch in batches:
        waiting.append(pool.submit(work, batch))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _gather(corpus: Corpus, pairs: np.ndarray, reasons: dict[str, str], work: _Scoring) -> Scores:
    """Return the table of scores from the logits of a corpus's rows, shape (n, 2)."""
    scored = ~np.isnan(pairs[:, 0])
    gone = corpus.table[~scored]
    refused = pd.DataFrame({"path": gone["path"], "reason": gone["sha256"].map(reasons)})
    table = corpus.table[scored].reset_index(drop=True)
    table["score"] = work.preprocessing.of_logits(pairs[scored])
    table["checkpoint"] = files.short(work.scorer.fingerprint)
    table["preprocessing"] = files.short(work.preprocessing.fingerprint)
    return Scores(table, pd.concat([corpus.left_out, refused], ignore_index=True), corpus.root)
