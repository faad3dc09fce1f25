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
from dfdlib.experiment import profile as profiles
from dfdlib.experiment import run as experiment
from dfdlib.experiment.clips import CORPORA
from dfdlib.report import controls

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def cells_of(stem, *, profile, run_dir, overrides=(), tried=False):
    """Run a notebook's cells in this process: the heading of each, what it printed and what it displayed.

    Cells to try are run only if they are to be `tried`.
    """
    source = next(path for path in NOTEBOOKS if path.stem == stem)
    names, heading, found = {"__name__": "__main__"}, "", []
    InteractiveShell.instance()
    for cell in json.loads(source.read_text("utf-8"))["cells"]:
        text, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
        if cell["cell_type"] == "markdown":
            heading = text.splitlines()[0]
            continue
        if "try-it" in tags and not tried:
            continue
        with capture_output() as shown:
            exec(text, names)
        found.append((heading, shown.stdout, shown.outputs))
        if "parameters" in tags:
            names |= {"profile": str(profile), "run_dir": str(run_dir), "overrides": list(overrides)}
    return found


def said(stem, *, profile, run_dir, **options):
    """Run a notebook's cells; return all that it says in words, without its standing text."""
    outputs = [output for *_, shown in cells_of(stem, profile=profile, run_dir=run_dir, **options) for output in shown]
    said = [output.data for output in outputs if 'class="said' in output.data.get("text/html", "")]
    return "\n".join(data["text/plain"] for data in said)


@pytest.fixture
def turned(monkeypatch, empty_pictures):
    """A function that makes runs in which detectors are as good as it is told: distances between the classes.

    Their figures are drawn, but what is saved of them is empty.
    """

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
        monkeypatch.setattr(experiment.Run, "scorer", lambda run, stage, **options: None)
        # They score clips again, which is not to be made up.
        row = {"kind": "data", "corpus": "custom", "control": "made up", "expected": "", "found": "", "holds": True}
        monkeypatch.setattr(controls, "of_run", lambda run: pd.DataFrame([row]))

    return turn


def test_the_discussion_of_a_run_in_which_fine_tuning_helped(toy, tmp_path, turned):
    turned(before=0.5, after=3.0)
    text = said("05_discussion", profile=toy, run_dir=tmp_path, overrides=["seeds=2"])
    assert "Fine-tuning on for-2seconds: better on for-2seconds, custom and source." in text
    assert "A gain is shown on every corpus measured." in text
    assert "worse on" not in text
    assert "meant to bring" not in text


def test_the_discussion_of_a_run_in_which_fine_tuning_made_everything_worse(toy, tmp_path, turned):
    turned(before=3.0, after=0.0)
    text = said("05_discussion", profile=toy, run_dir=tmp_path, overrides=["seeds=2"])
    assert "Fine-tuning on for-2seconds: worse on for-2seconds, custom and source." in text
    assert "The gain that it was meant to bring is not shown." in text
    assert "A gain is shown" not in text
    assert "Not shown to be better than guessing: the fine-tuned detector on for-2seconds, custom and source." in text


def test_the_discussion_of_a_run_in_which_nothing_changed(toy, tmp_path, turned):
    turned(before=1.0, after=1.0)
    text = said("05_discussion", profile=toy, run_dir=tmp_path, overrides=["seeds=2"])
    assert "no change shown on for-2seconds, custom and source" in text


