"""Commands for scores that are there already: ``evaluate`` and ``compare``."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from dfdlib import files
from dfdlib.cli import options, printing, score
from dfdlib.cli.options import By, Copies, Json, Resamples, Seed, Target, Threshold
from dfdlib.errors import DataError
from dfdlib.text import one_line

Scores = Annotated[
    Path | None,
    typer.Argument(
        help="A list of scores in any known form; or a .yaml file that names several; or, with --detector or "
        "--checkpoint, a folder or manifest of clips."
    ),
]
Key = Annotated[Path | None, typer.Option(help="The labels of the clips, as a corpus lists them.")]
KeyForm = Annotated[
    str | None,
    typer.Option(metavar="FORM", help="What the key is, if its content does not tell: a corpus, or 'path - label'."),
]
Subset = Annotated[str | None, typer.Option(help="The part of the key that counts; if not said, eval if it has one.")]
Higher = Annotated[Literal["bonafide", "spoof"], typer.Option(help="What a higher score means.")]
ScoreColumn = Annotated[str | None, typer.Option(metavar="HEADING", help="The column with the scores.")]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Leave out clips with a score or a label alone, and say how many.")
]
Corpora = Annotated[
    list[str] | None, typer.Option("--corpus", metavar="NAME=SCORES,KEY", help="One of several corpora; many times.")
]
Per = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="Also a row for each attack, codec …; many times.")
]
Validation = Annotated[
    Path | None,
    typer.Option(help="Scores of other clips, or these clips, on which threshold and calibration are fixed."),
]
ValidationKey = Annotated[Path | None, typer.Option(help="The labels of the validation clips.")]
ValidationSubset = Annotated[str | None, typer.Option(help="The part of the validation key that counts.")]
Claims = Annotated[
    list[str] | None,
    typer.Option("--claim", metavar="NAME=FIGURE", help="A published figure to check: eer=0.0128; many times."),
]
Asv = Annotated[Path | None, typer.Option(help="ASV scores of an ASVspoof challenge; adds min_t_dcf and t_eer.")]
AsvKeys = Annotated[Path | None, typer.Option(help="What kind each ASV trial is, if another file says it.")]
Sasv = Annotated[Path | None, typer.Option(help="Scores that serve both tasks, with their kinds; adds min_a_dcf.")]
Html = Annotated[Path | None, typer.Option(help="Also write a page with tables and figures; it needs no network.")]


def evaluate(
    scores: Scores = None,
    detector: options.Detector = None,
    checkpoint: options.Checkpoint = None,
    key: Key = None,
    key_form: KeyForm = None,
    subset: Subset = None,
    higher: Higher = "bonafide",
    score_column: ScoreColumn = None,
    allow_missing: AllowMissing = False,
    corpora: Corpora = None,
    by: By = "auto",
    target: Target = "new-voices",
    per: Per = None,
    threshold: Threshold = None,
    validation: Validation = None,
    validation_key: ValidationKey = None,
    validation_subset: ValidationSubset = None,
    claims: Claims = None,
    asv: Asv = None,
    asv_keys: AsvKeys = None,
    sasv: Sasv = None,
    html: Html = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    drop_copies: Copies = False,
    as_json: Json = False,
) -> None:
    """Print every metric of a list of scores, with 95 % intervals. Exit status 1 if a claim does not hold.

    Lists and keys are recognised by their content and joined by the names of the clips. Several corpora get a row each,
    their mean and pooled EER, and the errors of each at the threshold of every other one.

    With --detector or --checkpoint, the clips of a folder are scored first, as dfd score does.

    Example: dfd evaluate scores.txt --key trial_metadata.txt --per attack --html card.html
    """
    how = {"form": key_form, "subset": subset, "higher": higher, "column": score_column}
    how |= {"allow_missing": allow_missing, "drop_copies": drop_copies}
    drawn = {"by": by, "target": target, "resamples": resamples, "seed": seed}
    single = {"--key": key, "--per": per, "--threshold": threshold, "--validation": validation, "--claim": claims}
    single |= {"--asv": asv, "--sasv": sasv, "--detector": detector, "--checkpoint": checkpoint}
    _check_page(html, scores, key, validation, validation_key, asv, asv_keys, sasv)
    if corpora or (scores is not None and scores.suffix.lower() in (".yaml", ".yml")):
        if bad := next((name for name, value in single.items() if value is not None), None):
            raise typer.BadParameter(f"{bad} is for the scores of one corpus")
        if corpora and scores is not None:
            raise typer.BadParameter("give scores or --corpus, not both")
        named = _from_yaml(scores) if scores else _from_options(corpora)
        _check_page(html, *(entry.get(word) for entry in named.values() for word in ("scores", "key")))
        _evaluate_several(named, how, drawn, html, as_json)
        return
    if scores is None:
        raise typer.BadParameter("give a list of scores, or several of them by --corpus")
    by_whom = (checkpoint, detector) if checkpoint or detector else None
    checked = None if validation is None else (validation, validation_key, how | {"subset": validation_subset})
    if checked and threshold is not None:
        raise typer.BadParameter("--threshold and --validation both fix the threshold; give one of them")
    more = {"per": per or (), "threshold": threshold, "claimed": claims or (), **drawn}
    _evaluate_one((scores, key, how), checked, by_whom, more, (asv, asv_keys, sasv), html, as_json)


def compare(
    scores: Annotated[list[Path], typer.Argument(help="Scores of two detectors or more, on the same clips.")],
    key: Key = None,
    key_form: KeyForm = None,
    subset: Subset = None,
    higher: Higher = "bonafide",
    score_column: ScoreColumn = None,
    allow_missing: AllowMissing = False,
    by: By = "auto",
    target: Target = "new-voices",
    html: Html = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    drop_copies: Copies = False,
    as_json: Json = False,
) -> None:
    """Print the differences between detectors on the same clips, with 95 % intervals and p-values.

    Clips are matched by the key where one is given, else by sha256 where all tables have it, else by path. The
    p-values ending in _p_holm are adjusted for the number of differences printed.

    Example: dfd compare before.csv after.csv
    """
    if len(scores) < 2:
        raise typer.BadParameter("give the scores of two detectors or more")
    _check_page(html, *scores, key)
    how = {"form": key_form, "subset": subset, "higher": higher, "column": score_column}
    how |= {"allow_missing": allow_missing, "drop_copies": drop_copies}
    _compare(scores, key, how, {"by": by, "target": target, "resamples": resamples, "seed": seed}, html, as_json)


# --- the page ---


def _check_page(html: Path | None, *inputs: str | Path | None) -> None:
    outputs = [] if html is None else [files.Output(option="--html", path=html, suffixes=(".html", ".htm"))]
    if options.check_outputs(*outputs, inputs=inputs):
        raise typer.BadParameter(f"--html {html}: the tables are printed there; name a file")


def _write_page(html: Path | None, kind: str, *found: object, drawn: dict) -> None:
    """Write what one of the functions of `card` makes of what was found, if a page is wanted."""
    if html is None:
        return
    from dfdlib.report import card

    card.write(html, getattr(card, kind)(*found, resamples=drawn["resamples"], seed=drawn["seed"]))
    printing.echo(f"written to {html}")


# --- one corpus ---


def _evaluate_one(
    given: tuple, checked: tuple | None, by_whom: tuple | None, more: dict, asv: tuple, html: Path | None, as_json: bool
) -> None:
    from dfdlib.evaluation import tandem
    from dfdlib.experiment import evaluation

    trials = _trials(*given, by_whom)
    validation = _trials(*checked, by_whom) if checked else None
    found = evaluation.evaluate(trials, validation=validation, **more)
    if asv[0] is not None:
        speakers = tandem.read_scores(asv[0], keys=asv[1])
        found.found["min_t_dcf"] = tandem.min_t_dcf(trials.labels, trials.scores, tandem.rates(speakers))
        found.found["t_eer"] = tandem.t_eer(trials.labels, trials.scores, speakers)
    if asv[2] is not None:
        found.found["min_a_dcf"], _ = tandem.min_a_dcf(tandem.read_scores(asv[2], column="sasv-score"))
    if said := found.seems_inverted:
        printing.echo(said)
    if as_json:
        printing.as_json(found.values())
    else:
        _print_one(found)
    _write_page(html, "of_one", found, drawn=more)
    raise typer.Exit(0 if all(verdict.holds for verdict in found.verdicts) else 1)


def _trials(place: Path, key: Path | None, how: dict, by_whom: tuple | None):
    """Return labels and scores of a list, or of clips that a checkpoint or a detector scores now."""
    from dfdlib.data import keys

    if by_whom is None:
        if place.is_dir():
            raise DataError("is a folder; name what scores its clips by --detector or --checkpoint", path=place)
        return keys.trials(place, key, **how)
    found, name = score.of_clips(place, *by_whom, labelled=key is None)
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "scores.csv"
        found.to_csv(listed)
        try:
            trials = keys.trials(listed, key, **how)
        except DataError as error:  # of a list that nobody will find
            raise DataError(str(error).replace(str(listed), str(place))) from error
    return replace(trials, facts=trials.facts | {"scores": str(place), "read_as": f"clips, scored by {name}"})


def _print_one(found) -> None:
    from dfdlib.data import keys
    from dfdlib.evaluation import metrics

    print("\n".join(keys.said(found.trials.facts)) + "\n")
    printing.values(found.found)
    if found.fitted is not None:
        print(f"\ncalibrated on {found.fitted.n_bonafide} bona fide and {found.fitted.n_spoof} spoof clips")
        printing.values({name: found.costs[name] for name in ("cllr", "cllr_ci", "act_dcf", "act_dcf_ci")})
    print("\nequal error rate by convention")
    conventions = metrics.eer_conventions(found.trials.labels, found.trials.scores)
    print(conventions.to_string(index=False, float_format="{:.4f}".format))
    for column, table in found.per.items():
        print(f"\nper {column}\n{table.to_string(index=False, float_format='{:.4f}'.format)}")
    if found.verdicts:
        print()
    for verdict in found.verdicts:
        print(verdict.sentence)


# --- several corpora ---


def _from_options(texts: list[str]) -> dict[str, dict]:
    """Return what options like name=scores,key say: by name, what `keys.trials` takes."""
    named = {}
    for text in texts:
        name, sign, places = text.partition("=")
        scores, comma, key = (places, "", "") if Path(places).is_file() else places.rpartition(",")
        if not (name.strip() and sign and (scores or key)):
            raise typer.BadParameter(f"--corpus {text}: write NAME=SCORES,KEY")
        if name in named:
            raise typer.BadParameter(f"--corpus {text}: there is a corpus {name} already")
        named[name] = {"scores": scores, "key": key} if comma else {"scores": scores or key}
    return named


def _from_yaml(path: Path) -> dict[str, dict]:
    """Return what a file of corpora says, its paths from its folder."""
    from dfdlib.data import corpora

    entries = corpora.read_yaml(path)
    known = {"scores", "key", "form", "subset", "higher", "column"}
    if not isinstance(entries, dict) or not entries:
        raise DataError("names no corpora; write 'name: {scores: …, key: …}' for each", path=path)
    for name, entry in entries.items():
        words = entry if isinstance(entry, dict) else {}
        if "scores" not in words or not all(isinstance(value, str) for value in words.values()) or set(words) - known:
            raise DataError(f"{name}: must have scores, and may have {', '.join(sorted(known))}, all text", path=path)
        entry |= {word: str(path.parent / entry[word]) for word in ("scores", "key") if word in entry}
    return {str(name): entry for name, entry in entries.items()}


def _evaluate_several(named: dict[str, dict], how: dict, drawn: dict, html: Path | None, as_json: bool) -> None:
    from dfdlib.data import keys
    from dfdlib.experiment import evaluation

    width = max(14, *(len(one_line(name)) for name in named))

    def done(name: str, one) -> None:
        for line in keys.said(one.trials.facts):
            printing.echo(line)
        if said := one.seems_inverted:
            printing.echo(f"{name}: {said}")
        if not as_json:
            sizes = f"{one.found['n_bonafide']:8} {one.found['n_spoof']:8}"
            print(f"{name:{width}} {sizes}  {_interval(one.found, 'eer')}  {_interval(one.found, 'auc')}", flush=True)

    if not as_json:
        print(f"{'corpus':{width}} {'bonafide':>8} {'spoof':>8}  {'eer':24}  auc")
    readers = {name: functools.partial(keys.trials, **how | one) for name, one in named.items()}
    bar = printing.progress("carrying thresholds")
    found = evaluation.evaluate_several(readers, done=done, progress=bar, **drawn)
    if as_json:
        printing.as_json(found.values())
    else:
        _print_several(found, width)
    _write_page(html, "of_several", found, drawn=drawn)


def _print_several(found, width: int) -> None:
    for title, one in (("mean", found.mean), ("pooled", found.pooled)):
        row = {"eer": one.value, "eer_ci": [one.low, one.high]}
        print(f"{title:{width}} {'':8} {'':8}  {_interval(row, 'eer')}")
    print("\nhalf total error rate of each corpus (columns) at the EER threshold of each (rows), with 95 % intervals")
    names, rows = list(found.corpora), found.carried.itertuples()
    table = found.carried.assign(cell=[f"{row.hter:.4f} ({row.low:.4f} to {row.high:.4f})" for row in rows])
    table = table.pivot(index="threshold_of", columns="on", values="cell").loc[names, names]
    print(table.rename_axis(None, axis=1).rename_axis("threshold of").reset_index().to_string(index=False))


def _interval(row: dict, name: str) -> str:
    low, high = row[f"{name}_ci"]
    return f"{row[name]:.4f} ({low:.4f} to {high:.4f})"


# --- several detectors ---


def _compare(scores: list[Path], key: Path | None, how: dict, drawn: dict, html: Path | None, as_json: bool) -> None:
    from dfdlib.experiment import evaluation

    table, systems, unmatched, facts = _common(scores, key, how)
    found = evaluation.compare(table, systems, **drawn)
    values = {"by": found.drawn.by, "n_bonafide": int((table["label"] == 1).sum())}
    values |= {"n_spoof": int((table["label"] == 0).sum()), "n_unmatched": sum(unmatched)}
    rows = [
        {"before": one, "after": other} | _differences(differences, found.adjusted[one, other])
        for (one, other), differences in found.pairs.items()
    ]
    if len(scores) == 2:
        values |= {name: value for name, value in rows[0].items() if name not in ("before", "after")}
    else:
        values |= {"systems": [{"name": name, **one} for name, one in found.systems.items()], "pairs": rows}
    if as_json:
        printing.as_json(values)
    elif len(scores) == 2:
        printing.values(values)
    else:
        _print_compared(values)
    _write_page(html, "of_comparison", found, facts, drawn=drawn)


def _common(scores: list[Path], key: Path | None, how: dict) -> tuple:
    """Return the clips that all detectors scored, the scores by name, how many clips of each are not, and the facts."""
    from dfdlib.data import keys
    from dfdlib.detector.scores import Scores, together

    given = [keys.trials(path, key, **how) for path in scores]
    if key is not None:
        for line in (line for one in given for line in keys.said(one.facts)):
            printing.echo(line)
    table, rows = together(*(Scores(one.table.assign(score=one.scores), None) for one in given))
    alone = [len(one.table) - len(table) for one in given]
    without = ", ".join(f"{count} of {path}" for count, path in zip(alone, scores, strict=True))
    printing.echo(f"{len(table)} clips in {'both' if len(scores) == 2 else 'all'}; without a partner: {without}")
    short = len({path.name for path in scores}) == len(scores)
    names = [path.name if short else f"{place}: {path}" for place, path in enumerate(scores, 1)]
    return table, dict(zip(names, rows, strict=True)), alone, [one.facts for one in given]


def _differences(found: dict, adjusted: dict[str, float]) -> dict:
    values = {}
    for name, difference in found.items():
        values |= {
            f"{name}_before": difference.before,
            f"{name}_after": difference.after,
            f"delta_{name}": difference.delta,
            f"delta_{name}_ci": [difference.low, difference.high],
            f"delta_{name}_p": difference.p,
            f"delta_{name}_p_holm": adjusted[name],
        }
    return values


def _print_compared(values: dict) -> None:
    printing.values({name: value for name, value in values.items() if name not in ("systems", "pairs")})
    width = max(len(one_line(one["name"])) for one in values["systems"])
    print(f"\n{'detector':{width}}  {'eer':24}  auc")
    for one in values["systems"]:
        print(f"{one['name']:{width}}  {_interval(one, 'eer')}  {_interval(one, 'auc')}")
    print(f"\n{'from':{width}}  {'to':{width}}  {'change of the eer':26}  p, adjusted")
    for one in values["pairs"]:
        low, high = one["delta_eer_ci"]
        change = f"{one['delta_eer']:+.4f} ({low:+.4f} to {high:+.4f})"
        print(f"{one['before']:{width}}  {one['after']:{width}}  {change:26}  {one['delta_eer_p_holm']:.2g}")
