"""One load into Opti-X by many workers: a plan, mapped tasks that send, and one that commits.

    from optimove_provider.operators.sharded import sync_in_shards

    customers = sync_in_shards(
        "customers", data_connection_uuid="...", primary_key="customer_id", source="s3://...", workers=8
    )

It runs on Airflow's own executors. What the workers share lies in staging, which has to be an object store, or a folder
that all of them see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, TaskGroup, XComArg

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.kinds import SPAN, TTL_SECONDS, Kind, is_template, whole_number
from optimove_provider.links.load import LOAD_ID, LoadReportLink
from optimove_provider.operators.optix import OptixUploadOperator, load_of
from optimove_provider.operators.source_parts import (
    PARTS,
    READERS,
    OptixFreezePartOperator,
    OptixListPartsOperator,
    OptixReadPartOperator,
)
from optimove_provider.options import Sending
from optimove_provider.tasks.deferral import Waiting, WaitingOperator, begun_report, task_of
from optimove_provider.tasks.failures import airflow_failures
from optimove_provider.tasks.staging import resume_load, staging
from optimove_provider.tasks.task_states import refuse_to_run_alone
from optimove_provider.tasks.templates import ToldOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
    from optimove_provider.loads.sharded.shard import Shard
    from optimove_provider.loads.spool.frozen_parts import RowSource

LOAD = "load"
"""The key in XCom under which the plan tells of its load."""
SHARDS = whole_number(1, "for as many as the rows suggest", 1024, off=True)
WORKERS = whole_number(1, most=1024)
RESERVED_FOR = timedelta(hours=1)


class OptixPlanOperator(ToldOperator, OptixUploadOperator):
    """Plan a load that several workers send: read the source, compare, judge guards and `max_rejected` over all rows,
    and cut what has to be sent into shards. Nothing is sent.

    Returns a list of small mappings, one for each shard, for `.expand(shard=plan.output)`; an empty one if there is so
    little to send that `OptixCommitOperator` does it alone. The lease of the data connection stays with the load from
    here on, until it is committed or given up. A retry goes on with the same load. Clear begins a new one: clear it
    with all that comes after it, as it refuses to run alone.

    Parameters are those of `OptixUploadOperator`, and:

    :param shards: into how many shards, from 1 to 1024, which is the most that Airflow maps; None for one each million
        rows, and a multiple of `workers`.
    :param workers: how many shards are sent at a time.
    :param reserved_for: how long other loads wait for a shard that says nothing, as while it is queued: a timedelta or
        seconds. Each request of a shard moves the deadline on.
    :param parts: what `OptixListPartsOperator` tells of its load, `parts.output["parts"]`, where other tasks have read
        the source; None, and it is read here.
    """

    told_fields = ("parts",)
    template_fields: Sequence[str] = (
        *OptixUploadOperator.template_fields,
        "shards",
        "workers",
        "reserved_for",
        "parts",
    )
    checked = MappingProxyType(
        {**OptixUploadOperator.checked, "shards": SHARDS, "workers": WORKERS, "reserved_for": SPAN}
    )

    def __init__(
        self,
        *,
        shards: int | None = None,
        workers: int = 4,
        reserved_for: timedelta | float = RESERVED_FOR,
        parts: Any = None,
        **kwargs: Any,
    ) -> None:
        self.shards = shards
        self.workers = workers
        self.reserved_for = reserved_for
        self.parts = parts
        self._reads = parts is None  # what a skipped task tells will be None, too
        super().__init__(**kwargs)

    def check_together(self) -> None:
        """Raise SettingsError also for what is only known where one task reads."""
        super().check_together()
        if self.parts is not None and self.limit is not None and not is_template(self.limit):
            raise SettingsError(f"limit={self.limit}: which rows are the first is known in one pass: leave readers=1")

    def execute(self, context: "Context") -> list[dict[str, Any]]:  # type: ignore[override]  # shards, no account
        """Return the shards."""
        with airflow_failures():
            refuse_to_run_alone(self, context, "planned")
        if self._reads:
            found: list[dict[str, Any]] = super().execute(context)["shards"]
            return found
        self.read_rendered()
        if not self.parts:
            raise AirflowSkipException("nothing was read, as the task that lists the source was skipped")
        with airflow_failures():
            resume_load(self.staging(), self.parts["load_id"])
        found = self.take_turn(context, self.parts["load_id"])["shards"]
        return found

    def resume(self, context: "Context", event: Any, waiting: dict[str, Any]) -> list[dict[str, Any]]:  # type: ignore[override]
        """Go on after waiting for another load."""
        found: list[dict[str, Any]] = super().resume(context, event, waiting)["shards"]
        return found

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the plan."""
        from optimove_provider.loads.optix.load import plan
        from optimove_provider.loads.sharded.load import plan_shards
        from optimove_provider.loads.sharded.shard import Sharding
        from optimove_provider.loads.sharded.source_parts import frozen_parts, remove_parts
        from optimove_provider.loads.spool.frozen_parts import FrozenParts

        context["ti"].xcom_push(LOAD, {"load_id": waiting.load_id})  # before the lease can be anybody's
        with load_of(self, context, waiting) as what:
            options = self.upload_options()
            source: RowSource = what.rows
            if self.parts:
                known = (what.place, waiting.load_id, self.parts["listing"])
                source = FrozenParts(partial(frozen_parts, *known, options.encoding))
            load = (what.client, source, what.place, what.report, options)
            if self.dry_run:
                plan(*load)
                context["ti"].xcom_push(LOAD, {"load_id": waiting.load_id, "planned": what.report.result(what.place)})
                return {"shards": []}
            sharding = Sharding(self.shards, self.workers, _span(self.reserved_for))
            found = plan_shards(*load, sharding, context["ti"].try_number, waiting.waited)
            if self.parts:
                remove_parts(what.place, waiting.load_id)
        return {"shards": [shard.as_json() for shard in found]}

    def upload_options(self) -> "UploadOptions":
        """The same; rows that others have read are as old as the time when these began, and have the stamp of then."""
        from optimove_provider.loads.sharded.source_parts import settled

        options = super().upload_options()
        if not self.parts:
            return options
        then = settled(self.staging(), self.parts["load_id"], self.parts["listing"])
        return replace(options, read_from=then.opened, stamp=then.stamp)


