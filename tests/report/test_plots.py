import base64
import inspect
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from scipy.special import ndtr, ndtri
from seaborn.utils import relative_luminance

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import calibration, intervals, metrics
from dfdlib.evaluation.intervals import Difference
from dfdlib.report import plots
from dfdlib.report.plots import look

TRAINING = [0.7, 0.5, 0.3, 0.2]
VALIDATION = [0.72, 0.55, 0.40, 0.41]
CHANGES = {
    "source": Difference(0.10, 0.1027, 0.0027, -0.0055, 0.0119),
    "for-2seconds": Difference(0.3327, 0.1176, -0.2151, -0.24, -0.19),
}


# Every two seconds a window of four, all at 3 but for five in the second minute.
STARTS = np.arange(100) * 2.0
WINDOWS = (STARTS, STARTS + 4, np.where((STARTS >= 80) & (STARTS <= 88), -4.0, 3.0) - (STARTS == 84))


@pytest.fixture
def trials():
    rng = np.random.default_rng(4)
    labels = np.repeat([1, 0], [300, 200])
    return labels, rng.normal(size=500) + 1.5 * labels


@pytest.fixture
def attacks(trials):
    labels, _ = trials
    return np.where(labels == 1, "bonafide", np.resize(["piper", "world"], labels.size))


@pytest.fixture
def wave():
    time = np.arange(16_000) / 16_000
    return (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)


ATTACKS = pd.DataFrame(
    {
        "corpus": ["source", "custom", "source"],
        "attack": ["piper", "piper", "world"],
        "n_spoof": [40, 30, 1200],
        "before": [0.105, 0.0, 0.62],
        "after": [0.02, 0.3, np.nan],
    }
)


#: Of 0.5 s: what hiding each of ten parts changes.
CELLS = pd.DataFrame(
    [
        (start, start + 0.25, low, high)
        for start in (0, 0.25)
        for low, high in pairwise([0, 500, 1000, 2000, 4000, 8000])
    ],
    columns=["start", "end", "low", "high"],
).assign(change=[0, 0, 0, 0, 0, 0, 2.5, 0, 0, -1.0])


def occlusion(wave, name):
    return plots.OcclusionDisplay.from_cells(wave, CELLS, rate=16_000, name=name)


@pytest.fixture
def fitted(trials):
    return calibration.fit(*trials)


KINDS = (
    "det roc carried-det carried-roc score score-by-attack curve forest heatmap "
    "reliability tippett entropy spectrogram timeline occlusion"
).split()


@pytest.fixture(params=KINDS)
def display(request, trials, attacks, wave):
    def carried(kind):
        band = intervals.curve_band(*trials, resamples=100)
        return kind.from_scores(*trials, name="after", threshold=2.0, band=band)

    return {
        "carried-det": lambda: carried(plots.DetDisplay),
        "carried-roc": lambda: carried(plots.RocDisplay),
        "heatmap": lambda: plots.AttackHeatmapDisplay.from_table(ATTACKS, columns=["before", "after"]),
        "reliability": lambda: plots.ReliabilityDisplay.from_llrs(*trials),
        "tippett": lambda: plots.TippettDisplay.from_llrs(*trials, name="after"),
        "entropy": lambda: plots.EntropyDisplay.from_llrs(*trials, name="after"),
        "det": lambda: plots.DetDisplay.from_scores(*trials, name="after"),
        "roc": lambda: plots.RocDisplay.from_scores(*trials, name="after"),
        "score": lambda: plots.ScoreDisplay.from_scores(*trials, threshold=0.7),
        "score-by-attack": lambda: plots.ScoreDisplay.from_scores(*trials, attacks=attacks),
        "curve": lambda: plots.CurveDisplay.from_losses(TRAINING, VALIDATION),
        "forest": lambda: plots.ForestDisplay.from_differences(CHANGES),
        "spectrogram": lambda: plots.SpectrogramDisplay.from_wave(wave, rate=16_000, name="tone"),
        "timeline": lambda: plots.TimelineDisplay.from_windows(*WINDOWS, name="talk"),
        "occlusion": lambda: occlusion(wave, "talk"),
    }[request.param]()


# --- what all displays share ---


def test_a_display_draws_on_the_axes_it_is_given_and_returns_itself(display):
    fig, axes = plots.figure(columns=2)
    assert display.plot(axes[0, 1]) is display
    assert display.ax_ is axes[0, 1]
    assert display.figure_ is fig
    assert axes[0, 1].has_data()
    assert not axes[0, 0].has_data()
    assert axes[0, 1].get_xlabel()


def test_a_display_makes_its_own_figure_and_leaves_settings_alone(display):
    mpl.get_backend()  # which is found out, and so noted, when it is first asked for
    before = mpl.rcParams.copy()
    display.plot()
    assert display.ax_.has_data()
    assert dict(mpl.rcParams) == dict(before)


