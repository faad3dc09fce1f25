"""Scores and labels of the same clips: lists of scores joined with a key by the names of the clips.

Names are compared without the endings of sound files, and with as many of their folders as both lists have and agree
on. Nothing is guessed beyond that: what has no partner is counted and named.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow

from dfdlib.data import protocols, score_lists, search
from dfdlib.data.labels import LABEL_NAMES, split_of
from dfdlib.data.table_files import LINE, some
from dfdlib.errors import DataError, ParameterError
from dfdlib.text import one_line

#: Names that are listed where some have no partner.
SHOWN = 5

# An ending may stand within a name as well: ``a.wav_16k.wav_norm.wav``.
_ENDINGS = rf"(?i)\.(?:{'|'.join(sorted(ending[1:] for ending in search.SOUND))})(_|$)"


@dataclass(frozen=True)
class Trials:
    """Labels and scores of the same clips, ready to be evaluated, and what they were read from."""

    table: pd.DataFrame  # ``path``, ``label``, ``score``, and what the key and the list say beside it
    facts: dict  # what was read as what, and how many names have no partner: plain values for JSON

    @property
    def labels(self) -> np.ndarray:
        """Labels, shape (n,): 1 bona fide, 0 spoof."""
        return self.table["label"].to_numpy(dtype=np.int8)

    @property
    def scores(self) -> np.ndarray:
        """Scores, shape (n,): higher means bona fide."""
        return self.table["score"].to_numpy(dtype=np.float64)


def trials(
    scores: str | Path,
    key: str | Path | None = None,
    *,
    form: str | None = None,
    subset: str | None = None,
    allow_missing: bool = False,
    drop_copies: bool = False,
    **options,
) -> Trials:
    """Read a list of scores and the labels of its clips.

    Parameters
    ----------
    scores, key : str or Path
        A list of scores, and a key unless the list has the labels.
    form : str, optional
        What the key is, where its content does not tell: as the ``corpus`` of `protocols.recognise`.
    subset : str, optional
        The part of the key that counts, "all" for all of it. By default "eval" where the key has such a part.
    allow_missing : bool
        Evaluate what has both a label and a score; else what has one of them alone is refused.
    drop_copies, **options
        As in `score_lists.read`.

    Raises
    ------
    DataError
        As in `score_lists.read`; a name in one of both alone; names that fit several; two labels for one name.
    """
    listed = score_lists.read(
        scores, labelled=key is None, allow_missing=allow_missing, drop_copies=drop_copies, **options
    )
    facts = {"scores": str(scores), "read_as": listed.read_as, "higher": options.get("higher", "bonafide")}
    if key is None:
        if subset is not None:
            raise ParameterError(f"subset={subset!r}: needs a key that says which clips are in it")
        without = {"n_without_score": len(listed.unscored), "without_score": list(listed.unscored[:SHOWN])}
        return Trials(listed.table, facts | without)
    if not Path(key).is_file():
        raise DataError("there is no such file", path=key)
    read = protocols.recognise(key, corpus=form)
    labels = read.table.drop(columns=LINE)
    chosen, subset = _subset(Path(key), labels, subset)
    if len(read.skipped):
        # Clips of neither class are no clips without a line.
        labels = pd.concat([labels, read.skipped[["path"]]], ignore_index=True)
        chosen = np.append(chosen, np.full(len(read.skipped), False))
    facts |= {"key": str(key), "key_read_as": read.form, "subset": subset, "n_key": len(labels)}
    table, counts = _joined(listed, labels, chosen, Path(key), allow_missing=allow_missing)
    del listed, read, labels
    # Else what a million names took is kept for Arrow alone.
    pyarrow.default_memory_pool().release_unused()
    return Trials(table, facts | counts)


def match(names: pd.Series, others: pd.Series, *, prefixed: bool = False) -> tuple[np.ndarray, str]:
    """Find for each name the one of the others that is the same clip; there are no copies among either.

    Names are compared whole but for the endings of sound files; where nothing fits, without the folders that one of
    both lists has more of, one by one; and, if `prefixed`, without their beginning up to the first hyphen in the end.

    Returns
    -------
    places : ndarray of int, shape (n,)
        Places among the others, -1 for none.
    fault : str
        Names that fit the same one of the others, or the reverse; "" where there are none.
    """
    left, right = _stems(names), _stems(others)
    deepest = min(int(side.str.count("/").max()) for side in (left, right)) + 1
    for depth in (None, *range(deepest, 0, -1)):
        if (found := _match(_tails(left, depth), _tails(right, depth), names, others)) is not None:
            # Clips may differ in nothing but the ending.
            as_written = _match(names, others, names, others) if found[1] else None
            return as_written if as_written and not as_written[1] else found
    if prefixed:
        return match(left.str.replace(r"^[^-]*-", "", regex=True), right)
    return np.full(len(left), -1), ""


def _match(left: pd.Series, right: pd.Series, names: pd.Series, others: pd.Series) -> tuple[np.ndarray, str] | None:
    """Return `match` of names as they are, of which `names` and `others` are the originals; None where none fits."""
    import pyarrow.compute

    # Arrow's own search makes no Python text of a million names.
    found = pyarrow.compute.index_in(pyarrow.array(left), value_set=pyarrow.array(right))
    places = found.fill_null(-1).to_numpy().astype(np.intp)
    taken = places[places >= 0]
    if not taken.size:
        return None
    again = right.duplicated(keep=False).to_numpy()
    if again[taken].any():
        row = int(np.flatnonzero(places >= 0)[again[taken].argmax()])
        same = others[(right == left.iloc[row]).to_numpy()]
        return places, f"{one_line(names.iloc[row])} fits {some(same, 3)}"
    times = np.bincount(taken)
    if times.max() > 1:
        place = int(times.argmax())
        return places, f"{some(names[places == place], 3)} fit {one_line(others.iloc[place])}"
    return places, ""


def _stems(names: pd.Series) -> pd.Series:
    """Return names with slashes and without blanks around them, dots that lead nowhere and endings of sound files."""
    names = names.str.strip()
    if names.str.contains("\\", regex=False).any():
        names = names.str.replace("\\", "/", regex=False)
    names = names.str.replace(r"^(?:\./+)+", "", regex=True).str.replace(r"/{2,}", "/", regex=True)
    return names.str.replace(_ENDINGS, r"\1", regex=True) if names.str.contains(".", regex=False).any() else names


def _tails(names: pd.Series, depth: int | None) -> pd.Series:
    """Return so many last parts of names with folders; all of them for None."""
    if depth is None or not names.str.contains("/", regex=False).any():
        return names
    return names.str.replace(rf"^.*?((?:[^/]*/){{{depth - 1}}}[^/]*)$", r"\1", regex=True)


def _subset(path: Path, labels: pd.DataFrame, wanted: str | None) -> tuple[np.ndarray, str]:
    """Return which rows of a key count, bool (n,), and the name of that part."""
    column = next((name for name in ("subset", "split") if name in labels), None)
    if wanted is None:
        wanted = "eval" if column == "subset" and (labels[column] == "eval").any() else "all"
    if wanted == "all":
        return np.full(len(labels), True), wanted
    word = split_of(wanted) or wanted if column == "split" else wanted
    chosen = (labels[column] == word).to_numpy() if column else np.full(len(labels), False)
    if not chosen.any():
        known = [word for word in labels[column].unique() if word] if column else []
        there = f"it has {some(known)}" if known else "its lines do not say of which they are"
        raise DataError(f"has no subset {one_line(wanted)!r}, {there}; or say all", path=path)
    return chosen, wanted


def _joined(
    listed: score_lists.ScoreList, labels: pd.DataFrame, chosen: np.ndarray, key: Path, *, allow_missing: bool
) -> tuple[pd.DataFrame, dict]:
    """Return the rows that have a label and a score, with the columns of both, and what has only one of them."""
    names, clips = listed.table["path"], labels["path"]
    places, fault = match(names, clips, prefixed=listed.prefixed)
    if fault:
        raise DataError(f"{listed.path} and {key}: {fault}; write names with their folders in both")
    there = places >= 0
    if not there.any():
        raise DataError(
            f"{listed.path} and {key}: no name is in both; the scores have {some(names, 3)}, the key has "
            f"{some(clips, 3)}"
        )
    missing = chosen.copy()
    missing[places[there]] = False
    counts = {
        "n_outside_subset": int((~chosen[places[there]]).sum()),
        "n_without_label": int((~there).sum()),
        "n_without_score": int(missing.sum()),
        "without_label": names[~there].head(SHOWN).tolist(),
        "without_score": clips[missing].head(SHOWN).tolist(),
    }
    if not allow_missing and (counts["n_without_label"] or counts["n_without_score"]):
        raise DataError(f"{listed.path} and {key}: {missing_names(counts)}; evaluate the others with --allow-missing")
    rows = np.flatnonzero(there)
    rows = rows[chosen[places[rows]]]
    if not len(rows):
        raise DataError(f"{listed.path} and {key}: no clip of the subset has a score; say which with --subset")
    scored, known = listed.table.iloc[rows].reset_index(drop=True), labels.iloc[places[rows]].reset_index(drop=True)
    if "label" in scored:
        differs = (scored["label"].notna() & (scored["label"] != known["label"])).fillna(False).to_numpy(bool)
        if differs.any():
            row = int(differs.argmax())
            one, other = (LABEL_NAMES[table["label"][row]] for table in (scored, known))
            raise DataError(
                f"{one_line(known['path'][row])}: is {one} in {listed.path} but {other} in {key}; keep what is right"
            )
    # A key may be a table of somebody's scores, or have columns that tell no clips apart.
    kept = (
        name in ("path", "label") or (name != "score" and not {*known[name].unique()} <= {"", "unknown", "bonafide"})
        for name in known
    )
    known = known.loc[:, list(kept)]
    # The names of the key are the same whoever made the scores.
    more = scored[[name for name in scored if name not in known]]
    return pd.concat([known, more], axis=1), counts


def said(facts: dict) -> list[str]:
    """Return what was read, from the facts of `Trials`, a sentence a line."""
    lines = [f"{facts['scores']}: read as {facts['read_as']}"]
    if facts["higher"] == "spoof":
        lines[0] += "; a higher score meant spoof, as told: all were negated"
    if "key" in facts:
        lines.append(
            f"{facts['key']}: read as {facts['key_read_as']}, {facts['n_key']} clips, subset {facts['subset']}"
        )
        if facts["n_outside_subset"]:
            lines[-1] += f"; {facts['n_outside_subset']} scores are of others or of neither class"
    if missing := missing_names(facts):
        lines.append(f"left out: {missing}")
    return lines


def missing_names(counts: dict) -> str:
    """Say how many names have no partner, and which; "" where all have one."""
    said = []
    for name, what in (("without_label", "scores have no line in the key"), ("without_score", "clips have no score")):
        if count := counts.get(f"n_{name}", 0):
            listed = counts.get(name, [])
            more = f" and {count - len(listed)} more" if listed and count > len(listed) else ""
            said.append(f"{count} {what}" + (f" ({some(listed)}{more})" if listed else ""))
    return ", ".join(said)
