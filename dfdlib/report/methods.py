"""What stands around the figures of a page: verdicts in a line, warnings of small samples, methods, how to cite."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from dfdlib.data import audio
from dfdlib.detector import registry
from dfdlib.detector.preprocessing import FIXED_WINDOW
from dfdlib.evaluation import metrics, verdicts
from dfdlib.evaluation.intervals import Interval
from dfdlib.evaluation.metrics import percent, points_range, points_signed
from dfdlib.experiment import profile
from dfdlib.report import study
from dfdlib.report.sentences import listed, unbroken
from dfdlib.text import thousands

if TYPE_CHECKING:
    from dfdlib.experiment.run import Run

#: In a class of fewer clips than this, one clip moves an error rate by more than two points.
_SMALL = 50
#: What is said of a change by its verdict.
_WORDS = {
    verdicts.BETTER: "better",
    verdicts.WORSE: "worse",
    verdicts.MIXED: "changed, but not clearly better",
    verdicts.NOT_SHOWN: "no change shown",
    verdicts.UNSETTLED: "not settled by the seeds",
    verdicts.ONE_SEED: "one seed, nothing concluded",
}
#: What is said of a detector by its rung, where that is a low one.
_POOR = {
    verdicts.WRONG_WAY: "It ranks spoof clips above bona fide ones.",
    verdicts.CHANCE: "Not shown to be better than chance.",
}
_FULL = "windows as long as the clip, nothing repeated"
_FIXED = "the first {} samples, repeated where a clip is shorter"
#: What is trained, by what the recipe freezes; else so many layers.
_TRAINED = {
    "none": "All weights",
    "extractor": "All weights but the front end's convolutions",
    "frontend": "The weights behind the front end",
}
_PREPROCESSING = {
    "corrected": "Clips are resampled to {rate} Hz, one channel; {window}. The score is the logit "
    "of bona fide minus the logit of spoof: higher means bona fide.",
    "original": f"Clips are loaded at {thousands(22_050)} Hz and fed as if {thousands(audio.RATE)} Hz; {{window}}. "
    "The score is one logit. These are the study's mistakes, repeated on purpose.",
}


class Entry(NamedTuple):
    """A line of the methods: what it is about, what is said, and where to read on."""

    term: str
    text: str
    link: str = ""


def verdict(row: Mapping, judged: Mapping | None = None) -> str:
    """Return what may be said in a line of one corpus: ``before`` and ``after`` of the summary, as far as known.

    ``judged`` is what `Run.verdicts` says of the corpus, where it has been judged.
    """
    last = row.get("after") or row.get("before")
    if judged is None:
        return unbroken(f"EER {percent(last['eer'])}. {_standing(last)}") if last else ""
    moved = ""
    if {"before", "after"} <= set(row):
        moved = f" from {percent(row['before']['eer'])} to {percent(row['after']['eer'])}"
    ends = points_range(judged["low"], judged["high"])
    text = f"{_WORDS[judged['verdict']].capitalize()}: EER{moved}, {points_signed(judged['delta'])} ({ends})."
    return unbroken(f"{text} {_standing(last)}".strip()) if last else unbroken(text)


def _standing(evaluation: Mapping) -> str:
    """Say where the AUC of an evaluation leaves a detector that does no better than chance."""
    auc, eer = (Interval(evaluation[name], *evaluation[f"{name}_ci"]) for name in ("auc", "eer"))
    return _POOR.get(verdicts.rung(auc, eer), "")


def small_samples(summary: Mapping) -> list[str]:
    """Return a warning for each corpus with few clips of a class: what one clip does to an error rate."""
    found = {}
    for row in summary["evaluations"]:
        sizes = row.get("n_bonafide"), row.get("n_spoof")
        if all(sizes) and min(sizes) < _SMALL:
            found[row["corpus"]] = (
                f"{row['corpus']} has {sizes[0]:.0f} + {sizes[1]:.0f} clips (bona fide + spoof): one clip moves an "
                f"error rate by {100 / min(sizes):.1f} points."
            )
    return list(found.values())


def warnings(summary: Mapping) -> list[str]:
    """Return the warnings that notebooks have kept, each once."""
    return list(dict.fromkeys(line for found in summary["notebooks"].values() for line in found.get("warnings", ())))


def corpora(run: "Run") -> list[dict]:
    """Return what each corpus of a run holds: splits with their clips of each class, and its attacks; keep it."""
    found = []
    for name in run.corpora:
        splits, attacks = {}, set()
        for split in run.splits(name):
            table = run.corpus(name, split=split).table
            splits[split or "all"] = [int((table["label"] == label).sum()) for label in (1, 0)]
            attacks |= set(table["attack"]) - {"bonafide"}
        found.append({"corpus": name, "splits": splits, "attacks": sorted(attacks)})
    run.keep(corpora=found)
    return found


def detector(run: "Run") -> str:
    """Say which detector a run is about and how large it is; keep it."""
    from dfdlib.detector import network

    size = sum(parameter.numel() for parameter in network.skeleton(run.profile.detector).parameters())
    found = {"name": run.profile.detector, "parameters": size}
    run.keep(detector=found)
    return f"The detector is {found['name']}, with {thousands(found['parameters'])} parameters."


def methods(summary: Mapping) -> list[Entry]:
    """Return what was done, from the settings and the results of a run: nothing is said that it does not know."""
    facts: dict = {}
    for results in summary["notebooks"].values():
        facts |= {name: results[name] for name in ("detector", "corpora", "scoring") if name in results}
    provenance = summary["provenance"]
    settings = provenance["settings"]
    return [
        Entry("Question", "Does fine-tuning on one domain lower the error there, and what does it do elsewhere?"),
        Entry("Detector", _detector(settings, facts.get("detector"), provenance.get("card", ""))),
        *_of_corpora(facts.get("corpora", ()), settings),
        Entry("Preprocessing", _preprocessing(settings, facts.get("scoring", {}))),
        Entry("Fine-tuning", _training(settings)),
        Entry("Metrics", _metrics()),
        Entry("Uncertainty", _uncertainty(summary, settings)),
        Entry(
            "Study",
            "This report rebuilds {author}, “{title}” ({year}).".format(**study.REFERENCE),
            study.REFERENCE["link"],
        ),
    ]


def _detector(settings: Mapping, known: Mapping | None, card: str) -> str:
    size = f", {thousands(known['parameters'])} parameters" if known and not card else ""
    file = settings["checkpoint"].rpartition("/")[2]
    trained = f" {card}" if card else f" Its weights are those of {file}."
    if settings.get("checkpoint_holds") == "frontend":
        trained = f" Its front end has the weights of {file}; before fine-tuning its back end has random ones."
    entry = registry.ENTRIES.get(settings["detector"])
    if entry is None:
        return f"{settings['detector']}: a detector of one's own, reported as it is."
    return f"{settings['detector']}: {entry.what}{size}.{trained}"


def _preprocessing(settings: Mapping, scoring: Mapping) -> str:
    """Say what a detector got of a clip, which one of one's own may ask for, and what it was computed in."""
    window = scoring.get("window") or (FIXED_WINDOW if settings["window"] == "fixed" else None)
    words = _FULL if window is None else _FIXED.format(thousands(window))
    text = _PREPROCESSING[settings["preprocessing"]].format(
        rate=thousands(scoring.get("rate", audio.RATE)), window=words
    )
    computed = scoring.get("precision", "float32")
    return text if computed == "float32" else f"{text} The front end was computed in {computed}."


