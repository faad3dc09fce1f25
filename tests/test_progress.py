import time

from dfdlib import progress


def test_lines_that_stay_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "LOOK", 0.01)
    monkeypatch.setattr(progress, "BETWEEN", 0.3)
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: False)
    lines = []
    started = time.monotonic()
    with progress.shown(tmp_path, title="run", echo=lines.append):
        for step in range(70):
            progress.tell(tmp_path, f"step {step}")
            time.sleep(0.01)
    assert 1 <= len(lines) <= (time.monotonic() - started) / 0.3
    assert all(line.startswith("run: step ") for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_said_of_what_an_earlier_run_was_at_or_where_nothing_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "LOOK", 0.01)
    monkeypatch.setattr(progress, "BETWEEN", 0.0)
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: False)
    lines = []
    progress.tell(tmp_path, "long ago")
    with progress.shown(tmp_path, title="run", echo=lines.append):
        progress.tell(tmp_path / "nowhere", "lost")
        time.sleep(0.1)
        progress.tell(tmp_path, "half of a \udcff")
        time.sleep(0.3)
    assert lines == ["run: half of a ?"]
