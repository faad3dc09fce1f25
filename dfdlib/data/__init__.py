"""Clips: sound files, tables of them, what is wrong with them, and the demo's corpora.

`decoding` decodes, `audio` hands out waveforms, `search` finds files, `corpus` lists and labels clips, `tables` reads
and writes manifests and scores (`table_files` makes out what a file holds, `labels` what classes are called),
`corpora` describes public corpora, `protocols` reads their lists, `audit` looks for faults, `demo` builds the embedded
corpora.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules="audio audit corpora corpus decoding demo labels protocols search table_files tables".split(),
    submod_attrs={"corpus": ["Corpus"]},
)
