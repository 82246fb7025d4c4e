"""Which kinds of tasks a data connection has in a world, and the options of each."""

from datetime import timedelta

from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.options import Sending
from tests.simulation.airflow import Task
from tests.simulation.worker import BEGAN
from tests.support.optix_transactions import NO_GUARDS

CONNECTION = "00000000-0000-4000-8000-000000000001"
DAYS = 5
"""Of the source. They are over when the world begins."""
KINDS = ("snapshot", "delta", "full snapshot", "full delta", "update", "dry run")
WEIGHTS = (5, 5, 1, 1, 2, 1)


def options_of(task: Task) -> UploadOptions:
    """As its DAG states them."""
    is_snapshot = "snapshot" in task.kind
    return UploadOptions(
        OptixTarget(CONNECTION, "id"),
        mode="full" if "full" in task.kind or task.kind == "update" else "changed",
        source_is="snapshot" if is_snapshot else "delta",
        on_removed="expire" if is_snapshot else "report",
        max_rejected=99,
        guards=NO_GUARDS,
        generation=BEGAN + timedelta(days=task.day - DAYS - 2),
        sending=Sending(max_in_flight=1),
    )
