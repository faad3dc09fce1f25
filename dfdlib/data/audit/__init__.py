"""Audit the data before a model sees it.

Read the modules in this order: `measure` decodes every clip once and measures its nuisances; `near_duplicates` finds
clips that hold the same sound; `shortcuts` measures the EER of a classifier that never hears a clip; `checks` turns
all of it into findings; `audit` runs the checks on one corpus or between several.
"""

from dfdlib.data.audit.audit import SUFFIXES, Audit, across, examine, report, write
from dfdlib.data.audit.checks import KINDS, SEVERITIES, Finding
from dfdlib.data.audit.measure import NUISANCES, nuisance_features, nuisance_table
from dfdlib.data.audit.shortcuts import FLOOR, Shortcut, shortcut, shortcut_eer

__all__ = [
    "FLOOR",
    "KINDS",
    "NUISANCES",
    "SEVERITIES",
    "SUFFIXES",
    "Audit",
    "Finding",
    "Shortcut",
    "across",
    "examine",
    "nuisance_features",
    "nuisance_table",
    "report",
    "shortcut",
    "shortcut_eer",
    "write",
]
