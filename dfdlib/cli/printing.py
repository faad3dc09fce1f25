"""What a command prints: results on standard output, all else on standard error, nothing that a terminal would obey."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from dfdlib import files
from dfdlib.errors import RunError


def _escaped(line: str) -> str:
    return "\t".join(map(files.shown, line.split("\t")))


class _Stream:
    """Standard output or error that may be closed, full, or a pipe that nobody reads any more.

    What cannot be printed is an error of one line on standard output, once, and is passed over on standard error.
    """

    def __init__(self, stream, *, name: str) -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        # Tables quote attack words and speakers of any file: none of them may steer a terminal.
        printed = text if self._name == "stderr" else "\n".join(map(_escaped, text.split("\n")))
        self._do(lambda: self._stream.write(printed))
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


def progress(title: str):
    """Return a callable (done, total): a line rewritten on a terminal, a line for every tenth part elsewhere."""
    last = -1

    def show(done: int, total: int) -> None:
        nonlocal last
        if sys.stderr.isatty():
            print(f"\r{title}: {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif total > 100 and done * 10 // total > last:
            last = done * 10 // total
            print(f"{title}: {done}/{total}", file=sys.stderr, flush=True)

    return show


def verdict(check, bonafide: int | None, spoof: int | None) -> list[str]:
    """Return what `published_figures.check_figures` found, a sentence a line."""
    low, high = check.auc_bounds
    lines = [
        f"An EER of {check.eer:.2%} allows an AUC from {low:.4f} to {high:.4f}: {check.auc:.4f} is "
        + ("possible." if check.possible else "impossible.")
    ]
    if not check.possible and check.misaligned_possible:
        lines.append(
            f"1 - AUC = {check.auc_if_misaligned:.4f} is possible: were labels and scores in different orders, or "
            "was the score's direction turned round?"
        )
    if check.counts_possible is not None:
        nearest = " and ".join(f"{value:.4%}" for value in check.eers_nearest)
        lines.append(
            f"{bonafide} bona fide and {spoof} spoof trials without ties can"
            + ("" if check.counts_possible else "not")
            + f" give this EER; the nearest they give: {nearest}."
        )
        lines.append(
            "So many independent trials leave a 95 % interval from {:.2%} to {:.2%}.".format(*check.eer_interval)
        )
    else:
        sizes = ", ".join(map(str, check.class_sizes))
        lines.append(f"A balanced test set gives this EER with {sizes} … trials of each class.")
    return lines


def values(values: dict) -> None:
    """Print numbers by name, with their intervals beside them."""
    width = max(14, *map(len, values))
    for name, value in values.items():
        if name.endswith("_ci"):
            continue
        interval = values.get(f"{name}_ci")
        text = f"{value:.4f}" if isinstance(value, float) else f"{value}"
        print(f"{name:{width}} {text:>9}" + (f"   {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""))
