"""What must be true of a table once all of its tasks are green. Plain Python, apart from the code under test."""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from optimove_provider.contract.outcomes import OUTCOMES
from tests.simulation.dcp.tasks import PROFILES, TableTask
from tests.simulation.source import Cell, version_of
from tests.simulation.target import WrongWorld

Place = tuple[str, str]


class Oracle:
    """Knows the tasks, and what the source had for each of them."""

    def __init__(self, tasks: Sequence[TableTask], cells: Callable[[TableTask], dict[str, Cell]]) -> None:
        self._all = list(tasks)
        self._tasks = [(task, cells(task)) for task in tasks if task.sends]

    def check_sums(self) -> None:
        """Of each report."""
        for task in self._all:
            for report in task.accounts:
                parts = {name: getattr(report, name) for name in OUTCOMES}
                if task.sends and (report.rows != sum(parts.values()) or report.unsent):
                    raise WrongWorld(f"{task.name}: {report.rows} rows, and {parts}")

    def check_visible(self, values: Mapping[Place, Any], fallen: Set[Place], doubted: Set[str]) -> None:
        """What is visible is what the loads bring in the order of their days; but for customers of whom the server has
        refused a row that was right."""
        places = {(key, name) for task, cells in self._tasks for key in cells for name in task.columns}
        given_up = {(key, name) for task, cells in self._tasks for key in cells for name in task.given_up}
        if extra := values.keys() - places - given_up:
            raise WrongWorld(f"{extra} are visible, and no task has them")
        for place in sorted(places - fallen):
            if place[0] in doubted:
                continue
            found = version_of(str(values[place])) if place in values else 0
            allowed = self._allowed(place)
            if found not in allowed:
                raise WrongWorld(f"{place} is of version {found}, and the loads in order make {allowed}")

    def _allowed(self, place: Place) -> set[int]:
        """The versions that may be there: the newest of those that nothing may have kept out, and newer ones."""
        key, name = place
        brought = [(task, cells[key]) for task, cells in self._tasks if key in cells and name in task.columns]
        sure = [cell.version for task, cell in brought if not task.is_refused(cell) and not self._kept_out(task, place)]
        least = max(sure, default=0)
        perhaps = [cells[key] for task, cells in self._tasks if key in cells and name in task.given_up]
        return {least} | {cell.version for cell in (*(cell for _, cell in brought), *perhaps) if cell.version > least}

    def _kept_out(self, task: TableTask, place: Place) -> bool:
        """Whether something else may have made the row of a task stale which does not bring that place itself."""
        key, name = place
        return any(
            other.day >= task.day and _outdates(other, cells, key, name)
            for other, cells in self._tasks
            if other != task
        )


def _outdates(other: TableTask, cells: Mapping[str, Cell], key: str, name: str) -> bool:
    """A row is stale as a whole: by a profile of other attributes, by a row that is refused, and by a snapshot that
    lacks it."""
    if key not in cells:
        return other.is_snapshot and other.compares
    return other.is_refused(cells[key]) or (other.kind == PROFILES and name not in other.columns)
