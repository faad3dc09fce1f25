"""Public corpora as they lie on a disk: a small tree of each."""

import os
import shutil
import sqlite3

import pandas as pd
import pytest
from planted import FORMS, TREES, plant, sound

from dfdlib.data import audio, corpora, corpus, inspection
from dfdlib.errors import DataError, ParameterError


def part_of(name):
    """Return a part that the small copy has."""
    return {"asvspoof2019-la": "asvspoof2019-la/train", "asvspoof2019-pa": "asvspoof2019-pa/dev",
            "spoofceleb": "spoofceleb/dev"}.get(name, name.partition(",")[0])  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_each_corpus_is_found_as_it_lies(name, tmp_path):
    plant(tmp_path, name)
    found = corpus.read(tmp_path, corpus=part_of(name)) if name != "asvspoof2021-df, eight columns" else corpus.find(
        [tmp_path], corpus="asvspoof2021-df"
    )  # fmt: skip
    rows = {row.path: (row.label, row.attack) for row in found.table.itertuples()}
    expected = TREES[name][1]
    assert len(rows) == len(expected)
    for end, told in expected.items():
        assert [rows[path] for path in rows if path.endswith(f"/{end}")] == [told], end
    assert found.left_out.empty
    assert list(found.table.columns[: len(corpus.COLUMNS)]) == list(corpus.COLUMNS)
    assert found.table["duration"].gt(0).all()
    assert len(found.notes) == 1


def test_every_corpus_has_a_tree_and_every_list_a_form():
    named = {name.partition(",")[0] for name in TREES}
    assert named == set(corpora.all_of_them())
    assert {name.partition(",")[0] for name in FORMS} == {
        name for name, one in corpora.all_of_them().items() if one.lists
    }


def test_what_protocols_say_becomes_columns(tmp_path):
    plant(tmp_path, "asvspoof2021-df")
    table = corpus.read(tmp_path, corpus="asvspoof2021-df/all").table.set_index("attack")
    assert table["subset"].to_dict() == {"A14": "progress", "Task1-team20": "eval", "bonafide": "eval"}
    assert table["vocoder"].to_dict() == {
        "A14": "traditional_vocoder", "Task1-team20": "neural_vocoder", "bonafide": "bonafide"
    }  # fmt: skip
    assert table.loc["A14", "gender"] == ""


def test_other_and_no_endings_and_several_folders(tmp_path):
    plant(tmp_path / "one", "asvspoof2021-la")
    clips = tmp_path / "one/ASVspoof2021_LA_eval/flac"
    (tmp_path / "two").mkdir()
    (clips / "LA_E_9000102.flac").rename(tmp_path / "two/LA_E_9000102.WAV")
    with_lists = corpus.find([tmp_path / "one"], corpus="asvspoof2021-la")
    assert with_lists.left_out["path"].str.endswith("LA_E_9000102").tolist() == [True]
    assert "is listed but not there" in with_lists.left_out["reason"][0]
    both = corpus.find([tmp_path / "one", tmp_path / "two"], corpus="asvspoof2021-la")
    assert len(both) == 2
    # the list by itself, elsewhere
    shutil.move(tmp_path / "one/keys", tmp_path / "keys")
    key = tmp_path / "keys/LA/CM/trial_metadata.txt"
    assert len(corpus.find([clips, tmp_path / "two", key], corpus="asvspoof2021-la")) == 2
    key.rename(tmp_path / "my key.txt")
    assert len(corpus.find([clips, tmp_path / "two", tmp_path / "my key.txt"], corpus="asvspoof2021-la")) == 2


def test_keys_of_all_three_tracks_in_one_folder(tmp_path):
    for name in ("asvspoof2021-la", "asvspoof2021-df", "asvspoof2021-pa"):
        plant(tmp_path, name)
    (tmp_path / "keys/DF/ASV").mkdir()
    (tmp_path / "keys/DF/ASV/trial_metadata.txt").write_text("A-x DF_E_1-x opus loc_tx bonafide target notrim eval\n")
    found = corpus.read(tmp_path, corpus="asvspoof2021-df")
    assert len(found) == 2
    assert "asvspoof2021-df: 3 lines, 2 of them eval; published are 611,829 all (611,826 fewer here)" in found.notes[-1]
    assert sorted(note.split(": ")[1] for note in found.notes[:-1]) == [
        "is no list of asvspoof2021-df, and was not read"
    ] * 2  # fmt: skip
    assert found.other[".flac not of asvspoof2021-df"] == 5


def test_paths_of_another_machine_and_of_windows(tmp_path):
    (tmp_path / "list.csv").write_text("file,label\n/invented/root/wild/7.wav,spoof\nC:\\wild\\8.wav,bona-fide\n")
    sound(tmp_path / "clips/7.flac")
    sound(tmp_path / "clips/8.wav", 1)
    description = tmp_path / "mine.yaml"
    description.write_text("title: mine\nlists: [{files: list\\.csv, headings: {path: file}}]\n")
    found = corpus.read(tmp_path, corpus=str(description))
    assert [os.path.basename(path) for path in found.table["path"]] == ["7.flac", "8.wav"]


