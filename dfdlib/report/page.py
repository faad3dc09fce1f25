"""Assemble the report: one page that fetches nothing, from executed notebooks and the summary of a run."""

import base64
import html
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from dfdlib.report import provenance, sentences

TEMPLATES = Path(__file__).parent / "templates"

_MIME_TYPES = ("text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain")
_ONE_NUMBER = r"[-+−]?\d[\d,.]*(?:e[-+]?\d+)?\s?%?"
_NUMBER = re.compile(rf"{_ONE_NUMBER}(?: to {_ONE_NUMBER})?|–|nan")
_WIDE = 900  # pixels; a wider figure scrolls on a narrow screen rather than become illegible
_HIDDEN_TAGS = {"parameters", "injected-parameters", "setup"}


@dataclass
class Chapter:
    """A notebook and what has become of it.

    Attributes
    ----------
    source : Path
        The notebook.
    executed : Path
        Its copy with outputs, in the run folder.
    key : str
        A fingerprint of everything that it depends on.
    status : {"done", "kept", "outdated", "failed", "not run"}
        "kept" was done by an earlier run from the same beginnings, "outdated" by an earlier run from others.
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
    environment.filters |= {"percent": sentences.percent, "points": _signed_points, "unbroken": _unbroken}
    page = environment.get_template("page.html.j2").render(
        summary=summary,
        chapters=[_chapter(chapter) for chapter in chapters],
        rows=_before_and_after(summary),
        figure=_figure(summary, folder),
        settings=yaml.safe_dump(summary["provenance"]["settings"], sort_keys=False, allow_unicode=True, width=math.inf),
        style=(TEMPLATES / "page.css").read_text("utf-8") + _highlighting(),
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
    title = chapter.name.split("_", 1)[-1].replace("_", " ")
    shown = {"name": chapter.name, "status": chapter.status, "error": chapter.error, "title": title, "sections": []}
    shown |= {"blocks": [], "hidden": ""}
    if chapter.status == "not run" or not chapter.executed.is_file():
        return shown
    hidden: list[str] = []
    given: set[str] = set()
    for cell in json.loads(chapter.executed.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        tags = set(cell["metadata"].get("tags", []))
        if "papermill-error-cell-tag" in tags:
            continue
        if cell["cell_type"] == "markdown":
            text, headings = _markdown(source, prefix=chapter.name, given=given)
            shown["blocks"].append({"kind": "text", "html": text})
            for level, identifier, heading in headings:
                if level == 1:
                    shown["title"] = heading
                elif level == 2:
                    shown["sections"].append({"id": identifier, "title": heading})
        elif tags & _HIDDEN_TAGS and not _failed(cell):
            hidden.append(source)
        else:
            outputs = "".join(_output(output) for output in cell["outputs"])
            shown["blocks"].append({"kind": "code", "code": _highlighted(source), "html": outputs})
    if hidden:
        shown["hidden"] = _highlighted("\n\n".join(hidden))
    return shown


def _failed(cell: dict) -> bool:
    return any(output["output_type"] == "error" for output in cell["outputs"])


def _markdown(text: str, *, prefix: str, given: set[str]) -> tuple[str, list[tuple[int, str, str]]]:
    """Return HTML and its headings as (level, id, text); a notebook's first level is the page's second.

    An id that is in `given` gets a number behind it; new ones are added.
    """
    import mistune

    headings = []

    class Renderer(mistune.HTMLRenderer):
        def heading(self, text: str, level: int, **attributes: object) -> str:
            plain = re.sub(r"<[^>]+>", "", text)
            identifier = f"{_slug(prefix)}-{_slug(plain)}"
            name, number = identifier, 2
            while identifier in given:
                identifier, number = f"{name}-{number}", number + 1
            given.add(identifier)
            headings.append((level, identifier, html.unescape(plain)))
            # The chapter's own title is set by the template, beside its number.
            return "" if level == 1 else f'<h{level + 1} id="{identifier}">{text}</h{level + 1}>\n'

    rendered = mistune.create_markdown(renderer=Renderer(escape=True), plugins=["table"])(text)
    return rendered, headings


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


def _output(output: dict) -> str:
    """Return one output of a cell as HTML."""
    if output["output_type"] == "stream":
        return f'<pre class="stream">{html.escape(_plain("".join(output["text"])))}</pre>'
    if output["output_type"] == "error":
        trace = _plain("\n".join(output["traceback"]))
        return f'<pre class="traceback" role="alert">{html.escape(trace)}</pre>'
    data = output["data"]
    kind = next((kind for kind in _MIME_TYPES if kind in data), None)
    if kind is None:
        return ""
    content = "".join(data[kind])
    if kind == "text/html":
        return _tidy(content)
    if kind == "text/markdown":
        # What a cell says has no headings that a link would lead to, and chapters may say the same.
        said = re.sub(r'(<h\d) id="[^"]*"', r"\1", _markdown(content, prefix="said", given=set())[0])
        return f'<div class="said">{_unbroken(said)}</div>'
    if kind == "text/plain":
        return f'<pre class="stream">{html.escape(content.strip(chr(39)))}</pre>'
    details = output["metadata"].get(kind, {})
    alt = html.escape(details.get("alt", ""), quote=True)
    size = "".join(f' {side}="{int(details[side])}"' for side in ("width", "height") if side in details)
    if kind == "image/svg+xml":
        return f'<figure><div role="img" aria-label="{alt}">{content}</div></figure>'
    source = f"data:{kind};base64,{''.join(content.split())}"
    wide = ' class="wide"' if int(details.get("width", 0)) > _WIDE else ""
    return f'<figure><img src="{source}" alt="{alt}"{size}{wide}></figure>'


def _plain(text: str) -> str:
    """Return text without terminal colours, and of a rewritten line only what it ended as."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))


def _tidy(markup: str) -> str:
    """Return HTML of pandas without its own styles, columns of numbers marked, tables in a box that scrolls."""
    import bs4

    soup = bs4.BeautifulSoup(markup, "html.parser")
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
    return str(soup)


def _unbroken(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return re.sub(r"(?<=\d) %", "\u00a0%", text)


def _highlighted(code: str) -> str:
    import pygments
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return pygments.highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))


def _highlighting() -> str:
    """Return the colours of code, for light and for dark pages."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="friendly").get_style_defs("pre.code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(":root[data-theme=dark] pre.code")
    system = HtmlFormatter(style="github-dark").get_style_defs(":root:not([data-theme=light]) pre.code")
    return f"\n{light}\n{dark}\n@media (prefers-color-scheme: dark) {{\n{system}\n}}\n"
