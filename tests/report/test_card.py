"""Pages about scores that are there already."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from dfdlib.data import keys
from dfdlib.evaluation.metrics import percent
from dfdlib.experiment import evaluation
from dfdlib.report import card

OPTIONS = {"resamples": 100, "seed": 0}
EVIL = "<script>alert(1)</script>\x1b[2J"


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """Three lists of scores of the same 240 clips, and a key whose attacks and codecs are markup."""
    folder, rng = tmp_path_factory.mktemp("lists"), np.random.default_rng(4)
    labels = np.tile([1, 0, 0], 80)
    for name, distance in (("a", 3.0), ("b", 1.5), ("c", 2.0)):
        scores = rng.standard_normal(240) + distance * labels
        text = "".join(f"u{row} {score:.6f}\n" for row, score in enumerate(scores))
        (folder / f"{name}.txt").write_text(text)
    attacks, codecs = ("<b>A1</b>", EVIL), ("mp3", "<i>")
    rows = [
        f"u{row},{'bonafide' if label else 'spoof'},{'' if label else attacks[row % 2]},{codecs[row % 2]}"
        for row, label in enumerate(labels)
    ]
    (folder / "key.csv").write_text("\n".join(["path,label,attack,codec", *rows]))
    return folder


def trials(lists, name, **options):
    return keys.trials(lists / f"{name}.txt", lists / "key.csv", **options)


@pytest.fixture(scope="module")
def one(lists):
    found = evaluation.evaluate(
        trials(lists, "a"), validation=trials(lists, "b"), claimed=["eer=0.5", "n_spoof=160"], **OPTIONS
    )
    return found, card.render(card.of_one(found, **OPTIONS))


@pytest.fixture(scope="module")
def several(lists):
    readers = {"<u>one</u>": lambda: trials(lists, "a"), EVIL: lambda: trials(lists, "b")}
    found = evaluation.evaluate_several(readers, **OPTIONS)
    return found, card.render(card.of_several(found, **OPTIONS))


@pytest.fixture(scope="module")
def compared(lists):
    given = {name: trials(lists, name) for name in "abc"}
    systems = {f"<s>{name}</s>": one.scores for name, one in given.items()}
    found = evaluation.compare(given["a"].table, systems, **OPTIONS)
    return found, card.render(card.of_comparison(found, [one.facts for one in given.values()], **OPTIONS))


def text_of(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\u00a0", " ")


def test_the_card_of_one_corpus_says_what_was_found(one):
    found, page = one
    text = text_of(page)
    assert percent(found.found["eer"], 2) in text
    assert f"{100 * found.found['eer']:.2f}\u00a0%" in page
    assert f"{found.found['auc']:.4f}" in text
    for word in (
        "read as",
        "utterance score",
        "a table with headings",
        "sha256",
        "Calibration",
        "By codec.",
        "By attack.",
    ):
        assert word in text
    assert "eer: 0.5 claimed" in text
    assert "n_spoof: 160 claimed, 160 found: as claimed." in text
    assert text.count("The numbers") == len(re.findall(r"<img ", page)) == 7


def test_the_card_of_several_corpora_says_what_was_found(several):
    found, page = several
    text = text_of(page)
    assert percent(found.mean.value, 2) in text
    assert percent(found.pooled.value, 2) in text
    assert len(re.findall(r'style="--share: \d+%"', page)) == 4
    for hter in found.carried["hter"]:
        assert percent(hter) in text


def test_the_card_of_several_detectors_says_what_was_found(compared):
    found, page = compared
    text = text_of(page)
    for name, values in found.systems.items():
        assert name in text
        assert f"{100 * values['eer']:.1f}" in text
    assert len(found.pairs) == 3
    for differences in found.pairs.values():
        assert f"{100 * differences['eer'].delta:+.2f}".replace("-", "\u2212") in text


@pytest.mark.parametrize("kind", ["one", "several", "compared"])
def test_cards_fetch_nothing_and_show_markup_as_text(kind, request):
    _, page = request.getfixturevalue(kind)
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http" not in page
    assert "<script>alert" not in page
    assert not re.search(r"<(?:b|i|u|s)>", page)
    assert "\x1b" not in page
    assert page.count("<script>") == 2
    assert "nan" not in re.findall(r"<td[^>]*>([^<]*)<", page)
    for image in re.findall(r"<img [^>]*>", page):
        assert re.search(r' alt="[^"]{40,}"', image)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert len(page) < 1_000_000


def test_scores_turned_round_and_missing_names_are_noticed(lists, empty_pictures):
    text = (lists / "a.txt").read_text()
    (lists / "turned.txt").write_text("".join(f"{a} {-float(b)}\n" for a, b in map(str.split, text.splitlines()[5:])))
    found = evaluation.evaluate(trials(lists, "turned", allow_missing=True), **OPTIONS)
    notices = card.of_one(found, **OPTIONS).notices
    assert "say --higher spoof" in notices[0]
    assert notices[1] == "Left out: 5 clips have no score (u0, u1, u2, u3, u4)."


def test_the_tandem_cost_that_was_asked_for_is_on_the_card(lists, empty_pictures):
    found = evaluation.evaluate(trials(lists, "a"), **OPTIONS)
    assert "min t-DCF" not in card.render(card.of_one(found, **OPTIONS))
    found.found["min_t_dcf"] = 0.4321  # as `dfd evaluate --asv` adds it
    text = card.render(card.of_one(found, **OPTIONS))
    assert "min t-DCF" in text
    assert "0.4321" in text


def test_columns_of_numbers_stay_so_from_a_thousand_on():
    frame = pd.DataFrame({"level": [1234.5, 12.0], "p_holm": [0.0001, 0.5], "list": ["1 or 2", "3"]})
    table = card._table(frame, "")
    assert [row[0]["text"] for row in table["rows"]] == ["1\u202f234", "12"]
    assert [head["number"] for head in table["head"]] == [True, True, False]


def test_a_card_is_written_as_a_whole(lists, several, tmp_path):
    found, page = several
    card.write(tmp_path / "new/card.html", card.of_several(found, **OPTIONS))
    assert (tmp_path / "new/card.html").read_text("utf-8") == page
