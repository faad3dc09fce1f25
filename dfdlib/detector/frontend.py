"""The front end: wav2vec 2.0, built by fairseq from a named configuration and never downloaded.

A waveform at 16 kHz goes through a stack of strided convolutions (one frame every 20 ms, layer norm in each
layer) and a transformer encoder. `XLSR_300M` has the sizes of XLS-R with 300 million parameters [1]_, the front
end of the published detectors [2]_; `MINI` takes the same path with layers small enough to train in minutes on
two processor cores.

Here the network only ever extracts features: nothing is masked and every dropout is zero, so training and
evaluation modes compute the same thing. The parts that serve pre-training (mask embedding, quantiser and the
projections beside it) exist because checkpoints hold them; they get no gradient.

fairseq makes the network and runs the layers of the encoder. What comes before them is done here by other means, with
the same numbers sooner, in training above all: the feature extractor (`extract`) and the position convolution.

Importing this module costs nothing. The first `Frontend` imports what it needs of fairseq.

References
----------
.. [1] A. Babu et al., "XLS-R: Self-supervised cross-lingual speech representation learning at scale", 2021.
.. [2] H. Tak et al., "Automatic speaker verification spoofing and deepfake detection using wav2vec 2.0 and data
   augmentation", Odyssey 2022.
"""

import math
import warnings
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F

from dfdlib.detector import wav2vec2
from dfdlib.errors import ParameterError

#: How the names of the parameters begin that no feature depends on.
PRETRAINING_ONLY = ("mask_emb", "quantizer.", "project_q.", "final_proj.", "label_embs_concat")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True, kw_only=True)
class FrontendConfiguration:
    """The sizes of a wav2vec 2.0 network."""

    # The feature extractor, first layer first: (channels, kernel, stride).
    convolutions: tuple[tuple[int, int, int], ...]
    # The transformer encoder: values per frame, layers, attention heads, width inside a layer.
    width: int
    layers: int
    heads: int
    feed_forward: int
    # The convolution that tells the encoder where a frame is.
    position_kernel: int
    position_groups: int
    quantize_targets: bool  # whether the network carries the quantiser of pre-training; it is never used here
    final_width: int  # width of the projections of pre-training; never used here
    convolution_bias: bool = True  # whether the convolutions of the feature extractor have a bias
    # The feature extractor normalises after its first layer alone, each channel over the whole clip, in place of every
    # frame after each layer.
    group_norm: bool = False
    # The encoder's layers normalise before attention and feed-forward, and the encoder once more at its end; else they
    # do so after each, and the encoder at its beginning.
    norm_first: bool = True
    code_words: int = 0  # over 0: what serves pre-training is that of HuBERT, which tells so many sounds apart

    def __post_init__(self):
        # Configurations also come out of files, and fairseq evaluates the description of the convolutions as
        # Python source. What passes here is whole numbers and nothing else.
        if not isinstance(self.convolutions, tuple) or not self.convolutions:
            raise ParameterError(f"convolutions={self.convolutions!r}: expected at least one layer")
        for layer in self.convolutions:
            if not isinstance(layer, tuple) or len(layer) != 3 or not all(map(_is_size, layer)):
                raise ParameterError(f"convolutions: {layer!r} is not (channels, kernel, stride), all positive")
        for name in ("width", "layers", "heads", "feed_forward", "position_kernel", "position_groups", "final_width"):
            if not _is_size(getattr(self, name)):
                raise ParameterError(f"{name}={getattr(self, name)!r}: must be a positive whole number")
        for name in ("quantize_targets", "convolution_bias", "group_norm", "norm_first"):
            if not isinstance(getattr(self, name), bool):
                raise ParameterError(f"{name}={getattr(self, name)!r}: must be true or false")
        if self.code_words != 0 and not _is_size(self.code_words):
            raise ParameterError(f"code_words={self.code_words!r}: must be a whole number, 0 or more")
        for name in ("heads", "position_groups"):
            if self.width % getattr(self, name):
                raise ParameterError(f"{name}={getattr(self, name)}: must divide width={self.width}")

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(stride for _, _, stride in self.convolutions)

    def frames(self, samples: int) -> int:
        """Return how many frames the network makes of `samples` samples; 0 when they are too few for one."""
        for _, kernel, stride in self.convolutions:
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples

    def samples(self, frames: int) -> int:
        """Return the smallest number of samples that makes `frames` frames."""
        for _, kernel, stride in reversed(self.convolutions):
            frames = (frames - 1) * stride + kernel
        return frames


