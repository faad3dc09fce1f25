"""The detector: a front end and a back end together, and its checkpoints in and out.

A detector turns waveforms at 16 kHz into two logits per clip: column 0 spoof, column 1 bona fide. The score of a
clip is made of them elsewhere; a higher score means bona fide.

`CONFIGURATIONS` names the ones this project knows: `xlsr-300m` has the sizes and the parameter names of the
published detectors, `mini` takes the same path and trains on two processor cores.

`load` reads three kinds of file and says what is wrong with any other:

- those that `save` writes: safetensors, with the whole configuration in the header;
- a bare state dict written by `torch.save`, the form of the published checkpoints;
- a dictionary whose key `model` holds such a state dict, the form of the study's own checkpoints.

Files of the last two kinds are pickles, and a pickle can run any program while it is read. They are read with
torch's restricted reader, which makes tensors, plain containers and `argparse.Namespace` and refuses everything else.
"""

import argparse
import dataclasses
import functools
import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dfdlib import aasist, files, frontend
from dfdlib.errors import CheckpointError, ParameterError

RATE = 16_000
"""The sampling rate every detector expects, in hertz."""

PREFIX = "module."
"""What `DataParallel` put before each name in the published files."""

HEADER = "dfdlib"
"""The key of a safetensors header that our files keep everything under, as one JSON object. The library writes several
keys in no fixed order; one key gives equal files for equal content."""

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""How names of entries end that are state but not parameters."""


@dataclass(frozen=True, kw_only=True)
class DetectorConfiguration:
    """What a detector is made of.

    Parameters
    ----------
    name : str
        What to call it.
    frontend : FrontendConfiguration
        The wav2vec 2.0 network.
    backend : AasistConfiguration
        The graph-attention network.
    rate : int
        Sampling rate of the waveforms, in hertz.
    """

    name: str
    frontend: frontend.FrontendConfiguration
    backend: aasist.AasistConfiguration
    rate: int = RATE

    @property
    def least_samples(self) -> int:
        """The shortest clip the detector can take, in samples."""
        return self.frontend.samples(self.backend.least_frames)

    def to_dict(self) -> dict:
        """Return the configuration as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping) -> "DetectorConfiguration":
        """Return the configuration that `to_dict` was called on.

        Raises
        ------
        ParameterError
            A key is missing or unknown, or a value is out of range.
        """
        inner = _checked(cls, values)
        front = _checked(frontend.FrontendConfiguration, inner["frontend"])
        back = _checked(aasist.AasistConfiguration, inner["backend"])
        if not isinstance(inner["name"], str) or inner["rate"] != RATE:
            raise ParameterError(f"name={inner['name']!r}, rate={inner['rate']!r}: expected a text and {RATE}")
        return cls(
            name=inner["name"],
            frontend=frontend.FrontendConfiguration(**front),
            backend=aasist.AasistConfiguration(**back),
        )


def _checked(kind: type, values: object) -> dict:
    """Return `values` with lists as tuples, having made sure that its keys are the fields of `kind`."""
    if not isinstance(values, Mapping):
        raise ParameterError(f"configuration: expected the settings of {kind.__name__}, found {values!r:.60}")
    names = {field.name for field in dataclasses.fields(kind)}
    if wrong := sorted(names ^ set(values)):
        raise ParameterError(f"configuration: missing or unknown settings of {kind.__name__}: {', '.join(wrong)}")
    return {name: _as_tuple(value) for name, value in values.items()}


def _as_tuple(value: object) -> object:
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


CONFIGURATIONS = {
    "xlsr-300m": DetectorConfiguration(name="xlsr-300m", frontend=frontend.XLSR_300M, backend=aasist.FULL),
    "mini": DetectorConfiguration(name="mini", frontend=frontend.MINI, backend=aasist.SMALL),
}


