"""Waveforms to logits to scores: the network, its checkpoints, and scoring with results kept.

`network` builds and loads a detector, `score` scores a corpus with it, `onnx` exports it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "aasist backends checkpoints configuration explanation frontend graph_layers network onnx own "
        "precision preprocessing registry score score_cache scorer scores splices timelines wav2vec2"
    ).split(),
    submod_attrs={
        "network": ["Detector"],
        "preprocessing": ["Preprocessing"],
        "scores": ["Scores"],
        "score_cache": ["Cache"],
    },
)
