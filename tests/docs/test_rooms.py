"""The picture of the rooms shows the code as it is."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
DRAW = runpy.run_path(str(DOCS / "draw_rooms.py"))


def test_the_picture_is_what_the_code_draws():
    assert DOCS.joinpath("rooms.svg").read_text("utf-8") == DRAW["picture"](), "run: python docs/draw_rooms.py"


def test_a_room_stands_above_all_that_it_imports():
    assert DRAW["floors"]({"a": {"b", "c"}, "b": {"c"}, "c": set(), "d": set()}) == [["a"], ["b"], ["c", "d"]]


def test_rooms_in_a_circle_are_refused():
    with pytest.raises(ValueError, match="import each other"):
        DRAW["floors"]({"a": {"b"}, "b": {"a"}})
