import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import tomllib
import typing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from makers import child
from typer.testing import CliRunner

from dfdlib.cli import app, data, printing
from dfdlib.cli import weights as weights_cli
from dfdlib.data import audio
from dfdlib.detector import network, registry

# Commands keep scores in a project folder of each test.
pytestmark = pytest.mark.usefixtures("root")


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
    for command in app.app.registered_commands:
        yield [command.name or command.callback.__name__.replace("_", "-")]
    for command in data.data_app.registered_commands:
        yield ["data", command.name]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(command):
    shown = CliRunner().invoke(app.app, [*command, "--help"])
    assert shown.exit_code == 0
    assert not command or f"Example: dfd {' '.join(command)}" in shown.output


def test_score_prints_a_table_and_says_which_way_is_real(dfd, clips, weights, tmp_path):
    status, out, err = dfd("score", clips, "--checkpoint", weights, "--out", tmp_path / "out.csv")
    assert status == 0
    assert "higher means bona fide" in out
    assert len([line for line in out.splitlines() if line.endswith(".wav")]) == 8
    assert "8 scored, 0 left out" in err
    assert sorted(pd.read_csv(tmp_path / "out.csv")["label"].unique()) == ["bonafide", "spoof"]


def test_the_default_detector_says_what_it_is(dfd, clips, weights, root, tmp_path):
    (root / "data/models").mkdir(parents=True)
    model = network.load(weights)
    network.save(root / "elsewhere.safetensors", model, metadata={"trained_on": "source"})
    (root / "data/models/mini-resnet-baseline.safetensors").symlink_to(root / "elsewhere.safetensors")
    outputs = ["--out", tmp_path / "out.csv"]
    status, out, err = dfd("score", clips, *outputs, "--json")
    assert status == 0
    size = sum(parameter.numel() for parameter in model.parameters())
    (line,) = (line for line in err.splitlines() if "demonstration" in line)
    assert f"{size:,} parameters, trained on the demo's corpus 'source'" in line
    assert "mean nothing outside the demo's corpora; name a real detector with --checkpoint" in line
    assert set(pd.read_csv(tmp_path / "out.csv")["detector"]) == {"mini (demonstration)"}
    found = json.loads(out)
    assert found["detector"]["demonstration"] is True
    assert found["detector"]["parameters"] == size
    assert sorted({row["label"] for row in found["scores"]}) == ["bonafide", "spoof"]
    assert all(np.isfinite(row["score"]) for row in found["scores"])
    assert found["left_out"] == []
    dfd("score", clips, "--out", tmp_path / "out.parquet")
    assert pd.read_parquet(tmp_path / "out.parquet").attrs["detector"] == found["detector"]
    _, out, err = dfd("score", clips, "--checkpoint", weights, *outputs, "--json")
    assert "demonstration" not in err
    expected = {"name": "mini", "parameters": size, "demonstration": False, "precision": "float32"}
    assert json.loads(out)["detector"] == expected
    assert set(pd.read_csv(tmp_path / "out.csv")["detector"]) == {"mini"}


def test_export_takes_the_demo_baseline_and_names_what_is_missing(dfd, tmp_path):
    status, _, err = dfd("export", "--onnx", tmp_path / "file.onnx")
    assert status == 1
    assert err.startswith(f"dfd: {tmp_path / 'root/data/models'}")
    assert "No such file" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "file.onnx").exists()


def test_export_does_not_write_over_the_weights_of_the_detector_it_reads(dfd, tmp_path, monkeypatch):
    kept = tmp_path / "kept.onnx"
    kept.write_bytes(b"weights")
    monkeypatch.setattr(registry, "weights", lambda name, folder: kept)
    status, out, err = dfd("export", "--detector", "mini", "--onnx", kept)
    assert (status, out) == (2, "")
    assert "is read by this command" in err
    assert kept.read_bytes() == b"weights"


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
    # A list as another system writes it, and a name with what Unicode calls the end of a line.
    odd = clips / "Real/one\x0btwo\x85three\u2028four.wav"
    (clips / "Real/real0.wav").rename(odd)
    lines = f"\ufeff{odd}\r\n\r\n{clips / 'Fake/fake1.wav'}\n \n{clips / 'gone.wav'}\r\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines + os.fsencode(clips) + b"/\xff.wav")))
    status, _, err = dfd("score", "-", "--checkpoint", weights, "--windows", tmp_path / "windows.csv")
    assert status == 1
    assert "2 scored, 2 left out" in err
    assert "gone.wav: there is no such file" in err
    assert "\\udcff.wav: its name is not UTF-8" in err
    written = pd.read_csv(tmp_path / "windows.csv")
    assert written.columns.tolist() == ["path", "start", "end", "score"]
    assert len(written) == 2


def test_scores_are_kept_between_commands(dfd, clips, weights, root):
    decode = audio.stream
    _, first, _ = dfd("score", clips, "--checkpoint", weights, "--no-cache")
    assert not (root / "data").exists()
    assert dfd("score", clips, "--checkpoint", weights)[1] == first
    assert (root / "data/cache/scores.sqlite").is_file()
    audio.stream = None  # nothing is decoded twice
    try:
        assert dfd("score", clips, "--checkpoint", weights)[1] == first
    finally:
        audio.stream = decode


