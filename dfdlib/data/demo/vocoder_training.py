"""Train the neural vocoder on recordings of voices that are for training.

The network first learns to give back spectra, then also to deceive two kinds of discriminators: one looks at the
waveform folded by several periods (HiFi-GAN: Kong et al., 2020), one at spectrograms (UnivNet: Jang et al., 2021).
All are small enough for one processor core.
"""

import copy
import dataclasses
import datetime
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dfdlib import files, machine
from dfdlib.data import audio
from dfdlib.data.demo import chain, copies, vocoder
from dfdlib.errors import DataError, RunError
from dfdlib.text import thousands

#: Voices that the vocoder hears in training: files below the unpacked packages. Others are held out.
VOICES = {
    "allison (en)": "usr/share/asterisk/sounds/en_US_f_Allison/**/*.g722",
    "allison (es)": "usr/share/asterisk/sounds/es_MX_f_Allison/**/*.g722",
    "ivrvoice-ru": "usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU/**/*.g722",
    "nsh": "usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav/*.wav",
    "fillets-cs-m": "usr/share/games/fillets-ng/sound/*/cs/*-m-*.ogg",
    "fillets-cs-v": "usr/share/games/fillets-ng/sound/*/cs/*-v-*.ogg",
    "stamps-bg": "usr/share/tuxpaint/stamps/**/*_desc_bg.ogg",
    "stamps-es": "usr/share/tuxpaint/stamps/**/*_desc_es.ogg",
    "stamps-fr": "usr/share/tuxpaint/stamps/**/*_desc_fr.ogg",
    "stamps-ru": "usr/share/tuxpaint/stamps/**/*_desc_ru.ogg",
}
#: Voices that the vocoder is measured on.
HELD_OUT = {
    "carlo": "usr/share/asterisk/sounds/it_IT_m_Carlo/**/*.g722",
    "june": "usr/share/asterisk/sounds/fr_CA_f_June/**/*.g722",
    "fillets-nl-m": "usr/share/games/fillets-ng/sound/*/nl/*-m-*.ogg",
    "fillets-nl-v": "usr/share/games/fillets-ng/sound/*/nl/*-v-*.ogg",
    "stamps-ca": "usr/share/tuxpaint/stamps/**/*_desc_ca.ogg",
    "stamps-el": "usr/share/tuxpaint/stamps/**/*_desc_el.ogg",
}
EACH, MEASURED = 150, 20  # recordings of a voice to train with and to measure, at most
RESOLUTIONS = ((256, 64), (512, 128), (1024, 256))  # frame and step of the spectra that are compared
PERIODS = (2, 3, 5, 7, 11)


@dataclass(frozen=True)
class Recipe:
    """How the vocoder is trained; `alone` steps go by before the discriminators join."""

    steps: int = 7_000
    alone: int = 3_500
    batch: int = 4
    samples: int = 8192
    learning_rate: float = 8e-4
    mel_weight: float = 15.0
    spectrum_weight: float = 3.0
    judge_weight: float = 0.5
    average: float = 0.999
    seed: int = 1


def make(unpacked: Path, *, weights: Path, progress: Callable[[str], None] = print) -> str:
    """Train the vocoder on the demo's unpacked packages, write its weights and its card, and return the card.

    The card is written beside the weights, a safetensors file, as ``.md``.
    """
    held, recipe = recordings(unpacked, HELD_OUT, most=MEASURED), Recipe()
    heard = recordings(unpacked, VOICES, most=EACH)
    return write(train(heard, recipe=recipe, progress=progress), heard, held, recipe=recipe, weights=weights)