def _of_corpora(found: Iterable[Mapping], settings: Mapping) -> list[Entry]:
    entries, attacks = [], set()
    for one in found:
        data, name = settings["data"], one["corpus"]
        place = data.get(name.replace("-", "_")) or data.get("others", {}).get(name, "")
        where = "score files" if isinstance(place, dict) else str(place).rpartition("/")[2]
        splits = ", ".join(one["splits"])
        entries.append(f"{name} ({splits if where in ('', name) else f'{where}: {splits}'})")
        attacks |= set(one["attacks"])
    return [Entry("Corpora", f"{'; '.join(entries)}."), *_of_attacks(attacks)] if entries else []


def _of_attacks(names: Iterable[str]) -> list[Entry]:
    """Name the attacks by their kind; what others than the demo's are is for whoever made them to say."""
    from dfdlib.data.demo.synthesis import SYSTEMS

    kinds: dict[str, list[str]] = {}
    for name in sorted(names):
        kind, _, how = (SYSTEMS[name].kind if name in SYSTEMS else "other").partition(" (")
        kinds.setdefault(kind, []).append(f"{name} ({how}" if how else name)
    said = "; ".join(f"{kind}: {', '.join(kinds[kind])}" for kind in sorted(kinds, key=lambda kind: kind == "other"))
    return [Entry("Attacks", f"{said}.")] if said else []