@pytest.mark.parametrize("content", [b"no database at all " * 400, b"", None])
def test_a_damaged_cache_is_set_aside_and_scoring_goes_on(dfd, clips, weights, root, content):
    cache = root / "data/cache/scores.sqlite"
    cache.parent.mkdir(parents=True)
    cache.mkdir() if content is None else cache.write_bytes(content)
    status, _, err = dfd("score", clips, "--checkpoint", weights)
    assert status == 0
    assert "8 scored, 0 left out" in err
    assert err.count("the score cache is damaged") == (content != b"")
    assert kept(cache) == 8


def test_score_goes_on_where_no_cache_can_be(dfd, clips, weights, root):
    (root / "data").write_text("")
    status, _, err = dfd("score", clips, "--checkpoint", weights)
    assert status == 0
    assert err.count("the score cache cannot be used") == 1


def test_score_without_the_cache_leaves_nothing_but_its_file(dfd, clips, weights, tmp_path, root):
    place = tmp_path / "out"
    assert dfd("score", clips, "--checkpoint", weights, "--no-cache", "--out", place / "scores.csv")[0] == 0
    assert [path.name for path in place.iterdir()] == ["scores.csv"]
    assert not (root / "data").exists()


def test_score_draws_recordings_over_time(dfd, weights, tmp_path, rng):
    for name in ("first", "second"):
        audio.write_wav(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(100_000), rate=16_000)
    paths = [tmp_path / "first.wav", tmp_path / "second.wav"]
    written = ["--windows", tmp_path / "windows.csv", "--plot", tmp_path / "windows.svg", "--hop", "1"]
    status, _, err = dfd("score", *paths, "--checkpoint", weights, *written)
    assert status == 0, err
    windows = pd.read_csv(tmp_path / "windows.csv")
    assert windows.groupby("path")["start"].apply(list).tolist() == [[0.0, 1.0, 2.0, 2.2125]] * 2
    picture = (tmp_path / "windows.svg").read_text()
    assert picture.count("Score over time of") == 2
    assert "first.wav" in picture
    assert f"written to {tmp_path / 'windows.csv'}; written to {tmp_path / 'windows.svg'}" in err


def test_a_picture_of_many_recordings_is_refused(dfd, clips, weights, tmp_path):
    (clips / "one-more.wav").write_bytes((clips / "Real/real0.wav").read_bytes())
    status, _, err = dfd("score", clips, "--checkpoint", weights, "--plot", tmp_path / "windows.png")
    assert status == 1
    assert "--plot draws at most 8 recordings, these are 9; use --windows" in err


def test_score_explains_one_clip(dfd, clips, weights, tmp_path):
    clip, options = clips / "Real/real0.wav", ["--checkpoint", weights]
    status, _, err = dfd("score", clip, *options, "--explain", tmp_path / "why.svg")
    assert status == 0, err
    cells = pd.read_csv(tmp_path / "why.csv")
    assert len(cells) == 2 * 5  # of half a second
    assert "Change of the score of real0.wav" in (tmp_path / "why.svg").read_text()
    assert "explained real0.wav: hiding the parts that matter most costs the decision" in err
    status, _, err = dfd("score", clips, *options, "--explain", tmp_path / "why.svg")
    assert status == 1
    assert "--explain explains the score of one clip, these are 8; name one file" in err


def test_a_terminal_is_shown_the_ends_of_a_long_table(dfd, clips, weights, rng, monkeypatch):
    for number in range(40):
        audio.write_wav(clips / f"Fake/more{number}.wav", 0.1 * rng.standard_normal(8_000), rate=16_000)
    _, whole, _ = dfd("score", clips, "--checkpoint", weights)
    assert len(whole.splitlines()) == 49
    monkeypatch.setattr(printing, "on_terminal", lambda: True)
    _, ends, _ = dfd("score", clips, "--checkpoint", weights)
    shown = ends.splitlines()
    assert shown[:21] == whole.splitlines()[:21]
    assert shown[-20:] == whole.splitlines()[-20:]
    assert "8 more: see --out FILE or a pipe" in shown[21]


def test_score_in_another_precision(dfd, clips, weights, tmp_path):
    for precision, used in (("float32", ""), ("bfloat16", "bfloat16"), ("auto", "float32")):
        given = ["--device", "cpu", "--precision", precision, "--out", tmp_path / f"{precision}.csv"]
        status, _, err = dfd("score", clips, "--checkpoint", weights, *given)
        assert status == 0
        assert (f"mini computes in {used}\n" in err) is bool(used)
        assert set(pd.read_csv(tmp_path / f"{precision}.csv")["precision"]) == {used or "float32"}
    single, half = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("float32", "bfloat16"))
    np.testing.assert_allclose(half["score"], single["score"], atol=0.1)
    assert (single["checkpoint"] != half["checkpoint"]).all()
    assert (single["score"] != half["score"]).any()
    status, _, err = dfd("score", clips, "--checkpoint", weights, "--precision", "int4")
    assert status == 1
    assert "precision='int4': choose one of" in err


