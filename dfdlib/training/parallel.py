"""Several processes that train one network: sums, batch norm and weights over all of them."""

import functools

import torch
import torch.distributed
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.checkpoint import state_dict as sharded

from dfdlib import processes
from dfdlib.detector.network import Detector
from dfdlib.errors import ParameterError
from dfdlib.training.recipe import Recipe

# Gather sharded weights and optimiser state in the first process's memory.
_GATHERED = sharded.StateDictOptions(full_state_dict=True, cpu_offload=True)


def check(recipe: Recipe, *, training: int, validation: int) -> None:
    """Refuse a recipe that these processes cannot train on so many clips."""
    if processes.count() == 1:
        if recipe.is_sharded:
            raise ParameterError("strategy = fsdp: one process alone cannot shard a network; start it with torchrun")
        return
    if min(recipe.batch_size, training, validation) < processes.count():
        raise ParameterError(
            f"batch_size = {recipe.batch_size}, {training} training and {validation} validation clips: none may be "
            f"fewer than the {processes.count()} processes"
        )


def strategy(recipe: Recipe) -> str | ModelParallelStrategy:
    """Return Lightning's strategy for several processes."""
    if recipe.is_sharded:
        # Lightning's FSDP strategy needs GPUs; this one leaves it to `shard` what is sharded, and how.
        return ModelParallelStrategy(data_parallel_size=processes.count(), tensor_parallel_size=1)
    return "ddp"


def shard(model: Detector, *, mesh) -> None:
    """Shard the weights of `model` over the processes (FSDP2), a unit for each layer of the encoder."""
    from torch.distributed.fsdp import fully_shard

    for layer in model.encoder_layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def weights(model: Detector, *, recipe: Recipe) -> dict[str, torch.Tensor]:
    """Return the state dict of the whole network. Every process must call this; the first one gets it."""
    return sharded.get_model_state_dict(model, options=_GATHERED) if recipe.is_sharded else model.state_dict()


def optimizer_state(model: Detector, optimizer: torch.optim.Optimizer, *, recipe: Recipe) -> dict:
    """Return the state of the optimiser for the whole network, as `weights` does."""
    if recipe.is_sharded:
        return sharded.get_optimizer_state_dict(model, optimizer, options=_GATHERED)
    return optimizer.state_dict()


def load_optimizer_state(model: Detector, optimizer: torch.optim.Optimizer, state: dict, *, recipe: Recipe) -> None:
    """Give the optimiser the state that `optimizer_state` returned."""
    if recipe.is_sharded:
        sharded.set_optimizer_state_dict(model, optimizer, state, options=_GATHERED)
    else:
        optimizer.load_state_dict(state)


def total(*values: torch.Tensor) -> tuple[float, ...]:
    """Return the sum of each value over all processes."""
    stacked = torch.stack([value.double() for value in values])
    if processes.count() > 1:
        torch.distributed.all_reduce(stacked)
    return tuple(stacked.tolist())


def gather_batches(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels of all processes, in the order of the clips."""
    logits, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    if processes.count() == 1:
        return logits, labels
    found: list = [None] * processes.count()
    torch.distributed.all_gather_object(found, (logits, labels))
    total = sum(len(part[1]) for part in found)
    every_logit, every_label = torch.empty(total, 2), torch.empty(total, dtype=labels.dtype)
    for rank, (part, truth) in enumerate(found):
        every_logit[rank :: processes.count()], every_label[rank :: processes.count()] = part, truth
    return every_logit, every_label


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. Each of them depends on every share, so gradients are summed as well."""

    @staticmethod
    def forward(context, share: torch.Tensor) -> torch.Tensor:
        total = share.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


@functools.cache
def shared_norm(kind: type) -> type:
    """Return a batch norm whose statistics are those of all processes' clips; torch's own runs on GPUs only."""

    class Shared(kind):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            if not self.training:
                return super().forward(values)
            given, values = values.dtype, values.float()  # squares of half precision may be too large for it
            axes = [axis for axis in range(values.ndim) if axis != 1]
            count = torch.full((1,), values.numel() / values.shape[1], device=values.device)
            sums = torch.cat([values.sum(axes), (values * values).sum(axes), count])
            sums = _Sum.apply(sums)
            number = sums[-1]
            mean, square = (sums[:-1] / number).chunk(2)
            variance = (square - mean**2).clamp_min(0)
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * number / (number - 1), self.momentum)
            shape = [1, -1] + [1] * (values.ndim - 2)
            scale = self.weight * (variance + self.eps).rsqrt()
            return (values * scale.view(shape) + (self.bias - mean * scale).view(shape)).to(given)

    return Shared
