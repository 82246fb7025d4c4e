"""One import of several files into a DCP table by many workers: a plan, mapped tasks that upload, and one that commits.

    from optimove_provider.operators.dcp_sharded import import_in_shards

    customers = import_in_shards("customers", table_id=678, source="s3://lake@exports/customers/*.parquet", workers=4)

It runs on Airflow's own executors. What the workers share lies in staging, which has to be an object store, or a folder
that all of them see.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, TaskGroup, XComArg

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.kinds import SPAN, is_template
from optimove_provider.links.load import LOAD_ID
from optimove_provider.operators.dcp_import import DcpS3ImportOperator
from optimove_provider.operators.sharded import LOAD, RESERVED_FOR, WORKERS, most_at_a_time
from optimove_provider.tasks.deferral import Waiting, as_timedelta, task_of
from optimove_provider.tasks.failures import airflow_failures
from optimove_provider.tasks.sources import open_file, open_rows, source_names
from optimove_provider.tasks.task_states import refuse_to_run_alone
from optimove_provider.tasks.templates import ToldOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.clients.session import Client
    from optimove_provider.contract.cells.registered import Registered
    from optimove_provider.loads.dcp.options import TableImport
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.sharded.files import FilesShard
    from optimove_provider.loads.spool.freeze import OpenRows
    from optimove_provider.loads.state.staging import Staging


class _ShardedImportOperator(DcpS3ImportOperator):
    """What the tasks of an import in shards have in common."""

    def check_together(self) -> None:
        """Raise SettingsError also for what one pass over all rows is needed for."""
        super().check_together()
        if self.mode != "full" and not is_template(self.mode):
            raise SettingsError(
                f'mode="{self.mode}": an import in shards compares nothing: use one DcpS3ImportOperator instead'
            )
        if self.sql is not None:
            raise SettingsError(
                "sql=: a query is no list of files to be shared out: use one DcpS3ImportOperator instead"
            )
        if self.limit is not None and not is_template(self.limit):
            raise SettingsError(
                f"limit={self.limit}: which rows are the first is known in one pass: use one "
                "DcpS3ImportOperator instead"
            )
        if self.dry_run and not is_template(self.dry_run):
            raise SettingsError("dry_run: an import in shards has none: use one DcpS3ImportOperator instead")
        if self.verify != "sample" and not is_template(self.verify):
            raise SettingsError(
                f"verify={self.verify!r}: an import in shards reads back a sample only: use one "
                "DcpS3ImportOperator instead"
            )

    @property
    def _span(self) -> timedelta:
        span: timedelta = as_timedelta("reserved_for", self.reserved_for)  # type: ignore[attr-defined]
        return span


class _WithoutReport(_ShardedImportOperator):
    """A task whose part of a load another one reports."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.outlets = list(kwargs.get("outlets") or ())  # the load is an event of the task that commits

    def around(self, context: "Context", load_id: str) -> AbstractContextManager[None]:
        """Tell Airflow nothing."""
        return nullcontext()

    def tells_of(
        self,
        report: "Report",
        place: "Staging",
        client: "Client[Any] | None" = None,
        attributes: "Iterable[Registered]" = (),
    ) -> None:
        """There is nothing to tell, but the rate is everybody's."""
        from optimove_provider.loads.state.shared_rate import share_rate

        if client:
            share_rate(client, place)

    def report_of(self, context: "Context", place: "Staging", load_id: str, target: Mapping[str, Any]) -> "Report":
        """A report that nobody files, of what this task finds."""
        from optimove_provider.loads.report.report import Report

        return Report(load_id, target, task=task_of(context), mode=self.mode)


