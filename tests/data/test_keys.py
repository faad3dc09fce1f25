"""Scores and keys, joined by the names of their clips."""

import numpy as np
import pandas as pd
import pytest

from dfdlib.data import keys
from dfdlib.errors import DataError, ParameterError


def test_a_file_that_is_not_there_and_a_list_without_labels(write, tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        keys.trials(tmp_path / "none.txt")
    with pytest.raises(DataError, match=r"no labels \(read as: utterance score\); give a key"):
        keys.trials(write("scores.txt", "a 1\nb 2\n"))


def test_scores_that_rise_with_spoof_are_turned_round_when_told_only(write):
    path = write("scores.txt", "a A1 spoof 3\nb - bonafide -1\n")
    assert keys.trials(path).scores.tolist() == [3, -1]
    turned = keys.trials(path, higher="spoof")
    assert turned.scores.tolist() == [-3, 1]
    assert turned.facts["higher"] == "spoof"
    with pytest.raises(ParameterError, match="must be bonafide or spoof"):
        keys.trials(path, higher="real")


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (["a", "b"], ["b", "a"]),
        (["a.wav", "b.flac"], ["b", "a"]),
        (["/invented/root/In_Wild/0.wav", "/invented/root/In_Wild/1.wav"], ["1", "0"]),
        (["0", "1"], ["C:\\data\\1.WAV", "C:\\data\\0.WAV"]),
        (["real/f", "fake/f"], ["/far/testing/fake/f.wav", "/far/testing/real/f.wav"]),
        (["real/file1_16k_norm", "fake/file1_16k_norm"],
         ["fake/file1.wav_16k.wav_norm.wav", "real/file1.wav_16k.wav_norm.wav"]),
        (["./a", "b//c"], ["b/c.wav", "a.wav"]),
        (["v1.0", "v1.1"], ["v1.1.mp3", "v1.0.mp3"]),
        ([" a ", "b"], ["b", "a"]),
        (["x.mp3", "x.wav"], ["x.wav", "x.mp3"]),
    ],
)  # fmt: skip
def test_names_match_with_and_without_folders_and_endings(names, others):
    places, fault = keys.match(pd.Series(names), pd.Series(others))
    assert (places.tolist(), fault) == ([1, 0], "")


def test_names_of_another_folder_do_not_match():
    names, others = pd.Series(["real/a", "real/b", "fake/a"]), pd.Series(["real/a", "fake/a", "fake/b"])
    places, fault = keys.match(names, others)
    assert (places.tolist(), fault) == ([0, -1, 1], "")


def test_prefixes_are_dropped_where_they_are_part_of_the_form(write):
    scores = write("s.csv", 'ID,Score\nITW-1,"[0, 1]"\nITW-2,"[0, 2]"\n')
    key = write("k.csv", "file,label\n1.wav,bona-fide\n2.wav,spoof\n")
    assert keys.trials(scores, key).table["label"].tolist() == [1, 0]
    plain = write("p.txt", "ITW-1 1\nITW-2 2\n")
    with pytest.raises(
        DataError, match=r"no name is in both; the scores have ITW-1, ITW-2, the key has 1\.wav, 2\.wav"
    ):
        keys.trials(plain, key)


@pytest.fixture
def key(write):
    return write("key.csv", "file_name,label,codec\nx/a.wav,bonafide,mp3\nx/b.wav,spoof,mp3\nx/c.wav,spoof,opus\n")


def test_a_key_adds_labels_and_columns(write, key):
    found = keys.trials(write("s.txt", "c -1\na 2\nb 0.5\n"), key)
    assert found.table["path"].tolist() == ["x/c.wav", "x/a.wav", "x/b.wav"]
    assert found.labels.tolist() == [0, 1, 0]
    assert found.scores.tolist() == [-1, 2, 0.5]
    assert found.table["codec"].tolist() == ["opus", "mp3", "mp3"]
    assert found.facts["key_read_as"] == "a table with headings"
    assert found.facts["subset"] == "all"


