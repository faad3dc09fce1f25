"""Audio deepfake detection: how well does this detector tell real speech from synthetic, before and after fine-tuning?

Polarity, here and everywhere: label 1 is bona fide (real), 0 is spoof (fake); a higher score means bona fide.

The rooms, each importing only from those before it: `evaluation`, `data`, `detector`, `training`, `experiment`,
`report`, `cli`. A name is loaded when it is first used, so that asking for one does not bring the rest.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["cli", "data", "detector", "evaluation", "experiment", "report", "training"],
    submod_attrs={
        "data.corpus": ["Corpus"],
        "detector.network": ["Detector"],
        "detector.scores": ["Scores"],
        "experiment.profile": ["Profile"],
        "experiment.run": ["Run"],
    },
)
