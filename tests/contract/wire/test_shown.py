"""What comes from outside is text: it begins no line, colours nothing, and turns nothing around."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.wire.shown import shown, shown_lines


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("plain, na\u00efve \u4e2d\u6587 \U0001f600", "plain, na\u00efve \u4e2d\u6587 \U0001f600"),
        ("one\ntwo\r\n", "one\\ntwo\\r\\n"),
        ("\x1b]8;;http://evil.example\x1b\\\\here", "\\x1b]8;;http://evil.example\\x1b\\\\here"),
        ("\u202egpj.exe\u2066", "\\u202egpj.exe\\u2066"),
        ("a\u2028b\x85c", "a\\u2028b\\x85c"),
        ("\ud83d", "\\ud83d"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
    ],
)
def test_what_does_not_show_is_escaped(text, as_shown):
    assert shown(text) == as_shown


@given(st.text(st.characters()))
def test_any_text_becomes_one_printable_line(text):
    assert shown(text).isprintable()
    assert [line.isprintable() for line in shown_lines(text).split("\n")] == [True] * (text.count("\n") + 1)


def test_a_long_text_is_cut_before_it_is_read():
    assert shown("\n" * 10**7, most=3) == "\\n\\n\\n..."
