"""The published detectors: what each is, what it was trained on, how well it did, and where its weights are.

Light: it knows names and places, and no network. `configuration` holds what each is made of, by the same names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dfdlib.errors import ParameterError, RunError

_POST = "56,000 h real and 18,000 h fake speech, ASVspoof, Codecfake, MLAAD, SpoofCeleb, WaveFake and others among them"
_ITW_TABLE = "https://github.com/Liu-Tianchi/Nes2Net_ASVspoof_ITW"
_AASIST = "https://raw.githubusercontent.com/clovaai/aasist/a04c9863f63d44471dde8a6abcb3b082b07cd1d1/models/weights/"


@dataclass(frozen=True)
class Entry:
    """A detector that people compare with."""

    what: str
    parameters: int
    # Published equal error rates, of `source` unless another place is named; "not verified" where that could not be
    # looked up.
    results: str
    source: str  # where these results, the network and mostly the weights come from
    trained_on: str = "ASVspoof 2019 LA train"  # the published weights
    code_licence: str = "none stated"
    weights_licence: str = "none stated"
    checkpoint: str = "state dict"  # the form of the file
    # Addresses of weights and their checksums, "" where none is published.
    urls: Mapping[str, str] = field(default_factory=dict)
    huggingface: str = ""  # a repository of weights
    steps: str = ""  # what a person has to do for the weights

    @property
    def places(self) -> list[str]:
        """Where `dfd weights fetch` gets the weights."""
        return [*self.urls, *([f"https://huggingface.co/{self.huggingface}"] if self.huggingface else [])]


def _mini(what: str, parameters: int, *, steps: str) -> Entry:
    return Entry(
        what,
        parameters,
        results="none: it is a demonstration",
        source="this project",
        trained_on="the demo's source corpus",
        code_licence="this project's",
        weights_licence="this project's",
        checkpoint="safetensors",
        steps=steps,
    )


def _aasist(what: str, parameters: int, *, eer: str, file: str, sha256: str) -> Entry:
    return Entry(
        what,
        parameters,
        results=f"ASVspoof 2019 LA {eer} %",
        source="https://github.com/clovaai/aasist",
        code_licence="MIT",
        weights_licence="MIT",
        urls={_AASIST + file: f"sha256:{sha256}"},
    )


def _antideepfake(front: str, parameters: int, *, in_the_wild: float, repository: str) -> Entry:
    return Entry(
        f"{front}, mean over time, one linear layer",
        parameters,
        results=f"In-the-Wild {in_the_wild:.2f} % (by others: https://huggingface.co/SpeechAntiSpoofingBenchmarks)",
        source="https://github.com/nii-yamagishilab/AntiDeepfake (Zenodo record 15580543)",
        trained_on=_POST,
        code_licence="BSD-3-Clause",
        weights_licence="CC BY-NC-SA 4.0",
        checkpoint="state dict (.ckpt) or safetensors, front end under m_ssl.",
        huggingface=f"nii-yamagishilab/{repository}-anti-deepfake",
    )


_TRAIN = "train it: dfd train-baseline --set detector={}"
_DRIVE = "download the checkpoint from the drive that the README of the source names"
ENTRIES: dict[str, Entry] = {
    "mini-resnet": _mini("a small residual network on log spectrograms", 81_638, steps="it comes with the project"),
    "mini": _mini("a small wav2vec 2.0 and AASIST", 386_000, steps="it comes with the project"),
    "mini-nes2net": _mini("a small wav2vec 2.0 and Nes2Net", 328_146, steps=_TRAIN.format("mini-nes2net")),
    "mini-conformer": _mini("a small wav2vec 2.0 and a conformer", 474_158, steps=_TRAIN.format("mini-conformer")),
    "mini-tcm": _mini(
        "a small wav2vec 2.0 and a conformer with head tokens (TCM)", 451_238, steps=_TRAIN.format("mini-tcm")
    ),
    "mini-mean": _mini(
        "a small wav2vec 2.0 and mean over time, one linear layer", 319_188, steps=_TRAIN.format("mini-mean")
    ),
    "mini-sls": _mini(
        "a small wav2vec 2.0 and all layers, and SLS", 387_799, steps=_TRAIN.format("mini-sls") + " --set window=fixed"
    ),
    "mini-rawnet2": _mini("a small RawNet2 on waveforms", 107_106, steps=_TRAIN.format("mini-rawnet2")),
    "aasist": _aasist(
        "AASIST on waveforms",
        297_866,
        eer="0.83",
        file="AASIST.pth",
        sha256="51d2d9cf0738172f61e2a384ec50a54a55363240f67c971ed55a92435bc1a1c0",
    ),
    "aasist-l": _aasist(
        "AASIST-L on waveforms",
        85_306,
        eer="0.99",
        file="AASIST-L.pth",
        sha256="814331d088032bb4c3fa61cc014789eadeed464209dd094ab3a2dd6ffbdce27a",
    ),
    "rawnet2": Entry(
        "RawNet2 on waveforms, the baseline of ASVspoof 2021",
        17_621_410,
        results="ASVspoof 2021 LA 9.50 %, DF 22.38 % (arXiv 2109.00537; not verified)",
        source="https://github.com/asvspoof-challenge/2021",
        code_licence="MIT",
        steps="download pre_trained_DF_RawNet2.zip, which the README of the source names, and unpack it",
    ),
    "rawnet2-asvspoof5": Entry(
        "RawNet2 on waveforms, the baseline of ASVspoof 5",
        17_621_410,
        results="ASVspoof 5 track 1 36.0 % (arXiv 2408.08739; not verified)",
        source="https://github.com/asvspoof-challenge/asvspoof5",
        trained_on="ASVspoof 5 train",
        steps="no checkpoint is published; train it, as the folder Baseline-RawNet2 of the source does",
    ),
    "xlsr-300m": Entry(
        "XLS-R 300M and AASIST",
        317_837_834,
        results=f"ASVspoof 2021 LA 0.82 %, DF 2.85 %, In-the-Wild 10.46 % ({_ITW_TABLE})",
        source="https://github.com/TakHemlata/SSL_Anti-spoofing",
        code_licence="MIT",
        checkpoint="state dict, names begin with module.",
        steps=_DRIVE,
    ),
    "xlsr-sls": Entry(
        "XLS-R 300M, all layers, and SLS; windows of 64,600 samples only",
        340_790_021,
        results="ASVspoof 2021 LA 2.87 %, DF 1.92 %, In-the-Wild 7.46 %",
        source="https://github.com/QiShanZhang/SLSforASVspoof-2021-DF",
        checkpoint="state dict, names begin with module.",
        steps=_DRIVE,
    ),
    "xlsr-nes2net": Entry(
        "XLS-R 300M and Nes2Net",
        317_902_386,
        results="ASVspoof 2021 LA 1.61 %, DF 1.89 %, In-the-Wild 5.80 %",
        source=_ITW_TABLE,
        steps="no checkpoint is published; train it",
    ),
    "xlsr-nes2net-x": Entry(
        "XLS-R 300M and Nes2Net-X",
        317_902_631,
        results="ASVspoof 2021 LA 1.73 %, DF 1.65 %, In-the-Wild 5.52 %",
        source=_ITW_TABLE,
        steps=_DRIVE,
    ),
    "xlsr-conformer": Entry(
        "XLS-R 300M and a conformer",
        319_896_916,
        results=f"ASVspoof 2021 LA 1.38 %, DF 2.27 %, In-the-Wild 8.42 % ({_ITW_TABLE})",
        source="https://github.com/ErosRos/conformer-based-classifier-for-anti-spoofing",
        steps="no checkpoint is published; train it",
    ),
    "xlsr-tcm": Entry(
        "XLS-R 300M and a conformer with head tokens (TCM)",
        319_773_220,
        results=f"ASVspoof 2021 LA 1.03 %, DF 2.06 %, In-the-Wild 7.79 % ({_ITW_TABLE})",
        source="https://github.com/ductuantruong/tcm_add",
        code_licence="MIT",
        weights_licence="MIT, as the code; no other terms stated",
        steps=_DRIVE,
    ),
    "antideepfake-small": _antideepfake("wav2vec 2.0 base", 95_046_146, in_the_wild=5.31, repository="wav2vec-small"),
    "antideepfake-300m": _antideepfake("MMS 300M", 317_392_642, in_the_wild=4.83, repository="mms-300m"),
    "antideepfake-1b": _antideepfake("MMS 1B", 965_517_314, in_the_wild=3.3, repository="mms-1b"),
    "antideepfake-2b": _antideepfake("XLS-R 2B", 2_162_936_194, in_the_wild=2.81, repository="xls-r-2b"),
    "antideepfake-hubert-xl": _antideepfake(
        "HuBERT extra large", 964_324_226, in_the_wild=3.46, repository="hubert-xlarge"
    ),
}

#: Other names of these.
ALIASES = {"xlsr-aasist": "xlsr-300m"}

#: How files of weights end.
_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")


def plain(name: str) -> str:
    """Return the name of an entry, for it or another name of it."""
    found = ALIASES.get(name, name)
    if found not in ENTRIES:
        raise ParameterError(f"no detector is called {name!r}; there are {', '.join(ENTRIES)}")
    return found


def weights(name: str, data: Path) -> Path | None:
    """Return the file of weights of a detector in a folder of data: in ``weights/NAME``, or made by this project."""
    name = plain(name)
    found = files_in(data / "weights" / name)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ParameterError(f"{found[0].parent}: holds several files of weights ({names}); name one with --checkpoint")
    baseline = data / "models" / f"{name}-baseline.safetensors"
    return found[0] if found else baseline if baseline.is_file() else None


def required_weights(name: str, data: Path) -> Path:
    """Return the file of `weights`."""
    name = plain(name)
    if found := weights(name, data):
        return found
    raise RunError(f"{name}: its weights are not here; {remedy(name)}, or name a file of them with --checkpoint")


def remedy(name: str) -> str:
    """Return what to do where the weights of a detector are not here."""
    entry = ENTRIES[plain(name)]
    return f"run dfd weights fetch {plain(name)}" if entry.places else entry.steps


def files_in(folder: Path) -> list[Path]:
    """Return the files of weights in a folder."""
    return sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES and path.is_file())
