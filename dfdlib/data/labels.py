"""Words for classes and splits, and the number of each class in memory."""

import re

#: The word for each class in tables on disk, and its number in memory.
LABELS = {"bonafide": 1, "spoof": 0}
LABEL_NAMES = {number: word for word, number in LABELS.items()}

#: Words for classes in tables and folders, as `plain` writes them.
LABEL_WORDS = dict.fromkeys("bonafide genuine real human authentic original".split(), 1) | dict.fromkeys(
    "spoof spoofed fake synthetic synthesised synthesized generated deepfake".split(), 0
)

#: Words for splits in tables, folders and names of lists, as `plain` writes them.
SPLIT_WORDS = (
    dict.fromkeys("training train".split(), "training")
    | dict.fromkeys("validation valid val development dev".split(), "validation")
    | dict.fromkeys("testing test evaluation eval".split(), "testing")
)


def plain(word: object) -> str:
    """Return a heading, a label or a split without case, spaces, hyphens and underscores."""
    return re.sub(r"[\s_-]+", "", str(word)).casefold()


def label_of(word: object) -> int | None:
    """Return the label of a word: 1 bona fide, 0 spoof, None for a word that names no class."""
    return LABEL_WORDS.get(plain(word))


def split_of(word: object) -> str | None:
    """Return the split that a word names, or None."""
    return SPLIT_WORDS.get(plain(word))
