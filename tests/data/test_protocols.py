"""Lists of public corpora, each in its own form."""

import re
from pathlib import Path

import pandas as pd
import pytest
from planted import FORMS

from dfdlib.data import corpora, protocols
from dfdlib.errors import DataError, ParameterError


def as_rows(table, like):
    """Return what a table says of the columns that are asked for."""
    return [
        (row["path"], row["label"], row["attack"], {name: row[name] for name in more})
        for row, (*_, more) in zip(table.to_dict("records"), like, strict=True)
    ]


@pytest.mark.parametrize("case", FORMS)
def test_each_form_is_read_and_recognised(case, write):
    name = case.partition(",")[0]
    place, text, rows = FORMS[case]
    path = write(place, text)
    forms = [form for form in corpora.all_of_them()[name].lists if protocols.captured(form, path) is not None]
    assert len(forms) == 1, "one description fits"
    by_name = protocols.read(path, forms[0], corpus=name, names=corpora.all_of_them()[name].names)
    assert as_rows(by_name.table, rows) == rows
    found = protocols.recognise(path)
    assert as_rows(found.table, rows) == rows
    # in a folder and by a name that tell nothing
    elsewhere = protocols.recognise(write(f"elsewhere{path.suffix}", text))
    assert elsewhere.table["label"].tolist() == [label for _, label, *_ in rows]
    if name != "partialspoof" and name != "in-the-wild":  # nothing in these tells them from others
        assert found.form == elsewhere.form == name


@pytest.mark.parametrize("case", FORMS)
@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda text: text.replace("\n", "\r\n"), "utf-8"),
        (lambda text: text, "utf-8-sig"),
        (lambda text: text.replace("\n", "\r\n"), "utf-16"),
        (lambda text: text.removesuffix("\n"), "utf-8"),
        (lambda text: "\n" + text.replace("\n", "\n\n"), "utf-8"),
    ],
    ids=["windows", "bom", "utf-16", "no-last-end", "empty-lines"],
)
def test_each_form_in_other_files(case, change, encoding, write):
    place, text, rows = FORMS[case]
    found = protocols.recognise(write(place, change(text), encoding))
    assert as_rows(found.table, rows) == rows


@pytest.mark.parametrize("case", [case for case in FORMS if "," not in FORMS[case][1]])
@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_each_form_saved_with_other_separators(case, separator, write):
    place, text, rows = FORMS[case]
    text = text.replace("|" if "|" in text else " ", separator)
    assert as_rows(protocols.recognise(write(place, text)).table, rows) == rows


def test_a_header_is_no_clip_and_no_first_trial_is_lost(write):
    text = FORMS["asvspoof2021-la"][1]
    whole = protocols.recognise(write("bare.txt", text)).table
    headed = write("head.txt", "speaker utterance codec tx attack key trim subset\n" + text)
    assert len(whole) == 3
    table = protocols.recognise(headed).table
    assert table["path"].tolist() == whole["path"].tolist()
    assert table[protocols.LINE].tolist() == [2, 3, 4]


def test_names_that_are_numbers_stay_text(write):
    path = write("arena.csv", "file_name,label\n0,spoof\n007,bonafide\n1e3,spoof\n")
    assert protocols.recognise(path).table["path"].tolist() == ["0", "007", "1e3"]
    path = write("bare.txt", "0 spoof\n007 bonafide\n")
    assert protocols.recognise(path).table["path"].tolist() == ["0", "007"]


def test_labels_in_any_case_and_unknown_ones(write):
    path = write("words.txt", "a Bona-Fide\nb GENUINE\nc human\nd Deep_Fake\ne generated\n")
    assert protocols.recognise(path).table["label"].tolist() == [1, 1, 1, 0, 0]
    text = FORMS["asvspoof2019-la"][1].replace("A01 spoof", "A01 spooof")
    path = write("ASVspoof2019.LA.cm.train.trn.txt", text)
    form = corpora.all_of_them()["asvspoof2019-la"].lists[0]
    with pytest.raises(DataError, match=r"line 2 \(LA_T_9000002\): label 'spooof' .*; the others are bonafide"):
        protocols.read(path, form)


