"""Check an installation: ``dfd doctor``."""

import dataclasses
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from dfdlib import machine
from dfdlib.errors import DfdError, RunError

# All else is imported where its absence is caught.

#: Import name and distribution of the packages that the report needs.
_NAMES = "jupyterlab papermill torch fairseq matplotlib seaborn sklearn pandas lightning soundfile av soxr".split()
CORE = {name: name for name in _NAMES} | {"fairseq": "fairseq-fixed", "sklearn": "scikit-learn"}


def examine(*, checkpoint: str | Path | None = None) -> dict[str, dict | list[str]]:
    """Return ``facts``, name to text, and ``problems``, lines with the remedy, of packages, machine, data, weights."""
    facts: dict[str, str] = {"python": platform.python_version()}
    problems: list[str] = []

    def tell(name: str, find: Callable[..., str | None], *arguments: object) -> None:
        try:
            fact = find(*arguments)
        except DfdError as error:
            problems.append(str(error))
        except Exception as error:
            # What is broken is what this command is asked for, and it cannot be known how.
            said = " ".join(str(error).split())[:200]
            problems.append(
                f"{name}: cannot be told ({type(error).__name__}: {said}); see whether it is there and may be read, "
                "or make the environment anew: rm -r .venv, then ./environment.sh"
            )
        else:
            if fact:
                facts[name] = fact

    for module, distribution in ({"dfdlib": "dfdlib"} | CORE).items():
        tell(distribution, _package, module, distribution)
    tell("device", _device)
    tell("machine", _machine)
    tell("root", lambda: str(machine.root()))
    if "root" in facts:
        tell("disk", _disk, Path(facts["root"]))
        for file in sorted((Path(__file__).parents[1] / "experiment/profiles").glob("*.yaml")):
            tell(f"profile {file.stem}", _profile, file.stem)
    tell("demo data", _demo)
    if checkpoint is not None:
        tell("checkpoint", lambda: facts.update(_checkpoint(checkpoint)))
    return {"facts": facts, "problems": problems}


def _package(module: str, distribution: str) -> str:
    if importlib.util.find_spec(module) is None:
        raise RunError(f"{distribution} is not installed; run ./environment.sh")
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        others = importlib.metadata.packages_distributions().get(module, [])
        found = " and ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(others)))
        raise RunError(
            f"{distribution} is not installed under this name: {module} comes from {found or 'a folder'}, which nobody "
            "has tried here; run ./environment.sh"
        ) from None


def _machine() -> str:
    import psutil

    return f"{platform.machine()}, {machine.cores()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"


def _disk(root: Path) -> str:
    if not os.access(root, os.W_OK):
        raise RunError(f"{root}: cannot be written; name another run folder with --folder")
    return f"{shutil.disk_usage(root).free / 2**30:.0f} GiB free"


def _profile(name: str) -> str:
    from dfdlib.experiment import profile

    settings = profile.load(name)
    missing = [str(place) for place in (settings.checkpoint, *settings.data.files) if not place.exists()]
    return f"missing: {', '.join(missing)}" if missing else "ready"


def _demo() -> str | None:
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        return None
    return "cannot be built here (no apt-get); give your own data with --set data.custom=FOLDER"


def _checkpoint(path: str | Path) -> dict[str, str]:
    from dfdlib.detector import network

    described = dataclasses.asdict(network.describe(path))
    return {f"checkpoint {key}": str(value) for key, value in described.items() if value or key != "seems"}


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"CUDA: {torch.cuda.get_device_name()}"
    return f"CPU, {torch.get_num_threads()} threads"
