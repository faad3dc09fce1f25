import shutil

import pandas as pd
import pytest
from makers import tone

from dfdlib import files
from dfdlib.data import audio, corpus, listing
from dfdlib.errors import DataError


def test_real_and_fake_folders(clips):
    table = corpus.read(clips).table
    assert list(table.columns) == list(corpus.COLUMNS)
    assert table["label"].tolist() == [0] * 4 + [1] * 4
    assert table.groupby("label")["attack"].first().to_dict() == {0: "unknown", 1: "bonafide"}
    assert (table["duration"] == 0.5).all()
    assert table["sha256"].iloc[0] == files.sha256(table["path"].iloc[0])


def test_folders_below_the_spoofs_name_their_attack(tmp_path):
    places = ("Fake/hifi-gan/clip", "Fake/world/deep/clip", "Fake/clip", "Real/anna/clip", "training/Fake/tts/clip")
    for place in places:
        audio.write_wav(tmp_path / f"{place}.wav", tone(0.1), rate=16_000)
    table = corpus.read(tmp_path).table
    found = {path.removeprefix(f"{tmp_path}/"): attack for path, attack in table[["path", "attack"]].to_numpy()}
    attacks = ("hifi-gan", "world", "unknown", "bonafide", "tts")
    assert found == {f"{place}.wav": attack for place, attack in zip(places, attacks, strict=True)}
    assert table.loc[table["attack"] == "tts", "split"].tolist() == ["training"]


@pytest.mark.parametrize(("real", "fake"), [("REAL", "FAKE"), ("real", "fake"), ("bona fide", "Deep-Fake")])
def test_class_folders_in_any_case(tmp_path, real, fake):
    for folder in (real, fake):
        audio.write_wav(tmp_path / folder / "clip.wav", tone(0.1), rate=16_000)
    by_folder = {
        path.split("/")[-2]: label for path, label in corpus.read(tmp_path).table[["path", "label"]].to_numpy()
    }
    assert by_folder == {real: 1, fake: 0}


def test_split_folders(tmp_path):
    for split in ("training", "val", "testing"):
        for folder in ("real", "fake"):
            audio.write_wav(tmp_path / split / folder / f"{split}.wav", tone(0.1), rate=16_000)
    whole = corpus.read(tmp_path, name="for-2seconds")
    assert sorted(set(whole.table["split"])) == ["testing", "training", "validation"]
    assert len(whole.split("validation")) == 2
    with pytest.raises(
        DataError, match="for-2seconds: no clip in split 'holdout'; it has testing, training, validation"
    ):
        whole.split("holdout")
    # one split folder given by itself still knows what it is
    assert set(corpus.read(tmp_path / "testing").table["split"]) == {"testing"}


def test_unusable_clips_are_listed_and_left_out(clips):
    (clips / "Real" / "text.wav").write_text("no sound")
    (clips / "Real" / "empty.mp3").write_bytes(b"")
    (clips / "Real" / "notes.txt").write_text("not a clip at all")
    found = corpus.read(clips)
    assert len(found) == 8
    reasons = {path.split("/")[-1]: reason for path, reason in found.left_out.to_numpy()}
    assert set(reasons) == {"text.wav", "empty.mp3"}
    assert "cannot be decoded" in reasons["text.wav"]
    assert "empty file" in reasons["empty.mp3"]


