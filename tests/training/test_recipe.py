import math

import pydantic
import pytest

from dfdlib.training.recipe import Recipe, Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": True},
        {"learning_rate": -1.0},
        {"learning_rate": math.inf},
        {"select": "test_eer"},
        {"window": 0},
        {"schedule": "?"},
        {"optimizer": "lion"},
        {"warmup": 1.0},
        {"class_weights": (1.0, 0.0)},
        {"freeze": "backend"},
        {"freeze": 0},
        {"clip": 0.0},
        {"precision": "int8"},
        {"patience": 0},
        {"sampler": "sorted"},
        {"strategy": "horovod"},
        {"augment": ("reverb?",)},
        {"shuffle": True},
    ],
)
def test_settings_that_make_no_sense_are_named(wrong):
    with pytest.raises(pydantic.ValidationError, match=next(iter(wrong))):
        Settings(**wrong)


def test_settings_that_do_not_go_together():
    with pytest.raises(pydantic.ValidationError, match="warm-up of its own"):
        Settings(schedule="one-cycle", warmup=0.1)


def test_the_defaults_are_the_studys():
    recipe = Recipe()
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("adam", 1e-6, 1e-4)
    assert (recipe.batch_size, recipe.epochs, recipe.select) == (16, 10, "validation_loss")
    assert (recipe.window, recipe.class_weights, recipe.freeze) == (64_600, "none", "none")


def test_what_changes_no_result_is_no_part_of_the_identity():
    assert Recipe(workers=4, save_every=1.0).identity() == Recipe().identity()
    assert Recipe(seed=1).identity() != Recipe().identity()


def rates(steps=100, **settings):
    recipe = Recipe(**settings)
    return [recipe.rate_factor(step, steps=steps) for step in range(steps)]


def test_schedules():
    assert rates() == [1.0] * 100
    linear = rates(schedule="linear", warmup=0.1)
    assert linear[0] == pytest.approx(0.1)
    assert linear[9:11] == [1.0, 1.0]
    assert linear[-1] == pytest.approx(1 / 90)
    cosine = rates(schedule="cosine")
    assert cosine[0] == 1.0
    assert cosine[50] == pytest.approx(0.5)
    assert cosine[-1] < 0.001
    cycle = rates(schedule="one-cycle")
    assert max(cycle) == cycle[30] == pytest.approx(1.0)
    assert cycle[0] < 0.01
    assert cycle[-1] < 0.001
    assert all(0 <= rate <= 1 for rate in linear + cosine + cycle)
