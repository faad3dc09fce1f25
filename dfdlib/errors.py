"""The errors that dfdlib raises on purpose.

Each carries one line that names what is wrong, where, and what to do about it; the command line prints that
line and exits with 1. Anything else that escapes is a bug.
"""


class DfdError(Exception):
    """Base of every error that a caller may want to catch."""


class DataError(DfdError):
    """A clip, a corpus, or a table of scores cannot be used as it is."""


class ParameterError(DfdError):
    """A setting, an argument or a name is not one that exists or makes sense."""


class CheckpointError(DfdError):
    """A file of weights cannot be read, or does not fit the detector."""


class RunError(DfdError):
    """A run cannot go on: a notebook failed, a folder cannot be written, a tool is missing."""