def test_one_class_no_clip_no_folder(clips, tmp_path):
    with pytest.raises(DataError, match="there is no such file or folder"):
        corpus.read(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no usable clip"):
        corpus.read(empty)
    shutil.rmtree(clips / "Fake")
    with pytest.raises(DataError, match="no spoof clip among 4"):
        corpus.read(clips)


def test_a_class_that_is_left_out_is_not_said_to_be_missing_alone(clips):
    for path in (clips / "Fake").iterdir():
        path.write_text("no sound")
    with pytest.raises(
        DataError, match=r"no spoof clip among 4 \(4 left out; the first: .*Fake/fake0.wav: cannot be decoded"
    ):
        corpus.read(clips)


def test_clips_without_a_class_can_be_found_but_not_read(tmp_path):
    audio.write_wav(tmp_path / "talk.wav", tone(0.1), rate=16_000)
    assert corpus.find([tmp_path]).table["label"].isna().all()
    with pytest.raises(DataError, match=r"talk\.wav: no folder above it says Real or Fake"):
        corpus.read(tmp_path)


def test_a_clip_named_twice_is_one_clip(clips):
    assert len(corpus.find([clips, clips / "Real" / "real0.wav"])) == 8


def test_manifest_carries_what_folders_cannot(clips):
    rows = [
        {"path": "Real/real0.wav", "label": "bonafide", "speaker": "anna", "attack": "bonafide"},
        {"path": "Fake/fake0.wav", "label": "spoof", "speaker": "", "attack": "vocoder"},
        {"path": "Fake/gone.wav", "label": "spoof", "speaker": "", "attack": "vocoder"},
    ]
    for path in (clips / "list.csv", clips / listing.MANIFEST):
        frame = pd.DataFrame(rows)
        frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    for place in (clips / "list.csv", clips):
        found = corpus.read(place)
        assert found.table["attack"].tolist() == ["bonafide", "vocoder"]
        assert found.table["speaker"].tolist() == ["anna", ""]
        assert found.table["duration"].tolist() == [0.5, 0.5]
        assert found.left_out["path"].str.endswith("gone.wav").all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clips,label\nReal/real0.wav,bonafide\n", "has no column 'path', it has clips, label"),
        ("path,label\nReal/real0.wav,genuine?\n", "line 2 \\(Real/real0.wav\\): label 'genuine\\?' is neither"),
        ("path,label\nReal/real0.wav,1\n,0\n", "line 3: has no path"),
        ("path,label\nReal/real0.wav,1\nReal/../Real/real0.wav,0\n", "lines 2 and 3: .* label 'bonafide' and 'spoof'"),
        ("path,label\nReal/real0.wav,1\nReal/copy.wav,0\n", "the same content under both labels, in lines 2 and 3"),
    ],
)
def test_manifests_that_are_wrong(clips, text, message):
    shutil.copy(clips / "Real/real0.wav", clips / "Real/copy.wav")
    (clips / "list.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        corpus.read(clips / "list.csv")


def test_manifests_of_other_forms(clips):
    (clips / "list.csv").write_text(
        "sep=;\nFile Name;Class;Speaker\nReal\\real0.wav;Genuine;01\nFake/fake0.wav;Fake;NA\n"
    )
    found = corpus.read(clips / "list.csv")
    assert found.table["label"].tolist() == [1, 0]
    assert found.table["speaker"].tolist() == ["01", "NA"]
    assert found.table["path"].tolist() == [str(clips / name) for name in ("Real/real0.wav", "Fake/fake0.wav")]


def test_a_list_without_labels_is_found_but_not_read(clips):
    (clips / "list.tsv").write_text("file\tspeaker\nReal/real0.wav\tanna\nFake/fake0.wav\tbob\n")
    found = corpus.find([clips / "list.tsv"])
    assert found.table["label"].isna().all()
    assert list(found.table.columns) == list(corpus.COLUMNS)
    with pytest.raises(DataError, match=r"real0\.wav: no folder above it says Real or Fake, nor does a manifest"):
        corpus.read(clips / "list.tsv")


def test_what_paths_are_relative_to(clips, tmp_path_factory):
    assert corpus.find([clips]).root == str(clips)
    assert corpus.find([clips / "Real"]).root == str(clips / "Real")
    assert corpus.find([clips / "Real/real0.wav"]).root == str(clips / "Real")
    assert corpus.find([clips / "Real/real0.wav", clips / "Fake"]).root == str(clips)
    (clips / "list.csv").write_text("path,label\nReal/real0.wav,1\nFake/fake0.wav,0\n")
    assert corpus.read(clips / "list.csv").root == str(clips)
    elsewhere = tmp_path_factory.mktemp("lists") / "list.csv"
    elsewhere.write_text(f"path,label\n{clips}/Real/real0.wav,1\n{clips}/Real/real1.wav,0\n")
    assert corpus.read(elsewhere).root == str(clips / "Real")


def test_a_limit_takes_from_both_classes(clips):
    assert corpus.read(clips).head(4).table["label"].tolist() == [0, 0, 1, 1]
    assert len(corpus.read(clips).head(None)) == 8


def test_summary_counts(clips):
    summary = corpus.read(clips).summary().set_index("label")
    assert summary.loc["bonafide", "clips"] == 4
    assert summary.loc["spoof", "total_min"] == pytest.approx(2 / 60)


def speakers(*rows):
    """Return a corpus from (label, speaker, sentence)."""
    table = pd.DataFrame(rows, columns=["label", "speaker", "sentence"]).astype({"label": "Int8"})
    table["sha256"] = [str(row) for row in range(len(table))]
    return corpus.Corpus(name="talk", table=table, left_out=pd.DataFrame(columns=["path", "reason"]))


def test_a_split_by_speaker_shares_no_speaker_and_no_sentence():
    rows = [(label, f"s{number}", f"{number}.{label}") for number in range(10) for label in (1, 0)]
    rows += [(0, "robot", f"{number}.1") for number in range(4)]
    talk = speakers(*rows)
    first, second = talk.split_by_speaker(share=0.4, seed=1)
    assert set(first.table["speaker"]).isdisjoint(second.table["speaker"])
    assert set(first.table["sentence"]).isdisjoint(second.table["sentence"])
    assert "robot" in set(second.table["speaker"])
    assert len(set(first.table["speaker"])) <= 4
    again = talk.split_by_speaker(share=0.4, seed=1)[0]
    assert again.table.equals(first.table)
    assert not talk.split_by_speaker(share=0.4, seed=2)[0].table.equals(first.table)


@pytest.mark.parametrize("rows", [[(1, "", "a"), (0, "s", "b")], [(1, "s", "a"), (0, "s", "b")]])
def test_a_split_by_speaker_needs_speakers(rows):
    with pytest.raises(DataError, match="speakers are not all known"):
        speakers(*rows).split_by_speaker(share=0.4, seed=1)


def test_clips_are_in_the_order_of_their_folders_and_names(tmp_path):
    names = ["b/2.wav", "a/2.wav", "a/10.WAV", "a-b/1.wav", "a/c/1.wav", "z.flac", "B.wav"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        audio.write_wav(tmp_path / name, tone(0.1), rate=16_000)
    (tmp_path / "a/.hidden.wav").write_bytes(b"")
    (tmp_path / "folder.wav").mkdir()
    found = corpus.find([tmp_path]).table["path"].tolist()
    assert found == [str(path) for path in sorted(tmp_path / name for name in names)]


def test_a_changed_file_is_known_by_what_it_holds_now(clips):
    rows = [("Real/real0.wav", "bonafide", 9.0, "0" * 64), ("Fake/fake0.wav", "spoof", 9.0, "1" * 64)]
    pd.DataFrame(rows, columns=["path", "label", "duration", "sha256"]).to_csv(clips / "list.csv", index=False)
    table = corpus.read(clips / "list.csv").table
    assert table["sha256"].tolist() == [files.sha256(clips / path) for path, *_ in rows]
    assert table["duration"].tolist() == [0.5, 0.5]
