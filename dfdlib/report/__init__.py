"""What a reader sees: figures, tables, sentences, and the page they stand on.

`build` runs the notebooks and writes the page; `card` writes one about scores that are there already.
"""

import lazy_loader

_MODULES = """
browser build card columns controls inputs methods model_card page plots provenance rivals sentences show study tables
vector
""".split()

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=_MODULES)
