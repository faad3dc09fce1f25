"""Files of weights: read without running anything, and told apart by their names.

`read` takes three kinds of file and says what is wrong with any other:

- safetensors, such as the detector writes, with its configuration in the header;
- a bare state dict written by `torch.save`, the form of the published detectors;
- a dictionary that holds such a state dict under one of `WRAPPERS`, the form of the study's own checkpoints, of
  fairseq's and of most training programs'.

Files of the last two kinds are pickles, and a pickle can run any program while it is read. They are read with torch's
restricted reader, which makes tensors, plain containers and `argparse.Namespace`. For the classes that fairseq's
settings can be made of it makes stand-ins that hold nothing (`STAND_INS`). It refuses everything else by name.
"""

import argparse
import ctypes
import mmap
import re
import sys
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dfdlib.errors import CheckpointError

#: What programs put before the names of parameters: `torch.compile`, FSDP, `DataParallel` (as in the published files),
#: and classes around a network. No name of a detector or of its front end begins with one: they are taken away from
#: each name, as many as there are.
PREFIXES = ("_orig_mod.", "_fsdp_wrapped_module.", "module.", "model.", "net.", "detector.")

#: What some call the front end, and how it is called here.
RENAMED = {"m_ssl.": "ssl_model."}

#: The keys that training programs keep weights under; the first that is there counts.
WRAPPERS = ("model", "state_dict", "model_state_dict", "net", "weights", "ema", "module")

#: How the names begin that belong to a detector's front end.
FRONTEND = "ssl_model.model."

#: The key of a safetensors header that our files keep everything under, as one JSON object. The library writes several
#: keys in no fixed order; one key gives equal files for equal content.
HEADER = "dfdlib"

#: Classes that the settings in fairseq's files can name. Weights need no settings, so none of them is made.
STAND_INS = (
    *(f"omegaconf.base.{name}" for name in ("ContainerMetadata", "Metadata")),
    *("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "typing.Any"),
    *(f"omegaconf.nodes.{name}Node" for name in ("Any", "Boolean", "Float", "Integer", "String")),
    *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "str", "tuple")),
)

_PREFIX = re.compile("|".join(map(re.escape, PREFIXES)))
# What torch adds can also stand within a name, where a part of a network is wrapped.
_PREFIXED = re.compile(rf"^(?:{_PREFIX.pattern})+|(?<=\.)(?:_orig_mod\.|_fsdp_wrapped_module\.)+")


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file of weights holds."""

    kind: str  # `dfdlib` for files with our header, else `state dict`, `training checkpoint` or `Lightning checkpoint`
    # Under their plain names, in the file's order. Take `copies`: those of most files are views of it.
    tensors: dict[str, torch.Tensor]
    header: str | None = None  # what our own files say about themselves, as JSON
    mapped: bool  # whether the tensors are views of the file
    stripped: tuple[str, ...] = ()  # which of `PREFIXES` were taken away from names


def read(path: str | Path) -> Content:
    """Return what a file of weights holds, or refuse it. Its tensors are read when they are looked at."""
    try:
        with open(path, "rb") as file:
            start = file.read(200)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); check the path of the checkpoint") from error
    # A safetensors file begins with the length of its header in eight bytes, and the header is JSON. What
    # `torch.save` writes is a zip archive, and a bare pickle before 2020.
    if start[8:9] == b"{" and start[5:8] == bytes(3):
        return _read_safetensors(path)
    if start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
        return _read_pickle(path)
    found = next((said for pattern, said in _OTHERS if re.match(pattern, start)), None)
    raise CheckpointError(
        f"{path}: not a checkpoint (neither safetensors nor written by torch.save), but {found}"
        if found
        else f"{path}: not a checkpoint (neither safetensors nor written by torch.save); fetch or copy it again"
    )


#: How other files begin, and what to say of them.
_OTHERS = (
    (rb"version https://git-lfs", "a Git LFS pointer; fetch the file that it stands for: git lfs pull"),
    (
        rb"(?is)\s*<(!doctype|html|\?xml)",
        "a web page, as of a download that failed; fetch it again, and look what it says",
    ),
    (rb"\s*\{", "JSON, as the index of weights in several files; join the weights in one file, and name that"),
    (
        rb"\x08[\x01-\x20][\x12\x1a\x22\x3a\x42]",
        "an ONNX model, which runs elsewhere; use the checkpoint that it was made of",
    ),
    (rb"\x89HDF", "an HDF5 file, as Keras writes; use a checkpoint of the detector made with torch"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!", "a compressed file; unpack it, and name what is in it"),
    (rb"[\t\r\n\x20-\x7e]+\Z", "a text; name the file of weights"),
)


def copies(path: str | Path, content: Content) -> dict[str, torch.Tensor]:
    """Return the tensors in memory of their own, and use `content` up.

    What happens to the file later does not change them. Each page of the file is given back once it is copied, so
    that file and copies together take no more memory than either. Half precision becomes single precision.
    """
    # Double precision only when the weights have it throughout.
    kinds = {tensor.dtype for tensor in content.tensors.values() if tensor.is_floating_point()}
    dtype = torch.float64 if kinds == {torch.float64} else torch.float32
    taken = {}
    for name in list(content.tensors):
        tensor = content.tensors.pop(name)
        taken[name] = tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
        if content.mapped:
            _give_back(tensor)
    refuse_non_finite(path, taken)
    return taken


def refuse_non_finite(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Make sure that there is neither NaN nor infinity in `tensors`."""
    # A sum is finite only if all its terms are, and costs far less than looking at each; a sum may overflow, so what
    # it finds is looked at again.
    doubtful = [name for name, tensor in tensors.items() if not tensor.sum().isfinite()]
    bad = [name for name in doubtful if not tensors[name].isfinite().all()]
    if bad:
        raise CheckpointError(
            f"{path}: NaN or infinity in {len(bad)} of its tensors (the first is {bad[0]}), as after a training that "
            "diverged; use an earlier checkpoint"
        )


def shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def sizes(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    """Return the layers and the width of the wav2vec 2.0 encoder among these tensors; None if there is none."""
    layers = set()
    for name in shapes:
        if found := re.search(r"(?:^|\.)encoder\.layers\.(\d+)\.", name):
            layers.add(found[1])
    width = next((shape[0] for name, shape in shapes.items() if name.endswith("encoder.layer_norm.weight")), None)
    return (len(layers), width) if layers and width else None


def seems(shapes: Mapping[str, tuple[int, ...]], *, known: Mapping[tuple[int, int], str]) -> str:
    """Return what a state dict of such shapes seems to be and what to do with it, or an empty text.

    `known` names front ends by their layers and width.
    """

    def any_starts(*beginnings: str) -> bool:
        return any(name.startswith(beginnings) for name in shapes)

    found = sizes(shapes)
    network = (
        "" if found is None else f"{known.get(found, 'none that is known')}: {found[0]} layers of width {found[1]}"
    )
    if any_starts(FRONTEND):
        return f"a detector whose front end has the sizes of {network}"
    if any_starts("feature_extractor.conv_layers.") and found is not None:
        return (
            f"a pre-training checkpoint of fairseq, a front end only with the sizes of {network}; "
            "a detector of these sizes can begin with it: network.load_frontend_weights"
        )
    if any_starts("w2v_encoder."):
        return "a wav2vec 2.0 that fairseq fine-tuned for speech recognition; use the pre-trained one that it began as"
    if any_starts("wav2vec2."):
        return "a wav2vec 2.0 of the transformers library, which has other names; use fairseq's file of it"
    if any_starts("GAT_layer_S."):
        heard = "that takes waveforms" if any_starts("conv_time.") else "without a front end"
        return f"an AASIST back end {heard}; use a checkpoint of the whole detector"
    return ""


def _read_safetensors(path: str | Path) -> Content:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER)
            tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    kind = "state dict" if header is None else "dfdlib"
    tensors, stripped = _state_dict(path, tensors)
    return Content(kind=kind, tensors=tensors, header=header, mapped=True, stripped=stripped)


