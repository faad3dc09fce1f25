"""The command ``dfd score``, and the detector that commands load."""

import codecs
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from dfdlib import files, machine, processes
from dfdlib.cli import options, printing
from dfdlib.errors import ParameterError, RunError
from dfdlib.text import one_line

#: Recordings that a picture of timelines holds at most.
_PANELS = 8
_PICTURES = (".png", ".svg", ".pdf")
#: How the names of what is written may end.
_SUFFIXES = {"--out": (".csv", ".parquet"), "--windows": (".csv",), "--plot": _PICTURES, "--explain": _PICTURES}


def score(
    paths: options.Sounds,
    checkpoint: options.Checkpoint = None,
    detector: options.Detector = None,
    onnx: options.Onnx = None,
    corpus: options.Corpus = None,
    preprocessing: options.Preprocessing = "corrected",
    window: options.Window = "full",
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    batch_size: options.BatchSize = 16,
    out: options.Out = None,
    timeline: options.Windows = None,
    hop: options.Hop = None,
    plot: options.Plot = None,
    explain: options.Explain = None,
    cached: options.Cached = True,
    shard: options.Shard = None,
    as_json: options.Json = False,
) -> None:
    """Score clips: one, many, or folders of them. A higher score means bona fide (real).

    Scores are kept as they come: the same command goes on after a stop. Exit status 1 says that clips were left out,
    which are listed with the reason. Without --checkpoint the demo's detector scores, a demonstration, whose scores
    mean nothing outside the demo's corpora; the column detector says which one it was.

    Paths are written relative to the folder given, or to that of the file or manifest; of several, to the nearest
    folder above them all. Under torchrun several processes share the work:
    torchrun --nproc-per-node 2 -m dfdlib score my-recordings/ --out scores.csv
    Then, and with --shard, the exit status is 0 even if clips were left out.

    Example: dfd score my-recordings/ talk.mp3 --out scores.csv
    """
    from dfdlib.data.listing import MANIFEST

    if onnx is not None and (checkpoint or detector or device == "cuda" or precision != "float32"):
        raise typer.BadParameter("--onnx goes without --checkpoint, --detector, --device cuda and --precision")
    outputs = _outputs({"--out": out, "--windows": timeline, "--plot": plot, "--explain": explain})
    part, is_whole = _part(shard, cached=cached), shard is None and processes.count() == 1
    given = listed(paths) if processes.is_first() else []
    inputs = [*given, *(path / MANIFEST for path in given if os.path.isdir(path)), checkpoint, onnx]
    taken = processes.is_first() and options.check_outputs(*outputs.values(), inputs=inputs)
    how, left_out = _read_as(preprocessing, window=window, hop=hop, detector=detector), ()
    with processes.joined(), open_cache(wanted=cached, machines=not is_whole) as cache:
        clips = _find(given, corpus, drawn=plot is not None, explained=explain is not None)
        scorer, about = make_scorer(onnx, checkpoint, detector=detector, device=device, precision=precision)
        settings = {"preprocessing": how.for_scorer(scorer), "cache": cache, "batch_size": batch_size}
        step = _step(hop, scorer, rate=settings["preprocessing"].rate)
        if not is_whole:
            _score_part(clips, scorer, part, hop=step, windows=bool(timeline or plot), settings=settings)
        if processes.is_first() and shard is None:
            scores, left_out = _score(clips, scorer, about, outputs=outputs, hop=step, settings=settings)
            written = [output.path for output in outputs.values()]
            printing.scores(
                scores.table, left_out, other=clips.other, written=written, to_stdout=not (taken or as_json)
            )
            if as_json and not taken:
                _print_json(scores, left_out, about, clips.other)
    # torchrun takes any other status for a fault, and starts all processes again.
    raise typer.Exit(1 if len(left_out) and is_whole else 0)


def _find(given: list[Path], name: str | None, *, drawn: bool, explained: bool):
    """Return the clips, which the first process looks for."""
    from dfdlib.data import corpus

    remembered = None
    if name is not None:
        from dfdlib.experiment import profile as profiles

        remembered = profiles.remembered()
    clips = processes.from_first(lambda: corpus.find(given, corpus=name, remembered=remembered))
    if processes.is_first():
        for note in clips.notes:
            printing.echo(note)
    if drawn and len(clips) > _PANELS:
        raise ParameterError(f"--plot draws at most {_PANELS} recordings, these are {len(clips)}; use --windows")
    if explained and len(clips) != 1:
        raise ParameterError(f"--explain explains the score of one clip, these are {len(clips)}; name one file")
    return clips


