"""Augmentation: what each effect does to a signal, and that a clip sounds the same however it is come by."""

import pickle

import numpy as np
import pytest
from deterministic_weights import waveform
from scipy import signal

from dfdlib.errors import ParameterError
from dfdlib.training import augment, codecs, rawboost
from dfdlib.training.augment import Augmentation, Codec
from dfdlib.training.rawboost import Convolutive, Impulsive, Notches, RawBoost, Stationary

RATE = 16_000
NAMES = [
    *(f"rawboost={number}" for number in range(1, 9)),
    *(f"codec={name}" for name in codecs.CODECS),
    "codec",
]
FAR = Notches(bands=1, centre=(7000, 7000), width=(200, 200), coefficients=(99, 99))
"""A filter that leaves what is below 6 kHz alone."""
NOTCH = Notches(bands=1, centre=(2000, 2000), width=(1000, 1000), coefficients=(99, 99))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return waveform(2 * RATE)


@pytest.fixture(scope="module")
def hiss() -> np.ndarray:
    return (0.05 * np.random.default_rng(5).standard_normal(8 * RATE)).astype(np.float32)


def apply(effect, wave: np.ndarray, *, seed: int = 0) -> np.ndarray:
    return effect(wave, rate=RATE, rng=np.random.default_rng(seed))


def tone(frequency: float, *, level: float, seconds: float = 1.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def level(wave: np.ndarray, low: float, high: float) -> float:
    """Return the mean power between two frequencies, in decibels."""
    frequencies, power = signal.welch(wave.astype(np.float64), RATE, nperseg=1024)
    return 10 * np.log10(power[(frequencies >= low) & (frequencies <= high)].mean() + 1e-30)


def amplitude(wave: np.ndarray, frequency: float) -> float:
    """Return the amplitude of a partial, away from the ends, where filters see the silence around."""
    middle = wave[2000:14_000].astype(np.float64)
    return 2 * abs(np.exp(-2j * np.pi * frequency * np.arange(len(middle)) / RATE) @ middle) / len(middle)


def snr(wave: np.ndarray, noisy: np.ndarray) -> float:
    noise = noisy.astype(np.float64) - wave
    return 10 * np.log10(np.sum(wave.astype(np.float64) ** 2) / np.sum(noise**2))


def lag(wave: np.ndarray, later: np.ndarray) -> int:
    """Return by how many samples `later` is late."""
    return int(signal.correlate(later, wave, method="fft").argmax()) - (len(wave) - 1)


# Whatever the effect


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [1, 319, 16_000])
def test_length_type_and_peak(name: str, samples: int, speech: np.ndarray):
    augmenter = augment.build([name])
    for scale in (0.5, 3.0):  # floating-point files may go beyond full scale
        wave = scale * speech[5000 : 5000 + samples].astype(np.float64)
        before = wave.copy()
        found = augmenter(wave, rate=RATE, rng=augment.rng(1, 0, samples))
        assert found.dtype == np.float32
        assert found.shape == (samples,)
        assert np.isfinite(found).all()
        assert np.abs(found).max() <= 1
        assert (wave == before).all()


@pytest.mark.parametrize("name", NAMES)
def test_silence_makes_no_trouble(name: str):
    found = augment.build([name])(np.zeros(4000, np.float32), rate=RATE, rng=augment.rng(1, 0, 0))
    assert np.abs(found).max() < 2e-3  # µ-law has no zero


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_sounds_the_same_in_any_order_and_process(name: str, speech: np.ndarray):
    clips = [speech[start : start + 6000] for start in (0, 8000, 16_000)]
    augmenter = augment.build([name, "rawboost=2@0.5"])
    there = pickle.loads(pickle.dumps(augmenter))

    def augmented(how, epoch: int, index: int) -> np.ndarray:
        return how(clips[index], rate=RATE, rng=augment.rng(7, epoch, f"sha256 of {index}"))

    forwards = [augmented(augmenter, 0, index) for index in range(3)]
    backwards = [augmented(there, 0, index) for index in (2, 1, 0)]
    for one, other in zip(forwards, backwards[::-1], strict=True):
        np.testing.assert_array_equal(one, other)
    if name not in {"codec=g722", "codec=mulaw", "codec=gsm"}:  # these draw nothing
        assert not np.array_equal(forwards[0], augmented(augmenter, 1, 0))


