"""What must be true of a data connection once all its tasks are green. Plain Python, apart from the code under test."""

from collections.abc import Callable, Sequence

from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.loads.report.report import Report
from tests.simulation.airflow import Task
from tests.simulation.source import Cell, version_of
from tests.simulation.target import WrongWorld


class Oracle:
    """Knows the tasks, and what the source had for each of them."""

    def __init__(self, tasks: Sequence[Task], cells: Callable[[Task], dict[str, Cell]]) -> None:
        self._tasks, self._cells = tasks, cells

    def check_sums(self) -> None:
        """Of each report."""
        for task in self._tasks:
            for report in task.accounts:
                _check_sum(task, report)

    def check_visible(self, values: dict[str, str]) -> None:
        """What is visible is what the loads bring in the order of their days."""
        expected, doubtful = self._in_order()
        found = {key: version_of(text) for key, text in values.items() if key not in doubtful}
        if found != expected:
            raise WrongWorld(f"visible is {found}, and the loads in order make {expected}")

    def _in_order(self) -> tuple[dict[str, int], set[str]]:
        """The versions that the loads bring, one day after the other; and the keys of which nobody can say that: some
        version of them is refused, or an update has written them, so that nobody knows a record to let expire."""
        store, doubtful = dict[str, Cell](), set[str]()
        for task in sorted(self._tasks, key=lambda one: (one.day, "snapshot" not in one.kind)):
            cells = self._cells(task)
            if task.kind == "dry run":
                continue
            if "snapshot" in task.kind:
                store = {key: cell for key, cell in store.items() if key in cells}
            store |= cells
            doubtful |= {key for key, cell in cells.items() if cell.is_poison or task.kind == "update"}
        return {key: cell.version for key, cell in store.items() if key not in doubtful}, doubtful


def _check_sum(task: Task, report: Report) -> None:
    if task.kind == "dry run":
        return
    parts = {name: getattr(report, name) for name in OUTCOMES}
    if report.rows != sum(parts.values()) or report.unsent:
        raise WrongWorld(f"{task.name}: {report.rows} rows, and {parts}")
