import csv
import io
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfdlib.data import tables
from dfdlib.data.labels import label_of
from dfdlib.errors import DataError
from dfdlib.evaluation import metrics

SCORES = ("label", "score")


@pytest.fixture
def put(tmp_path):
    """Return a function that writes text or bytes to a file and says where."""

    def write(content, name="table.csv"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return write


def rows(path, *columns, needs=SCORES, **options):
    return tables.read(path, needs=needs, **options)[list(columns or ("path", "label", "score"))].to_numpy().tolist()


TWO = [["a.wav", 1, 1.5], ["b.wav", 0, -2.25]]


@pytest.mark.parametrize(
    "text",
    [
        "path,label,score\na.wav,bonafide,1.5\nb.wav,spoof,-2.25\n",
        "path;label;score\na.wav;bonafide;1,5\nb.wav;spoof;-2,25\n",
        "path;label;score\na.wav;bonafide;1.5\nb.wav;spoof;-2.25\n",
        "path\tlabel\tscore\na.wav\tbonafide\t1,5\nb.wav\tspoof\t-2,25\n",
        "path|label|score\na.wav|bonafide|1.5\nb.wav|spoof|-2.25",
        "sep=;\npath;label;score\na.wav;bonafide;1,5\nb.wav;spoof;-2,25\n",
        '"sep=,"\r\npath,label,score\r\na.wav,bonafide,1.5\r\nb.wav,spoof,-2.25\r\n',
        "path,label,score\ra.wav,bonafide,1.5\rb.wav,spoof,-2.25\r",
        "\n\npath,label,score\n\na.wav,bonafide,1.5\n   \nb.wav,spoof,-2.25\n\n\n,,\n",
        ' PATH , "Label","SCORE" \na.wav, Bona-Fide ,1.5\nb.wav,SPOOF, -2.25\n',
        "file_name,Ground Truth,cm-score\na.wav,Real,1.5\nb.wav,Fake,-2.25\n",
        "Utterance ID,key,score\na.wav,genuine,1.5\nb.wav,deepfake,-2.25\n",
        "id,score,file,label\n7,1.5,a.wav,1\n8,-2.25,b.wav,0.0\n",
        ",path,label,score\n0,a.wav,bonafide,1.5\n1,b.wav,spoof,-2.25\n",
    ],
)
def test_forms_that_are_read(put, text):
    assert rows(put(text)) == TWO


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(put, encoding):
    text = "path,label,score\nÄther ﬁ 声.wav,bonafide,1.5\n"
    assert rows(put(text.encode(encoding))) == [["Äther ﬁ 声.wav", 1, 1.5]]
    big_endian = b"\xfe\xff" + text.encode("utf-16-be")
    assert rows(put(big_endian)) == [["Äther ﬁ 声.wav", 1, 1.5]]


@pytest.mark.parametrize(("heading", "first"), [("label", 1), ("is_real", 1), ("IsSpoof", 0), ("is-fake", 0)])
def test_headings_say_what_one_means(put, heading, first):
    found = rows(put(f"path,{heading},score\na.wav,1,2\nb.wav,0,3\n"))
    assert [label for _, label, _ in found] == [first, 1 - first]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a line of headings"),
        ("path,label,score\n", "has no row below its headings"),
        ("a.wav,spoof,0.5\nb.wav,bonafide,1\n", "has no line of headings, it begins with a.wav, spoof, 0.5"),
        ("LA_1 LA_E_9 - A07 spoof\n", "has no line of headings"),
        ("clips,result\na,1\n", "has no column 'path', it has clips, result; call one of them path \\(or file, "),
        ("path,score\na.wav,1\n", "has no column 'label', it has path, score"),
        ("path,label\na.wav,spoof\n", "has no column 'score', it has path, label; call one of them score"),
        ("path,Label,label,score\na.wav,spoof,spoof,1\n", "has two columns 'label'"),
        ("path,label,score\na.wav,spoof,1\nb.wav,spoof,2,3\n", "line 3: has 4 fields where the headings are 3; fields"),
        ("path,label,score\na,b.wav,spoof,1\nc,d.wav,spoof,1\n", "line 2: has 4 fields .*so have 1 more lines"),
        ("path,label,score,attack\na.wav,spoof,1,x\nb.wav,spoof\n", "line 3: has 2 fields where the headings are 4"),
        ("path,label,score\na.wav,spoof,1,5\n", "line 2: has 4 fields"),
        ("path,label,score\na.wav,spoof,1\n ,spoof,2\n", "line 3 \\( \\): has no path"),
        (
            "path,label,score\na.wav,spoof,1\n\nb.wav,fake?,2\n",
            "line 4 \\(b.wav\\): label 'fake\\?' is neither .*are spoof",
        ),
        ('path,label,score\n"a\nb.wav",spoof,1\nb.wav,fake?,2\n', "line 4 \\(b.wav\\)"),
        ('path,label,score\n"a\nb.wav",fake?,1\n', "line 2 \\(a\\\\nb.wav\\)"),
        ("path,label,score\na.wav,,1\n", "line 2 \\(a.wav\\): label '' is neither"),
        ("path,label,score\na.wav,2,1\n", "label '2' is neither"),
        ("path,label,score\na.wav,True,1\n", "label 'True' is neither"),
        ("path,class,score\na.wav,1,1\n", "label '1' is .*under headings such as 'label'"),
        ("path,label,score\na.wav,spoof,inf\n", "line 2 \\(a.wav\\): score 'inf' is not a finite number"),
        ("path,label,score\na.wav,spoof,\n", "line 2 \\(a.wav\\): score '' is not a finite number"),
        ("path,label,score\na.wav,spoof,1_0\n", "score '1_0' is not"),
        ('path,label,score\na.wav,spoof,"1,500"\n', "score '1,500' is not"),
        ("path;label;score\na.wav;spoof;1,5\nb.wav;spoof;1.5\n", "score '1,5' has a comma and '1.5' has a point"),
        ('path,label,score\n"a.wav,spoof,1\n', "line 2: has 1 fields .* close each quote"),
        (b"path,label,score\na.wav,spoof,1\n\xe4.wav,spoof,1\n", "line 3 is not utf-8 text.*save it as CSV in UTF-8"),
        ("path,label\n".encode("utf-16-le"), "holds zeros"),
        (b"PK\x03\x04\xff\xfe", "is a workbook or an archive"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
        ("path,label,score\na.wav,spoof,1\npath,label,score\nb.wav,spoof,1\n", "line 3: the headings again"),
    ],
)
def test_forms_that_are_refused(put, text, message):
    with pytest.raises(DataError, match=message) as raised:
        tables.read(put(text), needs=SCORES)
    assert len(str(raised.value).splitlines()) == 1


