"""Backfills of the example DAGs from Airflow's command line, by a real Airflow on PostgreSQL.

The days run in any order and at once, beside a run that a user triggers. What the store holds in the end is what one
pass over the days in their order would have left.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from tests.support.backfill.cluster import processes_of
from tests.support.backfill.days import INCREMENTAL, Days, running_days

PARTITIONS, CONSUMER, APPROVED = "optix_by_partition", "after_optix_partition", "optix_plan_and_approve"
FIRST, LAST = date(1997, 1, 12), date(1997, 1, 16)
DAYS = [FIRST + timedelta(days=ahead) for ahead in range((LAST - FIRST).days + 1)]
EVERY_DAY = "99999"  # a customer whom every run would overwrite


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> Iterator[Days]:
    folder = tmp_path_factory.mktemp("backfill")
    ahead = LAST + timedelta(days=1)  # no run may see this day's order
    orders = [(EVERY_DAY, day.isoformat(), 1, 10.0) for day in [*DAYS, ahead]]
    with running_days(folder, [INCREMENTAL, PARTITIONS, APPROVED], orders) as days:
        yield days
    assert not processes_of(days.cluster)


def test_the_approved_plan_is_uploaded(days):
    states = "SELECT state FROM task_instance WHERE dag_id = %s AND task_id = %s"
    waits = [("awaiting_input",)], [("deferred",)]  # the latter before Airflow 3.3
    days.wait_for("plan to approve", APPROVED, lambda: days.cluster.rows(states, APPROVED, "approve") in waits)
    # An answer that comes before Airflow has noticed that the task waits would fail it: apache/airflow#72716.
    days.wait_for("notice of it", APPROVED, lambda: days.cluster.logged("TaskInstance Finished", "task_id=approve"))
    assert days.cluster.rows(states, APPROVED, "upload") == [(None,)]
    (run_id,) = days.runs(APPROVED, "run_id")
    path = f"/api/v2/dags/{APPROVED}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    asked = days.cluster.api("GET", path)
    assert "| new | changed |" in asked["body"]
    days.cluster.api("PATCH", path, {"chosen_options": ["Approve"], "params_input": {}})
    days.wait_for_runs(APPROVED)
    assert days.not_successful(APPROVED) == []
    assert len(days.stored("CDNOW customers, approved")) == 2358  # CDNOW's, and EVERY_DAY


def test_days_that_run_backwards_and_at_once_end_as_in_their_order(days):
    days.backfill(INCREMENTAL, FIRST, LAST, "--run-backwards")
    days.trigger(INCREMENTAL, date(1997, 1, 13), date(1997, 1, 16))
    days.wait_for_runs(INCREMENTAL)
    check(days)
    assert set(days.runs(INCREMENTAL, "run_type")) == {"scheduled", "manual", "backfill"}
    # When the first day began, no more than three of the later ones were left.
    assert days.results()[FIRST]["stale"] >= 1


def test_partitions_are_back_filled_and_their_consumer_runs_for_each(days):
    first = LAST - timedelta(days=1)
    days.backfill(PARTITIONS, first, LAST)
    days.wait_for_runs(PARTITIONS)
    keys = set(days.runs(PARTITIONS, "partition_key"))
    assert keys > {f"{day}T00:00:00" for day in (first, LAST)}  # and the one of the scheduled run
    days.wait_for("consumer", CONSUMER, lambda: keys <= set(days.runs(CONSUMER, "partition_key")))
    days.wait_for_runs(CONSUMER)
    assert days.not_successful(PARTITIONS) == days.not_successful(CONSUMER) == []
    assert len(days.runs(CONSUMER, "partition_key")) == len(keys)
    assert days.stored("CDNOW customers by partition") == days.orders.after_an_ordered_pass(first, LAST)


def test_all_days_again_after_a_correction(days):
    days.orders.add([(EVERY_DAY, "1997-01-03", 7, 70.0), ("00004", "1997-01-12", 1, 3.5)])
    before = {result["load_id"] for result in days.results().values()}
    days.backfill(INCREMENTAL, FIRST, LAST, "--reprocess-behavior", "completed")
    days.wait_for_runs(INCREMENTAL)
    check(days)
    assert before.isdisjoint(result["load_id"] for result in days.results().values())
    assert days.stored("CDNOW customers by day")["00004"]["orders"] == 2  # its one of January 1st, and the new one


def check(days: Days) -> None:
    """No task failed, every row is accounted for, and the store is as after a pass in order."""
    assert days.not_successful(INCREMENTAL) == []
    assert days.emulator.state.violations == []
    assert days.stored("CDNOW customers by day") == days.orders.after_an_ordered_pass(FIRST, LAST)
    results = days.results()
    assert sorted(results) == DAYS
    for result in results.values():
        assert result["rows"] == result["accepted"] + result["unchanged"] + result["stale"]
    rows, _ = days.orders.rows_and_customers(FIRST, LAST)
    assert sum(result["rows"] for result in results.values()) == rows
