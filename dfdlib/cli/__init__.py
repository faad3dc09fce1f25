"""What a user types: the command ``dfd``.

`app` has the commands, `options` what several of them take, `printing` what they print on; `doctor` looks for what is
missing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["app", "doctor", "options", "printing"],
)