def test_zero_and_one_have_to_be_told(write):
    path = write("numbers.txt", "a 1\nb 0\n")
    form = corpora.List(files=".*", columns="path label")
    with pytest.raises(DataError, match="label '1' is neither bona fide nor spoof"):
        protocols.read(path, form)
    told = form.model_copy(update={"labels": {"1": "spoof", "0": "bonafide"}})
    assert protocols.read(path, told).table["label"].tolist() == [0, 1]
    headed = write("numbers.csv", "file,label\na,1\nb,0\n")
    assert protocols.recognise(headed).table["label"].tolist() == [1, 0]


def test_clips_of_neither_class_are_skipped_by_name(write):
    text = FORMS["deepfake-eval-2024"][1] + "four.wav,2024-07-01,Unknown,,\n"
    found = protocols.recognise(write("audio-metadata-publish.csv", text))
    assert found.skipped.to_numpy().tolist() == [["four.wav", "its label 'Unknown' is neither bona fide nor spoof"]]
    assert "four.wav" not in set(found.table["path"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LA_0079 LA_T_9000001 - - bonafide\nLA_0079 LA_T_9000002 - spoof\n", "line 2: has fewer than the 5 fields"),
        ("LA_0079 LA_T_9000001 - - bonafide\nLA_0079 LA_T_9000002 - A01 spoof x\n", "line 2: has more than the 5"),
        ("LA_T_9000001 bonafide\n", "line 1: has 2 fields, expected 5"),
        ("", "line 1: has 0 fields, expected 5"),
        ("LA_0079 PA_T_9000001 - - bonafide\n", r"line 1 \(PA_T_9000001\): is no clip of asvspoof2019-la"),
        ("s LA_T_9000001 - - bonafide\ns LA_T_9000001 - A01 spoof\n", "lines 1 and 2: .* label 'bonafide' and 'spoof'"),
        ("s LA_T_9000001 - - bonafide\ns LA_T_9000001 - - bonafide\n", "lines 1 and 2: LA_T_9000001 is there twice"),
    ],
)
def test_lists_that_are_wrong(write, text, message):
    description = corpora.all_of_them()["asvspoof2019-la"]
    path = write("ASVspoof2019.LA.cm.train.trn.txt", text)
    with pytest.raises(DataError, match=message):
        protocols.read(path, description.lists[0], corpus="asvspoof2019-la", names=description.names)


def test_a_table_with_a_column_of_labels_is_not_taken_for_spoofceleb(write):
    path = write("own.csv", "file,speaker,attack,label\nx.wav,s,a00,spoof\ny.wav,s,a06,bonafide\n")
    found = protocols.recognise(path)
    assert found.form == "a table with headings"
    assert found.table["label"].tolist() == [0, 1]


def test_what_is_no_list_with_labels(write):
    with pytest.raises(DataError, match=r"has no line of headings, it begins with LA_E_9000101 -5\.125"):
        protocols.recognise(write("scores.txt", "LA_E_9000101 -5.125\nLA_E_9000102 3.5\n"))


def test_lists_of_verification_trials_are_not_taken(tmp_path):
    form = corpora.all_of_them()["asvspoof2021-la"].lists[0]
    assert protocols.captured(form, tmp_path / "keys/LA/CM/trial_metadata.txt") is not None
    assert protocols.captured(form, tmp_path / "keys/LA/ASV/trial_metadata.txt") is None


def test_a_key_in_parquet_needs_no_suffix(tmp_path):
    rows = pd.DataFrame({"path": ["a", "b"], "label": ["bonafide", "spoof"]})
    for name in ("key.parquet", "key"):
        rows.to_parquet(tmp_path / name)
        assert protocols.recognise(tmp_path / name).table["label"].tolist() == [1, 0]