def test_equal_names_in_several_folders(tmp_path):
    lines = "real/file1 bonafide\nfake/file1 spoof\nfake/file2 spoof\nreal/file3 bonafide\n"
    (tmp_path / "list.txt").write_text(lines)
    for number, place in enumerate(["x/real/file1.wav", "x/fake/file1.wav", "x/real/file2.wav", "x/real/file3.wav"]):
        sound(tmp_path / place, number)
    sound(tmp_path / "y/real/file3.wav", 4)
    found = corpus.find([tmp_path], corpus="path label")
    assert {os.path.relpath(row.path, tmp_path): row.label for row in found.table.itertuples()} == {
        "x/real/file1.wav": 1, "x/fake/file1.wav": 0
    }  # fmt: skip
    reasons = {os.path.basename(path): reason for path, reason in found.left_out.to_numpy()}
    assert "lies in a folder of the other class" in reasons["file2"]
    assert "is there 2 times" in reasons["file3"]


def test_a_clip_known_by_a_link_as_well_is_one(tmp_path):
    plant(tmp_path, "in-the-wild")
    (tmp_path / "again").symlink_to("release_in_the_wild")
    found = corpus.read(tmp_path, corpus="in-the-wild")
    assert len(found) == 2
    assert found.left_out.empty


def test_bona_fide_speech_is_paired_by_the_original_file(tmp_path):
    plant(tmp_path, "mlaad")
    found = corpus.read(tmp_path, corpus="mlaad")
    assert found.table["sentence"].nunique() == 1
    assert found.table.set_index("label")["speaker"].to_dict() == {0: "", 1: "reader"}
    assert found.other == {".wav not of mlaad": 1}
    assert found.notes == ("mlaad: 2 clips",)


def test_clips_of_neither_class_are_counted_and_do_not_make_a_corpus_incomplete(tmp_path):
    plant(tmp_path, "fakeavceleb")
    place = tmp_path / "FakeAVCeleb-audio"
    with open(place / "meta_data.csv", "a") as file:
        file.write(
            "id1,-,-,swap,C,FakeVideo-RealAudio,African,men,9.mp4,FakeAVCeleb/FakeVideo-RealAudio/African/men/id1\n"
        )
    sound(place / "FakeVideo-RealAudio/African/men/id1/9.mp4")
    found = corpus.find([tmp_path], corpus="fakeavceleb")
    assert len(found) == 2
    assert found.notes[-1] == "fakeavceleb: 1 not used: its label 'FakeVideo-RealAudio' is neither bona fide nor spoof"
    assert found.left_out.empty
    assert found.other == {".mp4 not of fakeavceleb": 1}


def test_segment_labels_are_kept(tmp_path):
    plant(tmp_path, "partialspoof")
    place = tmp_path / "database/vad/eval/CON_E_9000001.vad"
    place.parent.mkdir(parents=True)
    place.write_text("0.00 0.01 1\n0.01\t0.02 0\n")
    table = corpus.read(tmp_path, corpus="partialspoof").table.set_index("label")
    assert table["segments"].to_dict() == {0: "0.00 0.01 1; 0.01 0.02 0", 1: ""}


def test_counts_as_published_and_differences(tmp_path):
    plant(tmp_path, "in-the-wild")
    description = tmp_path / "mine.yaml"
    entry = "title: mine\nlists: [{files: meta\\.csv, headings: {path: file}}]\ncounts: {all: 2, bonafide: %d}\n"
    description.write_text(entry % 1)
    assert corpus.read(tmp_path, corpus=str(description)).notes == ("mine: 2 lines: as published",)
    description.write_text(entry % 3)
    assert corpus.read(tmp_path, corpus=str(description)).notes == (
        "mine: 2 lines; published are 3 bonafide (2 fewer here)",
    )
    description.write_text(entry.replace("counts", "unverified") % 3)
    assert corpus.read(tmp_path, corpus=str(description)).notes == ("mine: 2 lines",)


def test_a_list_without_a_key_gives_clips_without_labels(tmp_path):
    (tmp_path / "ASVspoof2021.DF.cm.eval.trl.txt").write_text("DF_E_9000011\nDF_E_9000013\n")
    sound(tmp_path / "flac/DF_E_9000011.flac")
    found = corpus.find([tmp_path], corpus="asvspoof2021-df")
    assert found.table["label"].isna().all()
    assert found.summary()[["label", "clips"]].to_numpy().tolist() == [["no label", 1]]
    assert len(found.left_out) == 1
    # the key tells more
    plant(tmp_path, "asvspoof2021-df")
    assert corpus.find([tmp_path], corpus="asvspoof2021-df/all").table["label"].notna().all()


