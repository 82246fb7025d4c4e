"""Guards measure what would be lost: records that would expire, and columns that say nothing any more."""

import pyarrow as pa
import pytest

from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.options import Guards
from tests.support.optix_transactions import TransactionTarget, night

HUNDRED = [f"C{number}" for number in range(100)]
EXPIRE = {"on_removed": "expire", "guards": Guards()}
LOAD_ID = "6f0f5d3a-0000-4000-9000-00000000{:04}"


@pytest.fixture
def target(tmp_path):
    return TransactionTarget(tmp_path)


def ones(keys):
    return dict.fromkeys(keys, "1")


def test_what_was_reported_night_after_night_is_counted_when_it_is_to_expire(target):
    for number in range(5):
        target.sync(ones(HUNDRED[: 100 - 12 * number]), night(number), guards=Guards())
    sent = len(target.bodies)
    told = (
        r"lacks 49 of 100 records .* 49.0% of them: 1 newly, 48 were reported before, such as \"C\d+\", .*max_removed"
    )
    with pytest.raises(GuardStopped, match=told):
        target.sync(ones(HUNDRED[:51]), night(5), **EXPIRE)
    assert (len(target.bodies), len(target.values)) == (sent, 100)
    off = Guards(max_removed_share=None)
    assert target.sync(ones(HUNDRED[:51]), night(5), on_removed="expire", guards=off).expired == 49


@pytest.mark.parametrize("other", [str.lower, "{} ".format, "{}.0".format, "0{}".format])
def test_keys_that_are_written_another_way_do_not_expire_all_records(target, other):
    target.sync(ones(HUNDRED), night(0), guards=Guards())
    with pytest.raises(GuardStopped, match="lacks 100 of 100 records"):
        target.sync(ones(map(other, HUNDRED)), night(1), **EXPIRE)


def test_a_snapshot_of_one_file_of_three_is_stopped(target):
    target.sync(ones(HUNDRED[:90]), night(0))
    with pytest.raises(GuardStopped, match="lacks 60 of 90 records"):
        target.sync(ones(HUNDRED[60:90]), night(1), on_removed="expire", guards=Guards(min_rows_share=None))


def test_with_report_it_is_said(target):
    target.sync(ones(HUNDRED), night(0))
    report = target.sync(ones(HUNDRED[:79]), night(1), guards=Guards())
    assert [note for note in report.notes if "lacks 21 of 100 records" in note and "not made to expire" in note]
    assert report.state == "nothing_to_send"


@pytest.mark.parametrize("left", [80, 100])
def test_a_fifth_may_expire(target, left):
    target.sync(ones(HUNDRED), night(0))
    assert target.sync(ones(HUNDRED[:left]), night(1), **EXPIRE).expired == 100 - left


def test_keys_that_were_written_several_times_are_counted_once(target):
    target.sync(ones(HUNDRED), night(0))
    for number in range(1, 6):
        target.sync(dict.fromkeys(HUNDRED[:20], str(number)), night(number), source_is="delta")
    with pytest.raises(GuardStopped, match="lacks 21 of 100"):
        target.sync(dict.fromkeys(HUNDRED[:79], "5"), night(6), **EXPIRE)


def test_of_fewer_than_twenty_keys_all_may_expire(target):
    target.sync(ones(HUNDRED[:19]), night(0))
    assert (
        target.sync(
            ones(["new", *HUNDRED[:1]]), night(1), on_removed="expire", guards=Guards(min_rows_share=None)
        ).expired
        == 18
    )


def test_what_has_expired_already_is_not_counted(target):
    target.sync(ones(HUNDRED), night(0))
    target.sync(ones(HUNDRED[:81]), night(1), **EXPIRE)
    assert target.sync(ones(HUNDRED[:66]), night(2), **EXPIRE).expired == 15
    with pytest.raises(GuardStopped, match="lacks 14 of 66 records"):
        target.sync(ones(HUNDRED[:52]), night(3), **EXPIRE)


FILLED = {str: "a@b", list: ["a"], dict: {"q": "a"}}


@pytest.mark.parametrize("empty", ["", "   ", "\u00a0", [], [None], [""], {}, {"q": None}, {"q": ""}], ids=repr)
def test_a_column_that_was_filled_and_says_nothing_now_stops_a_snapshot(target, empty):
    def snapshot(held, number):
        kind = pa.array([FILLED[type(empty)]]).type
        columns = {"id": pa.array(HUNDRED), "email": pa.array([held] * 100, kind), "x": pa.array(["1"] * 100)}
        batch = pa.RecordBatch.from_pydict(columns)
        how = {"mode": "changed", "source_is": "snapshot", "guards": Guards(max_changed_share=None)}
        target.load([batch], LOAD_ID.format(number), generation=night(number), **how)

    snapshot(FILLED[type(empty)], 0)
    with pytest.raises(GuardStopped, match=r"column 'email' has a value in 0.0% of the rows, not in 100%"):
        snapshot(empty, 1)
