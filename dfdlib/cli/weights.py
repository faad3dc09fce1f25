"""The commands ``dfd detectors``, ``dfd weights list`` and ``dfd weights fetch``."""

from pathlib import Path
from typing import Annotated

import typer

from dfdlib import files
from dfdlib.cli import options, printing
from dfdlib.cli.options import Json
from dfdlib.errors import RunError
from dfdlib.text import one_line

weights_app = typer.Typer(help="Weights of published detectors.", no_args_is_help=True)


@weights_app.command("list")
def detectors(as_json: Json = False) -> None:
    """List the detectors that are known by name: what they are, their published results, where their weights are.

    Example: dfd detectors
    """
    from dfdlib.detector import registry

    rows = []
    for name, one in registry.ENTRIES.items():
        place = registry.weights(name, options.data_folder())
        rows.append(
            {
                "detector": name,
                "also": [other for other, plain in registry.ALIASES.items() if plain == name],
                "what": one.what,
                "parameters": one.parameters,
                "trained_on": one.trained_on,
                "published_eer": one.results,
                "source": one.source,
                "code_licence": one.code_licence,
                "weights_licence": one.weights_licence,
                "checkpoint": one.checkpoint,
                "from": one.places,
                "by_hand": one.steps,
                "here": place is not None,
                "path": None if place is None else str(place),
            }
        )
    if as_json:
        printing.as_json({"detectors": rows})
        return
    for row in rows:
        names = " or ".join([row["detector"], *row["also"]])
        print(f"{names:26} {'here' if row['here'] else '-':4} {row['parameters']:>13,}  {row['what']}")
        print(f"{'':26} EER: {row['published_eer']}; trained on {row['trained_on']}")
        print(f"{'':26} code {row['code_licence']}, weights {row['weights_licence']}; {row['source']}")
        place = one_line(row["path"]) if row["path"] else "; ".join(row["from"]) or row["by_hand"]
        print(f"{'':26} {row['checkpoint']}: {place}")


@weights_app.command("fetch")
def weights_fetch(
    name: Annotated[str, typer.Argument(help="A detector of dfd detectors.")],
    to: Annotated[Path | None, typer.Option(help="The folder; by default data/weights/NAME.")] = None,
    only_say: Annotated[bool, typer.Option("--dry-run", help="Say from where and how, and fetch nothing.")] = False,
) -> None:
    """Download the weights of a published detector from its authors' place, and check them; or say what to do by hand.

    Where no checksum is published, that of the first download is kept, and names and shapes are checked.

    Example: dfd weights fetch aasist
    """
    from dfdlib.detector import registry

    name = registry.plain(name)
    entry = registry.ENTRIES[name]
    folder = to or options.data_folder() / "weights" / name
    if entry.places and not only_say:
        options.check_outputs(files.Output(option="--to", path=folder, folder=True))
    print(f"{name}: {entry.what}\nlicence of the weights: {entry.weights_licence}\nsource: {entry.source}")
    for place in entry.places:
        print(f"from: {place}")
    if entry.steps:
        print(f"by hand: {entry.steps}; put the file into {one_line(folder)}")
    if only_say or not entry.places:
        return
    from dfdlib.data import fetch

    for url, digest in entry.urls.items():
        fetch.download(fetch.File.at(url, digest), folder, say=printing.echo)
    if entry.huggingface:
        fetch.huggingface(entry.huggingface, folder, only="*.safetensors", kind="model", say=printing.echo)
    found = registry.files_in(folder)
    if not found:
        raise RunError(f"{folder}: holds no file of weights after the download; see {entry.source}")
    for path in found:
        print(f"{one_line(path)}: fits {name}, sha256 {_checked(path, name)}")


def _checked(path: Path, name: str) -> str:
    """Return the SHA-256 of weights, having made sure that they fit, and are those of the first download."""
    from dfdlib.detector import network

    told = network.describe(path)
    known = told.configuration in network.CONFIGURATIONS
    if not known or network.shapes_of(told.configuration) != network.shapes_of(name):
        found = told.configuration or told.seems or "no detector that is known"
        raise RunError(f"{path}: is not {name} by its names and shapes, but {found}")
    record = path.with_name(f"{path.name}.sha256")
    if record.exists() and record.read_text("utf-8").strip() != told.sha256:
        raise RunError(f"{path}: has other content than at the first download ({record}); remove one of them")
    with files.atomic(record) as file:
        file.write(f"{told.sha256}\n")
    return told.sha256
