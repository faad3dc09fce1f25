"""What a front end computes its matrix products in: float32, or half precision where the processor is quicker at it.

In half precision the matrices of a front end are held in it, which halves the memory, and so are attention, the
feed-forward layers and the feature extractor computed. Norms, what is handed from layer to layer and the back end stay
in float32. ``tests/benchmarks/bench_precision.py`` measures what it does to logits and to error rates.
"""

import torch
from torch import nn

from dfdlib import machine
from dfdlib.detector.network import Detector
from dfdlib.errors import ParameterError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

#: So many parameters make a front end large: of a small one, norms and conversions take the time, not products.
LARGE = 50_000_000


def chosen(name: str, model: Detector, *, device: str) -> str:
    """Return the precision, a key of `PRECISIONS`, that a name stands for.

    "auto" is bfloat16 for a large front end on a processor that multiplies bfloat16 itself, else float32.

    Raises
    ------
    ParameterError
        There is no such precision, or a detector without a front end is to use half precision.
    """
    if name == "auto":
        size = 0 if model.ssl_model is None else sum(one.numel() for one in model.ssl_model.parameters())
        return "bfloat16" if size >= LARGE and device == "cpu" and machine.multiplies_bfloat16() else "float32"
    if name not in PRECISIONS:
        raise ParameterError(f"precision={name!r}: choose one of auto, {', '.join(PRECISIONS)}")
    if model.ssl_model is None and name != "float32":
        raise ParameterError(f"precision={name}: the detector {model.configuration.name} has no front end; use float32")
    return name


def hold(model: Detector, name: str) -> None:
    """Hold the matrices of a front end in another precision, in place."""
    dtype = PRECISIONS[name]
    for module in () if model.ssl_model is None else model.ssl_model.modules():
        weight = module._parameters.get("weight")  # weight norm has two others in its place
        if isinstance(module, nn.Linear | nn.Conv1d) and weight is not None and weight.dtype != dtype:
            module.weight = nn.Parameter(weight.detach().to(dtype), requires_grad=False)
