import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import intervals, units


@pytest.fixture
def table():
    """Ten speakers who say six sentences in turn, each clip with a fake of it."""
    rows = np.arange(120) // 2
    return pd.DataFrame(
        {
            "label": np.tile([1, 0], 60),
            "speaker": [f"speaker {row % 10}" for row in rows],
            "sentence": [f"sentence {row // 10}" for row in rows],
            "attack": np.tile(["bonafide", "vc"], 60),
            "codec": ["", *"x" * 119],
        }
    )


def test_new_voices_are_speakers_and_sentences(table):
    drawn = units.of(table)
    assert drawn.kinds == ("speaker", "sentence")
    assert (drawn.by, drawn.target, drawn.note) == ("speaker and sentence", "new-voices", "")
    assert [len(np.unique(member)) for member in drawn.members] == [10, 6]
    these = units.of(table, target="these-voices")
    assert (these.by, these.target, these.note) == ("sentence", "these-voices", "")


@pytest.mark.parametrize("missing", ["", None, float("nan"), pd.NA])
def test_what_is_not_known_of_every_clip_is_not_drawn(table, missing):
    def without(column):
        values = table[column].astype(object)
        values[3] = missing
        return table.assign(**{column: values})

    assert units.of(without("sentence")).by == "speaker"
    some = without("speaker").drop(columns="attack")
    assert (units.of(some).by, units.of(some).target) == ("sentence", "")
    neither = table[["label"]]
    assert (units.of(neither).by, units.of(neither).members, units.of(neither).target) == ("clip", (), "")


def test_a_spoof_without_a_speaker_has_its_attack_as_voice(table):
    spoof = table["label"] == 0
    named = [f"voice {number % 7}" for number in range(120)]
    voices = table.assign(attack=named, speaker=table["speaker"].where(~spoof, ""))
    speaker = units.of(voices).members[0]
    assert len(np.unique(speaker[spoof])) == len(set(np.array(named)[spoof]))
    assert len(np.unique(speaker[~spoof])) == 10


def test_sentences_of_one_speaker_each_add_nothing(table):
    own = table.assign(sentence=table["speaker"] + table["sentence"])
    assert units.of(own).by == "speaker"
    assert units.of(own, target="these-voices").by == "sentence"


def test_three_speakers_are_too_few_for_new_voices(table):
    few = table.assign(speaker=np.array(["a", "b", "c"])[np.arange(120) // 2 % 3])
    drawn = units.of(few)
    assert (drawn.by, drawn.target) == ("sentence", "these-voices")
    assert drawn.note == (
        "New voices cannot be judged from this corpus: 3 speakers of bona fide clips, as good as 3.0 equal ones: the "
        "largest has 33 %. The interval is for these voices."
    )
    # many, but one has nearly all clips
    one = table.assign(speaker=["a"] * 100 + [f"b{number}" for number in range(20)])
    assert units.of(one).target == "these-voices"
    four = table.assign(speaker=np.array(["a", "b", "c", "d"])[np.arange(120) // 2 % 4])
    assert units.of(four).target == "new-voices"


def test_a_group_with_one_speaker_speaks_for_this_voice(table):
    # one codec, attack or language may be of one speaker: clips are drawn, and it is said for whom that speaks
    one = units.of(table.assign(speaker="a").drop(columns="sentence"))
    assert (one.by, one.target) == ("clip", "these-voices")
    assert one.note.startswith("New voices cannot be judged from this corpus: 1 speaker of bona fide clips")
    assert units.of(table.assign(speaker="a")).by == "sentence"
    spoof = table["label"] == 0
    voice = units.of(table.assign(speaker=table["speaker"].where(~spoof, "a")))
    assert voice.target == "these-voices"
    assert "1 speaker of spoof clips" in voice.note
    same = units.of(table.assign(sentence="one"))
    assert (same.by, same.target) == ("speaker", "new-voices")
    assert same.note.startswith("New sentences cannot be judged: 1 sentence of bona fide clips")


def test_few_sentences_are_said_not_passed_over(table):
    few = table.assign(sentence=np.where(np.arange(120) < 60, "yes", "no"), speaker=None, attack="")
    drawn = units.of(few)
    assert drawn.by == "clip"
    assert drawn.note.startswith("New sentences cannot be judged: 2 sentences of bona fide clips")
    assert drawn.describe(few["label"])["warning"] == drawn.note


def test_an_interval_says_what_it_rests_on(table):
    # speaker 0 has half of the spoofs
    uneven = table.assign(speaker=np.where(np.arange(120) % 4 == 1, "speaker 0", table["speaker"]))
    drawn = units.of(uneven)
    said = drawn.describe(uneven["label"])
    spoofs = uneven.loc[uneven["label"] == 0, "speaker"].value_counts()
    assert said["resampled_by"] == "speaker and sentence"
    assert said["units"] == len(spoofs)
    assert said["effective_units"] == pytest.approx(60**2 / (spoofs**2).sum())
    assert said["largest_share"] == pytest.approx(spoofs.max() / 60)
    assert said["warning"].startswith(f"The interval rests on {len(spoofs)} speakers of spoof clips, as good as ")
    assert units.Units().describe(np.tile([1, 0], 30))["warning"] == ""
    assert units.Units().describe(np.tile([1, 0], 30))["units"] == 30


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40))
def test_effective_numbers_lie_between_one_and_the_number(members):
    found = units.count("speaker", np.array(members), 1)
    assert 1 - 1e-9 <= found.effective <= found.units + 1e-9 <= len(members) + 1e-9
    assert 1 / found.units - 1e-9 <= found.largest <= 1


def test_a_column_may_be_named(table):
    assert units.of(table, by="clip").members == ()
    assert units.of(table, by="speaker").kinds == ("speaker",)
    attack = units.of(table, by="attack")
    assert attack.kinds == ("attack",)
    assert len(np.unique(attack.members[0][::2])) == 60
    assert len(np.unique(attack.members[0][1::2])) == 1
    assert table["attack"][0] == "bonafide"
    with pytest.raises(
        DataError, match="by='channel': the table has no such column; choose auto, clip or one of label"
    ):
        units.of(table, by="channel")
    with pytest.raises(DataError, match="by='codec': row 0, counted from 0, has no value"):
        units.of(table, by="codec")
    with pytest.raises(ParameterError, match="target='all': must be one of new-voices, these-voices"):
        units.of(table, target="all")


def test_voices_widen_an_interval_that_clips_would_make_narrow(table):
    rng = np.random.default_rng(2)
    labels = table["label"].to_numpy()
    voice = rng.normal(size=(2, 10))[labels, np.arange(120) // 2 % 10]
    scores = 1.5 * labels + voice + 0.5 * rng.normal(size=120)
    widths = [
        np.ptp(intervals.interval(labels, scores, metric="auc", groups=groups)[1:])
        for groups in (None, units.of(table))
    ]
    assert widths[1] > 1.5 * widths[0]