def test_an_error_without_words_is_named_by_its_kind(put, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(pd, "read_parquet", fail)
    with pytest.raises(DataError, match=r"cannot be read as Parquet \(MemoryError\)"):
        tables.read(put(b"PAR1"), needs=SCORES)


def test_what_a_spreadsheet_leaves_away_is_empty(put):
    path = put("path,label,score,speaker,attack\na.wav,spoof,1,anna,A07\nb.wav,bonafide,2\n")
    assert rows(path, "speaker", "attack") == [["anna", "A07"], ["", ""]]


def test_a_field_too_many_does_not_shift_columns(put):
    # With each name's comma taken for a separator, columns shift by one, and the rates of other columns are printed.
    clips = [(f"clip, {number}", number % 2, number) for number in range(10)]
    wrong = "path,label,score\n" + "".join(f"{name},{label},{value}\n" for name, label, value in clips)
    with pytest.raises(DataError, match="line 2: has 4 fields where the headings are 3 \\(so have 9 more lines\\)"):
        tables.read(put(wrong), needs=SCORES)
    labels, scores = np.tile([1, 0], 5), np.array([9, 0, 8, 1, 7, 2, 6, 8.5, 1.5, 3])
    text = "path,label,score\n" + "".join(f'"clip, {n}",{labels[n]},{scores[n]}\n' for n in range(10))
    table = tables.read(put(text), needs=SCORES)
    assert metrics.eer(table["label"].to_numpy(int), table["score"].to_numpy())[0] == pytest.approx(0.2)


def test_text_stays_text(put, tmp_path):
    text = "path,label,score,speaker,codec,sentence,attack\n" + "".join(
        f"{number}.wav,spoof,{number},{word},08,{word},None\n"
        for number, word in enumerate(["01", "1", "NA", "nan", "null", "1e3", "True", ""])
    )
    table = tables.read(put(text), needs=SCORES)
    assert table["speaker"].tolist() == table["sentence"].tolist()
    assert table["speaker"].tolist() == ["01", "1", "NA", "nan", "null", "1e3", "True", ""]
    assert set(table["codec"]) == {"08"}
    assert set(table["attack"]) == {"None"}
    frame = pd.DataFrame(
        {
            "path": [1, 2], "label": [1.0, 0.0], "score": [0.5, 2.0], "speaker": [7, None], "sentence": ["NA", None],
            "attack": pd.Categorical(["a", "b"]), "duration": [1, 2],
        }
    )  # fmt: skip
    frame.to_parquet(tmp_path / "table.parquet")
    table = tables.read(tmp_path / "table.parquet", needs=SCORES)
    assert table[["path", "speaker", "sentence", "attack"]].to_numpy().tolist() == [
        ["1", "7", "NA", "a"], ["2", "", "", "b"],
    ]  # fmt: skip
    assert table["label"].tolist() == [1, 0]
    assert table["score"].tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,spoof,1,x\nb,spoof,1,x\na,spoof,1,x\n", "lines 2 and 4: a is there twice \\(1 such copies"),
        ("a,spoof,1,x\n./a,spoof,1,x\n", "lines 2 and 3: a is there twice"),
        ("b/a,spoof,1,x\nb/c/..//a,spoof,1,x\n", "lines 2 and 3: b/a is there twice"),
        ("a,spoof,1,x\nb,spoof,1,x\na,real,1,x\n", "lines 2 and 4: a .* with label 'spoof' and 'bonafide'"),
        ("a,spoof,1,x\nb,spoof,1,x\nb,spoof,2,x\n", "lines 3 and 4: b .* with score '1.0' and '2.0'"),
        ("a,spoof,1,x\na,spoof,1,y\n", "lines 2 and 3: a .* with attack 'x' and 'y'"),
    ],
)
def test_a_clip_that_is_there_twice(put, text, message):
    path = put("path,label,score,attack\n" + text)
    with pytest.raises(DataError, match=message):
        tables.read(path, needs=SCORES)
    if "with" not in message:
        found = tables.read(path, needs=SCORES, drop_copies=True)
        assert found["path"].is_unique
        assert found["path"].iloc[0] == message.split(": ")[1].split()[0]
    else:
        with pytest.raises(DataError, match=message):
            tables.read(path, needs=SCORES, drop_copies=True)


