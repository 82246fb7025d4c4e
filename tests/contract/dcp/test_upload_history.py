"""What a state in the upload history means."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.dcp.upload_history import (
    STATES,
    HistoryEntry,
    ImportState,
    Outcome,
    common_state,
    counted,
    judge,
    read_history,
)

WAIT, DONE, FAILED = ImportState.WAIT, ImportState.DONE, ImportState.FAILED


@pytest.mark.parametrize(
    ("status", "rows_failed", "state"),
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
def test_the_verdict_on_one_file(status, rows_failed, state):
    assert HistoryEntry("f.csv", status, rows_failed=rows_failed).state is state


def test_every_state_has_a_verdict_and_every_verdict_a_state():
    assert set(STATES.values()) == set(ImportState)


def test_a_failure_speaks_in_the_historys_own_words():
    entry = HistoryEntry("f.csv", "failed", 7, 2, "bad date in row 3")
    assert entry.sentence == "f.csv: failed, 7 rows processed, 2 failed: bad date in row 3"


def test_an_unknown_state_is_named_as_unknown():
    assert "mislaid (a state this package does not know)" in HistoryEntry("f.csv", "mislaid").sentence


def test_an_entry_may_lack_counts_and_hold_more_than_is_known():
    entry = HistoryEntry.from_json({"file": "f.csv", "status": "pending", "rows_failed": None, "owner": "x"})
    assert entry == HistoryEntry("f.csv", "pending", None, None)


@pytest.mark.parametrize("missing", ["file", "status"])
def test_an_entry_needs_file_and_status(missing):
    entry = {"file": "f.csv", "status": "pending"}
    del entry[missing]
    with pytest.raises(KeyError, match=missing):
        HistoryEntry.from_json(entry)


def files(**states: str) -> list[HistoryEntry]:
    return [HistoryEntry(name, state) for name, state in states.items()]


@pytest.mark.parametrize(
    ("history", "state"),
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
def test_the_common_verdict_on_two_files(history, state):
    assert judge(history, ["a", "b"]).state is state


def test_no_files_are_done():
    assert judge(files(a="failed"), []).state is DONE


def test_the_newest_entry_of_a_file_counts():
    old = HistoryEntry("a", "failed", created="2026-01-01T00:00:00Z")
    new = HistoryEntry("a", "completed", created="2026-01-02T00:00:00Z")
    assert judge([new, old], ["a"]).entries == (new,)


def test_a_file_that_is_not_listed_yet_is_named():
    outcome = judge(files(a="pending"), ["a", "b", "b"])
    assert outcome.absent == ("b",)
    assert outcome.sentence == "a: pending; b: not in the history yet"


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


KEY = "dcp/7/12/2026-05-01 load.csv"


@pytest.mark.parametrize(
    "named",
    [
        KEY,
        "12/2026-05-01 load.csv",
        "2026-05-01 load.csv",
        f"/{KEY}",
        f"s3://optimizely-import/{KEY}",
        "dcp/7/12/2026-05-01%20load.csv",
        "/2026-05-01 load.csv",
        f"  {KEY}\n",
        f"https://s3.us-east-1.amazonaws.com/optimizely-import/{KEY}",
        f"https://optimizely-import.s3.amazonaws.com/{KEY}?X-Amz-Expires=60&X-Amz-Signature=abc/def",
    ],
)
def test_a_history_names_a_file_in_its_own_way(named):
    assert judge([HistoryEntry(named, "completed")], [KEY]).state is DONE


@pytest.mark.parametrize("named", ["", "/", "load.csv", "13/2026-05-01 load.csv", f"x{KEY}", f"{KEY}x", f"other/{KEY}"])
def test_another_file_is_another_file(named):
    assert judge([HistoryEntry(named, "completed")], [KEY]).absent == (KEY,)


def test_the_whole_key_counts_more_than_a_name():
    history = [HistoryEntry("a/f.csv", "completed"), HistoryEntry("f.csv", "failed", created="2026-05-01T00:00:00Z")]
    assert judge(history, ["a/f.csv"]).state is DONE


def test_a_name_that_may_mean_several_of_the_files_means_none():
    assert judge([HistoryEntry("f.csv", "completed")], ["a/f.csv", "b/f.csv"]).absent == ("a/f.csv", "b/f.csv")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2026-05-01T10:00:00Z", "2026-05-01T10:00:00.500Z"),
        ("2026-05-01T10:00:00+05:00", "2026-05-01T06:00:00Z"),
        ("2026-05-01T10:00:00", "2026-05-01T10:00:01+00:00"),
        ("999999999", "1700000000"),
        ("1700000000000", "1700000001"),
        ("", "2026-05-01"),
        ("yesterday", "2026-05-01"),
    ],
)
def test_instants_are_compared_as_instants(older, newer):
    entries = [HistoryEntry("a", "completed", created=newer), HistoryEntry("a", "failed", created=older)]
    assert [judge(history, ["a"]).state for history in (entries, entries[::-1])] == [DONE, DONE]


@pytest.mark.parametrize(("one", "other"), [("", ""), ("2026-05-01T12:00:00+02:00", "2026-05-01T10:00:00Z")])
def test_of_equally_new_entries_the_last_that_is_listed_counts(one, other):
    history = [HistoryEntry("a", "failed", created=one), HistoryEntry("a", "completed", created=other)]
    assert judge(history, ["a"]).state is DONE


ODD = [
    {"rows_processed": "1,000"},
    {"rows_failed": "n/a"},
    {"rows_failed": []},
    {"rows_failed": -1},
    {"rows_processed": True},
    {"status": None},
    {"file": 5},
]


def test_odd_entries_of_other_files_are_passed_over_with_one_warning(caplog):
    history = [{"file": "other.csv", "status": "completed", **odd} for odd in ODD]
    history += [{"file": "other.csv"}, {}, None, "text", {"file": "f.csv", "status": "completed"}]
    assert judge(read_history(history, ["t/f.csv"]), ["t/f.csv"]).state is DONE
    assert [one.levelname for one in caplog.records] == ["WARNING"]
    assert "11 odd entries" in caplog.text


@pytest.mark.parametrize("odd", ODD[:-1])
def test_an_odd_entry_of_the_file_that_is_waited_for_is_told(odd):
    with pytest.raises((ValueError, KeyError)):
        read_history([{"file": "f.csv", "status": "completed", **odd}], ["t/f.csv"])


@pytest.mark.parametrize(("counts", "missing"), [([1], 2), ([0], 3), ([1, 1], 1)])
def test_fewer_rows_than_were_sent_are_a_failure_that_says_how_many_are_missing(counts, missing):
    outcome = common_state([HistoryEntry("a", "completed", rows_processed=count) for count in counts])
    assert counted(outcome, 3).state is FAILED
    assert f"{missing} of the 3 rows that were sent are missing" in counted(outcome, 3).sentence


@pytest.mark.parametrize("counts", [[3], [4], [None], [1, None], []])
def test_where_all_were_taken_or_nobody_counted_the_outcome_stays(counts):
    outcome = common_state([HistoryEntry("a", "completed", rows_processed=count) for count in counts])
    assert counted(outcome, 3) == outcome


def test_blanks_around_a_state_change_nothing():
    assert judge(read_history([{"file": KEY, "status": " Completed\r\n"}], [KEY]), [KEY]).state is DONE


def test_instants_as_in_mail_are_instants_too():
    failed, done = ("Thu, 01 Jan 2026 00:00:05 GMT", "failed"), ("Thu, 01 Jan 2026 02:00:09 +0200", "completed")
    newest_first = [HistoryEntry(KEY, status, created=created) for created, status in (done, failed)]
    assert judge(newest_first, [KEY]).state is DONE


def test_an_odd_entry_is_told_of_once_a_wait_and_not_at_each_look(caplog):
    odd, told = [{"file": "other.csv", "rows_failed": "n/a"}, {"file": KEY, "status": "pending"}], set()
    for _ in range(5):
        read_history(odd, [KEY], told)
    assert caplog.text.count("odd entries of other files") == 1
    read_history([*odd, {"file": "third.csv"}], [KEY], told)  # news
    assert caplog.text.count("other.csv") == 1
    assert caplog.text.count("third.csv") == 1
    for number in range(3000):
        read_history([{"file": f"{number}.csv"}], [KEY], told)
    assert len(told) <= 1000
