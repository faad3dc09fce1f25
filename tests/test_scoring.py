import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import tone
from hypothesis import given, settings
from hypothesis import strategies as st

from dfdlib import audio, corpus, detector, scoring
from dfdlib.errors import CheckpointError, DataError, ParameterError

PARITY = scoring.protocol("corrected")
NATIVE = scoring.protocol("corrected", window="native")


@pytest.fixture(scope="module")
def model():
    return detector.build("mini", seed=3)


def test_protocols_are_what_the_study_ran_and_what_it_should_have():
    original = scoring.protocol("original")
    assert (original.rate, original.window, original.score) == (22_050, 64_600, "logit")
    assert (PARITY.rate, PARITY.window, PARITY.score) == (16_000, 64_600, "difference")
    assert NATIVE.window is None
    assert len({protocol.fingerprint for protocol in (original, PARITY, NATIVE)}) == 3
    logits = np.array([[1.0, 3.0]])
    assert original.of_logits(logits) == [3.0]
    assert PARITY.of_logits(logits) == [2.0]
    for wrong in ({"name": "newest"}, {"name": "corrected", "window": "short"}):
        with pytest.raises(ParameterError, match="choose one of"):
            scoring.protocol(**wrong)


@given(st.integers(1, 2_000_000))
@settings(max_examples=50, deadline=None)
def test_native_windows_repeat_nothing_but_very_short_clips(samples):
    windows = NATIVE.windows(np.arange(samples, dtype=np.float64))
    assert windows.shape[1] <= scoring.NATIVE_LONGEST
    if samples >= scoring.NATIVE_SHORTEST:
        flat = windows.ravel()
        assert (np.diff(flat) == 1).all()
        assert samples - len(flat) < len(windows)
    else:
        assert windows.shape == (1, scoring.NATIVE_SHORTEST)


def test_a_score_does_not_depend_on_its_neighbours(tmp_path, model, rng):
    for number, seconds in enumerate([0.3, 0.5, 1.0, 1.0, 1.7, 2.0]):
        wave = tone(seconds) + 0.05 * rng.standard_normal(round(seconds * 16_000))
        audio.write_wav(tmp_path / ("Real" if number % 2 else "Fake") / f"{number}.wav", wave, rate=16_000)
    clips = corpus.read(tmp_path)
    together = scoring.score(clips, model, protocol=NATIVE, batch_size=4).table.set_index("path")["score"]
    for path in clips.table["path"]:
        alone = scoring.score(corpus.find([path]), model, protocol=NATIVE).values
        assert together[path] == pytest.approx(alone[0], abs=1e-5)


def test_scoring_leaves_training_mode(clips, model):
    found = corpus.read(clips)
    model.train()
    first, second = (scoring.score(found, model, protocol=NATIVE).values for _ in range(2))
    assert first.tolist() == second.tolist()
    assert not model.training


def test_cached_clips_are_not_decoded_again(clips, tmp_path, model, monkeypatch):
    found = corpus.read(clips)
    cache = scoring.Cache(tmp_path / "cache.sqlite")
    first = scoring.score(found, model, protocol=NATIVE, cache=cache)

    def refuse(*args, **options):
        raise AssertionError("decoded a clip whose logits are known")

    monkeypatch.setattr(audio, "load", refuse)
    again = scoring.score(found, model, protocol=NATIVE, cache=scoring.Cache(tmp_path / "cache.sqlite"))
    assert again.values.tolist() == first.values.tolist()
    with pytest.raises(AssertionError):  # another protocol is another question
        scoring.score(found, model, protocol=PARITY, cache=cache)
    with pytest.raises(AssertionError):  # and so are other weights
        scoring.score(found, detector.build("mini", seed=4), protocol=NATIVE, cache=cache)


def test_bad_clips_are_left_out_with_the_reason(clips, model):
    soundfile.write(clips / "Real/nan.wav", np.full(8000, np.nan), 16_000, subtype="FLOAT")
    (clips / "Fake/text.wav").write_text("no sound")
    scores = scoring.score(corpus.read(clips), model, protocol=NATIVE)
    reasons = {path.split("/")[-1]: reason for path, reason in scores.left_out.to_numpy()}
    assert len(scores.table) == 8
    assert "NaN" in reasons["nan.wav"]
    assert "cannot be decoded" in reasons["text.wav"]


def test_no_clip_at_all_is_an_error(tmp_path, model):
    soundfile.write(tmp_path / "nan.wav", np.full(8000, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match="none of 1 clips could be scored; the first: holds samples that are NaN"):
        scoring.score(corpus.find([tmp_path]), model, protocol=NATIVE)


def test_damaged_weights_give_an_error_not_a_number(clips):
    model = detector.build("mini", seed=3)
    next(parameter for name, parameter in model.named_parameters() if "out_layer" in name).data.fill_(np.nan)
    with pytest.raises(CheckpointError, match="not finite"):
        scoring.score(corpus.read(clips), model, protocol=NATIVE)


def test_scores_survive_the_disk(clips, tmp_path, model):
    scores = scoring.score(corpus.read(clips), model, protocol=NATIVE)
    for name, write in (("scores.csv", scores.to_csv), ("scores.parquet", scores.to_parquet)):
        write(tmp_path / name)
        again = scoring.read_scores(tmp_path / name)
        assert again.values.tolist() == scores.values.tolist()
        assert again.labels.tolist() == scores.labels.tolist()
    assert pd.read_csv(tmp_path / "scores.csv").columns[:3].tolist() == ["path", "label", "score"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.wav,spoof\n", "has no column 'score'"),
        ("path,label,score\na.wav,spoof,1\nb.wav,fake?,2\n", "row 2 \\(b.wav\\): label 'fake\\?' is neither"),
        ("path,label,score\na.wav,spoof,inf\n", "row 1 \\(a.wav\\): score 'inf' is not a finite number"),
        ("path,label,score\na.wav,spoof,\n", "row 1 \\(a.wav\\): score 'nan' is not a finite number"),
        ("\x00\x01", "path"),
    ],
)
def test_tables_that_are_wrong(tmp_path, text, message):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        scoring.read_scores(tmp_path / "scores.csv")