def _training(settings: Mapping) -> str:
    if settings["detector"] not in registry.ENTRIES:
        return "None: this detector cannot be fine-tuned here."
    change = settings.get("recipes", {}).get(settings.get("recipe"), {})
    tuned = settings["finetune"] | change.get("settings", {})
    frozen = tuned.get("freeze", "none")
    weights = _TRAINED.get(frozen, f"All weights but the front end's convolutions and {frozen} lower layers")
    clips = listed(["the training split of for-2seconds", *(f"a part of {name}" for name in change.get("also", ()))])
    return (
        f"{weights}, on {clips}: {tuned['epochs']} epochs, batches of "
        f"{tuned['batch_size']}, {tuned['optimizer'].capitalize()}, learning rate {tuned['learning_rate']:g}; the "
        f"epoch with the best {tuned['select'].replace('_', ' ')} is kept. {_seeds(settings)}"
    )


def _seeds(settings: Mapping) -> str:
    first, count = settings["seed"], settings.get("seeds", 1)
    if count == 1:
        return f"Seed {first}: nothing about fine-tuning is concluded from one."
    return (
        f"Seeds {first} to {first + count - 1}: figures are their mean, and intervals hold their spread (Student's t, "
        "Satterthwaite's degrees of freedom)."
    )


def _metrics() -> str:
    prior, miss, accept = metrics.P_SPOOF, metrics.C_MISS, metrics.C_FA
    return (
        "FAR: spoof clips accepted. FRR: bona fide clips rejected. EER: where both are equal, by a threshold of the "
        "test clips. Macro EER: mean over attacks. HTER: mean of FAR and FRR at the validation threshold. AUC: "
        f"chance that a bona fide clip scores higher. DCF: {miss:g}·(1 − {prior:g})·FRR + {accept:g}·{prior:g}·FAR, "
        "over that of an uninformative system. Cllr: cost of log-likelihood ratios, in bits; 1 is uninformative."
    )


def _uncertainty(summary: Mapping, settings: Mapping) -> str:
    units: dict[str, list[str]] = {}
    for corpus, unit in {row["corpus"]: row.get("resampled_by") for row in summary["evaluations"]}.items():
        units.setdefault(unit or "clip", []).append(corpus)
    drawn = "; ".join(f"by {unit} on {listed(names)}" for unit, names in units.items())
    judged = any("verdicts" in found for found in summary["notebooks"].values())
    family = ", adjusted for the number of corpora (Holm)," if judged else ""
    return (
        f"{100 * summary['level']:g} % intervals of {thousands(settings['uncertainty']['resamples'])} bootstrap "
        f"resamples, drawn {drawn}, paired clip by clip. A change counts where its interval{family} excludes zero."
    )


def citation() -> dict | None:
    """Return how to cite the project, from ``CITATION.cff`` in its folder: ``text``, ``licence`` and ``version``."""
    import yaml

    path = profile.root() / "CITATION.cff"
    if not path.is_file():
        return None
    known = yaml.safe_load(path.read_text("utf-8"))
    authors = ", ".join(author.get("name") or author["family-names"] for author in known["authors"])
    year = str(known["date-released"])[:4]
    text = f"{authors} ({year}). {known['title']} (version {known['version']}) [computer software]."
    return {"text": text, "licence": known["license"], "version": known["version"]}
