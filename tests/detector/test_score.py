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
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import tone

from dfdlib.data import audio, corpus
from dfdlib.detector import network, preprocessing, score, timelines
from dfdlib.detector import scorer as inference
from dfdlib.detector.preprocessing import FIXED_WINDOW, Preprocessing, cut
from dfdlib.detector.score_cache import Cache
from dfdlib.detector.scores import Scores, pair, read_scores
from dfdlib.errors import CheckpointError, DataError, ParameterError
from dfdlib.processes import Shard

FIXED = Preprocessing.named("corrected")
FULL = Preprocessing.named("corrected", window="full")


@pytest.fixture(scope="module")
def model():
    return network.build("mini", seed=3)


def test_preprocessings_are_what_the_study_ran_and_what_it_should_have():
    original = Preprocessing.named("original")
    assert (original.rate, original.window, original.score) == (22_050, 64_600, "logit")
    assert (FIXED.rate, FIXED.window, FIXED.score) == (16_000, 64_600, "difference")
    assert FULL.window is None
    assert len({how.fingerprint for how in (original, FIXED, FULL)}) == 3
    logits = np.array([[1.0, 3.0]])
    assert original.of_logits(logits) == [3.0]
    assert FIXED.of_logits(logits) == [2.0]
    for wrong in ({"name": "newest"}, {"name": "corrected", "window": "short"}):
        with pytest.raises(ParameterError, match="choose one of"):
            Preprocessing.named(**wrong)


def blocks(samples, size):
    """Return 0, 1, 2 … as a waveform in blocks."""
    wave = np.arange(samples, dtype=np.float64)
    return (wave[start : start + size] for start in range(0, samples, size))


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 50), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_windows_cover_a_waveform_however_its_blocks_lie(samples, length, hop, size):
    hop = min(hop, length)
    found = list(cut(blocks(samples, size), length=length, hop=hop))
    starts = [start for start, _ in found]
    last = max(samples - length, 0)
    assert starts == sorted({*range(0, last + 1, hop), last})
    for start, window in found:
        assert window.tolist() == list(range(start, min(start + length, samples)))