@pytest.fixture
def many(tmp_path, rng):
    """A folder with three hundred clips of two seconds in five lengths, two of them equal and one of them no clip."""
    for number in range(300):
        length = 32_000 + 800 * (number % 5)
        kind = "Real" if number % 2 else "Fake"
        audio.write_wav(tmp_path / f"many/{kind}/{number}.wav", 0.1 * rng.standard_normal(length), rate=16_000)
    (tmp_path / "many/Real/copy.wav").write_bytes((tmp_path / "many/Real/1.wav").read_bytes())
    (tmp_path / "many/Real/text.wav").write_text("no sound")
    return tmp_path / "many"


def started(tmp_path, weights, clips, root, out, *, launcher=("dfd",), options=()):
    """Start ``dfd score`` as a process of its own, with a project folder of its own."""
    (tmp_path / root / "notebooks").mkdir(parents=True, exist_ok=True)
    command = [*launcher, "score", clips, "--checkpoint", weights, "--batch-size", "4", "--out", tmp_path / out]
    command += ["--windows", tmp_path / f"windows-{out}", *options]
    return subprocess.Popen(
        [str(word) for word in command], env=os.environ | {"DFD_ROOT": str(tmp_path / root), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finished(process, *, status=1):
    """Wait for a process to end; one clip is none, so it ends with status 1, but under torchrun."""
    _, err = process.communicate(timeout=300)
    assert process.returncode == status, err
    assert "301 scored, 1 left out" in err


def same(tmp_path, first, second):
    for prefix in ("", "windows-"):
        assert (tmp_path / f"{prefix}{first}").read_bytes() == (tmp_path / f"{prefix}{second}").read_bytes()


def kept(database):
    """Return how many logits a cache holds, 0 where there is none yet."""
    if not database.exists():
        return 0
    # Opened for writing: what a killed process left unfinished has to be undone before anything can be read.
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=60)) as opened:
        made = opened.execute("SELECT count(*) FROM sqlite_master WHERE name = 'logits'").fetchone()[0]
        return opened.execute("SELECT count(*) FROM logits").fetchone()[0] if made else 0


def wait_for(process, database, count):
    """Wait until a process has kept so many logits; says how many there are."""
    while (now := kept(database)) < count and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, "the process ended before it could be killed"
    return now


@pytest.mark.slow
@pytest.mark.alone
def test_a_killed_command_goes_on_to_the_same_file(many, weights, tmp_path):
    finished(started(tmp_path, weights, many, "whole", "whole.csv"))
    database = tmp_path / "killed/data/cache/scores.sqlite"
    before = 0
    # before the first score, among the scores, and among the windows, of which there are as many again
    for count in (0, 1, 150, 290, 310, 590):
        killed = started(tmp_path, weights, many, "killed", "killed.csv")
        wait_for(killed, database, count)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert kept(database) >= max(before, count)
        before = kept(database)
    finished(started(tmp_path, weights, many, "killed", "killed.csv"))
    same(tmp_path, "killed.csv", "whole.csv")


def torchrun(*options):
    return (
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        *options,
        "-m",
        "dfdlib",
    )


@pytest.mark.slow
@pytest.mark.alone
def test_two_processes_write_what_one_writes_though_they_were_killed(many, weights, tmp_path):
    finished(started(tmp_path, weights, many, "whole", "whole.csv"))
    finished(started(tmp_path, weights, many, "both", "both.csv", launcher=torchrun()), status=0)
    same(tmp_path, "both.csv", "whole.csv")
    database = tmp_path / "killed/data/cache/scores.sqlite"
    run = started(tmp_path, weights, many, "killed", "killed.csv", launcher=torchrun())
    wait_for(run, database, 80)
    os.kill(child(run.pid, 1), signal.SIGKILL)
    _, err = run.communicate(timeout=60)
    assert run.returncode != 0, err  # the other one was ended
    assert not (tmp_path / "killed.csv").exists()
    before = kept(database)
    assert before >= 80
    # torchrun itself starts them again
    run = started(tmp_path, weights, many, "killed", "killed.csv", launcher=torchrun("--max-restarts=1"))
    wait_for(run, database, before + 80)
    os.kill(child(run.pid, 0), signal.SIGKILL)
    finished(run, status=0)
    same(tmp_path, "killed.csv", "whole.csv")
    assert kept(database) == 600 > before


@pytest.mark.slow
@pytest.mark.alone
def test_shards_without_a_launcher_are_gathered_though_one_was_killed(many, weights, tmp_path):
    finished(started(tmp_path, weights, many, "whole", "whole.csv"))
    database = tmp_path / "parts/data/cache/scores.sqlite"

    def shard(number):
        return started(tmp_path, weights, many, "parts", "parts.csv", options=["--shard", f"{number}/3"])

    killed, other = shard(1), shard(2)
    wait_for(killed, database, 20)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    for part, number in ((other, 2), (shard(1), 1), (shard(3), 3)):
        _, err = part.communicate(timeout=300)
        assert part.returncode == 0, err
        assert f"shard {number} of 3: " in err
    assert kept(database) == 600
    assert not (tmp_path / "parts.csv").exists()
    finished(started(tmp_path, weights, many, "parts", "parts.csv"))
    same(tmp_path, "parts.csv", "whole.csv")


