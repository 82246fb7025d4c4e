"""Notifiers for tasks that load rows. Each goes into both callbacks of a task, so that it sees every end:

    watch = DegradedLoadNotifier(min_rows=1000, max_age=timedelta(days=2), send=SmtpNotifier(
        to="team@example.com", subject="{{ notice.subject }}", html_content="{{ notice.text }}"))
    OptixUploadOperator(..., on_success_callback=watch, on_failure_callback=watch)

A process that was killed runs no callback: a deadline of the DAG tells of that (`notifications.late`).
"""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from airflow.providers.common.compat.sdk import BaseNotifier, conf

from optimove_provider.addresses import load_page, prefix_of
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.links.load import ACCOUNT, told
from optimove_provider.notifications.state import Found, told_once
from optimove_provider.surroundings import REAL, Surroundings
from optimove_provider.tasks.deferral import as_timedelta, task_of
from optimove_provider.tasks.staging import staging

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """What is sent. Templates of the notifier that sends know it as `notice`. It holds counts, and nothing of a row.

    :param subject: one line: the task, and what is wrong or that it is well again.
    :param text: the counts, since when, and where the load's page is.
    :param is_well: whether nothing is wrong any more.
    :param url: the load's page.
    :param account: what became of the rows, as in XCom.
    """

    subject: str
    text: str
    is_well: bool
    url: str = ""
    account: Mapping[str, Any] = field(default_factory=dict)


Send = BaseNotifier | Callable[[Notice], object]


def log_notice(notice: Notice) -> None:
    """What sends a notice where nothing else is given: the task's log."""
    log.log(logging.INFO if notice.is_well else logging.ERROR, "%s. %s", notice.subject, notice.text)


class _LoadNotifier(BaseNotifier):
    """Judges each end of a task's load, and tells when it becomes bad, and when it is well again."""

    template_fields: Sequence[str] = ()
    watched = ""
    tells_trouble = True

    def __init__(self, *, send: Send = log_notice, surroundings: Surroundings = REAL) -> None:
        super().__init__()
        self.send = send
        self.surroundings = surroundings

    def troubles(self, account: Mapping[str, Any], has_failed: bool) -> Iterator[str]:
        """What is wrong, in words; nothing if the load is well."""
        raise NotImplementedError

    def notify(self, context: "Context") -> None:
        """Judge the task that has just ended."""
        ti = context["ti"]
        account = dict(told(ti, ACCOUNT) or {})
        # `dag.test()` of Airflow 3.2 names no exception.
        has_failed = context.get("exception") is not None or account.get("state") == "failed"
        if not account and not has_failed:
            raise SettingsError(f"{task_of(context)} has no account: give this notifier to tasks that load rows only")
        if account.get("state") == "planned":
            return  # a dry run
        if getattr(context.get("dag_run"), "run_type", "") == "backfill":
            account["generation"] = ""  # it is to bring what is old
        troubles = list(self.troubles(account, has_failed))
        name = f"{ti.dag_id}.{ti.task_id}[{ti.map_index}] {self.watched}"
        found = Found(name, not troubles, self.surroundings.now().isoformat(timespec="seconds"))

        def tell(before: Found) -> None:
            if found.is_well or self.tells_trouble:
                self._send(context, _notice(context, account, troubles, before))

        told_once(staging(self.surroundings), found, tell)

    def _send(self, context: "Context", notice: Notice) -> None:
        if not isinstance(self.send, BaseNotifier):
            self.send(notice)
            return
        # A copy: rendering puts texts in the place of its templates.
        copy.deepcopy(self.send)({**context, "notice": notice})


class RejectedRowsNotifier(_LoadNotifier):
    """Tells when a load rejects more rows than that, and when one no longer does.

    :param max_rejected: how many rows may be rejected, or which share of all rows if it is below 1.
    :param send: another notifier, whose templates know `notice`, or a function of it; the task's log if left out.
    """

    watched = "rejected rows"

    def __init__(self, *, max_rejected: float = 0, send: Send = log_notice, **kwargs: Any) -> None:
        super().__init__(send=send, **kwargs)
        self.max_rejected = max_rejected

    def troubles(self, account: Mapping[str, Any], has_failed: bool) -> Iterator[str]:
        """Too many rejected rows."""
        rejected, rows = account.get("rejected", 0), account.get("rows", 0)
        allowed = self.max_rejected * rows if self.max_rejected < 1 else self.max_rejected
        if rejected > allowed:
            yield f"{rejected} of {how_many(rows, 'row')} {'was' if rejected == 1 else 'were'} rejected"


