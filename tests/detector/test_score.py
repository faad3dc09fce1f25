import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from makers import Loudness, tone

from dfdlib.data import audio, corpus
from dfdlib.detector import network, preprocessing, score, timelines
from dfdlib.detector import scorer as inference
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.score_cache import Cache
from dfdlib.errors import CheckpointError, DataError, ParameterError
from dfdlib.processes import Shard

FIXED = Preprocessing.named("corrected")
FULL = Preprocessing.named("corrected", window="full")


@pytest.mark.parametrize("how", [FULL, FIXED], ids=["full", "fixed"])
def test_a_score_does_not_depend_on_its_neighbours(tmp_path, model, rng, how):
    for number, seconds in enumerate([0.3, 0.5, 1.0, 1.0, 1.0, 1.7, 1.7, 2.0, 5.0]):
        wave = tone(seconds) + 0.05 * rng.standard_normal(round(seconds * 16_000))
        audio.write_wav(tmp_path / ("Real" if number % 2 else "Fake") / f"{number}.wav", wave, rate=16_000)
    clips = corpus.read(tmp_path)
    together = [score.score(clips, model, preprocessing=how, batch_size=size).values for size in (2, 16)]
    for other in together[1:]:
        np.testing.assert_allclose(other, together[0], atol=1e-5)
    for path, value in zip(clips.table["path"], together[0], strict=True):
        alone = score.score(corpus.find([path]), model, preprocessing=how).values
        assert value == pytest.approx(alone[0], abs=1e-5)


def test_scoring_leaves_training_mode(clips, model):
    found = corpus.read(clips)
    model.train()
    first, second = (score.score(found, model, preprocessing=FULL).values for _ in range(2))
    assert first.tolist() == second.tolist()
    assert not model.training


def test_cached_clips_are_not_decoded_again(clips, tmp_path, model, monkeypatch):
    found = corpus.read(clips)
    cache = Cache(tmp_path / "cache.sqlite")
    first = score.score(found, model, preprocessing=FULL, cache=cache)

    def refuse(*args, **options):
        raise AssertionError("decoded a clip whose logits are known")

    monkeypatch.setattr(audio, "stream", refuse)
    again = score.score(found, model, preprocessing=FULL, cache=Cache(tmp_path / "cache.sqlite"))
    assert again.values.tolist() == first.values.tolist()
    with pytest.raises(AssertionError):  # another preprocessing is another question
        score.score(found, model, preprocessing=FIXED, cache=cache)
    with pytest.raises(AssertionError):  # and so are other weights
        score.score(found, network.build("mini", seed=4), preprocessing=FULL, cache=cache)


def test_bad_clips_are_left_out_with_the_reason(clips, model):
    soundfile.write(clips / "Real/nan.wav", np.full(8000, np.nan), 16_000, subtype="FLOAT")
    (clips / "Fake/text.wav").write_text("no sound")
    scores = score.score(corpus.read(clips), model, preprocessing=FULL)
    reasons = {path.split("/")[-1]: reason for path, reason in scores.left_out.to_numpy()}
    assert len(scores.table) == 8
    assert "NaN" in reasons["nan.wav"]
    assert "cannot be decoded" in reasons["text.wav"]


def test_no_clip_at_all_is_an_error(tmp_path, model):
    soundfile.write(tmp_path / "nan.wav", np.full(8000, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match="none of 1 clips could be scored; the first: holds samples that are NaN"):
        score.score(corpus.find([tmp_path]), model, preprocessing=FULL)


def test_damaged_weights_give_an_error_not_a_number(clips):
    model = network.build("mini", seed=3)
    next(parameter for name, parameter in model.named_parameters() if "out_layer" in name).data.fill_(np.nan)
    with pytest.raises(CheckpointError, match="not finite"):
        score.score(corpus.read(clips), model, preprocessing=FULL)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, model, rng, stop):
    for number in range(40):
        wave = tone(0.5 + 0.01 * (number % 7)) + 0.05 * rng.standard_normal(round((0.5 + 0.01 * (number % 7)) * 16_000))
        audio.write_wav(tmp_path / ("Real" if number % 2 else "Fake") / f"{number:02}.wav", wave, rate=16_000)
    soundfile.write(tmp_path / "Real/nan.wav", np.full(8000, np.nan), 16_000, subtype="FLOAT")
    clips = corpus.read(tmp_path)
    whole = score.score(clips, model, preprocessing=FULL, batch_size=2)
    calls = 0

    def stop_here(done, total):
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt

    cache = Cache(tmp_path / "cache.sqlite")
    with pytest.raises(KeyboardInterrupt):
        score.score(clips, model, preprocessing=FULL, batch_size=2, cache=cache, progress=stop_here)
    resumed = score.score(clips, model, preprocessing=FULL, batch_size=2, cache=Cache(tmp_path / "cache.sqlite"))
    whole.to_csv(tmp_path / "whole.csv")
    resumed.to_csv(tmp_path / "resumed.csv")
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "resumed.csv").read_bytes()
    assert len(resumed.table) == 40
    assert len(resumed.left_out) == 1