XLSR_300M = FrontendConfiguration(
    convolutions=((512, 10, 5), *((512, 3, 2),) * 4, *((512, 2, 2),) * 2),
    width=1024,
    layers=24,
    heads=16,
    feed_forward=4096,
    position_kernel=128,
    position_groups=16,
    quantize_targets=True,
    final_width=768,
)

XLSR_1B = replace(XLSR_300M, width=1280, layers=48, feed_forward=5120, final_width=1024)
XLSR_2B = replace(XLSR_1B, width=1920, feed_forward=7680)
HUBERT_XL = replace(XLSR_1B, quantize_targets=False, convolution_bias=False, code_words=504)
WAV2VEC2_BASE = replace(
    XLSR_300M,
    width=768,
    layers=12,
    heads=12,
    feed_forward=3072,
    final_width=256,
    convolution_bias=False,
    group_norm=True,
    norm_first=False,
)

MINI = FrontendConfiguration(
    # The first layer has more channels than taps, so its long stride loses nothing of the waveform.
    convolutions=((48, 20, 10), (64, 8, 4), (64, 4, 4), (64, 2, 2)),
    width=96,
    layers=3,
    heads=4,
    feed_forward=192,
    position_kernel=32,
    position_groups=8,
    quantize_targets=False,
    final_width=1,  # the narrowest that fairseq makes of a layer that is never used
)

CONFIGURATIONS = {
    "xlsr-300m": XLSR_300M,
    "mini": MINI,
    "xls-r-1b": XLSR_1B,
    "xls-r-2b": XLSR_2B,
    "hubert-xl": HUBERT_XL,
    "wav2vec2-base": WAV2VEC2_BASE,
}


class Frontend(nn.Module):
    """Waveforms to features. Its parameters are all under `model`, with fairseq's names."""

    def __init__(self, configuration: FrontendConfiguration):
        super().__init__()
        self.configuration = configuration
        fairseq = wav2vec2.load()
        settings = fairseq.Wav2Vec2Config(
            extractor_mode="default" if configuration.group_norm else "layer_norm",
            conv_bias=configuration.convolution_bias,
            conv_feature_layers=repr([tuple(layer) for layer in configuration.convolutions]),
            encoder_layers=configuration.layers,
            encoder_embed_dim=configuration.width,
            encoder_ffn_embed_dim=configuration.feed_forward,
            encoder_attention_heads=configuration.heads,
            layer_norm_first=configuration.norm_first,
            conv_pos=configuration.position_kernel,
            conv_pos_groups=configuration.position_groups,
            quantize_targets=configuration.quantize_targets,
            final_dim=configuration.final_width,
            dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
            encoder_layerdrop=0.0,
            dropout_input=0.0,
            dropout_features=0.0,
            mask_prob=0.0,
            mask_channel_prob=0.0,
        )
        with warnings.catch_warnings():
            # Checkpoints hold `weight_g` and `weight_v`, the names of the older weight norm that torch deprecates.
            warnings.simplefilter("ignore", FutureWarning)
            self.model = fairseq.Wav2Vec2Model(settings)
        if configuration.code_words:  # HuBERT differs in what only pre-training uses
            del self.model.project_q
            words = torch.empty(configuration.code_words, configuration.final_width)
            self.model.label_embs_concat = nn.Parameter(nn.init.uniform_(words))
        position = self.model.encoder.pos_conv[0]
        position.register_forward_hook(_forget_weight)
        _forget_weight(position)
        for name, parameter in self.model.named_parameters():
            if name.startswith(PRETRAINING_ONLY):
                parameter.requires_grad_(False)

    def forward(self, waveforms: torch.Tensor, *, layers: bool = False) -> torch.Tensor:
        """Return features of shape (B, T, width) for waveforms of shape (B, n) at 16 kHz.

        With `layers`, of shape (L, B, T, width): what each layer of the encoder hands to the next, before the norm at
        the end of the encoder.
        """
        network = self.model
        x = network.layer_norm(extract(network.feature_extractor, waveforms))
        if network.post_extract_proj is not None:
            x = network.post_extract_proj(x)
        x = x + _positions(network.encoder.pos_conv, x)
        if not self.configuration.norm_first:
            x = network.encoder.layer_norm(x)
        x = x.transpose(0, 1)  # as fairseq's layers take them
        outputs = []
        for layer in network.encoder.layers:
            x, _ = layer(x)
            outputs.append(x)
        if layers:
            return torch.stack(outputs).transpose(1, 2)
        x = x.transpose(0, 1)
        return network.encoder.layer_norm(x) if self.configuration.norm_first else x


