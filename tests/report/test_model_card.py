import json

import pytest
import torch
from makers import Here

from dfdlib import files, processes
from dfdlib.detector import network
from dfdlib.experiment import baseline, profile
from dfdlib.report import model_card


@pytest.fixture
def short(monkeypatch):
    # Processes of its own are started by the slow test of another baseline: each imports torch and Lightning.
    monkeypatch.setattr(processes, "pool", Here)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    recipe = baseline.RECIPE.model_copy(update={"epochs": 1, "window": 16_000, "augment": ()})
    monkeypatch.setattr(baseline, "RECIPE", recipe)
    monkeypatch.setattr(
        baseline, "variants", lambda detector: (baseline.Variant("baseline", recipe=recipe, detector=detector),)
    )


def test_the_baseline_comes_with_its_card(toy, tmp_path, short):
    path, said = tmp_path / "weights.safetensors", []
    settings = profile.load(toy)
    kept, trained = baseline.train(settings, checkpoint=path, progress=said.append)
    card = model_card.write(settings, checkpoint=path, kept=kept, trained=trained)
    assert path.with_suffix(".md").read_text() == card
    assert files.sha256(path) in card
    assert sorted(one.seed for one in trained) == [1, 2, 3]
    assert kept.validation_eer == sorted(one.validation_eer for one in trained)[1]
    for part in (
        "training: 8 bona fide clips",
        f"seed {kept.seed}.",
        f"| {kept.seed} (kept) |",
        "| seed | best epoch | validation EER | source: macro EER, AUC | for-2seconds: macro EER, AUC |",
        "| 1 |",
    ):
        assert part in card, card
    assert "What each thing brought" not in card
    assert network.load(path).configuration.name == "mini"
    # Asked again, nothing is trained again.
    places = sorted((toy.parent / "baseline").rglob("baseline-[0-9].json"))
    written = [place.stat().st_mtime_ns for place in places]
    assert len(places) == 3
    assert {json.loads(place.read_text())["seed"] for place in places} == {1, 2, 3}
    assert baseline.train(settings, checkpoint=path)[0] == kept
    assert [place.stat().st_mtime_ns for place in places] == written
