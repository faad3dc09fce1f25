"""Pass the progress of a long run from the process that works to the one that waits.

The last line told lies in a file of the run folder: a notebook's kernel writes it, the command that started the kernel
shows it, and nothing of it gets into the notebook.
"""

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_NAME = ".progress"
#: Seconds between two looks at the file, and between two lines in a log.
LOOK, BETWEEN = 0.5, 10.0


def tell(folder: Path, line: str) -> None:
    """Put a line in the place of the last one; a folder that cannot be written ends nothing."""
    with contextlib.suppress(OSError):
        # A name of its own for each process: trainings may run side by side.
        written = folder / f"{_NAME}.{os.getpid()}"
        written.write_text(line, encoding="utf-8", errors="replace")
        written.replace(folder / _NAME)


@contextlib.contextmanager
def shown(folder: Path, *, title: str, echo: Callable[[str], None]) -> Iterator[None]:
    """Show the progress told in a folder while the block runs.

    Parameters
    ----------
    folder : Path
    title : str
        Stands before every line.
    echo : callable
        Takes a line, at most every ten seconds; on a terminal one line of standard error is rewritten instead.
    """
    place, ended, terminal = folder / _NAME, threading.Event(), sys.stderr.isatty()
    place.unlink(missing_ok=True)

    def follow() -> None:
        last, since = "", time.monotonic()
        while not ended.wait(LOOK):
            try:
                line = place.read_text("utf-8")
            except OSError:
                continue
            if line == last or not (terminal or time.monotonic() - since >= BETWEEN):
                continue
            last, since = line, time.monotonic()
            if terminal:
                width = shutil.get_terminal_size().columns - 1
                print(f"\r\x1b[K{f'{title}: {line}'[:width]}", end="", file=sys.stderr, flush=True)
            else:
                echo(f"{title}: {line}")

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        for left in folder.glob(f"{_NAME}*"):
            left.unlink(missing_ok=True)
