"""The table of scores: written, read, and matched with another one clip by clip."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib import files
from dfdlib.data import tables
from dfdlib.data.labels import LABEL_NAMES
from dfdlib.errors import DataError


@dataclass(frozen=True)
class Scores:
    """The clips of a corpus with their scores; a higher score means bona fide."""

    table: pd.DataFrame  # the corpus's columns, then ``score``, ``checkpoint`` and ``preprocessing`` (fingerprints)
    left_out: pd.DataFrame  # ``path`` and ``reason`` of clips that the corpus or the decoder refused
    root: str = ""  # as `Corpus.root`

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

    def require_labels_of(self, clips: pd.DataFrame) -> None:
        """Look every label up again in a table of clips, by ``sha256``."""
        known = set(zip(clips["sha256"], clips["label"].fillna(-1), strict=True))
        rows = zip(self.table["path"], self.table["sha256"], self.table["label"].fillna(-1), strict=True)
        for path, clip, label in rows:
            if (clip, label) not in known:
                raise DataError(
                    "has another label beside its score than in its corpus, so labels and scores are in different "
                    "orders; nothing was computed from them",
                    path=path,
                )

    def relative(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with its column ``path`` relative to the root."""
        return table.assign(path=tables.below(table["path"], self.root))

    def worded(self) -> pd.DataFrame:
        """Return the table as it is written: labels as words, paths relative to the root."""
        table = self.relative(self.table).assign(label=self.table["label"].map(LABEL_NAMES))
        first = ["path", "label", "score"]
        return table[[*first, *(column for column in table.columns if column not in first)]]


def read_scores(path: str | Path, *, drop_copies: bool = False) -> Scores:
    """Read scores from a table with ``path``, ``label`` and ``score``, as `tables.read` does."""
    path = Path(path)
    if not path.is_file():
        raise DataError("there is no such file; 'dfd score' writes one", path=path)
    table = tables.read(path, needs=("label", "score"), drop_copies=drop_copies).drop(columns=tables.LINE)
    return Scores(table=table, left_out=pd.DataFrame(columns=["path", "reason"]))


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


def together(*several: Scores) -> tuple[pd.DataFrame, np.ndarray]:
    """Match tables of scores as `pair` does: the clips that are in all of them, and their scores (tables, n)."""
    # No heading begins with a blank.
    names = [f" {place}" for place in range(len(several))]
    table = several[0].table.assign(**{names[0]: several[0].table["score"]})
    for name, other in zip(names[1:], several[1:], strict=True):
        table = pair(Scores(table, several[0].left_out), other).rename(columns={"score_second": name})
    return table.drop(columns=names), table[names].to_numpy(float).T


def _keys(table: pd.DataFrame) -> pd.DataFrame:
    """Return what a clip is known by, a row numbered from 0 each."""
    if (twice := table["path"].duplicated()).any():
        raise DataError("is there twice; keep one row for each clip", path=table.loc[twice, "path"].iloc[0])
    sha256 = table["sha256"].fillna("").astype(str) if "sha256" in table else ""
    return pd.DataFrame({"path": table["path"], "sha256": sha256}).reset_index(drop=True)
