import json
import types
from pathlib import Path

import pytest
from planted import plant

from dfdlib.data import corpora, fetch

CHECKPOINT = Path(__file__).parents[2] / "data/models/mini-resnet-baseline.safetensors"


# Commands keep scores in a project folder of each test.
pytestmark = pytest.mark.usefixtures("root")


def test_list_names_every_corpus_and_those_of_the_profiles(dfd, root):
    (root / "data/corpora/in-the-wild").mkdir(parents=True)
    (root / "data/corpora/in-the-wild/meta.csv").write_text("")
    status, out, _ = dfd("data", "list", "--json")
    assert status == 0
    told = json.loads(out)
    assert [row["corpus"] for row in told["corpora"]] == list(corpora.all_of_them())
    assert [row["corpus"] for row in told["corpora"] if row["there"]] == ["in-the-wild"]
    assert {row["profile"] for row in told["profiles"]} == {"demo", "original-study"}
    status, out, _ = dfd("data", "list")
    assert status == 0
    for words in (
        "  611,829",
        "~943,110",
        "~121,460",
        "37.9",
        "ODC-BY 1.0",
        "https://deepfake-total.com/in_the_wild",
        "for-2seconds",
    ):
        assert words in out


def test_fetch_says_licence_and_home_before_it_asks(dfd, root, monkeypatch):
    asked = []
    monkeypatch.setattr(fetch, "fetch", lambda source, folder, *, say: asked.append((source, folder)))
    status, out, _ = dfd("data", "fetch", "asvspoof2021-df")
    assert status == 0
    lines = out.splitlines()
    assert lines[1:4] == [
        "licence: ODC-BY 1.0",
        "home: https://www.asvspoof.org/index2021.html",
        "from: https://zenodo.org/records/4835108",
    ]
    assert asked == [(corpora.all_of_them()["asvspoof2021-df"].get, root / "data/corpora/asvspoof2021-df")]
    assert f"dfd data check asvspoof2021-df {root}/data/corpora/asvspoof2021-df" in lines[-1]


def test_fetch_prints_the_steps_where_an_agreement_is_needed(dfd, monkeypatch):
    monkeypatch.setattr(fetch, "fetch", types.SimpleNamespace())  # not to be called
    status, out, _ = dfd("data", "fetch", "fakeavceleb", "--to", "/x/y")
    assert status == 0
    assert "by hand: fill in the request form" in out
    assert "then: dfd data check fakeavceleb /x/y" in out
    status, out, _ = dfd("data", "fetch", "for-2seconds", "--dry-run")
    assert status == 0
    assert "https://www.kaggle.com/datasets/mohammedabdeldayem/the-fake-or-real-dataset" in out
    status, _, err = dfd("data", "fetch", "everything")
    assert status == 1
    assert err.startswith("dfd: corpus 'everything': there is none of that name; choose asvspoof2019-la")
    assert err.count("\n") == 1


def test_check_counts_clips_and_says_what_is_missing_and_left_over(dfd, root, tmp_path):
    plant(tmp_path / "DF", "asvspoof2021-df")
    status, out, _ = dfd("data", "check", "asvspoof2021-df", tmp_path / "DF")
    assert status == 1  # it has three lines, not 611,829
    assert "3 lines; published are 611,829 all (611,826 fewer here)" in out
    plant(tmp_path / "mlaad", "mlaad")
    status, out, _ = dfd("data", "check", "mlaad", tmp_path / "mlaad")
    assert status == 0
    assert "mlaad: 2 clips" in out
    assert "1 other file: 1 .wav not of mlaad" in out
    (tmp_path / "mlaad/fake/de/invented_vits/a.wav").write_bytes(b"no sound")
    status, out, _ = dfd("data", "check", "mlaad", tmp_path / "mlaad", "--json")
    assert status == 1
    told = json.loads(out)
    assert not told["complete"]
    (paths,) = told["left_out"].values()
    assert paths == [str(tmp_path / "mlaad/fake/de/invented_vits/a.wav")]
    assert (root / "data/cache/files.sqlite").exists()


@pytest.mark.parametrize("command", ["score", "audit"])
def test_commands_take_a_corpus_by_name(dfd, tmp_path, command):
    plant(tmp_path / "DF", "asvspoof2021-df")
    rest = ["--checkpoint", CHECKPOINT, "--json"] if command == "score" else ["--json"]
    status, out, err = dfd(command, tmp_path / "DF", "--corpus", "asvspoof2021-df", *rest)
    assert status == 0, err
    assert "asvspoof2021-df: 3 lines, 2 of them eval; published are 611,829 all" in err
    told = json.loads(out)
    if command == "score":
        assert [row["codec"] for row in told["scores"]] == ["low_m4a", "high_ogg"]
        assert [row["attack"] for row in told["scores"]] == ["Task1-team20", "bonafide"]
    status, _, err = dfd(command, tmp_path / "DF", "--corpus", "asvspoof2021-fd")
    assert status == 1
    assert "corpus 'asvspoof2021-fd': there is none of that name" in err
