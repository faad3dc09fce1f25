"""Other detectors on the clips of a run: what they are worth before fine-tuning, beside the run's own and with it."""

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib.data import audio, tables
from dfdlib.data.audit import shortcuts
from dfdlib.data.audit.measure import nuisance_features
from dfdlib.data.corpus import Corpus
from dfdlib.detector import network, own, registry
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.score import score
from dfdlib.detector.scorer import Scorer, TorchScorer
from dfdlib.detector.scores import Scores, pair, read_scores, together
from dfdlib.errors import DataError
from dfdlib.evaluation import calibration, carried, family, intervals, metrics
from dfdlib.experiment import profile
from dfdlib.experiment.clips import TARGET
from dfdlib.experiment.run import Run

#: So many validation clips are scored, twice, to measure how long it takes.
_TIMED = 8


@dataclass(frozen=True)
class System:
    """A detector that is compared."""

    name: str
    scores: Callable[[Corpus, str], Scores]  #: of a corpus, into a file of a name
    parameters: int | None = None
    scorer: Scorer | None = None  #: none where only its scores are known
    how: Preprocessing | None = None  #: what the scorer gets of a clip


def place(text: str) -> Path | None:
    """Return the file that a rival is in, if it is in one; of a published detector, its weights if they are here."""
    if text in registry.ENTRIES or text in registry.ALIASES:
        return registry.weights(text, profile.root() / "data")
    return None if text == profile.SHORTCUTS else profile.root() / own.place(text).expanduser()


def require(texts: Iterable[str]) -> None:
    """Raise DfdError where the file or the weights of a rival are not here, before hours are spent on all else."""
    for text in texts:
        file = place(text)
        if text in registry.ENTRIES or text in registry.ALIASES:
            registry.required_weights(text, profile.root() / "data")
        elif file is not None and not own.is_module(text) and not file.exists():
            raise DataError("there is no such file; correct the setting rivals", path=file)


def find(run: Run, text: str) -> System:
    """Return the rival that a text names.

    It is `profile.SHORTCUTS`, a name of `dfd detectors` whose weights are here, a table of scores of validation and
    testing clips (path, label, score), or what `own.load` takes; a DfdError where it cannot be loaded.
    """
    file = place(text)
    if text == profile.SHORTCUTS:
        return _listening_to_nothing(run)
    if file is not None and file.suffix.lower() in tables.TABLES:
        given = read_scores(file)
        return System(file.name, lambda clips, name: _given(run, given, clips, file))
    if own.is_own(text):
        return _system(run, Path(text).name, own.load(text, folder=profile.root()))
    model = network.load(registry.required_weights(text, profile.root() / "data"), configuration=registry.plain(text))
    precision = "float32" if model.ssl_model is None else run.profile.scoring.precision
    scorer = TorchScorer(model, device=profile.device(run.profile), precision=precision)
    return _system(run, text, scorer, parameters=_size(model))


def _rivals(run: Run) -> list[System]:
    """Return the rivals of a run's profile, without its own detector, which a setting may have put among them."""
    ours = run.profile.detector, run.profile.checkpoint
    texts = run.profile.rivals
    return [find(run, text) for text in texts if (registry.ALIASES.get(text, text), place(text)) != ours]


