import pytest
import torch

from dfdlib.errors import ParameterError
from dfdlib.training import parallel
from dfdlib.training.recipe import Recipe


def test_processes_that_would_be_left_without_a_clip_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "5")
    with pytest.raises(ParameterError, match="batch_size = 4, 8 training and 8 validation clips: none may be fewer"):
        parallel.check(Recipe(batch_size=4), training=8, validation=8)


def test_one_process_cannot_shard_a_network():
    with pytest.raises(ParameterError, match="fsdp: one process alone cannot shard a network; start it with"):
        parallel.check(Recipe(strategy="fsdp"), training=8, validation=8)


def test_batch_norm_over_processes_is_that_of_the_whole_batch(monkeypatch, rng):
    """With one process, sums over processes are its own: the shared norm must be torch's."""
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: None)
    for plain in (torch.nn.BatchNorm1d(3), torch.nn.BatchNorm2d(3)):
        with torch.no_grad():
            plain.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        values = torch.from_numpy(
            rng.standard_normal((6, 3, 4, 5)[: 2 if plain.__class__.__name__.endswith("1d") else 4])
        )
        values = values.float().requires_grad_()
        expected = plain.train()(values)
        expected_gradient = torch.autograd.grad((expected**3).sum(), values)[0]
        running = plain.running_var.clone()
        plain.reset_running_stats()
        plain.__class__ = parallel.shared_norm(type(plain))
        found = plain(values)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            torch.autograd.grad((found**3).sum(), values)[0], expected_gradient, atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(plain.running_var, running)
        assert isinstance(plain, torch.nn.modules.batchnorm._BatchNorm)