def test_a_shard_keeps_its_scores_and_prints_no_table(dfd, clips, weights, root, tmp_path):
    for number in (1, 2):
        status, out, err = dfd("score", clips, "--checkpoint", weights, "--shard", f"{number}/2", "--json")
        assert (status, out) == (0, "")
        assert f"shard {number} of 2: " in err
    assert kept(root / "data/cache/scores.sqlite") == 8
    status, _, err = dfd("score", clips, "--checkpoint", weights, "--out", tmp_path / "scores.csv")
    assert status == 0
    assert "8 scored" in err
    shutil.rmtree(root / "data")
    (root / "data").write_text("no folder")
    status, _, err = dfd("score", clips, "--checkpoint", weights, "--shard", "1/2")
    assert status == 1
    assert "no place for the scores of a part" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "nowhere.wav"], "nowhere.wav: there is no such file or folder"),
        (["score", ".", "--preprocessing", "newest"], "choose one of original, corrected"),
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


def test_nothing_is_answered_with_help(dfd):
    status, out, err = dfd()
    assert status == 2
    assert "Commands:" in out + err


@pytest.mark.parametrize(
    "arguments",
    [
        "no-such-command",
        "score",
        "score . --onnx a.onnx --checkpoint b.safetensors",
        *(f"score . --hop {value}" for value in ("nan", "inf", "-inf", "0", "-1", "4.1", "1e-9", "text")),
        *(f"score . --shard {value}" for value in ("0/2", "3/2", "1", "2/0", "a/b")),
        "score . --shard 1/2 --no-cache",
        *(f"score . --batch-size {value}" for value in ("0", "-1", "1.5")),
        *(f"evaluate t.csv --seed {value}" for value in ("-1", "4294967296", "nan")),
        *(f"evaluate t.csv --resamples {value}" for value in ("0", "-5", "1", "99")),
        *(f"evaluate t.csv --threshold {value}" for value in ("nan", "inf", "-inf")),
        "compare a.csv b.csv --seed -1",
        "compare a.csv b.csv --resamples 0",
        "audit . --seed -1",
        "audit . --seed 4294967296",
        *(f"check-figures --auc 0.5 --eer {value}" for value in ("much", "nan", "inf", "-0.1", "1.1", "30.69")),
        *(f"check-figures --eer 0.5 --auc {value}" for value in ("nan", "-1", "2")),
        "check-figures --eer 0.5 --auc 0.5 --bonafide 0 --spoof 5",
        "app --port 0",
        "app --port 65536",
        "check-figures --eer 0.5 --auc 0.5 --bonafide 5 --spoof -5",
    ],
)
def test_wrong_usage_is_one_line_and_status_2(dfd, arguments):
    status, out, err = dfd(*arguments.split())
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("dfd")
    assert "--help'" in line


def test_every_number_that_can_be_given_has_limits():
    """A new option for a number is refused here until the test above tries it."""
    tried = {"batch_size", "hop", "threshold", "resamples", "seed", "eer", "auc", "bonafide", "spoof", "port"}
    commands = [*app.app.registered_commands, *data.data_app.registered_commands]
    numbers = {
        name
        for command in commands
        for name, kind in typing.get_type_hints(command.callback).items()
        if {int, float} & {kind, *typing.get_args(kind)}
    }
    assert numbers == tried


