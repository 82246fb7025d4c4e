"""The sync log: a row a load, and if wanted one a rejected row, in tables of the user's own database."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook, conf

from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.contract.wire.errors import OptimoveProviderError, SettingsError
from optimove_provider.contract.wire.outside import cut, redact
from optimove_provider.options import SyncLog
from optimove_provider.tasks.sources import database
from optimove_provider.tasks.staging import SECTION, shows_records
from optimove_provider.tasks.telling.story import Story, run_of
from optimove_provider.tasks.telling.sync_log_tables import Database, Row, Table, loads_table, rejected_table

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.surroundings import Surroundings

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=5)
"""How long a task waits for the database, for each of the two tables: a lock on one of them may last for ever."""
_MOST_SAID = 500


def wanted(given: Any, stated: Any) -> SyncLog | None:
    """Where a task logs, of what its parameter was rendered to and of what the DAG stated: without it, where all do.

    None where nothing is to be logged. Raises SettingsError.
    """
    if given is None:
        named = str(conf.get(SECTION, "sync_log", fallback="") or "").strip()
        # Read as rendered: nothing is a template any more, and every name is checked.
        return SyncLog.read(named) if named else None  # type: ignore[arg-type]  # a text stands for it
    return None if given is False else SyncLog.of(SyncLog.rendered("sync_log", given, stated))


@dataclass(frozen=True, slots=True)
class Entry:
    """A load that has ended, and who tells of it: `run` is the task instance in Airflow's words, `vendor` whose loads
    its operator makes."""

    story: Story
    run: Mapping[str, Any]
    vendor: str
    now: datetime

    def load(self) -> dict[str, Any]:
        """The row of the load."""
        story, account = self.story, self.story.account()
        report, target, window = story.report, account["target"], account["window"] or {}
        return {
            **self._of_both(),
            **{name: self.run.get(name) for name in ("run_id", "map_index", "try_number")},
            **{name: account[name] for name in _AS_IN_ACCOUNT},
            **{f"rows_{name}": account[name] for name in OUTCOMES},
            "kind": story.kind or self.vendor,
            "target": target.get(story.kind),
            "host": target.get("host"),
            "load_mode": (report.mode if report else "") or story.mode,
            "window_start": _instant(window.get("start")),
            "window_end": _instant(window.get("end")),
            "generation": _instant(account["generation"]),
            "began": _instant((report.began if report else "") or story.began),
            "ended": _instant((report.ended if report else "") or self.now),
            "rows_total": account["rows"],
            "records_expired": report.expired if report else 0,
            **{f"owed_{name}": report.owed.get(name) if report else None for name in ("sent", "accepted", "left")},
            "requests_throttled": account["throttled"],
            **self._failure(),
        }

    def rejected(self) -> Iterator[Row]:
        """The rows of its rejected rows, one after the other, as its file in staging has them."""
        from optimove_provider.loads.history.rejected import rejected_path, rejected_rows

        report, place, shows = self.story.report, self.story.place, shows_records()
        told = {"load_id": self.story.load_id, "rejected_file": report.rejected_file if report else ""}
        path = rejected_path(place, told) if place and told["rejected_file"] else None
        for number, row in enumerate(rejected_rows(place, path) if place and path else (), 1):
            yield {
                **self._of_both(),
                "rejected_number": number,
                "source_row": int(row.row) if row.row.isdecimal() else None,
                "status": row.status,
                "reason": cut(row.reason),
                "content": row.content if shows else None,
            }

    def _of_both(self) -> dict[str, Any]:
        names = {name: self.run.get(name) for name in ("dag_id", "task_id")}
        return {"load_id": self.story.load_id, "logged_at": _instant(self.now), **names}

    def _failure(self) -> dict[str, Any]:
        failure = self.story.failure
        if failure is None:
            return {}
        problem = (self.story.report.problem if self.story.report else "") or str(failure)
        return {
            "failed_with": type(failure.__cause__ or failure.__context__ or failure).__name__,
            "problem": cut(problem) if shows_records() else None,
        }


_AS_IN_ACCOUNT = ("state", "seconds", "evidence", "visibility", "next_step", "batch_uuid", "requests", "report")


def write(given: Any, stated: Any, context: "Context", story: Story, surroundings: "Surroundings") -> None:
    """Write the row of a load that has ended, in place of that of an earlier try, and its rejected rows.

    What cannot be written is a warning: the load is what it is.
    """
    whose = "[optimove] sync_log" if given is None else "sync_log of the task"
    try:
        to = wanted(given, stated)
    except SettingsError as error:
        log.warning(
            "load %s is not in the sync log: %s; mend %s, and the next load is there", story.load_id, error, whose
        )
        return
    if to is None:
        return
    entry = Entry(story, run_of(context), getattr(context["task"], "vendor", ""), surroundings.now())
    _write(to, loads_table(to.table), lambda: iter([entry.load()]), entry, surroundings)
    if to.rejected_rows:
        _write(to, rejected_table(to.table), entry.rejected, entry, surroundings)


def _write(
    to: SyncLog, table: Table, rows: Callable[[], Iterator[Row]], entry: Entry, surroundings: "Surroundings"
) -> None:
    before = _instant(entry.now - timedelta(days=to.keep_days)) if to.keep_days else None
    try:
        in_time(surroundings, lambda: _replace(to.conn_id, table, entry.story.load_id, rows, before))
    except Exception as error:
        log.warning(
            "load %s is not in table %s of connection %s: %s. The load itself is %s, as its report says; mend that, "
            "and the next load is there",
            *(entry.story.load_id, table.name, to.conn_id, _said(error, to.conn_id), entry.story.state),
        )
        log.debug("what that comes from", exc_info=error)


def in_time(surroundings: "Surroundings", do: Callable[[], None], within: timedelta = PATIENCE) -> None:
    """Do it in a thread, which is left behind if it takes too long. Raises its errors, and TimeoutError."""
    pool = surroundings.pool(1, "sync log")
    done = pool.submit(do)
    try:
        done.result(timeout=within.total_seconds())
    except TimeoutError:
        if done.done():  # the driver's own
            raise
        raise TimeoutError(f"it took longer than {within}, as if another session had a lock on it") from None
    finally:
        pool.shutdown(wait=False)


def _replace(conn_id: str, table: Table, load_id: str, rows: Callable[[], Iterator[Row]], before: str | None) -> None:
    """Make the table what it should be, and put the rows in place of those of the load that are there."""
    hook = database(conn_id, "sync_log.conn_id")
    with closing(hook.get_conn()) as connection:
        if hook.supports_autocommit:
            hook.set_autocommit(connection, False)
        tables = Database(connection, hook.placeholder)
        tables.ensure(table)
        try:
            tables.replace(table, load_id, rows(), before)
        except Exception as error:  # another try of the same load may have written just now
            log.info("load %s is written into %s once more: %s", load_id, table.name, type(error).__name__)
            tables.replace(table, load_id, rows(), before)


def _said(error: Exception, conn_id: str) -> str:
    """What the driver said, in a line: what follows may quote the row."""
    line = next(iter(str(error).splitlines()), "")
    secrets = []
    with suppress(Exception):  # there may be no such connection
        secrets.append(str(BaseHook.get_connection(conn_id).password or ""))
    kind = "" if isinstance(error, OptimoveProviderError) else f"{type(error).__name__}: "
    return cut(redact(kind + line, secrets), _MOST_SAID)


def _instant(told: datetime | str | None) -> str | None:
    """An instant as the tables have it, in one form, so that texts compare as instants do."""
    if not told:
        return None
    instant = datetime.fromisoformat(told) if isinstance(told, str) else told
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