def test_labels_of_a_key_count_beside_a_list_with_more_columns(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "title: mine\nlists:\n  - {files: key\\.txt, columns: path label}\n"
        "  - {files: meta\\.txt, columns: path codec place}\n"
    )
    (tmp_path / "key.txt").write_text("a bonafide\nb spoof\n")
    (tmp_path / "meta.txt").write_text("a opus here\nb opus there\n")
    for number, name in enumerate("ab"):
        sound(tmp_path / f"clips/{name}.wav", number)
    assert corpus.find([tmp_path], corpus=str(tmp_path / "mine.yaml")).table["label"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "asvspoof2021-la/hidden",
            "has no part 'hidden' here, it has eval, progress; name one as asvspoof2021-",
        ),
        ("asvspoof2021-pa", "holds no list or folder of asvspoof2021-pa, only 3 sound files; expected names like"),
        ("in-the-wild", r"no list or folder of in-the-wild, only 3 sound files; expected names like meta\.csv; 'dfd"),
        ("for-norm", r"expected names like \(training\|validation\|testing\)/\(real\|fake\)/\(\.\+/\)\?\[\^/\]\+;"),
    ],
)
def test_what_is_not_there(tmp_path, name, message):
    plant(tmp_path, "asvspoof2021-la")
    (tmp_path / "keys/LA/CM/trial_metadata.txt").rename(tmp_path / "keys/LA/CM/x.txt") if "pa" in name else None
    with pytest.raises(DataError, match=message):
        corpus.find([tmp_path], corpus=name)


def test_a_list_of_other_clips_alone_is_an_error(tmp_path):
    plant(tmp_path, "asvspoof2021-la")
    with pytest.raises(DataError, match=r"trial_metadata\.txt, line 1 \(LA_E_9000101\): is no clip of asvspoof2021-df"):
        corpus.find([tmp_path], corpus="asvspoof2021-df")
    with pytest.raises(ParameterError, match="corpus 'asvspoof': there is none of that name"):
        corpus.find([tmp_path], corpus="asvspoof")
    with pytest.raises(DataError, match="there is no such file or folder"):
        corpus.find([tmp_path / "nowhere"], corpus="asvspoof2021-df")


def test_two_lists_that_contradict_each_other(tmp_path):
    plant(tmp_path, "asvspoof2021-la")
    (tmp_path / "other").mkdir()
    changed = FORMS["asvspoof2021-la"][1].replace("A07 spoof", "- bonafide")
    (tmp_path / "other/trial_metadata.txt").write_text(changed)
    with pytest.raises(DataError, match="LA_E_9000101: two lists give it different labels"):
        corpus.find([tmp_path], corpus="asvspoof2021-la")


def test_a_bad_clip_is_left_out_and_the_rest_goes_on(tmp_path):
    plant(tmp_path, "asvspoof5")
    (tmp_path / "flac_E_eval/E_9000000034.flac").write_bytes(b"no sound")
    found = corpus.read(tmp_path, corpus="asvspoof5")
    assert len(found) == 2
    assert found.left_out["reason"].tolist() == ["holds no samples; leave it out or record it again"]


def test_what_is_known_of_a_file_is_not_read_again(tmp_path, monkeypatch):
    plant(tmp_path / "clips", "asvspoof5")
    kept = tmp_path / "cache/files.sqlite"
    first = corpus.read(tmp_path / "clips", corpus="asvspoof5", remembered=kept)
    read, real = [], audio.duration
    monkeypatch.setattr(audio, "duration", lambda path: read.append(path) or real(path))
    again = corpus.read(tmp_path / "clips", corpus="asvspoof5", remembered=kept)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert not read
    changed = tmp_path / "clips/flac_E_eval/E_9000000034.flac"
    sound(changed, 30)
    third = corpus.read(tmp_path / "clips", corpus="asvspoof5", remembered=kept)
    assert read == [str(changed)]
    assert (third.table["sha256"] != first.table["sha256"]).sum() == 1
    # what sound files give has changed
    monkeypatch.setattr(audio, "VERSION", audio.VERSION + 1)
    corpus.read(tmp_path / "clips", corpus="asvspoof5", remembered=kept)
    assert len(read) == 4


@pytest.mark.parametrize("content", [b"no database", b""])
def test_a_damaged_memory_is_begun_anew(tmp_path, content):
    plant(tmp_path / "clips", "asvspoof5")
    kept = tmp_path / "files.sqlite"
    kept.write_bytes(content)
    assert len(corpus.read(tmp_path / "clips", corpus="asvspoof5", remembered=kept)) == 3
    assert kept.stat().st_size > 1_000
    folder = tmp_path / "folder"
    folder.mkdir()
    assert len(corpus.read(tmp_path / "clips", corpus="asvspoof5", remembered=folder)) == 3


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE])
def test_a_memory_is_kept_where_the_fault_is_around_it(tmp_path, monkeypatch, code):
    def opened(path):
        error = sqlite3.OperationalError("no room")
        error.sqlite_errorcode = code
        raise error

    plant(tmp_path / "clips", "asvspoof5")
    kept = tmp_path / "files.sqlite"
    corpus.read(tmp_path / "clips", corpus="asvspoof5", remembered=kept)
    content = kept.read_bytes()
    monkeypatch.setattr(inspection, "_opened", opened)
    assert len(corpus.read(tmp_path / "clips", corpus="asvspoof5", remembered=kept)) == 3
    assert kept.read_bytes() == content
