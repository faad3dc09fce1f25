import av
import numpy as np
import pytest
import soundfile
from conftest import tone
from hypothesis import given, settings
from hypothesis import strategies as st

from dfdlib import audio
from dfdlib.errors import DataError, ParameterError


def frequency_of(wave, rate):
    """Return the frequency in Hz at which the spectrum of `wave` is highest."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return np.fft.rfftfreq(len(wave), 1 / rate)[spectrum.argmax()]


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", {"subtype": "PCM_16"}),
        ("wav", {"subtype": "PCM_24"}),
        ("wav", {"subtype": "FLOAT"}),
        ("flac", {}),
        ("ogg", {"subtype": "VORBIS"}),
        ("mp3", {}),
    ],
)
def test_formats_that_libsndfile_reads(tmp_path, suffix, options):
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, tone(rate=44_100), 44_100, **options)
    wave = audio.load(path, rate=16_000)
    assert wave.dtype == np.float32
    assert len(wave) == pytest.approx(16_000, abs=1200)  # an mp3 decoder may keep the encoder's delay
    assert frequency_of(wave, 16_000) == pytest.approx(220, abs=3)
    assert np.abs(wave).max() == pytest.approx(0.2, abs=0.03)


def encode(path, codec):
    """Write a second of a tone with FFmpeg."""
    rate = 48_000 if codec == "libopus" else 16_000
    suffix = path.suffix[1:]
    with av.open(str(path), "w", format={"g722": "g722", "m4a": "mp4", "mkv": "matroska"}[suffix]) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        samples = (tone(rate=rate) * 32767).astype(np.int16)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize(("suffix", "codec"), [("m4a", "aac"), ("g722", "g722"), ("mkv", "libopus")])
def test_formats_that_ffmpeg_reads(tmp_path, suffix, codec):
    path = tmp_path / f"clip.{suffix}"
    encode(path, codec)
    wave = audio.load(path, rate=16_000)
    assert len(wave) == pytest.approx(16_000, abs=1500)
    assert frequency_of(wave, 16_000) == pytest.approx(220, abs=3)
    assert np.abs(wave).max() == pytest.approx(0.2, abs=0.05)


def test_a_rate_that_no_recording_has(tmp_path):
    soundfile.write(tmp_path / "slow.wav", tone(), 12)
    with pytest.raises(DataError, match="its header says 12 Hz"):
        audio.load(tmp_path / "slow.wav", rate=16_000)


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """The bytes of a second of sound in many formats."""
    folder = tmp_path_factory.mktemp("intact")
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff", "au"):
        soundfile.write(folder / f"clip.{suffix}", tone(), 16_000)
    for suffix, codec in (("m4a", "aac"), ("mkv", "libopus"), ("g722", "g722")):
        encode(folder / f"clip.{suffix}", codec)
    return {path.suffix: path.read_bytes() for path in sorted(folder.iterdir())}


def damage_and_load(intact, folder, data):
    """Cut a file short, overwrite some of its bytes, and load it: the outcome is a waveform or one line."""
    suffix = data.draw(st.sampled_from(sorted(intact)))
    content = bytearray(intact[suffix])
    del content[data.draw(st.integers(1, len(content))) :]
    # most of what can go wrong is in the header
    places = st.one_of(st.integers(0, min(len(content), 200) - 1), st.integers(0, len(content) - 1))
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=20)):
        content[place] = byte
    path = folder / f"damaged{suffix}"
    path.write_bytes(content)
    wave, said = None, ""
    try:
        wave = audio.load(path, rate=16_000)
    except DataError as error:
        said = str(error)
    if wave is None:
        assert said.startswith(str(path))
        assert "\n" not in said
    else:
        assert wave.ndim == 1
        assert 0 < len(wave) < 10_000_000
        assert np.isfinite(wave).all()


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_files_give_a_waveform_or_one_line(intact, tmp_path_factory, data):
    damage_and_load(intact, tmp_path_factory.getbasetemp(), data)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=5_000, deadline=None)
def test_thousands_of_damaged_files(intact, tmp_path_factory, data):
    damage_and_load(intact, tmp_path_factory.getbasetemp(), data)


def test_eight_channels_at_96_khz_are_averaged_and_resampled(tmp_path):
    channels = np.stack([tone(rate=96_000, level=0.1 * (number + 1)) for number in range(8)], axis=1)
    soundfile.write(tmp_path / "eight.wav", channels, 96_000, subtype="FLOAT")
    wave = audio.load(tmp_path / "eight.wav", rate=16_000)
    assert wave.shape == (16_000,)
    assert np.abs(wave[1000:-1000]).max() == pytest.approx(0.45, rel=0.01)


def test_a_clip_of_one_sample_is_a_clip(tmp_path):
    soundfile.write(tmp_path / "one.wav", np.array([0.5]), 48_000, subtype="FLOAT")
    assert audio.load(tmp_path / "one.wav", rate=16_000).tolist() == [0.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"This is a text, whatever its name says.\n" * 20, "cannot be decoded as audio"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "cannot be decoded as audio"),
    ],
)
def test_what_is_not_audio(tmp_path, content, message):
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"clip\.wav: .*{message}"):
        audio.load(path, rate=16_000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(tmp_path, bad):
    wave = tone()
    wave[7] = bad
    soundfile.write(tmp_path / "bad.wav", wave, 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"bad\.wav: .*NaN or infinite"):
        audio.load(tmp_path / "bad.wav", rate=16_000)


def test_no_samples(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    with pytest.raises(DataError, match="no samples"):
        audio.load(tmp_path / "none.wav", rate=16_000)
    with pytest.raises(DataError, match="no samples"):
        audio.duration(tmp_path / "none.wav")


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        audio.load(tmp_path / "nowhere.wav", rate=16_000)
    with pytest.raises(DataError, match="is a folder"):
        audio.load(tmp_path, rate=16_000)


def test_duration_is_read_without_decoding_where_there_is_a_header(tmp_path):
    audio.write_wav(tmp_path / "clip.wav", tone(1.25), rate=16_000)
    assert audio.duration(tmp_path / "clip.wav") == 1.25


@given(st.integers(1, 300), st.integers(1, 1000))
def test_fit_repeats_or_cuts(samples, length):
    wave = np.arange(samples, dtype=np.float32)
    fitted = audio.fit(wave, length=length)
    assert fitted.tolist() == [index % samples for index in range(length)]


def test_fit_refuses_what_makes_no_sense():
    with pytest.raises(ParameterError, match="length=0"):
        audio.fit(tone(), length=0)
    with pytest.raises(DataError, match="empty"):
        audio.fit(np.zeros(0, np.float32), length=10)


@given(st.integers(1, 5000), st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]))
def test_resampling_keeps_the_duration(samples, rate):
    wave = np.ones(samples, np.float32)
    assert len(audio.resample(wave, rate=rate, to=16_000)) == pytest.approx(samples * 16_000 / rate, abs=1)


def test_resampling_removes_what_the_new_rate_cannot_hold():
    wave = audio.resample(tone(rate=48_000, frequency=11_000), rate=48_000, to=16_000)
    assert np.abs(wave[500:-500]).max() < 1e-3


def test_written_wav_files_clip_and_repeat_to_the_byte(tmp_path):
    wave = np.array([0.0, 0.5, 2.0, -2.0])
    for name in ("a.wav", "b.wav"):
        audio.write_wav(tmp_path / name, wave, rate=16_000)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert rate == 16_000
    assert samples.tolist() == [0, 16384, 32767, -32768]