class DcpPlanFilesOperator(_ShardedImportOperator):
    """Plan an import of several files that several workers upload: list the files, and reserve the table for the load.
    No file is read.

    Returns a list of small mappings, one for each file, for `.expand(shard=plan.output)`; of more than 1024 files
    neighbours share one. The lease of the table stays with the load from here on, until it is committed or given up. A
    retry goes on with the same load. Clear begins a new one: clear it with all that comes after it, as it refuses to
    run alone.

    Parameters are those of `DcpS3ImportOperator`, without `sql`, `limit`, `dry_run`, `verify` and `mode="changed"`;
    and:

    :param reserved_for: how long other loads wait for an upload that says nothing, as while it is queued: a timedelta
        or seconds. While an upload sends, it moves the deadline on.
    """

    template_fields: Sequence[str] = (*DcpS3ImportOperator.template_fields, "reserved_for")
    checked = MappingProxyType({**DcpS3ImportOperator.checked, "reserved_for": SPAN})

    def __init__(self, *, reserved_for: timedelta | float = RESERVED_FOR, **kwargs: Any) -> None:
        self.reserved_for = reserved_for
        super().__init__(**kwargs)

    def execute(self, context: "Context") -> list[dict[str, Any]]:  # type: ignore[override]  # shards, no account
        """Return the shards."""
        with airflow_failures():
            refuse_to_run_alone(self, context, "planned")
        found: list[dict[str, Any]] = super().execute(context)["shards"]
        return found

    def resume(self, context: "Context", event: Any, waiting: dict[str, Any]) -> list[dict[str, Any]]:  # type: ignore[override]
        """Go on after waiting for another load."""
        found: list[dict[str, Any]] = super().resume(context, event, waiting)["shards"]
        return found

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the plan."""
        from optimove_provider.loads.sharded.files import plan_files

        context["ti"].xcom_push(LOAD, {"load_id": waiting.load_id})  # before the lease can be anybody's
        files = self._files()
        with DcpHook(self.dcp_conn_id).get_conn() as client:
            found = plan_files(self.table_import(client, context, waiting.load_id), files, self._span)
        return {"shards": [shard.as_json() for shard in found]}

    def _files(self) -> list[str]:
        from optimove_provider.records.files import format_of
        from optimove_provider.records.read.sources import refuse_rejected

        files = source_names(self.source or [])
        if not files:
            raise SettingsError("source= is no file, glob or list of files: use one DcpS3ImportOperator instead")
        if len(files) > 1:
            refuse_rejected([name for name in files if format_of(name) == "json"], open_file)
        return files


class DcpUploadFilesOperator(_WithoutReport):
    """Check and upload the files of one shard of an import, mapped over what `DcpPlanFilesOperator` returns; nothing
    becomes visible.

    A retry, or a Clear, sends what is missing of its own files only. Cleared after every file of the load was sent, it
    does nothing. Before that, clear what commits along with it (Downstream).

    Parameters are those of `DcpS3ImportOperator`, the same as the plan's, and:

    :param shard: one of the plan's, by `.expand(shard=plan.output)`.
    :param reserved_for: how long other loads wait once this upload says nothing more.
    """

    template_fields: Sequence[str] = (*DcpS3ImportOperator.template_fields, "shard", "reserved_for")
    checked = MappingProxyType({**DcpS3ImportOperator.checked, "reserved_for": SPAN})

    def __init__(
        self, *, shard: Mapping[str, Any], reserved_for: timedelta | float = RESERVED_FOR, **kwargs: Any
    ) -> None:
        self.shard = shard
        self.reserved_for = reserved_for
        super().__init__(**kwargs)

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the shard, its `state`, and how many of its rows there are, and are rejected."""
        self.read_rendered()
        with airflow_failures():
            load_id = self._shard().load_id
        context["ti"].xcom_push(LOAD_ID, load_id)
        found: dict[str, Any] = self.take_turn(context, load_id)
        return found

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the shard."""
        from optimove_provider.loads.sharded.files import upload_shard

        with DcpHook(self.dcp_conn_id).get_conn() as client:
            load = self.table_import(client, context, waiting.load_id)
            return upload_shard(load, self._shard(), _opened, self._span, task_of(context))

    def _shard(self) -> "FilesShard":
        from optimove_provider.loads.sharded.files import FilesShard

        return FilesShard.from_json(self.shard)


class DcpCommitFilesOperator(ToldOperator, _ShardedImportOperator):
    """Judge what the uploads of an import have found as one load, and complete all of its files; with `wait`, wait
    until they are imported. No file is completed before every row of all files was checked and sent.

    A retry, or a Clear, goes on from what was sent.

    Parameters are those of `DcpS3ImportOperator`, the same as the plan's, and:

    :param planned: what the plan tells of its load: `plan.output["load"]`.
    """

    told_fields = ("planned",)
    template_fields: Sequence[str] = (*DcpS3ImportOperator.template_fields, "planned")

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        self.planned = planned
        # No upload may have failed.
        super().__init__(**{"trigger_rule": "none_failed", **kwargs})

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account of the whole load, as `DcpS3ImportOperator` does."""
        self.read_rendered()
        if not self.planned:
            raise AirflowSkipException("nothing was planned, as the task that plans was skipped")
        found: dict[str, Any] = self.take_turn(context, self.planned["load_id"])
        return found

    def run_import(self, load: "TableImport", wait: timedelta, resumed: bool) -> None:
        """Judge, and complete the files."""
        from optimove_provider.loads.sharded.files import commit_files

        commit_files(load)


