"""What the two classes are called, in tables and folders, and the number of each in memory."""

import re

#: The word for each class in tables on disk, and its number in memory.
LABELS = {"bonafide": 1, "spoof": 0}
LABEL_NAMES = {number: word for word, number in LABELS.items()}

#: What classes are called in the field, for tables and folders alike; as `plain` leaves a word.
LABEL_WORDS = dict.fromkeys("bonafide genuine real human authentic original".split(), 1) | dict.fromkeys(
    "spoof spoofed fake synthetic synthesised synthesized generated deepfake".split(), 0
)


def plain(word: object) -> str:
    """Return a heading or label without case, spaces, hyphens and underscores."""
    return re.sub(r"[\s_-]+", "", str(word)).casefold()


def label_of(word: object) -> int | None:
    """Return the label that a word of the field stands for, 1 bona fide or 0 spoof; None for any other word."""
    return LABEL_WORDS.get(plain(word))