def test_every_path_that_can_be_given_is_read_or_is_checked_before_it_is_written():
    """A new option for a path is refused here until the tests below try what it writes."""
    written = {"out", "timeline", "plot", "explain", "html", "onnx", "folder", "to"}
    read = {"paths", "scores", "key", "validation", "validation_key", "asv", "asv_keys", "sasv", "data", "folders"}
    read |= {"checkpoint", "clip"}
    commands = [
        *app.app.registered_commands, *data.data_app.registered_commands, *weights_cli.weights_app.registered_commands
    ]  # fmt: skip
    hints = [typing.get_type_hints(command.callback) for command in commands]
    assert {name for kinds in hints for name, kind in kinds.items() if "Path" in str(kind)} == written | read


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("score . --out clip.wav", "--out clip.wav: the name must end with .csv or .parquet"),
        ("score . --out scores.xlsx", "must end with .csv or .parquet"),
        ("score . --out scores.json", "must end with .csv or .parquet"),
        ("score . --windows scores.parquet", "must end with .csv"),
        ("score . --plot scores.gif", "must end with one of .png, .svg, .pdf"),
        ("score . --explain why.csv", "must end with one of .png, .svg, .pdf"),
        ("score Real/real0.wav --explain folder.svg", "beside --explain, folder.csv: is a folder"),
        ("score Real/real0.wav --explain list.png", "list.csv: is there without list.png, and would be lost"),
        ("score . --out folder.csv", "is a folder"),
        ("score . --out s.csv --windows folder.csv/../s.csv", "--windows folder.csv/../s.csv: is --out as well"),
        ("score list.csv --out list.csv", "--out list.csv: is read by this command"),
        ("score list.csv --windows link.csv", "--windows link.csv: is read by this command"),
        ("score Real --out Real/manifest.parquet", "is read by this command"),
        ("score . --out link-to-clip.csv", "leads to"),
        ("audit list.csv --out ./list.csv", "is read by this command"),
        ("audit . --out audit.xlsx", "must end with .json or .csv"),
        ("audit . --out folder.csv", "is a folder"),
        ("export --checkpoint w.safetensors --onnx w.safetensors", "must end with .onnx"),
        ("export --checkpoint w.onnx --onnx w.onnx", "is read by this command"),
        ("finetune --out mine.pth", "must end with .safetensors"),
        ("finetune --out w.safetensors --set checkpoint={here}/w.safetensors", "is read by this command"),
        (
            "finetune --out list.safetensors --set data.for_2seconds={here}/list.csv",
            "list.csv: is read by this command",
        ),
        ("finetune --out /dev/null", "must be a file"),
        ("train-baseline --out mine.onnx", "must end with .safetensors"),
        ("train-baseline --out list.safetensors --set data.source={here}/list.csv", "is read by this command"),
        ("data vocoder --out mine.pth", "must end with .safetensors"),
        ("report --folder list.csv", "is a file; name a folder"),
        ("report --folder Real --set data.custom={here}/Real", "is read by this command"),
        ("report --folder . --set checkpoint={here}/w.safetensors", "which is read by this command and might be lost"),
        ("finetune --out list.safetensors", "list.csv: is there without list.safetensors, and would be lost"),
        ("evaluate list.csv --html link.html", "leads to"),
        ("evaluate list.csv --html list.csv", "must end with .html or .htm"),
        ("evaluate list.html --html ./list.html", "is read by this command"),
        ("evaluate --corpus a=list.html --corpus b=list.csv --html list.html", "is read by this command"),
        ("evaluate list.csv --key list.html --html list.html", "is read by this command"),
        ("compare list.csv list.html --html list.html", "is read by this command"),
        ("compare list.csv list.csv --html folder.csv", "is a folder"),
        ("data fetch in-the-wild --to list.csv", "is a file; name a folder"),
        ("weights fetch aasist --to list.csv", "is a file; name a folder"),
    ],
)
def test_outputs_are_refused_before_any_work_is_done(dfd, clips, weights, monkeypatch, arguments, message):
    monkeypatch.chdir(clips)
    (clips / "folder.csv").mkdir()
    (clips / "list.csv").write_text("path,label\nReal/real0.wav,bonafide\nFake/fake0.wav,spoof\n")
    (clips / "link.csv").symlink_to("list.csv")
    (clips / "link-to-clip.csv").symlink_to("Real/real0.wav")
    (clips / "link.html").symlink_to("list.csv")
    shutil.copy(clips / "list.csv", clips / "list.html")
    for name in ("w.safetensors", "w.onnx"):
        shutil.copy(weights, clips / name)
    before = {path: path.read_bytes() for path in clips.rglob("*") if path.is_file()}
    status, out, err = dfd(*arguments.format(here=clips).split())
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert message in line
    assert {path: path.read_bytes() for path in clips.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        "score . --out {there}/s.csv",
        "audit . --out {there}/s.csv",
        "export --onnx {there}/s.onnx",
        "finetune --out {there}/s.safetensors",
        "train-baseline --out {there}/s.safetensors",
        "report --folder {there}/s",
        "data vocoder --out {there}/s.safetensors",
        "data build demo",
        "evaluate {table} --html {there}/s.html",
        "compare {table} {table} --html {there}/s.html",
    ],
)
def test_places_that_cannot_be_written_are_refused_before_any_work_is_done(dfd, root, table, tmp_path, arguments):
    (tmp_path / "file").write_text("")
    root.mkdir(exist_ok=True)
    (root / "data").write_text("")
    status, out, err = dfd(*arguments.format(there=tmp_path / "file/more", table=table).split())
    assert (status, out) == (1, "")
    (line,) = err.splitlines()
    assert "cannot be written (Not a directory)" in line