def _part(shard: str | None, *, cached: bool) -> processes.Shard:
    """Return the part of the work that this process does."""
    if shard is not None and processes.count() > 1:
        raise typer.BadParameter("--shard goes without torchrun, which gives each process its part")
    try:
        part = processes.shard() if shard is None else processes.Shard.parse(shard)
    except ParameterError as error:
        raise typer.BadParameter(f"--shard {error}") from error
    if not cached and (shard is not None or processes.count() > 1):
        raise typer.BadParameter("--no-cache goes without --shard and torchrun: the scores of a part are kept there")
    return part


@printing.apart()
def _score_part(clips, scorer, part: processes.Shard, *, hop: int | None, windows: bool, settings: dict) -> None:
    """Fill the cache with the scores of a part of the clips, and of its windows if wanted; wait for others."""
    from dfdlib.detector import score as scoring
    from dfdlib.detector import timelines

    if not getattr(scorer, "lasting", True):
        raise ParameterError(
            f"{scorer.name}: says no fingerprint, by which the scores of a part are found; give it one"
        )
    cache = settings["cache"]
    show = printing.progress if processes.is_first() else lambda title: None
    if cache is not None and cache.usable:
        title = f"scoring part {part.number + 1} of {part.count}"
        scores = scoring.score(clips, scorer, shard=part, progress=show(title), **settings)
        if windows:
            timelines.timelines(scores, scorer, hop=hop, progress=show("windows"), **settings)
    if cache is None or not cache.usable:
        raise RunError("the score cache cannot be used, so there is no place for the scores of a part; see above")
    processes.wait()
    if processes.count() == 1:
        printing.echo(
            f"shard {part.number + 1} of {part.count}: {len(scores.table)} clips scored and kept; when all shards are "
            "done, the same command without --shard writes the table"
        )


def _outputs(paths: dict[str, Path | None]) -> dict[str, files.Output]:
    """Return what is going to be written, by its option."""
    for option in ("--plot", "--explain"):
        picture = paths[option]
        if picture is not None and picture.suffix.lower() not in _PICTURES:  # which even a device must have
            raise typer.BadParameter(f"{option} {picture}: the name must end with one of {', '.join(_PICTURES)}")
    outputs = {
        option: files.Output(option=option, path=path, suffixes=_SUFFIXES[option])
        for option, path in paths.items()
        if path is not None
    }
    if (picture := paths["--explain"]) is not None:
        cells = picture.with_suffix(".csv")
        outputs["cells"] = files.Output(option="beside --explain,", path=cells, beside=picture)
    return outputs


def _print_json(scores, left_out, detector: dict, other: dict[str, int]) -> None:
    tables = {"scores": scores.worded(), "left_out": left_out}
    # by way of pandas, which writes missing numbers as null
    rows = {name: json.loads(table.to_json(orient="records", double_precision=15)) for name, table in tables.items()}
    printing.as_json({"detector": detector} | rows | {"other_files": other})


def _read_as(name: str, *, window: str, hop: float | None, detector: str | None):
    """Return how clips are read; refuse a hop that no detector takes, as far as that is known without it."""
    from dfdlib.detector import own
    from dfdlib.detector.preprocessing import Preprocessing

    how = Preprocessing.named(name, window=window)
    if detector is None or not own.is_own(detector):
        _step(hop, None, rate=how.rate)
    return how


def _step(hop: float | None, scorer, *, rate: int) -> int | None:
    """Return the samples between the starts of a timeline's windows; None for half a window."""
    from dfdlib.detector import timelines

    longest = timelines.window(scorer)
    if hop is None or 1 <= round(hop * rate) <= longest:
        return None if hop is None else round(hop * rate)
    raise typer.BadParameter(
        f"--hop {hop}: windows start between {1 / rate:.2g} and {longest / rate:.4g} seconds apart"
    )