def test_names_that_look_alike_are_different_clips(put):
    path = put("path,label,score\na..wav,spoof,1\na.wav,spoof,1\n.a.wav,spoof,1\nA.wav,spoof,1\n")
    assert len(tables.read(path, needs=SCORES)) == 4


@pytest.mark.parametrize("word", ["Bona Fide", "bona_fide", "BONA-FIDE", "genuine", "Real", "human", "authentic"])
def test_words_for_the_classes(word):
    assert label_of(word) == 1
    assert [label_of(other) for other in ("Fake", "SPOOF", "synthetic", "generated", "deep-fake")] == [0] * 5
    assert label_of("unknown") is None


# Any text without NUL and halves of surrogates, which no file name that can be shown has
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NAMES = TEXT.filter(lambda text: text.strip() and text not in ("path",)).map(lambda text: f"{text}.wav")
CURIOUS = st.sampled_from(["a,b", "a;b", 'a"b', "a\rb", "a\nb", "a\r\nb", " a", "=1+1", "\tb", "é声", "NA", "01", "'"])
ROWS = st.lists(
    st.tuples(NAMES | CURIOUS, st.integers(0, 1), st.floats(allow_nan=False, allow_infinity=False), TEXT | CURIOUS),
    min_size=1, max_size=8, unique_by=lambda row: tables.os.path.normpath(row[0]),
)  # fmt: skip

WORDS = [("bonafide", "spoof"), ("Real", "FAKE"), ("1", "0"), ("bona fide", "Deep-Fake")]


