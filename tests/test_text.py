import pytest

from dfdlib import text
from dfdlib.errors import DataError


@pytest.mark.parametrize(
    ("outside", "line"),
    [
        ("two\nlines\ttab", r"two\nlines\ttab"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("right\u202eleft\u2066", r"right\u202eleft\u2066"),
        ("no text \udcff", r"no text \udcff"),
        ("كلام 👩‍👩‍👧 C:\\voices 'x'", "كلام 👩‍👩‍👧 C:\\voices 'x'"),
    ],
)
def test_a_message_is_one_line_that_steers_no_terminal(outside, line):
    assert text.one_line(outside) == line
    assert str(DataError("is no clip", path=outside)) == f"{line}: is no clip"


def test_what_is_drawn_is_one_short_line_of_unicode():
    assert text.shown(" two\nlines\x1b tab\udcff ") == "two lines tab?"
    assert text.shown("x" * 30 + "y" * 30, width=20) == "x" * 10 + "…" + "y" * 9
    assert text.shown("x" * 48) == "x" * 48


def test_names_that_are_no_text_are_told_from_others():
    assert text.is_text("talk.wav")
    assert text.is_text("كلام.wav")
    assert not text.is_text("talk\udcff.wav")
    assert text.unicode("talk\udcff.wav") == "talk?.wav"
