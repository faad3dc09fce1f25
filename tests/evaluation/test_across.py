import numpy as np
import pandas as pd
import pytest

from dfdlib.errors import DataError
from dfdlib.evaluation import across, intervals, metrics, units
from dfdlib.evaluation.intervals import Interval


def corpus(rng, *, shift=0.0, size=400, **columns):
    labels = np.repeat([1, 0], size // 2)
    scores = rng.standard_normal(size) + 2 * labels + shift
    return pd.DataFrame({"label": pd.array(labels, dtype="Int8"), "score": scores, **columns})


@pytest.fixture
def tables(rng):
    speakers = [f"s{number}" for number in np.tile(np.arange(20), 20)]
    return {"one": corpus(rng), "other": corpus(rng, shift=1.5, speaker=speakers)}


def test_thresholds_are_carried_to_every_corpus(tables):
    found = across.carried(tables, resamples=200)
    assert found[["threshold_of", "on"]].to_numpy().tolist() == [
        ["one", "one"], ["one", "other"], ["other", "one"], ["other", "other"],
    ]  # fmt: skip
    for row in found.itertuples():
        own, table = tables[row.threshold_of], tables[row.on]
        assert row.threshold == metrics.eer(own["label"].to_numpy(int), own["score"]).threshold
        rates = metrics.error_rates(table["label"].to_numpy(int), table["score"].to_numpy(), threshold=row.threshold)
        assert (row.far, row.frr) == rates
        assert row.hter == pytest.approx(sum(rates) / 2)
        assert row.low < row.hter < row.high
    moved = found.set_index(["threshold_of", "on"])["hter"]
    assert moved["one", "other"] > moved["other", "other"] + 0.05
    assert moved["one", "one"] == pytest.approx(
        metrics.eer(tables["one"]["label"].to_numpy(int), tables["one"]["score"]).value
    )


def test_intervals_by_clip_are_as_wide_as_those_of_resamples(rng):
    table = corpus(rng, size=2000)
    row = across.carried({"it": table}).iloc[0]
    drawn = intervals.interval(table["label"].to_numpy(int), table["score"], metric="hter", threshold=row["threshold"])
    assert (row["high"] - row["low"]) == pytest.approx(drawn.high - drawn.low, rel=0.1)
    assert row["low"] == pytest.approx(drawn.low, abs=0.004)


def test_what_is_drawn_together_widens_them(rng):
    speakers = np.repeat(np.arange(20), 20)
    table = corpus(rng, speaker=[f"s{number}" for number in np.tile(np.arange(20), 20)])
    table["score"] += rng.standard_normal(20)[np.tile(np.arange(20), 20)]
    assert speakers.size == len(table)
    by_clip, by_speaker = (across.carried({"it": table}, by=by, resamples=300).iloc[0] for by in ("clip", "auto"))
    assert by_speaker["high"] - by_speaker["low"] > 1.2 * (by_clip["high"] - by_clip["low"])


def test_progress_is_told_by_corpus(tables):
    told = []
    across.carried(tables, resamples=100, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_a_corpus_of_one_class_is_refused(tables):
    tables["other"] = tables["other"].head(200)
    with pytest.raises(DataError, match="no spoof trial"):
        across.carried(tables)


def test_mean_of_independent_metrics():
    one = Interval(0.1, 0.08, 0.13)
    assert across.mean([one]) == pytest.approx(one)
    several = across.mean([one, Interval(0.3, 0.28, 0.33)])
    assert several.value == pytest.approx(0.2)
    assert several.low == pytest.approx(0.2 - np.hypot(0.02, 0.02) / 2)
    assert several.high == pytest.approx(0.2 + np.hypot(0.03, 0.03) / 2)


def test_the_mean_holds_the_truth_as_often_as_it_says(rng):
    truth, held = 0.15, 0
    for _ in range(400):
        found = []
        for size in (100, 400, 200):
            rate = rng.binomial(size, truth) / size
            found.append(Interval(rate, *map(float, across.limits.wilson(rate, size))))
        one = across.mean(found)
        held += one.low <= truth <= one.high
    assert 0.92 <= held / 400 <= 0.98


def test_pooled_trials_keep_speakers_of_corpora_apart(rng):
    same = ["s1", "s2"] * 200
    whole = across.pooled({"one": corpus(rng, speaker=same), "other": corpus(rng, speaker=same)})
    assert len(whole) == 800
    assert whole["speaker"].nunique() == 4
    assert whole["corpus"].value_counts().tolist() == [400, 400]
    mixed = across.pooled({"one": corpus(rng, speaker=[""] * 400), "other": corpus(rng)})
    assert units.of(mixed).by == "clip"


def test_pooled_spoofs_without_a_speaker_have_their_attack_for_a_voice(rng):
    tables = {}
    for name in ("one", "other"):
        table = corpus(rng, speaker=[f"s{number % 10}" for number in range(400)])
        spoof = table["label"] == 0
        tables[name] = table.assign(
            speaker=table["speaker"].where(~spoof, ""), attack=np.where(spoof, [f"a{n % 8}" for n in range(400)], "")
        )
        assert units.of(tables[name]).by == "speaker"
    assert units.of(across.pooled(tables)).by == "speaker"
