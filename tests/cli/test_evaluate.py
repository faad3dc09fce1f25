"""``dfd evaluate`` and ``dfd compare`` on lists of scores of others."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml


@pytest.fixture
def lists(tmp_path, rng):
    """Scores in the form of ASVspoof and a key in that of ASVspoof 2021 LA, of forty eval and four other clips."""
    labels = np.tile([1, 0], 22)
    scores = rng.standard_normal(44) + 2 * labels
    names = [f"LA_E_{9000000 + number}" for number in range(44)]
    (tmp_path / "scores.txt").write_text(
        "".join(f"{name} {score}\n" for name, score in zip(names, scores, strict=True))
    )
    lines = [
        f"LA_00{number % 10:02} {name} {'alaw opus'.split()[number // 2 % 2]} ita_tx "
        f"{'bonafide bonafide' if label else 'A07 spoof'} notrim {'eval' if number < 40 else 'progress'}\n"
        for number, (name, label) in enumerate(zip(names, labels, strict=True))
    ]
    (tmp_path / "trial_metadata.txt").write_text("".join(reversed(lines)))
    return tmp_path / "scores.txt", tmp_path / "trial_metadata.txt"


def test_scores_with_a_key(dfd, lists):
    scores, key = lists
    status, out, err = dfd("evaluate", scores, "--key", key, "--by", "clip", "--per", "codec", "--resamples", 100)
    assert status == 0, err
    assert f"{scores}: read as utterance score\n" in out
    assert f"{key}: read as asvspoof2021-la, 44 clips, subset eval; 4 scores are of others or of neither class\n" in out
    assert "alaw" in out
    values = json.loads(dfd("evaluate", scores, "--key", key, "--json", "--resamples", 100)[1])
    assert (values["n_bonafide"], values["n_spoof"]) == (20, 20)
    assert values["read"]["key_read_as"] == "asvspoof2021-la"
    assert values["seems_inverted"] is False
    whole = json.loads(dfd("evaluate", scores, "--key", key, "--subset", "all", "--json", "--resamples", 100)[1])
    assert whole["n_spoof"] == 22


def test_names_without_a_partner_are_an_error_unless_allowed(dfd, lists):
    scores, key = lists
    scores.write_text(scores.read_text() + "\x1b[2Jodd 3\n")
    status, out, err = dfd("evaluate", scores, "--key", key)
    assert (status, out) == (1, "")
    assert "1 scores have no line in the key (\\x1b[2Jodd)" in err
    assert "--allow-missing" in err
    status, out, err = dfd("evaluate", scores, "--key", key, "--allow-missing", "--resamples", 100)
    assert status == 0, err
    assert "left out: 1 scores have no line in the key (\\x1b[2Jodd)" in out
    assert "\x1b" not in out + err


@pytest.mark.parametrize("words", [[], ["--per", "speaker"], ["--by", "speaker"], ["--threshold", 1]])
def test_scores_of_one_class_are_one_line(dfd, tmp_path, words):
    (tmp_path / "one.csv").write_text("path,speaker,label,score\na,s1,spoof,1\nb,s2,spoof,2\n")
    status, out, err = dfd("evaluate", tmp_path / "one.csv", *words)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "every label is 0; error rates need both classes" in err


def test_scores_that_seem_turned_round_are_said_so_and_stay(dfd, lists):
    scores, key = lists
    turned = scores.with_name("turned.txt")
    turned.write_text(
        "".join(f"{name} {-float(value)}\n" for name, value in map(str.split, scores.read_text().splitlines()))
    )
    common = ("--key", key, "--json", "--resamples", 100, "--by", "clip")
    right, as_is, told = (
        dfd("evaluate", *words, *common) for words in ([scores], [turned], [turned, "--higher", "spoof"])
    )
    assert "--higher spoof" in as_is[2]
    assert "--higher spoof" not in right[2] + told[2]
    wrongly = dfd("evaluate", scores, "--higher", "spoof", *common)[2]
    assert "They were turned round, as told; if a higher score means bona fide, leave out --higher spoof." in wrongly
    values = [json.loads(one[1]) for one in (right, as_is, told)]
    assert [one["seems_inverted"] for one in values] == [False, True, False]
    assert values[1]["auc"] == pytest.approx(1 - values[0]["auc"])
    assert values[2]["auc"] == values[0]["auc"]
    assert values[2]["read"]["higher"] == "spoof"
    assert "all were negated" in dfd("evaluate", turned, "--higher", "spoof", *common[:2], *common[3:])[1]


def test_claims_are_checked(dfd, lists):
    scores, key = lists
    command = ("evaluate", scores, "--key", key, "--resamples", 100)
    eer = json.loads(dfd(*command, "--json")[1])["eer"]
    status, out, _ = dfd(*command, "--claim", f"eer={eer:.4f}", "--claim", "n_spoof=20")
    assert status == 0
    assert "as claimed" in out
    status, out, _ = dfd(*command, "--claim", "eer=0.6", "--json")
    assert status == 1
    (claim,) = json.loads(out)["claims"]
    assert (claim["metric"], claim["claimed"], claim["found"], claim["holds"]) == ("eer", 0.6, eer, False)
    status, out, err = dfd(*command, "--claim", "eer=60")
    assert (status, out) == (1, "")
    assert "write eer=0.6 or eer=60%" in err


def test_validation_fixes_threshold_and_calibration(dfd, lists):
    scores, key = lists
    validation = scores.with_name("validation.txt")
    validation.write_text("".join(f"v{number} - {'spoof bonafide'.split()[number % 2]} {number % 2 + number / 40}\n"
                                  for number in range(40)))  # fmt: skip
    command = ("evaluate", scores, "--key", key, "--resamples", 100, "--validation", validation)
    values = json.loads(dfd(*command, "--json")[1])
    assert values["hter"] == pytest.approx((values["far"] + values["frr"]) / 2)
    assert 0 < values["calibrated"]["cllr"] < 2
    assert "calibrated on 20 bona fide and 20 spoof clips" in dfd(*command)[1]
    status, _, err = dfd(*command, "--threshold", 1)
    assert status == 2
    assert "both fix the threshold" in err


@pytest.mark.parametrize("known", ["score", "sha256", "sha256 of none"])
def test_validation_clips_that_are_tested_are_refused(dfd, tmp_path, rng, known):
    table = pd.DataFrame({"path": [f"{row}.wav" for row in range(40)], "label": ["spoof", "bonafide"] * 20})
    table["score"] = rng.standard_normal(40)
    if known == "sha256":
        table["sha256"] = [f"{row:064}" for row in range(40)]
    if known == "sha256 of none":
        table["sha256"] = ""
    table.to_csv(tmp_path / "tested.csv", index=False)
    # Equal names are other clips of another folder, and a few scores may be equal by chance.
    other = table.assign(score=table["score"].where(table.index < 3, rng.standard_normal(40)), **(
        {"sha256": [f"{row:064}" for row in range(40, 80)]} if known == "sha256" else {}
    ))  # fmt: skip
    command = ("evaluate", tmp_path / "tested.csv", "--resamples", 100, "--validation", tmp_path / "validation.csv")
    other.to_csv(tmp_path / "validation.csv", index=False)
    assert dfd(*command)[0] == 0
    same = other.assign(sha256=table["sha256"], path="moved/" + table["path"]) if known == "sha256" else table
    pd.concat([same.head(12), other.tail(20).assign(path=list("abcdefghijklmnopqrst"))]).to_csv(
        tmp_path / "validation.csv", index=False
    )
    status, out, err = dfd(*command)
    assert (status, out) == (1, "")
    assert "validation.csv: 12 clips are for both validation and testing" in err
    assert "the first is 0.wav; give validation scores of other clips" in err


@pytest.fixture
def corpora(tmp_path, rng):
    """Two corpora in the Arena's form: a list of scores and a protocol each."""
    for name, shift in (("ITW", 0.0), ("FoR", 2.0)):
        labels = np.tile([1, 0], 60)
        values = rng.standard_normal(120) + 2 * labels + shift
        (tmp_path / f"{name}.txt").write_text("".join(f"{row} {value}\n" for row, value in enumerate(values)))
        rows = "".join(f"{row},{'bonafide' if label else 'spoof'}\n" for row, label in enumerate(labels))
        (tmp_path / f"{name}.csv").write_text(f"file_name,label\n{rows}")
    return {name: (tmp_path / f"{name}.txt", tmp_path / f"{name}.csv") for name in ("ITW", "FoR")}


