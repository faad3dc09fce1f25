"""Assessments as HTML: verdicts side by side, score and timeline drawn, what was done to the file.

All of it is in the page itself: figures and sound are data, and whatever a file's name holds is text.
"""

import html
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from dfdlib.app.assessment import Assessment, Window
from dfdlib.app.basis import Basis
from dfdlib.app.rules import BONAFIDE, CHANNELS, SPOOF
from dfdlib.data import audio
from dfdlib.detector import explanation
from dfdlib.evaluation.metrics import percent, percent_range
from dfdlib.report import browser, page, plots
from dfdlib.report.plots.look import minus
from dfdlib.text import one_line

#: Of a long recording, so many passages can be played: more would be too narrow to touch on a phone.
_PASSAGES = 12
#: So many seconds of a clip are explained: each takes twenty windows.
EXPLAINED = 10

DEMONSTRATION = (
    "This detector is a demonstration: small, trained on the demo's clips alone. What it says of any other clip means "
    "nothing."
)


def refusal(name: str, reason: str) -> str:
    """Return why a file cannot be assessed."""
    return _block(f'<p class="said" role="alert"><strong>{_text(name)}</strong>: {_text(reason)}.</p>')


def clip(found: Sequence[tuple[Assessment, Basis]], wave: np.ndarray) -> str:
    """Return what detectors say of one clip, with figures; `wave`, shape (n_samples,), is at `audio.RATE`."""
    first = found[0][0]
    parts = [f"<h2>{_text(first.file)}</h2>"]
    if first.demonstration:
        parts.append(f'<p class="said">{DEMONSTRATION}</p>')
    parts.append(f'<div class="verdicts">{"".join(_verdict(*one) for one in found)}</div>')
    strange = [fact for fact in first.facts if fact.untested]
    if strange:
        rows = "".join(f"<li>{_text(f'{one.name}: {one.value} (tested: {one.tested})')}</li>" for one in strange)
        parts.append(f'<div class="said"><p>The detector was never tested on such clips:</p><ul>{rows}</ul></div>')
    words = {True: "never tested", False: "tested", None: "not known"}
    rows = [(fact.name, fact.value, fact.tested, words[fact.untested]) for fact in first.facts]
    table = _table(("", "This clip", "Clips it was tested on", ""), rows)
    what = f"<summary>What was done to the file</summary><p>{_text(first.done)}</p>{table}"
    return _block("".join([*parts, _timeline(first, wave), f"<details>{what}</details>"]))


def occlusion(wave: np.ndarray, basis: Basis, *, channel: str) -> str:
    """Return which parts of a clip its score rests on, drawn where a deletion curve says that the picture is faithful.

    `wave`, shape (n_samples,), is at the rate of the preprocessing; only `EXPLAINED` seconds of it are looked at.
    """
    how, scale = basis.preprocessing, basis.scales.get(channel)
    wave = wave[: EXPLAINED * how.rate]
    found = explanation.explain(wave, basis.scorer, preprocessing=how)
    curve = explanation.deletion(wave, found, basis.scorer, preprocessing=how).mean()
    costs = f"{curve['ordered']:.2f} of the score, hiding as many at random {curve['random']:.2f}"
    said = f"{basis.name}: hiding the parts that seem to matter costs the decision {costs}"
    if not curve["ordered"] > curve["random"]:
        return _block(f"<p>{_text(said)}. A picture would mislead, and is not shown.</p>")
    cells = found.table(slope=scale.calibration.slope if scale else 1.0)
    display = plots.OcclusionDisplay.from_cells(wave, cells, rate=how.rate, unit="LLR" if scale else "score").plot()
    caption = f"<figcaption>{_text(said)}.</figcaption>"
    return _block(f"<figure>{_image(display.figure_, display.alt())}{caption}</figure>")


