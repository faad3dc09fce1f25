from pathlib import Path

import pytest
from typer.testing import CliRunner

from dfdlib.cli import app
from dfdlib.errors import ParameterError, RunError
from dfdlib.experiment import profile


def test_the_profiles_that_come_along():
    assert profile.names() == ["demo", "original-study"]
    demo, study = profile.load("demo"), profile.load("original-study")
    assert demo.detector == "mini-resnet"
    assert demo.data.build == "demo"
    # the study's recipe
    assert study.detector == "xlsr-300m"
    settings = study.finetune
    assert (settings.epochs, settings.batch_size, settings.learning_rate, settings.weight_decay) == (10, 16, 1e-6, 1e-4)
    assert study.window == "fixed"


def test_the_data_page_and_the_command_name_the_folder_that_the_profile_has(monkeypatch):
    place = profile.load("original-study").data.for_2seconds
    page = (profile.root() / "data/README.md").read_text("utf-8")
    for split in ("training", "validation", "testing"):
        assert f"\n{place.relative_to(profile.root())}/{split}/" in page
    told = CliRunner().invoke(app.app, ["data", "fetch", "for-2seconds", "--dry-run"]).output
    assert str(place.relative_to(profile.root())) in told


def test_paths_are_taken_from_the_projects_folder(monkeypatch, tmp_path):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("DFD_ROOT", str(tmp_path))
    settings = profile.load("demo", overrides=["data.custom=/elsewhere/clips"])
    assert settings.checkpoint == tmp_path / "data/models/mini-resnet-baseline.safetensors"
    assert settings.data.source == tmp_path / "data/demo/source"
    assert str(settings.data.custom) == "/elsewhere/clips"


def test_a_checkpoint_may_be_a_front_end_alone(tmp_path):
    settings = profile.load("original-study", overrides=["checkpoint={frontend: /weights/xlsr2_300m.pt}"])
    assert (str(settings.checkpoint), settings.checkpoint_holds) == ("/weights/xlsr2_300m.pt", "frontend")
    with pytest.raises(ParameterError, match=r"checkpoint: expected a file, or \{frontend: FILE\}"):
        profile.load("demo", overrides=["checkpoint={backend: x.pt}"])


def test_a_folder_without_notebooks_is_not_the_projects(monkeypatch, tmp_path):
    monkeypatch.setenv("DFD_ROOT", str(tmp_path))
    with pytest.raises(RunError, match=rf"DFD_ROOT={tmp_path}: is not the project's folder.*correct or unset it"):
        profile.load("demo")
    monkeypatch.setenv("DFD_ROOT", "")
    assert profile.root() == Path(profile.__file__).parents[2]


def test_settings_are_changed_by_name():
    overrides = ["finetune.epochs=2", "finetune.learning_rate=1e-5", "data.source=null", "seed=3", "limit=1e3"]
    settings = profile.load("demo", overrides=overrides)
    assert (settings.finetune.epochs, settings.finetune.learning_rate, settings.seed) == (2, 1e-5, 3)
    assert settings.data.source is None
    assert settings.limit == 1000
    # a section at once, then one of its settings
    settings = profile.load("demo", overrides=["finetune={epochs: 3, workers: 2}", "finetune.epochs=5"])
    assert (settings.finetune.epochs, settings.finetune.workers) == (5, 2)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("data.custom=/clips/take #2: a, b [c]", "/clips/take #2: a, b [c]"),
        ("data.custom=/clips/'quoted'", "/clips/'quoted'"),
        ("data.custom=/2024-01-01/null", "/2024-01-01/null"),
        ("data.custom=~/clips", "/home/somebody/clips"),
        ("data.custom=2024", "/project/2024"),
        ("data.source=null", None),
        ("data.source=", None),
        ("checkpoint=~/a = b #1.pth", "/home/somebody/a = b #1.pth"),
        ("title=2024-01-01", "2024-01-01"),
        ("title=12: a tale # and its moral", "12: a tale # and its moral"),
        ("title=007", "007"),
        ("title=null", "null"),
        ("title='quoted'", "'quoted'"),
        ("recipe=null", None),
        ("recipes.augmented.words=no: 1 # 2", "no: 1 # 2"),
        ("recipes.augmented.settings.augment=[codec@0.3]", ["codec@0.3"]),
        ("recipes.augmented.settings.learning_rate=1e-5", 1e-5),
        ("recipes.joint.also=[source]", ["source"]),
        ("finetune.class_weights=[1, 3]", [1.0, 3.0]),
        ("finetune.class_weights=balanced", "balanced"),
        ("finetune.freeze=2", 2),
        ("seed=010", 10),
        ("limit=", None),
        ("threads=null", None),
        ("finetune.checkpointing=yes", True),
    ],
)
def test_a_value_is_read_by_the_type_of_its_setting(override, value, monkeypatch):
    monkeypatch.setattr(profile, "root", lambda: Path("/project"))
    monkeypatch.setenv("HOME", "/home/somebody")
    found = profile.load("demo", overrides=[override]).model_dump()
    for name in override.partition("=")[0].split("."):
        found = found[name]
    assert (list(found) if isinstance(found, tuple) else found if value is None else type(value)(found)) == value