def test_every_display_has_a_sentence_and_a_short_table(display):
    of_recording = isinstance(display, plots.SpectrogramDisplay | plots.TimelineDisplay | plots.OcclusionDisplay)
    sentence = display.alt()
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert any(character.isdigit() for character in sentence)
    assert of_recording or 1 <= len(display.table()) <= 30


@pytest.mark.parametrize(
    "display", ["carried-det", "score", "forest", "heatmap", "tippett", "entropy", "spectrogram"], indirect=True
)
def test_show_writes_small_files_whose_bytes_repeat(display, tmp_path):
    for folder in ("a", "b"):
        display.plot()
        plots.show(display.figure_, alt=display.alt(), name="figure", folder=tmp_path / folder)
    for ending in ("png", "svg"):
        first, second = (tmp_path / folder / f"figure.{ending}" for folder in "ab")
        assert first.read_bytes() == second.read_bytes()
        assert sorted(path.name for path in first.parent.iterdir()) == ["figure.png", "figure.svg"]
    image = Image.open(tmp_path / "a" / "figure.png").convert("RGBA")
    assert (tmp_path / "a" / "figure.png").stat().st_size < 80_000
    assert image.size == tuple((display.figure_.get_size_inches() * 200).round())
    assert image.getpixel((0, 0))[3] == 0  # the corner is round
    assert image.getpixel((image.width // 2, 3)) == (255, 255, 255, 255)  # the sheet is white
    assert display.alt().split(":")[0] in (tmp_path / "a" / "figure.svg").read_text()


NASTY = [
    "$\\frac{1}$",
    "a_b^c$ 100 % \\alpha {x}",
    "<img src=x>",
    "two\nlines\ttab",
    "\u0633\u0644\u0627\u0645",
    "\U0001f600",
    "_hidden",
    "x" * 300,
    "not unicode \udcff",
]


def drawn_texts(figure):
    return [text for text in figure.findobj(Text) if text.get_text()]


def names_are_text(figure, names):
    texts = drawn_texts(figure)
    for name in names:
        start = name.split("\n")[0][:10].rstrip("\udcff")
        found = [text for text in texts if start in text.get_text()]
        assert found
        assert all(len(line) < 120 for text in found for line in text.get_text().split("\n"))
    assert not any(text.get_parse_math() for text in texts)


def named(kind, names, trials, wave):
    """Return displays to be drawn over each other that hold names wherever their kind shows some."""
    labels, scores = trials
    if kind == "score":
        attacks = np.where(labels == 1, "bonafide", np.resize(np.array(names, object), labels.size))
        return [plots.ScoreDisplay.from_scores(labels, scores, attacks=attacks, name="\n".join(names))]
    if kind == "forest":
        return [plots.ForestDisplay.from_differences(dict.fromkeys(names, CHANGES["source"]))]
    if kind == "heatmap":
        names = [name for name in names if "\udcff" not in name]  # which no table holds
        table = pd.DataFrame({"corpus": names, "attack": names, "n_spoof": 3} | dict.fromkeys(names, 0.2))
        return [plots.AttackHeatmapDisplay.from_table(table, columns=names)]
    make = {
        "det": lambda name: plots.DetDisplay.from_scores(labels, scores, name=name, threshold=1.0),
        "reliability": lambda name: plots.ReliabilityDisplay.from_llrs(labels, scores, name=name),
        "tippett": lambda name: plots.TippettDisplay.from_llrs(labels, scores, name=name),
        "entropy": lambda name: plots.EntropyDisplay.from_llrs(labels, scores, name=name),
        "spectrogram": lambda name: plots.SpectrogramDisplay.from_wave(wave, rate=16_000, name=name),
        "timeline": lambda name: plots.TimelineDisplay.from_windows(*WINDOWS, name=name),
    }[kind]
    return [make(name) for name in names]


# A figure of each kind holds all of them, but for these, whose title is the name of one recording.
ONE_NAME = ("spectrogram", "timeline")


@pytest.mark.parametrize("kind", ["det", "score", "forest", "heatmap", "reliability", "tippett", "entropy", *ONE_NAME])
@pytest.mark.filterwarnings("error::UserWarning")
def test_names_from_data_are_text_and_nothing_else(kind, trials, wave, tmp_path):
    displays = named(kind, NASTY, trials, wave)
    for ax in (None, Figure().subplots()):  # which was made elsewhere
        for number, display in enumerate(displays):
            ax = display.plot(ax).ax_
            assert "\n" not in display.alt()
            if kind in ONE_NAME:
                names_are_text(ax.figure, NASTY[number : number + 1])
        if kind not in ONE_NAME:
            # No table holds what is not Unicode.
            names_are_text(ax.figure, [name for name in NASTY if kind != "heatmap" or "\udcff" not in name])
    display.plot()
    display.ax_.set_title("\n".join(NASTY).encode("utf-8", "replace").decode())
    alt = " ".join(display.alt() for display in displays)
    plots.show(display.figure_, alt=alt, name="figure", folder=tmp_path)
    ElementTree.parse(tmp_path / "figure.svg")
    plots.save(display.figure_, tmp_path / "figure.pdf", alt=alt)


def test_a_name_with_an_underscore_first_is_in_the_legend(trials):
    display = plots.DetDisplay.from_scores(*trials, name="_hidden").plot()
    assert "_hidden: EER" in display.ax_.get_legend().get_texts()[0].get_text()


def test_an_attack_that_is_called_bona_fide_stays_a_spoof(trials, attacks):
    named = np.where(attacks == "piper", "bona fide", attacks)
    table = plots.ScoreDisplay.from_scores(*trials, attacks=named).table()
    assert table["n"].tolist() == [300, 100, 100]


# --- each by itself ---


def test_det_axes_are_normal_deviates_and_name_the_classes(trials):
    display = plots.DetDisplay.from_scores(*trials, name="after").plot()
    curve = metrics.tally(*trials)
    far, frr = curve.far, curve.frr
    line = display.ax_.lines[0]
    inside = (far > 0) & (far < 1) & (frr > 0) & (frr < 1)
    drawn = {(round(x, 9), round(y, 9)) for x, y in line.get_xydata()}
    assert drawn <= {(round(x, 9), round(y, 9)) for x, y in ndtri(np.clip([far, frr], 1e-5, 1 - 1e-5)).T}
    assert len(drawn) < inside.sum()  # points on a straight step are left out
    assert "spoof taken for bona fide" in display.ax_.get_xlabel()
    assert "bona fide taken for spoof" in display.ax_.get_ylabel()
    equal = metrics.eer(*trials).value
    (marker,) = (line for line in display.ax_.lines if line.get_gid() == "eer")
    assert marker.get_xydata()[0] == pytest.approx(ndtri([equal, equal]))
    low, high = display.ax_.get_xlim()
    assert low < ndtri(equal) < high


@pytest.mark.parametrize("kind", [plots.DetDisplay, plots.RocDisplay])
def test_curves_on_one_axes_differ_in_colour_line_and_marker(kind, trials):
    labels, scores = trials
    _, ax = plots.figure()
    for name, noise in (("before", 1.0), ("after", 0.0), ("third", 0.5)):
        kind.from_scores(labels, scores + noise * np.sin(np.arange(500)), name=name).plot(ax)
    curves = [line for line in ax.lines if line.get_gid() in ("det", "roc")]
    assert len({line.get_color() for line in curves}) == 3
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in curves}) == 3
    markers = [line.get_marker() for line in ax.lines if line.get_marker() not in ("None", None)]
    assert len(set(markers)) == 3
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(texts) == 3
    equal = metrics.eer(*trials).value
    assert texts[1].startswith("after: ")
    assert len({line.get_marker() for line in ax.get_legend().get_lines()}) == 3
    assert texts[1].endswith(f"EER {100 * equal:.2f} %")


