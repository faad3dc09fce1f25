from pathlib import Path

import pytest
from makers import tone

from dfdlib.app import assessment, many
from dfdlib.app.basis import Basis, Known
from dfdlib.data import audio


@pytest.fixture
def paths(tmp_path):
    """Files of three tones, and of what is none."""
    for number, level in enumerate([0.004, 0.03, 0.06]):
        audio.write_wav(tmp_path / f"tone{number}.wav", tone(level=level), rate=16_000)
    (tmp_path / "notes.txt").write_text("no sound")
    (tmp_path / "list.csv").write_text("path\ntone0.wav\n")
    (tmp_path / "=cmd|'calc'!A0.wav").write_bytes(b"RIFF")
    return sorted(map(str, tmp_path.iterdir()))


def nothing(done, total):
    pass


def test_a_row_a_file_and_a_reason_for_each_other(paths, known, basis):
    told = many.many(paths, known, channel="studio", progress=nothing)
    assert list(told.table["file"]) == ["tone0.wav", "tone1.wav", "tone2.wav"]
    alone = [assessment.assess(path, basis) for path in paths if Path(path).name.startswith("tone")]
    assert list(told.table["outcome"]) == [one.outcome for one in alone]
    assert list(told.table["LLR"]) == pytest.approx([one.llr.value for one in alone])
    reasons = dict(told.left_out)
    assert set(reasons) == {"notes.txt", "list.csv", "=cmd|'calc'!A0.wav"}
    assert reasons["list.csv"].startswith("is a table")


def test_silent_clips_are_not_judged(paths, known, monkeypatch):
    assert set(many.many(paths, known, channel="studio", progress=nothing).table["outcome"]) != {"cannot tell"}
    monkeypatch.setattr(assessment, "_SILENT", 0.0)  # all are below full scale
    assert set(many.many(paths, known, channel="studio", progress=nothing).table["outcome"]) == {"cannot tell"}


def test_two_detectors_have_columns_each(paths, basis):
    other = Basis("bare", basis.scorer, basis.preprocessing)
    told = many.many(paths, Known([basis, other]), channel="studio", progress=nothing)
    assert {"outcome, loudness", "outcome, bare", "score, bare"} <= set(told.table)
    assert set(told.table["outcome, bare"]) == {"cannot tell"}
    assert len(told.left_out) == 3


def test_scores_unlike_those_of_validation_clips_are_warned_of(tmp_path, known):
    for number in range(12):
        audio.write_wav(tmp_path / f"{number}.wav", tone(level=0.3, frequency=200 + number), rate=16_000)
    told = many.many(sorted(map(str, tmp_path.iterdir())), known, channel="studio", progress=nothing)
    assert any("outside the range" in line for _, line in told.warnings)


def test_no_file_that_can_be_used(tmp_path, known):
    (tmp_path / "notes.txt").write_text("no sound")
    told = many.many([str(tmp_path / "notes.txt")], known, channel="studio", progress=nothing)
    assert told.table.empty
    assert len(told.left_out) == 1


def test_progress_and_the_most_files(paths, known, monkeypatch):
    seen = []
    monkeypatch.setattr(many, "MOST_FILES", 4)
    told = many.many(paths[::-1], known, channel="studio", progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (3, 3)
    assert sum("is beyond the 4 files" in reason for _, reason in told.left_out) == 2
