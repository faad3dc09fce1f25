import numpy as np
import pytest

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import tandem

# Speaker verification, by hand: the EER threshold of targets against nontargets is 3 (FRR 1/4, FAR 1/4).
SCORES = tandem.AsvScores(
    target=np.array([2.0, 5.5, 6, 7]), nontarget=np.array([0.0, 0, 1, 3]), spoof=np.array([-1.0, 4, 4, 5, 8])
)
# The detector: at the threshold 2 it rejects 1 of 4 bona fide and accepts 1 of 5 spoofs; at 4 1/2 and none.
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0])
DETECTOR = np.array([1.0, 3, 4, 5, 0, 0, 0, 1, 3.5])
PRIORS = tandem.Priors(target=0.8, nontarget=0.1, spoof=0.1, c_miss=1, c_fa=2, c_fa_spoof=10)


def test_rates_at_the_threshold_of_the_equal_error_rate():
    assert tandem.rates(SCORES) == pytest.approx((0.25, 0.25, 0.8))
    assert tandem.rates(SCORES, threshold=5.8) == pytest.approx((0.5, 0, 0.2))


def test_t_dcf_by_hand():
    # w_miss = 0.8, w_fa = 0.2: C0 = 0.8 / 4 + 0.2 / 4 = 0.25, C1 = 0.8 - 0.25 = 0.55, C2 = 0.1 * 10 * 0.8 = 0.8
    # FRR, FAR by threshold: 0: 0, 1; 1: 0, 0.4; 3: 1/4, 0.2; 3.5: 1/2, 0.2; 4: 1/2, 0; 5: 3/4, 0
    # C1 FRR + C2 FAR: 0.8, 0.32, 0.2975, 0.435, 0.275, 0.4125: the least is 0.275
    rates = tandem.rates(SCORES)
    assert tandem.min_t_dcf(LABELS, DETECTOR, rates, priors=PRIORS, formulation="legacy") == pytest.approx(0.275 / 0.55)
    assert tandem.min_t_dcf(LABELS, DETECTOR, rates, priors=PRIORS) == pytest.approx((0.25 + 0.275) / (0.25 + 0.55))


def test_t_dcf_of_detectors_without_errors_and_without_use():
    rates = tandem.AsvRates(miss=0.02, false_acceptance=0.03, spoof_acceptance=0.5)
    # C0 = 0.9405 * 0.02 + 0.095 * 0.03 = 0.02166, C1 = 0.9405 - C0 = 0.91884, C2 = 0.25
    assert tandem.min_t_dcf([1, 1, 0], [3, 2, 1], rates) == pytest.approx(0.02166 / (0.02166 + 0.25))
    assert tandem.min_t_dcf([1, 1, 0], [3, 2, 1], rates, formulation="legacy") == 0
    for formulation in ("legacy", "revised"):
        assert tandem.min_t_dcf([1, 0, 0], [1, 1, 1], rates, formulation=formulation) == pytest.approx(1)


def test_a_dcf_by_hand():
    # weights 0.8, 0.2 and 1; by threshold: miss, fa, spoof
    # 2: 0, 1/4, 4/5 -> 0.85; 4: 1/4, 0, 4/5 -> 1; 5: 1/4, 0, 2/5 -> 0.6; 5.5: 1/4, 0, 1/5 -> 0.4; 6: 1/2, 0, 1/5 -> 0.6
    # The least is 0.4; accepting all costs 1.2, rejecting all 0.8.
    assert tandem.min_a_dcf(SCORES, priors=PRIORS) == pytest.approx((0.4 / 0.8, 5.5))
    useless = tandem.AsvScores(*(np.ones(3),) * 3)
    assert tandem.min_a_dcf(useless)[0] == pytest.approx(1)
    assert tandem.min_a_dcf(tandem.AsvScores(np.array([2.0]), np.array([1.0]), np.array([0.0])))[0] == 0


def test_rising_maps_change_nothing(rng):
    scores = tandem.AsvScores(rng.normal(size=30) + 2, rng.normal(size=40), rng.normal(size=50) + 1)
    mapped = tandem.AsvScores(*(np.exp(column) for column in scores))
    assert tandem.rates(mapped) == tandem.rates(scores)
    assert tandem.min_a_dcf(mapped)[0] == tandem.min_a_dcf(scores)[0]