def recordings(root: Path, voices: Mapping[str, str], *, most: int) -> dict[str, list[np.ndarray]]:
    """Return trimmed recordings of voices below an unpacked system, at the network's level; bad ones are left out."""
    heard = {}
    for name, pattern in voices.items():
        paths, waves = sorted(root.glob(pattern)), []
        for path in paths[:: max(1, len(paths) // most)][:most]:
            try:
                wave = chain.trim(audio.load(path, rate=audio.RATE, off_zero=True))
            except DataError:
                continue
            waves.append((wave * (vocoder.LEVEL / (chain.rms(wave) + 1e-9))).astype(np.float32))
        if not waves:
            raise RunError(f"{root}: holds no {pattern}; dfd data build demo --training fetches its package")
        heard[name] = waves
    return heard


class _Periods(nn.Module):
    """Looks at a waveform folded to rows of one period."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period
        widths = (1, 16, 32, 64, 64)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0)) for a, b in pairwise(widths))
        self.last = nn.Conv2d(64, 1, (3, 1), padding=(1, 0))

    def forward(self, waves: torch.Tensor) -> list[torch.Tensor]:
        waves = nn.functional.pad(waves, (0, -waves.shape[-1] % self.period))
        return _through(self, waves.reshape(len(waves), 1, -1, self.period))


class _Spectrum(nn.Module):
    """Looks at the log magnitudes of a waveform in one resolution."""

    def __init__(self, size: int, hop: int) -> None:
        super().__init__()
        self.size, self.hop = size, hop
        shapes = ((1, 8, (2, 1)), (8, 16, (2, 2)), (16, 24, (2, 2)), (24, 32, (2, 1)))
        self.layers = nn.ModuleList(nn.Conv2d(a, b, (5, 3), stride, (2, 1)) for a, b, stride in shapes)
        self.last = nn.Conv2d(32, 1, 3, padding=1)

    def forward(self, waves: torch.Tensor) -> list[torch.Tensor]:
        spectrum = vocoder.magnitudes(waves, size=self.size, hop=self.hop)
        return _through(self, spectrum.clamp(min=1e-4).log()[:, None])


def _through(module: nn.Module, hidden: torch.Tensor) -> list[torch.Tensor]:
    seen = []
    for layer in module.layers:
        hidden = nn.functional.leaky_relu(layer(hidden), 0.1)
        seen.append(hidden)
    return [*seen, module.last(hidden)]


def spectral_distances(waves: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how far spectra are apart: convergence, and log magnitudes (Yamamoto et al., 2020), over `RESOLUTIONS`."""
    convergence, logs = [], []
    for size, hop in RESOLUTIONS:
        one, two = (vocoder.magnitudes(each, size=size, hop=hop) for each in (waves, others))
        convergence.append((two - one).norm() / two.norm())
        logs.append((one.clamp(min=1e-4).log() - two.clamp(min=1e-4).log()).abs().mean())
    return torch.stack(convergence).mean(), torch.stack(logs).mean()


def train(
    heard: dict[str, list[np.ndarray]], *, recipe: Recipe | None = None, progress: Callable[[str], None] = print
) -> vocoder.Vocoder:
    """Train a vocoder, the same for the same recordings and recipe; every voice is drawn equally often.

    Its weights are the average over the last steps.
    """
    recipe = recipe or Recipe()
    with machine.threads(1):
        torch.manual_seed(recipe.seed)
        rng, model = np.random.default_rng(recipe.seed), vocoder.Vocoder()
        averaged = copy.deepcopy(model).requires_grad_(False)
        judges = nn.ModuleList([*map(_Periods, PERIODS), *(_Spectrum(*each) for each in RESOLUTIONS[1:])])
        options = {"lr": recipe.learning_rate, "betas": (0.8, 0.99), "weight_decay": 1e-3, "foreach": True}
        ours, theirs = (torch.optim.AdamW(each.parameters(), **options) for each in (model, judges))
        pairs = {name: [(wave, vocoder.source(wave)) for wave in own] for name, own in heard.items()}
        sums, since = {}, time.monotonic()
        for step in range(recipe.steps):
            share = step / recipe.steps
            factor = min(1.0, share * 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * share)))
            for group in (*ours.param_groups, *theirs.param_groups):
                group["lr"] = recipe.learning_rate * factor
            waves, sources = _draw(pairs, rng, recipe)
            joined = judges if step >= recipe.alone else None
            for name, value in _step(model, joined, waves, sources, ours, theirs, recipe).items():
                sums[name] = sums.get(name, 0.0) + value
            kept, now = list(averaged.parameters()), [each.detach() for each in model.parameters()]
            torch._foreach_lerp_(kept, now, 1 - min(recipe.average, (step + 1) / (step + 10)))
            if (step + 1) % 500 == 0:
                line = ", ".join(f"{name} {total / 500:.3f}" for name, total in sums.items())
                progress(f"step {step + 1} of {recipe.steps}, {time.monotonic() - since:.0f} s: {line}")
                sums = {}
    return averaged


