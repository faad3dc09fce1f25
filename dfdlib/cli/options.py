"""Options that several commands have, and what is checked of options before any work begins."""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from dfdlib import files, machine
from dfdlib.errors import ParameterError, RunError

#: What numpy and scikit-learn take for a seed is below this.
_SEEDS = 2**32


def finite(value: float | None) -> float | None:
    """Refuse what is no number; for the callbacks of options."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def share(value: float) -> float:
    """Refuse what is no share, from 0 to 1; for the callbacks of options."""
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{value} is not a share from 0 to 1")
    return value


# What several commands take, and the many options of `dfd score`.

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the profile; may be given many times. Texts and paths are taken as they stand, paths "
        "from the project's folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Copies = Annotated[
    bool, typer.Option("--drop-copies", help="Drop rows that equal an earlier one, which are refused otherwise.")
]
Profile = Annotated[str, typer.Option("--profile", metavar="NAME", help="A profile's name, or a YAML file.")]
By = Annotated[
    str,
    typer.Option(help="What is drawn together: auto, clip, sentence, speaker, attack or another column of the table."),
]
Target = Annotated[
    Literal["new-voices", "these-voices"],
    typer.Option(help="What intervals speak for: other voices and sentences, or these voices and other sentences."),
]
Seed = Annotated[int, typer.Option(min=0, max=_SEEDS - 1, help="Seed of what is drawn at random.")]
Resamples = Annotated[int, typer.Option(min=100, help="Bootstrap resamples for the intervals.")]
Checkpoint = Annotated[
    Path | None, typer.Option(help="The detector's weights; by default those of the demo's detector, a demonstration.")
]
Detector = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A detector of dfd detectors: its weights if they are here, or what the file of --checkpoint fits. Or one "
        "of your own: my_module:make, or a file in ONNX or TorchScript (see docs/detectors.md).",
    ),
]
Threshold = Annotated[
    float | None, typer.Option(callback=finite, help="A threshold fixed on other data; adds far, frr and hter.")
]
Sounds = Annotated[
    list[Path], typer.Argument(help="Sound files, folders, manifests, or - for a list on standard input.")
]
Corpus = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        metavar="NAME",
        help="Read clips by the lists of this public corpus (see dfd data list), NAME/PART for a part of it; or of a "
        '.yaml file that describes one, or of columns: "speaker path - attack label".',
    ),
]
Onnx = Annotated[Path | None, typer.Option(help="Score with this file of dfd export, in place of a checkpoint.")]
Preprocessing = Annotated[str, typer.Option(help="corrected or original.")]
Window = Annotated[
    str,
    typer.Option(
        help="full: all of a clip, its score from the mean logits of its windows of at most 30 s. "
        "fixed: its first 64,600 samples, repeated if there are fewer."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Precision = Annotated[
    str,
    typer.Option(
        help="float32, bfloat16, float16 (for GPUs), or auto: bfloat16 for a large network on a processor that "
        "multiplies it, else float32. Published figures are of float32."
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Windows per forward pass.")]
Out = Annotated[Path | None, typer.Option(help="Write scores to this .csv or .parquet file.")]
Windows = Annotated[
    Path | None,
    typer.Option("--windows", help="Also write the score of every window of 64,600 samples to this .csv file."),
]
Hop = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", callback=finite, help="Between the starts of these windows; by default half a window, 2.02."
    ),
]
Plot = Annotated[
    Path | None, typer.Option(help="Also draw these windows over time, into this .png, .svg or .pdf file.")
]
Explain = Annotated[
    Path | None,
    typer.Option(
        help="Also draw what each part of the one clip changes in its score, into this .png, .svg or .pdf file, and "
        "write these parts to a .csv beside it."
    ),
]
Cached = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Keep and reuse scores of equal clips: a command that was stopped goes on where it was.",
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="K/N",
        help="Score the Kth of N parts alone and keep its scores in the cache; when all parts are done, the same "
        "command without --shard writes the table.",
    ),
]


def check_outputs(*outputs: files.Output, inputs: Iterable[str | Path | None] = ()) -> bool:
    """Check what a command is going to write, as `files.check_outputs`, and tell whether some is standard output."""
    try:
        files.check_outputs(outputs, inputs=[place for place in inputs if place is not None])
    except ParameterError as error:
        raise typer.BadParameter(str(error)) from error
    return any(files.is_standard_output(output.path) for output in outputs)


def weights(out: Path, *beside: str) -> list[files.Output]:
    """Return the outputs of a training: the weights, and files of the same name that lie beside them."""
    found = [files.Output(option="--out", path=out, suffixes=(".safetensors",), reread=True)]
    for suffix in beside:
        # The state to go on from comes before the first weights.
        first = None if suffix == ".resume" else out
        found.append(files.Output(option="beside --out,", path=out.with_suffix(suffix), reread=True, beside=first))
    return found


def read_by(settings: object) -> list[Path]:
    """Return the files and folders that a profile names."""
    return [settings.checkpoint, *settings.data.files]


def data_folder() -> Path:
    """Return the folder of data: the project's, or outside a checkout one in the current folder."""
    try:
        base = machine.root()
    except RunError:
        if os.environ.get("DFD_ROOT"):  # named, and wrong
            raise
        base = Path.cwd()
    return base / "data"


def prepare_data(settings, *, parts: tuple[str, ...] | None = None) -> None:
    """Build the profile's embedded data where it has some and it is not there yet."""
    if settings.data.build is None:
        return
    from dfdlib.data import demo
    from dfdlib.experiment import profile as profiles

    demo.build(profiles.root() / "data" / settings.data.build, parts=parts)


def check_own(detector: str | None, checkpoint: Path | None, *, device: str, precision: str) -> bool:
    """Tell whether a detector is somebody's own, and refuse what goes without one."""
    from dfdlib.detector import own

    is_own = detector is not None and own.is_own(detector)
    if is_own and (checkpoint or device == "cuda" or precision != "float32"):
        raise typer.BadParameter(f"--detector {detector} goes without --checkpoint, --device cuda and --precision")
    return is_own
