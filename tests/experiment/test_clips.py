import pytest

from dfdlib.experiment.clips import once


class Counter:
    def __init__(self):
        self.calls = []

    @once
    def double(self, number, *, plus=0):
        """Return twice a number."""
        self.calls.append((number, plus))
        if number < 0:
            raise ValueError("below zero")
        return 2 * number + plus


def test_the_same_question_is_answered_once_however_it_is_put():
    counter = Counter()
    assert counter.double(1) == counter.double(number=1) == counter.double(1, plus=0) == 2
    assert counter.double(1, plus=1) == 3
    assert counter.calls == [(1, 0), (1, 1)]
    assert Counter.double.__doc__ == "Return twice a number."


def test_objects_do_not_share_answers():
    first, second = Counter(), Counter()
    first.double(1)
    second.double(1)
    assert first.calls == second.calls == [(1, 0)]


def test_an_error_is_no_answer():
    counter = Counter()
    for _ in range(2):
        with pytest.raises(ValueError, match="below zero"):
            counter.double(-1)
    assert len(counter.calls) == 2
