"""Show things in a notebook: tables, sentences, figures with their numbers, and clips to listen to.

Names from data (of attacks, speakers, corpora, files) are text: whatever markup is in them is shown, not obeyed.
"""

import html
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib.data import audio
from dfdlib.errors import DataError
from dfdlib.evaluation.metrics import percent
from dfdlib.experiment.clips import TARGET
from dfdlib.experiment.places import NO_AUDIO
from dfdlib.experiment.run import STAGES, Run
from dfdlib.report import columns, plots
from dfdlib.report.sentences import unbroken

#: So many seconds of a clip are played and drawn, so that an hour of sound does not fill the page.
PLAYED = 30

#: So many characters an alternative text has at most.
LONGEST_ALT = 290

# Jupyter takes what is between dollars for a formula, but not below an element of these classes.
_LITERAL = "mathjax_ignore tex2jax_ignore"


def say(*sentences: str, run: Run | None = None, key: str = "findings") -> None:
    """Show sentences as text of the report, a paragraph each; with a run, keep them among its results under `key`."""
    if not sentences:
        return
    if run is not None:
        run.keep(**{key: list(sentences)})
    markup = "".join(f"<p>{unbroken(html.escape(sentence, quote=False))}</p>" for sentence in sentences)
    fragment(f'<div class="said {_LITERAL}">{markup}</div>', plain="\n\n".join(sentences))


def table(frame: pd.DataFrame, *, caption: str = "", formats: Mapping | None = None, folded: bool = False) -> None:
    """Show a table of numbers without its index, as `columns.formatted` writes it; folded, its caption until opened.

    ``formats`` has a format string by column, as "{:.1%}", where `columns.COLUMNS` has none or another is wanted.
    """
    frame = columns.formatted(frame, formats)
    styled = frame.style.format(escape="html").hide(axis="index")
    styled = styled.relabel_index([html.escape(str(title)) for title in frame.columns], axis="columns")
    styled = styled.set_caption(html.escape(caption)).set_table_attributes(f'class="{_LITERAL}"')
    markup = styled.to_html()
    if folded:
        summary = html.escape(caption or "A table")
        markup = f'<details class="{_LITERAL}"><summary>{summary}</summary>{markup}</details>'
    fragment(markup, plain=frame.to_string(index=False))


def draw(run: Run, name: str, *displays, caption: str = "") -> None:
    """Draw displays of one kind over each other, show the figure with its numbers below, and keep it in ``figures/``.

    Each display of `plots` takes the next colour, line and marker.
    """
    ax = None
    for display in displays:
        ax = display.plot(ax).ax_
    alt = _short(" ".join(display.alt() for display in displays))
    plots.show(displays[0].figure_, alt=alt, name=name, folder=run.figures, caption=caption)
    several = len(displays) > 1
    _fold({(display.name or name) if several else name: display.table() for display in displays})


def draw_panels(
    run: Run, name: str, panels: Mapping[str, Iterable], *, caption: str = "", summary: bool = False
) -> None:
    """Draw panels side by side, as one for each corpus: a title to displays of one kind.

    With `summary` it is the figure at the top of the page.
    """
    panels = {title: list(displays) for title, displays in panels.items()}
    whole, axes = plots.figure(columns=len(panels), width=4.1 * len(panels), height=5.1)
    alts, tables, parts = [], {}, {}
    for number, (ax, (title, displays)) in enumerate(zip(np.atleast_1d(axes).flat, panels.items(), strict=True), 1):
        parts[str(number)], alone = plots.figure(width=4.1, height=5.1)
        for place in (ax, alone):
            for display in displays:
                display.plot(place)
            place.set_title(title)
        alts += [f"{title}: {display.alt()}" for display in displays]
        tables |= {f"{title}, {display.name}": display.table() for display in displays}
    alt = _short(" ".join(alts), instead=_of_panels(panels))
    plots.show(whole, alt=alt, name=name, folder=run.figures, caption=caption, panels=parts)
    if summary:
        facts = {"name": name, "alt": alt, "caption": caption, "panels": list(parts)}
        run.keep(summary_figure=facts | {"numbers": _numbers(tables)})
    _fold(tables)


def _of_panels(panels: Mapping[str, list]) -> str:
    """Return a sentence about a figure with panels, with the EER or the Cllr of each series where it has one."""
    drawn = [(name, display) for name, displays in panels.items() for display in displays]
    titles = {getattr(type(display), "TITLE", "") for _, display in drawn}
    title = f"{titles.pop()}, a panel for each corpus" if len(titles) == 1 and "" not in titles else "Panels"
    eers = [f"{name} {display.name} ({percent(display.eer)})" for name, display in drawn if hasattr(display, "eer")]
    cllrs = [f"{display.name} ({display.cllr:.2f})" for _, display in drawn if hasattr(display, "cllr")]
    figures = "".join(
        f" {metric}: {', '.join(values)}." for metric, values in (("EER", eers), ("Cllr", cllrs)) if values
    )
    return f"{title}: {', '.join(panels)}.{figures}"


def _short(alt: str, *, instead: str = "") -> str:
    """Return an alternative text of at most `LONGEST_ALT` characters; the table behind the figure has the rest."""
    if len(alt) <= LONGEST_ALT:
        return alt
    more = " More in the table below the figure."
    text = instead or alt
    if len(text) > LONGEST_ALT - len(more):
        text = text[: LONGEST_ALT - len(more) - 2].rsplit(" ", 1)[0].rstrip(",;:.(") + " …"
    return text + more