def test_a_key_says_what_it_lacks(write, key):
    scores = write("s.txt", "c -1\na 2\nb 0.5\n")
    with pytest.raises(DataError, match="has no subset 'eval', its lines do not say of which they are; or say all"):
        keys.trials(scores, key, subset="eval")
    with pytest.raises(DataError, match=r"bare\.txt: has names and no labels; give the list that has them"):
        keys.trials(scores, write("bare.txt", "a\nb\nc\n"))


def test_names_without_a_partner_are_refused_unless_allowed(write, key):
    scores = write("s.txt", "a 2\nb 0.5\n" + "".join(f"z{row} 1\n" for row in range(7)))
    with pytest.raises(DataError) as caught:
        keys.trials(scores, key)
    assert "7 scores have no line in the key (z0, z1, z2, z3, z4 and 2 more)" in str(caught.value)
    assert "1 clips have no score (x/c.wav); evaluate the others with --allow-missing" in str(caught.value)
    found = keys.trials(scores, key, allow_missing=True)
    assert found.table["path"].tolist() == ["x/a.wav", "x/b.wav"]
    assert (found.facts["n_without_label"], found.facts["n_without_score"]) == (7, 1)
    assert found.facts["without_score"] == ["x/c.wav"]


def test_a_clip_whose_score_is_left_out_counts_as_without_one(write, key):
    scores = write("s.tsv", "filename\tscore\na\t1\nb\t-\nc\t2\n")
    assert keys.trials(scores, key, allow_missing=True).facts["n_without_score"] == 1


@pytest.mark.parametrize(
    ("scores", "key", "said"),
    [
        ("a 1\nb 2\n", "path,label\na.wav,spoof\na.flac,spoof\nb.wav,bonafide\n", "a fits a.wav, a.flac"),
        ("x/a 1\ny/a 2\n", "path,label\na,spoof\nb,bonafide\n", "x/a, y/a fit a;"),
        ("a.wav 1\na.flac 2\n", "path,label\na,spoof\n", "a.wav, a.flac fit a;"),
        ("a 1\nb 2\n", "path,label\na,spoof\na,bonafide\n", "lines 2 and 3: a is there twice, with label 'spoof' and"),
        ("a - spoof 1\nb - bonafide 2\n", "path,label\na,real\nb,real\n", "a: is spoof in .*s.txt but bonafide in"),
        ("a 1\n", "path,label\na,perhaps\n", "label 'perhaps' is neither"),
    ],
)
def test_contradictions_are_named(write, scores, key, said):
    with pytest.raises(DataError, match=said):
        keys.trials(write("s.txt", scores), write("k.csv", key))


def test_a_subset_is_taken_from_the_key(write):
    key = write("k.csv", "path,label,subset\na,spoof,eval\nb,bonafide,eval\nc,spoof,progress\nd,bonafide,progress\n")
    scores = write("s.txt", "a 1\nb 2\nc 3\nd 4\n")
    found = keys.trials(scores, key)
    assert found.table["path"].tolist() == ["a", "b"]
    assert (found.facts["subset"], found.facts["n_outside_subset"]) == ("eval", 2)
    assert keys.trials(scores, key, subset="progress").scores.tolist() == [3, 4]
    assert keys.trials(scores, key, subset="all").scores.tolist() == [1, 2, 3, 4]
    with pytest.raises(DataError, match="no subset 'hidden', it has eval, progress"):
        keys.trials(scores, key, subset="hidden")
    # Clips of another subset need no score.
    assert len(keys.trials(write("t.txt", "a 1\nb 2\n"), key).table) == 2
    with pytest.raises(DataError, match="no clip of the subset has a score"):
        keys.trials(write("u.txt", "c 1\n"), key, allow_missing=True)
    with pytest.raises(ParameterError, match="needs a key"):
        keys.trials(write("v.txt", "a A1 spoof 1\n"), subset="eval")


def test_the_scores_of_a_key_are_nobodys(write):
    key = write("k.csv", "path,label,score\na,spoof,7\nb,bonafide,8\n")
    assert keys.trials(write("s.txt", "a 1\nb 2\n"), key).scores.tolist() == [1, 2]


