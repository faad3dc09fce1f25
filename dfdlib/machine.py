"""What this machine has, what is installed on it, and where the project lies."""

import contextlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from dfdlib.errors import ParameterError, RunError

#: Names of devices; "auto" is the GPU where there is one.
DEVICES = ("auto", "cpu", "cuda")


def cores() -> int:
    """Return how many cores this process may use, which on a shared machine may be fewer than there are."""
    # Linux alone can tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device(name: str) -> str:
    """Return the device that one of `DEVICES` stands for here, "cpu" or "cuda"."""
    if name not in DEVICES:
        raise ParameterError(f"device={name!r}: choose one of {', '.join(DEVICES)}")
    if name == "cpu":
        return name
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ParameterError("device='cuda': torch finds no GPU here; choose cpu, or install torch for this GPU")
    return "cuda" if torch.cuda.is_available() else "cpu"


def processor() -> str:
    """Return the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    found = re.search(r"model name\s*: (.*)", text)
    return found.group(1) if found else platform.machine()


def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies matrices of bfloat16 itself, by AVX-512 BF16 or AMX."""
    import torch

    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let torch compute on so many threads for the length of the block; on as many as before for None."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def root() -> Path:
    """Return the folder that holds ``notebooks``: ``$DFD_ROOT``, else that of this package, else the current one."""
    named = os.environ.get("DFD_ROOT")
    places = [Path(named).absolute()] if named else [Path(__file__).absolute().parents[1], Path.cwd()]
    for place in places:
        if (place / "notebooks").is_dir():
            return place
    wrong = f"DFD_ROOT={named}" if named else places[-1]
    remedy = "correct or unset it" if named else "run this in a checkout of dfdlib, or name one by DFD_ROOT"
    raise RunError(f"{wrong}: is not the project's folder, for it holds no notebooks/; {remedy}")


def version(distribution: str) -> str:
    """Return the version of an installed package, or words that say that there is none of this name."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        # as with a fairseq built from its own source; hours of work do not end without a page for that
        return "not installed under this name"