def test_tables_go_to_standard_output_without_another_table(dfd, clips, weights):
    status, out, err = dfd("score", clips, "--checkpoint", weights, "--out", "/dev/stdout")
    assert status == 0
    assert len(pd.read_csv(io.StringIO(out))) == 8
    assert "8 scored, 0 left out; written to /dev/stdout" in err
    status, out, _ = dfd("audit", clips, "--out", "/dev/stdout")
    assert json.loads(out)["clips"] == 8
    _, out, _ = dfd("score", clips, "--checkpoint", weights, "--out", "/dev/null")
    assert "higher means bona fide" in out
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("where", [">&-", ">/dev/full", "unread"])
@pytest.mark.parametrize(
    "command",
    [
        "evaluate {table} --by clip --resamples 100",
        "evaluate {table} --by clip --resamples 100 --json",
        "check-figures --eer 0.3 --auc 0.7 --json",
    ],
)
def test_standard_output_that_cannot_be_written_is_one_line(table, command, where):
    command = "exec dfd " + command.format(table=shlex.quote(str(table)))
    reading, writing = os.pipe()
    os.close(reading)
    if where != "unread":
        command += f" {where}"
    done = subprocess.run(["bash", "-c", command], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("dfd: standard output: cannot be written (")


@pytest.mark.parametrize("end", ["2>&-", "2>/dev/full"])
def test_progress_that_cannot_be_shown_stops_nothing(clips, weights, root, end):
    command = f"dfd score {shlex.quote(str(clips))} --checkpoint {shlex.quote(str(weights))} {end}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.count(".wav") == 8


def test_what_was_computed_is_kept_when_nobody_reads(clips, weights, root):
    command = f"dfd score {shlex.quote(str(clips))} --checkpoint {shlex.quote(str(weights))} --out {root}/s.csv >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("dfd: standard output: cannot be written")
    assert len(pd.read_csv(root / "s.csv")) == 8
    assert kept(root / "data/cache/scores.sqlite") == 8


def test_evaluate(dfd, table):
    status, out, _ = dfd("evaluate", table, "--json")
    values = json.loads(out)
    assert status == 0
    intervals = {"eer", "auc", "min_dcf", "act_dcf", "cllr", "min_cllr"}
    others = {"by", "n_bonafide", "n_spoof", "eer_threshold", "seems_inverted", "read"}
    others |= {"units", "effective_units", "largest_share"}
    assert {*others, *intervals, *(f"{name}_ci" for name in intervals)} == set(values)
    assert values["read"]["read_as"] == "table with headings path, label, score"
    assert values["n_bonafide"] == 20
    assert values["by"] == "clip"
    assert all(values[f"{name}_ci"][0] <= values[name] <= values[f"{name}_ci"][1] for name in intervals)
    status, out, _ = dfd("evaluate", table)
    assert f"{values['eer']:.4f}" in out
    assert "convex hull" in out


def test_evaluate_at_a_threshold_and_per_column(dfd, table):
    frame = pd.read_csv(table)
    frame["attack"] = np.where(frame["label"] == "bonafide", "bonafide", np.tile(["tts", "vc"], 20))
    frame["codec"] = np.tile(["mp3", "mp3", "opus", "opus"], 10)
    frame["speaker"] = np.tile(list("abcde"), 8)
    frame.to_csv(table, index=False)
    status, out, _ = dfd("evaluate", table, "--json", "--threshold", 1, "--per", "attack", "--per", "codec")
    values = json.loads(out)
    assert status == 0
    assert values["by"] == "speaker"
    assert values["hter"] == pytest.approx((values["far"] + values["frr"]) / 2)
    assert values["far_ci"][0] <= values["far"] <= values["far_ci"][1]
    assert [(row["attack"], row["n_spoof"]) for row in values["per"]["attack"]] == [("tts", 10), ("vc", 10)]
    assert [row["codec"] for row in values["per"]["codec"]] == ["mp3", "opus"]
    _, out, _ = dfd("evaluate", table, "--per", "codec", "--by", "codec")
    assert "per codec" in out
    assert "opus" in out
    by_clip = json.loads(dfd("evaluate", table, "--json", "--by", "clip")[1])
    assert by_clip["by"] == "clip"
    assert by_clip["eer"] == values["eer"]
    assert by_clip["eer_ci"] != values["eer_ci"]
    for option in ("--by", "--per"):
        status, _, err = dfd("evaluate", table, option, "channel")
        assert status == 1
        assert "no such column" in err


def test_evaluate_beside_speaker_verification(dfd, table, tmp_path):
    (tmp_path / "asv.txt").write_text("bonafide target 3\nbonafide target 2\nbonafide nontarget 0\nA01 spoof 4\n")
    (tmp_path / "sasv.txt").write_text("s a 3 target\ns b 2 target\ns c 0 nontarget\ns d 1 spoof\n")
    both = ("--asv", tmp_path / "asv.txt", "--sasv", tmp_path / "sasv.txt")
    status, out, _ = dfd("evaluate", table, "--json", *both)
    assert status == 0
    values = json.loads(out)
    assert 0 < values["min_t_dcf"] <= 1
    assert 0 < values["t_eer"] < 1
    assert values["min_a_dcf"] == 0
    status, _, err = dfd("evaluate", table, "--asv", tmp_path / "none.txt")
    assert status == 1
    assert "no such file" in err


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
    for name in ("eer", "auc", "min_dcf"):
        low, high = values[f"delta_{name}_ci"]
        assert low <= values[f"delta_{name}"] <= high
        assert 0 <= values[f"delta_{name}_p"] <= values[f"delta_{name}_p_holm"] <= 1
    status, out, _ = dfd("compare", table, tmp_path / "after.csv")
    assert f"{values['delta_auc']:.4f}" in out
    same = json.loads(dfd("compare", table, table, "--json", "--by", "clip")[1])
    # No error is made by one alone of 20 clips a class, which more clips might bring: no change is not equality.
    low, high = same["delta_eer_ci"]
    assert same["delta_eer"] == 0
    assert low == pytest.approx(-(1 - 0.025 ** (1 / 20)))
    assert high > 0
    assert same["delta_eer_p_holm"] == 1


def test_compare_matches_clips_after_their_folder_moved(dfd, clips, weights, tmp_path):
    (clips / "Fake/copy.wav").write_bytes((clips / "Fake/fake0.wav").read_bytes())
    assert (
        dfd("score", clips / "Real", clips / "Fake", "--checkpoint", weights, "--out", tmp_path / "before.csv")[0] == 0
    )
    (tmp_path / "moved/deep").mkdir(parents=True)
    for label in ("Real", "Fake"):
        (clips / label).rename(tmp_path / "moved/deep" / label)
    (tmp_path / "moved/deep/Fake/fake1.wav").unlink()
    assert dfd("score", tmp_path / "moved", "--checkpoint", weights, "--out", tmp_path / "after.csv")[0] == 0
    before, after = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("before", "after"))
    assert "Real/real0.wav" in before["path"].tolist()
    assert "deep/Real/real0.wav" in after["path"].tolist()
    status, out, err = dfd("compare", tmp_path / "before.csv", tmp_path / "after.csv", "--json")
    assert status == 0
    values = json.loads(out)
    assert (values["n_bonafide"], values["n_spoof"], values["n_unmatched"]) == (4, 4, 1)
    assert values["delta_eer"] == 0
    assert f"8 clips in both; without a partner: 1 of {tmp_path / 'before.csv'}, 0 of {tmp_path / 'after.csv'}" in err


