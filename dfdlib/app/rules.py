"""What the page and its answers go by: outcomes, channels and limits. Light: the page is there before any detector."""

from dfdlib.training import codecs

OUTCOMES = BONAFIDE, SPOOF, CANNOT_TELL = ("bona fide", "spoof", "cannot tell")

#: What a clip may have come through, in words.
CHANNELS = {name: words for name, (words, _) in codecs.CHANNELS.items()}

#: So many times as often must one class give such a score for an outcome: from here on evidence is "moderate".
LEAST = 10

#: The longest clip in seconds, and in samples as stored; the largest file in bytes; files at a time.
LONGEST, MOST_SAMPLES, LARGEST, MOST_FILES = 600, 600 * 48_000, 100 * 2**20, 2_000
