"""Run the notebooks in their order and write the report.

A notebook is run again when something that it depends on has changed: its own source, the settings, dfdlib, the lock,
the data, the weights, or a notebook before it. What it was run from is written beside it only after it has ended well,
so that a run that was killed is never taken for a finished one.
"""

import contextlib
import datetime
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from dfdlib import files, progress
from dfdlib.detector import own
from dfdlib.errors import ParameterError, RunError
from dfdlib.experiment import profile
from dfdlib.report import page, provenance
from dfdlib.report.inputs import fingerprints

#: The notebooks that look at nothing after fine-tuning.
_BEFORE = ("01", "02")
#: Keys of `results/*.json` that the summary joins over all notebooks.
_JOINED = ("evaluations", "differences", "sentences")


@dataclass
class Result:
    """The outcome of `build`."""

    page: Path
    chapters: list[page.Chapter] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every notebook that was asked for has succeeded."""
        return not any(chapter.status == "failed" for chapter in self.chapters)


def build(
    settings: profile.Profile,
    *,
    profile_name: str | None = None,
    overrides: Sequence[str] = (),
    run_folder: str | Path | None = None,
    notebooks_folder: str | Path | None = None,
    only: Iterable[str] | None = None,
    force: bool = False,
    echo: Callable[[str], None] = print,
) -> Result:
    """Run what has to be run, then write ``index.html`` and ``summary.json``.

    A notebook that does not exist or lacks a parameter is a ParameterError; a run folder that cannot be written, or in
    which another run is at work, a RunError.

    Parameters
    ----------
    settings : Profile
        Validated; its data is expected to be there.
    profile_name : str, optional
        The name or file that the notebooks load the profile from; by default its own name.
    overrides : sequence of str
        ``key=value``, handed to the notebooks.
    run_folder, notebooks_folder : str or Path, optional
        By default ``reports/<profile>`` and the project's ``notebooks``.
    only : iterable of str, optional
        Numbers of notebooks, as "02"; the others stay as they are.
    force : bool
        Run notebooks even when nothing has changed.
    """
    folder = Path(run_folder or profile.root() / "reports" / settings.name).absolute()
    place = Path(notebooks_folder or profile.root() / "notebooks")
    if not (sources := sorted(place.glob("[0-9][0-9]_*.ipynb"))):
        raise RunError(f"{place}: holds no notebooks; run this from a checkout")
    wanted = _wanted(sources, only)
    if own.is_own(settings.detector):
        echo(f"{settings.detector} cannot be fine-tuned: notebooks {' and '.join(_BEFORE)} report on it as it is")
        wanted = [source for source in wanted if source.stem[:2] in _BEFORE]
    name = str(profile_name or settings.name)
    if name not in profile.names() and Path(name).is_file():
        name = str(Path(name).absolute())  # kernels work in the notebooks' folder
    parameters = {"profile": name, "run_dir": str(folder), "overrides": list(overrides)}
    with _alone(folder):
        inputs = fingerprints(settings, remembered=profile.remembered())
        hide = provenance.hider(folder, settings.checkpoint, *settings.data.files)
        chapters = _chapters(sources, folder=folder, settings=settings, inputs=inputs)
        _run(chapters, wanted=wanted, force=force, folder=folder, parameters=parameters, echo=echo)
        found = provenance.collect(settings, inputs=inputs, overrides=overrides, profile_name=name)
        summary = _summary(chapters, folder=folder, settings=settings, found=found)
        files.write_json(folder / "summary.json", summary)
        with files.atomic(folder / "index.html") as file:
            file.write(page.render(summary, chapters=chapters, folder=folder, hide=hide))
    result = Result(page=folder / "index.html", chapters=chapters)
    size = result.page.stat().st_size / 2**20
    long = "" if size < 8 else "; larger than the 8 MB that a page should have"
    echo(f"report: {result.page} ({size:.1f} MB){long}")
    return result


def _run(
    chapters: list[page.Chapter], *, wanted: list[Path], force: bool, folder: Path, parameters: dict, echo: Callable
) -> None:
    """Execute the chapters that are wanted and not up to date, until one fails."""
    broken = False
    for number, chapter in enumerate(chapters, 1):
        # The state that an earlier run left.
        marker = files.read_json(chapter.marker)
        if marker and chapter.executed.is_file():
            chapter.status, chapter.seconds = "kept" if marker["key"] == chapter.key else "outdated", marker["seconds"]
        title = f"{number}/{len(chapters)} {chapter.name}"
        if chapter.source not in wanted:
            continue
        if chapter.status == "kept" and not force:
            echo(f"{title}: nothing has changed since it ran")
        elif broken:
            chapter.status = "not run"
            echo(f"{title}: not run, since an earlier notebook failed")
        else:
            echo(f"{title} …")
            with progress.shown(folder, title=title, echo=echo):
                _execute(chapter, parameters=parameters)
            broken = chapter.status == "failed"
            took = f"{chapter.seconds:.0f} s"
            echo(f"{title}: failed after {took}: {chapter.error}" if broken else f"{title}: done in {took}")


def _wanted(sources: list[Path], only: Iterable[str] | None) -> list[Path]:
    if not only:
        return sources
    chosen = []
    for number in only:
        found = [source for source in sources if source.stem == number or source.stem.split("_")[0] == number.zfill(2)]
        if not found:
            numbers = ", ".join(source.stem.split("_")[0] for source in sources)
            raise ParameterError(f"--only {number}: there is no such notebook; choose from {numbers}")
        chosen += found
    return chosen


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the run folder; two runs in it would overwrite each other's results."""
    lock = filelock.FileLock(folder / ".lock", blocking=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise RunError(f"{folder}: another run is at work here; wait for it, or choose another --folder") from None
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another with --folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _chapters(
    sources: list[Path], *, folder: Path, settings: profile.Profile, inputs: dict[str, str]
) -> list[page.Chapter]:
    package = Path(__file__).parents[1]
    # Notebooks read these beside the code; all else makes the page, which is rendered each time.
    read = [package / "data/corpora.yaml", *package.glob("report/templates/browser.*")]
    code = {str(path.relative_to(package)): files.sha256(path) for path in sorted([*package.rglob("*.py"), *read])}
    lock = profile.root() / "requirements.txt"
    common = json.dumps(
        [code, files.sha256(lock) if lock.is_file() else "", settings.model_dump(mode="json"), inputs], sort_keys=True
    )
    chapters, upstream = [], hashlib.sha256(common.encode()).hexdigest()
    for source in sources:
        # Outputs and counters that an editor leaves in a notebook change nothing.
        cells = [[cell["cell_type"], cell["source"]] for cell in _read(source)["cells"]]
        upstream = hashlib.sha256((upstream + json.dumps(cells)).encode()).hexdigest()
        chapters.append(page.Chapter(source=source, executed=folder / "notebooks" / source.name, key=upstream))
    return chapters


def _read(notebook: Path) -> dict:
    try:
        return json.loads(notebook.read_text("utf-8"))
    except ValueError as error:
        raise RunError(f"{notebook}: is not a notebook ({error}); restore it") from error


def _execute(chapter: page.Chapter, *, parameters: dict) -> None:
    """Run a notebook in a kernel of this environment, and note its failure."""
    # Without this a kernel of the same name in the user's home would come first.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    import papermill

    known = papermill.inspect_notebook(str(chapter.source))
    missing = sorted(set(parameters) - set(known))
    if missing:
        raise ParameterError(f"{chapter.source}: its parameters cell does not set {', '.join(missing)}; add it there")
    started = time.monotonic()
    try:
        chapter.executed.parent.mkdir(parents=True, exist_ok=True)
        chapter.marker.unlink(missing_ok=True)
        papermill.execute_notebook(
            str(chapter.source),
            str(chapter.executed),
            parameters=parameters,
            kernel_name="python3",
            cwd=str(chapter.source.parent),
            progress_bar=False,
            coalesce_streams=True,
            # A kernel's advice about its transport is none of the reader's business.
            extra_arguments=["--IPKernelApp.log_level=50"],
        )
    except papermill.PapermillExecutionError as error:
        chapter.status = "failed"
        chapter.error = " ".join(f"{error.ename}: {error.evalue}".removesuffix(": ").split())
    except RuntimeError as error:
        # Raised for a kernel that is killed, mostly when memory runs out, or that does not start.
        chapter.status = "failed"
        chapter.error = f"{str(error).rstrip('.')}; see whether there is enough memory, then run again"
    except OSError as error:
        raise RunError(f"{chapter.executed}: cannot be written ({error}); free some space and run again") from error
    else:
        chapter.status = "done"
    chapter.seconds = round(time.monotonic() - started, 1)
    if chapter.status == "done":
        files.write_json(chapter.marker, {"key": chapter.key, "seconds": chapter.seconds})


def _title(settings: profile.Profile, found: dict) -> str:
    """Return the profile's title, with the names of the data where that is not the profile's own."""
    names = [key[5:].replace("_", "-") for key in found["changed"] if key.startswith("data.")]
    own = {name: place for name, place in settings.data.places.items() if name in names and isinstance(place, Path)}
    if not own or "title" in found["changed"]:
        return settings.title
    places = [f"{place.name} ({name})" for name, place in own.items()]
    return f"Audio deepfake detection before and after fine-tuning, on {' and '.join(places)}"


def _summary(chapters: list[page.Chapter], *, folder: Path, settings: profile.Profile, found: dict) -> dict:
    """Join what the notebooks have kept. Whatever differs between two equal runs is under "provenance"."""
    summary: dict = {
        "profile": settings.name,
        "title": _title(settings, found),
        "limit": settings.limit,
        "allow_shared_clips": settings.allow_shared_clips,
        "level": settings.uncertainty.level,
    }
    summary["status"] = {chapter.name: "done" if chapter.status == "kept" else chapter.status for chapter in chapters}
    summary |= {name: [] for name in _JOINED} | {"notebooks": {}}
    joined: dict[str, dict] = {name: {} for name in _JOINED}
    for chapter in chapters:
        if chapter.status not in ("done", "kept", "outdated"):
            continue
        if not (results := files.read_json(folder / "results" / f"{chapter.name}.json")):
            continue
        for name, facts in joined.items():
            for fact in results.pop(name, []):
                key = (fact["corpus"], fact.get("when")) if isinstance(fact, dict) else fact
                # Chapters may find the same; one that is outdated is not to be believed before one that is not.
                if key not in facts or chapter.status != "outdated":
                    facts[key] = fact
        summary["notebooks"][chapter.name] = results
    summary |= {name: list(facts.values()) for name, facts in joined.items()}
    summary["provenance"] = found | {
        "generated": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": {chapter.name: chapter.seconds for chapter in chapters},
    }
    return summary
