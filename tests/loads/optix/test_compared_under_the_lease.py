"""What a load changes is found under the lease, and what cannot be compared is never taken for equal."""

import pytest

from optimove_provider.contract.wire.errors import Disagreement
from optimove_provider.loads.ledger.lease import TargetBusy, acquire
from optimove_provider.loads.optix.load import load
from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from optimove_provider.options import Guards
from tests.support.optix_target import Killed, opened
from tests.support.optix_transactions import NO_GUARDS, TransactionTarget, counts, night, planned, rows

LOAD_ID = "6f0f5d3a-0000-4000-9000-00000000beef"
KEYS = [f"C{number}" for number in range(60)]
MINE, THEIRS = dict.fromkeys(KEYS, "mine"), dict.fromkeys(KEYS, "theirs")
FULL = {"mode": "full", "source_is": "delta"}
DELTA = {"source_is": "delta", "guards": Guards()}


class OnAnObjectStore(Staging):
    __slots__ = ()
    is_local = False


@pytest.fixture(params=[Staging, OnAnObjectStore], ids=["disk", "objects"])
def target(request, tmp_path):
    found = TransactionTarget(tmp_path)
    found.staging = request.param(found.staging.fs, found.staging.root)
    return found


def waits(target, values, **settings):
    """A load that has read its rows, and finds the target busy."""
    other = acquire(target.ledger.manifest_file, "the other load", 1)
    with pytest.raises(TargetBusy):
        target.sync(values, None, LOAD_ID, **settings)
    other.release()


def test_a_guard_sees_what_changes_though_the_rows_were_frozen_before_there_was_a_ledger(target):
    waits(target, MINE, **FULL, guards=Guards())
    target.sync(THEIRS, night(0), **FULL)
    with pytest.raises(GuardStopped, match="60 records change of about 60"):
        target.sync({}, None, LOAD_ID, **FULL, guards=Guards(), resumed=True)


def test_of_two_first_loads_at_once_the_guard_stops_the_second(target):
    def read():
        target.sync(THEIRS, night(0), **FULL)
        return opened(rows(MINE))

    wanted = target.wanted(**FULL, guards=Guards())
    with pytest.raises(GuardStopped, match="max_changed_share"):
        load(target.client, read, target.staging, Report(LOAD_ID, {}), wanted)


@pytest.mark.parametrize("others", [THEIRS, MINE], ids=["others", "the same"])
def test_rows_that_were_frozen_without_fingerprints_are_compared_when_the_dag_was_edited(target, others):
    waits(target, MINE, **FULL, guards=NO_GUARDS)
    target.sync(others, night(0), **FULL)
    report = target.sync({}, None, LOAD_ID, source_is="delta", resumed=True)
    assert report.accepted == (60 if others is THEIRS else 0)
    assert set(target.values.values()) == {"mine"}
    assert counts(target.sync(MINE, None, source_is="delta")) == (0, 60, 0, 0)


def test_few_rows_that_change_are_found_among_many_without_fingerprints(target):
    waits(target, MINE, **FULL, guards=NO_GUARDS)
    target.sync(MINE | {"C7": "theirs"}, night(0), **FULL)
    assert counts(target.sync({}, None, LOAD_ID, source_is="delta", resumed=True)) == (1, 59, 0, 0)
    assert target.values == MINE


def test_a_plan_that_was_approved_for_one_connection_is_not_carried_out_on_another(target):
    digest = planned(target, {"a": "1"}, night(1)).plan["digest"]
    target.data_connection_uuid = target.client.create_connection("production", "id")
    with pytest.raises(Disagreement):
        target.sync({"a": "1"}, night(1), expected_plan=digest)


@pytest.mark.parametrize(
    "how", [{"ttl_seconds": 60}, {"mode": "full"}, {"source_is": "delta"}, {"on_removed": "expire"}]
)
def test_a_plan_that_was_approved_is_carried_out_as_it_was_shown(target, how):
    digest = planned(target, {"a": "1"}, night(1)).plan["digest"]
    with pytest.raises(Disagreement):
        target.sync({"a": "1"}, night(1), expected_plan=digest, **how)
    assert target.sync({"a": "1"}, night(1), expected_plan=digest).accepted == 1


def test_what_an_update_has_written_hides_no_change_from_a_guard(target):
    target.sync(MINE, night(0))
    target.update(THEIRS, night(1))
    with pytest.raises(
        GuardStopped, match=r"60 records change .* 60 of which are judged by what was last known of them"
    ):
        target.sync(dict.fromkeys(KEYS, "other"), night(2), **DELTA)
    assert target.sync(MINE, night(2), **DELTA).accepted == 60
    assert counts(target.sync(MINE, night(3), **DELTA)) == (0, 60, 0, 0)


def test_what_an_update_has_written_twice_is_judged_by_what_was_known_before(target):
    target.sync(MINE, night(0))
    target.update(THEIRS, night(1))
    target.update(dict.fromkeys(KEYS, "other"), night(2))
    with pytest.raises(GuardStopped, match="60 records change"):
        target.sync(THEIRS, night(3), **DELTA)
    assert target.sync(MINE, night(3), **DELTA).accepted == 60


def test_of_what_only_an_update_has_written_all_may_change(target):
    target.update(MINE, night(1))
    with pytest.raises(GuardStopped, match="60 records change"):
        target.sync(MINE, night(2), **DELTA)
    assert target.sync(MINE, night(2), **DELTA | {"guards": Guards(max_changed_share=None)}).accepted == 60


@pytest.mark.parametrize("how", [DELTA, FULL], ids=["changed", "full"])
def test_a_load_that_died_is_no_accident_for_the_next_one_but_hides_none(target, how):
    target.sync(THEIRS, night(0))
    target.kill_at, target.killed_after = len(target.bodies) + 1, True
    with pytest.raises(Killed):
        target.sync(MINE, night(1), **{**how, "guards": NO_GUARDS})
    target.kill_at = 0
    target.let_a_minute_pass()
    with pytest.raises(GuardStopped, match="60 records change"):
        target.sync(dict.fromkeys(KEYS, "other"), night(2), **DELTA)
    assert target.sync(MINE, night(2), **DELTA).accepted == 60
