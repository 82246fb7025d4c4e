"""Which columns loads had, so that a person hears of it once when one comes or goes."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from optimove_provider.contract.how_many import how_many
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.report.report import Report

LOAD_COLUMNS_FILE = "load_columns.json"
_MOST_TASKS = 200
_SHOWN = 20
_ANY = ""


class LoadColumns:
    """The record beside a target's ledger, `load_columns.json`: the columns of the last load of each task, and of the
    last one of all.

    Two tasks may bring other columns to one target every night; so a load is compared with the one before it of its own
    task, and the first one of a task with the target's last.
    """

    def __init__(self, ledger: Ledger, report: Report) -> None:
        self._staging, self._report = ledger.staging, report
        self._path = f"{ledger.manifest_file.folder}/{LOAD_COLUMNS_FILE}"
        run = report.run
        self._task = f"{run.get('dag_id', '')}.{run.get('task_id', '')}" if run.get("dag_id") else _ANY

    def note(self, columns: Collection[str]) -> None:
        """Tell the report, and the log, what columns there are that the load before had not, or had."""
        known = self._read()
        before = self._before(known)
        if before is not None and columns and (told := difference(columns, before)):
            self._report.note(f"the columns are not those of the load before: {told}")

    def committed(self, columns: Collection[str]) -> None:
        """Remember a load that is committed. One without any row may not have shown its columns."""
        if not columns:
            return
        known = self._read()
        before = self._before(known)
        one = {"load": self._report.load_id, "columns": sorted(columns), "before": before and sorted(before)}
        told = dict.fromkeys((self._task, _ANY), one)
        others = [(name, one) for name, one in known.items() if name not in told]
        self._staging.write(self._path, dict([*others, *told.items()][-_MOST_TASKS:]))

    def _before(self, known: Mapping[str, Any]) -> Collection[str] | None:
        """What the load before this one had: a retry may have been remembered by an earlier try."""
        found = known.get(self._task) or known.get(_ANY)
        if found is None:
            return None
        is_own = found["load"] == self._report.load_id
        before: Collection[str] | None = found["before"] if is_own else found["columns"]
        return before

    def _read(self) -> Mapping[str, Any]:
        return self._staging.read(self._path) or {}


def difference(columns: Iterable[str], before: Iterable[str]) -> str:
    """What columns there are that were not there before, and were; "" if they are the same."""
    now, then = set(columns), set(before)
    parts = [f"it also has {_named(now - then)}"] if now - then else []
    parts += [f"it lacks {_named(then - now)}"] if then - now else []
    return " and ".join(parts)


def _named(names: Collection[str]) -> str:
    shown = ", ".join(map(repr, sorted(names)[:_SHOWN]))
    more = len(names) - _SHOWN
    return f"{shown} and {how_many(more, 'more', 'more')}" if more > 0 else shown
