"""Rows that the server refuses are owed to the target: they go again while they are the newest word on their key."""

import json
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pytest

from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.lease import acquired
from optimove_provider.loads.optix.batch import NothingAccepted
from optimove_provider.loads.optix.bisect import RequestIsWrong
from optimove_provider.loads.owed.rows import read_owed
from optimove_provider.loads.plan.replan import PlanChanged
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.loads.suppression.suppression_list import add
from tests.support.ledgers import ledger_rows
from tests.support.optix_target import Killed
from tests.support.optix_transactions import NO_GUARDS, TransactionTarget, counts, night, planned

OWING = {"source_is": "delta", "resend_rejected": True, "max_rejected": 5}
NONE = {"sent": 0, "accepted": 0, "rejected_again": 0, "dropped": 0, "dropped_because": {}, "added": 0, "left": 0}


@pytest.fixture
def target(tmp_path):
    target = TransactionTarget(tmp_path)
    poison(target)
    return target


def poison(target, word="poison"):
    target.state.switches = Switches(poison=word)


def mend(target):
    """The server takes everything from now on."""
    target.state.switches = Switches()


def owe(target, number=1, **values):
    """A delta of which `k` is refused, unless other values are given."""
    values = values or {"k": "poison", "good": "1"}
    return target.sync(values, night(number), **OWING)


def owed(target):
    """What is owed, by key: the record's value, its tries and its age."""
    found = read_owed(target.staging, target.ledger.read().owed)
    rows = [row for batch in found for row in batch.to_pylist()]
    return {
        json.loads(row["key"]): (json.loads(row["record"])["value"], row["tries"], row["generation"]) for row in rows
    }


def bodies_with(target, key):
    """Whether each request had a record of a key, and completed the batch."""
    found = ((json.loads(body), one) for body, one in zip(target.bodies, target.state.requests, strict=True))
    return [one["batch_completed"] for body, one in found if key in [row["id"] for row in body["data"]]]


def test_a_refused_row_goes_again_with_a_later_load_with_its_own_age_and_not_as_the_closing_one(target):
    first = owe(target)
    assert first.owed == {**NONE, "added": 1, "left": 1}
    assert owed(target) == {"k": ("poison", 0, night(1))}
    mend(target)
    target.bodies.clear()
    target.state.requests.clear()
    report = target.sync({"new": "2"}, night(2), **OWING)
    assert report.owed == {**NONE, "sent": 1, "accepted": 1}
    assert (report.rows, counts(report), report.rejected) == (1, (1, 0, 0, 0), 0)
    assert target.values == {"k": "poison", "good": "1", "new": "2"}
    assert bodies_with(target, "k") == [False]
    assert target.ledger.read().owed is None
    assert counts(target.sync({"k": "0"}, night(0), **OWING)) == (0, 0, 1, 0)
    assert counts(
        target.sync(
            {"k": "1"},
            night(
                1,
            ),
            **OWING,
        )
    ) == (1, 0, 0, 0), "read later, so of a later age"


def test_what_is_owed_says_what_was_refused_by_which_load_when_and_in_which_words(target):
    report = owe(target)
    (row,) = (row for batch in read_owed(target.staging, target.ledger.read().owed) for row in batch.to_pylist())
    age = [datetime.fromisoformat(report.replay[name]) for name in ("generation", "opened")]
    assert [row["generation"], row["opened"]] == age
    assert (row["load_id"], row["status"], row["tries"]) == (report.load_id, 400, 0)
    assert "poison" in row["reason"] or "refused" in row["reason"]
    assert age[1] < row["since"]


def test_it_stays_owed_while_it_is_refused_and_stops_after_its_tries_but_stays_listed(target):
    owe(target)
    for tries in (1, 2):
        report = target.sync({f"n{tries}": "1"}, night(1 + tries), owed_tries=2, **OWING)
        assert report.owed == {**NONE, "sent": 1, "rejected_again": 1, "left": 1}
        assert (counts(report), report.rejected, report.reasons) == ((1, 0, 0, 0), 0, {})
        assert owed(target) == {"k": ("poison", tries, night(1))}
    mend(target)
    report = target.sync({"n3": "1"}, night(4), owed_tries=2, **OWING)
    assert report.owed == {**NONE, "left": 1}
    assert target.sync({"n4": "1"}, night(5), owed_tries=3, **OWING).owed == {**NONE, "sent": 1, "accepted": 1}
    assert target.values["k"] == "poison"