LINES_2019 = "bonafide target 2.0\nbonafide nontarget -1.5\nA07 spoof 0.5\nA09 spoof 1.5\n"
EXPECTED = ([2.0], [-1.5], [0.5, 1.5])


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (LINES_2019, None),
        (
            "LA_1 E_1 2.0\nLA_1 E_2 -1.5\nLA_2 E_3 0.5\nLA_1 E_3 1.5\n",
            "LA_1 E_1 alaw loc bonafide target notrim eval\nLA_1 E_2 alaw loc bonafide nontarget notrim eval\n"
            "LA_2 E_3 alaw loc A07 spoof notrim eval\nLA_1 E_3 alaw loc A07 spoof notrim eval\n",
        ),
        (
            "spk\tfilename\tcm-score\tasv-score\tsasv-score\nE_1\tE_10\t9\t2.0\t1\nE_1\tE_11\t9\t-1.5\t1\n"
            "E_2\tE_12\t9\t0.5\t1\nE_2\tE_13\t9\t1.5\t1\n",
            "spk\tfilename\tcm-label\tasv-label\nE_2\tE_13\tspoof\tspoof\nE_2\tE_12\tspoof\tspoof\n"
            "E_1\tE_11\tbonafide\tnontarget\nE_1\tE_10\tbonafide\ttarget\n",
        ),
        ("LA_1 E_1 2.0 target\nLA_1 E_2 -1.5 nontarget\nLA_1 E_3 0.5 spoof\nLA_1 E_4 1.5 spoof\n", None),
    ],
    ids=["2019", "2021", "5", "SASV"],
)
def test_the_files_of_the_challenges(tmp_path, text, keys):
    (tmp_path / "scores.txt").write_text(text)
    (tmp_path / "keys.txt").write_text(keys or "")
    found = tandem.read_scores(tmp_path / "scores.txt", keys=tmp_path / "keys.txt" if keys else None)
    for column, values in zip(found, EXPECTED, strict=True):
        assert column.tolist() == values


def test_another_column_of_an_asvspoof_5_table(tmp_path):
    path = tmp_path / "scores.tsv"
    path.write_text("spk\tfilename\tasv-label\tsasv-score\n" + "".join(f"s\tf{k}\t{k}\t1\n" for k in tandem.KINDS))
    assert tandem.read_scores(path, column="sasv-score").spoof.tolist() == [1.0]
    with pytest.raises(DataError, match="no column 'asv-score'"):
        tandem.read_scores(path)


@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        (None, None, "there is no such file"),
        ("one two\n", None, "line 1: 'one two' is not of an ASV score file"),
        ("bonafide target 2.0\nbonafide nontarget x\nA07 spoof 1\n", None, "trial 2: 'x' is not a finite number"),
        ("bonafide target 2.0\nbonafide nontarget inf\nA07 spoof 1\n", None, "trial 2: 'inf' is not a finite number"),
        ("bonafide target 2.0\nbonafide friend 1\nA07 spoof 1\n", None, "trial 2: 'friend' is none of target"),
        ("bonafide target 2.0\nA07 spoof 1\n", None, "no nontarget trial"),
        ("bonafide target 2.0\nA07 spoof\n A07 spoof 1 2 3\n", None, "cannot be read as lines of as many words"),
        ("s E_1 2.0\n", None, "give the file of keys"),
        ("s E_1 2.0\n", "s E_2 a b c target x eval\n", "has no key for s E_1"),
        ("s E_1 2.0\n", "s E_1 a b c target x eval\ns E_1 a b c spoof x eval\n", "lists s E_1 twice"),
        ("s E_1 2.0\ns E_1 3.0\n", "s E_1 a b c target x eval\n", "lists s E_1 twice"),
        ("s E_1 2.0 target\ns E_1 3.0 target\n", None, "lists s E_1 twice"),
        ("s E_1 2.0\n", "s E_1 a b c bonafide x eval\n", "no column says target"),
        ("spk filename asv-score\ns f 1\n", "spk filename cm-label\ns f spoof\n", "no column 'asv-label'"),
    ],
)
def test_files_of_another_form_are_refused_in_a_line(tmp_path, text, keys, message):
    if text is not None:
        (tmp_path / "scores.txt").write_text(text)
    (tmp_path / "keys.txt").write_text(keys or "")
    with pytest.raises(DataError, match=message) as caught:
        tandem.read_scores(tmp_path / "scores.txt", keys=tmp_path / "keys.txt" if keys else None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (tandem.AsvScores(np.array([]), np.ones(2), np.ones(2)), "no target trial"),
        (tandem.AsvScores(np.ones(2), np.array([0, np.nan]), np.ones(2)), r"nontarget scores in rows 1 \(nan\)"),
        (tandem.AsvScores(np.ones(2), np.ones(2), np.array([np.inf])), r"spoof scores in rows 0 \(inf\)"),
    ],
)
def test_scores_that_are_none(scores, message):
    for measure in (tandem.rates, tandem.min_a_dcf):
        with pytest.raises(DataError, match=message):
            measure(scores)