@given(st.integers(1, 2_000_000))
@settings(max_examples=50, deadline=None)
def test_full_windows_repeat_nothing_but_very_short_clips(samples):
    windows = list(FULL.windows(blocks(samples, 300_000)))
    if samples < preprocessing.FULL_SHORTEST:
        (window,) = windows
        assert len(window) == preprocessing.FULL_SHORTEST
        assert set(window) == set(range(samples))
        return
    assert {len(window) for window in windows} == {min(samples, preprocessing.FULL_LONGEST)}
    assert len(windows) == -(-samples // preprocessing.FULL_LONGEST)
    assert np.array_equal(np.unique(np.concatenate(windows)), np.arange(samples))
    assert windows[-1][-1] == samples - 1


def test_fixed_windows_are_the_first_of_a_clip():
    for samples in (10, FIXED_WINDOW, 200_000):
        (window,) = FIXED.windows(blocks(samples, 30_000))
        assert window.tolist() == [place % samples for place in range(FIXED_WINDOW)]


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


def test_scores_survive_the_disk(clips, tmp_path, model):
    scores = score.score(corpus.read(clips), model, preprocessing=FULL)
    for name, write in (("scores.csv", scores.to_csv), ("scores.parquet", scores.to_parquet)):
        write(tmp_path / name)
        again = read_scores(tmp_path / name)
        assert again.values.tolist() == scores.values.tolist()
        assert again.labels.tolist() == scores.labels.tolist()
    assert pd.read_csv(tmp_path / "scores.csv").columns[:3].tolist() == ["path", "label", "score"]


def test_paths_are_written_relative_and_names_survive(tmp_path):
    names = ["a,b", "a\rb", "a\nb", " =1+1", 'say "hi"', "é声", "NA"]
    for number, name in enumerate(names):
        label = "Real" if number % 2 else "Fake"
        audio.write_wav(tmp_path / label / f"{name}.wav", tone(0.5, frequency=200 + number), rate=16_000)
    scores = score.score(corpus.read(tmp_path), Loudness(), preprocessing=FULL)
    assert scores.table["path"].str.startswith(str(tmp_path)).all()
    for write, file in ((scores.to_csv, "scores.csv"), (scores.to_parquet, "scores.parquet")):
        write(tmp_path / file)
        again = read_scores(tmp_path / file)
        assert set(again.table["path"]) == {
            f"{'Real' if number % 2 else 'Fake'}/{name}.wav" for number, name in enumerate(names)
        }
        assert again.table["sha256"].tolist() == scores.table["sha256"].tolist()
        assert again.values.tolist() == scores.values.tolist()


def table_of(*rows, columns=("path", "label", "score", "sha256")):
    frame = pd.DataFrame(rows, columns=list(columns))
    return Scores(table=frame, left_out=pd.DataFrame(columns=["path", "reason"]))


def test_pairs_are_matched_by_content_not_by_order_or_place(clips, model):
    scores = score.score(corpus.read(clips), model, preprocessing=FULL)
    turned = Scores(table=scores.table[::-1].iloc[1:], left_out=scores.left_out)
    both = pair(scores, turned)
    assert len(both) == 7
    assert (both["score"] == both["score_second"]).all()
    other = Scores(table=scores.table.assign(label=1 - scores.table["label"]), left_out=scores.left_out)
    with pytest.raises(DataError, match="another label"):
        pair(scores, other)
    moved = scores.table.assign(path="/elsewhere" + scores.table["path"])[::-1]
    both = pair(scores, Scores(table=moved, left_out=scores.left_out))
    assert both["path"].tolist() == scores.table["path"].tolist()
    assert (both["score"] == both["score_second"]).all()
    with pytest.raises(DataError, match="no clip in common"):
        pair(scores, Scores(table=moved.drop(columns="sha256"), left_out=scores.left_out))


def test_equal_clips_do_not_multiply_rows():
    first = table_of(("a", 1, 1.0, "x"), ("b", 1, 2.0, "x"), ("c", 0, 3.0, "x"), ("d", 0, 4.0, "y"), ("e", 0, 5.0, ""))
    second = table_of(
        ("e", 0, 50.0, ""), ("d", 0, 40.0, "z"), ("c", 0, 30.0, "x"), ("q", 1, 10.0, "x"), ("r", 1, 20.0, "x")
    )
    both = pair(first, second)
    # c by its name among equals, a and b with q and r in their order; d has other content now, so it is another clip
    assert both[["path", "score", "score_second"]].to_numpy().tolist() == [
        ["a", 1.0, 10.0], ["b", 2.0, 20.0], ["c", 3.0, 30.0], ["e", 5.0, 50.0],
    ]  # fmt: skip
    assert len(pair(first, table_of(("q", 1, 7.0, "x")))) == 1
    with pytest.raises(DataError, match="a: is there twice"):
        pair(first, table_of(("a", 1, 7.0, "x"), ("a", 1, 8.0, "y")))


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


class Loudness(inference.Scorer):
    """Calls loud windows spoof: a detector whose scores can be worked out by hand."""

    fingerprint = "loudness"
    least_samples = 1

    def __init__(self):
        self.batches = []

    def logits(self, windows):
        self.batches.append(windows.shape)
        level = np.sqrt((windows.astype(np.float64) ** 2).mean(axis=1))
        return np.stack([20 * level, 1 - 20 * level], axis=1)


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


def timeline(path, scorer, **options):
    scores = score.score(corpus.find([path]), Loudness(), preprocessing=FULL)
    table, left_out = timelines.timelines(scores, scorer, **({"preprocessing": FULL} | options))
    assert left_out.empty
    return table


def test_a_timeline_covers_the_recording(tmp_path, model):
    seconds = 11.3
    audio.write_wav(tmp_path / "talk.wav", tone(seconds), rate=16_000)
    table = timeline(tmp_path / "talk.wav", model)
    assert table["start"].iloc[0] == 0
    assert table["end"].iloc[-1] == seconds
    assert table["start"].diff().dropna().iloc[:-1].tolist() == pytest.approx([2.01875] * (len(table) - 2))
    assert (table["end"] - table["start"]).to_numpy() == pytest.approx(FIXED_WINDOW / 16_000)
    # a window is scored as a clip of its samples would be
    audio.write_wav(tmp_path / "first.wav", tone(seconds)[:FIXED_WINDOW], rate=16_000)
    first = score.score(corpus.find([tmp_path / "first.wav"]), model, preprocessing=FIXED)
    assert table["score"].iloc[0] == pytest.approx(first.values[0], abs=1e-5)


def test_a_timeline_of_a_short_clip_is_one_window(tmp_path, model):
    audio.write_wav(tmp_path / "short.wav", tone(1.0), rate=16_000)
    table = timeline(tmp_path / "short.wav", model, preprocessing=FIXED)
    assert table[["start", "end"]].to_numpy().tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("hop", [4_000, preprocessing.HOP, FIXED_WINDOW])
def test_a_spliced_passage_shows_where_it_is(tmp_path, hop):
    quiet, loud = tone(60.0, level=0.02), tone(8.0, level=0.4)
    audio.write_wav(tmp_path / "talk.wav", np.concatenate([quiet[:480_000], loud, quiet[480_000:]]), rate=16_000)
    table = timeline(tmp_path / "talk.wav", Loudness(), hop=hop)
    within = (table["start"] >= 30) & (table["end"] <= 38)
    apart = (table["end"] <= 30) | (table["start"] >= 38)
    assert within.any()
    assert (table.loc[within, "score"] < -5).all()
    assert (table.loc[apart, "score"] > 0).all()
    lowest = table.loc[table["score"].idxmin()]
    assert 30 - 2.1 <= lowest["start"] < lowest["end"] <= 38 + 2.1


def test_a_hop_leaves_no_sample_out(tmp_path, model):
    audio.write_wav(tmp_path / "talk.wav", tone(1.0), rate=16_000)
    for hop in (0, -5, FIXED_WINDOW + 1):
        with pytest.raises(ParameterError, match=f"hop={hop}: windows start 1 to 64600 samples"):
            timeline(tmp_path / "talk.wav", model, hop=hop)


def test_windows_are_kept_and_a_stopped_timeline_goes_on(tmp_path):
    audio.write_wav(tmp_path / "talk.wav", tone(40.0), rate=16_000)
    whole = timeline(tmp_path / "talk.wav", Loudness(), batch_size=4)

    class Stops(Loudness):
        def logits(self, windows):
            if len(self.batches) == 3:
                raise KeyboardInterrupt
            return super().logits(windows)

    with pytest.raises(KeyboardInterrupt):
        timeline(tmp_path / "talk.wav", Stops(), batch_size=4, cache=Cache(tmp_path / "cache.sqlite"))
    rest = Loudness()
    resumed = timeline(tmp_path / "talk.wav", rest, batch_size=4, cache=Cache(tmp_path / "cache.sqlite"))
    assert sum(shape[0] for shape in rest.batches) == len(whole) - 12
    assert resumed.equals(whole)
    again = Loudness()
    timeline(tmp_path / "talk.wav", again, batch_size=4, cache=Cache(tmp_path / "cache.sqlite"))
    assert again.batches == []


def test_a_recording_that_has_gone_is_left_out_of_the_timelines(clips):
    scores = score.score(corpus.read(clips), Loudness(), preprocessing=FULL)
    (clips / "Real/real0.wav").unlink()
    table, left_out = timelines.timelines(scores, Loudness(), preprocessing=FULL)
    assert len(table) == 7
    assert left_out["path"].str.endswith("real0.wav").tolist() == [True]
    assert "no such file" in left_out["reason"].iloc[0]


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


def test_both_kinds_of_file_hold_the_same(clips, tmp_path):
    (clips / "talk.wav").write_bytes((clips / "Real/real0.wav").read_bytes())
    scores = score.score(corpus.find([clips]), Loudness(), preprocessing=FULL)
    scores.to_csv(tmp_path / "scores.csv")
    scores.to_parquet(tmp_path / "scores.parquet")
    text = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False, na_values={"label": [""]})
    binary = pd.read_parquet(tmp_path / "scores.parquet")
    assert text.columns.tolist() == binary.columns.tolist()
    assert len(text) == len(binary) == 9
    for column in text:
        assert text[column].astype(object).where(text[column].notna(), None).tolist() == (
            binary[column].astype(object).where(binary[column].notna(), None).tolist()
        )


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