class DcpGiveUpFilesOperator(ToldOperator, _WithoutReport):
    """Abort what was uploaded of an import, and give back the lease, where nothing has committed it: the last task of a
    group, which runs however the others ended. Of a load that was committed nothing is left to do.

    Parameters are those of `DcpS3ImportOperator`, the same as the plan's, and:

    :param planned: what the plan tells of its load: `plan.output["load"]`.
    """

    told_fields = ("planned",)
    template_fields: Sequence[str] = (*DcpS3ImportOperator.template_fields, "planned")

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        self.planned = planned
        super().__init__(**kwargs)

    def execute(self, context: "Context") -> bool:  # type: ignore[override]  # no account
        """Return whether there was anything to give up."""
        from optimove_provider.loads.sharded.files import give_up_files, is_left
        from optimove_provider.tasks.deferral import begun_report

        self.read_rendered()
        if not self.planned:
            return False
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            load = self.table_import(client, context, self.planned["load_id"])
            if not is_left(load):
                return False
            report = begun_report(context, load.staging, load.load_id, load.report.target, self.mode)
            give_up_files(replace(load, report=report))
        return True


def import_in_shards(
    group_id: str = "import",
    *,
    workers: int = 4,
    reserved_for: timedelta | float = RESERVED_FOR,
    task: Mapping[str, Any] = MappingProxyType({}),
    **upload: Any,
) -> TaskGroup:
    """A task group `plan -> upload (mapped) -> commit` that does what one `DcpS3ImportOperator` does with a list of
    files, or a glob, by many workers.

    It is one load: one lease, one account, which `commit` returns; `group.account` is that, for tasks that come after.
    At the end `give_up`, a teardown, aborts what was sent of a load that failed for good, and returns its lease.

    :param group_id: the group's id, with which the ids of its tasks begin.
    :param workers: how many files are uploaded at a time.
    :param reserved_for: how long other loads wait for an upload that says nothing, as while it is queued.
    :param task: what every task of the group is given besides: retries, pool, queue, executor_config, ...
    :param upload: the parameters of `DcpS3ImportOperator`.
    """
    with TaskGroup(group_id) as group:
        plan = DcpPlanFilesOperator(task_id="plan", reserved_for=reserved_for, **upload, **task)
        send = DcpUploadFilesOperator.partial(
            task_id="upload",
            reserved_for=reserved_for,
            max_active_tis_per_dagrun=most_at_a_time("workers", WORKERS, workers),
            **upload,
            **task,
        ).expand(shard=plan.output)
        planned = XComArg(plan, key=LOAD)
        # Said here, where no `default_args` are heard.
        rule = {"trigger_rule": "none_failed", **task}
        commit = DcpCommitFilesOperator(task_id="commit", planned=planned, **upload, **rule)
        give_up = DcpGiveUpFilesOperator(task_id="give_up", planned=planned, **upload, **task)
        plan >> send >> commit >> give_up.as_teardown()
        send >> give_up  # `commit` is over as soon as one upload has failed, while others are still under way
    group.account = commit.output  # type: ignore[attr-defined]  # for what comes after
    return group


def _opened(files: Sequence[str]) -> "OpenRows":
    return partial(open_rows, list(files), None, None)