def test_parameters_out_of_range():
    rates = tandem.AsvRates(0.1, 0.1, 0.5)
    with pytest.raises(ParameterError, match="formulation='new'"):
        tandem.min_t_dcf(LABELS, DETECTOR, rates, formulation="new")
    with pytest.raises(ParameterError, match=r"asv\.miss=2"):
        tandem.min_t_dcf(LABELS, DETECTOR, rates._replace(miss=2))
    with pytest.raises(ParameterError, match="nothing to gain"):
        tandem.min_t_dcf(LABELS, DETECTOR, rates._replace(spoof_acceptance=0))
    with pytest.raises(ParameterError, match="must add up to 1"):
        tandem.min_a_dcf(SCORES, priors=tandem.TANDEM._replace(target=0.5))
    with pytest.raises(ParameterError, match=r"priors\.c_fa=0"):
        tandem.min_a_dcf(SCORES, priors=tandem.TANDEM._replace(c_fa=0))
    with pytest.raises(ParameterError, match=r"priors\.spoof=0"):
        tandem.min_a_dcf(SCORES, priors=tandem.TANDEM._replace(spoof=0))
    with pytest.raises(ParameterError, match="threshold=nan"):
        tandem.rates(SCORES, threshold=float("nan"))
    with pytest.raises(DataError, match="no spoof"):
        tandem.min_t_dcf([1, 1], [1, 2], rates)


def test_priors_are_those_that_the_challenges_pass():
    assert tandem.TANDEM == (0.9405, 0.0095, 0.05, 1, 10, 10)
    assert tandem.min_a_dcf(SCORES) == tandem.min_a_dcf(SCORES, priors=tandem.Priors(0.9405, 0.0095, 0.05, 1, 10, 10))


def test_t_eer_by_hand():
    # ten of each kind; the ASV rejects one target and accepts one nontarget, and all spoofs; the detector is perfect
    # but for one bona fide clip in ten and one spoof in ten: the best pair keeps the detector's threshold low
    asv = tandem.AsvScores(np.arange(10.0, 20), np.arange(0.5, 10.5), np.arange(10.0, 20))
    labels, scores = np.repeat([1, 0], 10), np.concatenate([np.arange(10.0, 20), np.arange(1.0, 11)])
    # at the ASV's 10 and the detector's 10: targets rejected 0, nontargets accepted 1/10, spoofs accepted 1/10
    assert tandem.t_eer(labels, scores, asv) == pytest.approx((0 + 0.1 + 0.1) / 3)
    perfect = tandem.AsvScores(np.array([2.0, 3]), np.array([0.0, 1]), np.array([2.0, 3]))
    assert tandem.t_eer([1, 1, 0, 0], [3, 4, 1, 2], perfect) == 0


def test_t_eer_of_normal_scores_is_where_three_rates_meet(rng):
    from scipy.optimize import fsolve
    from scipy.special import ndtr

    size = 1500
    asv = tandem.AsvScores(rng.normal(size=size) + 3, rng.normal(size=size), rng.normal(size=size) + 2)
    labels = np.repeat([1, 0], size)
    scores = rng.normal(size=2 * size) + 2.5 * labels

    def gaps(place):
        cm, av = place
        miss = ndtr(cm - 2.5) + (1 - ndtr(cm - 2.5)) * ndtr(av - 3)
        other = (1 - ndtr(cm - 2.5)) * (1 - ndtr(av))
        spoof = (1 - ndtr(cm)) * (1 - ndtr(av - 2))
        return miss - other, miss - spoof

    cm, av = fsolve(gaps, (1.0, 1.5))
    expected = ndtr(cm - 2.5) + (1 - ndtr(cm - 2.5)) * ndtr(av - 3)
    assert tandem.t_eer(labels, scores, asv) == pytest.approx(expected, abs=0.02)
