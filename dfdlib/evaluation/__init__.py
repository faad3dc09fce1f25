"""Numbers from labels and scores: metrics, their intervals, calibration, tandem costs, controls.

Nothing here knows a clip or a network. Label 1 is bona fide, and a higher score means bona fide.
"""

import lazy_loader

_MODULES = """
across bootstrap by_group calibration carried claims controls counts drawing evidence exchange family intervals limits
metrics published_figures shift tandem trials units verdicts
""".split()

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=_MODULES)