def test_owed_rows_count_neither_as_rejected_nor_for_a_guard_nor_as_changes(target):
    target.sync({f"{number}": "0" for number in range(30)}, night(0), **OWING)
    poison(target, "x")
    values = {f"{number}": "x1" for number in range(5)}
    assert owe(target, 1, good="1", **values).owed["added"] == 5
    poison(target, "x")
    how = {**OWING, "max_rejected": 0}
    report = target.sync({"other": "1"}, night(2), **how)
    assert (report.owed["rejected_again"], report.rejected, report.plan["changed"]) == (5, 0, 0)


@pytest.mark.parametrize("newer", ["accepted", "refused", "unfit", "update", "own row, unchanged"])
def test_a_debt_is_dropped_when_its_key_comes_with_a_newer_load(target, newer):
    target.sync({"k": "0"}, night(0), **OWING)
    owe(target)
    expected = {"k": "0"}
    if newer == "update":
        target.update({"k": "2"}, night(2))
        report, expected = target.sync({"n": "1"}, night(3), **OWING), {"k": "2"}
        assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"newer": 1}}
    elif newer == "refused":
        report = target.sync({"k": "poison two", "n": "1"}, night(2), **OWING)
        assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"own_rows": 1}, "added": 1, "left": 1}
        assert owed(target) == {"k": ("poison two", 0, night(2))}
    elif newer == "unfit":
        report = target.sync({"k": None, "n": "1"}, night(2), nulls="refuse", **OWING)
        assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"own_rows": 1}}
    else:
        value = "2" if newer == "accepted" else "0"
        report, expected = target.sync({"k": value}, night(2), **OWING), {"k": value}
        assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"own_rows": 1}}
    mend(target)
    target.sync({"m": "1"}, night(4), **OWING)
    assert {key: value for key, value in target.values.items() if key == "k"} == (
        {"k": "poison two"} if newer == "refused" else expected
    )


def test_a_load_without_the_setting_sends_nothing_that_is_owed_and_drops_what_it_has_newer(target):
    owe(target, 1, k="poison", l="poison", good="1")
    mend(target)
    how = {"source_is": "delta"}
    report = target.sync({"k": "2"}, night(2), **how)
    assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"own_rows": 1}, "left": 1}
    assert target.sync({"n": "2"}, night(3), **how).owed == {**NONE, "left": 1}
    assert "l" not in target.values
    assert target.sync({"o": "2"}, night(4), **OWING).owed == {**NONE, "sent": 1, "accepted": 1}


@pytest.mark.parametrize("lacks", [True, False])
def test_a_newer_snapshot_drops_what_is_owed(target, lacks):
    target.sync({"k": "0", "good": "1"}, night(0))
    owe(target)
    rows = {"good": "1"} | ({} if lacks else {"k": "2"})
    report = target.sync(rows, night(2), resend_rejected=True)
    assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"snapshot" if lacks else "own_rows": 1}}
    mend(target)
    assert target.sync({"n": "1"}, night(3), **OWING).owed == NONE
    assert target.values["k"] == ("0" if lacks else "2")


def test_a_newer_snapshot_that_was_committed_without_the_row_counts_even_if_it_did_not_look(target):
    """An older version, say, which leaves what is owed as it is."""
    owe(target)
    kept = target.ledger.read().owed
    target.sync({"good": "1"}, night(2), resend_rejected=True)
    target.ledger.manifest_file.change(lambda manifest: manifest.changed(owed=kept))
    report = target.sync({"n": "1"}, night(3), **OWING)
    assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"snapshot": 1}}


def test_what_a_snapshot_could_not_bring_goes_again_with_a_delta(target):
    report = target.sync({"k": "poison", "good": "1"}, night(1), resend_rejected=True, max_rejected=1)
    assert report.owed == {**NONE, "added": 1, "left": 1}
    mend(target)
    assert target.sync({"n": "1"}, night(2), **OWING).owed == {**NONE, "sent": 1, "accepted": 1}
    assert target.values == {"k": "poison", "good": "1", "n": "1"}


def test_a_load_that_is_older_than_what_is_owed_leaves_it_alone_even_if_it_has_the_key(target):
    owe(target, 3)
    mend(target)
    report = target.sync({"k": "old", "n": "1"}, night(2), **OWING)
    assert (report.owed, counts(report)) == ({**NONE, "left": 1}, (1, 0, 1, 0))
    assert target.sync({"m": "1"}, night(4), **OWING).owed == {**NONE, "sent": 1, "accepted": 1}
    assert target.values["k"] == "poison"


