"""The detector out of Python: written as one ONNX file, and scored from it.

The file holds the whole detector, from waveforms to logits, for any number of clips of any length from
`least_samples` on. Its metadata says how to use it, in the words of `CONVENTIONS` and the numbers beside them.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dfdlib import files
from dfdlib.data import audio
from dfdlib.detector import network, own, wav2vec2
from dfdlib.detector.preprocessing import FIXED_WINDOW
from dfdlib.errors import CheckpointError, ParameterError, RunError, first_line

#: What the metadata calls a file of ours; the number grows when files stop being exchangeable.
FORMAT = "dfdlib detector 1"

CONVENTIONS = {
    "format": FORMAT,
    "input": "waveforms: float32 of shape (clips, samples), mono, nominally within [-1, 1]",
    "output": "logits: float32 of shape (clips, 2); column 0 spoof, column 1 bona fide",
    "score": "logit of bona fide minus logit of spoof; a higher score means bona fide",
}

#: How far logits from the file may be from torch's.
TOLERANCE = 1e-4

#: An ONNX file with its weights inside stays below two gigabytes, in bytes; some room is left for the metadata.
LARGEST = 2**31 - 2**20


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was written."""

    path: str
    bytes: int
    sha256: str
    difference: float  # the largest one from torch's logits, over clips of several lengths


def write(path: str | Path, model: network.Detector, *, checkpoint: str | Path | None = None) -> Export:
    """Write a detector as one ONNX file, whole or not at all, once its logits agree with torch's.

    What serves pre-training only is left out. The detector is put into evaluation mode, on the processor, in single
    precision. The SHA-256 of the checkpoint, the file that the weights came from, goes into the metadata.

    Raises
    ------
    ParameterError
        The weights are too many for one file, or the network is one that cannot be exported.
    RunError
        The export failed, its logits are not torch's, or the file cannot be written.
    """
    model = model.eval().to("cpu", torch.float32)
    configuration = model.configuration
    size = 4 * sum(parameter.numel() for parameter in model.parameters())
    if configuration.kind == "rawnet2":
        raise ParameterError(
            f"{path}: {configuration.name} cannot be written: the exporter unrolls its recurrent layers for one length "
            "of clip; score with its checkpoint"
        )
    if size > LARGEST:
        raise ParameterError(f"{path}: {size / 1e9:.1f} GB of weights; one ONNX file holds at most 2 GB")
    metadata = CONVENTIONS | {
        "rate": str(configuration.rate),
        "least_samples": str(configuration.least_samples),
        "configuration": json.dumps(configuration.to_dict(), sort_keys=True),
        "fingerprint": network.fingerprint(model),
    }
    if checkpoint is not None:
        metadata["checkpoint_sha256"] = files.sha256(checkpoint)
    try:
        with wav2vec2.quiet():  # what matters of the exporter's messages it raises
            content = _graph(model, metadata)
            session = own.session(content)
    except Exception as error:  # the exporter has errors of many kinds, with messages of many lines
        raise RunError(
            f"{path}: the export failed ({type(error).__name__}: {first_line(error)[:200]}); "
            "install the versions of torch, onnx and onnxruntime that requirements.txt names"
        ) from error
    difference = _difference(model, session)
    if not difference <= TOLERANCE:
        raise RunError(
            f"{path}: not written, its logits differ from torch's by {difference:.1g}, more than {TOLERANCE:.0e}; "
            "install the versions of torch, onnx and onnxruntime that requirements.txt names"
        )
    with files.atomic(path, "wb") as file:
        file.write(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return Export(path=str(path), bytes=len(content), sha256=sha256, difference=difference)


class OnnxScorer:
    """Score with a file that `write` wrote, run by onnxruntime.

    Attributes
    ----------
    fingerprint : str
        SHA-256 of the file.
    least_samples, rate : int
        The shortest window it takes, and their sampling rate in hertz.

    Raises
    ------
    CheckpointError
        The file is missing, is not ONNX, was not written here, or was changed since.
    """

    def __init__(self, path: str | Path):
        self.fingerprint = own.fingerprint_of(path)
        try:
            self._session = own.session(str(path))
        except Exception as error:  # onnxruntime's errors share no class of their own
            reason = first_line(error).rsplit("failed:", 1)[-1]  # the path stands before that
            raise CheckpointError(
                f"{path}: not an ONNX file, or damaged or cut short ({reason[:100]}); write it again with dfd export"
            ) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        if metadata.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: an ONNX file that is not a detector of this version of dfdlib; write it with dfd export"
            )
        inputs = [(one.name, one.type, len(one.shape)) for one in self._session.get_inputs()]
        outputs = [(one.name, one.type, one.shape[1:]) for one in self._session.get_outputs()]
        expected = [("waveforms", "tensor(float)", 2)], [("logits", "tensor(float)", [2])]
        try:
            self.rate, self.least_samples, inside = (
                int(metadata[key]) for key in ("rate", "least_samples", "weight_bytes")
            )
        except (KeyError, ValueError):
            inputs = []
        if (inputs, outputs) != expected or self.rate != audio.RATE:
            raise CheckpointError(
                f"{path}: made for other inputs than waveforms at {audio.RATE} Hz; write it again with dfd export"
            )
        length = self._session.get_inputs()[0].shape[1]
        self._length = length if isinstance(length, int) else None  # the only one that it takes
        # The fingerprint is that of this file alone, so the weights must be in it.
        if Path(path).stat().st_size < inside:
            raise CheckpointError(
                f"{path}: its weights were changed or moved to another file after the export; "
                "write it again with dfd export"
            )

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """Return logits, float64 of shape (B, 2) as spoof and bona fide, for windows, float32 of shape (B, n)."""
        if windows.ndim != 2:
            raise ParameterError(f"windows of shape {windows.shape}: expected (clips, samples)")
        if windows.shape[1] < self.least_samples:
            raise ParameterError(
                f"windows of {windows.shape[1]} samples: the detector needs at least {self.least_samples} "
                f"({1000 * self.least_samples / self.rate:.0f} ms); repeat the clip or leave it out"
            )
        if self._length not in (None, windows.shape[1]):
            raise ParameterError(
                f"windows of {windows.shape[1]} samples: the detector takes {self._length} only; "
                "choose the window fixed"
            )
        return _run(self._session, windows)


