"""Lists of scores in the forms of the field."""

import pandas as pd
import pytest

from dfdlib.data import score_lists
from dfdlib.errors import DataError

# What each form looks like: content, what it is read as, and names, scores and labels that it holds.
FORMS = {
    "asvspoof.txt": (
        "LA_E_1 -5.125\nLA_E_2 3.14\nLA_E_3 -1.2e-05\n",
        "utterance score",
        ["LA_E_1", "LA_E_2", "LA_E_3"], [-5.125, 3.14, -1.2e-5], None,
    ),
    "aasist.txt": (
        "LA_E_1 A11 spoof -4.5\nLA_E_2 - bonafide 3.5\n",
        "utterance attack key score",
        ["LA_E_1", "LA_E_2"], [-4.5, 3.5], [0, 1],
    ),
    "asvspoof5_baseline.txt": (
        "E_4608 E_9 -2.5 spoof\nE_1742 E_8 8.75 bonafide\n",
        "speaker utterance score key",
        ["E_9", "E_8"], [-2.5, 8.75], [0, 1],
    ),
    "codecfake.txt": (
        "F01_SSB2.wav 4.1e-09 fake\nSSB2.wav 0.99 real\n",
        "utterance score key",
        ["F01_SSB2.wav", "SSB2.wav"], [4.1e-9, 0.99], [0, 1],
    ),
    "track1.tsv": (
        "filename\tcm-score\nE_9\t-2.5\nE_8\t8.75\n",
        "table with headings filename, cm-score",
        ["E_9", "E_8"], [-2.5, 8.75], None,
    ),
    "antideepfake.csv": (
        'ID,Score,Label\nITW-1,"[3.25, -3.5]",0\nITW-2,"[-3.0, 3.5]",1\n',
        "table with headings ID, Label, Score; score: second number of [fake, real] less the first",
        ["ITW-1", "ITW-2"], [-6.75, 6.5], [0, 1],
    ),
    "arena.txt": ("0 -5.25\n1 -4.75\n3 2.5\n", "utterance score", ["0", "1", "3"], [-5.25, -4.75, 2.5], None),
    "released.txt": ("0.wav -13.75\r\n3.wav -0.5\r\n", "utterance score", ["0.wav", "3.wav"], [-13.75, -0.5], None),
    "ours.csv": (
        "path,label,score\nReal/a.wav,bonafide,2\nFake/a.wav,spoof,-2\n",
        "table with headings path, label, score",
        ["Real/a.wav", "Fake/a.wav"], [2, -2], [1, 0],
    ),
    "tabs and spaces.txt": ("a clip.wav\t1.5\n\nanother.wav\t-1\n", "utterance score", ["a clip.wav", "another.wav"],
                            [1.5, -1], None),
    "semicolons.txt": ("a;1,5\nb;-1\n", "utterance score", ["a", "b"], [1.5, -1], None),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", FORMS)
def test_forms_are_recognised_by_their_content(write, name, encoding):
    text, read_as, names, scores, labels = FORMS[name]
    found = score_lists.read(write(f"{name[0]}.any", text, encoding))
    assert found.read_as == read_as
    assert found.table["path"].tolist() == names
    assert found.table["score"].tolist() == pytest.approx(scores)
    assert (found.table["label"].tolist() if labels else None) == labels


def test_another_column_of_scores_may_be_chosen(write):
    path = write(
        "track2.tsv", "spk\tfilename\tcm-score\tasv-score\tsasv-score\nE\tE_1\t-2.5\t0.3\t-1\nE\tE_2\t-\t-\t9\n"
    )
    chosen = score_lists.read(path, column="sasv-score")
    assert chosen.table["score"].tolist() == [-1, 9]
    assert chosen.read_as == "table with headings filename, sasv-score"
    with pytest.raises(DataError, match=r"1 clips have no score but '-' .E_2.; leave them out with --allow-missing"):
        score_lists.read(path)
    left = score_lists.read(path, allow_missing=True)
    assert left.table["score"].tolist() == [-2.5]
    assert left.unscored == ("E_2",)
    with pytest.raises(DataError, match=r"no column 'llr', it has spk, filename, cm-score"):
        score_lists.read(path, column="llr")
    with pytest.raises(DataError, match="no headings"):
        score_lists.read(write("s.txt", "a 1\n"), column="score")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a 1\nb\n", "line 2: has 1 fields where the first line has 2"),
        ("a 1\n\nb c 2\n", "line 3: has 3 fields where the first line has 2"),
        (
            "a b c 1\n",
            "is no list of scores that is known here, it begins with a, b, c, 1; known are: utterance score;",
        ),
        ("a 1 genuine\nb 2 perhaps\nc 3 fake\n", r"line 2 \(b\): label 'perhaps' is neither bona fide nor spoof"),
        ("a 1\nb nan\n", r"line 2 \(b\): score 'nan' is not a finite number"),
        ("a 1\nb 1_000\nc 2\n", r"line 2 \(b\): score '1_000' is not a finite number"),
        ("bonafide target 17.9\nA09 spoof 2.4\n", "scores of speaker verification; give it with --asv"),
        ("a 1\nb 2\na 1.5\n", "lines 1 and 3: a is there twice, with score '1.0' and '1.5'"),
        ("a 1\nb 2\na 1\n", "lines 1 and 3: a is there twice"),
        ("a\nb\n", "no column 'path'"),
        ('ID,Score\na,"[1, 2]"\nb,"[1, 2, 3]"\n', r"score '\[1, 2, 3\]' is no pair"),
        ('ID,Score\na,"[1, 2]"\nb,"[1, x]"\n', r"line 3 \(b\): score '\[1, x\]' is no pair"),
        ("\x1b[2Ja 1 perhaps\n", r"begins with \\x1b\[2Ja"),
    ],
)
def test_what_is_no_list_of_scores_is_refused(write, text, said):
    with pytest.raises(DataError, match=said) as caught:
        score_lists.read(write("scores.txt", text))
    assert "\n" not in str(caught.value)


def test_scores_in_parquet_need_no_suffix(tmp_path):
    pd.DataFrame({"path": ["a", "b"], "score": [1.0, 2.0]}).to_parquet(tmp_path / "scores")
    assert score_lists.read(tmp_path / "scores").table["score"].tolist() == [1.0, 2.0]


def test_a_form_is_that_of_all_lines(write):
    text = "".join(f"u{row} {row}\n" for row in range(500))
    with pytest.raises(DataError, match=r"line 501 \(x\): score 'y' is not a finite number"):
        score_lists.read(write("scores.txt", f"{text}x y\n"))


def test_a_table_without_labels_names_the_columns_that_it_has(write):
    with pytest.raises(DataError, match=r"has no labels, it has path, verdict, score; call one of them label, or give"):
        score_lists.read(write("scores.csv", "path,verdict,score\na,spoof,1\n", "utf-8"), labelled=True)
