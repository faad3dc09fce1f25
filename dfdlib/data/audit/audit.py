"""Audit a corpus, or several against each other, and rank the findings."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib import files
from dfdlib.data import tables
from dfdlib.data.audit import checks, near_duplicates, shortcuts
from dfdlib.data.audit.checks import Finding
from dfdlib.data.audit.measure import NUISANCES, measure
from dfdlib.data.audit.shortcuts import Shortcut
from dfdlib.data.corpus import Corpus
from dfdlib.data.labels import LABEL_NAMES
from dfdlib.errors import DataError
from dfdlib.evaluation import units

#: What the file of an audit may be called: all of it, or a row a clip.
SUFFIXES = (".json", ".csv")


@dataclass(frozen=True)
class Audit:
    """What was found in a corpus."""

    name: str
    size: int  # clips of the corpus, those that cannot be decoded included
    findings: tuple[Finding, ...]  # the gravest first
    counts: pd.DataFrame  # as `Corpus.summary`
    # The decodable clips: the corpus' columns, `NUISANCES`, `measure.FACTS`, and ``found``: the kinds of the findings
    # about each.
    clips: pd.DataFrame
    # A row for each ``split``, ``label`` and ``feature``: ``lower_quartile``, ``median``, ``upper_quartile`` and
    # ``unit``.
    by_class: pd.DataFrame
    formats: pd.DataFrame  # ``clips`` of each ``split``, ``label``, ``format``, ``rate`` (Hz) and ``channels``
    # Of one sound: ``first`` and ``second`` (paths), ``kind`` ("exact", "copy" or "rebuilt"), ``shift`` (s), ``bits``
    # and ``correlation`` (see `near_duplicates.pairs`).
    pairs: pd.DataFrame
    left_out: pd.DataFrame  # ``path`` and ``reason``
    other: dict[str, int]  # how many files there are of each other kind
    shortcut: Shortcut | None  # None where it could not be measured
    shortcut_refused: str  # why not
    # Of the decodable clips, for `across`.
    fingerprints: list[near_duplicates.Fingerprint] = dataclasses.field(repr=False)
    root: str = ""  # as `Corpus.root`: `to_dict` and `write` give paths relative to it

    @property
    def features(self) -> pd.DataFrame:
        """`NUISANCES` of the decodable clips."""
        return self.clips[list(NUISANCES)]

    def to_dict(self) -> dict:
        """Return plain values, ready for JSON."""
        found = self.shortcut
        return {
            "corpus": self.name,
            "clips": self.size,
            "left_out": _records(self._relative(self.left_out, "path")),
            "other_files": self.other,
            "shortcut_eer": found and found.eer.value,
            "shortcut_eer_ci": found and [found.eer.low, found.eer.high],
            "shortcut": found
            and {"classifier": found.classifier, "ways": _records(found.ways), "features": _records(found.features)},
            "verdict": found.verdict if found else self.shortcut_refused,
            "findings": _plain(self.findings),
            "counts": _records(self.counts),
            "by_class": _records(self.by_class),
            "formats": _records(self.formats),
            "pairs": _records(self.near()),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return `clips` as they are written: labels as words, paths relative to the root."""
        return self._relative(self.clips, "path").assign(label=_named(self.clips), corpus=self.name)

    def near(self) -> pd.DataFrame:
        """Return `pairs` as they are written: paths relative to the root."""
        return self._relative(self.pairs, "first", "second")

    def _relative(self, table: pd.DataFrame, *columns: str) -> pd.DataFrame:
        return table.assign(**{name: tables.below(table[name], self.root) for name in columns})


