"""One clip or a folder in a browser: what a detector says of it, and how far that may be believed.

`assessment` says it of one clip and `many` of files, by `basis`, what is known of a detector; `sections` writes it as
HTML, `page` serves it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["assessment", "basis", "many", "page", "rules", "sections"],
    submod_attrs={"assessment": ["Assessment", "assess", "assess_by_each"], "basis": ["Basis"]},
)
