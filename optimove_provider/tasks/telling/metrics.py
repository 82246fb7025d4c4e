"""What a load adds to Airflow's own metrics, where those are switched on. Tags tell few things apart, so that series
stay few: never a load, a run or a target."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from optimove_provider.contract.outcomes import OUTCOMES

if TYPE_CHECKING:
    from optimove_provider.tasks.telling.story import Story


def count(story: "Story", now: datetime, dag_id: str, task_id: str) -> None:
    """Count rows by outcome, requests, those that were throttled; time the load; tell how old what it brought is."""
    from airflow.providers.common.compat.sdk import Stats

    if not story.report or not story.has_ended:
        return
    tags = {"kind": story.kind, "dag_id": dag_id, "task_id": task_id}
    for outcome in OUTCOMES:
        Stats.incr(f"optimove.rows_{outcome}", getattr(story.report, outcome), tags=tags)
    Stats.incr("optimove.requests", story.requests(), tags=tags)
    Stats.incr("optimove.requests_throttled", story.requests("throttled"), tags=tags)
    Stats.timing("optimove.load_duration", timedelta(seconds=story.report.seconds), tags=tags)
    left_out = story.report.stale + story.report.suppressed
    if story.report.mode == "expire":  # it brings nothing
        return
    if story.failure is None and not 0 < story.report.rows == left_out:  # else the target has newer rows, or none
        lag = (now - story.generation).total_seconds()
        Stats.gauge("optimove.lag_seconds", round(max(lag, 0.0), 3), tags=tags)
