"""The commands that make weights: ``dfd finetune``, ``dfd train-baseline``, ``dfd export``."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from dfdlib import files, processes
from dfdlib.cli import options, printing, score
from dfdlib.cli.options import Checkpoint, Detector, Profile, Set


def finetune(
    profile: Profile = "demo",
    settings: Set = None,
    out: Annotated[Path | None, typer.Option(help="Where the weights go; by default the profile's run folder.")] = None,
) -> None:
    """Fine-tune the profile's detector. Stopped or killed, the same command goes on where it was.

    Several processes or machines: torchrun --nproc-per-node 2 -m dfdlib finetune …

    Example: dfd finetune --profile demo --set finetune.epochs=2 --out mine.safetensors
    """
    from dfdlib.evaluation.metrics import percent
    from dfdlib.experiment import profile as profiles
    from dfdlib.experiment import run as experiment

    chosen = profiles.load(profile, overrides=settings or [])
    folder, first = profiles.root() / "reports" / chosen.name, processes.is_first()
    outputs = [files.Output(option="the run folder", path=folder, folder=True)]
    outputs += [] if out is None else options.weights(out, ".csv", ".json", ".resume")
    if first:
        options.check_outputs(*outputs, inputs=[Path(profile), *options.read_by(chosen)])
    run = experiment.Run(chosen, folder)
    with processes.joined():
        processes.from_first(lambda: options.prepare_data(chosen))
    job = run.job(chosen.recipe)
    if out is not None:
        job = dataclasses.replace(job, checkpoint=out.absolute())
    result = run.train(job, progress=printing.echo if first else lambda line: None)
    if first:
        printing.not_used(result.left_out, job.training.other)
        kept = result.history.loc[result.history["epoch"] == result.best_epoch].iloc[0]
        print(
            f"{printing.place(str(result.checkpoint))}: epoch {result.best_epoch} of {len(result.history)}, "
            f"validation loss {kept['validation_loss']:.4f}, validation EER {percent(kept['validation_eer'], 2)}"
        )


def train_baseline(
    settings: Set = None,
    out: Annotated[Path | None, typer.Option(help="Where the weights go; the card lies beside them.")] = None,
    ablation: Annotated[bool, typer.Option(help="Train variants too, and say in the card what they bring.")] = False,
) -> None:
    """Train the demo's baseline from random weights on the source corpus, and write its model card.

    Example: dfd train-baseline --out data/models/mini-resnet-baseline.safetensors
    """
    from dfdlib.experiment import baseline
    from dfdlib.experiment import profile as profiles
    from dfdlib.report import model_card

    chosen = profiles.load("demo", overrides=settings or [])
    out = out or chosen.checkpoint
    options.check_outputs(*options.weights(out, ".csv", ".md", ".resume"), inputs=[chosen.data.source])
    options.prepare_data(chosen, parts=("source/training", "source/validation", "source/testing"))
    kept, trained = baseline.train(chosen, checkpoint=out, ablation=ablation, progress=printing.echo)
    print(model_card.write(chosen, checkpoint=out, kept=kept, trained=trained))


def export(
    onnx: Annotated[Path, typer.Option(metavar="FILE", help="The ONNX file to write.")],
    checkpoint: Checkpoint = None,
    detector: Detector = None,
) -> None:
    """Write the whole detector as an ONNX file, for programs without Python, and check it against torch.

    Example: dfd export --onnx detector.onnx --checkpoint weights.safetensors
    """
    from dfdlib.detector import onnx as exports

    output = files.Output(option="--onnx", path=onnx, suffixes=(".onnx",))
    taken = options.check_outputs(output, inputs=[score.source_of(checkpoint, detector)])
    model, source, _ = score.load_model(checkpoint, detector=detector)
    printing.echo(f"exporting {model.configuration.name}, which takes a minute or two")
    written = exports.write(onnx, model, checkpoint=source)
    if taken:
        return
    size = f"{written.bytes / 1e6:.1f} MB"
    print(f"{printing.place(written.path)}  {size}, logits within {written.difference:.1g} of torch's")
    for name, meaning in exports.CONVENTIONS.items():
        print(f"{name:8} {meaning}")
    rate, least = model.configuration.rate, model.configuration.least_samples
    print(f"{'rate':8} {rate} Hz, at least {least} samples ({1000 * least / rate:.0f} ms)")
