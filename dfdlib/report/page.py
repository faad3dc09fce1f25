"""Assemble the report: one page that fetches nothing, from executed notebooks and the summary of a run."""

import base64
import html
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dfdlib.report import methods, provenance, sentences, vector

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"

#: What a figure may be called to be looked for in the run folder.
_FILE_NAME = re.compile(r"[\w.-]+")
_MIME_TYPES = ["text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain"]
_ONE_NUMBER = r"[-+−]?\d[\d,.\u202f]*(?:e[-+−]?\d+)?\s?%?"
#: What a cell of a table holds that is set as a number.
NUMBER = re.compile(rf"(?:below )?{_ONE_NUMBER}(?: to {_ONE_NUMBER})?|–|nan")
_HIDDEN_TAGS = {"parameters", "injected-parameters", "setup"}
#: Cells that are not on the page: what to try, and what the summary at its top shows.
_LEFT_OUT_TAGS = {"papermill-error-cell-tag", "try-it", "in-summary"}
#: HTML that comes complete, as `browser.markup` gives it.
_COMPLETE = re.compile(r"<!--clips-->(.*?)<!--/clips-->", re.DOTALL)
_TITLE = re.compile(r"""(?:suptitle|set_title|title)\(\s*[rf]?(["'])(.+?)\1""")


@dataclass
class Chapter:
    """A notebook and its state."""

    source: Path
    executed: Path  #: its copy with outputs, in the run folder
    key: str  #: a fingerprint of everything that it depends on
    #: "done", "failed", "not run"; "kept": done by an earlier run from the same inputs, "outdated": from others.
    status: str = "not run"
    seconds: float = 0.0  #: how long it took when it was run
    error: str = ""  #: the last line of what went wrong

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
    """Return the page, from a summary as `report.build` writes it; chapters that were never run are listed as such.

    ``hide`` takes the places of this machine out of a text, by default `provenance.hider` of the run folder.
    """
    import yaml

    figure = _figure(summary, folder)
    rows = _before_and_after(summary)
    # The summary at the top has the first of each.
    numbered = _Numbered(folder, figures=int(figure is not None), tables=int(bool(rows)))
    template = environment().get_template("page.html.j2")
    page = template.render(
        summary=summary,
        chapters=[_chapter(chapter, numbered) for chapter in chapters],
        rows=rows,
        macro=any("macro_eer" in row for row in summary["evaluations"]),
        banners=[*methods.warnings(summary), *methods.small_samples(summary)],
        methods=methods.methods(summary),
        citation=methods.citation(),
        figure=figure,
        settings=yaml.safe_dump(
            summary["provenance"].get("differing", summary["provenance"]["settings"]),
            sort_keys=False,
            allow_unicode=True,
            width=math.inf,
        ),
    )
    return provenance.hide_in(page, hide or provenance.hider(folder))


def environment() -> "jinja2.Environment":
    """Return what renders the templates of pages."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    made.filters |= {
        "percent": sentences.percent,
        "points": lambda change: sentences.unbroken(f"{100 * change:+.1f}"),
        "unbroken": sentences.unbroken,
    }
    return made


# The summary


def _before_and_after(summary: dict) -> list[dict]:
    """Return a row for each corpus: its evaluations before and after, the change, and a verdict, as far as known."""
    rows: dict[str, dict] = {}
    for difference in summary["differences"]:
        rows[difference["corpus"]] = {"corpus": difference["corpus"], "change": difference}
    for evaluation in summary["evaluations"]:
        rows.setdefault(evaluation["corpus"], {"corpus": evaluation["corpus"]})[evaluation["when"]] = evaluation
    judged = {row["corpus"]: row for found in summary["notebooks"].values() for row in found.get("verdicts", ())}
    for name, row in rows.items():
        row["verdict"] = methods.verdict(row, judged.get(name))
    return list(rows.values())


def _figure(summary: dict, folder: Path) -> dict | None:
    """Return the summary's figure with its alternative text, if a notebook has made one."""
    for results in summary["notebooks"].values():
        if "summary_figure" in results:
            facts = results["summary_figure"]
            drawn = _drawn(folder, facts["name"], facts.get("panels", ()), alt=facts["alt"], prefix="top-")
            image = folder / "figures" / f"{facts['name']}.png"
            if not drawn and image.is_file():
                drawn = f'<img src="{data_uri("image/png", image.read_bytes())}" alt="{html.escape(facts["alt"])}">'
            if drawn:
                return {"markup": drawn, "caption": facts.get("caption", ""), "numbers": _numbers(facts)}
    return None