def compare(run: Run) -> pd.DataFrame:
    """Compare the rivals of a run's profile with its detector before fine-tuning, on clips that all have scored.

    A row for each corpus with audio and detector, the run's own first: ``corpus detector clips parameters``; with
    ``_low`` and ``_high`` ``eer macro_eer auc`` and ``cllr``, calibrated on the same validation clips; and of rivals
    ``difference`` of the EER, the rival's less the detector's; ``fused_eer`` of a logistic regression on both scores,
    fitted on validation clips, and its ``gain``, the fused EER less the detector's, whose interval takes the regression
    as fitted. Both have ``_low _high _p _shown`` as one family (Holm). ``both_wrong``: of the clips that either gets
    wrong at the threshold of its validation clips, the share that both do. ``seconds``: of computing, for a second of
    sound, in ``precision`` where the detector is a network of this project. ``seems_inverted``: by the validation clips
    a higher score means spoof; nothing is turned round.
    """
    size = None if own.is_own(run.profile.detector) else _size(run.detector("before"))
    ours = _system(run, run.profile.detector, run.scorer("before"), parameters=size, suffix="")
    systems = [ours, *_rivals(run)]
    known = run.corpus(TARGET, split="validation")
    run.keep_apart({"validation": [known], "testing": run.tested()})
    seconds = [_seconds(run, system, known) for system in systems]
    table, validation = together(*_of_all(systems, known, f"{TARGET}-validation"))
    known = [carried.Validation(table["label"].to_numpy(int), row, run.drawn(table)) for row in validation]
    seem_inverted = [metrics.contradicted(one.labels, one.scores) for one in known]
    rows, pairs = [], {}
    for name in run.with_audio:
        run.tell(f"comparing rivals on {name}")
        table, scores = together(*_of_all(systems, run.corpus(name), name))
        for number, system in enumerate(systems):
            row = {"corpus": name, "detector": system.name, "clips": len(table), "parameters": system.parameters}
            row |= {"seconds": seconds[number], "seems_inverted": seem_inverted[number]}
            row |= {"precision": getattr(system.scorer, "precision", None)}
            rows.append(row | _alone(run, table, scores[number], known[number]))
            if number == 0:
                continue
            pair_of = np.stack([known[0].scores, known[number].scores], axis=1)
            fitted = calibration.logistic().fit(pair_of, known[0].labels)
            fused = fitted.decision_function(np.stack([scores[0], scores[number]], axis=1))
            rows[-1]["both_wrong"] = _both_wrong(table["label"], scores[[0, number]], (known[0], known[number]))
            for kind, other in (("difference", scores[number]), ("gain", fused)):
                pairs[len(rows) - 1, kind] = (table, scores[0], other)
    for (number, kind), found in zip(pairs, _judged(run, list(pairs.values())), strict=True):
        rows[number] |= {f"{kind}{end}": value for end, value in found.items()}
        if kind == "gain":
            rows[number]["fused_eer"] = found["_after"]
    found = pd.DataFrame(rows)
    # What differs between two equal runs stays out of the summary.
    run.keep(rivals=found.drop(columns="seconds").astype(object).where(found.notna(), None).to_dict("records"))
    return found


