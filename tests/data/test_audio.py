import re
import struct
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import tone

from dfdlib.data import audio, decoding
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
        ("wav", {"subtype": "PCM_U8"}),
        ("wav", {"subtype": "DOUBLE"}),
        ("wav", {"subtype": "ULAW"}),
        ("aiff", {}),
        ("au", {}),
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


CONTAINERS = {"g722": "g722", "m4a": "mp4", "mp4": "mp4", "aac": "adts", "mkv": "matroska", "webm": "webm"}


def encode(path, codec, *, seconds=1.0):
    """Write a tone with FFmpeg."""
    rate = 48_000 if codec == "libopus" else 16_000
    with av.open(str(path), "w", format=CONTAINERS[path.suffix[1:]]) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        samples = (tone(seconds, rate=rate) * 32767).astype(np.int16)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


FFMPEG = [
    ("m4a", "aac"),
    ("mp4", "aac"),
    ("aac", "aac"),
    ("g722", "g722"),
    ("mkv", "libopus"),
    ("webm", "libopus"),
]


@pytest.mark.parametrize(("suffix", "codec"), FFMPEG)
def test_formats_that_ffmpeg_reads(tmp_path, suffix, codec):
    path = tmp_path / f"clip.{suffix}"
    encode(path, codec)
    wave = audio.load(path, rate=16_000)
    assert len(wave) == pytest.approx(16_000, abs=1500)
    assert frequency_of(wave, 16_000) == pytest.approx(220, abs=3)
    assert np.abs(wave).max() == pytest.approx(0.2, abs=0.05)


def test_opus(tmp_path):
    soundfile.write(tmp_path / "clip.opus", tone(rate=48_000), 48_000, format="OGG", subtype="OPUS")
    assert frequency_of(audio.load(tmp_path / "clip.opus", rate=16_000), 16_000) == pytest.approx(220, abs=3)


def test_the_name_of_a_file_does_not_matter(tmp_path):
    soundfile.write(tmp_path / "clip.flac", tone(), 16_000)
    encode(tmp_path / "clip.m4a", "aac")
    for name, wrong in (("clip.flac", "clip.wav"), ("clip.m4a", "clip.mp3")):
        right = audio.load(tmp_path / name, rate=16_000)
        (tmp_path / name).rename(tmp_path / wrong)
        assert np.array_equal(audio.load(tmp_path / wrong, rate=16_000), right)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_first_sound_track_of_a_film(tmp_path, suffix):
    film(tmp_path / f"film.{suffix}", sound=[300, 600])
    wave = audio.load(tmp_path / f"film.{suffix}", rate=16_000)
    assert frequency_of(wave, 16_000) == pytest.approx(300, abs=3)


def test_a_film_without_sound(tmp_path):
    film(tmp_path / "film.mp4", sound=[])
    with pytest.raises(DataError, match=r"film\.mp4: holds no audio track"):
        audio.load(tmp_path / "film.mp4", rate=16_000)


def film(path, *, sound):
    """Write a second of black pictures with a sound track for each frequency in `sound`, in Hz."""
    with av.open(str(path), "w", format=CONTAINERS[path.suffix[1:]]) as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        tracks = [container.add_stream("aac", rate=16_000, layout="mono") for _ in sound]
        for track, frequency in zip(tracks, sound, strict=True):
            frame = av.AudioFrame.from_ndarray(tone(frequency=frequency)[np.newaxis], format="fltp", layout="mono")
            frame.sample_rate = 16_000
            for packet in [*track.encode(frame), *track.encode(None)]:
                container.mux(packet)
        for _ in range(10):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(pictures.encode(picture))
        container.mux(pictures.encode(None))


@pytest.mark.parametrize("rate", [12, 1_000_000])
def test_a_rate_that_no_recording_has(tmp_path, rate):
    soundfile.write(tmp_path / "wrong.wav", tone(), rate)
    with pytest.raises(DataError, match=f"its header says {rate} Hz"):
        audio.load(tmp_path / "wrong.wav", rate=16_000)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "g722", "mkv", "aac"])