def test_generator_depends_on_seed_epoch_and_clip_alone():
    draws = {key: augment.rng(*key).random() for key in [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"), (0, 0, 1)]}
    assert len(set(draws.values())) == 5
    assert augment.rng(0, 0, "a").random() == draws[0, 0, "a"]
    # What `sha256sum` says of these five characters: the same on every machine.
    seed = 0x8679922B67376E1DFA621DC2D3A0840A41BF13ECEA8D95DEF4AAA5D08857D105
    assert draws[0, 0, "a"] == np.random.default_rng(seed).random()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reverb", "no augmentation is called 'reverb'; there are rawboost, codec"),
        ("rawboost", "augmentation 'rawboost': invalid literal"),
        ("rawboost=9", "RawBoost numbers its combinations from 1 to 8"),
        ("codec=mp4", "no codec is called 'mp4'; there are mp3, opus, g722, mulaw, gsm"),
        ("codec@2", "probability=2.0: must be from 0 to 1"),
        ("codec@often", "could not convert string to float"),
    ],
)
def test_names_that_mean_nothing(name: str, message: str):
    with pytest.raises(ParameterError) as caught:
        augment.build(["rawboost=2", name])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shapes_that_are_no_clip(speech: np.ndarray):
    for wave in (speech[:0], speech.reshape(2, -1)):
        with pytest.raises(ParameterError, match="expected"):
            augment.build(["rawboost=2"])(wave, rate=RATE, rng=augment.rng(0, 0, 0))


def test_a_probability_is_a_share_of_the_clips(speech: np.ndarray):
    augmenter = augment.build(["rawboost=2@0.25"])
    assert augmenter.parts == (Augmentation(effect=RawBoost(algorithm=2), probability=0.25),)
    wave = speech[:1000]
    same = [np.array_equal(augmenter(wave, rate=RATE, rng=augment.rng(0, 0, clip)), wave) for clip in range(1000)]
    assert 0.7 < np.mean(same) < 0.8
    assert np.array_equal(augment.build([])(wave, rate=RATE, rng=augment.rng(0, 0, 0)), wave)


# RawBoost


def test_the_published_settings():
    notches = Notches(bands=5, centre=(20.0, 8000.0), width=(100.0, 1000.0), coefficients=(10, 100), gain=(0.0, 0.0))
    assert RawBoost(algorithm=1) == RawBoost(
        algorithm=1,
        convolutive=Convolutive(orders=5, bias=(5.0, 20.0), notches=notches),
        impulsive=Impulsive(share=0.1, gain=2.0),
        stationary=Stationary(snr=(10.0, 40.0), notches=notches),
    )


def test_a_notch_is_where_it_should_be(hiss: np.ndarray):
    found = apply(Convolutive(orders=1, notches=NOTCH), hiss)
    change = {edges: level(found, *edges) - level(hiss, *edges) for edges in [(1800, 2200), (100, 1200), (2800, 7800)]}
    assert change[1800, 2200] < -40
    assert abs(change[100, 1200]) < 0.2
    assert abs(change[2800, 7800]) < 0.2
    assert lag(hiss, found) == 0


