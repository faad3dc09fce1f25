"""Detectors of other people: a callable of a module, an ONNX file or a TorchScript file, as scorers.

What stands behind any of them takes windows of samples and gives two logits for each, or one score; a higher score
means bona fide. It may say ``rate`` (in Hz, by default 16,000) and ``window``, the only number of samples that it
takes.
"""

import contextlib
import hashlib
import importlib
import numbers
import os
import sys
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from dfdlib import files
from dfdlib.data import audio
from dfdlib.errors import CheckpointError, ParameterError, RunError, first_line

#: How the names of TorchScript files end.
_SCRIPTS = (".ts", ".torchscript", ".jit")

#: Rates that sound is resampled to, in Hz.
_RATES = (4_000, 192_000)


def is_own(text: str) -> bool:
    """Whether a text names such a detector and not a published one."""
    return is_module(text) or _is_file(text)


def is_module(text: str) -> bool:
    """Whether a text names a callable of a module, and not a file."""
    return ":" in text and not _is_file(text)


def _is_file(text: str) -> bool:
    return Path(text).suffix.lower() in (".onnx", *_SCRIPTS)


def place(text: str) -> Path:
    """Return the file of such a detector, from the folder that it is looked for in: of a module, its source."""
    return Path(*text.partition(":")[0].split(".")).with_suffix(".py") if is_module(text) else Path(text)


def load(text: str, *, folder: str | Path | None = None) -> "OwnScorer":
    """Return the scorer that a text names: ``module:callable``, or an ONNX or TorchScript file.

    Modules and files are looked for in `folder`, by default in the current one.

    Raises
    ------
    ParameterError
        It names none, or what it names says an impossible rate or window.
    CheckpointError
        The file is missing or damaged.
    RunError
        The callable failed.
    """
    suffix, path = Path(text).suffix.lower(), str(Path(folder or "", os.path.expanduser(text)))
    if suffix == ".onnx":
        return _of_onnx(path)
    if suffix in _SCRIPTS:
        return _of_script(path)
    return _of_module(text, folder=str(folder or os.getcwd()))


class OwnScorer:
    """Score by a function.

    Parameters
    ----------
    name : str
        For messages.
    function : callable
        Windows, float32 of shape (B, n), to logits (B, 2) as spoof and bona fide, or scores (B,) or (B, 1).
    fingerprint : str
        What logits are cached under.
    rate : int
        Of the windows, in Hz.
    window : int or None
        The only number of samples that it takes.
    lasting : bool
        Whether the fingerprint will be the same another time.

    Raises
    ------
    ParameterError
        The rate or the window is impossible.
    """

    def __init__(
        self, name: str, function: Callable, *, fingerprint: str, rate: object, window: object, lasting: bool = True
    ):
        if not isinstance(rate, numbers.Integral) or not _RATES[0] <= rate <= _RATES[1]:
            raise ParameterError(f"{name}: rate = {rate!r}; expected a whole number from {_RATES[0]} to {_RATES[1]} Hz")
        if window is not None and (not isinstance(window, numbers.Integral) or isinstance(window, bool) or window < 1):
            raise ParameterError(f"{name}: window = {window!r}; expected a number of samples, or None for any")
        self.name, self._function, self.lasting = name, function, lasting
        self.fingerprint, self.rate, self.window = fingerprint, int(rate), None if window is None else int(window)
        self.least_samples = self.window or 1

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """Return logits, float64 of shape (B, 2) as spoof and bona fide, for windows, float32 of shape (B, n).

        Raises
        ------
        ParameterError
            The detector takes windows of another length, or gave something of another shape.
        RunError
            The detector failed.
        """
        if self.window not in (None, windows.shape[1]):
            raise ParameterError(
                f"{self.name}: takes windows of {self.window} samples, not of {windows.shape[1]}; leave out --windows"
            )
        try:
            given = self._function(windows)
            if hasattr(given, "detach"):
                given = given.detach().cpu()
                given = (given if given.is_complex() else given.double()).numpy()
            values = np.asarray(given)
            if values.dtype.kind in "fiub":  # neither complex numbers, whose half would be lost, nor text
                values = values.astype(np.float64)
        except (Exception, SystemExit) as error:  # whatever somebody's program raises
            raise RunError(
                f"{self.name}: failed on windows of shape {windows.shape} ({type(error).__name__}: {first_line(error)})"
            ) from error
        count = len(windows)
        if values.dtype != np.float64:
            kind = values.dtype if values.dtype.kind != "O" else type(given).__name__
            raise ParameterError(f"{self.name}: gave {kind} for {count} windows; expected numbers")
        if values.shape == (count, 2):
            return values
        if values.shape in ((count,), (count, 1)):
            return np.stack([np.zeros(count), values.reshape(count)], axis=1)
        raise ParameterError(
            f"{self.name}: gave values of shape {values.shape} for {count} windows; expected ({count}, 2), logits as "
            f"spoof and bona fide, or ({count},), scores"
        )


