"""The checks of an audit: each looks at the measured clips and returns findings.

A *problem* makes figures on the corpus wrong; a *warning* makes them mean less than they seem to; a *note* is good to
know.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfdlib.data.audit import near_duplicates, shortcuts
from dfdlib.data.audit.shortcuts import FLOOR, Shortcut
from dfdlib.data.labels import LABEL_NAMES
from dfdlib.evaluation.metrics import percent, percent_range
from dfdlib.text import one_line

SEVERITIES = ("problem", "warning", "note")

#: What can be found and what to do about it, in the order of its weight among findings of one severity.
REMEDIES = {
    "leak": "keep one of each, in one split: what was trained on measures nothing when it is tested on",
    "conflict": "find out which label is right and drop the other clip; where only a part is fake, cut out that part",
    "shortcut": "make the classes alike in what the examples name; compare every result with this figure",
    "format": "store both classes alike, from sources alike: converting afterwards hides the name, not the traces",
    "unreadable": "fix or remove them: what cannot be read is not measured",
    "silent": "remove them: there is nothing to judge",
    "rebuilt": "put a recording and all that was made from it into one split; intervals should draw them together",
    "sentence": "split by sentence, or say so beside the result: a detector can learn the words",
    "speaker": "split by speaker, or say beside the result that it is for known voices",
    "duplicate": "keep one of each: copies count as independent trials and make intervals too narrow",
    "clipped": "record or export them at a lower level; see that both classes are clipped alike",
    "offset": "take it away (the mean, or all below 20 Hz) in both classes alike: a detector can learn it",
    "short": "remove or join them: detectors repeat them to fill a window",
    "voices": "add spoof clips of the bona fide speakers: a detector can learn the voices",
    "imbalance": "add clips of the smaller class, or weigh the classes in training",
    "few": "read intervals, not figures; add clips",
}
KINDS = tuple(REMEDIES)

SILENT = -60.0  # dB of full scale: below it a clip holds nothing to judge
SHORT = 0.5  # s; less is hardly a syllable
CLIPPED = 1e-3  # share of samples in flat tops from which on it is heard
OFFSET = -40.0  # dB of full scale: a mean of one hundredth, far more than speech has
RARE = 0.01  # share of a corpus; a defect of fewer clips is a note where it is no problem
FEW = 50  # trials of a class; fewer, and one clip moves an error rate by more than two points
UNEVEN, LOPSIDED = 0.4, 0.2  # share of the smaller class: good to know; a warning
CHANCE = 1e-3  # how likely a difference of formats between the classes may be by chance

#: Splits that detectors have seen; all others are tested on.
SEEN = ("training", "validation")

_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    severity: str  # one of `SEVERITIES`
    kind: str  # one of `KINDS`
    title: str  # what it is, in a sentence without a full stop
    clips: int  # how many clips it concerns
    # A few of them, as paths below the corpus' folder; clips of one pair are joined by "=" (the same sound) or "~"
    # (rebuilt).
    examples: tuple[str, ...]
    remedy: str  # what to do
    # Which clips, by their place in the table that was checked; empty where it is the corpus as a whole.
    rows: tuple[int, ...] = ()


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings, the gravest first."""
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    return tuple(sorted(findings, key=lambda one: (order[one.severity], KINDS.index(one.kind), -one.clips)))


