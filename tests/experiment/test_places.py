"""Where the corpora of a profile are: folders, public corpora, score files."""

import json

import pytest
import yaml

from dfdlib.errors import DataError, ParameterError
from dfdlib.experiment import Run, places, profile
from dfdlib.experiment.run import STAGES
from dfdlib.report import methods, tables

SCORES = {"scores": {"before": "a.txt", "after": "b.txt"}, "key": "k.csv"}


@pytest.fixture
def load(tmp_path):
    """Load a profile with some data, and overrides."""

    def load(data, *overrides):
        values = {"name": "m", "title": "M", "detector": "mini", "checkpoint": "w"}
        (tmp_path / "mine.yaml").write_text(
            yaml.safe_dump(values | {"data": {"for_2seconds": "a", "custom": "b"} | data}, sort_keys=False)
        )
        return profile.load(tmp_path / "mine.yaml", overrides=overrides)

    return load


def test_the_data_may_be_public_corpora(load):
    wild = {"custom": {"path": "b", "corpus": "in-the-wild"}}
    settings = load(wild)
    assert settings.data.custom == profile.root() / "b"
    assert settings.data.public("custom") == "in-the-wild"
    changed = load(wild, "data.corpora.custom=asvspoof5/dev", "data.corpora.for_2seconds=for-norm")
    assert changed.data.public("custom") == "asvspoof5/dev"
    assert changed.data.public("for-2seconds") == "for-norm"
    assert changed.data.public("source") is None
    # a folder in the place of both is a folder of clips again
    assert load(wild, "data.custom=/x").data.public("custom") is None
    with pytest.raises(ParameterError, match=r"corpora\.custom: corpus 'in-the-wold': there is none"):
        load({"custom": {"path": "b", "corpus": "in-the-wold"}})


def test_any_number_of_corpora_beside_the_three(load):
    others = {"phone": "p", "wild": {"path": "/w", "corpus": "in-the-wild"}, "given": SCORES}
    data = load({"others": others}).data
    assert list(data.places) == ["for-2seconds", "custom", "phone", "wild", "given"]
    assert data.places["phone"] == profile.root() / "p"
    assert data.public("wild") == "in-the-wild"
    assert data.places["given"].files == [profile.root() / name for name in ("a.txt", "b.txt", "k.csv")]
    assert len(data.files) == 7
    changed = load({"others": others}, "data.others.phone=/other, place", "data.others.wild=null").data
    assert str(changed.places["phone"]) == "/other, place"
    assert "wild" not in changed.places
    more = load({}, "data.others.new={path: /n, corpus: asvspoof5}", "data.custom={scores: {before: a, after: b}}").data
    assert more.public("new") == "asvspoof5"
    assert isinstance(more.custom, places.ScoreFiles)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"others": {"custom": "x"}}, "others: 'custom' cannot be the name of a corpus"),
        ({"others": {"../x": "x"}}, "others: '../x' cannot be the name"),
        ({"corpora": {"phone": "in-the-wild"}}, "there is no corpus 'phone'; name it in others"),
        ({"custom": {"scores": "a.txt"}}, "write 'scores: {before: …, after: …}'; 'dfd evaluate' takes a single list"),
        ({"custom": {"scores": {"before": "a"}}}, "'data.custom.scores.after' is missing"),
        ({"others": {"x": {"scores": {"before": "a", "after": "b"}, "keys": "k"}}}, "data.others.x.scores.keys"),
        ({"others": ["x"]}, "data.others = .* is not allowed"),
    ],
)
def test_data_that_cannot_be_is_refused_by_name(load, data, said):
    with pytest.raises(ParameterError, match=said):
        load(data)


def test_score_files_stand_for_clips_where_none_are_heard(toy, tmp_path):
    """After fine-tuning the classes are apart, so that the EER is 0."""
    key = [f"{'real' if row % 2 else 'fake'}{row},{'bonafide' if row % 2 else 'spoof'},{'mp3' if row < 6 else 'opus'}"
           for row in range(12)]  # fmt: skip
    (tmp_path / "k.csv").write_text("\n".join(["file_name,label,codec", *key]))
    before = [f"{line.split(',')[0]}.wav {(row if row % 2 else 11 - row):.1f}" for row, line in enumerate(key)]
    after = [f"{line.split(',')[0]} {row % 2 + row / 100}" for row, line in reversed(list(enumerate(key)))]
    (tmp_path / "before.txt").write_text("\n".join(before))
    (tmp_path / "after.txt").write_text("\n".join(after))
    scores = {"scores": {name: f"{tmp_path}/{name}.txt" for name in STAGES}, "key": f"{tmp_path}/k.csv"}
    overrides = [f"data.custom={json.dumps(scores)}", "recipes={joint: {also: [custom]}}"]
    run = Run.open(str(toy), run_dir=tmp_path / "run", overrides=overrides)
    assert run.corpora == ["for-2seconds", "custom", "source"]
    assert run.with_audio == ["for-2seconds", "source"]
    assert [run.scores(stage, "custom").values.mean() for stage in ("before", "after")] == pytest.approx([6, 0.555])
    table = run.scores("after", "custom").table
    assert table["path"].is_monotonic_increasing
    assert set(table["attack"]) == {"bonafide", "unknown"}
    assert run.errors_by("after", "custom", "codec")["eer"].tolist() == [0, 0]
    sizes = tables.overview(run).set_index("corpus").loc["custom"]
    assert sizes[["n_bonafide", "n_spoof"]].tolist() == [6, 6]
    assert sizes[["total_min"]].isna().all()
    assert tables.examples(run, "custom").empty
    assert "custom" not in set(tables.shortcut_features(run)["corpus"])
    assert methods.corpora(run)[1]["splits"] == {"all": [6, 6]}
    with pytest.raises(DataError, match="no clips of custom"):
        run.extra_clips("custom")
    assert [clips.name for clips in run.tested()] == ["for-2seconds", "source"]


def test_a_public_corpus_beside_the_three_is_read_by_its_lists(toy, tmp_path):
    rows = []
    for label, word in (("Real", "bona-fide"), ("Fake", "spoof")):
        for clip in sorted((toy.parent / "custom" / label).glob("[0-3].wav")):
            (tmp_path / "wild").mkdir(exist_ok=True)
            (tmp_path / "wild" / f"{len(rows)}.wav").write_bytes(clip.read_bytes())
            rows.append(f"{len(rows)}.wav,Somebody {len(rows)},{word}")
    (tmp_path / "wild/meta.csv").write_text("\n".join(["file,speaker,label", *rows]))
    wild = {"path": f"{tmp_path}/wild", "corpus": "in-the-wild"}
    run = Run.open(str(toy), run_dir=tmp_path / "run", overrides=[f"data.others.wild={json.dumps(wild)}"])
    assert run.with_audio == ["for-2seconds", "custom", "source", "wild"]
    assert run.corpus("wild").table["label"].tolist() == [1] * 4 + [0] * 4
    said = tables.audit_findings(run).set_index("corpus")["finding"]["wild"]
    assert any(text.startswith("in-the-wild: 8 lines; published are 31,779 all (31,771 fewer here)") for text in said)