def test_the_filter_is_the_window_design_that_scipy_computes(hiss: np.ndarray):
    edges = [1500, 2500]
    expected = signal.firwin(99, edges, window="hamming", fs=RATE, scale=False)  # a band-stop filter
    expected /= np.abs(signal.freqz(expected, worN=4096)[1]).max()
    found = apply(Convolutive(orders=1, notches=NOTCH), hiss)
    expected = signal.fftconvolve(hiss, expected, mode="same")
    expected -= expected.mean()
    scale = found @ expected / (expected @ expected)
    assert scale == pytest.approx(1, abs=2e-3)  # the peak is looked for between fewer frequencies
    np.testing.assert_allclose(found, scale * expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gain", [0.0, -6.0])
def test_filters_pass_most_where_their_gain_says(gain: float):
    notches = Notches(gain=(gain, gain))
    for seed in range(20):
        (response,) = rawboost.draw_filters(notches, 1, rate=RATE, rng=np.random.default_rng(seed))
        taps = np.fft.fftshift(np.fft.irfft(response))
        highest = np.abs(signal.freqz(taps, worN=16_384)[1]).max()
        assert 20 * np.log10(highest) == pytest.approx(gain, abs=0.2)
        assert 20 * np.log10(np.abs(response).min()) < gain - 10


def test_powers_make_harmonics_as_soft_as_the_bias_says():
    wave = tone(500, level=0.5)
    found = apply(Convolutive(orders=3, bias=(10, 10), notches=FAR), wave)
    soft = 10 ** (-10 / 20)
    # sin² = (1 - cos 2)/2 and sin³ = (3 sin - sin 3)/4.
    assert amplitude(found, 500) == pytest.approx(0.5 + soft * 0.5**3 * 3 / 4, rel=0.02)
    assert amplitude(found, 1000) == pytest.approx(soft * 0.5**2 / 2, rel=0.02)
    assert amplitude(found, 1500) == pytest.approx(soft * 0.5**3 / 4, rel=0.02)
    assert amplitude(found, 2000) < 1e-4
    assert abs(found.mean()) < 1e-6
    linear = apply(Convolutive(orders=1, notches=FAR), wave)
    assert amplitude(linear, 1000) < 1e-4


def test_each_power_has_a_filter_and_a_bias_of_its_own(speech: np.ndarray):
    responses = rawboost.draw_filters(Notches(), 5, rate=RATE, rng=np.random.default_rng(0))
    assert len(np.unique(responses.round(6), axis=0)) == 5
    loudest = [amplitude(apply(Convolutive(notches=FAR), tone(500, level=0.5), seed=seed), 1000) for seed in range(40)]
    # The fourth power adds to the second harmonic: at most x^4 / 2, as softly.
    bias = -20 * np.log10(np.array(loudest) / (0.5**2 / 2))
    assert bias.min() > 5 - 3
    assert bias.max() < 20 + 3
    assert np.ptp(bias) > 8


def test_impulses_touch_few_samples_and_follow_the_signal(speech: np.ndarray):
    shares = []
    for seed in range(100):
        found = apply(Impulsive(), 0.3 * speech, seed=seed)
        change = found - 0.3 * speech
        touched = change != 0
        shares.append(touched.mean())
        assert (np.abs(change) <= 2.001 * np.abs(0.3 * speech)).all()
    assert 0.09 < max(shares) <= 0.1
    assert min(shares) < 0.01
    ratios = change[touched] / (0.3 * speech[touched])
    # u·v, with u and v uniform between -1 and 1, has mean 0 and variance 1/9.
    assert ratios.mean() == pytest.approx(0, abs=0.1)
    assert ratios.var() == pytest.approx(2**2 / 9, rel=0.2)
    assert np.ptp(np.flatnonzero(touched)) > 0.9 * len(speech)


def test_stationary_noise_has_its_ratio_and_a_notch(hiss: np.ndarray):
    wave = tone(300, level=0.2, seconds=8)
    found = apply(Stationary(snr=(20, 20), notches=NOTCH), wave)
    assert snr(wave, found) == pytest.approx(20, abs=0.01)
    noise = found - wave
    assert level(noise, 1800, 2200) < level(noise, 3000, 7000) - 40
    thirds = np.array_split(noise, 3)
    assert np.ptp([10 * np.log10(np.mean(third**2)) for third in thirds]) < 0.5
    ratios = [snr(wave, apply(Stationary(), wave, seed=seed)) for seed in range(60)]
    assert 10 <= min(ratios) < 13
    assert 37 < max(ratios) <= 40


@pytest.mark.parametrize(
    ("algorithm", "series"), [(1, "1"), (2, "2"), (3, "3"), (4, "123"), (5, "12"), (6, "13"), (7, "23")]
)
def test_combinations_in_series(algorithm: int, series: str, speech: np.ndarray):
    parts = {"1": Convolutive(), "2": Impulsive(), "3": Stationary()}
    rng, expected = np.random.default_rng(3), speech
    for number in series:
        expected = parts[number](expected, rate=RATE, rng=rng)
    np.testing.assert_array_equal(apply(RawBoost(algorithm=algorithm), speech, seed=3), expected)


def test_the_combination_in_parallel(speech: np.ndarray):
    rng = np.random.default_rng(3)
    total = sum(part(0.4 * speech, rate=RATE, rng=rng) for part in (Convolutive(), Impulsive()))
    np.testing.assert_allclose(apply(RawBoost(algorithm=8), 0.4 * speech, seed=3), total, atol=1e-6)
    assert np.abs(apply(RawBoost(algorithm=8), speech, seed=3)).max() == pytest.approx(1)


# Codecs


@pytest.mark.parametrize(
    ("name", "least_snr", "top"),
    [
        ("mp3", 9, 7500),
        ("opus", 5, 8000),
        ("g722", 15, 7000),
        ("mulaw", 20, 3400),
        ("gsm", 5, 3400),
    ],
)
def test_a_codec_keeps_time_level_and_what_it_can_carry(name: str, least_snr: float, top: float):
    # Noise shaped like speech, in phrases: a tone has no unique place in time, and coders treat steady noise coarsely.
    rng = np.random.default_rng(0)
    phrases = np.repeat(rng.uniform(0.2, 1, 20), RATE // 10)
    wave = signal.lfilter([1], [1, -0.95], rng.standard_normal(2 * RATE)) * phrases
    wave = (0.3 * wave / np.abs(wave).max()).astype(np.float32)
    found = apply(Codec(names=(name,)), wave)
    assert lag(wave, found) == 0
    assert level(found, 200, 1500) == pytest.approx(level(wave, 200, 1500), abs=2)
    band = signal.butter(6, min(top, 3400), fs=RATE, output="sos")
    kept, given = (signal.sosfiltfilt(band, each.astype(np.float64)) for each in (found, wave))
    assert least_snr < snr(given, kept) < 60
    if top < 4000:
        assert level(found, 4500, 7800) < level(wave, 4500, 7800) - 30
    else:
        assert level(found, 4500, 6000) > level(wave, 4500, 6000) - 10


@pytest.mark.parametrize("name", codecs.CODECS)
def test_a_codec_does_not_clip_what_is_loud(name: str, speech: np.ndarray):
    def crest(wave: np.ndarray) -> float:
        return float(np.abs(wave).max() / np.sqrt(np.mean(wave**2)))

    loud = apply(Codec(names=(name,)), 4 * speech)  # a peak of 2
    assert np.abs(loud).max() <= 1
    assert crest(loud) == pytest.approx(crest(apply(Codec(names=(name,)), speech)), rel=0.2)
    assert crest(loud) > 1.3 * crest(np.clip(4 * speech, -1, 1))


def test_codecs_are_drawn_and_so_are_bit_rates(speech: np.ndarray):
    wave = speech[:6000]
    heard = {apply(Codec(names=("mulaw", "gsm")), wave, seed=seed).tobytes() for seed in range(12)}
    assert len(heard) == 2
    assert len({apply(Codec(names=("mp3",)), wave, seed=seed).tobytes() for seed in range(4)}) > 1


def test_a_codec_that_is_not_installed(monkeypatch):
    assert codecs.available_codecs() == codecs.CODECS
    monkeypatch.setattr(codecs.Gsm, "is_available", lambda self: False)
    assert augment.build(["codec"]).parts[0].effect.names == ("mp3", "opus", "g722", "mulaw")
    with pytest.raises(ParameterError, match="no installed codec is called 'gsm'; there are mp3, opus, g722, mulaw"):
        augment.build(["codec=gsm"])
