"""Find clips of the same sound in any storage, and clips rebuilt from one recording.

Method
------
*Words.* Haitsma and Kalker (2002), "A highly robust audio fingerprinting system": of a frame's energies in 33
logarithmic bands from 300 to 3,500 Hz, the signs of the differences between neighbouring bands and over time make a
word of 32 bits. Here frames are 128 ms long and 16 ms apart, as speech is short; energies are logarithmic, so that
gains and filters drop out; and the difference over time spans 8 frames. Words of frames 30 dB below the loudest one
count for nothing.

*Candidates.* Two clips are compared where two or more pieces of their words (12 bits, and 12 bits 96 ms later, in three
ranges of bands) agree at one alignment. Equal pieces come together by sorting, and only neighbours in that order are
looked at, so the work grows as n log n. Copies in large families do not all meet one another, but each meets some.

*Bits.* At the best alignment the share of bits that differ is near 0.45 for unrelated speech, one speaker's included,
and small for one recording: up to 0.1 after a shift by half the distance of frames, 0.13 after Vorbis, 0.29 after MP3
at 8 kbit/s. Clips rebuilt by WORLD, Griffin-Lim or linear prediction come to 0.1 to 0.3 of the recording that
they were made from, so bits alone cannot tell these from copies.

*Waves.* Lossy codecs keep the wave; vocoders do not keep its phases. Candidates that pass are decoded again, and the
correlation of their waves (300 to 3,400 Hz) decides: 0.94 and more after MP3 at 16 kbit/s or better, Vorbis,
noise 20 dB below or resampling; 0.83 and less, mostly below 0.5, for the vocoders.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.fft

from dfdlib import machine
from dfdlib.data import audio
from dfdlib.data.audio import RATE
from dfdlib.errors import DataError

FRAME, HOP = 2048, 256  # samples at RATE
LAG = 8  # frames between the energies whose difference makes a word
DEPTH = 1e-3  # of the loudest frame's energy; below, words are noise

MOST_BITS = 0.30  # share that differs between clips of one recording
LEAST_CORRELATION = 0.90  # of the waves of copies
UNRELATED, SPREAD = 0.44, 1.4  # bits of unrelated clips, and how far chance moves them over one frame, many times over
LEAST_FRAMES = 32  # that both clips must share, half a second
LEAST_SHARE = 0.5  # of the shorter clip that both must share

_REACH = 12  # neighbours in the sorted order that are compared
_SPAN = 6  # frames between the two halves of a key
_SHIFTS = (20, 10, 0)  # where a key's 12 bits begin in a word, from its lowest bit
_BLOCK = 2**20  # words compared at a time

_EDGES = np.round(300 * (3500 / 300) ** (np.arange(34) / 33) * FRAME / RATE).astype(int)
_WINDOW = np.hanning(FRAME + 1)[:-1].astype(np.float32)


class Fingerprint(NamedTuple):
    """A word of 32 bits for every 16 ms of a clip, uint32 of shape (n_frames,), and which of them count, bool."""

    bits: np.ndarray
    loud: np.ndarray


def fingerprint(wave: np.ndarray) -> Fingerprint:
    """Return the fingerprint of a clip at 16 kHz, shape (n_samples,); it is empty for clips below 0.26 s."""
    if len(wave) < FRAME + LAG * HOP:
        return Fingerprint(np.zeros(0, np.uint32), np.zeros(0, bool))
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(wave, np.float32), FRAME)[::HOP]
    # In parts, so that an hour of sound does not need eight times its memory.
    energy = np.concatenate([_band_energies(frames[start : start + 512]) for start in range(0, len(frames), 512)])
    loudness = energy.sum(axis=1)
    loud = loudness > max(DEPTH * loudness.max(), 1e-9)
    heights = np.log(energy + 1e-7 * energy.max() + 1e-12)
    slopes = heights[:, :-1] - heights[:, 1:]
    signs = slopes[LAG:] > slopes[:-LAG]
    bits = np.packbits(signs, axis=1).view(">u4")[:, 0].astype(np.uint32)
    return Fingerprint(bits, loud[LAG:] & loud[:-LAG])


def pairs(
    fingerprints: Sequence[Fingerprint], paths: Sequence[str], *, owners: Sequence[int] | None = None
) -> pd.DataFrame:
    """Find pairs of clips of one recording, of different `owners` where these are given.

    The clips in likely pairs are decoded once more, from their paths.

    Returns
    -------
    DataFrame
        ``first`` and ``second`` (numbers of clips, first < second), ``shift`` (s; what the second begins with comes
        so much later in the first), ``bits`` (share that differs), ``correlation`` of the waves, and ``same``: True
        for one sound stored twice, False where one was rebuilt from the other, or both from another.
    """
    first, second, shift = _candidates(fingerprints, owners)
    first, second, shift, bits, frames = _compare(fingerprints, first, second, shift)
    with ThreadPoolExecutor(machine.cores()) as pool:
        waves = list(
            pool.map(lambda a, b, later: _correlation(paths[a], paths[b], later * HOP), first, second, shift.tolist())
        )
    table = pd.DataFrame({"first": first, "second": second, "shift": shift * HOP / RATE, "bits": bits})
    table["correlation"] = np.array(waves, float)
    table["same"] = table["correlation"] >= LEAST_CORRELATION
    # Waves that agree prove more than bits; without them, few frames must agree better than many.
    sure = bits <= UNRELATED - SPREAD / np.sqrt(np.maximum(frames, 1))
    return table[table["same"] | sure].reset_index(drop=True)


def families(count: int, first: Sequence[int], second: Sequence[int]) -> np.ndarray:
    """Return a family's number for each of `count` clips, where pairs join families, shape (count,)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(first), bool), (np.asarray(first, int), np.asarray(second, int))), (count, count))
    return connected_components(links, directed=False)[1]