def before_and_after(run: Run, display: type) -> dict[str, list]:
    """Return a display of each stage for every corpus, with its band and the threshold of validation clips."""
    panels = {}
    for name in run.corpora:
        panels[name] = []
        for stage in STAGES:
            scores, threshold = run.scores(stage, name), run.calibration_of(stage).threshold
            options = {"name": run.first_seed(stage, name), "threshold": threshold, "band": run.band(stage, name)}
            panels[name].append(display.from_scores(scores.labels, scores.values, **options))
    return panels


def evidence(run: Run) -> dict[str, list]:
    """Return a Tippett plot and an entropy plot of the calibrated scores of the first seed, a series a corpus."""
    panels = {"Tippett plot": plots.TippettDisplay, "Empirical cross-entropy": plots.EntropyDisplay}
    calibration = run.calibration_of("after")
    trials = {name: (scores.labels, calibration.llr(scores.values))
              for name, scores in ((name, run.scores("after", name)) for name in run.corpora)}  # fmt: skip
    return {
        f"{title} ({run.first_seed('after', TARGET)})": [
            display.from_llrs(*pair, name=name) for name, pair in trials.items()
        ]
        for title, display in panels.items()
    }


def draw_clips(run: Run, name: str, clips: pd.DataFrame, *, caption: str = "") -> None:
    """Draw the spectrogram of each clip of a table, side by side, or say why it cannot be drawn."""
    if clips.empty:
        say(f"There is nothing to hear: {NO_AUDIO}.")
        return
    size = {"width": 3.2, "height": 2.8}
    whole, axes = plots.figure(columns=len(clips), width=size["width"] * len(clips), height=size["height"])
    alts, parts = [], {}
    for number, (ax, clip) in enumerate(zip(np.atleast_1d(axes).flat, clips.itertuples(), strict=True), 1):
        parts[str(number)], alone = plots.figure(**size)
        wave, said = _beginning(clip.path)
        if wave is None:
            alts.append(f"{describe(clip)}{said}.")
            for place in (ax, alone):
                place.set_axis_off()
                place.text(0.5, 0.5, alts[-1], ha="center", va="center", wrap=True, parse_math=False)
        else:
            display = plots.SpectrogramDisplay.from_wave(wave, rate=audio.RATE, name=describe(clip))
            alts.append(display.alt())
            for place in (ax, alone):
                display.plot(place)
    named = f"Spectrograms of {len(clips)} clips: {'; '.join(map(describe, clips.itertuples()))}."
    alt = _short(" ".join(alts), instead=named)
    plots.show(whole, alt=alt, name=name, folder=run.figures, caption=caption, panels=parts)


def listen(clips: pd.DataFrame) -> None:
    """Show a player for each clip of a table, with its class, attack and speaker, or why it cannot be played."""
    from IPython.display import Audio

    for clip in clips.itertuples():
        wave, said = _beginning(clip.path)
        speaker = plots.shown(getattr(clip, "speaker", ""))
        file = plots.shown(Path(clip.path).name, width=120)
        caption = f"{describe(clip)}{', ' * bool(speaker)}{speaker}{f' – {file}' if wave is None else ''}{said}"
        title = f'<figcaption class="{_LITERAL}">{html.escape(caption)}</figcaption>'
        # Resampling takes loud clips a little beyond full scale, which the player refuses.
        player = "" if wave is None else Audio(wave.clip(-1, 1), rate=audio.RATE, normalize=False)._repr_html_()
        player = player.replace("<audio ", f'<audio aria-label="{html.escape(caption)}" ', 1)
        fragment(f'<figure class="clip" title="{html.escape(file)}">{title}{player}</figure>', plain=caption)


def describe(clip: object) -> str:
    """Return the class of a row of a corpus and, of a spoof, its attack."""
    attack = f": {plots.shown(clip.attack)}" if clip.attack else ""
    return "bona fide" if clip.label == 1 else f"spoof{attack}"


def _beginning(path: str) -> tuple[np.ndarray | None, str]:
    """Return what is heard and seen of a clip, at `audio.RATE`, and what to add to its name; no waveform if none."""
    length = PLAYED * audio.RATE
    try:
        start, *more = itertools.islice(audio.stream(path, rate=audio.RATE, block=length), 2)
    except (DataError, OSError) as error:
        return None, f": cannot be played ({error.reason if isinstance(error, DataError) else error.strerror})"
    return start, f" (the first {PLAYED} s)" if more else ""


def _fold(tables: Mapping[str, pd.DataFrame]) -> None:
    """Show tables below their figure, folded away until somebody wants the numbers."""
    summary = "The numbers"
    markup = f'<details class="numbers {_LITERAL}"><summary>{summary}</summary>{_numbers(tables)}</details>'
    fragment(markup, plain=summary)


def _numbers(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return tables as HTML, each with its title."""
    return "".join(
        table.to_html(
            index=False, border=0, float_format=lambda number: unbroken(f"{number:.4g}"), escape=True
        ).replace("<thead>", f"<caption>{html.escape(title)}</caption><thead>", 1)
        for title, table in tables.items()
    )


def fragment(markup: str, *, plain: str) -> None:
    """Show HTML, and what stands for it where there is none; a name that is not Unicode fits into no notebook."""
    from IPython.display import display

    texts = {"text/html": markup, "text/plain": plain}
    display({kind: text.encode("utf-8", "replace").decode("utf-8") for kind, text in texts.items()}, raw=True)