def test_several_corpora(dfd, corpora, tmp_path):
    options = [word for name, (scores, key) in corpora.items() for word in ("--corpus", f"{name}={scores},{key}")]
    status, out, err = dfd("evaluate", *options, "--resamples", 100)
    assert status == 0, err
    assert [line.split()[0] for line in out.splitlines()[:5]] == ["corpus", "ITW", "FoR", "mean", "pooled"]
    values = json.loads(dfd("evaluate", *options, "--resamples", 100, "--json")[1])
    eers = [values["corpora"][name]["eer"] for name in corpora]
    assert values["macro_eer"] == pytest.approx(sum(eers) / 2)
    assert values["pooled_eer"] > values["macro_eer"]
    assert [(row["threshold_of"], row["on"]) for row in values["carried"]][1:3] == [("ITW", "FoR"), ("FoR", "ITW")]
    assert values["carried"][1]["hter"] > max(eers)
    entries = {name: {"scores": scores.name, "key": key.name} for name, (scores, key) in corpora.items()}
    (tmp_path / "corpora.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    assert (
        json.loads(dfd("evaluate", tmp_path / "corpora.yaml", "--resamples", 100, "--json")[1])["carried"]
        == values["carried"]
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "give a list of scores"),
        (["s.txt", "--corpus", "a=s.txt"], 2, "not both"),
        (["--corpus", "a=s.txt", "--per", "codec"], 2, "--per is for the scores of one corpus"),
        (["--corpus", "a"], 2, "write NAME=SCORES,KEY"),
        (["--corpus", "=s.txt"], 2, "write NAME=SCORES,KEY"),
        (["--corpus", "a=s.txt", "--corpus", "a=t.txt"], 2, "there is a corpus a already"),
        (["s.txt", "--higher", "real"], 2, "--higher"),
        (["list.yaml"], 1, "list.yaml: cannot be read"),
        (["--corpus", "a=none.txt"], 1, "none.txt: there is no such file"),
    ],
)
def test_wrong_usage_is_one_line(dfd, words, status, said):
    found, out, err = dfd("evaluate", *words)
    assert (found, out if status == 2 else "") == (status, "")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "names no corpora"),
        ("", "names no corpora"),
        ("a: 1", "a: must have scores"),
        ("a: {scores: s.txt, keys: k.txt}", "a: must have scores, and may have column, form"),
        ("a: {scores: [s.txt]}", "all text"),
        ("a: {scores: s.txt, higher: up}", "must be bonafide or spoof"),
        ("a: {", "is not YAML"),
    ],
)
def test_a_list_of_corpora_that_is_none_is_refused(dfd, tmp_path, text, said):
    (tmp_path / "list.yml").write_text(text)
    status, _, err = dfd("evaluate", tmp_path / "list.yml")
    assert status == 1
    assert said in err