def test_pairs_are_matched_by_path_not_by_order(clips, model):
    scores = scoring.score(corpus.read(clips), model, protocol=NATIVE)
    turned = scoring.Scores(table=scores.table[::-1].iloc[1:], left_out=scores.left_out)
    both = scoring.pair(scores, turned)
    assert len(both) == 7
    assert (both["score"] == both["score_second"]).all()
    other = scoring.Scores(table=scores.table.assign(label=1 - scores.table["label"]), left_out=scores.left_out)
    with pytest.raises(DataError, match="another label"):
        scoring.pair(scores, other)
    elsewhere = scoring.Scores(table=scores.table.assign(path="elsewhere.wav"), left_out=scores.left_out)
    with pytest.raises(DataError, match="no path in common"):
        scoring.pair(scores, elsewhere)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, model, rng, stop):
    for number in range(40):
        wave = tone(0.5 + 0.01 * (number % 7)) + 0.05 * rng.standard_normal(round((0.5 + 0.01 * (number % 7)) * 16_000))
        audio.write_wav(tmp_path / ("Real" if number % 2 else "Fake") / f"{number:02}.wav", wave, rate=16_000)
    soundfile.write(tmp_path / "Real/nan.wav", np.full(8000, np.nan), 16_000, subtype="FLOAT")
    clips = corpus.read(tmp_path)
    whole = scoring.score(clips, model, protocol=NATIVE, batch_size=2)
    calls = 0

    def stop_here(done, total):
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt

    cache = scoring.Cache(tmp_path / "cache.sqlite")
    with pytest.raises(KeyboardInterrupt):
        scoring.score(clips, model, protocol=NATIVE, batch_size=2, cache=cache, progress=stop_here)
    resumed = scoring.score(clips, model, protocol=NATIVE, batch_size=2, cache=scoring.Cache(tmp_path / "cache.sqlite"))
    whole.to_csv(tmp_path / "whole.csv")
    resumed.to_csv(tmp_path / "resumed.csv")
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "resumed.csv").read_bytes()
    assert len(resumed.table) == 40
    assert len(resumed.left_out) == 1


def test_a_timeline_covers_the_recording(tmp_path, model):
    seconds = 11.3
    audio.write_wav(tmp_path / "talk.wav", tone(seconds), rate=16_000)
    table = scoring.timeline(tmp_path / "talk.wav", model, protocol=NATIVE)
    assert table["start"].iloc[0] == 0
    assert table["end"].iloc[-1] == seconds
    assert (table["start"].diff().dropna() <= scoring.PARITY_WINDOW / 2 / 16_000 + 1e-9).all()
    assert (table["end"] - table["start"]).to_numpy() == pytest.approx(scoring.PARITY_WINDOW / 16_000)
    # a window is scored as a clip of its samples would be
    audio.write_wav(tmp_path / "first.wav", tone(seconds)[: scoring.PARITY_WINDOW], rate=16_000)
    first = scoring.score(corpus.find([tmp_path / "first.wav"]), model, protocol=PARITY)
    assert table["score"].iloc[0] == pytest.approx(first.values[0], abs=1e-5)


def test_a_timeline_of_a_short_clip_is_one_window(tmp_path, model):
    audio.write_wav(tmp_path / "short.wav", tone(1.0), rate=16_000)
    table = scoring.timeline(tmp_path / "short.wav", model, protocol=PARITY)
    assert table[["start", "end"]].to_numpy().tolist() == [[0.0, 1.0]]


def test_silence_is_scored_like_any_clip(tmp_path, model):
    audio.write_wav(tmp_path / "silence.wav", np.zeros(16_000), rate=16_000)
    assert np.isfinite(scoring.score(corpus.find([tmp_path]), model, protocol=NATIVE).values).all()


def test_the_same_bytes_twice_are_scored_once_and_listed_twice(clips, model, monkeypatch):
    (clips / "Real/copy.wav").write_bytes((clips / "Real/real0.wav").read_bytes())
    decoded = []
    load = audio.load
    monkeypatch.setattr(audio, "load", lambda path, **options: decoded.append(path) or load(path, **options))
    table = scoring.score(corpus.read(clips), model, protocol=NATIVE).table
    assert len(decoded) == 8
    twins = table[table["path"].str.contains("copy|real0")]
    assert twins["score"].nunique() == 1
    assert len(twins) == 2
