"""Which points of a schedule before a run's had no run of their own, and the backfill that fills them."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimove_provider.loads.plan.window import Point
    from optimove_provider.tasks.windows.schedule import DagSchedule

MOST = 1000  # points before a run's that are asked for
_BATCH = 64  # points in one question: its dates stand in a URL
_NAMED = 5

AnyRun = Callable[[Sequence["Point"]], bool]  # whether one of these points has a run


def missed_points(schedule: "DagSchedule", at: datetime, start_date: datetime | None, any_run: AnyRun) -> "list[Point]":
    """The points right before `at` that have no run, in their order; at most MOST.

    None at all if no run is found and `start_date` is None: nothing tells then since when there should be runs.
    """
    earlier = _before(schedule, at, start_date)
    missed = _without_run(earlier, any_run)
    return missed if len(missed) < len(earlier) or start_date else []


def told(schedule: "DagSchedule", dag_id: str, missed: "Sequence[Point]") -> str:
    """What to say of missed points."""
    first, last = (_backfill_date(schedule, point).isoformat() for point in (missed[0], missed[-1]))
    named = [point.at.astimezone(schedule.zone).isoformat() for point in missed]
    if len(named) > _NAMED:
        named[_NAMED - 2 : -1] = ["..."]
    points = "point" if len(missed) == 1 else "points"
    many = "at least " if len(missed) >= MOST else ""
    return (
        f"the schedule of DAG {dag_id!r} has {many}{len(missed)} {points} right before this run's without a run, and "
        f"nothing was loaded for what they stand for: {', '.join(named)}. To fill them: "
        f"airflow backfill create --dag-id {dag_id} --from-date {first} --to-date {last}"
    )


def any_run_of(schedule: "DagSchedule", ti: Any) -> AnyRun:
    """Asks Airflow for the runs of a task instance's DAG: by their dates, or by the partition's key in their ids."""
    if not schedule.has_partitions:
        return lambda points: ti.get_dr_count(ti.dag_id, logical_dates=[_logical_date(each) for each in points]) > 0
    run_ids = " ".join(ti.get_task_states(ti.dag_id, task_ids=[ti.task_id]))
    return lambda points: any(f"__{schedule.with_partition(each).partition_key}__" in run_ids for each in points)


def _before(schedule: "DagSchedule", at: datetime, start_date: datetime | None) -> "list[Point]":
    """The last points before `at` and not before `start_date`, the newest first."""
    back, found = timedelta(hours=2), list[Any]()
    while len(found) < MOST and back <= timedelta(days=3000):
        earliest = max(at - back, start_date) if start_date else at - back
        found = [point for point in schedule.between(earliest, at) if point.at < at]
        if earliest == start_date:
            break
        back *= 4
    return found[::-1][:MOST]


def _without_run(newest_first: "Sequence[Point]", any_run: AnyRun) -> "list[Point]":
    """The points before the first one that has a run, in their order."""
    missed, size, rest = list[Any](), 1, iter(newest_first)
    while batch := list(islice(rest, size)):
        if any_run(batch):
            return (missed + _lead(batch, any_run))[::-1]
        missed, size = missed + batch, min(2 * size, _BATCH)
    return missed[::-1]


def _lead(batch: "list[Point]", any_run: AnyRun) -> "list[Point]":
    """The first points of a batch, until the one that has a run; one of them has."""
    few, many = 0, len(batch) - 1
    while few < many:
        half = (few + many) // 2
        few, many = (few, half) if any_run(batch[: half + 1]) else (half + 1, many)
    return batch[:few]


def _logical_date(point: "Point") -> datetime:
    return point.interval[0] if point.interval else point.at


def _backfill_date(schedule: "DagSchedule", point: "Point") -> datetime:
    if not schedule.has_partitions:
        return _logical_date(point)
    date = schedule.with_partition(point).partition_date
    return schedule.partition_date_for_backfill(date) if date else point.at
