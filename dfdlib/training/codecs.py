"""Lossy codecs: code a waveform and decode it again, in memory."""

import io
from dataclasses import dataclass, field

import numpy as np

from dfdlib.training.rawboost import Range


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How FFmpeg's libraries code and decode."""

    encoder: str
    decoder: str
    rate: int
    sample_format: str
    bit_rate: Range | None = None  # in bit/s; each clip draws its own
    options: dict[str, str] = field(default_factory=dict)
    delay: int = 0  # samples by which the decoded waveform is late, which the decoder does not report

    def through(self, wave: np.ndarray, *, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Return the waveform, coded and decoded, and its sample rate."""
        import av

        encoder = av.CodecContext.create(self.encoder, "w")
        encoder.sample_rate, encoder.layout, encoder.format = self.rate, "mono", self.sample_format
        encoder.options = self.options
        if self.bit_rate is not None:
            encoder.bit_rate = int(rng.uniform(*self.bit_rate))
        encoder.open()
        if self.sample_format == "s16":
            wave = np.round(wave * 32767).astype(np.int16)
        # Append silence: it pushes out the samples that coder and decoder hold back.
        size = encoder.frame_size or len(wave) + self.delay
        wave = np.pad(wave, (0, self.delay + (-len(wave) - self.delay) % size))[None]
        packets = []
        for start in range(0, wave.shape[1], size):
            block = np.ascontiguousarray(wave[:, start : start + size])
            frame = av.AudioFrame.from_ndarray(block, format=self.sample_format, layout="mono")
            frame.sample_rate, frame.pts = self.rate, start
            packets += encoder.encode(frame)
        packets += encoder.encode(None)

        decoder = av.CodecContext.create(self.decoder, "r")
        decoder.sample_rate, decoder.layout = self.rate, "mono"
        if encoder.extradata:
            decoder.extradata = encoder.extradata
        blocks = [frame.to_ndarray().ravel() for packet in [*packets, None] for frame in decoder.decode(packet)]
        decoded = np.concatenate(blocks)[self.delay :]
        if decoded.dtype == np.int16:
            decoded = decoded.astype(np.float32) / 32767
        return decoded, decoder.sample_rate

    def is_available(self) -> bool:
        """Say whether the libraries that are installed can do it."""
        import av

        return self.encoder in av.codecs_available and self.decoder in av.codecs_available


class Gsm:
    """GSM 06.10 full rate at 13 kbit/s, which libsndfile codes."""

    rate = 8000

    def through(self, wave: np.ndarray, *, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Return the waveform, coded and decoded, and its sample rate."""
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, wave, self.rate, format="WAV", subtype="GSM610")
        buffer.seek(0)
        return soundfile.read(buffer, dtype="float32")

    def is_available(self) -> bool:
        """Say whether the library that is installed can do it."""
        import soundfile

        return "GSM610" in soundfile.available_subtypes("WAV")


CODINGS = {
    "mp3": Coding(
        encoder="libmp3lame",
        decoder="mp3float",
        rate=16_000,
        sample_format="fltp",
        bit_rate=(24_000, 64_000),
        options={"compression_level": "7"},  # LAME's fast end; slower ones sound alike here
    ),
    "opus": Coding(
        encoder="libopus",
        decoder="libopus",
        rate=16_000,
        sample_format="flt",
        bit_rate=(8_000, 32_000),
        options={"compression_level": "0"},  # ten times as fast as the default
    ),
    # The two mirror filters of G.722 take 22 samples.
    "g722": Coding(encoder="g722", decoder="g722", rate=16_000, sample_format="s16", delay=22),
    "mulaw": Coding(encoder="pcm_mulaw", decoder="pcm_mulaw", rate=8000, sample_format="s16"),
    "gsm": Gsm(),
}

#: mp3 and opus at low bit rates, G.722 at 64 kbit/s, and at 8 kHz the telephone's µ-law and GSM full rate.
CODECS = tuple(CODINGS)

#: What a clip may have come through since it was recorded: in words, and the codecs that stand for it.
CHANNELS = {
    "studio": ("as recorded", ()),
    "phone": ("telephone, 8 kHz", ("mulaw", "gsm")),
    "messenger": ("messenger, opus", ("opus",)),
}


def available_codecs() -> tuple[str, ...]:
    """Return those of `CODECS` that this installation can code."""
    return tuple(name for name, coding in CODINGS.items() if coding.is_available())
