"""How columns of numbers are titled and written when a table is shown."""

import math
import numbers
import re
from collections.abc import Callable, Mapping

import pandas as pd

from dfdlib.evaluation.metrics import percent
from dfdlib.report.sentences import unbroken
from dfdlib.text import thousands

#: A format string or a function of a cell's numbers; with a title before it, where the name of the column is none.
Format = str | Callable[..., str]

_CAPITALS = re.compile(r"\b(eer|auc)\b")


def hundredths(places: int, sign: str = "") -> Callable[..., str]:
    """Return a function that writes shares of one as hundredths: one, or two as the ends of an interval."""
    return lambda *shares: " to ".join(f"{100 * share:{sign}z.{places}f}" for share in shares)


def _in_words(**words: str) -> Callable[[object], object]:
    """Return a function that writes some names in other words."""
    return lambda name: words.get(name, name)


def digits(number: float, *, significant: int = 4) -> str:
    """Return a number without an exponent where it can be read so: 5 810 for 5.81e+03."""
    if 1000 <= abs(number) < 1e9:
        return thousands(number)
    return f"{number:.{significant}g}"


def _both(*shares: float) -> str:
    return hundredths(1)(*shares).replace(" to ", "; ")


def _three_digits(number: float) -> str:
    return digits(number, significant=3)


