"""The command line: ``dfd``. Each command calls one function and prints what it returns.

Exit status: 0 well, 1 a problem in the input or the run, 2 wrong usage.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from dfdlib import files, machine, processes
from dfdlib.cli import assess, data, evaluate, options, printing, score, train, weights
from dfdlib.cli.options import Json, Profile, Seed, Set, Target
from dfdlib.errors import DfdError
from dfdlib.text import one_line

# Modules that bring torch, pandas or fairseq are imported inside the commands that need them: help must come at once.

app = typer.Typer(
    name="dfd",
    help="How well does a detector tell real speech from synthetic? In every score, higher means bona fide (real).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130


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
        message = "\n".join(map(one_line, str(error).split("\n")))
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
        printing.echo(f"{context.command_path}: {error.format_message()} See '{context.command_path} --help'.")


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
    from dfdlib.experiment import rivals
    from dfdlib.report import build as reports

    chosen = profiles.load(profile, overrides=settings or [])
    place = folder or profiles.root() / "reports" / chosen.name
    options.check_outputs(files.Output(option="--folder", path=place, folder=True), inputs=options.read_by(chosen))
    if not only:
        rivals.require(chosen.rivals)
    options.prepare_data(chosen)
    result = reports.build(
        chosen,
        run_folder=place,
        only=only,
        force=force,
        echo=printing.echo,
        profile_name=profile,
        overrides=settings or [],
    )
    raise typer.Exit(0 if result.ok else 1)


app.command()(score.score)


app.command()(evaluate.evaluate)
app.command()(evaluate.compare)


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
        printing.as_json(dataclasses.asdict(check))
    else:
        print("\n".join(printing.verdict(check, bonafide, spoof)))
    raise typer.Exit(0 if check.possible and check.counts_possible is not False else 1)


@app.command()
def audit(
    data: Annotated[
        list[Path], typer.Argument(help="Folders with Real/ and Fake/, or manifests; several are compared as well.")
    ],
    target: Target = "new-voices",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Also write it: all of it to a .json file, or a row a clip to a .csv file.")
    ] = None,
    name: options.Corpus = None,
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
    from dfdlib.data.listing import MANIFEST
    from dfdlib.experiment import profile as profiles

    outputs = [] if out is None else [files.Output(option="--out", path=out, suffixes=audits.SUFFIXES)]
    taken = options.check_outputs(*outputs, inputs=[*data, *(place / MANIFEST for place in data)])
    progress = printing.progress("decoding")
    remembered = profiles.remembered() if name is not None else None
    read = [corpus.read(place, corpus=name, one_label=False, remembered=remembered) for place in data]
    for note in (note for one in read for note in one.notes):
        printing.echo(note)
    examined = [audits.examine(one, seed=seed, target=target, progress=progress) for one in read]
    between = audits.across(*examined) if len(examined) > 1 else ()
    if out is not None:
        audits.write(out, examined, between)
    if as_json and not taken:
        printing.as_json(audits.report(examined, between))
    elif not taken:
        for one in examined:
            printing.audit(one)
        if len(examined) > 1:
            print("\nBetween them\n")
            printing.findings(between)
    found = [finding for findings in (*(one.findings for one in examined), between) for finding in findings]
    raise typer.Exit(1 if any(finding.severity == "problem" for finding in found) else 0)


app.command()(train.finetune)
app.command("train-baseline")(train.train_baseline)
app.command()(train.export)


@app.command()
def doctor(
    checkpoint: Annotated[Path | None, typer.Option(help="Describe this file of weights as well.")] = None,
    as_json: Json = False,
) -> None:
    """Say what this installation has, and what it lacks.

    Example: dfd doctor --checkpoint data/models/mini-resnet-baseline.safetensors
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


app.command()(assess.app)
app.command()(weights.detectors)
app.add_typer(data.data_app, name="data")
app.add_typer(weights.weights_app, name="weights")
