"""Figures: one Display object for each kind, which keeps its numbers apart from their drawing.

Every Display has
- a ``from_…`` constructor that computes arrays, without drawing. Arrays that cannot be drawn (a class is missing,
  numbers are not finite, lengths differ) are a DataError, settings that make no sense a ParameterError;
- ``plot(ax=None, **options)``, which draws on ``ax`` or on a new figure and returns the Display; afterwards
  ``ax_`` and ``figure_`` say where;
- ``alt()``: one sentence with the numbers, for whoever cannot see the figure;
- ``table()``: the same data as a DataFrame, thinned where the drawing has thousands of points. Recordings have none:
  their windows and parts are tables already.

Several Displays may be drawn on one axes: each takes the next colour, line style and marker, so that series stay
apart in black and white too. Colours are those of Okabe and Ito, chosen for colour-blind readers.

On DET and ROC curves a full marker is the equal error rate, which is chosen on the test set; a hollow one is what a
threshold gives that was carried from elsewhere.

`show` puts a figure into a notebook together with its alternative text, and into files; `save` writes one file.

Polarity is that of `dfdlib.evaluation.metrics`: bona fide is the positive class, a higher score means bona fide.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "changes": ["AttackHeatmapDisplay", "ForestDisplay"],
        "curves": ["DetDisplay", "RocDisplay"],
        "evidence": ["EntropyDisplay", "TippettDisplay"],
        "look": ["COLOURS", "Display", "figure", "shown", "style"],
        "output": ["as_png", "save", "show", "shown_width"],
        "recordings": ["OcclusionDisplay", "SpectrogramDisplay", "TimelineDisplay"],
        "scores": ["ReliabilityDisplay", "ScoreDisplay"],
        "training": ["CurveDisplay"],
    },
)
