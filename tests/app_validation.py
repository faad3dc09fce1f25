"""Validation scores of a detector whose scores can be worked out by hand."""

import numpy as np
import pandas as pd
from makers import Loudness

from dfdlib import files
from dfdlib.detector.preprocessing import Preprocessing

HOW = Preprocessing.named("corrected", window="full")


def validation(scores):
    """Return a table of validation scores by `Loudness`: bona fide by four voices, spoofs by three systems."""
    half = len(scores) // 2
    return pd.DataFrame(
        {
            "path": [f"{number}.wav" for number in range(len(scores))],
            "label": np.repeat(["bonafide", "spoof"], [half, len(scores) - half]),
            "score": scores,
            "speaker": [f"voice{number % 4}" for number in range(half)] + [f"tts{n % 4}" for n in range(half)],
            "checkpoint": files.short(Loudness.fingerprint),
            "preprocessing": files.short(HOW.fingerprint),
        }
    )