@pytest.mark.parametrize("height", [4.7, 5.1, 5.6])
@pytest.mark.parametrize("kind", [plots.DetDisplay, plots.RocDisplay])
def test_title_and_legend_of_a_square_frame_are_inside_the_figure(kind, height, trials, tmp_path):
    figure, ax = plots.figure(width=4.1, height=height)
    for name in ("before", "after"):
        kind.from_scores(*trials, name=name, threshold=0.3).plot(ax)
    ax.set_title("for-2seconds")
    plots.save(figure, tmp_path / "figure.svg", alt="A.")
    texts = [one.get_window_extent(figure._get_renderer()) for one in (ax.title, ax.get_legend())]
    assert max(box.y1 for box in texts) < figure.bbox.height
    assert min(box.y0 for box in texts) > 0


def test_det_range_holds_every_curve(trials):
    labels, scores = trials
    _, ax = plots.figure()
    plots.DetDisplay.from_scores(labels, -scores).plot(ax)
    high = ax.get_xlim()[1]
    plots.DetDisplay.from_scores(labels, scores).plot(ax)
    assert ax.get_xlim()[1] == high
    assert ax.get_xlim() == ax.get_ylim()


# Scores of a bona fide clip and of a spoof, the corners of their curve as (FAR, FRR), and their equal error rate.
EXTREMES = {
    "perfect": ([2.0, 1.0], [(1, 0), (0, 0), (0, 1)], 0.0),
    "upside down": ([1.0, 2.0], [(1, 0), (1, 1), (0, 1)], 1.0),
    "tied": ([1.0, 1.0], [(1, 0), (0, 1)], 0.5),
}