def test_what_the_list_says_stays_where_the_key_says_nothing(write):
    scores = write("s.txt", "a A07 spoof 1\nb - bonafide 2\nc A08 spoof 3\n")
    key = write("k.csv", "path,label\na,spoof\nb,bonafide\nc,spoof\n")
    assert keys.trials(scores, key).table["attack"].tolist() == ["A07", "-", "A08"]
    key.write_text("path,label,attack\na,spoof,X\nb,bonafide,\nc,spoof,Y\n")
    assert keys.trials(scores, key).table["attack"].tolist() == ["X", "bonafide", "Y"]


@pytest.mark.parametrize(
    ("name", "lines", "read_as", "said"),
    [
        ("trial_metadata.txt",
         ["TEF2 DF_E_9000011 low_m4a vcc2020 Task1-team20 spoof notrim eval neural Task1 team20 FF E",
          "LA_0043 DF_E_9000027 high_ogg asvspoof - bonafide notrim eval bonafide - - - -"],
         "asvspoof2021-df", {"codec": ["low_m4a", "high_ogg"], "attack": ["Task1-team20", "bonafide"]}),
        ("ASVspoof5.eval.track_1.tsv",
         ["E_4608 E_9000000024 M C11 4 E_9004890277 AC1 A24 spoof -",
          "E_0017 E_9000000150 F - 0 - - bonafide bonafide -"],
         "asvspoof5", {"codec": ["C11", ""], "gender": ["M", "F"]}),
        ("ASVspoof2019.LA.cm.eval.trl.txt",
         ["LA_0039 LA_E_9000001 - A11 spoof", "LA_0030 LA_E_9000003 - - bonafide"],
         "asvspoof2019-la", {"attack": ["A11", "bonafide"], "speaker": ["LA_0039", "LA_0030"]}),
    ],
)  # fmt: skip
def test_keys_of_public_corpora_are_recognised(write, name, lines, read_as, said):
    key = write(name, "\n".join(lines) + "\n")
    names = [line.split()[1] for line in lines]
    found = keys.trials(write("s.txt", "".join(f"flac/{one}.flac {row}\n" for row, one in enumerate(names))), key)
    assert found.facts["key_read_as"] == read_as
    assert found.labels.tolist() == [0, 1]
    assert {column: found.table[column].tolist() for column in said} == said


def test_a_split_may_be_called_as_the_corpus_calls_it(write):
    key = write(
        "ASVspoof2019.LA.cm.eval.trl.txt", "LA_0039 LA_E_9000001 - A11 spoof\nLA_0030 LA_E_9000003 - - bonafide\n"
    )
    scores = write("s.txt", "LA_E_9000001 1\nLA_E_9000003 2\n")
    assert keys.trials(scores, key, subset="eval").scores.tolist() == [1, 2]
    with pytest.raises(DataError, match="no subset 'dev', it has testing"):
        keys.trials(scores, key, subset="dev")


def test_the_form_of_a_key_may_be_told(write):
    key = write("k.txt", "x u1 0.1 fake\nx u2 0.1 real\n")
    assert keys.trials(write("s.txt", "u1 1\nu2 2\n"), key, form="- path - label").labels.tolist() == [0, 1]


def test_clips_of_neither_class_need_no_line(write):
    key = write("audio-metadata-publish.csv",
                "Filename,Date,Ground Truth,Public Comments,Finetuning Set\na_1.wav,d,Fake,,Test\n"
                "b_2.mp3,d,Real,,Test\nc_3.wav,d,Unknown,,\n")  # fmt: skip
    found = keys.trials(write("s.txt", "a_1 1\nb_2 2\nc_3 3\n"), key)
    assert found.scores.tolist() == [1, 2]
    assert found.facts["n_outside_subset"] == 1


def test_many_names_are_joined_in_any_order(write):
    rng = np.random.default_rng(1)
    order = rng.permutation(5000)
    scores = write("s.txt", "".join(f"/data/{name}.wav {name}\n" for name in order))
    key = write(
        "k.csv", "path,label\n" + "".join(f"{name},{'spoof' if name % 3 else 'bonafide'}\n" for name in range(5000))
    )
    found = keys.trials(scores, key)
    assert found.table["path"].astype(int).tolist() == found.scores.astype(int).tolist() == order.tolist()
    assert found.labels.tolist() == (order % 3 == 0).astype(int).tolist()