def _draw(pairs: dict[str, list], rng: np.random.Generator, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pieces of recordings, each a little louder or quieter than the network's level, and their sources."""
    voices, waves, sources = list(pairs), [], []
    for _ in range(recipe.batch):
        own = pairs[voices[rng.integers(len(voices))]]
        wave, source = own[rng.integers(len(own))]
        start = rng.integers(max(1, len(wave) - recipe.samples))
        missing = max(0, recipe.samples - len(wave))
        piece = slice(start, start + recipe.samples)
        waves.append(np.pad(wave[piece] * 10 ** (rng.uniform(-6, 6) / 20), (0, missing)))
        sources.append(np.pad(source[:, piece], ((0, 0), (0, missing))))
    return torch.from_numpy(np.stack(waves).astype(np.float32)), torch.from_numpy(np.stack(sources))


def _step(model, judges, waves, sources, ours, theirs, recipe: Recipe) -> dict[str, float]:
    wanted = vocoder.log_mel(waves)
    rebuilt = model(wanted, sources)
    mel = (vocoder.log_mel(rebuilt) - wanted).abs().mean()
    spectrum = sum(spectral_distances(rebuilt, waves))
    loss, said = recipe.mel_weight * mel + recipe.spectrum_weight * spectrum, {"mel": mel, "spectrum": spectrum}
    if judges is not None:
        # The judges look at the middle half: their layers take most of the time.
        middle = slice(recipe.samples // 4, 3 * recipe.samples // 4)
        of_judges, deceived, alike = _argue(judges, waves[:, middle], rebuilt[:, middle])
        loss = loss + recipe.judge_weight * (deceived + 2 * alike)
        said |= {"judges": of_judges, "deceived": deceived, "features": alike}
        theirs.zero_grad()
        of_judges.backward()
    ours.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    ours.step()
    if judges is not None:
        theirs.step()
    return {name: float(value.detach()) for name, value in said.items()}


def _argue(judges: nn.ModuleList, real: torch.Tensor, made: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the hinge loss of the judges, that of the vocoder, and how far what they see in both is apart."""
    of_judges, deceived, alike = [], [], []
    for judge in judges:
        true, false = judge(real), judge(made.detach())[-1]
        of_judges.append((1 - true[-1]).relu().mean() + (1 + false).relu().mean())
        judge.requires_grad_(False)
        seen = judge(made)
        judge.requires_grad_(True)
        deceived.append((1 - seen[-1]).relu().mean())
        pairs = [(one, two.detach()) for one, two in zip(seen[:-1], true[:-1], strict=True)]
        alike.append(torch.stack([(one - two).abs().mean() / (two.abs().mean() + 1e-6) for one, two in pairs]).mean())
    return tuple(torch.stack(each).mean() for each in (of_judges, deceived, alike))


def write(model: vocoder.Vocoder, heard: dict, held: dict, *, recipe: Recipe, weights: Path) -> str:
    """Write weights and their card, measured as they are read again; return the card."""
    with files.atomic(weights, "wb") as file:
        file.write(vocoder.to_bytes(model, metadata={"licence": "MIT", "seed": str(recipe.seed)}))
    figures = measure(held, weights=weights)
    parameters = sum(each.numel() for each in model.parameters())
    card = _CARD.format(
        name=weights.stem,
        file=weights.name,
        parameters=thousands(parameters),
        size=f"{weights.stat().st_size / 1e6:.1f}",
        sha256=files.sha256(weights),
        date=datetime.date.today().isoformat(),
        versions=f"Python {platform.python_version()}, torch {torch.__version__}, on {platform.machine()}",
        recipe=dataclasses.asdict(recipe),
        heard="\n".join(f"| {name} | {len(own)} | {_minutes(own):.1f} |" for name, own in heard.items()),
        figures="\n".join(f"| {' | '.join(row)} |" for row in figures),
    )
    with files.atomic(weights.with_suffix(".md")) as file:
        file.write(card)
    return card


def measure(held: dict[str, list[np.ndarray]], *, weights: Path) -> list[tuple[str, ...]]:
    """Return a row for each voice and way of copying: how far copies are from recordings, and the speed."""
    ways = {
        "neural vocoder": lambda wave, rng: vocoder.vocode(wave, weights=weights),
        "griffin-lim": copies.griffin_lim,
        "world": copies.world,
    }
    rows = []
    for name, own in held.items():
        for way, function in ways.items():
            since = time.process_time()
            made = [function(wave.astype(np.float64), np.random.default_rng(1)) for wave in own]
            speed = 60 * _minutes(own) / (time.process_time() - since)
            figures = np.mean([_distances(one, two) for one, two in zip(made, own, strict=True)], axis=0)
            rows.append((name, way, *(f"{each:.2f}" for each in figures), f"{speed:.0f}"))
    return rows


def _distances(made: np.ndarray, wave: np.ndarray) -> tuple[float, ...]:
    """Return differences of mel bands and of magnitudes (dB), spectral convergence, and the median of pitch (%)."""
    made = chain.as_long(made, len(wave)).astype(np.float32)
    one, two = (torch.from_numpy(each)[None] for each in (made, wave))
    convergence, logs = (float(each) for each in spectral_distances(one, two))
    mel = float((vocoder.log_mel(one) - vocoder.log_mel(two)).abs().mean())
    pitches = [copies.load_world().harvest(each.astype(np.float64), audio.RATE)[0] for each in (made, wave)]
    both = (pitches[0] > 0) & (pitches[1] > 0)
    pitch = np.median(np.abs(pitches[0][both] / pitches[1][both] - 1)) if both.any() else 0.0
    return mel * 20 / np.log(10), logs * 20 / np.log(10), convergence, 100 * pitch


def _minutes(waves: list[np.ndarray]) -> float:
    return sum(map(len, waves)) / audio.RATE / 60


_CARD = """# {name}

A neural vocoder ({parameters} parameters, {size} MB in half precision): from a mel spectrogram (80 bands, every \
16 ms) and the pitch to speech at 16 kHz. It makes the demo's attack `neural-vocoder`, copies of recordings whose \
voices it was not trained on, and is good for nothing else. This card was written by the command that trained it: \
`dfd data vocoder`.

- weights: `{file}`, sha256 `{sha256}`, licence MIT
- made on {date} with {versions}
- design: ConvNeXt blocks and an inverse short-time Fourier transform, with the phases of pulses and noise
- recipe: {recipe}

## Trained on

| voice | recordings | minutes |
|---|---|---|
{heard}

All are voices of the corpora's training splits.

## Voices it was not trained on

Distances to up to 20 recordings of each voice: mean difference of mel bands, mean difference of magnitudes and \
spectral convergence in three resolutions, median difference of pitch. Griffin–Lim looks for nothing but the wanted \
magnitudes. Speed in seconds of speech a second of one core.

| voice | made by | mel bands, dB | magnitudes, dB | convergence | pitch, % | speed |
|---|---|---|---|---|---|---|
{figures}
"""