@printing.apart()
def _score(clips, scorer, detector: dict, *, outputs: dict[str, files.Output], hop: int | None, settings: dict):
    """Score clips and write what was asked for; return the scores, and the clips that were left out."""
    import pandas as pd

    from dfdlib.data import tables
    from dfdlib.detector import score as scoring
    from dfdlib.detector import timelines

    paths = {option: output.path for option, output in outputs.items()}
    scores = scoring.score(clips, scorer, progress=printing.progress("scoring"), **settings)
    scores.table["detector"] = detector["name"] + " (demonstration)" * detector["demonstration"]
    if "precision" in detector:
        scores.table["precision"] = detector["precision"]
    scores.table.attrs["detector"] = detector  # which Parquet keeps
    if (out := paths.get("--out")) is not None:
        scores.to_parquet(out) if out.suffix.lower() == ".parquet" else scores.to_csv(out)
    _say_if_contradicted(scores.table["label"], scores.table["score"])
    left_out = scores.left_out
    if {"--windows", "--plot"} & set(paths):
        windows, unread = timelines.timelines(
            scores, scorer, hop=hop, progress=printing.progress("windows"), **settings
        )
        left_out = pd.concat([left_out, unread], ignore_index=True)
        if "--windows" in paths:
            tables.write(paths["--windows"], scores.relative(windows))
        if "--plot" in paths:
            threshold = 0.0 if settings["preprocessing"].score == "difference" else None
            _plot_timelines(paths["--plot"], windows, threshold=threshold)
    if "--explain" in paths:
        _explain(scores, scorer, picture=paths["--explain"], cells=paths["cells"], settings=settings)
    return scores, left_out


def _say_if_contradicted(labels, values) -> None:
    """Say it where labels show, beyond chance, that scores are higher for spoof; nothing is turned round."""
    known = labels.isin([0, 1])
    if labels[known].nunique() < 2:
        return
    from dfdlib.evaluation import metrics

    trials = labels[known].to_numpy(int), values[known].to_numpy(float)
    if metrics.contradicted(*trials):
        printing.echo(
            f"these labels contradict the scores: AUC {metrics.auc(*trials):.3f}, so that higher scores go with "
            "spoof. Nothing was turned round; check the labels, and whether the detector's higher scores mean bona fide"
        )


def listed(paths: list[Path]) -> list[Path]:
    """Put the lines of standard input in the place of a dash."""
    if Path("-") not in paths:
        return paths
    # Bytes, as names on disk are; and only this ends a line, as names may hold what Unicode calls a line's end.
    lines = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8).split(b"\n")
    lines = [Path(os.fsdecode(line.removesuffix(b"\r"))) for line in lines if line.strip()]
    return [path for given in paths for path in (lines if given == Path("-") else [given])]


@printing.apart()
def of_clips(place: Path, checkpoint: Path | None, detector: str | None, *, labelled: bool):
    """Return the scores of clips of a folder or manifest, which may have to be `labelled`, and what scored them."""
    from dfdlib.detector import score as scoring
    from dfdlib.detector.preprocessing import Preprocessing

    clips = _find([place], None, drawn=False, explained=False)
    clips = clips.require_both_classes() if labelled else clips
    scorer, about = make_scorer(None, checkpoint, detector=detector, device="auto", precision="float32")
    how = Preprocessing.named("corrected", window="full").for_scorer(scorer)
    with open_cache(wanted=True) as cache:
        found = scoring.score(clips, scorer, preprocessing=how, cache=cache, progress=printing.progress("scoring"))
    printing.not_used(found.left_out, clips.other)
    return found, about["name"]


def make_scorer(
    onnx: Path | None,
    checkpoint: Path | None,
    *,
    detector: str | None,
    device: str,
    precision: str,
    folder: Path | None = None,
):
    """Return what scores, a file of ONNX where one is given, or a checkpoint, and what is to be said of it.

    One of somebody's own is looked for in `folder`, by default in the current one.
    """
    if onnx is not None:
        from dfdlib.detector import onnx as export

        return export.OnnxScorer(onnx), {"name": onnx.name, "demonstration": False}
    if options.check_own(detector, checkpoint, device=device, precision=precision):
        from dfdlib.detector import own

        return own.load(detector, folder=folder), {"name": Path(detector).name, "demonstration": False}
    from dfdlib.detector import scorer as inference

    model, _, about = load_model(checkpoint, detector=detector)
    scorer = inference.TorchScorer(model, device=device, precision=precision, in_place=True)
    if precision != "float32" and processes.is_first():
        printing.echo(f"{about['name']} computes in {scorer.precision}")
    return scorer, about | {"precision": scorer.precision}


