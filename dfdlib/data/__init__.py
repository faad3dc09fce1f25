"""Clips: sound files, lists of them, what is wrong with them, and the demo's corpora.

`decoding` decodes files, `audio` hands out waveforms, `search` finds files, `corpus` gathers labelled clips: by folders
and manifests (`listing`) or as a public corpus (`corpora` describes it, `protocols` reads its lists, `members` finds
its clips), each looked into once (`inspection`). `fetch` downloads public corpora, `archives` unpacks them. `tables`
reads and writes manifests and scores, `table_files` their text, `labels` the words for classes. `score_lists` reads
scores of others, and `keys` joins them with labels. `audit` looks for faults, `demo` builds the embedded corpora.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "archives audio audit corpora corpus decoding demo fetch inspection keys labels listing members protocols "
        "score_lists search table_files tables"
    ).split(),
    submod_attrs={"corpus": ["Corpus"]},
)
