"""Waveforms to logits to scores: the network, its checkpoints, and scoring with results kept.

`network` builds and loads a detector, `score` scores a corpus with it, `onnx` exports it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["aasist", "checkpoints", "frontend", "network", "onnx", "score", "score_cache", "scorer", "wav2vec2"],
    submod_attrs={"network": ["Detector"], "score": ["Scores"], "score_cache": ["Cache"]},
)
