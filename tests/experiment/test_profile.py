import pytest

from dfdlib.errors import ParameterError
from dfdlib.experiment import profile


def test_the_profiles_that_come_along():
    assert profile.names() == ["demo", "original-study"]
    demo, study = profile.load("demo"), profile.load("original-study")
    assert demo.detector == "mini"
    assert demo.data.build == "demo"
    # the study's recipe
    assert study.detector == "xlsr-300m"
    settings = study.finetune
    assert (settings.epochs, settings.batch_size, settings.learning_rate, settings.weight_decay) == (10, 16, 1e-6, 1e-4)
    assert study.window == "parity"


def test_paths_are_taken_from_the_projects_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("DFD_ROOT", str(tmp_path))
    settings = profile.load("demo", overrides=["data.custom=/elsewhere/clips"])
    assert settings.checkpoint == tmp_path / "data/models/mini-baseline.safetensors"
    assert settings.data.source == tmp_path / "data/demo/source"
    assert str(settings.data.custom) == "/elsewhere/clips"


def test_settings_are_changed_by_name():
    overrides = ["finetune.epochs=2", "finetune.learning_rate=1e-5", "data.source=null", "seed=3", "limit=1e3"]
    settings = profile.load("demo", overrides=overrides)
    assert (settings.finetune.epochs, settings.finetune.learning_rate, settings.seed) == (2, 1e-5, 3)
    assert settings.data.source is None
    assert settings.limit == 1000
    # a section at once, then one of its settings
    settings = profile.load("demo", overrides=["finetune={epochs: 3, workers: 2}", "finetune.epochs=5"])
    assert (settings.finetune.epochs, settings.finetune.workers) == (5, 2)


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
        ("window=short", "'parity' or 'native'"),
        ("epochs", "expected KEY=VALUE"),
        ("seed=[1", "is not YAML"),
    ],
)
def test_what_is_not_a_setting_is_refused_in_one_line(override, message):
    with pytest.raises(ParameterError, match=r"demo|--set") as raised:
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
        ("finetune.thaw=2", "finetune: thaw = 2 without anything frozen"),
    ],
)
def test_recipes_that_cannot_be_are_one_line(override, said):
    with pytest.raises(ParameterError, match=said) as caught:
        profile.load("demo", overrides=[override])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