def test_compare_with_a_key(dfd, lists):
    scores, key = lists
    lines = [line.split() for line in scores.read_text().splitlines()]
    for name, shift in (("b.txt", 1.0), ("c.txt", -1.0)):
        scores.with_name(name).write_text("".join(
            f"data/{clip}.flac {float(value) + shift * (float(value) > 1)}\n" for clip, value in reversed(lines)
        ))  # fmt: skip
    others = [scores.with_name(name) for name in ("b.txt", "c.txt")]
    status, out, err = dfd("compare", scores, others[0], "--key", key, "--json", "--resamples", 100)
    assert status == 0, err
    assert json.loads(out)["n_unmatched"] == 0
    assert json.loads(out)["n_spoof"] == 20
    status, out, _ = dfd("compare", scores, *others, "--key", key, "--json", "--resamples", 100)
    values = json.loads(out)
    assert [one["name"] for one in values["systems"]] == ["scores.txt", "b.txt", "c.txt"]
    assert [(one["before"], one["after"]) for one in values["pairs"]] == [
        ("scores.txt", "b.txt"), ("scores.txt", "c.txt"), ("b.txt", "c.txt"),
    ]  # fmt: skip
    for one in values["pairs"]:
        assert one["delta_eer"] == pytest.approx(one["eer_after"] - one["eer_before"])
        assert one["delta_eer_p"] <= one["delta_eer_p_holm"]
    status, out, _ = dfd("compare", scores, *others, "--key", key, "--resamples", 100)
    assert "change of the eer" in out
    status, _, err = dfd("compare", scores)
    assert status == 2
    assert "two detectors" in err
    status, _, err = dfd("compare", scores, others[0])
    assert status == 1
    assert "has no labels (read as: utterance score); give a key" in err


def test_nothing_heavy_is_imported(lists):
    scores, key = lists
    code = (
        "import sys\nfrom dfdlib.cli import app\n"
        f"sys.argv = ['dfd', 'evaluate', {str(scores)!r}, '--key', {str(key)!r}, '--resamples', '100']\n"
        "try: app.main()\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'matplotlib', 'sklearn', 'soundfile', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_pages_are_written_beside_what_is_printed(dfd, lists, corpora, tmp_path):
    scores, key = lists
    page = tmp_path / "card.html"
    command = ("evaluate", scores, "--key", key, "--resamples", 100)
    status, out, err = dfd(*command, "--html", page)
    assert status == 0, err
    assert f"written to {page}" in err
    assert "Scores of scores.txt" in page.read_text("utf-8")
    assert out == dfd(*command)[1]
    for html, said in ((scores, "must end with .html"), (tmp_path, "is a folder")):
        status, _, err = dfd(*command, "--html", html)
        assert status == 2
        assert said in err
    for name in ("evaluate", "compare"):
        lists_given = (scores, scores) if name == "compare" else (scores,)
        status, out, err = dfd(name, *lists_given, "--key", key, "--html", "/dev/stdout")
        assert (status, out) == (2, "")
        (line,) = err.splitlines()
        assert "--html /dev/stdout: the tables are printed there; name a file" in line
    (tmp_path / "list.html").write_text(scores.read_text())
    status, _, err = dfd("evaluate", tmp_path / "list.html", "--key", key, "--html", tmp_path / "list.html")
    assert status == 2
    assert "is read by this command" in err


def test_the_target_of_inference_can_be_said(dfd, lists):
    (scores, key), ends = lists, []
    for target, by in (("new-voices", "speaker"), ("these-voices", "clip")):
        words = ("--key", key, "--target", target, "--json", "--resamples", 100)
        values = json.loads(dfd("evaluate", scores, *words, "--per", "attack")[1])
        assert (values["target"], values["by"]) == (target, by)
        ends.append([(row["eer_low"], row["eer_high"]) for row in values["per"]["attack"]])
        assert json.loads(dfd("compare", scores, scores, *words)[1])["by"] == by
    assert ends[0] != ends[1]
    assert dfd("evaluate", scores, "--key", key, "--target", "all-voices")[0] == 2
