"""What this machine has, and what is installed on it."""

import importlib.metadata
import os


def cores() -> int:
    """Return how many cores this process may use, which on a shared machine may be fewer than there are."""
    # Linux alone can tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def version(distribution: str) -> str:
    """Return the version of an installed package, or words that say that there is none of this name."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        # as with a fairseq built from its own source; hours of work do not end without a page for that
        return "not installed under this name"