def _graph(model: network.Detector, metadata: dict[str, str]) -> bytes:
    """Return the detector as the content of an ONNX file."""
    import onnx_ir

    least, clips = model.configuration.least_samples, torch.export.Dim("clips")
    samples, lengths = FIXED_WINDOW, {0: clips}
    if model.configuration.takes_any_length:
        # Any clips would do. More than one frame and one node, lest a graph for one of them be written.
        samples, lengths = 16 * least + 1, {0: clips, 1: torch.export.Dim("samples", min=least)}
    program = torch.onnx.export(
        model,
        (torch.zeros(3, samples),),
        dynamo=True,
        verbose=False,
        input_names=["waveforms"],
        output_names=["logits"],
        dynamic_shapes=(lengths,),
    )
    graph = program.model.graph
    # The exporter notes for each node which line of which file on this machine it comes from.
    for node in graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in graph.initializers.values():
        value.metadata_props.clear()
    weights = sum(value.const_value.nbytes for value in graph.initializers.values())
    program.model.metadata_props.clear()
    program.model.metadata_props.update(metadata | {"weight_bytes": str(weights)})
    return onnx_ir.to_proto(program.model).SerializeToString(deterministic=True)


def _run(session, windows: np.ndarray) -> np.ndarray:
    return session.run(["logits"], {"waveforms": windows.astype(np.float32, copy=False)})[0].astype(np.float64)


def _difference(model: network.Detector, session) -> float:
    """Return the largest difference of logits between torch and the session, over clips of noise."""
    noise = np.random.default_rng(0)
    least = model.configuration.least_samples
    differences = []
    shapes = [(1, FIXED_WINDOW), (2, FIXED_WINDOW)]
    if model.configuration.takes_any_length:
        shapes = [(1, least), (2, 2 * model.configuration.rate + 1), (1, FIXED_WINDOW)]
    for shape in shapes:
        windows = 0.1 * noise.standard_normal(shape, dtype=np.float32)
        with torch.inference_mode():
            expected = model(torch.from_numpy(windows)).numpy()
        differences.append(np.abs(expected - _run(session, windows)).max())
    return float(np.max(differences))  # NaN if any is
