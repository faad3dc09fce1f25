"""What a detector says of one clip, in three outcomes: bona fide, spoof, or that it cannot tell.

An outcome is told where the evidence is at least `LEAST` to one by the calibrated log-likelihood ratio (LLR), where no
end of its range speaks for the other class, and where the score is like those that were calibrated on. Everything
else is "cannot tell", with the reasons. The strength of evidence is put into the words of the European Network of
Forensic Science Institutes (ENFSI, 2015: guideline for evaluative reporting).
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from dfdlib.app.basis import Basis
from dfdlib.app.rules import BONAFIDE, CANNOT_TELL, CHANNELS, LARGEST, LEAST, LONGEST, MOST_SAMPLES, SPOOF
from dfdlib.data import corpus, decoding, tables
from dfdlib.data.audit import measure
from dfdlib.detector import timelines
from dfdlib.detector.score import score
from dfdlib.detector.score_cache import Cache
from dfdlib.detector.scores import Scores
from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import calibration, shift
from dfdlib.evaluation.intervals import Interval
from dfdlib.text import one_line

#: Likelihood ratios from which on evidence is called so.
_STRENGTHS = {1_000_000: "extremely strong", 10_000: "very strong", 1_000: "strong", 100: "moderately strong",
              10: "moderate", 2: "weak"}  # fmt: skip
_SILENT = -60.0  # dB of full scale: a clip below holds no speech that could be judged
#: What is said of a clip beside the clips that the detector was tested on: title and format.
_FACTS = {
    "format": ("Format and codec", "{}"),
    "rate": ("Sample rate", "{:,.0f} Hz"),
    "channels": ("Channels", "{:.0f}"),
    "duration": ("Duration", "{:.2f} s"),
    "level": ("Level", "{:.1f} dB"),
    "bandwidth": ("99 % of the energy lies below", "{:,.0f} Hz"),
    "clipped": ("Clipped samples", "{:.2f} %"),
    "silence": ("Silence at both ends", "{:.2f} s"),
}


@dataclass(frozen=True)
class Fact:
    """One property of a clip: its value, what the tested clips have, and whether none of them is so (None: unknown)."""

    name: str
    value: str
    tested: str
    untested: bool | None


@dataclass(frozen=True)
class Window:
    """A part of a clip, in seconds, and its score."""

    start: float
    end: float
    score: float


@dataclass(frozen=True)
class Assessment:
    """What a detector says of a clip."""

    file: str
    detector: str
    demonstration: bool  # the detector's scores mean nothing outside the demo's corpora
    channel: str
    outcome: str  # one of `OUTCOMES`
    reasons: tuple[str, ...]  # why it cannot be told; else empty
    evidence: str  # the LLR in words
    score: float  # higher means bona fide
    llr: Interval | None  # natural logarithm, above 0 for bona fide, with its range; None without a calibration
    done: str  # what was done to the file before the detector got it
    facts: tuple[Fact, ...]
    windows: tuple[Window, ...]  # empty where the clip is no longer than one

    def to_dict(self) -> dict:
        """Return all of it as plain values for JSON."""
        return asdict(self) | {"llr": self.llr and self.llr._asdict()}

    def probability(self, p_spoof: float) -> Interval | None:
        """Return the probability that the clip is bona fide where a share of clips is spoofed, with its range."""
        return self.llr and Interval(*calibration.probability(self.llr, p_spoof=p_spoof).tolist())


def assess(clip: str | Path, basis: Basis, **options) -> Assessment:
    """Say what one detector makes of one clip: `assess_by_each` of one."""
    return assess_by_each(clip, [basis], **options)[0]


def assess_by_each(
    clip: str | Path,
    bases: Iterable[Basis],
    *,
    channel: str = "studio",
    cache: Cache | None = None,
    windows: bool = True,
) -> list[Assessment]:
    """Say what each of several detectors makes of one clip, which is looked at once.

    Calibrations are those of `channel`, one of `CHANNELS`, what the clip came through. With `windows`, the parts of a
    long clip are scored as well.

    Raises
    ------
    DataError
        The file is no sound, is damaged, or is beyond `LONGEST`, `MOST_SAMPLES` or `LARGEST`.
    """
    if channel not in CHANNELS:
        raise ParameterError(f"channel={channel!r}: choose one of {', '.join(CHANNELS)}")
    check(clip)
    found = corpus.find([clip])
    measured = measure.measure(found)
    if measured.clips.empty:
        raise DataError(measured.left_out["reason"].iloc[-1], path=clip)
    return [_assess(found, measured.clips.iloc[0], basis, channel, cache, windows) for basis in bases]


def _assess(
    clip: corpus.Corpus, facts: pd.Series, basis: Basis, channel: str, cache: Cache | None, windows: bool
) -> Assessment:
    scores = score(clip, basis.scorer, preprocessing=basis.preprocessing, cache=cache)
    row = scores.table.iloc[0]
    llr, reasons = judge(float(row["score"]), basis, channel=channel, level=facts["level"])
    return Assessment(
        file=one_line(Path(row["path"]).name),
        detector=basis.name,
        demonstration=basis.demonstration,
        channel=channel,
        outcome=outcome(llr, reasons),
        reasons=tuple(reasons),
        evidence=in_words(llr),
        score=float(row["score"]),
        llr=llr,
        done=_done(facts, basis),
        facts=tuple(_compared(facts, basis.tested)),
        windows=_windows(scores, basis, cache) if windows else (),
    )


def check(clip: str | Path) -> None:
    """Refuse a file that is no sound, is damaged, or is too large or too long, before any of it is kept in memory."""
    path = Path(clip)
    if path.suffix.lower() in tables.TABLES:
        raise DataError("is a table, not a sound file; give the clips that it lists", path=path)
    if path.is_file() and path.stat().st_size > LARGEST:
        raise DataError(f"is larger than {LARGEST // 2**20} MB; cut it, or use dfd score", path=path)
    rate, blocks = decoding.opened(path)
    samples = 0
    for block in blocks:
        samples += len(block)
        if samples > min(LONGEST * rate, MOST_SAMPLES):
            longest = f"{LONGEST // 60} minutes, or {MOST_SAMPLES / 1e6:.0f} million samples"
            raise DataError(f"is longer than {longest}; cut it, or use dfd score", path=path)


def judge(value: float, basis: Basis, *, channel: str, level: float) -> tuple[Interval | None, list[str]]:
    """Return the LLR of a score with its range, and the reasons, if any, why no outcome can be told.

    `level` is that of the clip, in dB of full scale.
    """
    silent = f"The clip is silent ({level:.0f} dB of full scale): there is no speech to judge."
    silence = [silent] if level < _SILENT else []
    scale = basis.scales.get(channel)
    if scale is None:
        unknown = "" if getattr(basis.scorer, "lasting", True) else " It says no fingerprint, by which one is found."
        return None, [
            f"No calibration was measured for this detector on {channel} clips ({CHANNELS[channel]}): "
            f"what its score means there is not known.{unknown}",
            *silence,
        ]
    llr = scale.llr(value)
    reasons = shift.shift_warnings(scale.calibration, [value])
    if scale.contradicted:
        reasons.append(
            "Its validation clips contradict its scores: higher ones go with spoof. Nothing was turned round."
        )
    elif abs(llr.value) < math.log(LEAST):
        most = max(-scale.calibration.lowest, scale.calibration.highest)
        limit = f"; its validation clips never support more than {_often(most)} to 1" if most < math.log(LEAST) else ""
        reasons.append(f"The evidence is weaker than {LEAST} to 1{limit}.")
    elif llr.low <= 0 <= llr.high:
        reasons.append("With other validation clips the evidence could speak for either side.")
    return llr, reasons + silence


def outcome(llr: Interval | None, reasons: list[str]) -> str:
    """Return one of `OUTCOMES` for what `judge` returned."""
    if llr is None or reasons:
        return CANNOT_TELL
    return BONAFIDE if llr.value > 0 else SPOOF


def in_words(llr: Interval | None) -> str:
    """Return an LLR and its range as a sentence."""
    if llr is None:
        return "What the score means was not measured."
    times = math.exp(abs(llr.value))
    strength = next((word for least, word in _STRENGTHS.items() if times >= least), None)
    if strength is None:
        said = "No evidence either way: bona fide clips and spoofs get such a score about as often"
    else:
        more, fewer = ("bona fide clips", "spoofs") if llr.value > 0 else ("spoofs", "bona fide clips")
        side = BONAFIDE if llr.value > 0 else SPOOF
        said = f"{strength} evidence for {side}: {more} get such a score {_often(llr.value)} times as often as {fewer}"
    low, high = sorted((llr.low, llr.high), key=abs)
    if low * high > 0:
        ends = f"{_often(low)} to {_often(high)} times"
    else:
        ends = " to ".join(f"{_often(end)} to 1 for {BONAFIDE if end > 0 else SPOOF}" for end in (llr.low, llr.high))
    return f"{said[0].upper()}{said[1:]} (95 % range with other validation clips: {ends})."


def _often(llr: float) -> str:
    times = math.exp(abs(llr))
    return f"{times:.1f}" if times < 10 else f"{times:,.0f}"


def _done(facts: pd.Series, basis: Basis) -> str:
    """Say what was done to a file before the detector got it."""
    how = basis.preprocessing
    parts = ["" if facts["channels"] == 1 else f"the mean of its {facts['channels']} channels"]
    parts.append("" if facts["rate"] == how.rate else f"resampled from {facts['rate']:,} to {how.rate:,} Hz")
    seconds = facts["duration"]
    if how.window is not None:
        length = how.window / how.rate
        parts.append(f"its first {length:.2f} s" if seconds > length else f"repeated to {length:.2f} s")
    elif bool(how.cuts([seconds])[0]):
        parts.append("in windows of 30 s, whose logits are averaged")
    elif how.seconds(pd.Series([seconds]).to_numpy())[0] > seconds:
        parts.append("repeated to half a second")
    done = [part for part in parts if part]
    return f"The detector got {', '.join(done)}." if done else "The detector got the samples as they are stored."


def _compared(facts: pd.Series, tested: pd.DataFrame | None) -> list[Fact]:
    """Compare the properties of a clip with those of the clips that the detector was tested on."""

    def shown(one):
        return one | {"silence": one["leading_silence"] + one["trailing_silence"], "clipped": 100 * one["clipped"]}

    clip, known = shown(dict(facts)), None if tested is None else shown(dict(tested))
    rows = []
    for name, (title, form) in _FACTS.items():
        value, seen, untested = clip[name], "not known", None
        if known is not None:
            values = known[name]
            if name in ("format", "rate", "channels"):
                seen = ", ".join(form.format(one) for one in sorted(set(values)))
                untested = value not in set(values)
            else:
                seen = " to ".join(form.format(end) for end in (values.min(), values.max()))
                untested = not values.min() <= value <= values.max()
        rows.append(Fact(title, form.format(value), seen, untested))
    return rows


def _windows(scores: Scores, basis: Basis, cache: Cache | None) -> tuple[Window, ...]:
    if scores.table["duration"].iloc[0] <= timelines.window(basis.scorer) / basis.preprocessing.rate:
        return ()
    table, _ = timelines.timelines(scores, basis.scorer, preprocessing=basis.preprocessing, cache=cache)
    return tuple(Window(*map(float, row)) for row in table[["start", "end", "score"]].to_numpy())