@pytest.mark.parametrize("case", EXTREMES)
@pytest.mark.parametrize("kind", [plots.DetDisplay, plots.RocDisplay])
def test_extremes_are_drawn_where_they_belong(kind, case):
    scores, corners, equal = EXTREMES[case]
    ax = kind.from_scores([1, 0], scores).plot().ax_

    def places(rates):
        far, frr = np.transpose(rates).astype(float)
        if kind is plots.RocDisplay:
            return np.transpose([100 * far, 100 * (1 - frr)])
        return np.transpose(ndtri(np.clip([far, frr], 1e-5, 1 - 1e-5)))  # 0 and 1 lie at infinity

    (line,) = (line for line in ax.lines if line.get_gid() in ("det", "roc"))
    assert {tuple(place) for place in line.get_xydata()} == {tuple(place) for place in places(corners)}
    (end,) = np.clip(places([(equal, equal)]), *ax.get_xlim())
    assert [*marks(ax, "eer"), *arrows(ax)] == [pytest.approx(end)]  # the EER, or an arrow to it, is in the frame
    assert ax.get_xlim()[0] < ax.get_xlim()[1]


@pytest.mark.parametrize("case", EXTREMES)
def test_histograms_of_extremes_hold_their_score(case):
    scores, _, _ = EXTREMES[case]
    ax = plots.ScoreDisplay.from_scores([1, 0], scores).plot().ax_
    for area, score in zip(ax.collections, scores, strict=True):
        x, y = area.get_paths()[0].vertices.T
        assert abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2 == pytest.approx(1)  # each is a density
        assert x[y > 0].min() <= score <= x[y > 0].max()
        assert ax.get_xlim()[0] < score < ax.get_xlim()[1]
        assert y.max() < ax.get_ylim()[1]


def test_line_options_win(trials):
    display = plots.RocDisplay.from_scores(*trials).plot(color="black", linewidth=5, label="mine")
    assert display.ax_.lines[0].get_color() == "black"
    assert display.ax_.get_legend().get_texts()[0].get_text() == "mine"


@pytest.mark.parametrize("kind", [plots.DetDisplay, plots.RocDisplay])
def test_a_carried_threshold_is_marked_and_named(kind, trials):
    far, frr = metrics.error_rates(*trials, threshold=2.0)
    display = kind.from_scores(*trials, threshold=2.0).plot()
    (marker,) = (line for line in display.ax_.lines if line.get_gid() == "carried")
    expected = ndtri([far, frr]) if kind is plots.DetDisplay else [100 * far, 100 * (1 - frr)]
    assert marker.get_xydata()[0] == pytest.approx(expected)
    assert marker.get_markerfacecolor() == "white"
    figures = f"FAR {100 * far:.1f} %, FRR {100 * frr:.1f} %"
    assert figures in display.ax_.get_legend().get_texts()[0].get_text()
    assert "hollow: carried threshold" in display.ax_.get_legend().get_title().get_text()
    assert f"at the carried threshold a false acceptance rate of {100 * far:.1f} %" in display.alt()
    for ends, value in zip((display.ax_.get_xlim(), display.ax_.get_ylim()), expected, strict=True):
        assert ends[0] < value < ends[1]


def marks(ax, gid):
    """Return the places of the marks of a kind that are drawn."""
    return [tuple(line.get_xydata()[0]) for line in ax.lines if line.get_gid() == gid and line.get_visible()]


def arrows(ax):
    """Return the places at the edge that arrows point to."""
    return [tuple(text.xy) for text in ax.texts if text.get_gid() == "beyond"]


@pytest.mark.parametrize("threshold", [-100.0, 100.0])
def test_a_threshold_without_errors_of_one_kind_is_marked_where_it_is(threshold, trials):
    far, frr = metrics.error_rates(*trials, threshold=threshold)
    roc = plots.RocDisplay.from_scores(*trials, threshold=threshold).plot()
    assert marks(roc.ax_, "carried") == [(100 * far, 100 * (1 - frr))]
    # On normal deviates 0 and 1 lie at infinity: no mark that would state another rate, but an arrow that leads there.
    det = plots.DetDisplay.from_scores(*trials, threshold=threshold).plot()
    assert marks(det.ax_, "carried") == []
    assert arrows(det.ax_) == [tuple(det.ax_.get_xlim()[int(rate)] for rate in (far, frr))]
    assert "arrow: beyond the frame" in det.ax_.get_legend().get_title().get_text()


