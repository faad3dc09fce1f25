"""The notebooks' words against numbers that were made up: whatever a run finds, they must say, and nothing else."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from dfdlib.detector.scores import Scores
from dfdlib.experiment import run as experiment

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def said(stem, *, profile, run_dir):
    """Run a notebook's cells in this process; return all that it says in words, without its standing text."""
    source = next(path for path in NOTEBOOKS if path.stem == stem)
    names = {"__name__": "__main__"}
    InteractiveShell.instance()
    with capture_output() as shown:
        for cell in json.loads(source.read_text("utf-8"))["cells"]:
            if cell["cell_type"] != "code":
                continue
            exec("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names |= {"profile": str(profile), "run_dir": str(run_dir), "overrides": []}
    said = [output.data for output in shown.outputs if 'class="said' in output.data.get("text/html", "")]
    return "\n".join(data["text/plain"] for data in said)


@pytest.fixture
def turned(monkeypatch):
    """A function that makes runs in which detectors are as good as it is told: distances between the classes."""

    def turn(before, after):
        def score(run, clips, model, *, name, preprocessing=None):
            stage = name.split("-")[0]
            distance = {"before": before, "after": after, "untrained": 0.0}[stage]
            rng = np.random.default_rng([len(stage), len(clips.name), "original" in name])
            labels = np.repeat([0, 1], 200)
            table = pd.DataFrame({"path": [f"{clips.name}/{number}.wav" for number in range(400)], "label": labels})
            table["score"] = rng.standard_normal(400) + distance * labels + ("wrong-rate" in name)
            table["sentence"] = table["speaker"] = table["split"] = ""
            table["attack"] = np.where(labels == 1, "bonafide", "robot")
            return Scores(table=table, left_out=pd.DataFrame(columns=["path", "reason"]))

        monkeypatch.setattr(experiment.Run, "score", score)
        monkeypatch.setattr(experiment.Run, "scorer", lambda run, stage: None)

    return turn


def test_the_discussion_of_a_run_in_which_fine_tuning_helped(toy, tmp_path, turned):
    turned(before=0.5, after=3.0)
    text = said("05_discussion", profile=toy, run_dir=tmp_path)
    assert "the detector is better on for-2seconds, custom and source" in text
    assert text.count("the detector became better there") == 3
    assert "became worse" not in text
    assert "did not show the gain" not in text


def test_the_discussion_of_a_run_in_which_fine_tuning_made_everything_worse(toy, tmp_path, turned):
    turned(before=3.0, after=0.0)
    text = said("05_discussion", profile=toy, run_dir=tmp_path)
    assert "the detector is worse on for-2seconds, custom and source" in text
    assert "fine-tuning did not show the gain that it was meant to bring" in text
    assert text.count("the detector became worse there") == 3
    assert "became better" not in text
    assert "the gain carried over" not in text
    assert "On custom the fine-tuned detector is not measurably better than guessing" in text


def test_the_discussion_of_a_run_in_which_nothing_changed(toy, tmp_path, turned):
    turned(before=1.0, after=1.0)
    text = said("05_discussion", profile=toy, run_dir=tmp_path)
    assert "not measurably different on for-2seconds, custom and source" in text
    assert "became" not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_result_is_typed_into_prose(path):
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            assert not re.search(r"\d\s?%|\d\.\d", text), f"a figure stands in the text: {text}"


@pytest.mark.parametrize("stem", ["04_post_finetune_evaluation", "05_discussion"])
def test_a_chapter_run_alone_trains_under_a_heading_of_its_own_and_keeps_what_it_shows(stem, toy, tmp_path, turned):
    """Alone, it finds nothing that an earlier chapter left."""
    turned(before=0.5, after=3.0)
    cells = cells_of(stem, profile=toy, run_dir=tmp_path)
    trained = [heading for heading, outputs in cells if any("epoch 1/1" in text for text in outputs)]
    assert trained == ["## What earlier chapters left, or is computed now"]
    assert (tmp_path / "finetuned.safetensors").is_file()
    kept = json.loads((tmp_path / f"results/{stem}.json").read_text())
    assert {(row["corpus"], row["when"]) for row in kept["evaluations"]} == {
        (name, stage) for name in experiment.CORPORA for stage in experiment.STAGES
    }
    assert {row["corpus"] for row in kept["differences"]} == set(experiment.CORPORA)
    # With what was left there is nothing to train.
    again = cells_of(stem, profile=toy, run_dir=tmp_path)
    assert not any("epoch" in text for _, outputs in again for text in outputs)


def cells_of(stem, *, profile, run_dir):
    """Run a notebook's cells in this process: the heading and the printed text of each."""
    source = next(path for path in NOTEBOOKS if path.stem == stem)
    names, heading, found = {"__name__": "__main__"}, "", []
    InteractiveShell.instance()
    for cell in json.loads(source.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = text.splitlines()[0]
            continue
        with capture_output() as shown:
            exec(text, names)
        found.append((heading, [shown.stdout]))
        if "parameters" in cell["metadata"].get("tags", []):
            names |= {"profile": str(profile), "run_dir": str(run_dir), "overrides": []}
    return found