def test_what_is_owed_is_dropped_once_its_rejected_row_was_mended_and_replayed(target):
    """A replay is as old as its load: of two words of one age, the one that a person mended is the later one."""
    owed_by = owe(target)
    age = {name: datetime.fromisoformat(owed_by.replay[name]) for name in ("generation", "opened")}
    how = {"source_is": "delta", "opened": age["opened"]}
    target.sync({"k": "mended"}, age["generation"], **how)
    assert owed(target) == {}
    mend(target)
    target.sync({"n": "1"}, night(2), **OWING)
    assert target.values["k"] == "mended"


def test_what_another_load_may_have_sent_of_the_key_drops_what_is_owed(target):
    owe(target)
    mend(target)
    target.kill_at = len(target.bodies) + 1
    with pytest.raises(Killed):
        target.sync({"k": "2"}, night(2), "6f0f5d3a-0000-4000-8000-00000000dead", source_is="delta")
    target.kill_at = 0
    give_back(target)
    report = target.sync({"n": "1"}, night(3), **OWING)
    assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"newer": 1}}


def give_back(target):
    """The lease of a load that is dead."""
    target.ledger.manifest_file.change(lambda manifest: replace(manifest, holder=None))


@pytest.mark.parametrize("after", [False, True])
def test_a_load_that_died_while_it_sent_what_is_owed_loses_none_of_it(target, after):
    """Its own intent is no later word on the key."""
    owe(target)
    mend(target)
    target.kill_at, target.killed_after = len(target.bodies) + 1, after
    with pytest.raises(Killed):
        target.sync({"n": "1"}, night(2), "6f0f5d3a-0000-4000-8000-00000000dead", **OWING)
    target.kill_at = 0
    give_back(target)
    report = target.sync({"m": "1"}, night(3), **OWING)
    assert report.owed == {**NONE, "sent": 1, "accepted": 1}
    assert target.values == {"k": "poison", "good": "1", "m": "1"}


def test_without_a_row_of_its_own_a_load_closes_the_batch_with_an_owed_row_that_was_just_taken(target):
    owe(target)
    report = target.sync({"good": "1"}, night(2), **OWING)
    assert report.owed == {**NONE, "sent": 1, "rejected_again": 1, "left": 1}
    assert (report.state, counts(report)) == ("committed", (0, 1, 0, 0))
    mend(target)
    target.bodies.clear()
    target.state.requests.clear()
    report = target.sync({}, night(3), **OWING)
    assert (report.state, report.rows, report.visibility) == ("committed", 0, "visible")
    assert report.owed == {**NONE, "sent": 1, "accepted": 1}
    assert bodies_with(target, "k") == [False, True]
    assert target.bodies[0].replace(b'"batch_completed":false', b'"batch_completed":true') == target.bodies[1]
    assert target.values["k"] == "poison"


def test_where_every_own_row_is_refused_an_owed_one_may_close_the_batch(target):
    owe(target, 1, k="poison one", good="1")
    poison(target, "poison two")
    report = target.sync({"l": "poison two"}, night(2), **OWING)
    assert (report.rejected, counts(report)) == (1, (0, 0, 0, 0))
    assert report.owed == {**NONE, "sent": 1, "accepted": 1, "added": 1, "left": 1}
    assert (target.values, set(owed(target))) == ({"k": "poison one", "good": "1"}, {"l"})


def test_a_delta_of_refused_rows_only_is_committed_and_owed_within_max_rejected(target):
    report = target.sync({"k": "poison"}, night(1), **OWING)
    assert (report.state, report.rejected, report.owed["left"]) == ("committed", 1, 1)
    with pytest.raises(NothingAccepted):
        target.sync({"l": "poison"}, night(2), **{**OWING, "max_rejected": 0})
    assert set(owed(target)) == {"k"}
    with pytest.raises(TooManyRejected):
        target.sync({"m": "poison", "good": "1"}, night(3), **{**OWING, "max_rejected": 0})
    assert set(owed(target)) == {"k", "m"}


def test_owed_rows_neither_hide_nor_cause_the_finding_that_a_request_is_wrong(target):
    values = {f"k{number}": "poison" for number in range(5)} | {"good": "1"}
    target.sync(values, night(1), **{**OWING, "max_rejected": 9})
    report = target.sync({f"n{number}": "1" for number in range(9)}, night(2), **{**OWING, "max_rejected": 0})
    assert (report.accepted, report.owed["rejected_again"]) == (9, 5)
    with pytest.raises(RequestIsWrong):
        target.sync({f"m{number}": "poison" for number in range(9)}, night(3), **{**OWING, "max_rejected": 0})
    assert len(owed(target)) == 5