def test_marks_stay_at_their_rates_when_a_later_curve_moves_the_frame(trials):
    labels, scores = trials
    first = plots.DetDisplay.from_scores(labels, scores, threshold=100.0).plot()
    ax = first.ax_
    narrow = ax.get_xlim()
    second = plots.DetDisplay.from_scores(labels, -scores, threshold=-1.0).plot(ax)
    wide = ax.get_xlim()
    assert wide[1] > narrow[1]
    assert arrows(ax) == [(wide[0], wide[1])]  # of FAR 0 and FRR 1, at the edges that hold for both curves
    expected = [ndtri(second.carried)]
    assert np.allclose(marks(ax, "carried"), expected)
    assert np.allclose(marks(ax, "eer"), [[ndtri(one.eer)] * 2 for one in (first, second)])
    # the other way round it is the same figure
    again = plots.DetDisplay.from_scores(labels, -scores, threshold=-1.0).plot().ax_
    plots.DetDisplay.from_scores(labels, scores, threshold=100.0).plot(again)
    assert again.get_xlim() == wide
    assert sorted(marks(again, "eer")) == sorted(marks(ax, "eer"))
    assert arrows(again) == arrows(ax)


def test_a_perfect_detector_has_no_mark_at_a_rate_that_it_does_not_have():
    labels = np.repeat([1, 0], 5)
    ax = plots.DetDisplay.from_scores(labels, labels.astype(float)).plot().ax_
    assert marks(ax, "eer") == []
    assert arrows(ax) == [(ax.get_xlim()[0], ax.get_ylim()[0])]
    assert (
        plots.RocDisplay.from_scores(labels, labels.astype(float)).plot().ax_.get_legend().get_title().get_text() == ""
    )


@pytest.mark.parametrize("kind", [plots.DetDisplay, plots.RocDisplay])
def test_a_band_lies_around_its_curve(kind, trials):
    band = intervals.Band(np.array([0.01, 0.1, 0.5]), np.array([0.3, 0.1, 0.0]), np.array([0.6, 0.3, 0.1]))
    display = kind.from_scores(*trials, band=band).plot()
    (area,) = display.ax_.collections
    corners = area.get_paths()[0].vertices
    if kind is plots.DetDisplay:
        expected = ndtri([[0.1, 0.1], [0.1, 0.3]])
        assert "(interval there 10.0 % to 30.0 %)" in display.alt()
    else:
        expected = [[10, 90], [10, 70]]
        assert "(interval there 70.0 % to 90.0 %)" in display.alt()
    for corner in expected:
        assert np.abs(corners - corner).sum(axis=1).min() < 1e-9


def test_det_ticks_keep_their_distance():
    labels = np.repeat([1, 0], 5000)
    display = plots.DetDisplay.from_scores(labels, labels + np.random.default_rng(0).normal(size=10_000), threshold=9.0)
    display.plot()
    (low, high), ticks = display.ax_.get_xlim(), display.ax_.get_xticks()
    assert np.diff(ticks).min() > 0.05 * (high - low)
    texts = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert [float(text) / 100 for text in texts] == pytest.approx(ndtr(ticks))


def test_sentences_carry_the_numbers(trials):
    equal, area = metrics.eer(*trials).value, metrics.auc(*trials)
    det, roc = (kind.from_scores(*trials, name="after") for kind in (plots.DetDisplay, plots.RocDisplay))
    for sentence in (det.alt(), roc.alt()):
        assert f"equal error rate {100 * equal:.2f} %" in sentence
        assert "of after on 300 bona fide and 200 spoof trials" in sentence
    assert f"area under the curve {area:.4f}" in roc.alt()
    labels, scores = trials
    median = np.median(scores[labels == 1])
    assert f"bona fide median {median:.2f} (" in plots.ScoreDisplay.from_scores(*trials).alt()


def test_tables_of_curves_are_operating_points(trials):
    for row in plots.DetDisplay.from_scores(*trials).table().itertuples(index=False):
        limit, far, frr, threshold = row
        assert far <= limit
        assert metrics.error_rates(*trials, threshold=threshold) == pytest.approx((far / 100, frr / 100))
    for row in plots.RocDisplay.from_scores(*trials).table().itertuples(index=False):
        limit, fpr, tpr, threshold = row
        assert fpr <= limit
        assert metrics.error_rates(*trials, threshold=threshold) == pytest.approx((fpr / 100, 1 - tpr / 100))


def test_scores_by_attack_have_a_row_each(trials, attacks):
    display = plots.ScoreDisplay.from_scores(*trials, attacks=attacks, threshold=0.5).plot()
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["bona fide", "piper", "world"]
    assert display.table()["group"].tolist() == ["bona fide", "piper", "world"]
    assert display.table()["n"].tolist() == [300, 100, 100]
    far, frr = metrics.error_rates(*trials, threshold=0.5)
    assert (
        f"threshold at 0.50, which accepts {100 * (1 - frr):.1f} % of bona fide and {100 * far:.1f} % of spoof trials"
        in display.alt()
    )
    with pytest.raises(DataError, match="2 attacks but 500 trials"):
        plots.ScoreDisplay.from_scores(*trials, attacks=["a", "b"])