def scores(run: Run, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return labels (n,) and scores (n,) of each rival, by its name, on the clips that the detector scored too."""
    if name not in run.with_audio:
        return {}
    found = {}
    for system in _rivals(run):
        table, both = together(run.scores("before", name), system.scores(run.corpus(name), name))
        found[system.name] = table["label"].to_numpy(int), both[1]
    return found


def _judged(run: Run, pairs: list[tuple[pd.DataFrame, np.ndarray, np.ndarray]]) -> list[dict]:
    """Return the differences of the EER between pairs of scores of clips, judged as one family."""
    changes = [run.paired(*pair, names=("eer",), family=len(pairs))["eer"] for pair in pairs]
    found = []
    for one in family.judge(changes, level=run.profile.uncertainty.level):
        values = {"": one.change.delta, "_low": one.change.low, "_high": one.change.high, "_after": one.change.after}
        found.append(values | {"_p": one.p_holm, "_shown": one.shown})
    return found


def _system(
    run: Run,
    name: str,
    scorer: Scorer,
    *,
    parameters: int | None = None,
    how: Preprocessing | None = None,
    suffix: str | None = None,
) -> System:
    how = (how or run.preprocessing()).for_scorer(scorer)
    ending = "-by-" + re.sub(r"[^\w.-]+", "-", name) if suffix is None else suffix

    def scores(clips: Corpus, place: str) -> Scores:
        return run.score(clips, scorer, name=f"before-{place}{ending}", preprocessing=how)

    return System(name, scores, parameters, scorer, how)


def _listening_to_nothing(run: Run) -> System:
    training = run.corpus(TARGET, split="training")
    run.keep_apart({"training": [training], "testing": run.tested()})
    fitted = shortcuts.detector(training)
    scaler, classifier = (step for _, step in fitted.steps)
    numbers = np.concatenate([scaler.mean_, scaler.scale_, *classifier.coef_, classifier.intercept_])

    def logits(windows: np.ndarray) -> np.ndarray:
        measured = [list(nuisance_features(window, audio.RATE).values()) for window in windows]
        return fitted.decision_function(np.array(measured))

    fingerprint = hashlib.sha256(numbers.round(9).tobytes()).hexdigest()
    scorer = own.OwnScorer(profile.SHORTCUTS, logits, fingerprint=fingerprint, rate=audio.RATE, window=None)
    size, whole = classifier.coef_.size + 1, Preprocessing.named("corrected", window="full")
    return _system(run, profile.SHORTCUTS, scorer, parameters=size, how=whole)


def _given(run: Run, given: Scores, clips: Corpus, file: Path) -> Scores:
    """Return the scores that a list has of the clips of a corpus."""
    whole, listed = clips.table["path"], given.table
    # A list of one's own may have paths from the corpus, as `dfd score` writes them.
    short = pd.Series(tables.below(whole, clips.root), index=whole.index)
    meant = short.isin(listed["path"])
    # Where contents are known they decide, whatever the path.
    unsure = listed["path"][listed["sha256"].fillna("") == ""] if "sha256" in listed else listed["path"]
    several = short[short.isin(unsure) & short.isin(_of_several_corpora(run))]
    if len(several):
        raise DataError(
            f"as a rival on {clips.name}: {several.iloc[0]} is the path of a clip in several corpora of this run; "
            "give whole paths, or a column sha256, as dfd score writes it",
            path=file,
        )
    table = clips.table.assign(path=short.where(meant, whole), whole=whole, score=0.0)
    try:
        found = pair(Scores(table, clips.left_out), given)
    except DataError as error:
        raise DataError(f"as a rival on {clips.name}: {error}", path=file) from error
    found = found.assign(path=found["whole"], score=found["score_second"]).drop(columns=["whole", "score_second"])
    return Scores(found, clips.left_out, clips.root)


def _of_several_corpora(run: Run) -> set[str]:
    """Return the paths from their corpus that clips of several corpora have."""
    seen: set[str] = set()
    several: set[str] = set()
    for name in run.with_audio:
        clips = run.corpus(name, split=None)
        own = set(tables.below(clips.table["path"], clips.root))
        several |= seen & own
        seen |= own
    return several


def _of_all(systems: list[System], clips: Corpus, name: str) -> list[Scores]:
    return [system.scores(clips, name) for system in systems]


def _size(model: network.Detector) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _seconds(run: Run, system: System, clips: Corpus) -> float:
    """Return how long a second of sound takes; missing where there is nothing to compute."""
    if system.scorer is None:
        return np.nan
    few, taken = clips.head(_TIMED), []
    for _ in range(2):  # the first one finds nothing ready
        with run.threads():
            start = time.perf_counter()
            score(few, system.scorer, preprocessing=system.how)
            taken.append(time.perf_counter() - start)
    return min(taken) / few.table["duration"].sum()


def _alone(run: Run, table: pd.DataFrame, scores: np.ndarray, known: carried.Validation) -> dict:
    labels, options = table["label"].to_numpy(int), {"groups": run.drawn(table)} | run.resampling()
    attacks = table["attack"] if (table["attack"] != "").any() else None
    names = ("eer", "auc") if attacks is None else ("eer", "macro_eer", "auc")
    found = intervals.intervals(labels, scores, names=names, attacks=attacks, **options)
    found |= carried.intervals(labels, scores, known, names=("cllr",), **options)
    return {f"{name}{end}": value for name, one in found.items()
            for end, value in zip(("", "_low", "_high"), one, strict=True)}  # fmt: skip


def _both_wrong(labels: pd.Series, scores: np.ndarray, known: tuple[carried.Validation, ...]) -> float:
    """Return the share of clips that both of two systems get wrong, of those that either does; missing if none."""
    real = labels.to_numpy(int) == metrics.BONAFIDE
    wrong = [(row >= metrics.eer(one.labels, one.scores).threshold) != real
             for row, one in zip(scores, known, strict=True)]  # fmt: skip
    either = np.logical_or(*wrong).sum()
    return float(np.logical_and(*wrong).sum() / either) if either else np.nan