@given(ROWS)
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    frame = pd.DataFrame(rows, columns=["path", "label", "score", "speaker"])
    tables.write(path, frame)
    again = tables.read(path, needs=SCORES)
    assert again[["path", "label", "score", "speaker"]].to_numpy().tolist() == list(map(list, rows))


@given(
    ROWS,
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.booleans(),
    st.lists(st.sampled_from(WORDS), min_size=8, max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_tables_of_any_form_are_read_alike(tmp_path_factory, rows, separator, end, encoding, comma, words):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["File Name", "LABEL", "score", "speaker"])
    for (name, label, value, speaker), (real, fake) in zip(rows, words, strict=False):
        number = repr(value).replace(".", ",") if comma and separator != "," else repr(value)
        writer.writerow([name, real if label else fake, number, speaker])
    path.write_bytes(buffer.getvalue().encode(encoding))
    again = tables.read(path, needs=SCORES)
    assert again[["path", "label", "score", "speaker"]].to_numpy().tolist() == list(map(list, rows))


SIGNS = [*",;\t|\"\r\n \0'ab1._-=/\\", "path", "label", "spoof", "\ufeff", "\x85", "\u2028"]
ODD = st.lists(st.sampled_from(SIGNS), max_size=40).map("".join)
HEADS = st.sampled_from(["", "path,label,score\n", "path;label\na;1\n", "file|x\r"])


@given(HEADS, ODD, st.sampled_from(["utf-8", "utf-16"]))
@settings(max_examples=300, deadline=None)
def test_whatever_a_file_holds_it_is_a_table_or_an_error_of_one_line(tmp_path_factory, head, rest, encoding):
    path = tmp_path_factory.getbasetemp() / "odd.csv"
    path.write_bytes((head + rest).encode(encoding))
    refused = None
    try:
        found = tables.read(path)
    except DataError as error:
        refused = str(error)
    if refused is None:
        assert found["path"].is_unique
        assert len(found) < len((head + rest).splitlines())
    else:
        assert len(refused.splitlines()) == 1


@given(st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_whatever_bytes_a_file_holds(tmp_path_factory, content):
    for name in ("bytes.csv", "bytes.parquet"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(content)
        with pytest.raises(DataError):
            tables.read(path)


def test_a_list_of_clips_finds_them_whichever_way_their_paths_are_written(put, tmp_path):
    for name in ("Real/a.wav", "Fake/b.wav", "c;\\d.wav", " e.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    text = "label, path\nreal, Real\\a.wav\nfake,./Fake/../Fake/b.wav\n,c;\\d.wav\nfake, e.wav\nfake,gone.wav\n"
    table, left_out = tables.read_manifest(put(text))
    assert table["path"].tolist() == [
        str(tmp_path / name) for name in ("Real/a.wav", "Fake/b.wav", "c;\\d.wav", " e.wav")
    ]
    assert table["label"].fillna(-1).tolist() == [1, 0, -1, 0]
    assert table["attack"].tolist() == ["bonafide", "unknown", "unknown", "unknown"]
    assert left_out.to_numpy().tolist() == [[str(tmp_path / "gone.wav"), "listed in table.csv but not there"]]


def test_paths_are_written_relative_to_a_folder():
    assert tables.below(["/data/mine/Real/a.wav", "/data/other/b.wav"], "/data/mine") == [
        "Real/a.wav",
        "../other/b.wav",
    ]
    assert tables.below(["/a.wav"], "/") == ["a.wav"]
    assert tables.below(["/a.wav"], "") == ["/a.wav"]
    assert tables.common_root(["/data/mine", "/data/yours"], ["/data/mine/a.wav"]) == "/data"
    assert tables.common_root(["/home/list"], ["/data/mine/a.wav", "/data/mine/b/c.wav"]) == "/data/mine"


def test_a_long_list_is_read_in_seconds(put):
    count = 100_000
    path = put("path,label,score,speaker,sha256\n" + "".join(
        f"flac/E_{number:010}.flac,{('spoof', 'bonafide')[number % 2]},{number / 7},{number % 700:04},{number:064x}\n"
        for number in range(count)
    ))  # fmt: skip
    start = time.process_time()
    assert len(tables.read(path, needs=SCORES)) == count
    assert time.process_time() - start < 10  # 0.5 s where it was written