def pairs_of_one_sound(
    clips: pd.DataFrame, fingerprints: Sequence[near_duplicates.Fingerprint], *, owners: np.ndarray | None = None
) -> pd.DataFrame:
    """Return pairs of clips of one recording, of different `owners`, shape (n_clips,), where these are given.

    The clips have ``path``, ``sound`` and ``level``, numbered from 0; silent ones are passed over. What is returned is
    as `near_duplicates.pairs` has it, with ``kind`` ("exact", "copy" or "rebuilt") in place of ``same``.
    """
    audible = np.flatnonzero(~_silent(clips))
    sounds = clips["sound"].to_numpy()
    owner = np.zeros(len(clips), int) if owners is None else owners
    # Equal clips are found by their hash; one of each owner stands for all of them in the search for others.
    leaders = audible[~pd.DataFrame({"sound": sounds[audible], "owner": owner[audible]}).duplicated().to_numpy()]
    equal = leaders if owners is not None else audible
    exact = [
        (members[0] if owners is None else a, b)
        for members in pd.Series(equal).groupby(sounds[equal], sort=False).agg(list)
        for place, b in enumerate(members)
        for a in (members[:place] if owners is not None else members[: min(place, 1)])
    ]
    exact = pd.DataFrame(exact, columns=["first", "second"], dtype=int)
    exact = exact.assign(kind="exact", shift=0.0, bits=0.0, correlation=1.0)
    near = near_duplicates.pairs(
        [fingerprints[row] for row in leaders],
        clips["path"].iloc[leaders].tolist(),
        owners=None if owners is None else owners[leaders],
    )
    near["kind"] = np.where(near.pop("same"), "copy", "rebuilt")
    near["first"], near["second"] = leaders[near["first"]], leaders[near["second"]]
    near = near[sounds[near["first"]] != sounds[near["second"]]][exact.columns]
    tables = [table for table in (exact, near) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else exact


def shared_sounds(clips: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[Finding]:
    """Yield leaks, conflicts, duplicates and rebuilt clips within a corpus, from `pairs_of_one_sound`."""
    same = pairs[pairs["kind"] != "rebuilt"]
    family = pd.Series(near_duplicates.families(len(clips), same["first"], same["second"]))
    leaking = (clips["split"].groupby(family).transform("nunique") > 1).to_numpy()
    conflicting = (clips["label"].groupby(family).transform("nunique") > 1).to_numpy()
    several = family.map(family.value_counts()).to_numpy() > 1
    link = _Links(clips, pairs, below_their_folder(clips))
    differ, kept = link.splits_differ, link.same & ~link.splits_differ & ~link.labels_differ
    for rows, severity, kind, title, wanted in (
        (leaking, "problem", "leak", "in more than one split", link.same & differ),
        (conflicting, "problem", "conflict", "under both labels", link.same & link.labels_differ),
        (several & ~leaking & ~conflicting, "warning", "duplicate", "in one split", kept),
    ):
        yield from link.of_rows(rows, severity, kind, f"{{}} with the same sound {title}", wanted)
    origin = "that were rebuilt from one recording, or read by one synthesiser from like words"
    inside = ~link.same & ~differ
    for wanted, severity, title in (
        (~link.same & differ, "warning", f"in more than one split {origin}"),
        (inside & link.labels_differ, "note", "in one split, of a recording and a spoof made from it"),
        (inside & ~link.labels_differ, "note", f"of one class and split {origin}"),
    ):
        yield from link.of_pairs(wanted, severity, "rebuilt", f"{{}} {title}")


def shared_between(clips: pd.DataFrame, pairs: pd.DataFrame, shown: Sequence[str], names: str) -> Iterator[Finding]:
    """Yield what two corpora share, from `pairs_of_one_sound` between them; `names` says both."""
    link = _Links(clips, pairs, shown)
    seen = clips["split"].isin(SEEN).to_numpy()
    seen_first, seen_second = seen[link.first], seen[link.second]
    crossed, tested = seen_first != seen_second, ~seen_first & ~seen_second
    same, rebuilt = f"{{}} of {names} with the same sound", f"{{}} of {names} rebuilt from one recording"
    across = "trained on in one, tested on in the other"
    for wanted, severity, kind, title in (
        (link.same & crossed, "problem", "leak", f"{same}, {across}"),
        (link.same & link.labels_differ, "problem", "conflict", f"{same} under different labels"),
        (link.same & tested, "warning", "duplicate", f"{same}, tested on in both"),
        (link.same & ~crossed & ~tested, "note", "duplicate", f"{same}, trained on in both"),
        (~link.same & crossed, "warning", "rebuilt", f"{rebuilt}, {across}"),
        (~link.same & ~crossed, "note", "rebuilt", f"{rebuilt}, in like splits"),
    ):
        yield from link.of_pairs(wanted, severity, kind, title)


class _Links:
    """Pairs of clips, and how to say what they are."""

    def __init__(self, clips: pd.DataFrame, pairs: pd.DataFrame, shown: Sequence[str]) -> None:
        self.first, self.second = pairs["first"].to_numpy(int), pairs["second"].to_numpy(int)
        self.same = (pairs["kind"] != "rebuilt").to_numpy(bool)
        split, label = clips["split"].to_numpy(), clips["label"].to_numpy(float, na_value=np.nan)
        self.splits_differ = split[self.first] != split[self.second]
        # A clip without a label contradicts none.
        self.labels_differ = np.abs(label[self.first] - label[self.second]) == 1
        self._shown = shown

    def of_pairs(self, wanted: np.ndarray, severity: str, kind: str, title: str) -> Iterator[Finding]:
        """Yield a finding about the clips of those pairs, if there are any."""
        rows = np.zeros(len(self._shown), bool)
        rows[self.first[wanted]] = rows[self.second[wanted]] = True
        yield from self.of_rows(rows, severity, kind, title, wanted)

    def of_rows(self, rows: np.ndarray, severity: str, kind: str, title: str, wanted: np.ndarray) -> Iterator[Finding]:
        """Yield a finding about those clips, if there are any, with examples from those pairs."""
        examples = [
            f"{self._shown[self.first[pair]]} {'=' if self.same[pair] else '~'} {self._shown[self.second[pair]]}"
            for pair in np.flatnonzero(wanted)[:_EXAMPLES]
        ]
        yield from _finding(severity, kind, title, np.flatnonzero(rows), examples)


def shared_names(clips: pd.DataFrame, column: str) -> Iterator[Finding]:
    """Yield the speakers or sentences that are in more than one split."""
    shown = below_their_folder(clips)
    named = clips[(clips[column] != "") & (clips["split"] != "")]
    members = named[named.groupby(column)["split"].transform("nunique") > 1]
    examples = [
        f"{name}: {', '.join(shown[row] for row in group.drop_duplicates('split').index)}"
        for name, group in list(members.groupby(column, sort=False))[:_EXAMPLES]
    ]
    title = f"{_count(members[column].nunique(), column)} in more than one split ({{}})"
    yield from _finding("warning", column, title, members.index, examples)


def shared_names_between(
    seen: pd.DataFrame, tested: pd.DataFrame, column: str, shown: Sequence[str], names: tuple[str, str]
) -> Iterator[Finding]:
    """Yield the speakers or sentences of clips that one corpus is trained on which another one is tested on."""
    known = set(seen[column]) - {""}
    members = tested[tested[column].isin(known)]
    examples = [f"{row[column]}: {shown[number]}" for number, row in members.head(_EXAMPLES).iterrows()]
    count = _count(members[column].nunique(), column)
    title = f"{count} by the same name that {names[0]} trains on and {names[1]} tests on ({{}})"
    yield from _finding("note", column, title, members.index, examples)


def single_clips(clips: pd.DataFrame) -> Iterator[Finding]:
    """Yield clips that are silent, clipped, off zero or too short."""
    shown = np.array(below_their_folder(clips), dtype=object)
    silent = _silent(clips)
    for kind, bad, title in (
        ("silent", silent, f"{{}} below {SILENT:g} dB of full scale: silent"),
        ("clipped", (clips["clipped"] > CLIPPED) & ~silent, "{} clipped"),
        (
            "offset",
            clips["offset"] > OFFSET,
            f"{{}} with a mean of more than {percent(10 ** (OFFSET / 20), 0)} of full scale",
        ),
        ("short", clips["duration"] < SHORT, f"{{}} shorter than {SHORT:g} s"),
    ):
        severity = "problem" if kind == "silent" else "warning" if bad.mean() > RARE else "note"
        classes = clips.loc[bad, "label"].map(LABEL_NAMES).fillna("without a label").value_counts()
        title += f" ({', '.join(f'{number} {name}' for name, number in classes.items())})"
        yield from _finding(severity, kind, title, np.flatnonzero(bad), list(shown[bad][:_EXAMPLES]))


def _silent(clips: pd.DataFrame) -> np.ndarray:
    """Return which clips hold nothing to judge, whatever their offset from zero; shape (n_clips,)."""
    power = 10 ** (clips["level"].to_numpy() / 10) - 10 ** (clips["offset"].to_numpy() / 10)
    return power <= 10 ** (SILENT / 10)


def left_out(table: pd.DataFrame, clips: pd.DataFrame) -> Iterator[Finding]:
    """Yield the clips that cannot be used, from a table of ``path`` and ``reason``."""
    if len(table):
        folder = _folder(clips["path"])
        examples = [f"{one_line(_below(folder, row.path))}: {row.reason}" for row in table.head(_EXAMPLES).itertuples()]
        title = f"{_count(len(table), 'clip')} that cannot be used"
        yield Finding("problem", "unreadable", title, len(table), tuple(examples), REMEDIES["unreadable"])


def storage(clips: pd.DataFrame) -> Iterator[Finding]:
    """Yield whether guessing the label from how files are stored does better than chance."""
    from scipy.stats import chi2_contingency

    for fact, words in (("format", "container and codec"), ("rate", "sample rate"), ("channels", "number of channels")):
        counts = pd.crosstab(clips[fact], clips["label"])
        if min(counts.shape) < 2 or chi2_contingency(counts).pvalue > CHANCE:
            continue
        shares = counts / counts.sum()
        lean = (shares[1] - shares[0]).sort_values()
        # The best guess says for each value the class that has more of it.
        error = (1 - float(lean.abs().sum()) / 2) / 2
        examples = [
            "{}: {} of bona fide, {} of spoof clips".format(
                value, *(percent(shares.loc[value, of], 0) for of in (1, 0))
            )
            for value in (lean.index[-1], lean.index[0])
        ]
        title = f"the classes differ in their {words}: guessing from it errs in {percent(error)} (chance: 50 %)"
        severity = "problem" if error < FLOOR else "warning"
        yield Finding(severity, "format", title, len(clips), tuple(examples), REMEDIES["format"])


def balance(clips: pd.DataFrame) -> Iterator[Finding]:
    """Yield splits with many more clips of one class, tests with few clips, and classes without a common speaker."""
    for split, part in clips.groupby("split", sort=True):
        bonafide, spoof = (int((part["label"] == label).sum()) for label in (1, 0))
        fewer, title = min(bonafide, spoof), f"{bonafide} bona fide and {spoof} spoof clips"
        title = f"{split}: {title}" if split else title
        share = fewer / max(1, bonafide + spoof)
        if share < UNEVEN:
            severity = "warning" if share < LOPSIDED else "note"
            yield Finding(severity, "imbalance", title, len(part), (), REMEDIES["imbalance"])
        if fewer < FEW and split not in SEEN:
            moves = f"one clip moves an error rate by {100 / max(1, fewer):.1f} points"
            yield Finding("note", "few", f"{title}: {moves}", fewer, (), REMEDIES["few"])
    voices = [set(clips.loc[clips["label"] == label, "speaker"]) - {""} for label in (1, 0)]
    if all(voices) and not voices[0] & voices[1]:
        title = f"no speaker is heard in both classes ({len(voices[0])} bona fide, {len(voices[1])} spoof)"
        yield Finding("note", "voices", title, len(clips), (), REMEDIES["voices"])


def shortcut(found: Shortcut, clips: int) -> Iterator[Finding]:
    """Yield what a shortcut over so many clips gives away."""
    if found.finding == shortcuts.NOTHING:
        return
    examples = tuple(
        f"{row.feature.replace('_', ' ')}: median {row.bonafide:.3g} bona fide, {row.spoof:.3g} spoof "
        f"({row.unit.split(',')[0]}), AUC {max(row.auc, 1 - row.auc):.2f}"
        for row in found.features.head(3).itertuples()
    )
    title = (
        f"length, level, silences and coarse spectrum alone give an EER of {percent(found.eer.value)} "
        f"({percent_range(found.eer.low, found.eer.high)}; chance: 50 %)"
    )
    severity = "problem" if found.finding == shortcuts.MUCH else "warning"
    yield Finding(severity, "shortcut", title, clips, examples, REMEDIES["shortcut"])


def _finding(severity: str, kind: str, title: str, rows: Iterable[int], examples: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding about those clips, if there are any; their number goes into the braces of its title."""
    rows = tuple(int(row) for row in rows)
    if rows:
        title = title.format(_count(len(rows), "clip"))
        yield Finding(severity, kind, title, len(rows), tuple(examples), REMEDIES[kind], rows)


def below_their_folder(clips: pd.DataFrame) -> list[str]:
    """Return the path of each clip below the folder of all of them, on one line."""
    folder = _folder(clips["path"])
    return [one_line(_below(folder, path)) for path in clips["path"]]


def _folder(paths: pd.Series) -> str:
    return os.path.commonpath([os.path.dirname(path) for path in paths]) if len(paths) else ""


def _below(folder: str, path: str) -> str:
    return path.removeprefix(folder.rstrip(os.sep) + os.sep) if folder else path


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