def test_what_comes_before_a_cut_is_used(tmp_path, suffix, rng):
    path = tmp_path / f"cut.{suffix}"
    if suffix in dict(FFMPEG):
        encode(path, dict(FFMPEG)[suffix], seconds=4.0)
    else:
        # With noise, or the whole clip is one page of an Ogg file.
        soundfile.write(path, tone(8.0) + 0.02 * rng.standard_normal(8 * 16_000), 16_000)
    whole = audio.load(path, rate=16_000)
    content = path.read_bytes()
    path.write_bytes(content[: 3 * len(content) // 4])
    wave = audio.load(path, rate=16_000)
    assert len(whole) / 4 < len(wave) < len(whole)
    assert frequency_of(wave, 16_000) == pytest.approx(220, abs=3)


def test_what_comes_before_damage_is_used(tmp_path):
    path = tmp_path / "damaged.m4a"
    encode(path, "aac", seconds=4.0)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(1_000) + content[middle + 1_000 :])
    wave = audio.load(path, rate=16_000)
    assert 16_000 < len(wave) < 64_000
    assert frequency_of(wave, 16_000) == pytest.approx(220, abs=3)


# Headers that lie about the length


def put(content, place, form, number):
    """Overwrite bytes of a file's content, counted from where `place`, the name of a field, begins."""
    word, offset = place
    start = content.index(word) + offset
    return content[:start] + struct.pack(form, number) + content[start + struct.calcsize(form) :]


def flac_that_says(samples):
    """Return a change of the lowest 36 bits of eight bytes, which hold the number of samples."""
    return lambda content: (
        content[:18] + (int.from_bytes(content[18:26]) >> 36 << 36 | samples).to_bytes(8) + content[26:]
    )


WAV, AIFF, W64, MP3 = (b"data", 4), (b"SSND", 4), (b"data\xf3\xac\xd3\x11", 16), (b"Xing", 8)
LIES = {
    "wav of a pipe, 0": ("wav", "PCM_16", lambda content: put(content, WAV, "<I", 0)),
    "wav of ffmpeg's pipe": ("wav", "PCM_16", lambda content: put(content, WAV, "<I", 0xFFFFFFFF)),
    "wav of sox's pipe": ("wav", "PCM_16", lambda content: put(content, WAV, "<I", 0x7FFFF000)),
    "24 bits of a pipe": ("wav", "PCM_24", lambda content: put(content, WAV, "<I", 0)),
    "floats of a pipe": ("wav", "FLOAT", lambda content: put(content, WAV, "<I", 0)),
    "flac of a pipe": ("flac", "PCM_16", flac_that_says(0)),
    "flac, one less": ("flac", "PCM_16", flac_that_says(19_999)),
    "flac, far less": ("flac", "PCM_16", flac_that_says(1)),
    "flac, more": ("flac", "PCM_16", flac_that_says(20_001)),
    "flac, far more": ("flac", "PCM_16", flac_that_says(2**36 - 1)),
    "aiff, 0": ("aiff", "PCM_16", lambda content: put(content, AIFF, ">I", 0)),
    "aiff, far more": ("aiff", "PCM_16", lambda content: put(content, AIFF, ">I", 0xFFFFFFFF)),
    "aiff, other number of frames": ("aiff", "PCM_16", lambda content: put(content, (b"COMM", 10), ">I", 1000)),
    "caf of a pipe": ("caf", "PCM_16", lambda content: put(content, WAV, ">q", -1)),
    "caf, far more": ("caf", "PCM_16", lambda content: put(content, WAV, ">q", 10**12)),
    "w64, 0": ("w64", "PCM_16", lambda content: put(content, W64, "<q", 0)),
    "w64, far more": ("w64", "PCM_16", lambda content: put(content, W64, "<q", 10**12)),
    "au of a pipe": ("au", "PCM_16", lambda content: put(content, (b".snd", 8), ">I", 0xFFFFFFFF)),
    "mp3, 0": ("mp3", None, lambda content: put(content, MP3, ">I", 0)),
    "mp3, less": ("mp3", None, lambda content: put(content, MP3, ">I", 10)),
    "mp3, far more": ("mp3", None, lambda content: put(content, MP3, ">I", 2**32 - 1)),
    "mp3 without": ("mp3", None, lambda content: content.replace(b"Xing", bytes(4))),
}


@pytest.mark.parametrize("lie", LIES)
def test_decoding_decides_how_long_a_file_is(lie, tmp_path, rng):
    suffix, subtype, change = LIES[lie]
    path = tmp_path / f"clip.{suffix}"
    # Loud at first and quiet later: a bit rate that changes misleads decoders that guess.
    noise = 0.3 * rng.standard_normal(20_000) * np.repeat([1, 0.01], 10_000)
    soundfile.write(path, noise, 16_000, subtype=subtype)
    whole, _ = audio.load_at_native_rate(path)
    path.write_bytes(change(path.read_bytes()))
    found, rate = audio.load_at_native_rate(path)
    assert rate == 16_000
    if suffix == "mp3":  # which also says how much of what is decoded is none of the recording
        assert 0 <= len(found) - len(whole) < 3 * 1152
    else:
        assert np.array_equal(found, whole)
    assert audio.duration(path) == len(found) / rate
    assert sum(map(len, audio.stream(path, rate=rate, block=7_000))) == len(found)


LOSSLESS = [
    *(("wav", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW")),
    *((suffix, "PCM_16") for suffix in ("flac", "aiff", "caf", "w64", "au")),
    ("flac", "PCM_24"),
]


@given(
    kind=st.sampled_from([*LOSSLESS, ("ogg", "VORBIS"), ("mp3", None)]),
    samples=st.integers(1, 30_000),
    rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
    channels=st.integers(1, 2),
    cut=st.none() | st.floats(0.3, 0.999),
    block=st.integers(500, 20_000),
)
@settings(max_examples=80, deadline=None)
def test_load_stream_and_duration_agree(kind, samples, rate, channels, cut, block, tmp_path_factory):
    suffix, subtype = kind
    path = tmp_path_factory.getbasetemp() / f"clip.{suffix}"
    noise = 0.1 * np.random.default_rng(samples).standard_normal((samples, channels))
    soundfile.write(path, noise, rate, subtype=subtype)
    if cut is not None:
        content = path.read_bytes()
        path.write_bytes(content[: max(100, int(cut * len(content)))])  # some of the sound is left
    try:
        wave, found = audio.load_at_native_rate(path)
    except DataError as error:
        assert cut is not None
        with pytest.raises(DataError, match=re.escape(str(error))):
            audio.duration(path)
        return
    assert found == rate
    if cut is None and suffix != "mp3":
        assert len(wave) == samples
    assert audio.duration(path) == len(wave) / rate
    streamed = np.concatenate(list(audio.stream(path, rate=16_000, block=block)))
    assert np.array_equal(streamed, audio.load(path, rate=16_000))
    assert len(streamed) == pytest.approx(len(wave) * 16_000 / rate, abs=1)


@pytest.mark.parametrize(
    ("start", "seconds", "expected"), [(1024, 1.0, 16_000), (1024, 0.5, 8_000), (5024, 0.5, 8_000)]
)
def test_an_mp4_is_as_long_as_its_edit_list_says(start, seconds, expected, tmp_path):
    path = tmp_path / "clip.m4a"
    encode(path, "aac", seconds=1.0)
    content = path.read_bytes()
    content = put(content, (b"elst", 12), ">I", round(1000 * seconds))
    path.write_bytes(put(content, (b"elst", 16), ">I", start))
    wave, rate = audio.load_at_native_rate(path)
    assert len(wave) == expected
    assert audio.duration(path) == expected / rate


# What samples mean


@pytest.mark.parametrize(("suffix", "subtype"), LOSSLESS)
def test_every_way_to_store_samples_gives_the_same(suffix, subtype, tmp_path):
    wave = 0.9 * tone(0.25) / 0.2
    soundfile.write(tmp_path / "clip.wav", wave, 16_000, subtype="PCM_16")
    soundfile.write(tmp_path / f"other.{suffix}", wave, 16_000, subtype=subtype)
    step = {"PCM_U8": 2**-6, "ULAW": 2**-5}.get(subtype, 2**-14)
    for rate in (16_000, 8_000):
        one, other = (audio.load(tmp_path / name, rate=rate) for name in ("clip.wav", f"other.{suffix}"))
        np.testing.assert_allclose(other, one, atol=step)


@pytest.mark.parametrize(
    ("peak", "remedy"),
    [
        (9_072, "whole numbers .*; divide by 32768 if they had 16 bits"),
        (8_000_000, "whole numbers .*; divide by 8388608 if they"),
        (24, "write it again at a level that fits"),
        (2**40, "write it again"),
    ],
)
def test_samples_far_beyond_full_scale_are_refused(peak, remedy, tmp_path):
    soundfile.write(tmp_path / "whole.wav", peak * np.sign(tone()), 16_000, subtype="FLOAT")
    for read in (
        lambda path: audio.load(path, rate=16_000),
        lambda path: next(audio.stream(path, rate=16_000, block=100)),
        audio.load_at_native_rate,
    ):
        with pytest.raises(DataError, match=rf"whole\.wav: samples up to {peak}, not within 1: {remedy}"):
            read(tmp_path / "whole.wav")


def test_a_little_beyond_full_scale_is_a_waveform(tmp_path):
    soundfile.write(tmp_path / "loud.wav", 1.5 * tone() / 0.2, 16_000, subtype="FLOAT")
    assert np.abs(audio.load(tmp_path / "loud.wav", rate=16_000)).max() == pytest.approx(1.5, rel=0.01)
    soundfile.write(tmp_path / "loud.ogg", np.sign(tone()), 16_000)
    assert np.abs(audio.load(tmp_path / "loud.ogg", rate=16_000)).max() > 1


@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", None), ("mp3", None)])
def test_channels_that_cancel_each_other_are_no_silence(suffix, subtype, tmp_path):
    path = tmp_path / f"clip.{suffix}"
    wave = 0.5 * tone() / 0.2
    soundfile.write(path, np.stack([wave, -wave], axis=1), 16_000, subtype=subtype)
    for read in (audio.load_at_native_rate, lambda path: next(audio.stream(path, rate=16_000, block=100))):
        with pytest.raises(DataError, match=rf"clip\.{suffix}: its channels cancel each other.*; keep one channel"):
            read(path)


@pytest.mark.parametrize(
    "other",
    [lambda wave: 0 * wave, lambda wave: -0.9 * wave, lambda wave: -np.roll(wave, 20)],
    ids="empty weaker late".split(),
)
def test_channels_that_differ_are_averaged(other, tmp_path, rng):
    wave = 0.1 * rng.standard_normal(16_000)
    soundfile.write(tmp_path / "clip.wav", np.stack([wave, other(wave)], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(audio.load(tmp_path / "clip.wav", rate=16_000), (wave + other(wave)) / 2, atol=1e-6)


def test_channels_of_nearly_the_same_level_cancel_each_other_too(tmp_path):
    soundfile.write(tmp_path / "clip.wav", np.stack([tone(), -0.97 * tone()], axis=1), 16_000)
    with pytest.raises(DataError, match="cancel each other"):
        audio.load(tmp_path / "clip.wav", rate=16_000)


@pytest.mark.parametrize(("offset", "refused"), [(0.6, True), (-0.6, True), (0.3, True), (0.05, False)])
def test_sound_far_off_zero_is_refused(offset, refused, tmp_path):
    soundfile.write(tmp_path / "clip.wav", 0.2 * tone() + offset, 16_000, subtype="FLOAT")
    if refused:
        with pytest.raises(
            DataError, match=rf"clip\.wav: lies {offset:.2f} of full scale off zero.*take its mean away"
        ):
            audio.load(tmp_path / "clip.wav", rate=16_000)
    taken = audio.load(tmp_path / "clip.wav", rate=16_000, off_zero=refused)
    assert taken.mean() == pytest.approx(offset, abs=1e-3)


def test_one_value_is_no_sound_and_a_moment_may_be_off_zero(tmp_path):
    soundfile.write(tmp_path / "clip.wav", np.full(16_000, 0.3), 16_000)
    with pytest.raises(DataError, match="off zero"):
        audio.load(tmp_path / "clip.wav", rate=16_000)
    soundfile.write(tmp_path / "clip.wav", np.full(1_000, 0.3), 16_000)
    assert len(audio.load(tmp_path / "clip.wav", rate=16_000)) == 1_000


def test_two_silent_channels_are_silence(tmp_path):
    soundfile.write(tmp_path / "clip.wav", np.zeros((16_000, 2)), 16_000)
    assert not audio.load(tmp_path / "clip.wav", rate=16_000).any()


def test_silence_is_a_waveform(tmp_path):
    audio.write_wav(tmp_path / "silence.wav", np.zeros(16_000), rate=16_000)
    assert audio.load(tmp_path / "silence.wav", rate=16_000).tolist() == [0.0] * 16_000


@pytest.fixture(
    scope="module", params=[("wav", 44_100, 2), ("mp3", 44_100, 1), ("flac", 16_000, 1), ("aac", 16_000, 1)]
)
def long(request, tmp_path_factory):
    """A recording that takes many blocks to decode: its path."""
    suffix, rate, channels = request.param
    path = tmp_path_factory.mktemp("long") / f"clip.{suffix}"
    if suffix == "aac":
        encode(path, "aac", seconds=5.0)
    else:
        noise = 0.1 * np.random.default_rng(4).standard_normal((15 * rate, channels))
        soundfile.write(path, noise, rate)
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(decoding, "_BLOCK", 20_000)


@pytest.mark.parametrize("block", [1_000, 16_001, 10_000_000])
def test_a_stream_is_the_waveform_in_blocks(long, block, small_blocks):
    blocks = list(audio.stream(long, rate=16_000, block=block))
    whole = audio.load(long, rate=16_000)
    assert {len(one) for one in blocks[:-1]} <= {block}
    assert 0 < len(blocks[-1]) <= block
    assert np.array_equal(np.concatenate(blocks), whole)


def test_decoding_in_blocks_changes_nothing(long, monkeypatch):
    """An mp3 decoder that is made to seek between blocks stumbles."""
    monkeypatch.setattr(decoding, "_BLOCK", 10_000_000)
    at_once = audio.load(long, rate=16_000)
    monkeypatch.setattr(decoding, "_BLOCK", 20_000)
    np.testing.assert_array_equal(audio.load(long, rate=16_000), at_once)


def test_a_stream_of_one_sample_and_of_none(tmp_path):
    soundfile.write(tmp_path / "one.wav", np.array([0.5]), 48_000, subtype="FLOAT")
    assert [one.tolist() for one in audio.stream(tmp_path / "one.wav", rate=16_000, block=10)] == [[0.5]]
    with pytest.raises(ParameterError, match="block=0"):
        next(audio.stream(tmp_path / "one.wav", rate=16_000, block=0))
    with pytest.raises(ParameterError, match="rate=0"):
        next(audio.stream(tmp_path / "one.wav", rate=0, block=1))


def test_a_stream_meets_bad_samples_when_it_gets_there(tmp_path, small_blocks):
    wave = np.concatenate([tone(4.0), [np.nan]])
    soundfile.write(tmp_path / "bad.wav", wave, 16_000, subtype="FLOAT")
    stream = audio.stream(tmp_path / "bad.wav", rate=16_000, block=16_000)
    assert len(next(stream)) == 16_000
    with pytest.raises(DataError, match=r"bad\.wav: .*NaN or infinite"):
        list(stream)


@pytest.mark.slow
def test_three_hours_take_no_more_memory_than_a_minute(tmp_path):
    """In processes of their own: what a process once held is its peak for good."""
    code = (
        "import resource, sys; from dfdlib.data import audio\n"
        "count = sum(map(len, audio.stream(sys.argv[1], rate=16_000, block=480_000)))\n"
        "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    peaks = []
    for seconds in (60, 3 * 3600):
        path = tmp_path / f"{seconds}.wav"
        with soundfile.SoundFile(path, "w", samplerate=44_100, channels=1) as file:
            for _ in range(seconds // 60):
                file.write(tone(60.0, rate=44_100))
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        count, peak = map(int, done.stdout.split())
        assert count == seconds * 16_000
        peaks.append(peak)
        path.unlink()
    assert peaks[1] < peaks[0] + 8, f"{peaks} MiB"


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """The bytes of a second of sound in many formats."""
    folder = tmp_path_factory.mktemp("intact")
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff", "au"):
        soundfile.write(folder / f"clip.{suffix}", tone(), 16_000)
    for suffix, codec in FFMPEG:
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
