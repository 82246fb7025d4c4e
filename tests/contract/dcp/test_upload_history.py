"""What a state in the upload history means."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.dcp.upload_history import STATES, HistoryEntry, ImportState, Outcome, judge

WAIT, DONE, FAILED = ImportState.WAIT, ImportState.DONE, ImportState.FAILED


@pytest.mark.parametrize(
    ("status", "rows_failed", "verdict"),
    [
        ("pending", 0, WAIT),
        ("processing", 0, WAIT),
        ("processing", 3, WAIT),
        ("completed", 0, DONE),
        ("completed", 1, FAILED),
        ("failed", 0, FAILED),
        ("COMPLETED", 0, DONE),
        ("Pending", 0, WAIT),
        ("archived", 0, FAILED),
        ("", 0, FAILED),
    ],
)
def test_the_verdict_on_one_file(status, rows_failed, verdict):
    assert HistoryEntry("f.csv", status, rows_failed=rows_failed).verdict is verdict


def test_every_state_has_a_verdict_and_every_verdict_a_state():
    assert set(STATES.values()) == set(ImportState)


def test_a_failure_speaks_in_the_historys_own_words():
    entry = HistoryEntry("f.csv", "failed", 7, 2, "bad date in row 3")
    assert entry.sentence == "f.csv: failed, 7 rows processed, 2 failed: bad date in row 3"


def test_an_unknown_state_is_named_as_unknown():
    assert "mislaid (a state this package does not know)" in HistoryEntry("f.csv", "mislaid").sentence


def test_an_entry_may_lack_counts_and_hold_more_than_is_known():
    entry = HistoryEntry.from_json({"file": "f.csv", "status": "pending", "rows_failed": None, "owner": "x"})
    assert entry == HistoryEntry("f.csv", "pending", 0, None)


@pytest.mark.parametrize("missing", ["file", "status"])
def test_an_entry_needs_file_and_status(missing):
    entry = {"file": "f.csv", "status": "pending"}
    del entry[missing]
    with pytest.raises(KeyError, match=missing):
        HistoryEntry.from_json(entry)


def files(**states: str) -> list[HistoryEntry]:
    return [HistoryEntry(name, state) for name, state in states.items()]


@pytest.mark.parametrize(
    ("history", "verdict"),
    [
        (files(a="completed", b="completed"), DONE),
        (files(a="completed", b="pending"), WAIT),
        (files(a="completed"), WAIT),
        ([], WAIT),
        (files(a="failed", b="pending"), FAILED),
        (files(a="failed"), FAILED),
        (files(a="completed", b="completed", c="failed"), DONE),
    ],
)
def test_the_common_verdict_on_two_files(history, verdict):
    assert judge(history, ["a", "b"]).verdict is verdict


def test_no_files_are_done():
    assert judge(files(a="failed"), []).verdict is DONE


def test_the_newest_entry_of_a_file_counts():
    old = HistoryEntry("a", "failed", created="2026-01-01T00:00:00Z")
    new = HistoryEntry("a", "completed", created="2026-01-02T00:00:00Z")
    assert judge([new, old], ["a"]).entries == (new,)


def test_a_file_that_is_not_listed_yet_is_named():
    outcome = judge(files(a="pending"), ["a", "b", "b"])
    assert outcome.absent == ("b",)
    assert outcome.sentence == "a: pending, 0 rows processed, 0 failed; b: not in the history yet"


entries = st.builds(
    HistoryEntry,
    file=st.sampled_from("abc"),
    status=st.sampled_from([*STATES, "mislaid"]),
    rows_failed=st.integers(0, 1),
    message=st.text(max_size=5),
)


@given(st.lists(entries, max_size=5))
def test_an_outcome_survives_the_json_of_a_triggers_event(history):
    outcome = judge(history, ["a", "b"])
    assert Outcome.from_json(json.loads(json.dumps(outcome.as_json()))) == outcome


@given(st.lists(entries, max_size=5))
def test_an_entry_survives_its_own_json(history):
    assert [HistoryEntry.from_json(entry.as_json()) for entry in history] == history
