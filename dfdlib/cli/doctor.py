"""What an installation has, and what it lacks: ``dfd doctor``."""

import dataclasses
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path

from dfdlib.errors import DfdError
from dfdlib.experiment import profile

#: Import name and distribution of what the report cannot do without.
CORE = {
    "jupyterlab": "jupyterlab",
    "papermill": "papermill",
    "torch": "torch",
    "fairseq": "fairseq-fixed",
    "matplotlib": "matplotlib",
    "seaborn": "seaborn",
    "sklearn": "scikit-learn",
    "pandas": "pandas",
    "lightning": "lightning",
    "soundfile": "soundfile",
    "av": "av",
    "soxr": "soxr",
}


def examine(*, checkpoint: str | Path | None = None) -> dict[str, dict | list[str]]:
    """Look at packages, machine, data and, if one is given, a file of weights.

    Returns
    -------
    dict
        ``facts``: name to text; ``problems``: one line each, with the remedy.
    """
    facts: dict[str, str] = {"python": platform.python_version(), "dfdlib": importlib.metadata.version("dfdlib")}
    problems = []
    for module, distribution in CORE.items():
        if importlib.util.find_spec(module) is None:
            problems.append(f"{distribution} is not installed; run ./environment.sh")
        else:
            facts[distribution] = importlib.metadata.version(distribution)
    facts["device"] = _device()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"
    root = profile.root()
    facts["root"] = str(root)
    facts["disk"] = f"{shutil.disk_usage(root).free / 2**30:.0f} GiB free"
    if not os.access(root, os.W_OK):
        problems.append(f"{root}: cannot be written; name another run folder with --folder")
    for name in profile.names():
        settings = profile.load(name)
        missing = [
            str(place)
            for place in (settings.checkpoint, settings.data.source, settings.data.for_2seconds, settings.data.custom)
            if place is not None and not place.exists()
        ]
        facts[f"profile {name}"] = "ready" if not missing else f"missing: {', '.join(missing)}"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        facts["demo data"] = "cannot be built here (no apt-get); give your own data with --set data.custom=FOLDER"
    if checkpoint is not None:
        from dfdlib.detector import network

        try:
            described = dataclasses.asdict(network.describe(checkpoint))
            facts |= {f"checkpoint {key}": str(value) for key, value in described.items() if value or key != "seems"}
        except DfdError as error:
            problems.append(str(error))
    return {"facts": facts, "problems": problems}


def _device() -> str:
    try:
        import torch
    except ImportError as error:
        return f"unknown ({error})"
    if torch.cuda.is_available():
        return f"CUDA: {torch.cuda.get_device_name()}"
    return f"CPU, {torch.get_num_threads()} threads"
