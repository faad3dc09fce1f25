"""What a user types: the command ``dfd``.

`app` has the short commands, `assess` the page, `score`, `evaluate`, `train`, `weights` and `data` the others;
`options` has what they take, `printing` what they print, and `doctor` looks for what is missing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["app", "assess", "data", "doctor", "evaluate", "options", "printing", "score", "train", "weights"],
)