class DegradedLoadNotifier(_LoadNotifier):
    """Tells when a task fails for good, or its load brings too few rows, takes too long or brings what is too old; and
    when none of that holds any more.

    :param min_rows: fewer rows in the source than that.
    :param max_duration: a longer load than that, a timedelta or seconds.
    :param max_age: rows that stand for an instant further back than that, a timedelta or seconds.
    :param send: another notifier, whose templates know `notice`, or a function of it; the task's log if left out.
    """

    watched = "degraded"

    def __init__(
        self,
        *,
        min_rows: int = 0,
        max_duration: timedelta | float | None = None,
        max_age: timedelta | float | None = None,
        send: Send = log_notice,
        **kwargs: Any,
    ) -> None:
        super().__init__(send=send, **kwargs)
        self.min_rows = min_rows
        self.max_duration = None if max_duration is None else as_timedelta("max_duration", max_duration)
        self.max_age = None if max_age is None else as_timedelta("max_age", max_age)

    def troubles(self, account: Mapping[str, Any], has_failed: bool) -> Iterator[str]:
        """All that is wrong."""
        if has_failed:
            yield "the task failed"
        rows, seconds = account.get("rows", 0), account.get("seconds", 0.0)
        if rows < self.min_rows and not has_failed:
            yield f"{how_many(rows, 'row')}, of at least {self.min_rows}"
        if self.max_duration is not None and seconds > self.max_duration.total_seconds():
            yield f"the load took {timedelta(seconds=round(seconds))}, of at most {self.max_duration}"
        age = self._age(account)
        if self.max_age is not None and age and age > self.max_age:
            yield f"what it brought is {timedelta(seconds=round(age.total_seconds()))} old, of at most {self.max_age}"

    def _age(self, account: Mapping[str, Any]) -> timedelta | None:
        generation = account.get("generation")
        return self.surroundings.now() - datetime.fromisoformat(generation).astimezone(UTC) if generation else None


class RecoveredNotifier(_LoadNotifier):
    """Tells only when a task that had failed for good succeeds again.

    :param send: another notifier, whose templates know `notice`, or a function of it; the task's log if left out.
    """

    watched = "recovered"
    tells_trouble = False

    def __init__(self, *, send: Send = log_notice, **kwargs: Any) -> None:
        super().__init__(send=send, **kwargs)

    def troubles(self, account: Mapping[str, Any], has_failed: bool) -> Iterator[str]:
        """A failure."""
        if has_failed:
            yield "the task failed"


def _notice(context: "Context", account: Mapping[str, Any], troubles: Sequence[str], before: Found) -> Notice:
    ti, load_id = context["ti"], str(account.get("load_id", ""))
    subject = f"{ti.dag_id}.{ti.task_id}: {'; '.join(troubles) if troubles else 'well again'}"
    base = str(conf.get("api", "base_url", fallback="") or "")
    url = urljoin(base, load_page(prefix_of(base), load_id)) if load_id else ""
    counts = ", ".join(_counted(account, name) for name in ("rows", *OUTCOMES) if account.get(name)) or "no rows"
    since = f", after trouble since {before.since}" if not troubles else ""
    text = f"{task_of(context)}: {counts}{since}. {f'Load {load_id}: {url}' if load_id else 'It told of no load'}"
    return Notice(subject, text, not troubles, url, account)


def _counted(account: Mapping[str, Any], name: str) -> str:
    """So many rows; of accepted ones also who counted them, if somebody did not."""
    evidence = str(account.get("evidence", ""))
    told = {"": "", "counted": "", "none": " (counted by nobody)"}.get(evidence, f" ({evidence})")
    return f"{account[name]} {name}" + (told if name == "accepted" else "")