class InPairs(Loudness):
    """Waits until two batches are there at once, and notes what torch would use for each."""

    def __init__(self):
        super().__init__()
        self.meeting, self.threads = threading.Barrier(2, timeout=60), set()

    def logits(self, windows):
        self.meeting.wait()
        self.threads.add((threading.get_ident(), torch.get_num_threads()))
        return super().logits(windows)


def test_workers_compute_side_by_side_and_change_nothing(tmp_path, model, rng):
    for number in range(16):
        wave = tone(1.0) * rng.uniform(0.1, 1) + 0.05 * rng.standard_normal(16_000)
        audio.write_wav(tmp_path / ("Real" if number % 2 else "Fake") / f"{number}.wav", wave, rate=16_000)
    clips = corpus.read(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone, helped = (
            score.score(clips, model, preprocessing=FULL, batch_size=4, workers=workers) for workers in (1, 2)
        )
        pairs = InPairs()
        by_hand = score.score(clips, pairs, preprocessing=FULL, batch_size=4, workers=2)
    finally:
        torch.set_num_threads(before)
    pd.testing.assert_frame_equal(alone.table, helped.table, check_exact=True)
    assert len(pairs.threads) == 2
    assert {threads for _, threads in pairs.threads} == {1}
    expected = score.score(clips, Loudness(), preprocessing=FULL, batch_size=4)
    pd.testing.assert_frame_equal(by_hand.table, expected.table, check_exact=True)
    with pytest.raises(ParameterError, match="workers=0: both must be"):
        score.score(clips, model, preprocessing=FULL, workers=0)


def test_a_long_recording_is_read_in_blocks_and_its_windows_are_averaged(tmp_path):
    levels = [0.1, 0.2, 0.3]
    wave = np.concatenate([tone(30.0, level=level) for level in levels])
    audio.write_wav(tmp_path / "talk.wav", wave[: 75 * 16_000], rate=16_000)
    scorer = Loudness()
    value = score.score(corpus.find([tmp_path]), scorer, preprocessing=FULL, batch_size=2).values[0]
    assert scorer.batches == [(2, preprocessing.FULL_LONGEST), (1, preprocessing.FULL_LONGEST)]
    # a sine's root mean square is its level by the root of two; the last window begins at 45 s, in the second level
    last = np.sqrt((0.2**2 + 0.3**2) / 2)
    expected = np.mean([1 - 40 * level / np.sqrt(2) for level in (0.1, 0.2, last)])
    assert value == pytest.approx(expected, abs=1e-3)


def test_a_stopped_long_recording_goes_on(tmp_path):
    audio.write_wav(tmp_path / "talk.wav", np.concatenate([tone(30.0, level=0.1), tone(65.0)]), rate=16_000)
    clips = corpus.find([tmp_path / "talk.wav"])
    options = {"preprocessing": FULL, "batch_size": 1}
    whole = score.score(clips, Loudness(), **options)

    class Stops(Loudness):
        def logits(self, windows):
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return super().logits(windows)

    with pytest.raises(KeyboardInterrupt):
        score.score(clips, Stops(), cache=Cache(tmp_path / "cache.sqlite"), **options)
    rest = Loudness()
    resumed = score.score(clips, rest, cache=Cache(tmp_path / "cache.sqlite"), **options)
    assert len(rest.batches) == 2
    assert resumed.values.tolist() == whole.values.tolist()


def test_damage_at_the_end_of_a_long_recording_leaves_it_out(tmp_path):
    wave = tone(70.0)
    wave[-1] = np.nan
    soundfile.write(tmp_path / "talk.wav", wave, 16_000, subtype="FLOAT")
    audio.write_wav(tmp_path / "whole.wav", tone(70.0), rate=16_000)
    for how in (FULL, FIXED):
        scores = score.score(corpus.find([tmp_path]), Loudness(), preprocessing=how)
        assert scores.table["path"].str.endswith("whole.wav").tolist() == [True]
        assert "NaN" in scores.left_out["reason"].iloc[0]


@pytest.mark.parametrize("how", [FULL, FIXED], ids=["full", "fixed"])
def test_shards_are_parts_of_the_whole_and_the_cache_puts_them_together(tmp_path, model, rng, how):
    for number in range(24):
        wave = 0.1 * rng.standard_normal(round((0.6 + number // 3 / 10) * 16_000))
        audio.write_wav(tmp_path / f"{number}.wav", wave, rate=16_000)
    (tmp_path / "copy.wav").write_bytes((tmp_path / "3.wav").read_bytes())
    soundfile.write(tmp_path / "nan.wav", np.full(8000, np.nan), 16_000, subtype="FLOAT")
    clips = corpus.find([tmp_path])
    options = {"preprocessing": how, "batch_size": 2}
    whole = score.score(clips, model, **options)
    shards, told = [], []
    for number in range(3):
        cache = Cache(tmp_path / "cache.sqlite", machines=True)
        shards.append(
            score.score(
                clips, model, cache=cache, shard=Shard(number, 3), progress=lambda *now: told.append(now), **options
            )
        )
        assert told[-1][0] == told[-1][1]
        cache.close()
    parts = pd.concat([shard.table for shard in shards]).set_index("path").loc[whole.table["path"]].reset_index()
    pd.testing.assert_frame_equal(parts, whole.table, check_exact=True)
    lengths = [shard.table.drop_duplicates("sha256")["duration"].sum() for shard in shards]
    assert max(lengths) - min(lengths) < (3.0 if how == FULL else 6.0)

    def refuse(windows):
        raise AssertionError("computed again")

    scorer = inference.TorchScorer(model, device="cpu")
    scorer.logits = refuse
    gathered = score.score(clips, scorer, cache=Cache(tmp_path / "cache.sqlite"), **options)
    pd.testing.assert_frame_equal(gathered.table, whole.table, check_exact=True)
    pd.testing.assert_frame_equal(gathered.left_out, whole.left_out)


def test_a_shard_without_clips_is_no_error(tmp_path, model):
    audio.write_wav(tmp_path / "one.wav", tone(1.0), rate=16_000)
    clips = corpus.find([tmp_path])
    sizes = [len(score.score(clips, model, preprocessing=FULL, shard=Shard(n, 3)).table) for n in range(3)]
    assert sizes == [1, 0, 0]


def test_silence_is_scored_like_any_clip(tmp_path, model):
    audio.write_wav(tmp_path / "silence.wav", np.zeros(16_000), rate=16_000)
    assert np.isfinite(score.score(corpus.find([tmp_path]), model, preprocessing=FULL).values).all()


def test_the_same_bytes_twice_are_scored_once_and_listed_twice(clips, model, monkeypatch):
    (clips / "Real/copy.wav").write_bytes((clips / "Real/real0.wav").read_bytes())
    decoded = []
    stream = audio.stream
    monkeypatch.setattr(audio, "stream", lambda path, **options: decoded.append(path) or stream(path, **options))
    table = score.score(corpus.read(clips), model, preprocessing=FULL).table
    assert len(decoded) == 8
    twins = table[table["path"].str.contains("copy|real0")]
    assert twins["score"].nunique() == 1
    assert len(twins) == 2


PEAK = """
import sys
import numpy as np
from dfdlib.data import audio, corpus
from dfdlib.detector import score as scoring
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.timelines import timelines

class Loudness:
    fingerprint, least_samples = "loudness", 1

    def logits(self, windows):
        level = np.sqrt((windows.astype(np.float64) ** 2).mean(axis=1))
        return np.stack([level, 1 - level], axis=1)

how = Preprocessing.named("corrected", window="full")
scores = scoring.score(corpus.find([sys.argv[1]]), Loudness(), preprocessing=how)
table, _ = timelines(scores, Loudness(), preprocessing=how)
assert len(table) > 100
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory as Linux tells it")
@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path, rng, suffix):
    minute = (0.1 * rng.standard_normal(60 * 16_000)).astype(np.float32)
    peaks = {}
    # Ten minutes are more than a batch of windows of half a minute, which is what is held at a time.
    for minutes in (10, 30):
        path = tmp_path / f"{minutes}{suffix}"
        with soundfile.SoundFile(path, "w", samplerate=16_000, channels=1) as file:
            for _ in range(minutes):
                file.write(minute)
        # glibc then returns large blocks when they are freed: what is held is measured, not what is kept for later.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True, env=environment
        )
        peaks[minutes] = float(done.stdout)
    # 20 more minutes are 77 MB as float32.
    assert peaks[30] - peaks[10] < 30


@pytest.mark.parametrize("module", [audio, network], ids=["preprocessing", "forward"])
def test_what_other_code_has_computed_is_computed_again(clips, tmp_path, model, monkeypatch, module):
    cache = Cache(tmp_path / "cache.sqlite")
    found = score.score(corpus.read(clips), model, preprocessing=FULL, cache=cache)
    timelines.timelines(found, model, preprocessing=FULL, cache=cache)

    def refuse(*arguments, **options):
        raise AssertionError("computed again")

    monkeypatch.setattr(inference.TorchScorer, "logits", refuse)
    score.score(corpus.read(clips), model, preprocessing=FULL, cache=cache)
    timelines.timelines(found, model, preprocessing=FULL, cache=cache)
    before = FULL.fingerprint
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert FULL.fingerprint != before
    with pytest.raises(AssertionError, match="computed again"):
        score.score(corpus.read(clips), model, preprocessing=FULL, cache=cache)
    with pytest.raises(AssertionError, match="computed again"):
        timelines.timelines(found, model, preprocessing=FULL, cache=cache)