def test_rows_that_count_twice_are_refused_or_dropped(dfd, table, tmp_path, rng):
    frame = pd.read_csv(table)
    frame["score"] += rng.standard_normal(40)
    frame.to_csv(tmp_path / "after.csv", index=False)
    twice = tmp_path / "twice.csv"
    pd.concat([pd.read_csv(table)] * 2).to_csv(twice, index=False)
    whole = json.loads(dfd("compare", table, tmp_path / "after.csv", "--json")[1])
    for command in (["compare", twice, tmp_path / "after.csv"], ["evaluate", twice]):
        status, out, err = dfd(*command, "--json")
        assert (status, out) == (1, "")
        assert f"{twice}, lines 2 and 42: 0.wav is there twice (40 such copies in all)" in err
    assert json.loads(dfd("compare", twice, tmp_path / "after.csv", "--json", "--drop-copies")[1]) == whole
    given = ([table], [twice, "--drop-copies"])
    once, again = (json.loads(dfd("evaluate", *words, "--json")[1]) | {"read": ""} for words in given)
    assert once == again
    twice.write_bytes(table.read_bytes() * 2)
    status, _, err = dfd("evaluate", twice, "--drop-copies")
    assert status == 1
    assert "line 42: the headings again" in err


def test_score_takes_a_list_without_labels(dfd, clips, weights, tmp_path):
    (clips / "list.csv").write_text("File\nReal\\real0.wav\nFake/fake0.wav\n")
    status, _, err = dfd("score", clips / "list.csv", "--checkpoint", weights, "--out", tmp_path / "out.csv")
    assert status == 0, err
    written = pd.read_csv(tmp_path / "out.csv")
    assert written["path"].tolist() == ["Real/real0.wav", "Fake/fake0.wav"]
    assert written["label"].isna().all()
    status, _, err = dfd("evaluate", tmp_path / "out.csv")
    assert status == 1
    assert "line 2 (Real/real0.wav): label '' is neither bona fide nor spoof" in err


def test_compare_draws_what_belongs_together(dfd, table, tmp_path):
    frame = pd.read_csv(table)
    frame["sentence"] = np.tile(np.arange(20), 2)
    frame.to_csv(table, index=False)
    frame["score"] += np.tile(np.arange(20) % 2, 2)
    frame.to_csv(tmp_path / "after.csv", index=False)
    by = {
        way: json.loads(dfd("compare", table, tmp_path / "after.csv", "--json", "--by", way)[1])
        for way in ("auto", "sentence", "clip")
    }
    assert by["auto"] == by["sentence"]
    assert by["auto"]["by"] == "sentence"
    assert by["clip"]["delta_auc_ci"] != by["auto"]["delta_auc_ci"]


def test_check_figures(dfd):
    status, out, _ = dfd("check-figures", "--eer", "0.3069", "--auc", "0.2387", "--json")
    assert status == 1
    assert json.loads(out)["possible"] is False
    assert json.loads(out)["auc_bounds"] == pytest.approx([0.4804, 0.9058], abs=1e-3)
    status, out, _ = dfd("check-figures", "--eer", "0.4736", "--auc", "0.4322")
    assert status == 0
    assert "possible." in out.splitlines()[0]
    assert "A balanced test set gives this EER with 397, 416, 435, 454, 473" in out


def test_check_figures_against_the_number_of_trials(dfd):
    figures = ("check-figures", "--eer", "0.3069", "--auc", "0.7", "--bonafide", "150")
    status, out, _ = dfd(*figures, "--spoof", "150")
    assert status == 1
    assert "cannot give this EER; the nearest they give: 30.6667 % and 31.3333 %" in out
    assert "95 % interval from 25." in out
    status, out, _ = dfd(*figures[:-1], "120", "--spoof", "180", "--json")
    assert status == 0
    assert json.loads(out)["counts_possible"] is True
    status, _, err = dfd(*figures)
    assert status == 1
    assert "both n_bonafide and n_spoof" in err


def test_audit(dfd, toy, tmp_path):
    custom = toy.parent / "custom"
    status, out, _ = dfd("audit", custom, "--json", "--out", tmp_path / "audit.csv")
    assert status == 1  # a clip was left out
    found = json.loads(out)
    assert found["clips"] == 12
    assert [row["path"] for row in found["left_out"]] == ["Real/broken.wav"]
    assert 0 <= found["shortcut_eer"] <= 1
    assert found["shortcut_eer_ci"][0] <= found["shortcut_eer"] <= found["shortcut_eer_ci"][1]
    assert [finding["kind"] for finding in found["findings"] if finding["severity"] == "problem"][-1] == "unreadable"
    written = pd.read_csv(tmp_path / "audit.csv")
    assert len(written) == 12
    assert sorted(written["path"])[0] == "Fake/0.wav"