class OptixSendShardOperator(WaitingOperator):
    """Send one shard of a load, mapped over what `OptixPlanOperator` returns; nothing becomes visible.

    A retry, or a Clear, sends what has no answer yet, of its own shard only. Cleared after the load was committed, it
    does nothing. Before that, clear what commits along with it (Downstream).

    :param shard: one of the plan's, by `.expand(shard=plan.output)`.
    :param data_connection_uuid: where the rows go.
    :param primary_key: the column that holds the key.
    :param key_type: as the plan has it.
    :param ttl_seconds: as the plan has it.
    :param sending: requests in flight of this shard, and how many may be spent on finding refused rows, of which each
        shard has its share: `Sending(...)`, or a mapping of its members.
    :param reserved_for: how long other loads wait once this shard says nothing more.
    :param lock_timeout: how long to wait where something else has the lease, a timedelta or seconds.
    :param optix_conn_id: the connection to Opti-X.
    """

    operator_extra_links = (LoadReportLink(),)
    template_fields: Sequence[str] = (
        "shard",
        "data_connection_uuid",
        "primary_key",
        "ttl_seconds",
        "sending",
        "reserved_for",
        "lock_timeout",
        "optix_conn_id",
    )
    checked = MappingProxyType(
        {"ttl_seconds": TTL_SECONDS, "sending": Sending, "reserved_for": SPAN, "lock_timeout": SPAN}
    )

    def __init__(
        self,
        *,
        shard: Mapping[str, Any],
        data_connection_uuid: str,
        primary_key: str,
        key_type: str = "string",
        ttl_seconds: int | None = None,
        sending: Sending | Mapping[str, Any] = Sending(),
        reserved_for: timedelta | float = RESERVED_FOR,
        lock_timeout: timedelta | float = timedelta(hours=1),
        optix_conn_id: str = OptixHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shard = shard
        self.data_connection_uuid = data_connection_uuid
        self.primary_key = primary_key
        self.key_type = key_type
        self.ttl_seconds = ttl_seconds
        self.sending = sending
        self.reserved_for = reserved_for
        self.lock_timeout = lock_timeout
        self.optix_conn_id = optix_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the shard, its `state`, and how many of its rows were accepted and rejected."""
        self.read_rendered()
        with airflow_failures():
            load_id = self._shard().load_id
            resume_load(self.staging(), load_id)
        context["ti"].xcom_push(LOAD_ID, load_id)
        found: dict[str, Any] = self.take_turn(context, load_id)
        return found

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the shard."""
        from optimove_provider.loads.sharded.load import send_shard
        from optimove_provider.loads.state.shared_rate import share_rate

        target, place = _target(self), self.staging()
        with OptixHook(self.optix_conn_id).get_conn() as client:
            share_rate(client, place)
            return send_shard(
                client,
                place,
                target,
                self._shard(),
                Sending.of(self.sending),
                _span(self.reserved_for),
                context["ti"].try_number,
                task_of(context),
            )

    def _shard(self) -> "Shard":
        from optimove_provider.loads.sharded.shard import Shard

        return Shard.from_json(self.shard)


class OptixCommitOperator(ToldOperator, OptixUploadOperator):
    """Complete the batch of a load that several workers have sent, and enter it into the ledger: all rows become
    visible, or none. What has no answer yet is sent first.

    A retry, or a Clear, goes on from what the shards have sent. Where Opti-X has not acknowledged anything for longer
    than `Sending(resume_within=...)`, it asks to clear the whole group.

    Parameters are those of `OptixUploadOperator`, the same as the plan's, and:

    :param planned: what the plan tells of its load: `plan.output["load"]`.
    """

    told_fields = ("planned",)
    template_fields: Sequence[str] = (*OptixUploadOperator.template_fields, "planned")

    def __init__(self, *, planned: Any, **kwargs: Any) -> None:
        self.planned = planned
        # No shard may have failed; that there is none is fine.
        super().__init__(**{"trigger_rule": "none_failed", **kwargs})

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account of the whole load, as `OptixUploadOperator` does."""
        self.read_rendered()
        if not self.planned:
            raise AirflowSkipException("nothing was planned, as the task that plans was skipped")
        if self.dry_run:
            return dict(self.planned["planned"])
        with airflow_failures():
            resume_load(self.staging(), self.planned["load_id"])
        found: dict[str, Any] = self.take_turn(context, self.planned["load_id"])
        return found

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the commit."""
        from optimove_provider.loads.optix.load import load

        with load_of(self, context, waiting) as what:
            load(*what, self.upload_options(), context["ti"].try_number, resumed=True)
        return what.report.result(what.place)


class OptixGiveUpOperator(ToldOperator):
    """Give back the lease of a load that was planned and that nothing has committed: the last task of a group, which
    runs however the others ended. Of a load that was committed nothing is left to do.

    :param planned: what the plan tells of its load: `plan.output["load"]`.
    :param parts: what `OptixListPartsOperator` tells of it, where there is one: the report of a load whose source could
        not be read is filed, too.
    :param data_connection_uuid: where the rows were to go.
    :param primary_key: the column that holds the key.
    :param key_type: as the plan has it.
    :param mode: as the plan has it: the report names it.
    :param optix_conn_id: the connection to Opti-X.
    """

    told_fields = ("planned", "parts")
    template_fields: Sequence[str] = (
        "planned",
        "parts",
        "data_connection_uuid",
        "primary_key",
        "mode",
        "optix_conn_id",
    )
    ttl_seconds = None

    def __init__(
        self,
        *,
        planned: Any,
        data_connection_uuid: str,
        primary_key: str,
        parts: Any = None,
        key_type: str = "string",
        mode: str = "full",
        optix_conn_id: str = OptixHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.planned = planned
        self.parts = parts
        self.data_connection_uuid = data_connection_uuid
        self.primary_key = primary_key
        self.key_type = key_type
        self.mode = mode
        self.optix_conn_id = optix_conn_id

    def execute(self, context: "Context") -> bool:
        """Return whether there was anything to give up."""
        from optimove_provider.loads.sharded.load import give_up, is_left
        from optimove_provider.loads.sharded.source_parts import give_up_reading

        known = self.planned or self.parts
        if not known:
            return False
        with airflow_failures(), OptixHook(self.optix_conn_id).get_conn() as client:
            target, place, load_id = _target(self), staging(), known["load_id"]
            named = client.settings.target("optix", target.data_connection_uuid)
            if self.planned and not is_left(client, place, target, load_id):
                return False
            report = begun_report(context, place, load_id, named, self.mode)
            if self.planned:
                return give_up(client, place, target, report)
            give_up_reading(place, load_id, report)
        return True


def sync_in_shards(
    group_id: str = "sync",
    *,
    shards: int | None = None,
    workers: int = 4,
    reserved_for: timedelta | float = RESERVED_FOR,
    readers: int = 1,
    shard_by: str | None = None,
    shard_bounds: Sequence[Any] | None = None,
    task: Mapping[str, Any] = MappingProxyType({}),
    **upload: Any,
) -> TaskGroup:
    """A task group `plan -> send (mapped) -> commit` that does what one `OptixUploadOperator` does, by many workers.

    It is one load: one batch, one lease, one account, which `commit` returns; `group.account` is that, for tasks that
    come after. At the end `give_up`, a teardown, returns the lease of a load that failed for good. A task to be mapped
    costs about a second, so a shard should be minutes of work.

    With several readers there are three tasks more, `parts -> read (mapped) -> freeze (mapped)`, before the others:
    they read the source side by side, and make records of its rows.

    :param group_id: the group's id, with which the ids of its tasks begin.
    :param shards: into how many shards, from 1 to 1024; None for one each million rows, and a multiple of `workers`.
    :param workers: how many shards are sent at a time.
    :param reserved_for: how long other loads wait for a shard that says nothing, as while it is queued.
    :param readers: how many tasks read the source, and freeze its rows, each a part of its files, of the row groups of
        Parquet files, or of a query; 1 for the one that plans.
    :param shard_by: with several readers of a query, the column whose ranges they read: best the primary key.
    :param shard_bounds: where the ranges meet, if that is no column of whole numbers.
    :param task: what every task of the group is given besides: retries, pool, queue, executor_config, ...
    :param upload: the parameters of `OptixUploadOperator`.
    """
    _refuse_those_of_tasks(upload)
    shared = {name: upload[name] for name in _SHARED if name in upload}
    sends = {name: upload[name] for name in _OF_SENDING if name in upload}
    at_a_time = most_at_a_time("readers", READERS, readers)
    if at_a_time == 1 and (shard_by or shard_bounds):
        raise SettingsError("shard_by= and shard_bounds= are for several readers: give readers=, how many")
    cut = {"readers": readers, "shard_by": shard_by, "shard_bounds": shard_bounds}
    with TaskGroup(group_id) as group:
        before, told = _readers(upload, task, cut) if at_a_time > 1 else ([], {})
        plan = OptixPlanOperator(
            task_id="plan", shards=shards, workers=workers, reserved_for=reserved_for, **told, **upload, **task
        )
        send = OptixSendShardOperator.partial(
            task_id="send",
            reserved_for=reserved_for,
            max_active_tis_per_dagrun=most_at_a_time("workers", WORKERS, workers),
            **shared,
            **sends,
            **task,
        ).expand(shard=plan.output)
        # Said here, where no `default_args` are heard: it runs also where no shard was needed.
        rule = {"trigger_rule": "none_failed", **task}
        commit = OptixCommitOperator(task_id="commit", planned=XComArg(plan, key=LOAD), **upload, **rule)
        give_up = OptixGiveUpOperator(
            task_id="give_up", planned=XComArg(plan, key=LOAD), mode=plan.mode, **told, **shared, **task
        )
        plan >> send >> commit >> give_up.as_teardown()
        send >> give_up  # `commit` is over as soon as one shard has failed, while others still send
        if before:
            before[-1] >> plan
            before >> give_up  # whoever is over as soon as one has failed, while others still read
    group.account = commit.output  # type: ignore[attr-defined]  # for what comes after
    return group


def _readers(
    upload: Mapping[str, Any], task: Mapping[str, Any], cut: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The mapped tasks that read the source side by side, and what those after them have to know."""
    reads = {name: upload[name] for name in _OF_READING if name in upload}
    lists = {name: upload[name] for name in (*_SHARED, *_OF_FREEZING, "source", "on_removed") if name in upload}
    parts = OptixListPartsOperator(task_id="parts", **lists, **reads, **cut, **task)
    mapped = {"max_active_tis_per_dagrun": cut["readers"], **task}
    read = OptixReadPartOperator.partial(task_id="read", **reads, **mapped).expand(part=parts.output)
    freeze = OptixFreezePartOperator.partial(task_id="freeze", **mapped).expand(part=parts.output)
    read >> freeze
    return [read, freeze], {"parts": XComArg(parts, key=PARTS)}


_SHARED = ("data_connection_uuid", "primary_key", "key_type", "optix_conn_id")
_OF_SENDING = ("ttl_seconds", "sending", "lock_timeout")
_OF_FREEZING = ("nulls", "deleted_column", "stamp")
_OF_READING = ("sql", "sql_conn_id", "parameters", "window", "window_grain", "window_lookback")


def _refuse_those_of_tasks(upload: Mapping[str, Any]) -> None:
    """Raise SettingsError for what would reach two of the tasks, and not the others."""
    known = signature(OptixUploadOperator.__init__).parameters
    if others := sorted(upload.keys() - known):
        raise SettingsError(
            f"sync_in_shards() got {', '.join(others)}, which OptixUploadOperator does not take itself: give "
            f"each task of the group what it needs by task={{{others[0]!r}: ...}}"
        )


def most_at_a_time(name: str, kind: Kind, given: Any) -> int:
    """What the scheduler has to know, so that no template can say it. Raises SettingsError."""
    if is_template(given):
        raise SettingsError(f"{name}={given!r:.200}: expected {kind.expected}, no template")
    most: int = kind.literal(name, given)
    return most


def _target(operator: OptixSendShardOperator | OptixGiveUpOperator) -> "OptixTarget":
    from optimove_provider.loads.optix.options import OptixTarget

    return OptixTarget(operator.data_connection_uuid, operator.primary_key, operator.key_type, operator.ttl_seconds)


def _span(given: timedelta | float) -> timedelta:
    span: timedelta = SPAN.literal("reserved_for", given)
    return span
