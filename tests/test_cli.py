import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile
from typer.testing import CliRunner

from dfdlib import audio, cli, detector


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """A project folder of the test's own: commands keep scores in it."""
    monkeypatch.setenv("DFD_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


@pytest.fixture
def dfd(capfd):
    """Run the command line in this process: returns exit status, standard output, standard error."""

    def run(*arguments):
        monkey = pytest.MonkeyPatch()
        monkey.setattr(sys, "argv", ["dfd", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        monkey.undo()
        written = capfd.readouterr()
        return left.value.code, written.out, written.err

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mini.safetensors"
    detector.save(path, detector.build("mini", seed=1), metadata={})
    return path


@pytest.fixture
def table(tmp_path, rng):
    """A table of scores of forty clips, well separated."""
    labels = np.repeat([1, 0], 20)
    frame = pd.DataFrame(
        {
            "path": [f"{number}.wav" for number in range(40)],
            "label": np.where(labels == 1, "bonafide", "spoof"),
            "score": rng.standard_normal(40) + 2 * labels,
        }
    )
    frame.to_csv(tmp_path / "scores.csv", index=False)
    return tmp_path / "scores.csv"


def commands():
    yield []
    for command in cli.app.registered_commands:
        yield [command.name or command.callback.__name__.replace("_", "-")]
    for command in cli.data_app.registered_commands:
        yield ["data", command.name]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(command):
    shown = CliRunner().invoke(cli.app, [*command, "--help"])
    assert shown.exit_code == 0
    assert not command or f"Example: dfd {' '.join(command)}" in shown.output


def test_score_prints_a_table_and_says_which_way_is_real(dfd, clips, weights, tmp_path):
    status, out, err = dfd("score", clips, "--checkpoint", weights, "--out", tmp_path / "out.csv")
    assert status == 0
    assert "higher means bona fide" in out
    assert len([line for line in out.splitlines() if line.endswith(".wav")]) == 8
    assert "8 scored, 0 left out" in err
    assert sorted(pd.read_csv(tmp_path / "out.csv")["label"].unique()) == ["bonafide", "spoof"]


def test_score_takes_clips_without_labels(dfd, clips, weights, tmp_path):
    lonely = tmp_path / "talk.wav"
    (clips / "Real/real0.wav").rename(lonely)
    status, out, _ = dfd("score", lonely, "--checkpoint", weights, "--out", tmp_path / "out.csv")
    assert status == 0
    assert "talk.wav" in out
    assert pd.read_csv(tmp_path / "out.csv")["label"].isna().all()


def test_a_bad_clip_is_named_and_the_others_are_scored(dfd, clips, weights):
    (clips / "Real/text.wav").write_text("no sound")
    soundfile.write(clips / "Fake/nan.wav", np.full(8000, np.nan), 16_000, subtype="FLOAT")
    status, _, err = dfd("score", clips, "--checkpoint", weights)
    assert status == 1
    assert "8 scored, 2 left out" in err
    assert "text.wav: cannot be decoded" in err
    assert "nan.wav: holds samples that are NaN" in err


def test_score_takes_a_list_and_writes_a_timeline(dfd, clips, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{clips / 'Real/real0.wav'}\n{clips / 'Fake/fake1.wav'}\n"))
    status, _, err = dfd("score", "-", "--checkpoint", weights, "--windows", tmp_path / "windows.csv")
    assert status == 0
    assert "2 scored" in err
    written = pd.read_csv(tmp_path / "windows.csv")
    assert written.columns.tolist() == ["path", "start", "end", "score"]
    assert len(written) == 2


def test_scores_are_kept_between_commands(dfd, clips, weights, root):
    decode = audio.load
    _, first, _ = dfd("score", clips, "--checkpoint", weights, "--no-cache")
    assert not root.exists()
    assert dfd("score", clips, "--checkpoint", weights)[1] == first
    assert (root / "data/cache/scores.sqlite").is_file()
    audio.load = None  # nothing is decoded twice
    try:
        assert dfd("score", clips, "--checkpoint", weights)[1] == first
    finally:
        audio.load = decode


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_file(clips, weights, tmp_path, rng):
    for number in range(300):
        audio.write_wav(clips / f"Fake/more{number}.wav", 0.1 * rng.standard_normal(32_000), rate=16_000)

    def score(root, out):
        (tmp_path / root).mkdir(exist_ok=True)
        command = ["dfd", "score", clips, "--checkpoint", weights, "--batch-size", "4", "--out", tmp_path / out]
        return subprocess.Popen(
            [str(word) for word in command], env=os.environ | {"DFD_ROOT": str(tmp_path / root)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    assert score("whole", "whole.csv").wait() == 0
    for seconds in (3.0, 4.0, 4.5, 5.0, 5.5, 6.0):
        killed = score("killed", "killed.csv")
        time.sleep(seconds)
        killed.kill()
        killed.wait()
    assert score("killed", "killed.csv").wait() == 0
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "nowhere.wav"], "nowhere.wav: there is no such file or folder"),
        (["score", ".", "--protocol", "newest"], "choose one of original, corrected"),
        (["score", ".", "--checkpoint", "none.pth"], "no usable clip"),
        (["evaluate", "none.csv"], "none.csv: there is no such file"),
        (["report", "--profile", "none"], "choose demo or original-study"),
        (["report", "--set", "finetune.epoch=2"], "did you mean finetune.epochs"),
        (["audit", "."], "no usable clip"),
    ],
)
def test_what_is_wrong_with_the_input_is_one_line(dfd, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = dfd(*arguments)
    assert status == 1
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_missing_checkpoint_is_one_line(dfd, clips):
    status, _, err = dfd("score", clips, "--checkpoint", "none.pth")
    assert status == 1
    assert "none.pth" in err
    assert len(err.strip().splitlines()) == 1


def test_wrong_usage_is_status_2(dfd):
    assert dfd("score")[0] == 2
    assert dfd("no-such-command")[0] == 2
    assert dfd("check-figures", "--eer", "much", "--auc", "0.5")[0] == 2


def test_evaluate(dfd, table):
    status, out, _ = dfd("evaluate", table, "--json")
    values = json.loads(out)
    assert status == 0
    assert {"n_bonafide", "n_spoof", "eer", "eer_threshold", "auc", "min_dcf", "act_dcf", "cllr", "min_cllr"} <= set(
        values
    )
    assert values["n_bonafide"] == 20
    assert values["eer_ci"][0] <= values["eer"] <= values["eer_ci"][1]
    status, out, _ = dfd("evaluate", table)
    assert f"{values['eer']:.4f}" in out


def test_evaluate_refuses_one_class(dfd, table):
    pd.read_csv(table).head(20).to_csv(table, index=False)
    status, _, err = dfd("evaluate", table)
    assert status == 1
    assert "spoof" in err


def test_compare(dfd, table, tmp_path):
    better = pd.read_csv(table)
    better["score"] += 5 * (better["label"] == "bonafide")
    better.to_csv(tmp_path / "after.csv", index=False)
    status, out, _ = dfd("compare", table, tmp_path / "after.csv", "--json")
    values = json.loads(out)
    assert status == 0
    assert values["delta_eer"] == values["eer_after"] - values["eer_before"] < 0
    assert values["delta_auc_ci"][0] <= values["delta_auc"] <= values["delta_auc_ci"][1]


def test_check_figures(dfd):
    status, out, _ = dfd("check-figures", "--eer", "0.3069", "--auc", "0.2387", "--json")
    assert status == 1
    assert json.loads(out)["possible"] is False
    assert json.loads(out)["auc_bounds"] == pytest.approx([0.4804, 0.9058], abs=1e-3)
    status, out, _ = dfd("check-figures", "--eer", "0.4736", "--auc", "0.4322")
    assert status == 0
    assert out.rstrip().endswith("possible.")


def test_audit(dfd, toy):
    custom = toy.parent / "custom"
    status, out, _ = dfd("audit", custom, "--json")
    assert status == 1  # a clip was left out
    found = json.loads(out)
    assert found["clips"] == 12
    assert found["left_out"][0]["path"].endswith("broken.wav")
    assert 0 <= found["shortcut_eer"] <= 1


def test_audit_of_too_few_clips_is_one_line(dfd, clips):
    status, _, err = dfd("audit", clips)
    assert status == 1
    assert "4 independent clips in its smaller class" in err


def test_data_list_and_fetch(dfd):
    status, out, _ = dfd("data", "list", "--json")
    assert status == 0
    assert {row["profile"] for row in json.loads(out)} == {"demo", "original-study"}
    status, out, _ = dfd("data", "fetch", "for-2seconds")
    assert status == 0
    assert "Fake-or-Real" in out
    assert dfd("data", "fetch", "everything")[0] == 2


def test_an_interrupt_is_said_in_one_line(dfd, monkeypatch):
    from dfdlib import corpus

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus, "find", interrupt)
    status, _, err = dfd("score", "clip.wav")
    assert status == 130
    assert "what was finished is kept" in err


def test_the_command_is_installed():
    done = subprocess.run(["dfd", "--help"], capture_output=True, text=True, check=True)
    assert "higher means bona fide" in " ".join(done.stdout.split())