def test_a_recipe_is_changed_by_name_and_a_new_one_given_whole():
    new = profile.load("demo", overrides=["recipes.long={settings: {epochs: 9}}", "recipes.long.settings.window=16000"])
    assert new.recipes["long"].applied(new.finetune).epochs == 9
    assert new.recipes["long"].applied(new.finetune).window == 16_000
    assert next(iter(new.recipes)) == "shuffled"


def test_settings_are_shown_as_they_were_used(monkeypatch):
    monkeypatch.setattr(profile, "root", lambda: Path("/project"))
    used = profile.as_used(profile.load("demo", overrides=["data.custom=/else/where", "data.source="]))
    assert used["data"] == {
        "for_2seconds": "data/demo/for-2seconds",
        "custom": "/else/where",
        "source": None,
        "others": {"telephone": "data/demo/telephone"},
        "build": "demo",
        "corpora": {},
    }
    assert used["recipes"]["augmented"]["settings"] == {"augment": ["rawboost=5@0.5", "codec@0.5"]}


def test_the_device_is_decided(monkeypatch):
    import torch

    for there, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert profile.device(profile.load("original-study")) == device
        assert profile.device(profile.load("demo")) == "cpu"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "finetune.epoch=2",
            "--set finetune.epoch=2: no setting is called 'finetune.epoch'; did you mean finetune.epochs",
        ),
        ("epochs=2", "did you mean finetune.epochs"),
        ("finetun.epochs=2", "--set finetun.epochs=2: no setting is called 'finetun.epochs'; did you mean"),
        ("seed.x=1", "--set seed.x=1: no setting is called 'seed.x'"),
        ("finetune={epochs: two}", "--set finetune={epochs: two}: finetune.epochs = 'two' is not allowed"),
        ("finetune.epochs=true", "--set finetune.epochs=true: finetune.epochs = True is not allowed"),
        ("finetune.learning_rate=.inf", "should be a finite number"),
        ("finetune.epochs=two", "finetune.epochs = 'two' is not allowed"),
        ("finetune.epochs=0", "greater than 0"),
        ("window=short", "'fixed' or 'full'"),
        ("epochs", "expected KEY=VALUE"),
        ("seed=[1", "is not YAML"),
        ("seed=1:30", "seed = '1:30' is not allowed"),
        ("data.custom=", "--set data.custom=: names no file or folder"),
        ("data.custom=~nobody-of-that-name/clips", "give the whole path"),
        ("recipes.codek.settings.epochs=1", "no recipe is called 'codek'; there are shuffled, unshuffled, augmented"),
        ("recipes.augmented.settings.epoch=1", "did you mean recipes.augmented.settings.epochs"),
        ("recipes.augmented.word=1", "did you mean recipes.augmented.words"),
    ],
)
def test_what_is_not_a_setting_is_refused_in_one_line(override, message):
    with pytest.raises(ParameterError) as raised:
        profile.load("demo", overrides=[override])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ntitle: Mine\ndetector: mini\ncheckpoint: weights.safetensors\ndata: {for_2seconds: a, custom: b}\n"
    )
    assert profile.load(path).name == "mine"
    path.write_text("name: mine\n")
    with pytest.raises(ParameterError, match=r"mine\.yaml: the setting 'title' is missing"):
        profile.load(path)
    path.write_text(
        "name: mine\ntitle: 2024-01-01\ndetector: mini\ncheckpoint: w\ndata: {for_2seconds: ~/a, custom: b}\n"
    )
    with pytest.raises(ParameterError, match=r"mine\.yaml: title = .* put it in quotes"):
        profile.load(path)
    path.write_text("- a list\n")
    with pytest.raises(ParameterError, match="is not a profile"):
        profile.load(path)
    path.write_text("a: [\n")
    with pytest.raises(ParameterError, match="is not YAML"):
        profile.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ParameterError, match=r"mine\.yaml: cannot be read as text"):
        profile.load(path)
    with pytest.raises(ParameterError, match="choose demo or original-study"):
        profile.load("mine")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("recipes={a: {settings: {epochs: 0}}}", r"recipes\.a\.settings: epochs = 0: .*greater than 0"),
        ("recipes={a: {settings: {epoch: 1}}}", r"recipes\.a\.settings: epoch = 1"),
        ("recipes={a: {also: [elsewhere]}}", r"recipes\.a\.also\.0 = 'elsewhere' is not allowed"),
        ("recipe=other", "recipe = 'other' is none of"),
        ("finetune.augment=[echo]", "finetune.augment: .*echo"),
    ],
)
def test_recipes_that_cannot_be_are_one_line(override, said):
    with pytest.raises(ParameterError, match=said) as caught:
        profile.load("demo", overrides=[override])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
