"""An operator that tells Airflow what its load did, however it ends."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperator, TaskDeferred

from optimove_provider.links.load import ACCOUNT, LINKS, LOAD_ID
from optimove_provider.options import SyncLog
from optimove_provider.surroundings import REAL, Surroundings
from optimove_provider.tasks.telling.story import Story

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.clients.session import Client
    from optimove_provider.contract.cells.registered import Registered
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.state.staging import Staging

log = logging.getLogger(__name__)


class TellingOperator(BaseOperator):
    """An operator whose load can be seen in Airflow: in XCom the load's id first, and its account in the end; as an
    event of the target's asset; in lineage and in metrics, where there are such.

    The account is there after a success, a failure, a retry and a deferral; only a process that was killed leaves no
    more than the id. Nothing that is told here makes a load fail.

    :param sync_log: the table that each load leaves a row in: `SyncLog(...)`, a mapping of its members, or a text of
        "conn_id:table". Left out, that of `[optimove] sync_log`; False for none.
    """

    operator_extra_links = LINKS
    surroundings: Surroundings = REAL
    vendor: ClassVar[Literal["optix", "dcp"]] = "dcp"
    _story: Story | None = None
    told_mode: ClassVar[str] = ""
    """What stands in a report as the mode of a load, where all loads of the operator have the same."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "sync_log" not in cls.template_fields:
            cls.template_fields = (*cls.template_fields, "sync_log")

    def __init__(self, *, sync_log: "SyncLog | Mapping[str, Any] | str | bool | None" = None, **kwargs: Any) -> None:
        # With the first task, not with the module: a DAG loads Airflow's assets anyway.
        from optimove_provider.assets import LOADS

        super().__init__(**kwargs)
        self.outlets = [*self.outlets, LOADS[self.vendor]]
        self.sync_log = sync_log
        if sync_log is not None and sync_log is not False:
            self.sync_log = SyncLog.literal("sync_log", sync_log)
        self._stated_log = self.sync_log

    @contextmanager
    def telling(self, context: "Context", load_id: str) -> Iterator[None]:
        """Around one try of a load."""
        self._story = story = Story(load_id, self.surroundings.now(), mode=self.told_mode)
        self._try_to(partial(self._push, context, LOAD_ID, load_id), story)
        try:
            yield
        except TaskDeferred:
            story.waits = True
            raise
        except BaseException as error:
            story.failure = error
            raise
        finally:
            story.window = getattr(self, "stands_for", None)
            self._tell(context, story)

    def tells_of(
        self,
        report: "Report",
        place: "Staging",
        client: "Client[Any] | None" = None,
        attributes: "Iterable[Registered]" = (),
    ) -> None:
        """What this try's load fills, where that is filed, who talks to the vendor, and a table's attributes."""
        from optimove_provider.contract.cells.registered import usable
        from optimove_provider.loads.state.shared_rate import share_rate

        if self._story:
            self._story.report, self._story.place = report, place
            if client:
                report.requests = client.timeline.counts
                share_rate(client, place)
            self._story.attributes = {one.name: one.datatype for one in usable(attributes)}

    def get_openlineage_facets_on_complete(self, ti: Any) -> Any:
        """What OpenLineage's listener asks for after a success."""
        from optimove_provider.tasks.telling.lineage import lineage_of

        sources = (getattr(self, name, None) for name in ("source", "sql", "sql_conn_id"))
        return lineage_of(self._story, *sources) if self._story else None

    def get_openlineage_facets_on_failure(self, ti: Any) -> Any:
        """The same after a failure."""
        from optimove_provider.tasks.telling.lineage import without_rows

        if self._story:
            without_rows(self._story)
        return self.get_openlineage_facets_on_complete(ti)

    def _tell(self, context: "Context", story: Story) -> None:
        from optimove_provider.tasks.telling import events, metrics

        now = self.surroundings.now()
        for tell in (
            lambda: self._push(context, ACCOUNT, story.account()),
            partial(events.emit, context, story, self.outlets, self.vendor),
            partial(metrics.count, story, now, self.dag_id, self.task_id),
        ):
            self._try_to(tell, story)
        if story.has_ended and getattr(self, "dry_run", False) is not True:
            from optimove_provider.tasks.telling import sync_log

            writes = partial(sync_log.write, self.sync_log, self._stated_log, context, story, self.surroundings)
            self._try_to(writes, story)

    def _try_to(self, tell: Callable[[], object], story: Story) -> None:
        try:
            tell()
        except Exception:  # the load has ended as it has ended
            log.warning("Airflow was not told all of load %s", story.load_id, exc_info=True)

    def _push(self, context: "Context", key: str, value: Any) -> None:
        if ti := context.get("ti"):
            ti.xcom_push(key, value)