def test_losses_beside_a_published_run():
    published = {"training": [0.9, 0.5, 0.1, 0.1, 0.05], "validation": [0.6, 0.7, 0.2, 0.3, 0.4]}
    display = plots.CurveDisplay.from_losses(TRAINING, VALIDATION, published=published, name="fine-tuning").plot()
    labels = display.ax_.get_legend_handles_labels()[1]
    assert {"training", "validation", "training, as published", "validation, as published"} <= set(labels)
    assert display.best == 2
    assert "lowest validation loss 0.4000 in epoch 3; the published run reached 0.2000 in epoch 3" in display.alt()
    table = display.table()
    assert table["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert table["training"].isna().tolist() == [False] * 4 + [True]


def test_losses_must_match():
    with pytest.raises(DataError, match="4 training losses, 3 validation losses"):
        plots.CurveDisplay.from_losses(TRAINING, VALIDATION[:3])
    with pytest.raises(DataError, match="0 training losses"):
        plots.CurveDisplay.from_losses([], [])
    with pytest.raises(DataError, match="published run needs"):
        plots.CurveDisplay.from_losses(TRAINING, VALIDATION, published={"training": [1]})


def test_forest_shows_points_and_which_changes_are_clear():
    display = plots.ForestDisplay.from_differences(CHANGES).plot()
    faces = [container.lines[0].get_markerfacecolor() for container in display.ax_.containers]
    assert faces == ["white", plots.COLOURS[0]]
    places = [container.lines[0].get_xdata()[0] for container in display.ax_.containers]
    assert places == pytest.approx([0.27, -21.51])
    assert "for-2seconds -21.51 points (-24.00 to -19.00)" in display.alt()
    assert "percentage points" in display.ax_.get_xlabel()
    assert display.table()["delta"].tolist() == [0.0027, -0.2151]


def test_forest_says_what_it_subtracts_from_what():
    display = plots.ForestDisplay.from_differences(CHANGES).plot()
    assert "after minus before" in display.ax_.get_xlabel()
    assert "after minus before" in display.alt()
    display = plots.ForestDisplay.from_differences(CHANGES, terms=("recipe", "reference")).plot()
    assert "recipe minus reference" in display.ax_.get_xlabel()
    assert "recipe minus reference" in display.alt()
    assert list(display.table())[1:3] == ["reference", "recipe"]
    assert "before" not in display.ax_.get_xlabel() + display.alt()


def test_forest_refusals():
    with pytest.raises(DataError, match="at least one"):
        plots.ForestDisplay.from_differences({})


def test_heat_map_writes_every_rate_where_it_can_be_read():
    display = plots.AttackHeatmapDisplay.from_table(ATTACKS, columns=["before", "after"]).plot()
    cells = {(text.get_position()[0], text.get_position()[1]): text for text in display.ax_.texts}
    rows = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert rows == ["source", "piper  (40)", "world  (1,200)", "custom", "piper  (30)"]
    assert [cells[0, -place].get_text() for place in (1, 2, 4)] == ["10.5", "62.0", "0.0"]
    assert [cells[1, -place].get_text() for place in (1, 2, 4)] == ["2.0", "–", "30.0"]
    assert relative_luminance(cells[0, -2].get_color()) > 0.98
    assert relative_luminance(cells[0, -4].get_color()) < 0.01
    assert "hatched: over 50 %" in display.ax_.get_xlabel()
    assert sum(patch.get_hatch() == "xx" for patch in display.ax_.patches) == 1
    assert "before from 0.0 % (piper, custom) to 62.0 % (world, source), median 10.5 %" in display.alt()
    assert display.table()["before (%)"].tolist() == pytest.approx([10.5, 62.0, 0.0])


@pytest.mark.parametrize("share", np.linspace(0, 0.6, 13))
def test_figures_in_a_heat_map_stand_out(share):
    table = pd.DataFrame({"corpus": ["custom"], "attack": ["a"], "n_spoof": [3], "eer": [share]})
    display = plots.AttackHeatmapDisplay.from_table(table, columns=["eer"]).plot()
    shade = mpl.colormaps["Blues"](share / 0.5)
    light = sorted([relative_luminance(shade), relative_luminance(display.ax_.texts[0].get_color())])
    assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5  # WCAG 2, level AA


def test_heat_map_refusals():
    for table, columns in ((ATTACKS, ["during"]), (ATTACKS, []), (ATTACKS[:0], ["before"])):
        with pytest.raises(DataError, match="a heat map needs"):
            plots.AttackHeatmapDisplay.from_table(table, columns=columns)
    with pytest.raises(DataError, match="must be shares"):
        plots.AttackHeatmapDisplay.from_table(ATTACKS.assign(before=30.0), columns=["before"])


def test_reliability_draws_bins_with_their_intervals(trials, fitted):
    labels, scores = trials
    display = plots.ReliabilityDisplay.from_llrs(labels, fitted.llr(scores), name="logistic").plot()
    found = calibration.reliability(labels, fitted.llr(scores))
    (points,) = display.ax_.containers
    assert points.lines[0].get_xydata() == pytest.approx(100 * np.transpose([found.predicted, found.observed]))
    bars = np.array([path.vertices[:, 1] for path in points.lines[2][0].get_paths()])
    assert bars == pytest.approx(100 * np.transpose([found.low, found.high]), abs=1e-9)
    assert "50 % spoofs" in display.ax_.get_xlabel()
    assert f"Cllr {metrics.cllr(labels, fitted.llr(scores)):.3f}" in display.alt()
    assert display.table()["trials"].sum() == 500


def test_a_tippett_plot_shows_how_many_clips_reach_each_ratio(trials, fitted):
    labels, llr = trials[0], fitted.llr(trials[1])
    display = plots.TippettDisplay.from_llrs(labels, llr, name="after").plot()
    for line, label in zip(
        look.series(display.ax_, "tippett") + look.series(display.ax_, "spoof"), (1, 0), strict=True
    ):
        x, y = line.get_xydata().T
        assert (np.diff(x) >= 0).all()
        assert (np.diff(y) <= 0).all()
        assert (y[0], y[-1]) == (100, 0)
        np.testing.assert_allclose(y[1:-1], [100 * np.mean(llr[labels == label] >= one) for one in x[1:-1]])
    misled = [metrics.percent(np.mean(llr[labels == 1] < 0)), metrics.percent(np.mean(llr[labels == 0] > 0))]
    assert "{} of bona fide clips lie below 0 and {} of spoof".format(*misled) in display.alt()
    table = display.table().set_index("log-likelihood ratio")
    assert table.loc[1, "spoof at or above (%)"] == pytest.approx(100 * np.mean(llr[labels == 0] >= 1))


def test_an_entropy_plot_shows_cllr_at_even_odds(trials, fitted):
    labels, llr = trials[0], fitted.llr(trials[1])
    display = plots.EntropyDisplay.from_llrs(labels, llr, name="after").plot()
    (actual,), (least,) = (look.series(display.ax_, kind) for kind in ("entropy", "least"))
    at = np.argmin(np.abs(actual.get_xdata()))
    assert actual.get_ydata()[at] == pytest.approx(metrics.cllr(labels, llr))
    assert least.get_ydata()[at] == pytest.approx(metrics.min_cllr(labels, llr))
    assert (least.get_ydata() <= actual.get_ydata() + 1e-9).all()
    assert display.table().set_index("prior odds").loc["1:1", "prior alone"] == pytest.approx(1)
    assert "at no prior" in plots.EntropyDisplay.from_llrs([1, 0], [1.0, -1.0]).alt()
    assert "more than the prior alone" in plots.EntropyDisplay.from_llrs([1, 0], [-1.0, 1.0]).alt()


def test_ratios_that_say_nothing_can_be_drawn(trials):
    for kind in (plots.TippettDisplay, plots.EntropyDisplay):
        display = kind.from_llrs(trials[0], np.zeros(trials[0].size)).plot()
        assert np.isfinite(display.table().to_numpy()[:, 1:].astype(float)).all()


def test_spectrogram_of_a_tone(wave):
    display = plots.SpectrogramDisplay.from_wave(wave, rate=16_000)
    assert display.levels.shape == (display.frequencies.size, display.times.size)
    middle = display.levels[:, display.times.size // 2]
    assert display.frequencies[middle.argmax()] == pytest.approx(1000, abs=20)
    assert middle.max() == pytest.approx(0, abs=0.5)
    assert display.levels.min() >= -80
    assert "1.00 s at 16,000 Hz: 95 % of the energy lies below 1.0 kHz" in display.alt()


@pytest.mark.parametrize(("size", "rate"), [(1, 16_000), (100, 16_000), (500, 22_050), (3000, 8000)])
def test_spectrogram_of_short_and_silent_clips(size, rate):
    display = plots.SpectrogramDisplay.from_wave(np.zeros(size), rate=rate).plot()
    assert (display.levels == -80).all()
    assert display.duration == size / rate


@pytest.mark.parametrize("wave", [[], np.zeros((2, 8)), [0, np.nan]])
def test_spectrogram_refuses_what_is_no_clip(wave):
    with pytest.raises(DataError, match="wave"):
        plots.SpectrogramDisplay.from_wave(wave, rate=16_000)


def test_a_timeline_marks_the_dip_and_names_both_sides():
    display = plots.TimelineDisplay.from_windows(*WINDOWS, name="talk").plot()
    labels = display.ax_.get_legend_handles_labels()[1]
    assert labels == ["above 0: more like bona fide", "below 0: more like spoof", "lowest: 1:24 to 1:28"]
    assert display.ax_.get_ylabel() == "Score (higher = bona fide)"
    assert display.ax_.get_xlabel() == "Time (s)"
    assert display.ax_.get_xlim() == (0, 202)
    (marker,) = [line for line in display.ax_.lines if line.get_marker() == "v"]
    assert marker.get_xydata().tolist() == [[86.0, -5.0]]
    assert "of talk, 100 windows of 4.00 s in 202.0 s" in display.alt()
    assert "lowest -5.00 from 1:24 to 1:28; 5 windows lie below 0, from 1:20 to 1:32." in display.alt()


def test_a_timeline_of_hours_without_a_threshold():
    starts = np.arange(0, 7200, 2.0)
    display = plots.TimelineDisplay.from_windows(starts, starts + 4, np.sin(starts), threshold=None).plot()
    assert display.ax_.get_xlabel() == "Time (min)"
    assert display.ax_.get_xlim() == pytest.approx((0, 7202 / 60))
    assert len(display.ax_.get_legend_handles_labels()[1]) == 1
    assert "below" not in display.alt()


def test_a_timeline_of_one_window_is_a_level_line():
    display = plots.TimelineDisplay.from_windows([0], [1.5], [-2]).plot()
    assert display.ax_.lines[1].get_xydata().tolist() == [[0, -2], [0.75, -2], [1.5, -2]]
    assert "1 window lies below 0, from 0.0 s to 1.5 s" in display.alt()


def test_timeline_refusals():
    with pytest.raises(DataError, match="0 starts, 0 ends and 0 scores"):
        plots.TimelineDisplay.from_windows([], [], [])
    with pytest.raises(DataError, match="not finite"):
        plots.TimelineDisplay.from_windows([0], [4], [np.nan])


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_figure_is_saved_with_its_sentence(tmp_path, ending):
    fig, _ = plots.figure(width=4, height=2)
    for name in ("first", "second"):
        plots.save(fig, tmp_path / f"{name}.{ending}", alt="An empty frame.")
    first, second = (tmp_path / f"{name}.{ending}" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert b"An empty frame." in first.read_bytes()
    with pytest.raises(ParameterError, match=r"figure.gif: a figure's name must end with one of .png, .svg, .pdf"):
        plots.save(fig, "figure.gif", alt="An empty frame.")


# --- show ---


def test_in_a_notebook_the_image_carries_its_alternative_text(monkeypatch):
    shown = []
    monkeypatch.setattr(InteractiveShell, "initialized", classmethod(lambda cls: True))
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append((data, options)))
    fig, _ = plots.figure(width=4, height=2)
    plots.show(fig, alt="An empty frame.")
    ((data, options),) = shown
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == "An empty frame."
    facts = {"alt": "An empty frame.", "width": 400, "name": "", "caption": "", "panels": []}
    assert options == {"raw": True, "metadata": {"image/png": facts}}


def test_show_needs_a_sentence_and_a_name(tmp_path):
    fig, _ = plots.figure()
    with pytest.raises(ParameterError, match="alt is empty"):
        plots.show(fig, alt=" ")
    with pytest.raises(ParameterError, match="without a name"):
        plots.show(fig, alt="A figure.", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_show_closes_a_figure_of_pyplot(tmp_path):
    from matplotlib import pyplot

    fig = pyplot.figure()
    plots.show(fig, alt="A figure.", name="figure", folder=tmp_path)
    assert not pyplot.fignum_exists(fig.number)


KINDS_OF_DISPLAY = [getattr(plots, name) for name in plots.__all__ if name.endswith("Display") and name != "Display"]


@pytest.mark.parametrize("kind", KINDS_OF_DISPLAY, ids=lambda kind: kind.__name__)
def test_every_kind_has_one_way_to_be_made_that_reads_well_in_a_notebook(kind):
    (name,) = [name for name in dir(kind) if name.startswith("from_")]
    for method in (getattr(kind, name), kind.plot, kind.alt, kind.table):
        assert inspect.getdoc(method)
        assert len(str(inspect.signature(method))) < 300  # an array is "ArrayLike" there, not all that it may be


def test_style_ends_with_its_block():
    before = mpl.rcParams["axes.spines.top"]
    with plots.style():
        assert mpl.rcParams["axes.spines.top"] is False
    assert mpl.rcParams["axes.spines.top"] == before


def test_parts_are_coloured_by_the_class_that_they_speak_for(wave):
    display = occlusion(wave, "talk").plot()
    red, _, blue, opacity = display.ax_.collections[0].get_facecolor().T
    assert opacity.argsort()[::-1][:2].tolist() == [6, 9]  # the more a part changes, the less is seen through it
    assert blue[6] > red[6]
    assert red[9] > blue[9]
    assert "most +2.50 at 0.25 s, 0.5 to 1 kHz, least \u22121.00 at 0.25 s, 4 to 8 kHz" in display.alt()
