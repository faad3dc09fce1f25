"""Assemble the report: one page that fetches nothing, from executed notebooks and the summary of a run."""

import base64
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from dfdlib.report import provenance, sentences

TEMPLATES = Path(__file__).parent / "templates"

_MIME_TYPES = ["text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain"]
_ONE_NUMBER = r"[-+−]?\d[\d,.]*(?:e[-+]?\d+)?\s?%?"
_NUMBER = re.compile(rf"{_ONE_NUMBER}(?: to {_ONE_NUMBER})?|–|nan")
#: Pixels; a wider figure scrolls on a narrow screen rather than become illegible.
_WIDE = 900
_HIDDEN_TAGS = {"parameters", "injected-parameters", "setup"}


@dataclass
class Chapter:
    """A notebook and its state.

    Attributes
    ----------
    source : Path
        The notebook.
    executed : Path
        Its copy with outputs, in the run folder.
    key : str
        A fingerprint of everything that it depends on.
    status : {"done", "kept", "outdated", "failed", "not run"}
        "kept" was done by an earlier run from the same inputs, "outdated" by an earlier run from others.
    seconds : float
        How long it took when it was run.
    error : str
        The last line of what went wrong.
    """

    source: Path
    executed: Path
    key: str
    status: str = "not run"
    seconds: float = 0.0
    error: str = ""

    @property
    def name(self) -> str:
        """The notebook's name without its ending."""
        return self.source.stem

    @property
    def marker(self) -> Path:
        """The file that says that the executed copy is whole, and what it was made from."""
        return self.executed.with_suffix(".done.json")


def render(
    summary: dict, *, chapters: Iterable[Chapter], folder: Path, hide: Callable[[str], str] | None = None
) -> str:
    """Return the page.

    Parameters
    ----------
    summary : dict
        As `report.build` writes it.
    chapters : iterable of Chapter
        Those that were never run are listed as such.
    folder : Path
        The run folder, for the figure of the summary.
    hide : callable, optional
        Takes text, returns it without the places of this machine; by default `provenance.hider` of the run folder.
    """
    import jinja2
    import yaml

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": sentences.percent, "points": _signed_points, "unbroken": sentences.unbroken}
    page = environment.get_template("page.html.j2").render(
        summary=summary,
        chapters=[_chapter(chapter) for chapter in chapters],
        rows=_before_and_after(summary),
        figure=_figure(summary, folder),
        settings=yaml.safe_dump(summary["provenance"]["settings"], sort_keys=False, allow_unicode=True, width=math.inf),
        style=(TEMPLATES / "page.css").read_text("utf-8"),
    )
    return provenance.hide_in(page, hide or provenance.hider(folder))


# The summary


def _before_and_after(summary: dict) -> list[dict]:
    """Return a row for each corpus: its evaluations before and after, and the change, whichever there are."""
    rows: dict[str, dict] = {}
    for difference in summary["differences"]:
        rows[difference["corpus"]] = {"corpus": difference["corpus"], "change": difference}
    for evaluation in summary["evaluations"]:
        rows.setdefault(evaluation["corpus"], {"corpus": evaluation["corpus"]})[evaluation["when"]] = evaluation
    return list(rows.values())


def _figure(summary: dict, folder: Path) -> dict | None:
    """Return the summary's figure as a data URI with its alternative text, if a notebook has made one."""
    for results in summary["notebooks"].values():
        if "summary_figure" in results:
            path = folder / "figures" / f"{results['summary_figure']['name']}.png"
            if path.is_file():
                return {"uri": _data_uri("image/png", path.read_bytes()), "alt": results["summary_figure"]["alt"]}
    return None


def _signed_points(change: float) -> str:
    return f"{100 * change:+.1f}"


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


# The chapters


def _chapter(chapter: Chapter) -> dict:
    """Return what the template shows of a notebook: title, sections for the sidebar, and its cells as HTML."""
    import bs4

    title = chapter.name.split("_", 1)[-1].replace("_", " ")
    shown = {"name": chapter.name, "status": chapter.status, "error": chapter.error, "title": title, "sections": []}
    shown["html"] = ""
    if chapter.status == "not run" or not chapter.executed.is_file():
        return shown
    soup = bs4.BeautifulSoup(_cells(chapter.executed), "html.parser")
    _tidy_tables(soup)
    given: set[str] = set()
    for element in soup(True):
        if element.name in ("h1", "h2", "h3", "h4", "h5") and not element.find_parent(class_="said"):
            heading, level = element.get_text(), int(element.name[1])
            element["id"] = _unused(f"{_slug(chapter.name)}-{_slug(heading)}", given)
            if level == 1:
                shown["title"] = heading
            elif level == 2:
                shown["sections"].append({"id": element["id"], "title": heading})
            element.name = f"h{level + 1}"  # the page's title is above that of a chapter
        elif element.get("id"):
            element["id"] = _unused(f"{_slug(chapter.name)}-{_slug(element['id'])}", given)
        if (
            element.get("href", "#").partition(":")[0].lower() not in ("http", "https", "mailto")
            and element.name == "a"
        ):
            del element["href"]
        if element.name == "img" and int(element.get("width", 0)) > _WIDE:
            element["class"] = "wide"
    for heading in soup("h2"):
        heading.decompose()  # the template sets it beside its number
    shown["html"] = str(soup)
    return shown


def _cells(executed: Path) -> str:
    """Return the cells of an executed notebook as HTML, those that set it up folded at its end."""
    import nbformat
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    book = nbformat.read(executed, as_version=4)
    hidden = [cell for cell in book.cells if set(cell.metadata.get("tags", ())) & _HIDDEN_TAGS and not _failed(cell)]
    book.cells = [cell for cell in book.cells if cell not in hidden]
    if hidden:
        source = "\n\n".join(cell.source for cell in hidden)
        book.cells.append(nbformat.v4.new_code_cell(source, metadata={"set_up": True}))
    config = Config()
    config.NbConvertBase.display_data_priority = _MIME_TYPES
    config.TagRemovePreprocessor = Config(enabled=True, remove_cell_tags={"papermill-error-cell-tag", "try-it"})
    config.CoalesceStreamsPreprocessor.enabled = True  # of a line that was rewritten, what it ended as
    exporter = HTMLExporter(
        config=config,
        template_name="basic",
        extra_template_paths=[str(TEMPLATES)],
        template_file="cells.html.j2",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    return exporter.from_notebook_node(book)[0]


def _failed(cell: dict) -> bool:
    return any(output["output_type"] == "error" for output in cell.get("outputs", ()))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


def _unused(name: str, given: set[str]) -> str:
    """Return a name with a number behind it if it is among those that were given, and add it to them."""
    unused, number = name, 2
    while unused in given:
        unused, number = f"{name}-{number}", number + 1
    given.add(unused)
    return unused


def _tidy_tables(soup) -> None:
    """Take pandas' own styles out, mark columns of numbers, put tables into a box that scrolls."""
    for style in soup("style"):
        style.decompose()
    for table in soup("table"):
        for element in [table, *table(True)]:
            element.attrs = {name: value for name, value in element.attrs.items() if name in ("colspan", "rowspan")}
        rows = [row("td") for row in table("tr") if row("td")]
        headers = table.thead("th") if table.thead else []
        for cells in zip(headers, *rows, strict=False):
            if all(_NUMBER.fullmatch(cell.get_text(strip=True)) for cell in cells[1:]):
                for cell in cells:
                    cell["class"] = "number"
        table.wrap(soup.new_tag("div", attrs={"class": "table", "tabindex": "0"}))
