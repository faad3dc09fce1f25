"""The detector the plain way: fairseq's own forward pass, then the back end. What ours is held against."""

import torch

from dfdlib.detector.aasist import Aasist
from dfdlib.detector.frontend import Frontend
from dfdlib.detector.network import Detector


def features(front: Frontend, waveforms: torch.Tensor) -> torch.Tensor:
    """Return features of shape (B, T, width) for waveforms of shape (B, n)."""
    return front.model(waveforms, mask=False, features_only=True)["x"]


def logits(model: Detector, waveforms: torch.Tensor) -> torch.Tensor:
    """Return logits of shape (B, 2) for waveforms of shape (B, n)."""
    return Aasist.forward(model, features(model.ssl_model, waveforms))
