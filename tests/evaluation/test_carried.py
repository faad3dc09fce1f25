import numpy as np
import pytest

from dfdlib.errors import DataError
from dfdlib.evaluation import calibration, carried, intervals, metrics, units
from dfdlib.evaluation.carried import Validation

pytestmark = pytest.mark.usefixtures("all_refits")


def trials(size, *, seed=0, gap=3.0, shift=0.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([1, 0], size)
    return labels, rng.normal(size=2 * size) + gap * labels + shift


def test_values_are_those_of_the_carried_threshold_and_calibration():
    known = trials(60, seed=1)
    labels, scores = trials(100, seed=2, shift=0.5)
    found = carried.intervals(labels, scores, Validation(*known), resamples=200)
    expected = calibration.carried_costs(calibration.fit(*known), labels, scores)
    assert list(found) == ["far", "frr", "hter", "cllr", "act_dcf"]
    for name, (value, low, high) in found.items():
        assert value == pytest.approx(expected[name])
        assert 0 <= low < value < high


def test_evidence_by_hand():
    # Of 40 + 40 validation clips three quarters are right, which would make every LLR ln 3; with one more error in each
    # class it is ln (30 / 11). Bona fide test clips are right in three of four, spoofs in nine of ten.
    known = Validation(np.repeat([1, 0], 40), np.repeat([1.0, 0, 1], [30, 40, 10]))
    labels = np.repeat([1, 0], 100)
    scores = np.concatenate([np.repeat([1.0, 0], [75, 25]), np.repeat([1.0, 0], [10, 90])])
    found = carried.intervals(labels, scores, known, names=carried.EVIDENCE, resamples=200)
    right, wrong = np.log2(1 + 11 / 30), np.log2(1 + 30 / 11)
    cllr = (0.75 * right + 0.25 * wrong + 0.9 * right + 0.1 * wrong) / 2
    values = {name: one.value for name, one in found.items()}
    assert values == pytest.approx(
        {
            "cllr": cllr,
            "min_cllr": metrics.min_cllr(labels, scores),
            "loss": cllr - metrics.min_cllr(labels, scores),
            "misled_bonafide": 0.25,
            "misled_spoof": 0.1,
            "tenfold_bonafide": 0.0,
            "tenfold_spoof": 0.0,
        },
        abs=1e-6,
    )
    assert all(0 <= one.low <= one.value <= one.high for one in found.values())
    assert found["loss"].high > found["loss"].value
    # an LLR of 0 speaks for neither class
    backwards = Validation(known.labels, -known.scores)
    nothing = carried.intervals(labels, scores, backwards, names=("misled_bonafide", "misled_spoof"), resamples=100)
    assert [one.value for one in nothing.values()] == [0, 0]


def test_few_validation_trials_widen_the_interval():
    labels, scores = trials(400, seed=2)
    fixed = intervals.intervals(
        labels, scores, names=("frr",), threshold=calibration.fit(*trials(20)).threshold, resamples=200
    )["frr"]
    few = carried.intervals(labels, scores, Validation(*trials(20)), names=("frr",), resamples=200)["frr"]
    many = carried.intervals(labels, scores, Validation(*trials(5000)), names=("frr",), resamples=200)["frr"]
    assert few.value == fixed.value
    assert few.high - few.low > 1.5 * (fixed.high - fixed.low)
    assert many.high - many.low < 0.7 * (few.high - few.low)


@pytest.mark.slow
def test_the_interval_holds_what_the_procedure_gives():
    # the truth is what the best threshold gives in an endless test set: half the gap, and errors of 6.7 %
    hits = []
    for seed in range(60):
        labels, scores = trials(150, seed=1000 + seed)
        validation = Validation(*trials(30, seed=seed))
        found = carried.intervals(labels, scores, validation, names=("far", "frr"), resamples=200, seed=seed)
        hits += [row.low <= 0.0668 <= row.high for row in found.values()]
    assert np.mean(hits) > 0.88


def test_changes_are_paired():
    known, (labels, scores) = trials(80, seed=1), trials(150, seed=2)
    noise = np.random.default_rng(3).normal(size=160), np.random.default_rng(4).normal(size=300)
    worse = known[1] + 1.5 * noise[0], scores + 1.5 * noise[1]
    options = {"resamples": 200}
    validations = Validation(known[0], worse[0]), Validation(*known)
    found = carried.paired_differences(labels, worse[1], scores, validations, **options)
    singles = carried.intervals(labels, scores, validations[1], **options)
    for name, row in found.items():
        assert row.after == pytest.approx(singles[name].value)
        assert row.delta == pytest.approx(row.after - row.before)
        assert row.low < row.delta < row.high
        assert (row.p < 0.05) == (row.low > 0 or row.high < 0)
        assert row.p >= 1 / 201
    assert found["cllr"].high < 0
    same = carried.paired_differences(labels, scores, scores, (Validation(*known), Validation(*known)), **options)
    assert all(row[2:] == (0, 0, 0, 1) for row in same.values())


def test_speakers_of_the_validation_clips_are_drawn_together():
    labels, scores = trials(200, seed=2)
    rng = np.random.default_rng(5)
    speaker = np.tile(np.arange(60) % 6, 2)
    known = trials(60, seed=1)
    tied = known[1] * 0.3 + 1.5 * rng.normal(size=6)[speaker]
    by_clip, by_speaker = (
        carried.intervals(labels, scores, Validation(known[0], tied, groups), names=("far",), resamples=200)["far"]
        for groups in (None, units.Units(("speaker",), (speaker,)))
    )
    assert by_speaker.high - by_speaker.low > by_clip.high - by_clip.low
    with pytest.raises(DataError, match="too few to calibrate on"):
        carried.intervals(labels, scores, Validation(*trials(3)))


def test_validation_trials_are_refitted_once_for_all_test_sets(monkeypatch):
    validation, fits = Validation(*trials(40, seed=8)), []

    def count(*trials, fit=calibration.fit, **options):
        fits.append(trials)
        return fit(*trials, **options)

    monkeypatch.setattr(calibration, "fit", count)
    carried.intervals(*trials(60, seed=2), validation, names=("far",), resamples=100)
    assert len(fits) > carried.REFITS
    fits.clear()
    carried.intervals(*trials(70, seed=3), validation, names=("cllr",), resamples=100)
    assert len(fits) == 1
    carried.intervals(*trials(70, seed=3), validation, names=("cllr",), resamples=100, seed=1)
    assert len(fits) > carried.REFITS


def test_separable_validation_trials_give_finite_figures():
    labels, scores = trials(50, seed=2, gap=8.0)
    found = carried.intervals(labels, scores, Validation(*trials(20, gap=30.0)), resamples=100)
    assert np.isfinite(list(found.values())).all()


def test_intervals_are_finite_where_two_voices_chose_the_threshold():
    # With two voices, what other ones would change is widened by the root of 2: beyond rates of 0 and 1, if uncut.
    labels, scores = trials(60)
    known, given = trials(40)
    voice = np.tile([0, 1], known.size // 2)
    found = carried.intervals(
        labels,
        scores,
        Validation(known, given + 4 * voice, groups=voice),
        names=("far", "frr", "act_dcf"),
        resamples=100,
    )
    for one in found.values():
        assert 0 <= one.low <= one.value <= one.high < np.inf


def test_seeds_are_averaged_and_widen_the_interval():
    labels, scores = trials(150, seed=1)
    known = trials(150, seed=2)
    options = {"resamples": 100}
    rows = np.stack([scores, scores + 0.2 * labels, scores + 2 * labels])
    given = np.stack([known[1], known[1] + 0.2 * known[0], known[1] + 2 * known[0]])
    several = carried.intervals(labels, rows, Validation(known[0], given), **options)
    each = [carried.intervals(labels, row, Validation(known[0], own), **options)
            for row, own in zip(rows, given, strict=True)]  # fmt: skip
    for name, found in several.items():
        assert found.value == pytest.approx(np.mean([one[name].value for one in each]))
    assert np.ptp(several["cllr"][1:]) > max(np.ptp(one["cllr"][1:]) for one in each)
    validations = Validation(*known), Validation(known[0], given)
    change = carried.paired_differences(labels, scores, rows, validations, names=("cllr",), **options)["cllr"]
    assert change.before == each[0]["cllr"].value
    assert change.after == pytest.approx(several["cllr"].value)
