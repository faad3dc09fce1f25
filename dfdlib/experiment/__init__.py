"""One profile, carried out once in a run folder.

`profile` reads the settings, `places` says where the corpora are, `clips` knows which clips are for what, `jobs`
trains, `scored` scores, `run` computes what the notebooks ask for, `comparison` compares recipes, `forensic` validates
likelihood ratios, `channels` sends validation clips through telephones and messengers, `baseline` trains the demo's
detector, `evaluation` evaluates scores that are there already, `rivals` compares other detectors with the profile's,
`planted` is a run whose figures are known.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "baseline channels clips comparison evaluation forensic jobs places planted profile rivals run scored".split()
    ),
    submod_attrs={"profile": ["Profile"], "run": ["Run"]},
)