def _of_module(text: str, *, folder: str) -> OwnScorer:
    module, _, name = text.partition(":")
    if not module or not name:
        raise ParameterError(f"detector {text!r}: expected module:callable, as in my_module:make")
    if folder not in sys.path:  # as `python -m` does
        sys.path.insert(0, folder)
    # What it prints would stand among the results.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            make = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            there = "" if error.name != module.partition(".")[0] else f"; looked for in {folder} and PYTHONPATH"
            raise ParameterError(f"detector {text}: cannot be imported ({first_line(error)}{there})") from error
        except (Exception, SystemExit) as error:  # whatever somebody's program raises
            shown = f"{type(error).__name__}: {first_line(error)}"
            raise ParameterError(f"detector {text}: cannot be imported ({shown})") from error
        try:
            made = make() if isinstance(make, type) or _way(make) is None else make
        except (Exception, SystemExit) as error:
            raise RunError(f"{text}: failed ({type(error).__name__}: {first_line(error)})") from error
    function = _way(made)
    if function is None:
        raise ParameterError(
            f"{text}: gave {type(made).__name__}, which has neither logits(windows) nor score(windows)"
        )
    # Without a word from it nobody knows whether it is the same as last time: nothing is taken from the cache.
    told = getattr(made, "fingerprint", None)
    return OwnScorer(
        text,
        function,
        fingerprint=hashlib.sha256(f"{text} {uuid.uuid4().hex if told is None else told}".encode()).hexdigest(),
        rate=getattr(made, "rate", audio.RATE),
        window=getattr(made, "window", None),
        lasting=told is not None,
    )


def _way(made: object) -> Callable | None:
    """Return what an object scores by; None where it has nothing of the kind."""
    return next((getattr(made, way) for way in ("logits", "score") if callable(getattr(made, way, None))), None)


def _of_onnx(path: str) -> OwnScorer:
    parts = [fingerprint_of(one) for one in (path, *_beside(path))]
    fingerprint = parts[0] if len(parts) == 1 else hashlib.sha256(" ".join(parts).encode()).hexdigest()
    try:
        runner = session(path)
    except Exception as error:  # onnxruntime's errors share no class of their own
        raise CheckpointError(f"{path}: not an ONNX file, or damaged ({first_line(error)[:100]})") from error
    inputs = runner.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2:
        shown = ", ".join(f"{one.name}: {one.type} of shape {one.shape}" for one in inputs)
        raise CheckpointError(f"{path}: takes {shown}; expected one input, float32 of shape (clips, samples)")
    length, name = inputs[0].shape[1], inputs[0].name
    output = runner.get_outputs()[0].name
    rate = runner.get_modelmeta().custom_metadata_map.get("rate", str(audio.RATE))
    return OwnScorer(
        path,
        lambda windows: runner.run([output], {name: windows})[0],
        fingerprint=fingerprint,
        rate=int(rate) if rate.isdecimal() else rate,
        window=length if isinstance(length, int) else None,
    )


def _beside(path: str) -> list[str]:
    """Return the files of weights that an ONNX file names, which are in its folder."""
    if not Path(path).is_file():
        return []
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # protobuf's errors are of several kinds; onnxruntime says what is wrong
        return []
    tensors = [*_tensors(model.graph), *(one for function in model.functions for one in _constants(function.node))]
    named = {entry.value for one in tensors for entry in one.external_data if entry.key == "location"}
    return [str(Path(path).parent / name) for name in sorted(named)]


def _tensors(graph) -> Iterator:
    """Yield the tensors of an ONNX graph, those of the graphs within it too."""
    yield from graph.initializer
    for one in graph.sparse_initializer:
        yield from (one.values, one.indices)
    yield from _constants(graph.node)


def _constants(nodes: Iterable) -> Iterator:
    for attribute in (one for node in nodes for one in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)


def _of_script(path: str) -> OwnScorer:
    import torch

    fingerprint = fingerprint_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = torch.jit.load(path, map_location="cpu").eval()
    except Exception as error:  # a damaged file can fail in any way
        raise CheckpointError(f"{path}: not a TorchScript file, or damaged ({first_line(error)[:100]})") from error

    def function(windows: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return model(torch.from_numpy(windows))

    rate, window = getattr(model, "rate", audio.RATE), getattr(model, "window", None)
    return OwnScorer(path, function, fingerprint=fingerprint, rate=rate, window=window)


def session(model: str | bytes):
    """Return what runs an ONNX model, given as a path or as the content of a file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal only: what is wrong with a file is raised as well
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def fingerprint_of(path: str | Path) -> str:
    """Return the SHA-256 of a file.

    Raises
    ------
    CheckpointError
        It cannot be read.
    """
    try:
        return files.sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); check the path of the file") from error
