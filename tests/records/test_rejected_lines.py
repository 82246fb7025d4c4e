"""Lines of a file of rejected rows: whose they are and how old, also after somebody has edited them."""

import json
from datetime import UTC, datetime

import pytest

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.rejected_lines import Marker, marker_of, rejected_line

LINE = {
    "load": "6f0f5d3a-0000-4000-8000-000000000000",
    "generation": "2026-11-01T00:00:00+00:00",
    "opened": "2026-11-01T01:00:00+00:00",
    "row": 1,
    "reason": "bad",
    "status": None,
    "record": {"id": "1"},
}
MARKER = Marker(LINE["load"], datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, 1, tzinfo=UTC))


def without(*names):
    return {name: value for name, value in LINE.items() if name not in names}


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        dict(sorted(LINE.items())),
        {**LINE, "comment": "mended by Ann"},
        {**LINE, "generation": "2026-11-01T01:00:00+01:00"},
        {**LINE, "opened": "2026-11-01T01:00:00Z"},
        without("reason"),  # jq 'del(.reason)', before the records are mended
        without("row", "reason", "status"),
        {**without("record"), "text": "{"},
    ],
)
def test_a_line_says_how_old_it_is_whatever_else_was_taken_out(line):
    assert marker_of(line) == MARKER


@pytest.mark.parametrize(
    "line",
    [
        {**LINE, "generation": "2026-11-01T00:00:00"},
        {**LINE, "generation": "2026-11-01"},  # a spreadsheet's idea of it
        {**LINE, "opened": "11/1/2026 1:00"},
        {**LINE, "opened": 1793494800000},
        {**LINE, "load": None},
        without("load"),
        without("opened"),
    ],
)
def test_a_damaged_marker_is_no_reason_to_take_the_rows_for_new(line):
    with pytest.raises(
        DataError, match=r"row 1 of a file of rejected rows has a damaged marker.*load the records alone"
    ):
        marker_of(line)


@pytest.mark.parametrize(
    "line",
    [
        LINE["record"],
        without("load", "generation", "opened"),
        {"id": 1, "load": "heavy", "opened": "2026-11-01"},
        {"id": 1, "row": 3, "reason": "x", "status": "open", "opened": "2026-11-01", "text": "a ticket"},
        {"generation": "X", "opened": "2026", "load": 5, "text": "a poem", "author": "me"},
    ],
)
def test_rows_of_others_are_not_taken_for_ours(line):
    assert marker_of(line) is None


def test_a_document_on_several_lines_is_kept_on_one():
    """As PostgreSQL's json has it, which keeps its layout: the line was two, and a replay read neither."""
    record = '{"id":"1","v":{\n "a": "x\\n\\r",\r\n "b": 2}}'
    kept = rejected_line(1, "no", 400, record)
    assert kept.count(b"\n") == 1
    assert json.loads(kept)["record"] == json.loads(record)
