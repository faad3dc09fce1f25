"""A small neural vocoder: it turns the mel spectrogram and the pitch of a recording back into sound.

Blocks of one-dimensional convolutions (ConvNeXt) read the mel spectrogram and write a short-time Fourier transform,
which is inverted, as in Vocos (Siuzdak, 2023). Phases are those of pulses at the pitch and of noise, as in neural
source-filter models (Wang et al., 2019), but for a turn that the network finds: so it learns in minutes.
`vocoder_training` makes the weights.
"""

import functools
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dfdlib import machine
from dfdlib.data.audio import RATE
from dfdlib.data.demo import chain, copies
from dfdlib.errors import RunError, first_line

MELS, SIZE, HOP = 80, 1024, 256  # bands; samples of a frame and between frames, at 16 kHz
WIDTH, INNER, BLOCKS = 192, 576, 6
FLOOR = 1e-5  # of a band's magnitude, before the logarithm
LEVEL = 0.05  # root mean square at which the network hears every recording


class Vocoder(nn.Module):
    """From log mel magnitudes and sources to waveforms."""

    def __init__(self) -> None:
        super().__init__()
        self.begin = nn.Conv1d(2 * MELS, WIDTH, 7, padding=3)
        self.first = nn.LayerNorm(WIDTH)
        self.blocks = nn.ModuleList(_Block() for _ in range(BLOCKS))
        self.last = nn.LayerNorm(WIDTH)
        self.end = nn.Linear(WIDTH, 3 * (SIZE // 2 + 1))
        with torch.no_grad():
            self.end.weight *= 0.1

    def forward(self, mel: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
        """Return waveforms, shape (batch, (frames - 1) * HOP).

        Parameters
        ----------
        mel : Tensor, shape (batch, MELS, frames)
            As `log_mel` returns.
        sources : Tensor, shape (batch, 2, samples)
            Pulses and noise, as `source` returns.
        """
        pulses, noise = (_transform(sources[:, part]) for part in range(2))
        heard = torch.cat([mel, log_mel(sources[:, 0])], dim=1)
        hidden = self.first(self.begin(heard).transpose(1, 2))
        for block in self.blocks:
            hidden = block(hidden)
        voiced, unvoiced, turn = self.end(self.last(hidden)).transpose(1, 2).chunk(3, dim=1)
        # The bands alone tell magnitudes, and the sources phases: the network corrects them.
        told = (_mel()[1] @ mel.exp()).clamp(min=FLOOR)
        spectrum = torch.polar(told * voiced.clamp(max=4.0).exp(), pulses.angle() + turn)
        spectrum = spectrum + torch.polar(told * (unvoiced - 1).clamp(max=4.0).exp(), noise.angle())
        return torch.istft(spectrum, SIZE, HOP, window=_window())


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.widen, self.narrow = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.scale = nn.Parameter(torch.full((WIDTH,), 1 / BLOCKS))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        mixed = self.norm(self.mix(hidden.transpose(1, 2)).transpose(1, 2))
        return hidden + self.scale * self.narrow(nn.functional.gelu(self.widen(mixed)))


def log_mel(waves: torch.Tensor) -> torch.Tensor:
    """Return log mel magnitudes, shape (batch, MELS, 1 + samples // HOP), of waveforms, shape (batch, samples)."""
    return (_mel()[0] @ magnitudes(waves, size=SIZE, hop=HOP)).clamp(min=FLOOR).log()


def source(wave: np.ndarray) -> np.ndarray:
    """Return pulses at the pitch of a recording, with noise where it has none, and noise: shape (2, n_samples)."""
    pyworld, rng = copies.load_world(), np.random.default_rng(0)
    pitch, times = pyworld.dio(np.ascontiguousarray(wave, np.float64), RATE)
    noise = rng.standard_normal((2, len(wave)))
    now = np.arange(len(wave)) / RATE
    voiced = np.interp(now, times, pitch > 0) > 0.5
    pitch = np.interp(now, times[pitch > 0], pitch[pitch > 0]) if voiced.any() else np.full(len(wave), 100.0)
    # The sum of all harmonics below half the rate, in closed form.
    count, angle = np.floor(RATE / 2 / pitch), np.pi * np.cumsum(pitch / RATE)
    below = np.sin(angle)
    below = np.where(np.abs(below) < 1e-6, 1e-6, below)
    pulses = (np.sin((2 * count + 1) * angle) / below - 1) / np.sqrt(2 * count)
    return np.stack([np.where(voiced, pulses, noise[0]), noise[1]]).astype(np.float32)


def magnitudes(waves: torch.Tensor, *, size: int, hop: int) -> torch.Tensor:
    """Return magnitudes of the short-time Fourier transform, shape (batch, size // 2 + 1, frames)."""
    spectrum = _transform(waves, size=size, hop=hop)
    # The root of zero has no slope.
    return (torch.view_as_real(spectrum).square().sum(-1) + 1e-9).sqrt()


def vocode(wave: np.ndarray, *, weights: Path | None = None) -> np.ndarray:
    """Make sound from the mel spectrogram and the pitch of a recording, shape (n_samples,) at 16 kHz."""
    model, loud = load(weights or copies.weights_file()), chain.rms(wave) + 1e-9
    padded = np.pad(wave * (LEVEL / loud), (SIZE, SIZE + -len(wave) % HOP)).astype(np.float32)
    heard, sources = torch.from_numpy(padded)[None], torch.from_numpy(source(padded))[None]
    # In one thread, as sums of floats depend on how many share them.
    with machine.threads(1), torch.no_grad():
        rebuilt = model(log_mel(heard), sources)[0].numpy().astype(np.float64)
    return rebuilt[SIZE : SIZE + len(wave)] * (loud / LEVEL)


@functools.lru_cache(maxsize=2)
def load(path: Path) -> Vocoder:
    """Read weights, which are kept in half precision, into a network for inference."""
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    model = Vocoder()
    try:
        tensors = from_bytes(path.read_bytes())
        model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RunError(
            f"{path}: not the vocoder's weights ({first_line(error)}); take them from the repository"
        ) from error
    return model.eval().requires_grad_(False)


def to_bytes(model: Vocoder, *, metadata: dict[str, str]) -> bytes:
    """Return the file of weights in half precision; equal weights give equal bytes."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().half().contiguous() for name, tensor in model.state_dict().items()}
    return save(tensors, metadata={"metadata": json.dumps(metadata, sort_keys=True)})


@functools.cache
def _window(size: int = SIZE) -> torch.Tensor:
    return torch.hann_window(size)


def _transform(waves: torch.Tensor, *, size: int = SIZE, hop: int = HOP) -> torch.Tensor:
    return torch.stft(waves, size, hop, window=_window(size), return_complex=True)


@functools.cache
def _mel() -> tuple[torch.Tensor, torch.Tensor]:
    """Return mel filters and their inverse."""
    return tuple(torch.from_numpy(each).float() for each in copies.mel(MELS))