def _p_value(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


#: The title and format of each column that the report's tables have; those of a tuple are shown as one.
COLUMNS: dict[str | tuple[str, ...], tuple[str, Format]] = {
    "stage": ("fine-tuning", "{}"),
    "label": ("label", _in_words(bonafide="bona fide")),
    # Clips
    ("n_bonafide", "n_spoof"): ("clips, bona fide + spoof", "{:.0f} + {:.0f}"),
    ("speakers_bonafide", "speakers_spoof"): ("speakers", "{:.0f} + {:.0f}"),
    ("shortest_s", "longest_s"): ("seconds", "{:.1f} to {:.1f}"),
    "resampled_by": ("drawn again by", "{}"),
    "target": ("speaks for", _in_words(**{"new-voices": "other voices", "these-voices": "these voices"})),
    "fixed_by": ("attack that fixes the EER", lambda name: name or "none"),
    "warning": ("warning", lambda text: text or "none"),
    "contrary": ("moved the other way", "{}"),
    "rung_after": ("after, the detector is", "{}"),
    "unheard_sentence": ("on unheard sentences", percent),
    "unheard_speaker": ("on unheard speakers", percent),
    "total_min": ("minutes", "{:.0f}"),
    "attacks": ("attacks", lambda number: f"{number}" if number else "–"),
    "n_bonafide": ("bona fide", "{:.0f}"),
    "n_spoof": ("spoof", "{:.0f}"),
    # Metrics
    "eer": ("EER", percent),
    ("eer_low", "eer_high"): ("EER interval", hundredths(1)),
    "eer_before": ("EER before", percent),
    ("eer_before_low", "eer_before_high"): ("interval before", hundredths(1)),
    "eer_after": ("EER after", percent),
    ("eer_after_low", "eer_after_high"): ("interval after", hundredths(1)),
    "macro_eer": ("macro EER", percent),
    ("macro_eer_low", "macro_eer_high"): ("macro EER interval", hundredths(1)),
    "auc": ("AUC", "{:.3f}"),
    ("auc_low", "auc_high"): ("AUC interval", "{:.3f} to {:.3f}"),
    "min_dcf": ("minDCF", "{:.3f}"),
    "metric": ("metric", _in_words(eer="EER", auc="AUC", cllr_calibrated="Cllr, calibrated")),
    "before": ("EER before", percent),
    "after": ("EER after", percent),
    "delta": ("change, points", hundredths(1, "+")),
    ("low", "high"): ("interval", hundredths(1, "+")),
    "p": ("p", _p_value),
    "study_eer": ("study's EER", percent),
    "study_auc": ("study's AUC, as printed", "{:.4f}"),
    "threshold": ("threshold", "{:.2f}"),
    "far": ("spoofs accepted", percent),
    "frr": ("bona fide rejected", percent),
    "hter": ("HTER", percent),
    ("hter_low", "hter_high"): ("HTER interval", hundredths(1)),
    "cllr_raw": ("Cllr, raw scores", "{:.3f}"),
    "cllr": ("Cllr, calibrated", "{:.3f}"),
    "cllr_recorded": ("Cllr, calibrated as recorded", "{:.3f}"),
    ("cllr_low", "cllr_high"): ("Cllr interval", "{:.3f} to {:.3f}"),
    "min_cllr": ("discrimination loss", "{:.3f}"),
    "loss": ("calibration loss", "{:.3f}"),
    ("misled_bonafide", "misled_spoof"): ("misleading, bona fide and spoof %", _both),
    ("tenfold_bonafide", "tenfold_spoof"): ("tenfold %", _both),
    "p_spoof": ("spoofs", "{:.0%}"),
    "accepted": ("accepted: bona fide", percent),
    ("accepted_low", "accepted_high"): ("interval", hundredths(1)),
    "rejected": ("rejected: spoof", percent),
    ("rejected_low", "rejected_high"): ("its interval", hundredths(1)),
    "act_dcf_calibrated": ("actDCF, calibrated", "{:.3f}"),
    # What the audit and the negative controls found
    "remedy": ("what to do", "{}"),
    "bonafide_median": ("bona fide, median", _three_digits),
    "spoof_median": ("spoof, median", _three_digits),
    "holds": ("as expected", lambda holds: "yes" if holds else "no"),
    # Splices
    "recordings": ("recordings", "{:.0f}"),
    "borders": ("borders", "{:.0f}"),
    "border_hits": ("found", "{:.0f}"),
    "f1": ("F1", "{:.2f}"),
    "chance": ("by chance", "{:.2f}"),
    # Recipes
    "validation_loss": ("validation loss", "{:.4f}"),
    ("loss_low", "loss_high"): ("from seed to seed", "{:.4f} to {:.4f}"),
    "validation_eer": ("validation EER", percent),
    "epochs_kept": ("epoch kept", "{}"),
    ("seeds_low", "seeds_high"): ("from seed to seed", hundredths(1)),
    "reference_eer": ("reference's EER", percent),
    "change": ("change, points", hundredths(1, "+")),
    ("change_low", "change_high"): ("interval", hundredths(1, "+")),
    "reference_macro": ("reference's macro EER", percent),
    "p_holm": ("p, adjusted", _p_value),
    # There is no change as large as the whole.
    "smallest": ("smallest to be seen, points", lambda share: "none" if share >= 1 else hundredths(1)(share)),
    # Rivals
    "parameters": ("parameters", thousands),
    "seconds": ("real-time factor", "{:.1g}"),
    "difference": ("difference, points", hundredths(1, "+")),
    ("difference_low", "difference_high"): ("interval", hundredths(1, "+")),
    "difference_p": ("p, adjusted", _p_value),
    "both_wrong": ("of errors, by both %", hundredths(0)),
    "fused_eer": ("fused EER", percent),
    "gain": ("fused: difference, points", hundredths(1, "+")),
    ("gain_low", "gain_high"): ("its interval", hundredths(1, "+")),
    "gain_p": ("its p, adjusted", _p_value),
    # The study's preprocessing
    "eer_corrected": ("EER, corrected", percent),
    "eer_original": ("EER, original", percent),
    "auc_original": ("AUC, original", "{:.3f}"),
    "auc_misaligned": ("AUC, original and misaligned", "{:.3f}"),
    "auc_mirrored": ("1 − AUC", "{:.3f}"),
}


def titled(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the titles of its columns in `COLUMNS`, and its numbers as they are."""
    return frame.rename(columns={name: COLUMNS[name][0] for name in frame.columns if name in COLUMNS})


def formatted(
    frame: pd.DataFrame, formats: Mapping[str | tuple[str, ...], Format | tuple[str, Format]] | None = None
) -> pd.DataFrame:
    """Return a table as it is shown: titles for names, text for numbers; a missing number is a dash.

    ``formats`` has a format, or a title and a format, by column, before those of `COLUMNS`. Several columns may be
    shown as one: ``{("low", "high"): "{:.1%} to {:.1%}"}``. Without a format whole numbers and texts stay as they are,
    and other numbers have four digits.
    """
    given = dict(formats or {})
    chosen = {name for key in given for name in _names(key)}
    specs = {key: spec for key, spec in COLUMNS.items() if chosen.isdisjoint(_names(key))} | given
    together = {key[0]: key for key in specs if isinstance(key, tuple) and set(key) <= set(frame.columns)}
    joined = {name for key in together.values() for name in key[1:]}
    shown = {}
    for name in frame.columns:
        if name in joined:
            continue
        key = together.get(name, name)
        spec = specs.get(key)
        title, form = spec if isinstance(spec, tuple) else (_title(key), spec)
        cells = [_cell(values, form) for values in zip(*(frame[one] for one in _names(key)), strict=True)]
        # Intervals that are dashes alone tell nothing.
        if not isinstance(key, tuple) or not cells or any(cell != "–" for cell in cells):
            shown[title] = cells
    return pd.DataFrame(shown, dtype=object)


def _names(key: str | tuple[str, ...]) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)


def _title(key: str | tuple[str, ...]) -> str:
    name = f"{key[0].removesuffix('low')}interval".strip("_") if isinstance(key, tuple) else str(key)
    return _CAPITALS.sub(lambda word: word[0].upper(), name.replace("_", " "))


def _cell(values: tuple, form: Format | None) -> object:
    if any(value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) for value in values):
        return "–"
    text = form(*values) if callable(form) else form.format(*values) if form is not None else None
    if text is not None:
        # Only numbers are set as such: a minus and a percent sign in a name stay as they are.
        return unbroken(text) if all(isinstance(value, numbers.Number) for value in values) else text
    (value,) = values
    if isinstance(value, bool):
        return "yes" if value else "no"
    return unbroken(digits(value)) if isinstance(value, float) else value
