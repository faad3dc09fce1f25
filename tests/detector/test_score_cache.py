import contextlib
import resource
import sqlite3

import pytest

from dfdlib.detector.score_cache import Cache

PAIR = (1.5, -1.5)


def test_a_cache_is_asked_for_many_clips_at_once(tmp_path):
    cache = Cache(tmp_path / "cache.sqlite")
    logits = {(f"clip{number}", "t"): (float(number), -float(number)) for number in range(1_300)}
    cache.put(logits, checkpoint="c")
    found = cache.get((f"clip{number}" for number in range(0, 2_600, 2)), checkpoint="c", preprocessing="t")
    assert found == {f"clip{number}": (float(number), -float(number)) for number in range(0, 1_300, 2)}
    assert cache.get(["clip1"], checkpoint="d", preprocessing="t") == {}
    assert cache.of_clip("clip1", checkpoint="c") == {"t": (1.0, -1.0)}


@pytest.fixture
def path(tmp_path):
    """A cache with a thousand clips, closed."""
    cache = Cache(tmp_path / "cache.sqlite")
    cache.put({(f"clip{number}", "t"): PAIR for number in range(1_000)}, checkpoint="c")
    cache.close()
    return tmp_path / "cache.sqlite"


def works(cache):
    cache.put({("new", "t"): PAIR}, checkpoint="c")
    return cache.get(["new"], checkpoint="c", preprocessing="t") == {"new": PAIR}


def fill(path, content):
    path.write_bytes(content)


def other_table(path, table):
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"CREATE TABLE {table} (clip TEXT, score REAL)")
        database.commit()


def folder(path):
    path.unlink()
    (path / "inside").mkdir(parents=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: fill(path, b"no database at all " * 400),
        lambda path: fill(path, path.read_bytes()[:2_000]),
        lambda path: fill(path, path.read_bytes()[:20_000]),
        lambda path: fill(path, path.read_bytes()[:4_096] + bytes(range(256)) * 200),
        lambda path: other_table(path, "logits"),
        lambda path: other_table(path, "sheep"),
        folder,
    ],
    ids=["no database", "short header", "cut", "overwritten", "other columns", "other tables", "folder"],
)
def test_a_damaged_file_is_set_aside_and_begun_anew(path, damage):
    damage(path)
    said = []
    cache = Cache(path, say=said.append)
    assert cache.get([f"clip{number}" for number in range(1_000)], checkpoint="c", preprocessing="t") == {}
    assert works(cache)
    cache.close()
    (line,) = said
    assert line.startswith(f"{path}: the score cache is damaged")
    assert line.endswith("renamed to cache.sqlite.damaged, begun anew")
    assert path.with_name("cache.sqlite.damaged").exists()
    assert works(Cache(path, say=said.append))
    assert len(said) == 1


def test_a_journal_of_a_damaged_file_is_not_played_into_the_new_one(path):
    journal = path.with_name("cache.sqlite-wal")
    left = Cache(path)
    left.put({("clip0", "t"): (9.0, 9.0)}, checkpoint="c")
    kept = journal.read_bytes()  # as a kill would leave it
    left.close()
    path.write_bytes(b"no database at all " * 400)
    journal.write_bytes(kept)
    cache = Cache(path, say=lambda line: None)
    assert cache.get(["clip0"], checkpoint="c", preprocessing="t") == {}
    assert works(cache)


def test_damage_that_shows_late_is_set_aside_by_the_first_who_sees_it(path):
    said = []
    caches = [Cache(path, say=said.append) for _ in range(2)]
    with path.open("r+b") as file:
        file.write(b"no database at all " * 3_000)
    for cache in caches:
        assert cache.get(["clip1"], checkpoint="c", preprocessing="t") == {}
    assert all(works(cache) for cache in caches)
    assert len(said) == 1


def test_a_place_that_cannot_be_used_is_said_once(tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    cache = Cache(tmp_path / "file/cache.sqlite", say=said.append)
    assert not works(cache)
    assert cache.of_clip("new", checkpoint="c") == {}
    (line,) = said
    assert "file/cache.sqlite: the score cache cannot be used (" in line
    assert line.endswith("going on without it")
    assert (tmp_path / "file").read_text() == ""


def test_a_file_that_another_process_has_locked_is_left_alone(path):
    said = []
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        cache = Cache(path, say=said.append, patience=0.1)
        assert not works(cache)
        other.execute("COMMIT")
    (line,) = said
    assert "database is locked" in line
    assert len(Cache(path).get(["clip1"], checkpoint="c", preprocessing="t")) == 1
    assert not path.with_name("cache.sqlite.damaged").exists()


def test_a_full_disk_costs_the_cache_and_nothing_else(path, capfd):
    cache = Cache(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        cache.put({(f"more{number}", "t"): PAIR for number in range(10_000)}, checkpoint="c")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    cache.put({("again", "t"): PAIR}, checkpoint="c")
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("going on without it")
    assert len(Cache(path).get(["clip1"], checkpoint="c", preprocessing="t")) == 1
    assert not path.with_name("cache.sqlite.damaged").exists()