def _read_pickle(path: str | Path) -> Content:
    try:
        content, mapped = _unpickle(path)
    except Exception as error:  # a damaged pickle can fail in any way
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise CheckpointError(
                f"{path}: refused, because it holds more than weights ({refused[1]}), and reading that could run "
                "any program; ask whoever made it for the weights alone: torch.save(model.state_dict(), …)"
            ) from error
        if said := _other_archive(path):
            raise CheckpointError(f"{path}: {said}") from error
        raise _damaged(path, error) from error
    kind = "state dict"
    # Some keep weights in a dictionary within a dictionary.
    while isinstance(content, dict) and (keys := [key for key in WRAPPERS if isinstance(content.get(key), dict)]):
        lightning = "pytorch-lightning_version" in content
        kind = "Lightning checkpoint" if lightning else kind if kind != "state dict" else "training checkpoint"
        content = content[keys[0]]
    tensors, stripped = _state_dict(path, content)
    return Content(kind=kind, tensors=tensors, mapped=mapped, stripped=stripped)


def _other_archive(path: str | Path) -> str:
    """Return what a zip archive is that torch could not read, or an empty text."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return ""
    if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
        return (
            "a TorchScript program, not a checkpoint; save the weights: torch.save(torch.jit.load(…).state_dict(), …)"
        )
    if not any(name.endswith("data.pkl") for name in names):
        return "a zip archive without weights that torch.save wrote; unpack it, and name the checkpoint in it"
    return ""


class _StandIn:
    """Made in the place of an object that is not needed: it takes what it is given and keeps nothing."""

    def __init__(self, *arguments: object):
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _dictionary(*_: object) -> dict:
    """Made in the place of a `defaultdict`, which the reader does not fill."""
    return {}


def _unpickle(path: str | Path) -> tuple[object, bool]:
    """Return what a pickle holds, and whether its tensors are views of the file."""
    allowed = [argparse.Namespace, (_dictionary, "collections.defaultdict")]
    allowed += [(_StandIn, name) for name in STAND_INS]
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about forms of pickle; those that cannot be read end in an error anyway
        options = {"map_location": "cpu", "weights_only": True}
        try:
            return torch.load(path, mmap=True, **options), True
        except RuntimeError as error:
            # Files in the format before 2020 cannot be mapped into memory.
            if "mmap" not in str(error):
                raise
            return torch.load(path, **options), False


def _state_dict(path: str | Path, content: object) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Return a state dict without `PREFIXES`, and which there were, having made sure that it holds tensors only."""
    if not isinstance(content, dict) or not content or not all(isinstance(name, str) for name in content):
        raise CheckpointError(f"{path}: holds no state dict (names and tensors); save model.state_dict() and load that")
    for name, value in content.items():
        if not isinstance(value, torch.Tensor) or value.layout is not torch.strided or value.is_quantized:
            advice = "; save model.state_dict() and load that"
            if "param_groups" in content or ("optimizer" in content and "model" not in content):
                advice = ". It seems to be the state of an optimizer, which holds no weights"
            raise CheckpointError(f"{path}: {name!r} is no plain tensor, so this is no state dict{advice}")
    tensors, stripped = {}, {}
    for name, value in content.items():
        plain = _PREFIXED.sub(lambda found: stripped.update(dict.fromkeys(_PREFIX.findall(found[0]))) or "", name)
        plain = plain or name
        for theirs, ours in RENAMED.items():
            plain = ours + plain.removeprefix(theirs) if plain.startswith(theirs) else plain
        if plain in tensors:
            raise CheckpointError(
                f"{path}: holds two tensors called {plain} ({name} and another); save the weights of one network alone"
            )
        tensors[plain] = value.detach()
    if len(tensors) > 1:
        tensors.pop("n_averaged", None)  # how many networks torch's AveragedModel is the mean of
    return tensors, tuple(stripped)


def _damaged(path: str | Path, error: Exception) -> CheckpointError:
    # torch's messages are paragraphs of advice; what happened stands before or after them.
    reason = str(error).rsplit("WeightsUnpickler error:", 1)[-1].strip().split("\n")[0].split(". This is")[0]
    return CheckpointError(
        f"{path}: not a file of weights, or damaged or cut short ({reason[:100] or type(error).__name__}); "
        "copy or fetch it again and compare its sha256"
    )


def _give_back(view: torch.Tensor) -> None:
    """Let the system take back the memory of a view of a file, which is read anew if it is looked at again.

    It holds the row "peak" of tests/benchmarks/bench_loading.py: without it, file and copies are in memory together.
    """
    # Elsewhere the call means something else, or is not there. Only what is contiguous surely lies within the file.
    if sys.platform != "linux" or not view.is_contiguous():
        return
    start = -(-view.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (view.data_ptr() + view.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if start < end:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)
