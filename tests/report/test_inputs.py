import os
import shutil

import pandas as pd
import pytest

from dfdlib import files
from dfdlib.experiment import profile
from dfdlib.report import inputs


@pytest.fixture
def custom(toy, tmp_path):
    """A copy of the toy's custom set, and a function that returns its fingerprint."""
    folder = shutil.copytree(toy.parent / "custom", tmp_path / "custom")

    def fingerprint(place=folder, **options):
        settings = profile.load(toy, overrides=[f"data.custom={place}"])
        return inputs.fingerprints(settings, **options)["custom"]

    return folder, fingerprint


def spoil(path):
    """Change a byte of a file, and neither its size nor its time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_corpus_is_known_by_the_contents_of_its_files_wherever_it_lies(custom, tmp_path):
    folder, fingerprint = custom
    first = fingerprint()
    for path in folder.rglob("*.wav"):
        path.touch()
    assert fingerprint() == first
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint(moved) == first
    spoil(folder / "Real/0.wav")
    assert fingerprint() != first
    (moved / "Real/0.wav").rename(moved / "Fake/other.wav")
    assert fingerprint(moved) != first
    assert fingerprint(tmp_path / "nowhere") == "missing"


@pytest.mark.parametrize("name", ["manifest.parquet", "list.csv"])
def test_a_clip_that_changes_below_an_unchanged_manifest_is_seen(custom, name):
    folder, fingerprint = custom
    table = pd.DataFrame({"path": ["Real/0.wav", "Fake/0.wav"], "label": ["bonafide", "spoof"]})
    table.to_parquet(folder / name) if name.endswith("parquet") else table.to_csv(folder / name, index=False)
    place = folder if name.endswith("parquet") else folder / name
    first = fingerprint(place)
    spoil(folder / "Real/1.wav")  # not in the list
    assert fingerprint(place) == first
    spoil(folder / "Fake/0.wav")
    second = fingerprint(place)
    (folder / "Fake/0.wav").unlink()
    assert len({first, second, fingerprint(place)}) == 3


def test_what_is_known_of_a_file_is_not_read_again(custom, tmp_path, monkeypatch):
    folder, fingerprint = custom
    first = fingerprint(remembered=tmp_path / "inputs.sqlite")
    read = []
    monkeypatch.setattr(files, "sha256", lambda path, real=files.sha256: (read.append(path), real(path))[1])
    assert fingerprint(remembered=tmp_path / "inputs.sqlite") == first
    assert not read
    spoil(folder / "Real/0.wav")
    assert fingerprint(remembered=tmp_path / "inputs.sqlite") != first
    assert read == [str(folder / "Real/0.wav")]
    (tmp_path / "inputs.sqlite").write_text("no database")
    spoil(folder / "Real/0.wav")
    assert fingerprint(remembered=tmp_path / "inputs.sqlite") == first


def test_links_are_followed_and_do_not_lead_in_circles(custom, tmp_path):
    folder, fingerprint = custom
    (folder / "Real").rename(tmp_path / "moved")
    gone = fingerprint()
    (folder / "Real").symlink_to(tmp_path / "moved")
    (folder / "Fake/back").symlink_to(folder)
    linked = fingerprint()
    assert linked != gone
    spoil(tmp_path / "moved/0.wav")
    assert fingerprint() != linked


def test_a_file_whose_name_is_no_text_counts_and_stops_nothing(custom, tmp_path):
    folder, fingerprint = custom
    first = fingerprint(remembered=tmp_path / "inputs.sqlite")
    odd = os.fsencode(folder / "Real") + b"/odd\xff.wav"
    shutil.copy(folder / "Real/0.wav", odd)
    second = fingerprint(remembered=tmp_path / "inputs.sqlite")
    assert first != second == fingerprint(remembered=tmp_path / "inputs.sqlite")


def test_a_file_of_weights_has_its_own_sha256_and_a_broken_manifest_is_no_end(toy, tmp_path):
    (tmp_path / "broken.csv").write_text("no,manifest\n1,2\n")
    settings = profile.load(toy, overrides=[f"data.custom={tmp_path / 'broken.csv'}"])
    found = inputs.fingerprints(settings)
    assert found["checkpoint"] == files.sha256(settings.checkpoint)
    assert found["custom"] == files.sha256(tmp_path / "broken.csv")