def probabilities(found: Iterable[Assessment], share: float) -> str:
    """Return the probability of bona fide by each detector where a share of the clips is spoofed."""
    rows = []
    for one in found:
        chance = one.probability(share)
        said = "not known without a calibration"
        if chance is not None:
            said = f"{percent(chance.value)} ({percent_range(chance.low, chance.high)})"
        rows.append(f"<li>{_text(one.detector)}: bona fide with a probability of {said}</li>")
    where = f"Where {percent(share, 0)} of clips are spoofed:"
    return _block(f"<p>{where}</p><ul>{''.join(rows)}</ul>" if rows else "<p>Give a clip first.</p>")


def about(bases: Sequence[Basis], summary: Mapping | None) -> str:
    """Return what each detector is, and its errors on the corpora of a report."""
    parts = []
    for one in bases:
        parts.append(f"<h2>{_text(one.name)}</h2>")
        if one.demonstration:
            parts.append(f'<p class="said">{DEMONSTRATION}</p>')
        known = [f"{name} ({CHANNELS[name]})" for name in one.scales]
        parts.append(f"<p>Calibrated for: {_text(', '.join(known) or 'no channel')}.</p>")
    if summary:
        measured = summary["evaluations"]
        order = list(dict.fromkeys(row["corpus"] for row in measured))
        rows = [
            [row["corpus"], row["when"], percent(row["eer"]), percent_range(*row["eer_ci"]), f"{row['auc']:.3f}"]
            for row in sorted(measured, key=lambda row: (order.index(row["corpus"]), row["when"] != "before"))
        ]
        heads = ("Corpus", "Fine-tuning", "Equal error rate", "95 % interval", "AUC")
        parts.append(f"<h2>Errors measured by the report</h2>{_table(heads, rows)}")
    else:
        parts.append("<p>Its errors are not known here: <code>dfd report</code> has not been run to its end.</p>")
    parts.append(
        "<h2>Limits</h2><p>A detector knows the kinds of speech and of synthesis that it was trained and tested on. "
        "“Cannot tell” is an answer: the score is weak, or unlike those that were calibrated on. No answer is proof; "
        "how probable a spoof is depends on where the clip comes from, which no detector hears.</p>"
    )
    return _block("".join(parts))


def warned(lines: Iterable[tuple[str, str]]) -> str:
    """Return what scores of many files say of them as a whole, by detector."""
    return _block("".join(f'<p class="said">{_text(name)}: {_text(words)}</p>' for name, words in lines))


def left_out(rows: Iterable[tuple[str, str]]) -> str:
    """Return the files that were not scored, with reasons."""
    rows = list(rows)
    return _block(f"<h2>Left out</h2>{_table(('File', 'Reason'), rows)}") if rows else ""


def _verdict(one: Assessment, basis: Basis) -> str:
    kind = {BONAFIDE: "bonafide", SPOOF: "spoof"}.get(one.outcome, "unknown")
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in one.reasons)
    range_ = ""
    if one.llr is not None:
        low, value, high = (minus(f"{end:+.2f}") for end in (one.llr.low, one.llr.value, one.llr.high))
        range_ = f"; log-likelihood ratio {value} ({low} to {high})"
    return (
        f'<article class="{kind}"><h3>{_text(one.detector)}</h3><p class="outcome">{one.outcome.capitalize()}</p>'
        f"{f'<ul>{reasons}</ul>' if reasons else ''}<p>{_text(one.evidence)}</p>"
        f"<p>Score {minus(f'{one.score:.2f}')}{range_}. Higher means bona fide.</p>"
        f"{_distribution(one, basis)}</article>"
    )


def _distribution(one: Assessment, basis: Basis) -> str:
    """Draw a score where those of validation clips lie."""
    scale = basis.scales.get(one.channel)
    if scale is None:
        return ""
    fitted = scale.calibration
    labels = np.repeat([1, 0], [len(fitted.bonafide), len(fitted.spoof)])
    display = plots.ScoreDisplay.from_scores(labels, [*fitted.bonafide, *fitted.spoof])
    figure, ax = plots.figure(width=4.9, height=2.6)
    display.plot(ax)
    ax.axvline(one.score, color="black", linewidth=2.5, label="this clip")
    ax.legend(loc="best")
    alt = f"The score of this clip, {one.score:.2f}, among those of validation clips. {display.alt()}"
    return f"<figure>{_image(figure, alt)}</figure>"


