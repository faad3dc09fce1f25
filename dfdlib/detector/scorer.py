"""What scoring needs of a detector, whatever runs it, and the way that torch runs it.

A `Scorer` turns windows of samples into logits. `TorchScorer` does so with a detector in memory. It computes what the
detector's own `forward` computes, from the same weights and by a shorter way through the front end (`FrozenFrontend`),
which takes nine tenths of the time or more:

- frames lie one after the other with their channels together, as layer norm and matrix products want them, and
  nothing is transposed; the strided convolutions are then matrix products that read the frames where they lie;
- the feature extractor works through a clip in blocks whose values stay in the processor's cache;
- the weight norm of the position convolution is undone once, and the convolution, 128 frames wide, is a product in the
  frequency domain;
- as many windows go through the encoder together as fill the matrix products, and not more.

On processors the detector's own `forward` takes 1.2 times as long with mini and 1.3 times with layers of XLSR-300M,
hence two ways. `tests/benchmarks/bench_scoring.py` compares scoring with the plain way.

For half precision see `precision`. For GPUs there are pinned memory and larger batches. There was no GPU to measure
them on: what they give is not known. The tests compare the numbers on a GPU where there is one.
"""

import copy
import typing

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dfdlib import machine
from dfdlib.detector import frontend
from dfdlib.detector import network as detector
from dfdlib.detector.precision import PRECISIONS, chosen, hold
from dfdlib.errors import CheckpointError

#: About how many frames (of 20 ms) go through the encoder together: enough to fill matrix products.
FRAMES_AT_ONCE = {"cpu": 1_600, "cuda": 25_000}

#: How many frames the feature extractor makes at a time. On a processor, few enough for its cache.
BLOCK = {"cpu": 100, "cuda": 25_000}


@typing.runtime_checkable
class Scorer(typing.Protocol):
    """Windows of samples to logits."""

    fingerprint: str  # a SHA-256 over the weights and whatever else changes the numbers: what logits are cached under
    least_samples: int  # the shortest window that it takes

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """Return logits, float64 of shape (B, 2) as spoof and bona fide, for windows, float32 of shape (B, n)."""
        ...


