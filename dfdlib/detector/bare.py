"""Networks without values, on the meta device."""

import torch
from torch.overrides import TorchFunctionMode


class NoDrawing(TorchFunctionMode):
    """Leaves out whatever computes initial weights.

    There is nothing to compute on the meta device, and to find that out torch would import its compiler for a second
    (tests/benchmarks/bench_loading.py; a test of loading holds it).
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.rand:
            function = torch.empty
        if function in {torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.cpu}:
            return args[0]
        if function is torch._weight_norm:
            return args[0].detach()
        if getattr(function, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"]
        if function is torch.norm_except_dim:
            tensor, _, kept = args
            return tensor.new_empty([size if axis == kept else 1 for axis, size in enumerate(tensor.shape)])
        return (torch.empty if function is torch.randn else function)(*args, **kwargs)
