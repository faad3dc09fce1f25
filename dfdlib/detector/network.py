"""The detector: a front end and a back end together, and its checkpoints in and out.

A detector turns waveforms at 16 kHz into two logits per clip: column 0 spoof, column 1 bona fide. The score of a
clip is made of them elsewhere; a higher score means bona fide.

`CONFIGURATIONS` names the ones this project knows: most have the sizes and the parameter names of published detectors,
`mini` takes the same path as `xlsr-300m`, in sizes that two processor cores train.

`load` takes the files that `checkpoints` can read and gives a detector that is ready to score; `save` writes
safetensors with the whole configuration in the header.
"""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from dfdlib import files
from dfdlib.detector import checkpoints, frontend
from dfdlib.detector.configuration import BACKENDS, CONFIGURATIONS, DetectorConfiguration, named
from dfdlib.errors import CheckpointError, ParameterError

#: Raised whenever the same weights give other logits than before: what was kept is then computed again.
VERSION = 1

#: How names of entries end that are state but not parameters.
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class Detector(nn.Module):
    """Waveforms to logits: a back end, fed by a front end of its own or by the waveforms. `build` makes one.

    It is made as a subclass of the back end's class as well, which stands in `CLASSES`, because that is how the
    published files name their parameters: those of the front end begin with `ssl_model.model.`, those of the back end
    with nothing.
    """

    def __new__(cls, configuration: DetectorConfiguration | None = None):
        # Without a configuration it is a copy that is made.
        return super().__new__(cls if configuration is None else CLASSES[configuration.kind])

    def __init__(self, configuration: DetectorConfiguration):
        front = configuration.frontend
        super().__init__(configuration.backend, **({} if front is None else {"inputs": front.width}))
        self.configuration = configuration
        self.ssl_model = None if front is None else frontend.Frontend(front)
        if configuration.takes_layers:  # from before this norm, which then gets no gradient
            self.ssl_model.model.encoder.layer_norm.requires_grad_(False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return the logits, shape (B, 2), column 0 spoof, column 1 bona fide, of clips of equal length, shape (B, n).

        They are mono, at `configuration.rate`, nominally within [-1, 1].
        """
        self.configuration.check(waveforms.shape)
        waveforms = self.normalised(waveforms)
        if self.ssl_model is None:
            return self.decide(waveforms)
        return self.decide(self.ssl_model(waveforms, layers=self.configuration.takes_layers))

    def normalised(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return waveforms, shape (B, n), as the network wants them."""
        return F.layer_norm(waveforms, waveforms.shape[1:]) if self.configuration.normalise else waveforms

    @property
    def encoder_layers(self) -> Sequence[nn.Module]:
        """The layers of the front end's encoder; none where there is no front end."""
        return () if self.ssl_model is None else self.ssl_model.model.encoder.layers

    def decide(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits for what the front end gives, or for waveforms where there is none."""
        return super().forward(features)


#: The class of detectors with each back end. They have names in this module, as copies and pickles want.
CLASSES = {
    kind: type(f"{module.__name__}Detector", (Detector, module), {"__module__": __name__})
    for kind, (_, module) in BACKENDS.items()
}
globals().update({made.__name__: made for made in CLASSES.values()})


@dataclass(frozen=True, kw_only=True)
class Description:
    """What can be said about a checkpoint file."""

    path: str
    kind: str  # as `checkpoints.Content.kind`
    configuration: str  # its name, or an empty text when the names and shapes are those of none that is known
    seems: str  # what else the file seems to be, when there is no configuration; or an empty text
    tensors: int
    parameters: int
    dtype: str
    metadata: dict[str, str]
    bytes: int
    sha256: str


def build(configuration: str | DetectorConfiguration, *, seed: int | None = None) -> Detector:
    """Return a detector with random weights, in training mode, by a configuration or the name of one.

    Equal seeds give equal weights, and torch's global generator is left as it was. Without a seed the weights come
    from that generator.
    """
    configuration = _configuration(configuration)
    if seed is None:
        return Detector(configuration)
    with torch.random.fork_rng(devices=[]):
        # The processor's generator only: `torch.manual_seed` would also seed those of accelerators, which the
        # fork does not put back.
        torch.default_generator.manual_seed(seed)
        return Detector(configuration)


class _NoDrawing(TorchFunctionMode):
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


def skeleton(configuration: str | DetectorConfiguration) -> Detector:
    """Return a detector on the meta device: tensors with shapes and no values, which cost next to nothing."""
    with torch.device("meta"), _NoDrawing():
        return Detector(_configuration(configuration))


@functools.cache
def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the tensors of one of `CONFIGURATIONS`."""
    return checkpoints.shapes(skeleton(name).state_dict())


def load(path: str | Path, *, configuration: str | DetectorConfiguration | None = None) -> Detector:
    """Return the detector of a checkpoint file, in evaluation mode.

    Every parameter of the detector must be in the file with its shape, and nothing else may be.
    Weights in half precision become single precision.

    Parameters
    ----------
    path : str or Path
        A file of one of the kinds that `checkpoints` reads.
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
    content = checkpoints.read(path)
    own = _of_header(path, content)[0]
    if configuration is not None and own not in {None, configuration}:
        raise CheckpointError(
            f"{path}: holds the detector {own.name} with settings of its own, "
            f"which are not those of {configuration.name}; load it without naming a configuration"
        )
    told = configuration or own
    configuration = told or _closest(content.tensors)
    model = skeleton(configuration)
    target = f"the detector {configuration.name}" + ("" if told else ", the likest that is known")
    _fit(path, content, model, target=target)
    model.load_state_dict(checkpoints.copies(path, content), assign=True)
    return model.eval()


def load_frontend_weights(model: Detector, path: str | Path) -> Detector:
    """Put the weights of a pre-trained wav2vec 2.0 (fairseq's `xlsr2_300m.pt`) into the front end, and return `model`.

    The back end keeps its weights.
    """
    if model.ssl_model is None:
        raise ParameterError(f"{path}: the detector {model.configuration.name} has no front end to put weights into")
    content = checkpoints.read(path)
    network = model.ssl_model.model
    _fit(path, content, network, target=f"the front end of the detector {model.configuration.name}")
    checkpoints.refuse_non_finite(path, content.tensors)
    # Through the module around it: the network's own way imports all of fairseq.
    model.ssl_model.load_state_dict({f"model.{name}": tensor for name, tensor in content.tensors.items()})
    return model


def save(path: str | Path, model: Detector, *, metadata: Mapping[str, str]) -> None:
    """Write the weights and the configuration of `model` to a safetensors file, whole or not at all.

    Equal weights and metadata, text that says where the weights come from, give equal bytes.
    """
    from safetensors.torch import save as to_bytes

    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ParameterError(f"metadata {key!r}={value!r}: both must be text")
    header = {"configuration": model.configuration.to_dict(), "metadata": dict(metadata)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = to_bytes(tensors, metadata={checkpoints.HEADER: json.dumps(header, sort_keys=True)})
    with files.atomic(path, "wb") as file:
        file.write(content)


def describe(path: str | Path) -> Description:
    """Return what a checkpoint file holds, without its values."""
    content = checkpoints.read(path)
    configuration, metadata = _of_header(path, content)
    shapes = checkpoints.shapes(content.tensors)
    name = configuration.name if configuration is not None else _recognised(shapes)
    return Description(
        path=str(path),
        kind=content.kind,
        configuration=name,
        seems="" if name else _seems(shapes),
        tensors=len(content.tensors),
        parameters=sum(tensor.numel() for name, tensor in content.tensors.items() if not name.endswith(BUFFERS)),
        dtype=" ".join(sorted({_name(t.dtype) for t in content.tensors.values() if t.is_floating_point()})),
        metadata=metadata,
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


def identity(model: Detector) -> str:
    """Return the SHA-256 over the weights and the settings that they do not tell: all that decides the logits."""
    weights, settings = fingerprint(model), model.configuration.beside_weights()
    return hashlib.sha256(f"{weights} {settings}".encode()).hexdigest() if settings else weights


def _of_header(path: str | Path, content: checkpoints.Content) -> tuple[DetectorConfiguration | None, dict[str, str]]:
    """Return the configuration and the metadata that a file of ours carries; None and nothing for any other."""
    if content.header is None:
        return None, {}
    try:
        header = json.loads(content.header)
        metadata = {str(key): str(value) for key, value in header["metadata"].items()}
        return DetectorConfiguration.from_dict(header["configuration"]), metadata
    except (ValueError, KeyError, TypeError, AttributeError, ParameterError) as error:
        raise CheckpointError(
            f"{path}: its header is not one that this version of dfdlib writes ({error}); "
            "load it with the version that wrote it"
        ) from error


def _configuration(configuration: str | DetectorConfiguration) -> DetectorConfiguration:
    return configuration if isinstance(configuration, DetectorConfiguration) else named(configuration)


def _with_sizes_of(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return the known configurations with a front end of the same sizes: large ones take long to look at."""
    sizes = checkpoints.sizes(shapes)
    fronts = {name: known.frontend for name, known in CONFIGURATIONS.items()}
    return [name for name, one in fronts.items() if (None if one is None else (one.layers, one.width)) == sizes]


def _recognised(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the first known configuration with exactly these names and shapes, or an empty text."""
    return next((name for name in _with_sizes_of(shapes) if shapes_of(name) == shapes), "")


def _seems(shapes: Mapping[str, tuple[int, ...]]) -> str:
    known = {(one.layers, one.width): name for name, one in frontend.CONFIGURATIONS.items()}
    return checkpoints.seems(shapes, known=known)


def _closest(tensors: Mapping[str, torch.Tensor]) -> DetectorConfiguration:
    """Return the known configuration that shares most names and shapes with `tensors`."""
    shapes = checkpoints.shapes(tensors)
    if name := _recognised(shapes):
        return CONFIGURATIONS[name]
    possible = _with_sizes_of(shapes)
    if checkpoints.sizes(shapes) is None or not possible:
        # These stand for all with a front end. A back end alone may be one of theirs.
        possible = ["xlsr-300m", "mini", *possible]
    return CONFIGURATIONS[max(possible, key=lambda name: len(shapes_of(name).items() & shapes.items()))]


def _fit(path: str | Path, content: checkpoints.Content, network: torch.nn.Module, *, target: str) -> None:
    """Make sure that the tensors of `content` are exactly what `network` needs."""
    tensors = content.tensors
    entries = network.state_dict()
    found, needed = checkpoints.shapes(tensors), checkpoints.shapes(entries)
    kinds = {"matching": [], "missing": [], "unexpected": [], "of the wrong shape or type": []}
    for name in needed:
        if name not in found:
            kinds["missing"].append(name)
        elif found[name] != needed[name]:
            kinds["of the wrong shape or type"].append(f"{name} is {_size(found[name])}, needed {_size(needed[name])}")
        elif tensors[name].is_floating_point() != entries[name].is_floating_point():
            kinds["of the wrong shape or type"].append(
                f"{name} is {_name(tensors[name].dtype)}, needed {_name(entries[name].dtype)}"
            )
        else:
            kinds["matching"].append(name)
    kinds["unexpected"] = [name for name in found if name not in needed]
    if len(kinds["matching"]) == len(needed) == len(found):
        return
    parts = [
        f"{len(names)} {kind}{': ' if names else ''}{', '.join(names[:3])}"
        + (f" … and {len(names) - 3} more" if len(names) > 3 else "")
        for kind, names in kinds.items()
    ]
    name = "" if found == needed else _recognised(found)
    seems = f"the whole detector {name}; load it as that" if name else _seems(found)
    advice = f"It seems to be {seems}" if seems else "Use another file, or name the configuration that it was made with"
    raise CheckpointError(
        f"{path}: does not fit {target}, which has {len(needed)} tensors: {'; '.join(parts)}"
        + (f" (without {' '.join(content.stripped)} before names)" if content.stripped else "")
        + f". {advice}"
    )


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a scalar"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
