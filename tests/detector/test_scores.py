import pandas as pd
import pytest
from makers import Loudness, tone

from dfdlib.data import audio, corpus
from dfdlib.detector import score
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.scores import Scores, pair, read_scores
from dfdlib.errors import DataError

FULL = Preprocessing.named("corrected", window="full")


def table_of(*rows, columns=("path", "label", "score", "sha256")):
    frame = pd.DataFrame(rows, columns=list(columns))
    return Scores(table=frame, left_out=pd.DataFrame(columns=["path", "reason"]))


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


def test_labels_in_another_order_than_scores_stop_everything():
    clips = pd.DataFrame({"sha256": ["a", "b", "c", "c"], "label": [1, 0, 1, 0]}).astype({"label": "Int8"})
    table_of(("3.wav", 0, 0.1, "c"), ("2.wav", 0, 0.2, "b"), ("1.wav", 1, 0.3, "a")).require_labels_of(clips)
    said = r"^2\.wav: has another label beside its score than in its corpus.*nothing was computed from them$"
    for wrong in (("2.wav", 1, 0.2, "b"), ("2.wav", 0, 0.2, "unknown")):
        with pytest.raises(DataError, match=said):
            table_of(("1.wav", 1, 0.3, "a"), wrong).require_labels_of(clips)