def test_a_corpus_of_your_own_in_ten_lines(write):
    description = write(
        "mine.yaml",
        "title: Mine\nlists:\n  - files: .*\\.txt\n    columns: path label language attack\n"
        "    labels: {echt: bonafide, falsch: spoof, unklar: skip}\n",
    )
    text = "a.wav echt de -\nb.wav falsch de X1\nc.wav unklar de -\n"
    found = protocols.recognise(write("mine.txt", text), corpus=str(description))
    assert found.table[["path", "label", "attack", "language"]].to_numpy().tolist() == [
        ["a.wav", 1, "bonafide", "de"],
        ["b.wav", 0, "X1", "de"],
    ]
    assert found.skipped["path"].tolist() == ["c.wav"]
    by_columns = protocols.recognise(write("two.txt", "s1 a x spoof\n"), corpus="speaker path codec label")
    assert by_columns.table["codec"].tolist() == ["x"]
    with pytest.raises(DataError, match=r"two\.txt, line 1: has 4 fields, expected 3 \(path codec label\)"):
        protocols.recognise(write("two.txt", "s1 a x spoof\n"), corpus="path codec label")
    own = write(
        "own.yaml", "title: x\nlists: [{files: x, headings: {path: Clip, label: Art}, labels: {echt: bonafide}}]\n"
    )
    with pytest.raises(DataError, match="has no column 'Clip', it has file, label"):
        protocols.recognise(write("other.csv", "file,label\na,spoof\n"), corpus=str(own))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("asvspoof2020", "there is none of that name; choose asvspoof2019-la, .*partialspoof, a .yaml file"),
        ("{}/wrong.yaml", "wrong.yaml: sepparator: Extra inputs are not permitted; there are title, what, lists"),
        ("{}/bare.yaml", "bare.yaml: Value error, has neither lists nor folders"),
        ("{}/columns.yaml", "columns.yaml: lists.0: Value error, columns has no 'path'"),
        ("{}/pattern.yaml", r"pattern.yaml: Value error, the pattern '\(' is wrong"),
    ],
)
def test_descriptions_that_are_wrong(tmp_path, write, name, message):
    write("wrong.yaml", "title: x\nsepparator: y\nfolders: [{path: x}]\n")
    write("bare.yaml", "title: x\n")
    write("columns.yaml", "title: x\nlists: [{files: x, columns: speaker label}]\n")
    write("pattern.yaml", "title: x\nfolders: [{path: (}]\n")
    with pytest.raises(ParameterError, match=message):
        corpora.describe(name.format(tmp_path))


def test_parts_of_a_corpus():
    assert corpora.describe("ASVspoof2021_DF")[::2] == ("asvspoof2021-df", "eval")
    assert corpora.describe("asvspoof2021-df/progress")[2] == "progress"
    assert corpora.describe("in-the-wild")[2] == "all"


def test_the_data_page_names_every_corpus_and_its_example_can_be_read(write):
    page = (Path(__file__).parents[2] / "data/README.md").read_text("utf-8")
    named = re.findall(r"`([a-z0-9-]+)`", "".join(re.findall(r"^\| `.*\| (?:its|a `meta).*$", page, re.MULTILINE)))
    assert set(corpora.all_of_them()) <= set(named)
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    description = write("mine.yaml", example)
    found = protocols.recognise(write("list-train.txt", "s a.wav x - A1 falsch\n"), corpus=str(description))
    assert found.table[["path", "label", "codec", "split"]].to_numpy().tolist() == [["a.wav", 0, "x", "training"]]


SAMPLES = Path(__file__).parents[3] / "shared" / "reference" / "protocols"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the sample lists")
def test_the_sample_lists_are_read():
    read = {}
    for path in sorted(SAMPLES.rglob("*")):
        if (
            path.suffix in {".txt", ".tsv", ".csv"}
            and not {"scores", "ASV"} & set(path.parts)
            and path.name != "tree.txt"
        ):
            try:
                read[path.name] = protocols.recognise(path).form
            except DataError:
                read[path.name] = ""
    without_labels = {"ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"} | {
        f"ASVspoof2021.{part}.cm.eval.trl.txt" for part in ("LA", "DF")
    }
    assert {name for name, form in read.items() if not form} == without_labels


def test_what_the_descriptions_say_is_complete():
    for name, description in corpora.all_of_them().items():
        assert description.what, name
        assert description.home.startswith("http"), name
        assert description.get != corpora.Source(), name