def _band_energies(frames: np.ndarray) -> np.ndarray:
    spectrum = scipy.fft.rfft(frames * _WINDOW, axis=1)[:, : _EDGES[-1]]
    return np.add.reduceat(spectrum.real**2 + spectrum.imag**2, _EDGES[:-1], axis=1)


def _candidates(
    fingerprints: Sequence[Fingerprint], owners: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return clips a < b and alignments (frame of a - frame of b) at which two or more keys agree."""
    keys, clips, frames = [], [], []
    for clip, (bits, loud) in enumerate(fingerprints):
        places = np.flatnonzero(loud[:-_SPAN] & loud[_SPAN:])
        for table, low in enumerate(_SHIFTS):
            part = (bits >> np.uint32(low)) & np.uint32(0xFFF)
            keys.append(part[places] | part[places + _SPAN] << np.uint32(12) | np.uint32(table << 24))
            clips.append(np.full(len(places), clip, np.int32))
            frames.append(places.astype(np.int32))
    if not sum(map(len, keys)):
        return (np.zeros(0, np.int64),) * 3
    keys, clips, frames = np.concatenate(keys), np.concatenate(clips), np.concatenate(frames)
    order = np.argsort(keys, kind="stable")  # which leaves the clips of one key in order
    keys, clips, frames = keys[order], clips[order], frames[order]
    # A hum repeats one word: keep its first frame.
    once = np.append(True, (keys[1:] != keys[:-1]) | (clips[1:] != clips[:-1]))
    keys, clips, frames = keys[once], clips[once], frames[once]
    owner = None if owners is None else np.asarray(owners)
    longest = int(frames.max(initial=0)) + 1
    votes = []
    for reach in range(1, _REACH + 1):
        left = np.flatnonzero(keys[reach:] == keys[:-reach])
        a, b = clips[left], clips[left + reach]
        if owner is not None:
            apart = owner[a] != owner[b]
            left, a, b = left[apart], a[apart], b[apart]
        shift = frames[left].astype(np.int64) - frames[left + reach]
        votes.append((a.astype(np.int64) * len(fingerprints) + b) * (2 * longest + 2) + shift + longest)
    votes = np.sort(np.concatenate(votes))
    # Alignments one frame apart are one: clips are seldom shifted by whole frames.
    found = np.unique(votes)
    support = np.searchsorted(votes, found + 1, side="right") - np.searchsorted(votes, found, side="left")
    found = found[support >= 2]
    pair, shift = found // (2 * longest + 2), found % (2 * longest + 2) - longest
    return pair // len(fingerprints), pair % len(fingerprints), shift


def _compare(
    fingerprints: Sequence[Fingerprint], first: np.ndarray, second: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Keep the best alignment of each pair of clips, where few enough bits differ; also in how many frames."""
    if not len(first):
        return first, second, shift, np.zeros(0), np.zeros(0)
    lengths = np.array([len(clip.bits) for clip in fingerprints])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    bits = np.concatenate([clip.bits for clip in fingerprints])
    loud = np.concatenate([clip.loud for clip in fingerprints])
    audible = np.add.reduceat(np.append(loud, False), starts) * (lengths > 0)
    # The alignment one frame on may fit better; it was counted with this one.
    first, second = np.tile(first, 2), np.tile(second, 2)
    shift = np.concatenate([shift, shift + 1])
    begin_first, begin_second = np.maximum(shift, 0), np.maximum(-shift, 0)
    overlap = np.minimum(lengths[first] - begin_first, lengths[second] - begin_second)
    enough = overlap >= LEAST_FRAMES
    first, second, shift, overlap = first[enough], second[enough], shift[enough], overlap[enough]
    at_first, at_second = (starts[first] + begin_first[enough], starts[second] + begin_second[enough])
    differ, compared = np.ones(len(first)), np.zeros(len(first))
    order = np.argsort(-overlap, kind="stable")  # so that the pairs of a block are of about one length
    place = 0
    while place < len(order):
        rows = order[place : place + max(1, _BLOCK // int(overlap[order[place]]))]
        steps = np.arange(overlap[rows[0]])
        inside = steps < overlap[rows, None]
        a, b = (np.where(inside, at[rows, None] + steps, 0) for at in (at_first, at_second))
        counted = inside & loud[a] & loud[b]
        shared = compared[rows] = counted.sum(axis=1)
        wrong = (np.bitwise_count(bits[a] ^ bits[b]) * counted).sum(axis=1, dtype=np.int64)
        needed = np.maximum(LEAST_FRAMES, LEAST_SHARE * np.minimum(audible[first[rows]], audible[second[rows]]))
        differ[rows] = np.where(shared >= needed, wrong / (32 * np.maximum(shared, 1)), 1.0)
        place += len(rows)
    good = np.flatnonzero(differ <= MOST_BITS)
    best = good[np.lexsort((differ[good], second[good], first[good]))]
    pair = first[best] * len(fingerprints) + second[best]
    best = best[np.append(True, pair[1:] != pair[:-1])] if len(best) else best
    return first[best], second[best], shift[best], differ[best], compared[best]


def _correlation(first: str, second: str, shift: int) -> float:
    """Return the largest correlation of two clips' waves near an alignment given in samples; 0 if one has gone."""
    try:
        a, b = (audio.load(path, rate=RATE) for path in (first, second))
    except DataError:
        return 0.0
    a, b = a[max(0, shift) :], b[max(0, -shift) :]
    length = min(len(a), len(b))
    size = scipy.fft.next_fast_len(2 * length, real=True)
    low, high = (round(frequency * size / RATE) for frequency in (300, 3400))
    spectra = [scipy.fft.rfft(wave[:length], size) for wave in (a, b)]
    for spectrum in spectra:
        spectrum[:low] = spectrum[high:] = 0
    energies = [float(np.sum(np.abs(spectrum) ** 2)) for spectrum in spectra]
    # The sum over the one-sided spectrum is half of the wave's energy times its length.
    product = np.abs(scipy.fft.irfft(spectra[0] * spectra[1].conj(), size)) * size / 2
    near = np.concatenate([product[: 2 * HOP], product[-2 * HOP :]])
    return float(near.max() / np.sqrt(energies[0] * energies[1])) if min(energies) > 0 else 0.0
