"""What must be true of a data connection once all its tasks are green. Plain Python, apart from the code under test."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.loads.report.report import Report
from tests.simulation.airflow import Task
from tests.simulation.optix.tasks import AT_ONCE, NOT_LOADED, is_snapshot
from tests.simulation.source import Cell, version_of
from tests.simulation.target import WrongWorld

if TYPE_CHECKING:
    from tests.simulation.optix.connection import OptixConnection


class Oracle:
    """Knows the tasks, and what the source had for each of them."""

    def __init__(self, target: "OptixConnection", tasks: Sequence[Task]) -> None:
        self._target = target
        self._tasks = sorted(tasks, key=lambda one: (one.day, not is_snapshot(one)))

    def check_sums(self) -> None:
        """Of each report."""
        for task in self._tasks:
            for report in task.accounts:
                _check_sum(task, report)

    def check_visible(self) -> None:
        """What is visible is what the loads bring in the order of their days."""
        expected, doubtful = self._in_order()
        self._check(expected, doubtful, "the loads in order make")

    def check_owed(self) -> None:
        """The newest word on a key that was refused, and that was owed, has come by now."""
        newest = dict[str, Cell]()
        for key in self._target.source.keys:
            day = max((task.day for task in self._loads if key in self._words(task)), default=0)
            last = [task for task in self._loads if task.day == day and key in self._words(task)]
            words = [self._words(task)[key] for task in last]
            has_gone = any(
                task.kind == "expire" and task.day >= day and key in self._words(task) for task in self._tasks
            )
            if (
                words
                and words[0].is_poison
                and not has_gone
                and all(task.how.resend_rejected and task.kind != "update" for task in last)
            ):
                newest[key] = words[0]
        doubtful = set(self._target.source.keys) - newest.keys()
        self._check(self._versions(newest, set()), doubtful, "owed was")

    def _check(self, expected: dict[str, int], doubtful: set[str], why: str) -> None:
        left_out = doubtful | self._target.vendor.doubted | self._target.vendor.judge.suppressed
        found = {key: version_of(text) for key, text in self._target.vendor.values.items() if key not in left_out}
        wanted = {key: version for key, version in expected.items() if key not in left_out}
        expired = {key for key in wanted.keys() - found.keys() if self._has_expired(key, wanted[key])}
        if found != {key: version for key, version in wanted.items() if key not in expired}:
            raise WrongWorld(f"visible is {found}, and {why} {wanted}; expired are {expired}")

    def _has_expired(self, key: str, version: int) -> bool:
        """Whether it was there, with a time to live that is over."""
        (connection,) = self._target.vendor.state.connections.values()
        found = [record for record in connection.records.values() if record.data["id"] == key]
        return any(one.ttl not in (None, AT_ONCE) and version_of(one.data["value"]) == version for one in found)

    @property
    def _loads(self) -> list[Task]:
        return [task for task in self._tasks if task.kind not in NOT_LOADED]

    def _words(self, task: Task) -> dict[str, Cell]:
        return self._target.words(task)

    def _in_order(self) -> tuple[dict[str, int], set[str]]:
        """The versions that the loads bring, one day after the other; and the keys of which nobody can say that: some
        version of them was refused, or an update has written them, so that nobody knows a record to let expire, and no
        later day has another one."""
        store, said, doubted = dict[str, Cell](), dict[str, int](), dict[str, int]()
        for task in self._tasks:
            for key, cell in self._words(task).items() if task.kind not in ("dry run", "replay", "suppress") else ():
                said[key] = task.day
                if cell.is_gone:
                    store.pop(key, None)
                    continue
                store[key] = cell
                if cell.is_poison or task.kind == "update":
                    doubted[key] = task.day
        doubtful = {key for key, day in doubted.items() if key not in store or day == said[key]}
        return self._versions(store, doubtful), doubtful

    def _versions(self, store: dict[str, Cell], doubtful: set[str]) -> dict[str, int]:
        return {key: cell.version for key, cell in store.items() if key not in doubtful}


def _check_sum(task: Task, report: Report) -> None:
    if report.state == "planned":
        return
    parts = {name: getattr(report, name) for name in OUTCOMES}
    if report.rows != sum(parts.values()) or report.unsent:
        raise WrongWorld(f"{task.name}: {report.rows} rows, and {parts}")
