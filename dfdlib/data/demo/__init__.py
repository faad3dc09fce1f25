"""The embedded data sets: recorded speech, and fakes made from it with synthesisers that package registries carry.

Every bona fide clip has one spoof twin in its split: the same sentence and language, the same length, made by one
attack and passed through the same chain. So neither language, sentence, length, level, codec nor channel is of much
use to a detector; what is left is how the sound was made.

Read the parts in this order: `debian` fetches the packages, `recordings` lists and measures the recorded speech,
`plan` decides every clip (a pure function), `synthesis` lists the spoof systems (`readers` and `festival` read text,
`copies` rebuilds recordings), `chain` gives both classes one format, `clips` makes one after the other, `corpora` does
it all.
"""

from dfdlib.data.demo.corpora import DEFAULT_PARTS, PARTS, build

__all__ = ["DEFAULT_PARTS", "PARTS", "build"]