def test_a_clip_under_both_labels_is_named_by_the_audit_and_refused_in_lists(dfd, clips):
    shutil.copy(clips / "Real/real1.wav", clips / "Fake/copy.wav")
    (clips / "list.csv").write_text(
        "path,label\n" + "".join(f"{path.relative_to(clips)},{path.parent.name}\n" for path in clips.glob("*/*.wav"))
    )
    for given in (clips, clips / "list.csv"):
        status, out, _ = dfd("audit", given, "--json")
        assert status == 1
        (conflict,) = (finding for finding in json.loads(out)["findings"] if finding["kind"] == "conflict")
        assert conflict["title"] == "2 clips with the same sound under both labels"
        assert set(conflict["examples"][0].split(" = ")) == {"Fake/copy.wav", "Real/real1.wav"}
    status, _, err = dfd("score", clips / "list.csv")
    assert status == 1
    assert "copy.wav" in err
    assert "the same content under both labels" in err


def test_audit_of_clips_without_a_problem_in_words(dfd, clips):
    status, out, _ = dfd("audit", clips)
    assert status == 0
    assert "one clip moves an error rate by 25.0 points" in out
    assert "4 independent clips in its smaller class" in out


def test_audit_of_several_corpora_compares_them(dfd, clips):
    for place in ("first/training", "second/testing"):
        for label in ("Real", "Fake"):
            shutil.copytree(clips / label, clips / place / label)
    status, out, _ = dfd("audit", clips / "first", clips / "second", "--json")
    assert status == 1
    found = json.loads(out)
    assert [corpus["clips"] for corpus in found["corpora"]] == [8, 8]
    assert [(finding["severity"], finding["kind"], finding["clips"]) for finding in found["across"]] == [
        ("problem", "leak", 16)
    ]


def test_audit_refuses_a_file_that_it_cannot_write_before_it_looks(dfd, clips):
    status, out, err = dfd("audit", clips, "--out", "audit.txt")
    assert (status, out) == (2, "")
    assert "audit.txt: the name must end with .json or .csv" in err


def test_an_interrupt_is_said_in_one_line(dfd, monkeypatch):
    from dfdlib.data import corpus

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus, "find", interrupt)
    status, _, err = dfd("score", "clip.wav")
    assert status == 130
    assert "what was finished is kept" in err


def test_the_command_is_installed():
    done = subprocess.run(["dfd", "--help"], capture_output=True, text=True, check=True)
    assert "higher means bona fide" in " ".join(done.stdout.split())


def test_the_version_is_printed(dfd):
    status, out, _ = dfd("--version")
    project = tomllib.loads((Path(app.__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert (status, out) == (0, f"dfdlib {project['version']}\n")


@pytest.mark.parametrize(
    "command",
    [
        "report", "report --only 02", "finetune", "train-baseline", "data build demo", "data vocoder", "data list",
        "data fetch in-the-wild --dry-run", "weights list", "weights fetch aasist --dry-run", "detectors", "doctor",
    ],
)  # fmt: skip
def test_nothing_is_begun_in_a_folder_that_is_not_the_projects(dfd, root, command):
    (root / "notebooks").rmdir()
    status, out, err = dfd(*command.split())
    assert status == 1
    (line,) = [line for line in (out + err).splitlines() if "DFD_ROOT" in line]
    assert line.endswith(
        f"DFD_ROOT={root}: is not the project's folder, for it holds no notebooks/; correct or unset it"
    )
    assert command == "doctor" or (out, err) == ("", f"{line}\n")
    assert list(root.iterdir()) == []


def test_clips_are_scored_without_a_cache_where_the_projects_folder_is_wrong(dfd, root, weights, tmp_path, rng):
    (root / "notebooks").rmdir()
    audio.write_wav(tmp_path / "clip.wav", 0.1 * rng.standard_normal(16_000), rate=16_000)
    status, out, err = dfd("score", tmp_path / "clip.wav", "--checkpoint", weights)
    assert (status, "clip.wav" in out) == (0, True)
    assert f"scoring without a cache: DFD_ROOT={root}: is not the project's folder" in err
    assert list(root.iterdir()) == []


def test_no_word_of_a_table_steers_a_terminal(dfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n}.wav,{label},{n},x\x1b]0;owned\x07\n" for n, label in enumerate(["bonafide", "spoof"] * 6))
    (tmp_path / "a\x1b[2J.csv").write_text("path,label,score,attack\n" + rows)
    (tmp_path / "b.csv").write_text("path,label,score,attack\n" + rows)
    for words in (["evaluate", "a\x1b[2J.csv", "--per", "attack"], ["compare", "a\x1b[2J.csv", "b.csv"], ["sc\x1bore"]):
        _, out, err = dfd(*words)
        assert "\x1b" not in out + err, words
        assert "\\x1b" in out + err, words


def test_a_listed_name_with_a_zero_byte_is_listed_and_the_rest_is_scored(dfd, clips, weights, tmp_path, monkeypatch):
    (clips / "notes.txt").write_text("no sound")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(os.fsencode(clips) + b"\na\0b.wav\n")))
    out = tmp_path / "out/scores.csv"
    status, written, err = dfd("score", "-", "--checkpoint", weights, "--no-cache", "--json", "--out", out)
    assert status == 1
    assert "Traceback" not in err
    assert len(out.read_text().splitlines()) == 9
    found = json.loads(written)
    (row,) = found["left_out"]
    assert row["path"].endswith("a\\x00b.wav")
    assert found["other_files"][".txt"] == 1
