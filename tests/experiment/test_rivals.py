"""Other detectors on the clips of a run."""

import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from dfdlib.data.audit import measure, shortcuts
from dfdlib.detector import network
from dfdlib.errors import DataError, DfdError, ParameterError
from dfdlib.evaluation import metrics
from dfdlib.experiment import profile, rivals
from dfdlib.experiment import run as experiment
from dfdlib.experiment.clips import TARGET

MODULE = """
class make:
    fingerprint = "1"
    def score(self, windows):
        return windows.std(axis=1)  # the toy's spoof clips are the louder ones
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rivals")


def opened(toy, folder, *named):
    overrides = [f"rivals=[{', '.join(map(str, named))}]", "threads=1"]
    return experiment.Run.open(str(toy), run_dir=folder / "run", overrides=overrides)


def listed(run, file, score, *, without=()):
    """Write what a function of the rows says of every validation and testing clip."""
    known = run.corpus(TARGET, split="validation").table.assign(corpus="validation")
    parts = [known, *(run.corpus(name).table.assign(corpus=name) for name in run.with_audio)]
    table = pd.concat([part for part in parts if part["corpus"].iloc[0] not in without])
    table = table[~table["path"].str.contains("broken")]
    rows = table.assign(score=score(table), label=table["label"].map({1: "bonafide", 0: "spoof"}))
    rows[["path", "label", "score"]].to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def compared(toy, folder):
    run = opened(toy, folder)
    perfect = listed(run, folder / "perfect.csv", lambda table: table["label"] + np.arange(len(table)) / 1000)
    (folder / "loudness.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        run = opened(toy, folder, "shortcuts", perfect, "'loudness:make'")
        return run, rivals.compare(run)


def test_each_is_measured_on_the_clips_of_all(compared):
    run, table = compared
    assert table["detector"].tolist() == ["mini", "shortcuts", "perfect.csv", "loudness:make"] * 3
    ours = run.scores("before", "custom")
    row = table[(table["detector"] == "mini") & (table["corpus"] == "custom")].iloc[0]
    assert row["eer"] == metrics.eer(ours.labels, ours.values).value
    assert row["clips"] == len(ours.table) == 12  # one of 13 is broken
    found = table.set_index(["detector", "corpus"])
    assert (found.loc["perfect.csv", "eer"] == 0).all()
    assert (found.loc["perfect.csv", "fused_eer"] == 0).all()
    assert (found.loc["perfect.csv", "both_wrong"] == 0).all()
    difference = found.loc["perfect.csv", "eer"] - found.loc["mini", "eer"]
    assert np.allclose(found.loc["perfect.csv", "difference"], difference)
    assert np.isnan(found.loc[("mini", "custom"), "difference"])
    shown = table[table["difference"].notna()]
    leaves_out = (shown["difference_low"] > 0) | (shown["difference_high"] < 0)
    assert (leaves_out == shown["difference_shown"].astype(bool)).all()


def test_what_is_known_of_each(compared):
    run, table = compared
    found = table.groupby("detector").first()
    assert found["parameters"].dropna().to_dict() == {"mini": 386_000, "shortcuts": 10}
    assert found["seconds"].isna().to_dict() == {
        "mini": False, "shortcuts": False, "perfect.csv": True, "loudness:make": False
    }  # fmt: skip
    assert found["precision"].fillna("").to_dict() == {
        "mini": "float32", "shortcuts": "", "perfect.csv": "", "loudness:make": ""
    }  # fmt: skip
    # Louder is spoof here: that is said, and nothing is turned round.
    assert found["seems_inverted"].to_dict()["loudness:make"]
    assert (table.loc[table["detector"] == "loudness:make", "eer"] == 1).all()
    assert np.allclose(table.loc[table["detector"] == "loudness:make", "cllr"], 1)
    assert all("seconds" not in row for row in run.results["rivals"])


def test_a_detector_of_ones_own_has_rivals_too(toy, folder, monkeypatch):
    small = "\nclass small(make):\n    rate, window = 8_000, 4_000\n"
    (folder / "loudness.py").write_text(MODULE + small)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "loudness", raising=False)
    overrides = ["detector=loudness:make", "rivals=[shortcuts, 'loudness:small']", "threads=1"]
    run = experiment.Run.open(str(toy), run_dir=folder / "own", overrides=overrides)
    found = rivals.compare(run).set_index(["detector", "corpus"])
    assert (found.loc["loudness:make", "eer"] == 1).all()
    assert found.loc["loudness:make", "parameters"].isna().all()
    assert (found.loc["shortcuts", "difference"] < 0).all()
    assert found.loc["loudness:small", "seems_inverted"].all()  # at a rate of its own


def test_shortcuts_are_a_logistic_regression_on_training_clips(compared):
    run, _ = compared
    kept = pd.read_csv(run.folder / "scores/before-custom-by-shortcuts.csv")
    clips = run.corpus("custom")
    features, _ = measure.nuisance_table(clips)
    fitted = shortcuts.detector(run.corpus(TARGET, split="training"))
    expected = dict(zip(clips.table.loc[features.index, "sha256"], fitted.decision_function(features.to_numpy()),
                        strict=True))  # fmt: skip
    assert np.allclose(kept["score"], kept["sha256"].map(expected), atol=1e-3)


def test_score_files_may_have_paths_from_their_corpus(toy, folder):
    run = opened(toy, folder)
    file = listed(run, folder / "short-paths.csv", lambda table: table["label"] + 0.5)
    rows = pd.read_csv(file)
    roots = [str(run.corpus(name).root) for name in (TARGET, "custom", "source")]
    rows = rows[rows["path"].str.startswith(tuple(roots[:2]))]
    for root in roots:
        rows["path"] = rows["path"].str.removeprefix(f"{root}/")
    rows.to_csv(file, index=False)
    run = opened(toy, folder, file)
    labels, scores = rivals.scores(run, "custom")[file.name]
    assert len(labels) == 12
    np.testing.assert_array_equal(scores, labels + 0.5)
    kept = rivals.find(run, str(file)).scores(run.corpus("custom"), "custom").table
    assert kept["path"].tolist() == run.corpus("custom").table["path"].tolist()


def test_a_path_of_clips_of_several_corpora_is_refused_where_no_content_tells_them_apart(toy, folder):
    run = opened(toy, folder)
    file = listed(run, folder / "alike.csv", lambda table: table["label"] + 0.5)
    rows, clips = pd.read_csv(file), run.corpus("source")
    # The paths of source from its folder are also those of for-2seconds.
    own = rows[rows["path"].str.startswith(f"{clips.root}/")]
    own = own.assign(sha256=own["path"].map(clips.table.set_index("path")["sha256"]))
    own = own.assign(path=own["path"].str.removeprefix(f"{clips.root}/"))
    own.drop(columns="sha256").to_csv(file, index=False)
    with pytest.raises(DataError, match=r"alike\.csv: as a rival on source: \S+ is the path of a clip in several"):
        rivals.find(run, str(file)).scores(clips, "source")
    own.to_csv(file, index=False)
    found = rivals.find(run, str(file)).scores(clips, "source").table
    assert len(found) == len(own)
    np.testing.assert_array_equal(found["score"], found["label"] + 0.5)


def test_score_files_need_the_validation_clips(toy, folder):
    file = listed(opened(toy, folder), folder / "short.csv", lambda table: table["label"], without=["validation"])
    with pytest.raises(DataError, match=r"short\.csv: as a rival on for-2seconds.*no clip in common"):
        rivals.compare(opened(toy, folder, file))


def test_what_cannot_be_a_rival_is_named(toy, folder):
    with pytest.raises(ParameterError, match=r"rivals.*no detector is called 'nobody'"):
        profile.load(toy, overrides=["rivals=[nobody]"])
    with pytest.raises(ParameterError, match=r"two are called the same"):
        profile.load(toy, overrides=["rivals=[a/x.csv, b/x.csv]"])
    with pytest.raises(DfdError, match="rawnet2: its weights are not here; download"):
        rivals.find(opened(toy, folder, "rawnet2"), "rawnet2")


def test_a_rival_that_is_not_there_is_said_before_the_work_begins(folder):
    (folder / "scores.csv").touch()
    rivals.require(["shortcuts", "my_package.module:make", str(folder / "scores.csv")])
    with pytest.raises(DataError, match=r"gone\.csv: there is no such file; correct the setting rivals"):
        rivals.require(["shortcuts", str(folder / "gone.csv")])
    with pytest.raises(DfdError, match="rawnet2: its weights are not here"):
        rivals.require(["rawnet2"])


def test_the_files_of_rivals_are_among_the_inputs(toy, folder):
    assert rivals.place("shortcuts") is None
    assert rivals.place("my_package.module:make") == profile.root() / "my_package/module.py"
    assert rivals.place("mine.csv") == profile.root() / "mine.csv"


def test_scores_of_rivals_are_on_the_clips_that_the_detector_scored(compared):
    run, table = compared
    found = rivals.scores(run, "custom")
    assert list(found) == table["detector"].unique()[1:].tolist()
    for name, (labels, values) in found.items():
        row = table[(table["detector"] == name) & (table["corpus"] == "custom")].iloc[0]
        assert metrics.eer(labels, values).value == row["eer"]
    assert rivals.scores(run, "a corpus of scores alone") == {}


def test_a_detector_is_no_rival_of_itself(toy, tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("DFD_ROOT", str(tmp_path))
    ours, other = tmp_path / "data/models/mini-baseline.safetensors", tmp_path / "other.safetensors"
    ours.parent.mkdir(parents=True)
    network.save(ours, network.build("mini", seed=1), metadata={})
    shutil.copy(ours, other)
    for checkpoint, found in ((ours, set()), (other, {"mini"})):
        overrides = [f"checkpoint={checkpoint}", "rivals=[mini]", "threads=1"]
        run = experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=overrides)
        assert set(rivals.scores(run, "custom")) == found
