"""The command ``dfd app``: what a detector says of one clip, in a browser or as JSON."""

import contextlib
import importlib.util
import signal
from pathlib import Path
from typing import Annotated

import typer

from dfdlib import files
from dfdlib.cli import options, printing, score
from dfdlib.errors import RunError


def app(
    clip: Annotated[Path | None, typer.Argument(help="Assess this clip here, without a page.")] = None,
    checkpoint: options.Checkpoint = None,
    detector: options.Detector = None,
    profile: options.Profile = "demo",
    precision: Annotated[
        str | None,
        typer.Option(help="As dfd score takes it; by default that of the profile, whose calibration it needs."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="The run folder with the calibration; by default reports/<profile>.")
    ] = None,
    channel: Annotated[str, typer.Option(help="What the clip came through: studio, phone or messenger.")] = "studio",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="By default a free one from 7860 on.")] = None,
    share_nothing: Annotated[
        bool, typer.Option("--share-nothing", help="Keep no scores in the cache that dfd score uses, either.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Open a page on this machine that says of a clip or a folder: bona fide, spoof, or cannot tell, and why.

    No file leaves the machine or outlives the session. Without --checkpoint and --detector it takes those of the
    profile, before and after fine-tuning. With a clip it prints what the page would say.

    Example: dfd app --json talk.wav
    """
    if clip is None and importlib.util.find_spec("gradio") is None:
        raise RunError("dfd app: its page needs the extra app, which is not installed; run ./environment.sh --app")
    if as_json and clip is None:
        raise typer.BadParameter("--json needs a clip")
    options.check_own(detector, checkpoint, device="auto", precision=precision or "float32")
    from dfdlib.detector import own
    from dfdlib.experiment import profile as profiles

    settings = profiles.load(profile)
    if precision and not (checkpoint or detector) and own.is_own(settings.detector):
        raise typer.BadParameter(f"--precision: {settings.detector}, the detector of {profile}, has its own precision")
    name = detector or (None if checkpoint else settings.detector)
    if precision in ("bfloat16", "float16") and name and not own.is_own(name):
        from dfdlib.detector import configuration  # 2 s: torch

        if configuration.named(name).frontend is None:
            raise typer.BadParameter(f"--precision: {name} has no front end to compute in {precision}")

    def load():
        named = {"checkpoint": checkpoint, "detector": detector, "precision": precision}
        return _known(settings, **named, folder=folder, cached=not share_nothing)

    if clip is not None:
        _print(clip, load(), channel=channel, as_json=as_json)
        return
    from dfdlib.app import page

    # A stop of any kind removes the files of the sessions.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with page.served(load, port=port) as served:
        printing.echo(f"{served.local_url} (Ctrl-C stops it; nothing leaves this machine)")
        with contextlib.suppress(KeyboardInterrupt):
            served.block_thread()


def _known(
    settings, *, checkpoint: Path | None, detector: str | None, precision: str | None, folder: Path | None, cached: bool
):
    """Return the detectors and what is known of them, as the page takes it."""
    from dfdlib.app.basis import Basis, Known, examples, tested_on
    from dfdlib.detector import own
    from dfdlib.detector.preprocessing import Preprocessing
    from dfdlib.experiment import profile as profiles
    from dfdlib.experiment.clips import Clips

    place = folder or profiles.root() / "reports" / settings.name
    how = Preprocessing.named(settings.preprocessing, window=settings.window)
    clips = Clips(settings)
    shared = {"preprocessing": how, "folder": place, "tested": tested_on(clips)}
    demonstration, searched = settings.data.build == "demo", None
    if checkpoint or detector:
        named = {"": checkpoint}
    else:
        searched = profiles.root()
        named = {"baseline": settings.checkpoint, "fine-tuned": place / "finetuned.safetensors"}
        detector = settings.detector
        if own.is_own(detector):
            named = {"": None}
    precision = precision or ("float32" if own.is_own(detector or "") else settings.scoring.precision)
    bases = []
    for name, weights in named.items():
        untrained = name == "baseline" and settings.checkpoint_holds == "frontend"
        if untrained or (name == "fine-tuned" and not weights.is_file()):
            continue
        scorer, about = score.make_scorer(
            None, weights, detector=detector, device="auto", precision=precision, folder=searched
        )
        shown = (bool(name) and demonstration) or about["demonstration"]
        card = weights.with_suffix(".md") if weights else None
        text = card.read_text("utf-8") if card is not None and card.is_file() else ""
        bases.append(Basis.of_run(name or about["name"], scorer, demonstration=shown, card=text, **shared))
    # What a report measured is of its own detectors.
    summary = files.read_json(place / "summary.json") if any(basis.scales for basis in bases) else {}
    cache = profiles.root() / "data" / "cache" / "scores.sqlite" if cached else None
    return Known(bases, examples(clips), cache, summary or None)


def _print(clip: Path, known, *, channel: str, as_json: bool) -> None:
    from dfdlib.app.assessment import assess_by_each

    with printing.apart():
        found = assess_by_each(clip, known.bases, channel=channel, cache=known.opened())
    if as_json:
        printing.as_json({"assessments": [one.to_dict() for one in found]})
        return
    for one in found:
        print(f"{one.detector}: {one.outcome}{' (demonstration)' * one.demonstration}")
        for line in (*one.reasons, one.evidence, one.done):
            print(f"  {line}")