class TorchScorer:
    """Score with a detector in memory.

    Parameters
    ----------
    model : Detector
        Put into evaluation mode, and otherwise left as it is. The scorer stands for its present weights: make
        another one after training goes on.
    device : {"auto", "cpu", "cuda"}
        Where to compute; "auto" is the GPU where there is one.
    precision : {"float32", "bfloat16", "float16", "auto"}
        As `precision.chosen` takes it. float16 is for GPUs: processors are slow at it.
    in_place : bool
        The detector may be changed: then half precision does not leave it in memory as well.

    Attributes
    ----------
    precision : str
        What "auto" stands for here, or what was asked for. Each has fingerprints of its own.

    Raises
    ------
    ParameterError
        There is no such device or precision, or a detector without a front end is to use half precision.
    """

    def __init__(
        self, model: detector.Detector, *, device: str = "auto", precision: str = "float32", in_place: bool = False
    ):
        self.device = torch.device(machine.device(device))
        self.least_samples = model.configuration.least_samples
        self.precision = chosen(precision, model, device=self.device.type)
        asis = {(parameter.device.type, parameter.dtype) for parameter in model.parameters()}
        if not in_place and (asis != {(self.device.type, torch.float32)} or self.precision != "float32"):
            model = copy.deepcopy(model)
        self._model = model.to(self.device, torch.float32).eval()
        hold(self._model, self.precision)
        self.fingerprint = detector.identity(self._model)
        self._frontend = None
        if model.ssl_model is not None:
            self._frontend = FrozenFrontend(model.ssl_model, layers=model.configuration.takes_layers)

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """Return logits, float64 of shape (B, 2) as spoof and bona fide, for windows, float32 of shape (B, n)."""
        self._model.configuration.check(windows.shape)
        self._model.eval()
        frames = self._model.configuration.frames(windows.shape[1])
        waveforms = torch.from_numpy(windows)
        if self.device.type == "cuda":
            waveforms = waveforms.pin_memory()
        with torch.inference_mode():
            parts = waveforms.split(max(1, FRAMES_AT_ONCE[self.device.type] // frames))
            logits = torch.cat([self._forward(part) for part in parts])
        return logits.double().cpu().numpy()

    def _forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        waveforms = waveforms.to(self.device, torch.float32, non_blocking=True)
        waveforms = self._model.normalised(waveforms)
        if self._frontend is None:
            return self._model.decide(waveforms)
        # It brings what meets in a product to half precision, and to single what a norm is taken of.
        with torch.autocast(self.device.type, PRECISIONS[self.precision], enabled=self.precision != "float32"):
            features = self._frontend(waveforms)
        return self._model.decide(features)


class FrozenFrontend:
    """A front end whose weights do not change any more: the same features, sooner.

    It shares most weights with `network` and keeps its own copy of those that it needs in another form. With `layers`
    it gives what each layer of the encoder hands to the next, as `Frontend.forward` does.
    """

    def __init__(self, network: frontend.Frontend, *, layers: bool = False):
        model = network.model
        self.configuration, self.gives_layers = network.configuration, layers
        self.layers = [_Convolution(layer) for layer in model.feature_extractor.conv_layers]
        self.norm, self.projection = model.layer_norm, model.post_extract_proj
        self.position = _PositionConvolution(model.encoder.pos_conv[0])
        self.encoder = model.encoder

    @torch.inference_mode()
    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return features of shape (B, T, width), or (L, B, T, width), for waveforms of shape (B, n) at 16 kHz."""
        frames = torch.stack([self._extract(waveform) for waveform in waveforms])
        x = self.projection(self.norm(frames)).to(waveforms.dtype)
        x += F.gelu(self.position(x))
        norm_first, outputs = self.configuration.norm_first, []
        if not norm_first:
            x = self.encoder.layer_norm(x)
        for layer in self.encoder.layers:
            if norm_first:
                x += _attend(layer.self_attn, layer.self_attn_layer_norm(x))
                x += layer.fc2(_gelu_(layer.fc1(layer.final_layer_norm(x))))
            else:
                x = layer.self_attn_layer_norm(x + _attend(layer.self_attn, x))
                x = layer.final_layer_norm(x + layer.fc2(_gelu_(layer.fc1(x))))
            if self.gives_layers:
                outputs.append(x.clone())
        if self.gives_layers:
            return torch.stack(outputs)
        return self.encoder.layer_norm(x) if norm_first else x

    def _extract(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return what the convolutions make of one waveform: (n,) to (T, channels)."""
        configuration = self.configuration
        total = configuration.frames(len(waveform))
        if configuration.group_norm:  # over the whole clip, with the samples at its end that make no frame of their own
            return self._convolved(waveform)
        block = BLOCK[waveform.device.type]
        blocks = []
        for start in range(0, total, block):
            needed = configuration.samples(min(block, total - start))
            blocks.append(self._convolved(waveform[start * configuration.stride :][:needed]))
        return torch.cat(blocks)

    def _convolved(self, waveform: torch.Tensor) -> torch.Tensor:
        x = waveform[:, None]
        for layer in self.layers:
            x = layer(x)
        return x


class _Convolution:
    """One layer of the feature extractor, (T, channels) to (T, channels): strided convolution, layer norm, GELU.

    With s the stride, s frames that follow each other are one row of a matrix, and so are all rows that begin s frames
    later. Each s taps of the kernel are one matrix product with these rows, as they lie in memory.
    """

    def __init__(self, layer: nn.Sequential):
        convolution, *norm = layer[0], *layer[2:-1]
        self.norm = norm[0] if norm and isinstance(norm[0], nn.GroupNorm) else norm[0][1] if norm else None
        self.kernel, self.stride = convolution.kernel_size[0], convolution.stride[0]
        weight = convolution.weight.detach()
        self.bias = weight.new_zeros(len(weight)) if convolution.bias is None else convolution.bias.detach()
        taps = weight.permute(2, 1, 0)  # (kernel, before, after)
        # Rows of one channel are too short for a good product; there the overlapping rows are copied out instead.
        together = self.kernel if taps.shape[1] == 1 else self.stride
        self.taps = [part.flatten(0, 1).contiguous() for part in taps.split(together)]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        frames, channels = (len(x) - self.kernel) // self.stride + 1, x.shape[1]
        result, first = self.bias, x.storage_offset()
        for taps in self.taps:
            rows = x.as_strided((frames, len(taps)), (self.stride * channels, 1), first)
            result = torch.addmm(result, rows, taps)
            first += len(taps)
        norm = self.norm
        if isinstance(norm, nn.GroupNorm):
            result = norm(result.T[None])[0].T.contiguous()
        elif norm is not None:
            result = F.layer_norm(result, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return _gelu_(result)


class _PositionConvolution:
    """The position convolution, (B, T, width) to (B, T, width), by overlapping blocks in the frequency domain."""

    def __init__(self, convolution: nn.Conv1d):
        self.kernel, self.groups = convolution.kernel_size[0], convolution.groups
        self.bias = convolution.bias.detach()
        self.length = 2 * self.kernel  # of a block
        with torch.no_grad():
            self.spectrum = frontend.position_spectrum(convolution, self.length).contiguous()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        batch, frames, width = x.shape
        hop = self.length - self.kernel + 1  # so many values of a block are not wrapped around
        count = -(-frames // hop)
        before = self.kernel // 2
        padded = F.pad(x, (0, 0, before, (count - 1) * hop + self.length - before - frames))
        spectrum = torch.fft.rfft(padded.unfold(1, self.length, hop))  # (B, count, width, frequency)
        spectrum = spectrum.unflatten(2, (self.groups, -1)).flatten(0, 1).permute(1, 3, 0, 2) @ self.spectrum
        blocks = torch.fft.irfft(spectrum.permute(2, 0, 3, 1), n=self.length)[..., :hop]
        result = blocks.reshape(batch, count, width, hop).transpose(2, 3).reshape(batch, count * hop, width)
        return result[:, :frames] + self.bias


def _attend(attention: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return what fairseq's `attention` makes of x, shape (B, T, width), when every frame attends to all frames."""
    query, key, value = (
        projection(x).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return attention.out_proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


def _gelu_(x: torch.Tensor) -> torch.Tensor:
    """GELU in place: without the memory for another result, which costs more than GELU itself."""
    return torch.ops.aten.gelu_(x)


def as_scorer(model: detector.Detector | Scorer) -> Scorer:
    """Return what scores with `model`; a detector runs on the device that it is on."""
    if isinstance(model, detector.Detector):
        return TorchScorer(model, device=next(model.parameters()).device.type)
    return model


def finite_logits(scorer: Scorer, windows: np.ndarray, *, names: list[str]) -> np.ndarray:
    """Return the logits of windows, shape (B, 2), which come from the B clips `names`."""
    logits = scorer.logits(windows)
    bad = ~np.isfinite(logits).all(axis=1)
    if bad.any():
        whose = f"{name}'s" if (name := getattr(scorer, "name", None)) else "the detector's"
        raise CheckpointError(
            f"{names[int(bad.argmax())]}: {whose} score is not finite; its weights are damaged, the precision "
            "is too low for them, or its code is wrong"
        )
    return logits
