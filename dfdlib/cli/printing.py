"""What a command prints: results on standard output, all else on standard error, nothing that a terminal would obey."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from dfdlib import files
from dfdlib.errors import RunError
from dfdlib.text import one_line

#: Clips at either end of a long table of scores that a terminal is shown.
_SHOWN = 20


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
        printed = text
        if self._name == "stdout":
            printed = "".join(part if part in "\n\t" else one_line(part) for part in re.split(r"([\n\t])", text))
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
    from dfdlib.evaluation.metrics import percent, percent_range

    low, high = check.auc_bounds
    lines = [
        f"An EER of {percent(check.eer, 2)} allows an AUC from {low:.4f} to {high:.4f}: {check.auc:.4f} is "
        + ("possible." if check.possible else "impossible.")
    ]
    if not check.possible and check.misaligned_possible:
        lines.append(
            f"1 - AUC = {check.auc_if_misaligned:.4f} is possible: were labels and scores in different orders, or "
            "was the score's direction turned round?"
        )
    if check.counts_possible is not None:
        nearest = " and ".join(percent(value, 4) for value in check.eers_nearest)
        lines.append(
            f"{bonafide} bona fide and {spoof} spoof trials without ties can"
            + ("" if check.counts_possible else "not")
            + f" give this EER; the nearest they give: {nearest}."
        )
        lines.append(f"So many independent trials leave a 95 % interval from {percent_range(*check.eer_interval, 2)}.")
    else:
        sizes = ", ".join(map(str, check.class_sizes))
        lines.append(f"A balanced test set gives this EER with {sizes} … trials of each class.")
    return lines


def as_json(values: object) -> None:
    """Print JSON; a number that is not finite becomes null, as JSON has none."""
    print(files.to_json(values))


def values(values: dict) -> None:
    """Print numbers by name, with their intervals beside them."""
    width = max(14, *map(len, values))
    for name, value in values.items():
        if name.endswith("_ci"):
            continue
        interval = values.get(f"{name}_ci")
        text = f"{value:.4f}" if isinstance(value, float) else f"{value}"
        print(f"{name:{width}} {text:>9}" + (f"   {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""))


def on_terminal() -> bool:
    """Tell whether standard output is a terminal."""
    return sys.stdout.isatty()


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Send what a detector of somebody's own prints to standard error, not among results; in a block or a function."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def echo(line: str) -> None:
    """Print a line on standard error; what a file's name or word holds cannot steer the terminal."""
    print(one_line(line), file=sys.stderr, flush=True)


def place(path: str) -> str:
    """Return a path as a user would type it from here, on one line."""
    try:
        return one_line(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return one_line(path)


def scores(table, left_out, *, other: dict[str, int], written: list[Path], to_stdout: bool) -> None:
    """Print the most suspicious clips first, and on standard error what was left out and how many were not."""
    if to_stdout:
        table_of_scores(table, written)
    not_used(left_out, other)
    places = "".join(f"; written to {one_line(path)}" for path in written)
    echo(f"{len(table)} scored, {len(left_out)} left out{places}")


def not_used(left_out, other: dict[str, int]) -> None:
    """Print on standard error the clips that were left out, and how many other files there are of each kind."""
    from dfdlib.data import search

    for path, reason in zip(left_out["path"], left_out["reason"], strict=True):
        echo(f"left out  {place(path)}: {reason}")
    if other:
        echo(search.named(other))


def table_of_scores(table, written: list[Path]) -> None:
    table = table.sort_values(["score", "path"], kind="stable")
    rows = list(zip(table["path"], table["score"], strict=True))
    print("   score  clip      (higher means bona fide, lower means spoof)")
    long = on_terminal() and len(rows) > 2 * _SHOWN
    for path, value in rows[:_SHOWN] if long else rows:
        print(f"{value:8.3f}  {place(path)}")
    if long:
        where = "the files that were written" if written else "--out FILE or a pipe"
        print(f"       …  {len(rows) - 2 * _SHOWN} more: see {where}")
        for path, value in rows[-_SHOWN:]:
            print(f"{value:8.3f}  {place(path)}")


def audit(audit) -> None:
    """Print an audit: counts, findings, what each class is like."""
    from dfdlib.data import search

    print(f"\n{audit.name}: {audit.size} clips\n")
    print(audit.counts.to_string(index=False))
    print()
    findings(audit.findings)
    for path, reason in audit.left_out.to_numpy():
        print(f"left out  {place(path)}: {reason}")
    if audit.other:
        echo(search.named(audit.other))
    print("Medians of each class\n")
    medians = audit.by_class.pivot(index=["split", "label"], columns="feature", values="median")
    print(medians[list(audit.features)].reset_index().to_string(index=False, float_format="{:.4g}".format))
    print(f"\n{audit.formats.to_string(index=False)}\n")
    print(audit.shortcut.verdict if audit.shortcut else audit.shortcut_refused)


def findings(findings) -> None:
    for finding in findings:
        print(f"{finding.severity:8} {finding.title}")
        for example in finding.examples:
            print(f"           {one_line(example)}")
        print(f"         → {finding.remedy}\n")
    if not findings:
        print("Nothing was found.\n")
