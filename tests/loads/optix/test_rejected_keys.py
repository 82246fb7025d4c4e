"""Whole loads, updates and replays: what a newer load had and could not bring, an older one does not bring either.

Several of these are what others have reported of their queues and sinks, where a failed record that is sent again later
knows nothing of what came meanwhile.
"""

from datetime import datetime

import pyarrow as pa
import pytest

from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.report import Report
from tests.support.optix_target import opened
from tests.support.optix_transactions import TransactionTarget, counts, night

DELTA = {"source_is": "delta", "max_rejected": 5}
REFUSED, UNFIT = {"bad": "poison"}, {"bad": None, "nulls": "refuse"}


@pytest.fixture
def target(tmp_path):
    target = TransactionTarget(tmp_path)
    target.state.switches = Switches(poison="poison")
    return target


@pytest.fixture(params=[REFUSED, UNFIT], ids=["refused", "unfit"])
def reject(request, target):
    """A load that has `k` and cannot bring it, and another key, which it brings."""
    how = dict(request.param)
    bad = how.pop("bad")

    def load(number, **settings):
        report = target.sync({"k": bad, f"other {number}": "1"}, night(number), **{**DELTA, **how, **settings})
        assert (report.accepted, report.rejected) == (1, 1)
        return report

    return load


def replay(target, report, values, **settings):
    """What was rejected, mended: as old as the load that it is of."""
    generation, opened = (datetime.fromisoformat(report.replay[name]) for name in ("generation", "opened"))
    return target.sync(values, generation, opened=opened, **{**DELTA, **settings})


@pytest.mark.parametrize("newer", ["delta", "snapshot"])
@pytest.mark.parametrize("mode", ["changed", "full"])
def test_mondays_rejected_row_is_not_brought_after_tuesdays_was_rejected_too(target, reject, mode, newer):
    """Messages that come back from a dead letter queue have lost their place: what they say is old by then."""
    monday = reject(1, mode=mode)
    tuesday = reject(2, mode=mode, source_is=newer)
    report = replay(target, monday, {"k": "monday"}, mode=mode)
    assert (counts(report), report.state) == ((0, 0, 1, 0), "nothing_to_send")
    assert "k" not in target.values
    assert counts(replay(target, tuesday, {"k": "tuesday"}, mode=mode)) == (1, 0, 0, 0)
    assert counts(replay(target, monday, {"k": "monday"}, mode=mode)) == (0, 0, 1, 0)
    assert target.values["k"] == "tuesday"


def test_the_record_that_the_target_has_stays_known(target, reject):
    """A failed newer version must not make the older record look deleted, nor as if it were unknown."""
    target.sync({"k": "0", "gone": "0"}, night(0))
    reject(2)
    assert counts(target.sync({"k": "1"}, night(1), **DELTA)) == (0, 0, 1, 0)
    assert counts(target.sync({"k": "0"}, night(3), **DELTA)) == (0, 1, 0, 0)
    report = target.sync({"other 2": "1"}, night(4), on_removed="expire")
    assert (report.plan["removed"], report.expired) == (2, 2)


def test_what_was_rejected_and_never_there_is_neither_counted_nor_expired(target, reject):
    reject(2)
    report = target.sync({"other 2": "1"}, night(3), on_removed="expire")
    assert (report.plan["removed"], report.plan["reported"], report.expired) == (0, 0, 0)


def test_a_window_that_is_filled_in_later_leaves_the_key_out(target, reject):
    """An upsert that only looks at what is in the table lets a late record of a key through that is not there."""
    reject(5)
    report = target.sync({"k": "late", "new": "late"}, night(3), **DELTA)
    assert (counts(report), target.values) == ((1, 0, 1, 0), {"other 5": "1", "new": "late"})


def test_an_older_update_leaves_the_key_out(target, reject):
    reject(2)
    assert counts(target.update({"k": "1", "new": "1"}, night(1))) == (1, 0, 1, 0)
    assert counts(target.update({"k": "3"}, night(3))) == (1, 0, 0, 0)


@pytest.mark.parametrize("others", [{}, {"other": "1"}])
@pytest.mark.parametrize("how", [{"bad": None, "nulls": "refuse"}, {"bad": "poison"}], ids=["unfit", "refused"])
def test_an_update_that_could_not_bring_a_key_keeps_older_loads_from_it(target, how, others):
    settings = dict(how)
    values = {"k": settings.pop("bad"), **others}
    assert target.update(values, night(2), max_rejected=5, **settings).rejected == 1
    report = target.sync({"k": "1"}, night(1), **DELTA)
    assert (counts(report), "k" in target.values) == ((0, 0, 1, 0), False)
    assert counts(target.sync({"k": "3"}, night(3), **DELTA)) == (1, 0, 0, 0)


def test_an_unfit_row_of_an_update_leaves_what_is_known_of_its_key(target):
    target.sync({"k": "0"}, night(0), **DELTA)
    target.update({"k": None}, night(2), max_rejected=5, nulls="refuse")
    assert counts(target.sync({"k": "1"}, night(1), **DELTA)) == (0, 0, 1, 0)
    assert counts(target.sync({"k": "0"}, night(3), **DELTA)) == (0, 1, 0, 0)


@pytest.mark.parametrize("value", ["1", float("nan")])
def test_a_row_of_an_update_with_an_odd_time_to_live_has_its_key(target, value):
    batch = pa.RecordBatch.from_pydict({"id": ["k", "l"], "value": [value] * 2, "ttl": ["soon", "soon"]})
    report, update = Report("6f0f5d3a-0000-4000-8000-00000000beef", {}), Update(target.wanted(max_rejected=5), "ttl")
    load_update(target.client, lambda: opened([batch]), target.staging, report, update)
    assert counts(target.sync({"k": "1", "l": "1"}, night(2), **DELTA)) == (0, 0, 2, 0)


def test_a_load_of_rejected_rows_only_keeps_older_ones_out(target):
    """A batch of which every record went to the dead letter queue has moved time on nevertheless."""
    report = target.sync({"k": None}, night(2), nulls="refuse", **DELTA)
    assert (report.state, report.rejected) == ("nothing_to_send", 1)
    assert counts(target.sync({"k": "1"}, night(1), **DELTA)) == (0, 0, 1, 0)


def test_a_load_that_was_not_carried_out_keeps_nobody_out(target):
    """Its other rows do not, either."""
    with pytest.raises(Exception, match="Nothing was sent"):
        target.sync({"k": None, "new": "2"}, night(2), nulls="refuse", source_is="delta")
    assert counts(target.sync({"k": "1", "new": "1"}, night(1), **DELTA)) == (2, 0, 0, 0)


def test_a_mark_does_not_go_with_time(target, reject):
    """Marks that are kept for an hour, or in memory only, let the older record through after that."""
    reject(2)
    for number in range(3, 9):
        target.sync({f"{number}{some}": "1" for some in range(3)}, night(number), **DELTA)
    assert target.ledger.read().let_go
    assert counts(target.sync({"k": "1"}, night(1), **DELTA)) == (0, 0, 1, 0)


def test_rows_of_an_older_load_do_not_lower_what_is_newer(target):
    target.sync({"k": "3"}, night(3), **DELTA)
    stale = target.sync({"k": "poison", "x": "1"}, night(2), **DELTA)
    assert (stale.stale, stale.rejected) == (1, 0)
    target.sync({"k": None, "y": "1"}, night(2), nulls="refuse", **DELTA)
    assert counts(target.sync({"k": "2"}, night(2), **DELTA)) == (0, 0, 1, 0)
    assert target.values["k"] == "3"
