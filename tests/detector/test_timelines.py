import numpy as np
import pytest
from makers import Loudness, tone

from dfdlib.data import audio, corpus
from dfdlib.detector import score, timelines
from dfdlib.detector.preprocessing import FIXED_WINDOW, Preprocessing
from dfdlib.detector.score_cache import Cache
from dfdlib.errors import ParameterError

FIXED = Preprocessing.named("corrected")
FULL = Preprocessing.named("corrected", window="full")


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


@pytest.mark.parametrize("hop", [4_000, FIXED_WINDOW // 2, FIXED_WINDOW])
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