def test_score_files_have_no_audio_and_all_that_comes_from_scores(toy, tmp_path, turned):
    """One of the three corpora and one beside them are given as scores."""
    turned(before=0.5, after=3.0)
    rows = [f"{number},{'bonafide' if number % 2 else 'spoof'},c{number // 2 % 2}" for number in range(80)]
    (tmp_path / "key.csv").write_text("\n".join(["path,label,codec", *rows]))
    for stage, distance in (("before", 0.5), ("after", 3.0)):
        lines = [f"{number} {number % 2 * distance + number / 40 - 1}" for number in range(80)]
        (tmp_path / f"{stage}.txt").write_text("\n".join(lines))
    scores = {"scores": {name: f"{tmp_path}/{name}.txt" for name in experiment.STAGES}, "key": f"{tmp_path}/key.csv"}
    options = {"profile": toy, "run_dir": tmp_path / "run"}
    options["overrides"] = ["seeds=2", f"data.custom={json.dumps(scores)}", f"data.others.phone={json.dumps(scores)}"]
    assert "There is nothing to hear" in said("01_baseline_evaluation", **options)
    kept = json.loads((tmp_path / "run/results/01_baseline_evaluation.json").read_text())
    audited = [row["corpus"] for row in kept["audit"] if "there is no audio" in row["finding"]]
    assert audited == ["custom", "phone"]
    cells_of("04_post_finetune_evaluation", **options)
    kept = json.loads((tmp_path / "run/results/04_post_finetune_evaluation.json").read_text())
    assert len(kept["evaluations"]) == 8
    assert [row["kind"] for row in kept["by_kind"] if row["corpus"] == "phone"] == ["codec: c0", "codec: c1"]
    assert [row["verdict"] for row in kept["verdicts"] if row["corpus"] == "phone"] == ["one seed"]
    text = said("05_discussion", **options)
    assert "better on for-2seconds and source; not judged, for want of seeds, on custom and phone." in text


def test_the_discussion_of_one_seed_concludes_nothing(toy, tmp_path, turned):
    turned(before=0.5, after=3.0)
    text = said("05_discussion", profile=toy, run_dir=tmp_path)
    assert "Nothing about fine-tuning on for-2seconds or about recipes is concluded from one seed." in text
    assert "By attack" not in text


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
    trained = [heading for heading, printed, _ in cells if "epoch 1/1" in printed]
    assert trained == ["## Results of earlier chapters, or computed now"]
    assert (tmp_path / "finetuned.safetensors").is_file()
    kept = json.loads((tmp_path / f"results/{stem}.json").read_text())
    assert {(row["corpus"], row["when"]) for row in kept["evaluations"]} == {
        (name, stage) for name in CORPORA for stage in experiment.STAGES
    }
    assert {row["corpus"] for row in kept["differences"]} == set(CORPORA)
    # With what was left there is nothing to train.
    again = cells_of(stem, profile=toy, run_dir=tmp_path)
    assert not any("epoch" in printed for _, printed, _ in again)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_ask_first_and_end_with_something_to_try(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    questions = [line for line in cells[0]["source"] if line.startswith("- ")]
    assert len(questions) == 3
    assert all(line.rstrip().endswith(("?", "?\n", "here.")) for line in questions)
    tagged = ["try-it" in cell["metadata"].get("tags", []) for cell in cells]
    assert tagged == sorted(tagged), "what is to be tried comes last"
    assert sum(tagged) in (3, 4)  # the heading, and two or three cells
    # Cells of this tag are not run by papermill.
    assert all("skip-execution" in cell["metadata"]["tags"] for cell in cells[tagged.index(True) :])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_its_results_under_its_own_name_and_shows_what_can_be_set(path):
    text = "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"])
    assert f'chapter="{path.stem}"' in text
    assert "run.keep(" not in text
    for setting in re.findall(r'# overrides = \["([\w.]+)=', text):
        profiles.load("demo", overrides=[f"{setting}=1"])
    assert text.count("# overrides = [") == 3


def test_a_quick_look_says_that_it_is_one(toy, tmp_path, turned):
    turned(before=0.5, after=3.0)
    text = said("01_baseline_evaluation", profile=toy, run_dir=tmp_path, overrides=["limit=4"])
    assert "A quick look: the audit, too, saw at most 4 clips of each split." in text


@pytest.mark.parametrize(
    "stem", [NOTEBOOKS[0].stem, *(pytest.param(path.stem, marks=pytest.mark.slow) for path in NOTEBOOKS[1:])]
)
def test_what_there_is_to_try_works(stem, toy, tmp_path):
    cells_of(stem, profile=toy, run_dir=tmp_path, tried=True)