def source_of(checkpoint: Path | None, detector: str | None) -> Path:
    """Return the file of weights that a command reads: the demo's, if neither a file nor a detector is named."""
    from dfdlib.detector import registry

    if checkpoint is not None:
        return checkpoint
    if detector:
        return registry.required_weights(detector, options.data_folder())
    from dfdlib.experiment import profile as profiles

    return profiles.load("demo").checkpoint


def load_model(checkpoint: Path | None, *, detector: str | None):
    """Return a detector, the file of its weights and what it is; the demo's, in one line, if none is named."""
    from dfdlib.detector import network, registry

    source, baselines = source_of(checkpoint, detector), []
    with contextlib.suppress(RunError):  # outside a checkout there are none
        baselines = [machine.root() / f"data/models/{name}-baseline.safetensors" for name in registry.ENTRIES]
    model = network.load(source, configuration=detector)
    size = sum(parameter.numel() for parameter in model.parameters())
    about = {"name": model.configuration.name, "parameters": size, "demonstration": False}
    if not (checkpoint or detector) or os.path.realpath(source) in map(os.path.realpath, baselines):
        origin = network.describe(source).metadata.get("trained_on", "unknown")
        about |= {
            "demonstration": True,
            "trained_on": f"the demo's corpus {origin!r}",
            "meaning": "its scores mean nothing outside the demo's corpora; name a real detector with --checkpoint",
        }
        if processes.is_first():
            printing.echo(
                f"{source.name} is a demonstration: {size:,} parameters, trained on {about['trained_on']}; "
                f"{about['meaning']}"
            )
    return model, source, about


@contextlib.contextmanager
def open_cache(*, wanted: bool, machines: bool = False) -> Iterator:
    """Open the cache that all scoring commands share, beside the data; None outside a checkout, or if not wanted."""
    from dfdlib.detector.score_cache import Cache

    cache = None
    if wanted:
        try:
            cache = Cache(machine.root() / "data" / "cache" / "scores.sqlite", say=printing.echo, machines=machines)
        except RunError as error:
            printing.echo(f"scoring without a cache: {error}")
    yield cache
    if cache is not None:
        cache.close()


def _plot_timelines(path: Path, windows, *, threshold: float | None) -> None:
    """Draw the windows of each recording, one below the other."""
    from dfdlib.report import plots

    recordings = list(windows.groupby("path", sort=False))
    figure, axes = plots.figure(rows=len(recordings), width=8.0, height=3.6 * len(recordings))
    displays = [
        plots.TimelineDisplay.from_windows(
            table["start"], table["end"], table["score"], threshold=threshold, name=one_line(Path(recording).name)
        ).plot(ax)
        for (recording, table), ax in zip(recordings, [axes] if len(recordings) == 1 else axes[:, 0], strict=True)
    ]
    plots.save(figure, path, alt=" ".join(display.alt() for display in displays))


def _explain(scores, scorer, *, picture: Path, cells: Path, settings: dict) -> None:
    """Draw and write what each part of the one clip changes in its score, and say whether it can be believed."""
    from dfdlib.data import tables
    from dfdlib.detector import explanation
    from dfdlib.report import plots

    path, how = scores.table["path"].iloc[0], settings["preprocessing"]
    options = {"preprocessing": how, "batch_size": settings["batch_size"]}
    wave = explanation.load(path, preprocessing=how)
    found = explanation.explain(wave, scorer, **options)
    curve = explanation.deletion(wave, found, scorer, **options).mean()
    tables.write(cells, found.table())
    name = one_line(Path(path).name)
    display = plots.OcclusionDisplay.from_cells(wave, found.table(), rate=how.rate, name=name).plot()
    plots.save(display.figure_, picture, alt=display.alt())
    ordered, random = curve["ordered"], curve["random"]
    printing.echo(
        f"explained {name}: hiding the parts that matter most costs the decision {ordered:.2f}, as many at random "
        f"{random:.2f}{'' if ordered > random else ': no more, so do not believe the picture'}"
    )
