"""What a command prints: results on standard output, all else on standard error, nothing that a terminal would obey."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from dfdlib.errors import RunError


class _Stream:
    """Standard output or error that may be closed, full, or a pipe that nobody reads any more.

    What cannot be printed is an error of one line on standard output, once, and is passed over on standard error.
    """

    def __init__(self, stream, *, name: str) -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._do(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._do(self._stream.flush)

    def _do(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            # What waits to be written must not fail once more when Python ends.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if self._name == "stdout":
                raise RunError(
                    f"standard output: cannot be written ({error.strerror or error}); what was computed is kept"
                ) from error


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Make standard output and error such that a command can print, whatever they are, for the length of the block.

    What is printed on standard output raises RunError where it cannot be written.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Closed: else the next file that is opened would get its number, and what is printed.
            os.open(os.devnull, os.O_RDONLY)
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name) or open(number, "w", closefd=False)  # noqa: SIM115
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, _Stream(stream, name=name))
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
