"""What the page and its answers go by: outcomes, channels and limits. Light: the page is there before any detector."""

OUTCOMES = BONAFIDE, SPOOF, CANNOT_TELL = ("bona fide", "spoof", "cannot tell")

#: What a clip may have come through. The validation clips as they are stand for the first.
CHANNELS = {"studio": "as recorded", "phone": "telephone, 8 kHz", "messenger": "messenger, opus"}

#: So many times as often must one class give such a score for an outcome: from here on evidence is "moderate".
LEAST = 10

#: The longest clip in seconds, and in samples as stored; the largest file in bytes; files at a time.
LONGEST, MOST_SAMPLES, LARGEST, MOST_FILES = 600, 600 * 48_000, 100 * 2**20, 2_000