def _numbers(facts: dict) -> str:
    """Return the tables behind the summary's figure, folded away, or "" where there are none."""
    import bs4

    if not (tables := facts.get("numbers")):
        return ""
    folded = f'<details class="numbers"><summary>The numbers</summary>{tables}</details>'
    soup = bs4.BeautifulSoup(folded, "html.parser")
    _tidy_tables(soup, None, "summary")
    return str(soup)


def _drawn(folder: Path, name: str, panels: Iterable[str], *, alt: str, prefix: str = "") -> str:
    """Return a figure of the run folder as vectors, its panels one after another, or "" where there is none."""
    paths = [folder / "figures" / f"{name}{part}.svg" for part in ([f"-{part}" for part in panels] or [""])]
    if not _FILE_NAME.fullmatch(name) or not all(path.is_file() for path in paths):
        return ""
    alts = [alt] + [f"{name}, panel {number}" for number in range(2, len(paths) + 1)]
    return "".join(
        vector.embedded(path.read_text("utf-8"), name=f"{prefix}{_slug(path.stem)}", alt=one)
        for path, one in zip(paths, alts, strict=True)
    )


def data_uri(kind: str, content: bytes) -> str:
    """Return content as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


# The chapters


class _Numbered:
    """The figures and tables of a page, counted from its beginning."""

    def __init__(self, folder: Path, *, figures: int, tables: int) -> None:
        self.folder, self.figures, self.tables = folder, figures, tables
        self.given: set[str] = set()
        self.drawn: dict[str, str] = {}

    def keep(self, found: re.Match) -> str:
        """Put a mark in the place of a fragment that is to stay as it is."""
        name = f"complete-{len(self.drawn)}"
        self.drawn[name] = found[1]
        return f"<!--{name}-->"

    def label(self, soup, kind: str, name: str) -> object:
        """Return a link to itself that numbers a figure or a table, and keep its place."""
        if kind == "Figure":
            number = self.figures = self.figures + 1
        else:
            number = self.tables = self.tables + 1
        link = soup.new_tag("a", attrs={"class": "label", "href": f"#{name}"})
        link.string = f"{kind} {number}."
        return link


def _chapter(chapter: Chapter, numbered: "_Numbered") -> dict:
    """Return what the template shows of a notebook: title, sections for the sidebar, and its cells as HTML."""
    import bs4

    title = chapter.name.split("_", 1)[-1].replace("_", " ")
    shown = {"name": chapter.name, "status": chapter.status, "error": chapter.error, "title": title, "sections": []}
    shown["html"] = ""
    if chapter.status == "not run" or not chapter.executed.is_file():
        return shown
    soup = bs4.BeautifulSoup(_COMPLETE.sub(numbered.keep, _cells(chapter.executed)), "html.parser")
    slug = _slug(chapter.name)
    _tidy_tables(soup, numbered, slug)
    _tidy_links_and_headings(soup, shown, slug)
    for figure in soup("figure"):
        if figure.get("class") != ["clip"]:
            _tidy_figure(soup, figure, numbered, slug)
    for code in soup("pre"):
        code["tabindex"] = "0"  # a long line scrolls, by keys as well
    for player in soup("audio"):
        caption = player.find_parent("figure") and player.find_parent("figure").figcaption
        player["aria-label"] = caption.get_text(strip=True) if caption else "Sound"
    for heading in soup("h2"):
        heading.decompose()  # the template sets it beside its number
    shown["html"] = re.sub(r"<!--(.*?)-->", lambda match: numbered.drawn.get(match[1], ""), str(soup), flags=re.DOTALL)
    return shown


def _tidy_links_and_headings(soup, shown: dict, slug: str) -> None:
    """Make identifiers unique, headings one level lower with a link to themselves; links lead to the web alone."""
    given: set[str] = set()
    for element in soup(True):
        if element.name == "a" and "label" in element.get("class", ()) and element.get("href", "").startswith("#"):
            continue
        if element.name in ("h1", "h2", "h3", "h4", "h5") and not element.find_parent(class_="said"):
            heading, level = element.get_text(), int(element.name[1])
            element["id"] = _unused(f"{slug}-{_slug(heading)}", given)
            if level == 1:
                shown["title"] = heading
            elif level == 2:
                shown["sections"].append({"id": element["id"], "title": heading})
            element.name = f"h{level + 1}"  # the page's title is above that of a chapter
            if level > 1:
                link = soup.new_tag("a", attrs={"class": "permalink label", "href": f"#{element['id']}"})
                link["aria-label"] = f"Link to {heading}"
                link.string = "#"
                element.append(link)
        elif element.get("id") and element.name not in ("figure", "table"):
            element["id"] = _unused(f"{slug}-{_slug(element['id'])}", given)
        if element.name == "a" and element.get("href", "#").partition(":")[0].lower() not in (
            "http",
            "https",
            "mailto",
        ):
            del element["href"]


def _tidy_figure(soup, figure, numbered: "_Numbered", slug: str) -> None:
    """Put the vectors of a figure in the place of its pixels, into a box that scrolls, with a numbered caption."""
    import bs4

    name, caption, panels = (figure.attrs.pop(f"data-{key}", "") for key in ("name", "caption", "panels"))
    image = figure.img
    alt = (image.get("alt") if image else "") or caption or "A figure."
    drawn = _drawn(numbered.folder, name, panels.split(), alt=alt) if name else ""
    identifier = _unused(f"figure-{_slug(name) or slug}", numbered.given)
    figure["id"] = identifier
    box = soup.new_tag("div", attrs={"class": "panels", "tabindex": "0", "role": "group", "aria-label": caption or alt})
    if drawn:
        numbered.drawn[identifier] = drawn  # parsing it would take longer than all the rest
        box.append(bs4.Comment(identifier))
    else:
        for child in [image] if image else list(figure.children):
            box.append(child.extract())
    figure.clear()
    said = soup.new_tag("figcaption")
    said.append(numbered.label(soup, "Figure", identifier))
    said.append(f" {caption}" if caption else "")
    figure.append(box)
    figure.append(said)


def _cells(executed: Path) -> str:
    """Return the cells of an executed notebook as HTML, those that set it up folded at its end."""
    import nbformat
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    book = nbformat.read(executed, as_version=4)
    hidden = [cell for cell in book.cells if set(cell.metadata.get("tags", ())) & _HIDDEN_TAGS]
    hidden = [cell for cell in hidden if all(one["output_type"] != "error" for one in cell.get("outputs", ()))]
    book.cells = [cell for cell in book.cells if cell not in hidden]
    if hidden:
        source = "\n\n".join(cell.source for cell in hidden)
        book.cells.append(nbformat.v4.new_code_cell(source, metadata={"set_up": True}))
    config = Config()
    config.NbConvertBase.display_data_priority = _MIME_TYPES
    for cell in book.cells:
        _name_figures(cell)
    config.TagRemovePreprocessor = Config(enabled=True, remove_cell_tags=_LEFT_OUT_TAGS)
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


def _name_figures(cell: dict) -> None:
    """Give a figure that came without an alternative text the title that its cell sets."""
    titles = [found[2] for found in _TITLE.finditer(cell.source)]
    for output in cell.get("outputs", ()):
        if "image/png" in output.get("data", {}):
            facts = output.metadata.setdefault("image/png", {})
            if not facts.get("alt"):
                facts["alt"] = titles.pop(0) if titles else "A figure of the cell above it."


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


def _unused(name: str, given: set[str]) -> str:
    """Return a name with a number behind it if it is among those that were given, and add it to them."""
    unused, number = name, 2
    while unused in given:
        unused, number = f"{name}-{number}", number + 1
    given.add(unused)
    return unused


def _tidy_tables(soup, numbered: "_Numbered | None", slug: str) -> None:
    """Take pandas' own styles out, mark numbers and headers, number tables, put them into a box that scrolls."""
    for style in soup("style"):
        style.decompose()
    for table in soup("table"):
        for element in [table, *table(True)]:
            element.attrs = {name: value for name, value in element.attrs.items() if name in ("colspan", "rowspan")}
        rows = [row("td") for row in table("tr") if row("td")]
        headers = table.thead("th") if table.thead else []
        for header in headers:
            header["scope"] = "col"
        for cells in zip(headers, *rows, strict=False):
            if all(NUMBER.fullmatch(cell.get_text(strip=True)) for cell in cells[1:]):
                for cell in cells:
                    cell["class"] = "number"
        for cells in rows:
            if "class" not in cells[0].attrs and cells[0].get_text(strip=True):
                cells[0].name, cells[0]["scope"] = "th", "row"
        said = table.caption.get_text(strip=True) if table.caption else ""
        box = {"class": "table", "tabindex": "0", "role": "group", "aria-label": said or "Table"}
        behind = table.find_parent("details", class_="numbers")
        if behind is None:
            table["id"] = _unused(f"table-{slug}-{_slug(said)[:40].strip('-')}".rstrip("-"), numbered.given)
            caption = table.caption or soup.new_tag("caption")
            caption.insert(0, " ")
            caption.insert(0, numbered.label(soup, "Table", table["id"]))
            if caption.parent is None:
                table.insert(0, caption)
        table.wrap(soup.new_tag("div", attrs=box))
