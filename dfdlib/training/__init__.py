"""Clips to weights: the recipe, the augmentation and the training loop.

`recipe` lists every setting, `loop` trains.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["augment", "clips", "codecs", "loop", "parallel", "rawboost", "recipe", "saving"],
    submod_attrs={"recipe": ["Recipe"]},
)