def extract(extractor: nn.Module, waveforms: torch.Tensor) -> torch.Tensor:
    """Return what fairseq's feature extractor makes of waveforms: (B, n) to (B, T, channels).

    Frames lie with their channels together all the way, as layer norm and what follows want them. fairseq has each
    channel's frames together, and so turns them round before and after every layer norm, and again going back.
    """
    x = waveforms[..., None]
    for convolution, _, *rest in extractor.conv_layers:
        x = _convolved(x, convolution)
        *norm, activation = rest
        if norm and isinstance(norm[0], nn.GroupNorm):
            x = norm[0](x.transpose(1, 2)).transpose(1, 2)
        elif norm:
            x = norm[0][1](x)  # between two transpositions
        x = activation(x)
    return x


def _convolved(x: torch.Tensor, convolution: nn.Conv1d) -> torch.Tensor:
    """Return a strided convolution of frames, (B, T, before) to (B, frames, after).

    With s the stride, s frames that follow each other are one row of a matrix, which each s taps of the kernel are
    multiplied with where it lies. Taps that are left over are multiplied one by one.
    """
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    batch, given, before = x.shape
    frames = (given - kernel) // stride + 1
    if before == 1:  # rows too short for a good product; these are copied out, which is cheap for one channel
        return F.linear(x[..., 0].unfold(1, kernel, stride), convolution.weight[:, 0], convolution.bias)
    taps = convolution.weight.permute(2, 1, 0)  # (kernel, before, after)
    together = kernel - kernel % stride
    parts = [
        (x[:, tap : tap + frames * stride].reshape(batch, frames, stride * before), taps[tap : tap + stride])
        for tap in range(0, together, stride)
    ]
    parts += [(x[:, tap::stride][:, :frames], taps[tap : tap + 1]) for tap in range(together, kernel)]
    result = x.new_zeros(len(convolution.weight)) if convolution.bias is None else convolution.bias
    for rows, some in parts:
        result = torch.baddbmm(result, rows, some.flatten(0, 1).expand(batch, -1, -1))
    return result


def _positions(layers: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """Return what tells the encoder where a frame is, shape (B, T, width) as x."""
    if torch.compiler.is_exporting():  # other programs know convolutions better than spectra
        return layers(x.transpose(1, 2)).transpose(1, 2)
    convolution, _, activation = layers
    frames, kernel = x.shape[1], convolution.kernel_size[0]
    length = math.ceil((frames + kernel) / 32) * 32  # a length that is quick to transform, and wraps nothing around
    wide = torch.promote_types(x.dtype, torch.float32)  # spectra need it
    spectrum = torch.fft.rfft(F.pad(x.to(wide), (0, 0, kernel // 2, 0)), n=length, dim=1)
    spectrum = spectrum.unflatten(2, (convolution.groups, -1)).permute(2, 1, 0, 3)  # (groups, frequency, B, before)
    spectrum = (spectrum @ position_spectrum(convolution, length).to(spectrum.dtype)).permute(2, 1, 0, 3).flatten(2)
    result = torch.fft.irfft(spectrum, n=length, dim=1)[:, :frames] + convolution.bias
    return activation(result.to(x.dtype))


def position_spectrum(convolution: nn.Conv1d, length: int) -> torch.Tensor:
    """Return the spectrum of the position convolution's kernel: (groups, frequency, before, after).

    Where values are transformed `length` at a time, a product with it is the convolution: a tenth of the operations or
    less, since the kernel is so wide.
    """
    weight = convolution.weight_v * (convolution.weight_g / convolution.weight_v.norm(dim=(0, 1), keepdim=True))
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32)).unflatten(0, (convolution.groups, -1))
    # The convolution of neural networks is a correlation: hence the conjugate.
    return torch.fft.rfft(weight, n=length).conj().permute(0, 3, 2, 1)


def _forget_weight(position: nn.Module, *_: object) -> None:
    """Drop the weight that weight norm has computed.

    It is computed anew before every call. Kept, it would be out of date once `weight_g` or `weight_v` change, and
    `copy.deepcopy` refuses it because it is the result of a computation that has a gradient.
    """
    vars(position).pop("weight", None)
