"""Check figures that somebody claims against the scores that they are of."""

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from numpy.typing import ArrayLike

from dfdlib.errors import ParameterError
from dfdlib.evaluation import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What can be claimed; shares may be written as percentages.
SHARES = ("eer", "auc")
COSTS = ("min_dcf", "act_dcf", "cllr", "min_cllr")
COUNTS = ("n_bonafide", "n_spoof")


class Claim(NamedTuple):
    """A figure as it was printed: what it is of, its value, and how far it may be from what it was rounded from."""

    metric: str
    value: float
    rounding: float


class Verdict(NamedTuple):
    """What became of a claim: the figure that the scores give, whether it is the claimed one, and a sentence."""

    metric: str
    claimed: float
    found: float
    holds: bool
    sentence: str


def parse(text: str) -> Claim:
    """Return the claim that is written as ``eer=0.01278`` or ``eer=1.278%``; a `ParameterError` if it is none."""
    name, _, number = (part.strip() for part in text.partition("="))
    found = re.fullmatch(r"(\d*)\.?(\d*)\s*(%?)", number)
    if name not in (*SHARES, *COSTS, *COUNTS) or found is None or not found[1] + found[2]:
        raise ParameterError(
            f"claim {text!r}: write one as eer=0.01278 or eer=1.278%, of {', '.join((*SHARES, *COSTS, *COUNTS))}"
        )
    value, decimals = float(f"{found[1] or 0}.{found[2] or 0}"), len(found[2])
    if found[3]:
        value, decimals = value / 100, decimals + 2
    if name in SHARES and value > 1:
        raise ParameterError(f"claim {text!r}: is no share; write {name}={value / 100:g} or {name}={value:g}%")
    return Claim(name, value, 0.0 if name in COUNTS else 0.5 * 10.0**-decimals)


def check(claim: Claim, labels: ArrayLike, scores: ArrayLike, found: "Mapping") -> Verdict:
    """Compare a claim with labels and scores (n,), and with what `intervals.evaluate` has found of them."""
    name, value = claim.metric, float(found[claim.metric])
    low, high = found.get(f"{name}_ci", (math.nan, math.nan))
    hulls = {"interpolated": metrics.eer_interpolated, "convex-hull": metrics.eer_convex_hull} if name == "eer" else {}
    holds, why = _same(claim, value), "as claimed"
    if not holds:
        convention = next((word for word, eer in hulls.items() if _same(claim, eer(labels, scores))), None)
        if convention is not None:
            holds, why = True, f"as claimed, by the {convention} convention"
        elif name in SHARES and _same(claim, 1 - value):
            why = "what is claimed is 1 less what was found; were the scores turned round?"
        elif low <= claim.value <= high:
            why = "not as claimed, but within the interval; other trials or another way of counting may explain it"
        else:
            why = "not as claimed"
    figures = f"{_written(claim.value, claim)} claimed, {_written(value, claim)} found"
    return Verdict(name, claim.value, value, holds, f"{name}: {figures}: {why}")


def _same(claim: Claim, value: float) -> bool:
    return abs(value - claim.value) <= claim.rounding + 1e-12


def _written(value: float, claim: Claim) -> str:
    if claim.metric in COUNTS:
        return f"{value:.0f}"
    # One digit more than was claimed shows how that was rounded.
    decimals = round(-math.log10(2 * claim.rounding))
    return f"{value:.{decimals if value == claim.value else max(4, decimals + 1)}f}"
