"""The errors that dfdlib raises on purpose.

Each carries one line that names what is wrong, where, and what to do about it; the command line prints that
line and exits with 1. Anything else that escapes is a bug.
"""

import os

from dfdlib.text import one_line


def first_line(error: BaseException) -> str:
    """Return the innermost reason of an error on one line; its kind where it has none."""
    inner: object = error
    while isinstance(inner, BaseException):
        reason = inner
        causes = (getattr(inner, "reason", None), *inner.args)
        inner = next((cause for cause in causes if isinstance(cause, BaseException)), None)
    text = one_line((str(reason).strip() or type(reason).__name__).splitlines()[0])
    return text.rpartition(": ")[2] if "object at 0x" in text else text


class DfdError(Exception):
    """Base of every error that a caller may want to catch."""


class DataError(DfdError):
    """A clip, a corpus, or a table of scores cannot be used as it is.

    Attributes
    ----------
    reason : str
        What is wrong and what to do. Tables with a column of paths show it alone.
    path : str or None
        The file at fault, where there is one; the message begins with it.
    """

    def __init__(self, reason: str, *, path: str | os.PathLike | None = None) -> None:
        super().__init__(reason)
        self.reason, self.path = reason, None if path is None else str(path)

    def __str__(self) -> str:
        if self.path is None:
            return self.reason
        return f"{one_line(self.path)}: {self.reason}"


class ParameterError(DfdError):
    """A setting, an argument or a name is not one that exists or makes sense."""


class CheckpointError(DfdError):
    """A file of weights cannot be read, or does not fit the detector."""


class RunError(DfdError):
    """A run cannot go on: a notebook failed, a folder cannot be written, a tool is missing."""