def _passages(one: Assessment) -> list[tuple[float, float, Window]]:
    """Cut a recording into as many stretches as can be touched, in seconds, each with its lowest window."""
    middles = [(window.start + window.end) / 2 for window in one.windows]
    borders = [0.0, *((a + b) / 2 for a, b in itertools.pairwise(middles)), one.windows[-1].end]
    found = []
    for rows in np.array_split(np.arange(len(middles)), min(_PASSAGES, len(middles))):
        lowest = min((one.windows[row] for row in rows), key=lambda window: window.score)
        found.append((borders[rows[0]], borders[rows[-1] + 1], lowest))
    return found


def _timeline(one: Assessment, wave: np.ndarray) -> str:
    """Draw the spectrogram and, of a long clip, the scores of its windows below, each of which can be played."""
    spectrogram = plots.SpectrogramDisplay.from_wave(wave, rate=audio.RATE)
    if not one.windows:
        figure, ax = plots.figure(width=8, height=3.4)
        spectrogram.plot(ax)
        note = "<figcaption>The clip is one window: there is no timeline.</figcaption>"
        return f"<figure>{_image(figure, spectrogram.alt())}{note}</figure>"
    figure, axes = plots.figure(rows=2, width=8, height=6.6)
    upper, lower = axes[:, 0]
    spectrogram.plot(upper)
    columns = zip(*((window.start, window.end, window.score) for window in one.windows), strict=True)
    timeline = plots.TimelineDisplay.from_windows(*columns).plot(lower)
    image = _image(figure, f"{spectrogram.alt()} {timeline.alt()}")
    box, top = lower.get_position(), upper.get_position().y1
    found, total = _passages(one), one.windows[-1].end
    lowest = min((window for *_, window in found), key=lambda window: window.score)
    buttons = "".join(
        f'<button type="button"{" class=marked" if window is lowest else ""} '
        f'style="left:{100 * (box.x0 + box.width * start / total):.2f}%;top:{100 * (1 - top):.2f}%;'
        f"width:{100 * box.width * (end - start) / total:.2f}%;"
        f'height:{100 * (top - box.y0):.2f}%;background:none" '
        f'aria-label="Play {window.start:.1f} to {window.end:.1f} s, score {window.score:.2f}'
        f'{", the lowest" if window is lowest else ""}" onclick="{_play(window.start, window.end)}"></button>'
        for start, end, window in found
    )
    caption = (
        f"Scores of windows of {one.windows[0].end - one.windows[0].start:.1f} s by {_text(one.detector)}; press on a "
        "passage to hear it, the lowest is marked. They are not calibrated: no verdict belongs to a window."
    )
    sound = page.data_uri("audio/mpeg", browser.mp3(wave))
    player = f'<audio controls preload="auto" aria-label="The clip" src="{sound}"></audio>'
    return (
        f'<figure><div class="pan"><div class="plot">{image}{buttons}</div></div>{player}'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _play(start: float, end: float) -> str:
    return (
        f"const a=this.closest('figure').querySelector('audio');a.currentTime={start:.3f};"
        f"a.ontimeupdate=()=>{{if(a.currentTime>={end:.3f}){{a.pause();a.ontimeupdate=null}}}};a.play()"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f'<th scope="col">{_text(one)}</th>' if one else "<td></td>" for one in heads)
    body = "".join(
        f'<tr><th scope="row">{_text(first)}</th>{"".join(f"<td>{_text(one)}</td>" for one in rest)}</tr>'
        for first, *rest in rows
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _image(figure: Figure, alt: str) -> str:
    drawn = io.BytesIO()
    with plots.style():
        figure.savefig(drawn, format="svg", facecolor="white", metadata={"Date": None})
    return f'<img alt="{html.escape(alt)}" src="{page.data_uri("image/svg+xml", drawn.getvalue())}">'


def _block(markup: str) -> str:
    return f'<div class="dfd">{markup}</div>'


def _text(text: object) -> str:
    return html.escape(one_line(str(text)))
