"""Detectors by name: what is listed, fetched and scored with."""

import dataclasses
import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile
import torch

from dfdlib.detector import network, registry

pytest.importorskip("pooch")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


#: Whose first sample is its level, and whose mean is zero.
SQUARE = np.resize([1.0, 1.0, -1.0, -1.0], 9_000)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Serve weights of AASIST-L, and say that they are the published ones: returns the file."""
    place = tmp_path / "site/weights.pth"
    place.parent.mkdir()
    torch.save(network.build("aasist-l", seed=0).state_dict(), place)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/weights.pth"
    publish(monkeypatch, url, digest=f"sha256:{hashlib.sha256(place.read_bytes()).hexdigest()}")
    yield place, url
    server.shutdown()
    server.server_close()


def publish(monkeypatch, url, *, digest, name="aasist-l"):
    entry = dataclasses.replace(registry.ENTRIES[name], urls={url: digest}, steps="")
    monkeypatch.setitem(registry.ENTRIES, name, entry)


def test_weights_are_fetched_checked_and_scored_with(dfd, root, site, tmp_path):
    status, _, err = dfd("score", tmp_path, "--detector", "aasist-l")
    assert (status, err.count("\n")) == (1, 1)
    soundfile.write(tmp_path / "clip.wav", 0.1 * np.random.default_rng(0).standard_normal(20_000), 16_000)
    _, _, err = dfd("score", tmp_path / "clip.wav", "--detector", "aasist-l")
    assert "aasist-l: its weights are not here; run dfd weights fetch aasist-l, or name a file" in err
    status, out, err = dfd("weights", "fetch", "aasist-l")
    assert status == 0, err
    assert "licence of the weights: MIT" in out
    assert f"fits aasist-l, sha256 {hashlib.sha256(site[0].read_bytes()).hexdigest()}" in out
    (row,) = (row for row in json.loads(dfd("detectors", "--json")[1])["detectors"] if row["detector"] == "aasist-l")
    assert row["here"] is True
    assert row["path"].endswith("data/weights/aasist-l/weights.pth")
    for how in (["--detector", "aasist-l"], ["--checkpoint", site[0]]):
        status, out, err = dfd("score", tmp_path / "clip.wav", *how, "--json")
        assert status == 0, err
        found = json.loads(out)
        expected = {"name": "aasist-l", "parameters": 85_306, "demonstration": False, "precision": "float32"}
        assert found["detector"] == expected
    wave, _ = soundfile.read(tmp_path / "clip.wav", dtype="float32")
    with torch.inference_mode():
        spoof, bonafide = network.load(site[0])(torch.from_numpy(wave)[None])[0].tolist()
    assert found["scores"][0]["score"] == pytest.approx(bonafide - spoof, abs=1e-4)


def test_other_content_than_published_is_refused(dfd, root, site, monkeypatch):
    publish(monkeypatch, site[1], digest="sha256:" + 64 * "0")
    status, _, err = dfd("weights", "fetch", "aasist-l")
    assert status == 1
    assert "has other content than published" in err
    assert registry.weights("aasist-l", root / "data") is None


def test_without_a_published_checksum_that_of_the_first_download_counts(dfd, root, site, monkeypatch):
    publish(monkeypatch, site[1], digest="")
    assert dfd("weights", "fetch", "aasist-l")[0] == 0
    place = root / "data/weights/aasist-l/weights.pth"
    torch.save(network.build("aasist-l", seed=1).state_dict(), place)
    status, _, err = dfd("weights", "fetch", "aasist-l")
    assert status == 1
    assert "has other content than at the first download" in err


def test_weights_of_another_detector_are_told_apart(dfd, root, site, monkeypatch):
    publish(monkeypatch, site[1], digest="", name="aasist")
    status, _, err = dfd("weights", "fetch", "aasist")
    assert status == 1
    assert "is not aasist by its names and shapes, but aasist-l" in err


def test_what_a_person_has_to_do_is_said(dfd, root):
    status, out, _ = dfd("weights", "fetch", "xlsr-sls")
    assert status == 0
    assert "by hand: download the checkpoint" in out
    status, _, err = dfd("weights", "fetch", "maxi")
    assert (status, "no detector is called 'maxi'" in err) == (1, True)


def test_lists_name_every_detector(dfd, root):
    for command in (("detectors",), ("weights", "list")):
        status, out, _ = dfd(*command)
        assert status == 0
        assert all(name in out for name in registry.ENTRIES)


def test_no_name_of_a_folder_steers_a_terminal(dfd, tmp_path, monkeypatch):
    root = tmp_path / "a\x1b[2Jb"
    (root / "notebooks").mkdir(parents=True)
    (root / "data/weights/aasist").mkdir(parents=True)
    (root / "data/weights/aasist/AASIST.pth").touch()
    monkeypatch.setenv("DFD_ROOT", str(root))
    for command in (("detectors",), ("weights", "list")):
        status, out, _ = dfd(*command)
        assert (status, "\x1b" in out, "a\\x1b[2Jb" in out) == (0, False, True)


def test_a_detector_of_ones_own(dfd, root, tmp_path, monkeypatch):
    code = "class make:\n    rate, window = 8_000, 4_000\n    def score(self, windows):\n        return windows[:, 0]\n"
    (tmp_path / "mine_alone.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    soundfile.write(tmp_path / "clip.wav", 0.25 * SQUARE, 8_000)
    status, out, err = dfd("score", tmp_path / "clip.wav", "--detector", "mine_alone:make", "--json")
    assert status == 0, err
    assert json.loads(out)["scores"][0]["score"] == pytest.approx(0.25, abs=1e-3)
    status, _, err = dfd("score", tmp_path / "clip.wav", "--detector", "mine_alone:make", "--precision", "bfloat16")
    assert status == 2


@pytest.mark.parametrize(("sign", "said"), [(1, False), (-1, True)])
def test_labels_that_contradict_the_scores_are_said_and_nothing_is_turned_round(
    dfd, root, tmp_path, monkeypatch, sign, said
):
    code = f"class make:\n    def score(self, windows):\n        return {sign} * windows[:, 0]\n"
    (tmp_path / f"mine{said}.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for label, level in (("Real", 0.5), ("Fake", 0.1)):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number in range(8):
            soundfile.write(tmp_path / f"clips/{label}/{number}.wav", (level + number / 100) * SQUARE, 16_000)
    status, out, err = dfd("score", tmp_path / "clips", "--detector", f"mine{said}:make", "--json")
    assert status == 0, err
    assert ("these labels contradict the scores: AUC 0.000" in err) is said
    assert all((row["score"] > 0) is (sign > 0) for row in json.loads(out)["scores"])
