from dfdlib.detector.score_cache import Cache


def test_a_cache_is_asked_for_many_clips_at_once(tmp_path):
    cache = Cache(tmp_path / "cache.sqlite")
    logits = {(f"clip{number}", "t"): (float(number), -float(number)) for number in range(1_300)}
    cache.put(logits, checkpoint="c")
    found = cache.get((f"clip{number}" for number in range(0, 2_600, 2)), checkpoint="c", treatment="t")
    assert found == {f"clip{number}": (float(number), -float(number)) for number in range(0, 1_300, 2)}
    assert cache.get(["clip1"], checkpoint="d", treatment="t") == {}
    assert cache.treatments("clip1", checkpoint="c") == {"t": (1.0, -1.0)}
    cache.remove()
    assert list(tmp_path.iterdir()) == []
