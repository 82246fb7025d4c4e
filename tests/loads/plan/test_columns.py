"""A column that came, or went, is told once: in the report and in the log, by the columns of the load before."""

import logging
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from optimove_provider.loads.dcp.invalidation import OverwritesNewer
from optimove_provider.loads.dcp.load import run
from optimove_provider.loads.optix.load import load, plan
from optimove_provider.loads.plan.columns import difference
from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.loads.report.report import Report
from optimove_provider.options import Guards
from optimove_provider.records.read.sources import list_batches
from tests.support import dcp_imports, optix_target, s3_target

s3, table = s3_target.s3, s3_target.target  # fixtures
pytestmark = pytest.mark.any_version

TOLD = "the columns are not those of the load before: "


@pytest.fixture
def target(tmp_path):
    return optix_target.Target(tmp_path)


def loaded(target, *columns, rows=2, dag="", step=load, load_id=None, **settings):
    """A load of rows with these columns beside the key; what its report says of them."""
    report = Report(load_id or str(uuid.uuid4()), {}, run={"dag_id": dag, "task_id": "load"})
    found = [{"id": str(row), **{name: f"{name} {row}" for name in columns}} for row in range(rows)]
    source = lambda: optix_target.opened(list_batches(found))  # noqa: E731
    try:
        step(target.client, source, target.staging, report, target.wanted(**settings))
    finally:
        target.told = [note.removeprefix(TOLD) for note in report.notes if note.startswith(TOLD)]
    return target.told


@pytest.mark.parametrize(("mode", "source_is"), [("full", "delta"), ("changed", "snapshot")])
def test_each_change_is_told_once_and_not_each_night(target, mode, source_is, caplog):
    wanted = {"mode": mode, "source_is": source_is, "guards": Guards(min_filled_share=None)}
    nights = [("a",), ("a", "b"), ("b", "a"), ("b",), ("b",), ("a", "c", "d")]
    assert [loaded(target, *columns, **wanted) for columns in nights] == [
        [],
        ["it also has 'b'"],
        [],
        ["it lacks 'a'"],
        [],
        ["it also has 'a', 'c', 'd' and it lacks 'b'"],
    ]
    warned = [one.getMessage() for one in caplog.records if TOLD in one.getMessage() and one.levelno == logging.WARNING]
    assert len(warned) == 3


def test_a_dry_run_tells_and_does_not_remember(target):
    loaded(target, "a")
    assert loaded(target, "a", "b", step=plan) == ["it also has 'b'"]
    assert loaded(target, "a", "b") == ["it also has 'b'"]


def test_a_load_without_rows_has_shown_no_columns(target):
    loaded(target, "a")
    assert loaded(target, rows=0) == loaded(target, "a") == []
    assert loaded(target, "b") == ["it also has 'b' and it lacks 'a'"]


def test_a_load_that_was_not_committed_does_not_count(target):
    snapshot = {"mode": "changed", "source_is": "snapshot"}
    loaded(target, "a", "b", rows=40, **snapshot)
    with pytest.raises(GuardStopped):
        loaded(target, "a", rows=40, **snapshot)  # a column whose values are all gone
    assert target.told == ["it lacks 'b'"]
    assert loaded(target, "a", "b", rows=40, **snapshot) == []


def test_two_tasks_with_columns_of_their_own_do_not_tell_of_each_other_each_night(target):
    assert loaded(target, "a", dag="one") == []
    assert loaded(target, "b", dag="other") == ["it also has 'b' and it lacks 'a'"]
    assert loaded(target, "a", dag="one") == loaded(target, "b", dag="other") == []
    assert loaded(target, "a", "c", dag="one") == ["it also has 'c'"]


def test_a_retry_tells_what_the_first_try_told(target):
    loaded(target, "a")
    own = str(uuid.uuid4())
    target.kill_at = len(target.bodies) + 1
    with pytest.raises(optix_target.Killed):
        loaded(target, "a", "b", load_id=own)
    target.let_a_minute_pass()
    assert loaded(target, "a", "b", load_id=own) == ["it also has 'b'"]
    assert loaded(target, "a", "b") == []


def test_of_many_columns_some_are_named():
    assert difference((f"c{number:02}" for number in range(25)), []).endswith("'c19' and 5 more")
    assert difference("ab", "ba") == ""


def imported(table, text, mode):
    """An import; what its report says of its columns."""
    one = dcp_imports.another(table)
    if mode == "changed":
        report = dcp_imports.load(one, text, source_is="delta")
    else:
        report = one.report()
        run(one.load(text, report, one.ledger, generation=datetime.now(UTC)))
    return [note.removeprefix(TOLD) for note in report.notes if note.startswith(TOLD)]


@pytest.mark.parametrize("mode", ["full", "changed"])
def test_an_import_tells_of_its_attributes(table, mode):
    assert imported(table, b"customerId,ltv\n1,2\n", mode) == []
    assert imported(table, b"CUSTOMERID,ltv\n1,3\n", mode) == []
    assert imported(table, b"note,customerId,ltv\nx,1,3\n", mode) == ["it also has 'note'"]
    assert imported(table, b"customerId,ltv,note\n1,4,x\n", mode) == []
    assert imported(table, b"customerId,note\n1,y\n", mode) == ["it lacks 'ltv'"]


def test_a_full_import_that_is_refused_does_not_count(table):
    run_at = datetime(2026, 11, 2, tzinfo=UTC)
    dcp_imports.full(table, b"customerId,ltv\n1,2\n", 1, run_at)
    older = dcp_imports.another(table)
    with pytest.raises(OverwritesNewer):
        dcp_imports.full(older, b"customerId,ltv,note\n1,1,x\n", 1, run_at - timedelta(days=1))
    assert imported(table, b"customerId,ltv\n1,2\n", "full") == []