class Detector(aasist.Aasist):
    """Waveforms to logits: the back end, fed by a front end of its own.

    It extends the back end instead of holding it because that is how the published files name their parameters:
    those of the front end begin with `ssl_model.model.`, those of the back end with nothing.

    Parameters
    ----------
    configuration : DetectorConfiguration
        Usually one of `CONFIGURATIONS`; `build` is the usual way here.
    """

    def __init__(self, configuration: DetectorConfiguration):
        super().__init__(configuration.backend, inputs=configuration.frontend.width)
        self.configuration = configuration
        self.ssl_model = frontend.Frontend(configuration.frontend)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch of clips of equal length.

        Parameters
        ----------
        waveforms : Tensor of floating point, shape (B, n)
            Mono clips at `configuration.rate`, nominally within [-1, 1].

        Returns
        -------
        Tensor, shape (B, 2)
            Column 0 spoof, column 1 bona fide.

        Raises
        ------
        ParameterError
            The shape is another, or the clips are shorter than `configuration.least_samples`.
        """
        if waveforms.ndim != 2:
            raise ParameterError(f"waveforms of shape {tuple(waveforms.shape)}: expected (clips, samples)")
        least = self.configuration.least_samples
        if waveforms.shape[1] < least:
            raise ParameterError(
                f"waveforms of {waveforms.shape[1]} samples: the detector {self.configuration.name} needs at least "
                f"{least} ({1000 * least / self.configuration.rate:.0f} ms); repeat the clip or leave it out"
            )
        return super().forward(self.ssl_model(waveforms))


@dataclass(frozen=True, kw_only=True)
class Description:
    """What can be said about a checkpoint file without building a detector."""

    path: str
    kind: str
    """`dfdlib`, `state dict` or `training checkpoint`."""
    configuration: str
    """Name of the configuration, or an empty text when the shapes are those of none that is known."""
    tensors: int
    parameters: int
    dtype: str
    metadata: dict[str, str]
    bytes: int
    sha256: str


def build(configuration: str | DetectorConfiguration, *, seed: int | None = None) -> Detector:
    """Return a detector with random weights, in training mode.

    Parameters
    ----------
    configuration : str or DetectorConfiguration
        A key of `CONFIGURATIONS`, or a configuration.
    seed : int, optional
        Equal seeds give equal weights, and torch's global generator is left as it was. Without a seed the weights
        come from that generator.

    Raises
    ------
    ParameterError
        There is no configuration of that name.
    """
    configuration = _configuration(configuration)
    if seed is None:
        return Detector(configuration)
    with torch.random.fork_rng(devices=[]):
        # The processor's generator only: `torch.manual_seed` would also seed those of accelerators, which the
        # fork does not put back.
        torch.default_generator.manual_seed(seed)
        return Detector(configuration)


def load(path: str | Path, *, configuration: str | DetectorConfiguration | None = None) -> Detector:
    """Return the detector of a checkpoint file, in evaluation mode.

    Every parameter of the detector must be in the file with its shape, and nothing else may be.
    Weights in half precision become single precision.

    Parameters
    ----------
    path : str or Path
        A file of one of the kinds listed at the top of this module.
    configuration : str or DetectorConfiguration, optional
        What the file holds. Needed only for a file that carries no configuration and whose names and shapes are
        not those of one in `CONFIGURATIONS`.

    Raises
    ------
    CheckpointError
        The file is missing, damaged or unsafe, is no checkpoint, or does not fit.
    ParameterError
        There is no configuration of that name.
    """
    if configuration is not None:
        configuration = _configuration(configuration)
    content = _read(path)
    if configuration is not None and content.configuration not in {None, configuration}:
        raise CheckpointError(
            f"{path}: holds the detector {content.configuration.name} with settings of its own, "
            f"which are not those of {configuration.name}; load it without naming a configuration"
        )
    configuration = configuration or content.configuration or _closest(path, content.tensors)
    model = _skeleton(configuration)
    _fit(path, content.tensors, model, target=f"the detector {configuration.name}")
    # Own copies and not views of the file: what another program writes into it later must not change the weights.
    dtype = _dtype(content.tensors)
    tensors = {
        name: tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
        for name, tensor in content.tensors.items()
    }
    _refuse_non_finite(path, tensors)
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def load_frontend_weights(model: Detector, path: str | Path) -> Detector:
    """Put the weights of a pre-trained wav2vec 2.0 (fairseq's `xlsr2_300m.pt`) into the front end, and return `model`.

    The back end keeps its weights.

    Raises
    ------
    CheckpointError
        As `load`.
    """
    content = _read(path)
    network = model.ssl_model.model
    _fit(path, content.tensors, network, target=f"the front end of the detector {model.configuration.name}")
    _refuse_non_finite(path, content.tensors)
    network.load_state_dict(content.tensors)
    return model


def save(path: str | Path, model: Detector, *, metadata: Mapping[str, str]) -> None:
    """Write the weights and the configuration of `model` to a safetensors file, whole or not at all.

    Equal weights and metadata give equal bytes.

    Parameters
    ----------
    path : str or Path
        The file to write.
    model : Detector
        Its weights are written as they are, on whatever device and in whatever precision.
    metadata : mapping of str to str
        What to note in the file: where the weights come from, with what settings.

    Raises
    ------
    ParameterError
        The metadata holds something else than text.
    """
    from safetensors.torch import save as to_bytes

    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ParameterError(f"metadata {key!r}={value!r}: both must be text")
    header = {"configuration": model.configuration.to_dict(), "metadata": dict(metadata)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = to_bytes(tensors, metadata={HEADER: json.dumps(header, sort_keys=True)})
    with files.atomic(path, "wb") as file:
        file.write(content)


def describe(path: str | Path) -> Description:
    """Return what a checkpoint file holds, without building a detector.

    Raises
    ------
    CheckpointError
        The file is missing, damaged or unsafe, or is no checkpoint.
    """
    content = _read(path)
    if content.configuration is not None:
        name = content.configuration.name
    else:
        shapes = _shapes(content.tensors)
        name = next((name for name, known in CONFIGURATIONS.items() if _expected(known) == shapes), "")
    return Description(
        path=str(path),
        kind=content.kind,
        configuration=name,
        tensors=len(content.tensors),
        parameters=sum(tensor.numel() for name, tensor in content.tensors.items() if not name.endswith(BUFFERS)),
        dtype=" ".join(sorted({_name(t.dtype) for t in content.tensors.values() if t.is_floating_point()})),
        metadata=content.metadata,
        bytes=Path(path).stat().st_size,
        sha256=files.sha256(path),
    )


def fingerprint(model: torch.nn.Module) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of all parameters and buffers, sorted by name.

    Equal for equal weights, whatever file or process they come from.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {_name(tensor.dtype)} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class _Content:
    """A checkpoint file, read: tensors under their plain names, and what it says about itself."""

    kind: str
    tensors: dict[str, torch.Tensor]
    configuration: DetectorConfiguration | None = None
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)


def _read(path: str | Path) -> _Content:
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); check the path of the checkpoint") from error
    # A safetensors file begins with the length of its header in eight bytes, and the header is JSON. What
    # `torch.save` writes is a zip archive, and a bare pickle before 2020.
    if start[8:9] == b"{":
        return _read_safetensors(path)
    if start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
        return _read_pickle(path)
    raise CheckpointError(
        f"{path}: not a checkpoint (neither safetensors nor written by torch.save); "
        "if it was downloaded, look whether it is a web page or a Git LFS pointer, and fetch it again"
    )


def _read_safetensors(path: str | Path) -> _Content:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    tensors = _state_dict(path, tensors)
    if header is None:
        return _Content(kind="state dict", tensors=tensors)
    try:
        header = json.loads(header)
        configuration = DetectorConfiguration.from_dict(header["configuration"])
        metadata = {str(key): str(value) for key, value in header["metadata"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, ParameterError) as error:
        raise CheckpointError(
            f"{path}: its header is not one that this version of dfdlib writes ({error}); "
            "load it with the version that wrote it"
        ) from error
    return _Content(kind="dfdlib", tensors=tensors, configuration=configuration, metadata=metadata)


def _read_pickle(path: str | Path) -> _Content:
    try:
        content = _unpickle(path)
    except Exception as error:  # a damaged pickle can fail in any way
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise CheckpointError(
                f"{path}: refused, because it holds more than weights ({refused[1]}), and reading that could run "
                "any program; ask whoever made it for the weights alone: torch.save(model.state_dict(), …)"
            ) from error
        raise _damaged(path, error) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        return _Content(kind="training checkpoint", tensors=_state_dict(path, content["model"]))
    return _Content(kind="state dict", tensors=_state_dict(path, content))


def _unpickle(path: str | Path) -> object:
    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about forms of pickle; those that cannot be read end in an error anyway
        options = {"map_location": "cpu", "weights_only": True}
        try:
            return torch.load(path, mmap=True, **options)
        except RuntimeError as error:
            # Files in the format before 2020 cannot be mapped into memory.
            if "mmap" not in str(error):
                raise
            return torch.load(path, **options)


def _state_dict(path: str | Path, content: object) -> dict[str, torch.Tensor]:
    """Return `content` without the prefix of the published files, having made sure that it holds tensors only."""
    if not isinstance(content, dict) or not content or not all(isinstance(name, str) for name in content):
        raise CheckpointError(f"{path}: holds no state dict (names and tensors); save model.state_dict() and load that")
    for name, value in content.items():
        if not isinstance(value, torch.Tensor) or value.layout is not torch.strided or value.is_quantized:
            raise CheckpointError(
                f"{path}: {name!r} is no plain tensor, so this is no state dict; save model.state_dict() and load that"
            )
    prefix = PREFIX if all(name.startswith(PREFIX) for name in content) else ""
    return {name.removeprefix(prefix): value.detach() for name, value in content.items()}


def _damaged(path: str | Path, error: Exception) -> CheckpointError:
    # torch's messages are paragraphs of advice; what happened stands before or after them.
    reason = str(error).rsplit("WeightsUnpickler error:", 1)[-1].strip().split("\n")[0].split(". This is")[0]
    return CheckpointError(
        f"{path}: not a file of weights, or damaged or cut short ({reason[:100] or type(error).__name__}); "
        "copy or fetch it again and compare its sha256"
    )


def _configuration(configuration: str | DetectorConfiguration) -> DetectorConfiguration:
    if isinstance(configuration, DetectorConfiguration):
        return configuration
    if configuration not in CONFIGURATIONS:
        raise ParameterError(f"no detector is called {configuration!r}; there are {', '.join(CONFIGURATIONS)}")
    return CONFIGURATIONS[configuration]


def _skeleton(configuration: DetectorConfiguration) -> Detector:
    """Return a detector whose tensors have shapes and no values: nothing is allocated and nothing is drawn."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return Detector(configuration)


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@functools.cache
def _expected(configuration: DetectorConfiguration) -> dict[str, tuple[int, ...]]:
    return _shapes(_skeleton(configuration).state_dict())


def _closest(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> DetectorConfiguration:
    """Return the known configuration that shares most names and shapes with `tensors`."""
    found = _shapes(tensors).items()
    shared = {name: len(_expected(known).items() & found) for name, known in CONFIGURATIONS.items()}
    best = max(shared, key=shared.__getitem__)
    if not shared[best]:
        raise CheckpointError(
            f"{path}: none of its {len(tensors)} tensors has the name and shape of a known detector "
            f"({', '.join(CONFIGURATIONS)}); use a checkpoint of one of these"
        )
    return CONFIGURATIONS[best]


def _fit(path: str | Path, tensors: Mapping[str, torch.Tensor], network: torch.nn.Module, *, target: str) -> None:
    """Make sure that `tensors` are exactly what `network` needs."""
    entries = network.state_dict()
    found, needed = _shapes(tensors), _shapes(entries)
    missing = [name for name in needed if name not in found]
    unexpected = [name for name in found if name not in needed]
    wrong = []
    for name in needed.keys() & found.keys():
        if found[name] != needed[name]:
            wrong.append(f"{name} is {_size(found[name])}, needed {_size(needed[name])}")
        elif tensors[name].is_floating_point() != entries[name].is_floating_point():
            wrong.append(f"{name} is {_name(tensors[name].dtype)}, needed {_name(entries[name].dtype)}")
    if not (missing or unexpected or wrong):
        return
    parts = [f"{len(needed) - len(missing) - len(wrong)} of {len(needed)} tensors match"]
    kinds = {"missing": missing, "unexpected": unexpected, "of the wrong shape or type": sorted(wrong)}
    for kind, names in kinds.items():
        if names:
            parts.append(f"{len(names)} {kind}: {', '.join(names[:10])}{', …' if len(names) > 10 else ''}")
    raise CheckpointError(
        f"{path}: does not fit {target}: {'; '.join(parts)}. Use a checkpoint of this detector, "
        "or name the configuration that the file was made with"
    )


def _refuse_non_finite(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> None:
    # A sum is finite only if all its terms are, and costs far less than looking at each; a sum may overflow, so what
    # it finds is looked at again.
    doubtful = [name for name, tensor in tensors.items() if not tensor.sum().isfinite()]
    bad = [name for name in doubtful if not tensors[name].isfinite().all()]
    if bad:
        raise CheckpointError(
            f"{path}: NaN or infinity in {len(bad)} of its tensors (the first is {bad[0]}), as after a training that "
            "diverged; use an earlier checkpoint"
        )


def _dtype(tensors: Mapping[str, torch.Tensor]) -> torch.dtype:
    """Return double precision when the weights have it throughout, and single precision otherwise."""
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    return torch.float64 if kinds == {torch.float64} else torch.float32


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a scalar"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
