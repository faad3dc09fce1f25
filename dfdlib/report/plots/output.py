"""Figures into notebooks and files."""

import base64
import io
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from dfdlib.errors import ParameterError
from dfdlib.files import atomic
from dfdlib.report.plots.look import style

#: Twice the size that a page shows a figure at, for sharp screens.
DPI = 200


def show(
    fig: Figure,
    *,
    alt: str,
    name: str | None = None,
    folder: str | Path | None = None,
    caption: str = "",
    panels: Mapping[str, Figure] | None = None,
) -> None:
    """Show a figure in the notebook with its alternative text, save it if asked, and close it.

    The figure gets a white ground with round corners, so that it stays legible on a dark page. Outside a
    notebook nothing is displayed; files are written all the same.

    Parameters
    ----------
    alt : str
        One sentence with the numbers, as a Display's ``alt()`` gives it.
    folder : str or Path, optional
        Where to write ``name.png`` and ``name.svg``; made if missing.
    caption : str
        For the page of the report, which numbers it.
    panels : mapping of str to Figure, optional
        The same figure in parts, which a narrow page stacks: written as ``name-part.svg``.
    """
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display

    if not alt.strip():
        raise ParameterError("alt is empty: say in one sentence what the figure shows, with its numbers")
    if folder is not None and not name:
        raise ParameterError(f"folder={str(folder)!r} without a name: name the figure's files")
    png = as_png(fig)
    if folder is not None:
        with atomic(Path(folder) / f"{name}.png", "wb") as file:
            file.write(png)
        for part, drawn in {"": fig, **{f"-{part}": drawn for part, drawn in (panels or {}).items()}}.items():
            with style(), atomic(Path(folder) / f"{name}{part}.svg", "wb") as file:
                entries = {"Date": None, "Title": f"{name}{part}", "Description": alt}
                drawn.savefig(file, format="svg", facecolor="none", metadata=entries)
    facts = {"alt": alt, "width": shown_width(fig), "name": name or "", "caption": caption}
    if InteractiveShell.initialized():
        data = {"image/png": base64.b64encode(png).decode("ascii"), "text/plain": alt}
        display(data, metadata={"image/png": facts | {"panels": list(panels or ())}}, raw=True)
    # Only pyplot keeps figures alive; a figure of `figure()` goes when its last reference does.
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)


def save(fig: Figure, path: str | Path, *, alt: str) -> None:
    """Write a figure with its alternative text to one file, whose name ends with .png, .svg or .pdf."""
    kind = Path(path).suffix.lower().lstrip(".")
    entries = {
        "png": {"Description": alt},
        "svg": {"Description": alt, "Date": None},
        "pdf": {"Subject": alt, "CreationDate": None},
    }
    if kind not in entries:
        endings = ", ".join(f".{one}" for one in entries)
        raise ParameterError(f"{path}: a figure's name must end with one of {endings}")
    with style(), atomic(path, "wb") as file:
        fig.savefig(file, format=kind, dpi=DPI, facecolor="white", metadata=entries[kind])


def shown_width(fig: Figure) -> int:
    """Return how wide a page shows a figure, in its pixels."""
    return round(fig.get_figwidth() * DPI / 2)


def as_png(fig: Figure) -> bytes:
    """Return a figure as it is shown on a page: PNG, on a white ground with round corners, legible on a dark page.

    Its palette of 256 colours takes a third of the bytes, and no difference can be seen.
    """
    from PIL import Image

    _ground(fig)
    drawn = io.BytesIO()
    with style():
        fig.savefig(drawn, format="png", dpi=DPI, facecolor="none")
    image = Image.open(drawn).convert("RGBA")
    sheet = Image.new("RGBA", image.size, "white")
    sheet.alpha_composite(image)
    reduced = sheet.convert("RGB").quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    # The first entry of the palette stands for the corners, where the page shows through.
    clear = np.asarray(image)[..., 3] < 128
    paletted = Image.fromarray(np.where(clear, 0, np.asarray(reduced) + 1).astype(np.uint8))
    paletted.putpalette([255, 255, 255, *reduced.getpalette()])
    buffer = io.BytesIO()
    paletted.save(buffer, format="PNG", optimize=True, transparency=0)
    return buffer.getvalue()


def _ground(fig: Figure) -> None:
    """Lay a white sheet with round corners under the figure, once."""
    if any(patch.get_gid() == "ground" for patch in fig.patches):
        return
    paint = {"facecolor": "white", "edgecolor": "none", "zorder": -10, "gid": "ground"}
    corners = {"boxstyle": "round,pad=0,rounding_size=0.1", "transform": fig.dpi_scale_trans}
    sheet = FancyBboxPatch((0, 0), *fig.get_size_inches(), **corners, **paint)
    sheet.set_in_layout(False)
    fig.add_artist(sheet, clip=False)