def examine(
    corpus: Corpus,
    *,
    split: str = "testing",
    seed: int = 0,
    resamples: int = 1000,
    target: str = units.NEW,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Audit all clips of a corpus.

    Parameters
    ----------
    corpus : Corpus
        With all its splits.
    split : str
        Where the shortcut is measured: the whole corpus where it has no such split, or for "".
    seed, resamples, target
        Of `shortcuts.shortcut`.
    progress : callable, optional
        Called with the number of clips decoded and their total.
    """
    measured = measure(corpus, progress=progress)
    if measured.clips.empty:
        raise DataError(f"{corpus.name}: none of {len(corpus)} clips can be decoded; there is nothing to examine")
    # A header may lie about the duration; what was decoded does not.
    described = corpus.table.loc[measured.clips.index].drop(columns="duration")
    clips = described.join(measured.clips).reset_index(drop=True)
    pairs = checks.pairs_of_one_sound(clips, measured.fingerprints)

    found, refused, tested = _shortcut(corpus, clips, split=split, seed=seed, resamples=resamples, target=target)
    told = _findings(clips, pairs, left_out=measured.left_out)
    findings = checks.ranked([*told, *(checks.shortcut(found, tested) if found else ())])
    paths = clips["path"].to_numpy()
    formats = clips.assign(label=_named(clips)).groupby(["split", "label", "format", "rate", "channels"]).size()
    return Audit(
        name=corpus.name,
        size=len(corpus),
        findings=findings,
        counts=corpus.summary(),
        clips=clips.assign(found=_kinds_by_clip(findings, len(clips))),
        by_class=_by_class(clips),
        formats=formats.rename("clips").reset_index(),
        pairs=pairs.assign(first=paths[pairs["first"]], second=paths[pairs["second"]]),
        left_out=measured.left_out,
        other=corpus.other,
        shortcut=found,
        shortcut_refused=refused,
        fingerprints=measured.fingerprints,
        root=corpus.root,
    )


def _findings(clips: pd.DataFrame, pairs: pd.DataFrame, *, left_out: pd.DataFrame) -> Iterable[Finding]:
    """Return what is wrong with clips, before any classifier looks at them."""
    return [
        *checks.left_out(left_out, clips),
        *checks.single_clips(clips),
        *checks.shared_sounds(clips, pairs),
        *checks.shared_names(clips, "speaker"),
        *checks.shared_names(clips, "sentence"),
        *checks.storage(clips),
        *checks.balance(clips),
    ]


def _shortcut(corpus: Corpus, clips: pd.DataFrame, *, split: str, **options) -> tuple[Shortcut | None, str, int]:
    """Measure the shortcut on one split; also return why it could not be measured, and over how many clips."""
    tested = clips[clips["split"] == split] if split and (clips["split"] == split).any() else clips
    part = dataclasses.replace(corpus, table=tested)
    try:
        return shortcuts.shortcut(part, features=tested, **options), "", len(tested)
    except DataError as error:
        return None, f"What the format gives away could not be measured: {error}.", len(tested)


def across(*audits: Audit) -> tuple[Finding, ...]:
    """Look for what corpora share, the gravest first: above all clips that one trains on and another tests on.

    Clips of the splits training and validation are taken as seen by detectors, all others as tested on. Sentences and
    speakers are the same where corpora give them the same name.
    """
    clips = pd.concat([audit.clips for audit in audits], ignore_index=True)
    owners = np.repeat(np.arange(len(audits)), [len(audit.clips) for audit in audits])
    shown = [f"{audit.name}: {path}" for audit in audits for path in checks.below_their_folder(audit.clips)]
    fingerprints = [clip for audit in audits for clip in audit.fingerprints]
    pairs = checks.pairs_of_one_sound(clips, fingerprints, owners=owners)
    sides = np.column_stack([owners[pairs["first"]], owners[pairs["second"]]])
    seen = clips["split"].isin(checks.SEEN).to_numpy()
    findings = []
    for a, b in itertools.combinations(range(len(audits)), 2):
        between = pairs[(sides == (a, b)).all(axis=1) | (sides == (b, a)).all(axis=1)]
        findings += checks.shared_between(clips, between, shown, f"{audits[a].name} and {audits[b].name}")
        for one, other in ((a, b), (b, a)):
            trained, tested = clips[(owners == one) & seen], clips[(owners == other) & ~seen]
            names = audits[one].name, audits[other].name
            for column in ("sentence", "speaker"):
                findings += checks.shared_names_between(trained, tested, column, shown, names)
    return checks.ranked(findings)


def report(audits: Sequence[Audit], between: Iterable[Finding] = ()) -> dict:
    """Return audits as plain values: one as `Audit.to_dict`, several under ``corpora`` with ``across``."""
    if len(audits) == 1:
        return audits[0].to_dict()
    return {"corpora": [audit.to_dict() for audit in audits], "across": _plain(between)}


def write(path: str | Path, audits: Sequence[Audit], between: Iterable[Finding] = ()) -> None:
    """Write audits to a file: as ``.csv`` a row a clip with its measures and faults, as anything else all, in JSON."""
    if Path(path).suffix.lower() == ".csv":
        tables.write(path, pd.concat(audit.to_frame() for audit in audits))
    else:
        files.write_json(path, report(audits, between))


def _kinds_by_clip(findings: Iterable[Finding], count: int) -> list[str]:
    kinds = [set() for _ in range(count)]
    for finding in findings:
        for row in finding.rows:
            kinds[row].add(finding.kind)
    return [" ".join(sorted(of_clip, key=checks.KINDS.index)) for of_clip in kinds]


def _by_class(clips: pd.DataFrame) -> pd.DataFrame:
    long = clips.assign(label=_named(clips)).melt(
        id_vars=["split", "label"], value_vars=list(NUISANCES), var_name="feature"
    )
    groups = long.groupby(["split", "label", "feature"], sort=True)["value"]
    table = groups.quantile([0.25, 0.5, 0.75]).unstack()
    table = table.set_axis(["lower_quartile", "median", "upper_quartile"], axis=1).reset_index()
    order = {name: place for place, name in enumerate(NUISANCES)}
    table = table.sort_values("feature", key=lambda names: names.map(order), kind="stable")
    return table.assign(unit=table["feature"].map(NUISANCES)).reset_index(drop=True)


def _named(clips: pd.DataFrame) -> pd.Series:
    return clips["label"].map(LABEL_NAMES).fillna("")


def _plain(findings: Iterable[Finding]) -> list[dict]:
    """Return findings without the numbers of their clips, which mean nothing outside."""
    return [
        {name: value for name, value in dataclasses.asdict(finding).items() if name != "rows"} for finding in findings
    ]


def _records(table: pd.DataFrame) -> list[dict]:
    # by way of pandas, which writes missing numbers as null
    return json.loads(table.to_json(orient="records"))
