"""Figures as part of a page: vectors whose colours follow the page, light or dark."""

import html
import re

_ATTRIBUTE = re.compile(r'\b(id|xlink:href|href)="(#?)([^"]*)"')
_REFERENCE = re.compile(r"(?:url\(#|href=\"#)([^)\"]+)")
_COLOUR = re.compile(r"#([0-9a-f]{6})\b")
_STYLE = re.compile(r'style="[^"]*"')
_DROPPED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<style\b.*?</style>", re.DOTALL)
_ROOT = re.compile(r"<svg\b[^>]*?viewBox=\"([^\"]*)\"[^>]*>")


def embedded(drawn: str, *, name: str, alt: str) -> str:
    """Return an SVG file of matplotlib as an element of an HTML page.

    Every colour becomes a variable of the stylesheet with the colour itself behind it, as
    ``var(--c-ffffff,#ffffff)``; what is not restyled looks as drawn. Names of its parts begin with `name`, which is
    unique on the page. ``alt`` is for whoever cannot see it.
    """
    text = _DROPPED.sub("", drawn)
    used = set(_REFERENCE.findall(text))

    def rename(match: re.Match) -> str:
        kind, hash_, value = match.groups()
        if kind == "id":
            return f'id="{name}-{value}"' if value in used else ""
        return f'href="#{name}-{value}"' if hash_ else f'{kind}="{value}"'

    text = _ATTRIBUTE.sub(rename, text).replace("url(#", f"url(#{name}-")
    text = _STYLE.sub(lambda match: _COLOUR.sub(r"var(--c-\1,#\1)", match[0]), text)
    found = _ROOT.search(text)
    if found is None:
        raise ValueError(f"{name}: is no SVG file of a figure")
    width = round(float(found[1].split()[2]))
    start = (
        f'<svg class="vector" xmlns="http://www.w3.org/2000/svg" viewBox="{found[1]}" role="img" '
        f'aria-label="{html.escape(alt)}" style="--w:{width}">'
    )
    return start + text[found.end() :].strip()
