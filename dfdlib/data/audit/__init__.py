"""Audit the data before a model sees it.

Read the modules in this order: `measure` decodes every clip once and measures its nuisances; `near_duplicates` finds
clips that hold the same sound; `shortcuts` measures the EER of a classifier that never hears a clip; `checks` turns
all of it into findings; `audit` runs the checks on one corpus or between several.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "audit": ["SUFFIXES", "Audit", "across", "examine", "report", "write"],
        "checks": ["KINDS", "SEVERITIES", "Finding"],
        "measure": ["NUISANCES", "nuisance_features", "nuisance_table"],
        "shortcuts": ["FLOOR", "Shortcut", "shortcut"],
    },
)