def test_looking_for_owed_rows_spends_nothing_of_what_the_loads_own_rows_may(target):
    values = {f"k{number}": "poison" for number in range(8)} | {"good": "1"}
    target.sync(values, night(1), **{**OWING, "max_rejected": 9})
    report = target.sync({"n": "1"}, night(2), max_bisect_requests=10, **OWING)
    assert report.owed == {**NONE, "sent": 5, "rejected_again": 5, "left": 8}
    mend(target)
    report = target.sync({"m": "1"}, night(3), max_bisect_requests=10, **OWING)
    assert report.owed == {**NONE, "sent": 5, "accepted": 5, "left": 3}
    assert {tries for _, tries, _ in owed(target).values()} == {1}, "those that were not tried yet came first"


def test_a_plan_tells_and_its_digest_covers_what_is_owed(target):
    owe(target)
    values = {"n": "1"}
    first = planned(target, values, night(2), **OWING)
    assert (first.plan["owed_to_send"], first.plan["owed_to_drop"], first.owed) == (1, 0, {})
    assert first.plan_sentence == "1 new, and 1 owed row besides"
    without = planned(target, values, night(2), **{**OWING, "resend_rejected": False})
    assert without.plan["owed_to_send"] == 0
    assert first.plan["digest"] != without.plan["digest"]
    with pytest.raises(PlanChanged):
        target.sync(values, night(2), expected_plan=without.plan["digest"], **OWING)
    mend(target)
    report = target.sync(values, night(2), expected_plan=first.plan["digest"], **OWING)
    assert report.owed == {**NONE, "sent": 1, "accepted": 1}


def test_an_accepted_owed_row_lasts_as_long_as_the_load_says_that_brought_it(target):
    owe(target)
    mend(target)
    target.sync({"n": "1"}, night(2), ttl_seconds=3600, **OWING)
    connection = target.state.connections[target.data_connection_uuid]
    assert "k" in connection.visible(target.state.clock())
    assert "k" not in connection.visible(target.state.clock() + 4000)


def test_a_replay_keeps_what_is_refused_again_owed_and_sends_nothing_else(target):
    first = owe(target, 1, k="poison", l="poison", good="1")
    opened = datetime.fromisoformat(first.replay["opened"])
    how = {"opened": opened, "owed_tries": 0, **OWING}
    report = target.sync({"k": "poison still"}, night(1), all_may_be_bad=True, **how)
    assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"own_rows": 1}, "added": 1, "left": 2}
    assert owed(target) == {"k": ("poison still", 0, night(1)), "l": ("poison", 0, night(1))}


def test_what_is_owed_of_a_suppressed_key_is_dropped(target):
    owe(target, 1, k="poison", l="poison", good="1")
    mend(target)
    with acquired(target.ledger.manifest_file, "6f0f5d3a-0000-4000-8000-00000000feed", 1) as lease:
        add(target.ledger, lease, ["k"], "a person")
    report = target.sync({"n": "1"}, night(2), **OWING)
    assert report.owed == {**NONE, "sent": 1, "accepted": 1, "dropped": 1, "dropped_because": {"suppressed": 1}}
    assert target.values == {"l": "poison", "good": "1", "n": "1"}
    assert owed(target) == {}


def test_an_owed_row_is_sent_and_kept_with_the_stamp_of_the_load_that_brings_it(target):
    target.sync({"k": "poison", "good": "1"}, night(1), stamp='{"run":"one"}', **OWING)
    mend(target)
    assert target.sync({"n": "1"}, night(2), stamp='{"run":"two"}', **OWING).owed == {**NONE, "sent": 1, "accepted": 1}
    assert {key: data["run"] for key, data in target.visible.items()} == {"good": "one", "k": "two", "n": "two"}
    assert ledger_rows(target.ledger)['"k"']["stamp"] == '{"run":"two"}'


def test_a_deletion_drops_what_is_owed_of_its_key(target):
    target.sync({"k": "0", "good": "1"}, night(0), source_is="delta")
    owe(target)
    mend(target)
    rows = [pa.RecordBatch.from_pydict({"id": ["k", "n"], "value": [None, "1"], "gone": [True, False]})]
    report = target.load(
        rows,
        "6f0f5d3a-0000-4000-8000-00000000de1e",
        generation=night(2),
        deleted_column="gone",
        guards=NO_GUARDS,
        **OWING,
    )
    assert report.owed == {**NONE, "dropped": 1, "dropped_because": {"own_rows": 1}}
    assert target.sync({"m": "1"}, night(3), **OWING).owed == NONE
    assert "k" not in {
        key for key in target.state.connections[target.data_connection_uuid].visible(target.state.clock() + 2)
    }
