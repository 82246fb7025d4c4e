"""What the process of a try does, for each kind of task."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from optimove_provider.clients.optix import OptixClient
from optimove_provider.loads.erasure.expire_keys import ExpireOptions, expire_keys
from optimove_provider.loads.optix.bisect import BisectTooLong
from optimove_provider.loads.optix.load import load, plan
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.sharded.load import give_up, is_left, plan_shards, send_shard, settle
from optimove_provider.loads.sharded.shard import Shard, Sharding
from optimove_provider.loads.sharded.source_parts import (
    SourcePart,
    freeze_part,
    frozen_parts,
    give_up_reading,
    list_parts,
    read_part,
    remove_parts,
    settled,
)
from optimove_provider.loads.spool.frozen_parts import FrozenParts
from optimove_provider.records.read.parts import Part, shares
from optimove_provider.records.to_json.stamps import stamp_text
from tests.simulation.airflow import Task, Try
from tests.simulation.optix.shards import MappedTasks
from tests.simulation.optix.tasks import DELETED, STAMP, options_of
from tests.simulation.source import POISON, Cell, version_of
from tests.simulation.storage import as_staging
from tests.simulation.target import Deferred, WrongWorld
from tests.support.optix_target import SETTINGS
from tests.support.optix_transactions import NO_GUARDS

if TYPE_CHECKING:
    from tests.simulation.optix.connection import OptixConnection

PLANNED = ("new", "changed", "unknown", "removed")
RESERVED_FOR = timedelta(hours=1)


class Runs:
    """What the tries of one target do. `approved`: by task and round, the plan that a person has approved; `replayed`:
    by load, the report whose rejected rows it sends; `raised`: tasks whose `max_bisect_requests` a person has raised;
    `groups`, `readers` and `freezers`: by load, the tasks that send it, and those that read and freeze it.
    """

    def __init__(self, target: "OptixConnection") -> None:
        self._target, self._approved = target, dict[tuple[str, int], Report]()
        self._replayed, self._raised = dict[str, Report](), set[str]()
        self._groups = dict[str, MappedTasks[Shard]]()
        self._readers, self._freezers = (dict[str, MappedTasks[SourcePart]]() for _ in range(2))

    def run(self, one: Try, report: Report) -> Report:
        """Do it; returns the report that tells, which may be another one. Raises what the operator would."""
        try:
            return self._run(one, report)
        except BisectTooLong:
            self._raised.add(one.task.name)  # as it says, before the task is cleared
            raise

    def _run(self, one: Try, report: Report) -> Report:
        kind = one.task.kind
        self._target.said[one.load_id] = self._target.words(one.task)
        if kind in ("expire", "suppress"):
            self._expire(one, report)
        elif kind == "update":
            what = Update(self._options(one))
            load_update(*self._what(one, self._rows(one.task), report), what, one.try_number, one.resumed)
        elif kind == "dry run":
            return self._plan(one)
        elif kind.startswith("approved"):
            self._carry_out(one, report)
        elif kind == "replay":
            self._replay(one, report)
        elif kind.endswith("in shards"):
            self._group(one, report)
        else:
            what = self._what(one, self._rows(one.task), report)
            load(*what, self._options(one), one.try_number, one.resumed)
        return report

    def _what(self, one: Try, rows: list[dict[str, Any]], report: Report) -> tuple[Any, ...]:
        deletes = "deletions" in one.task.kind
        staging = self._target.world.staging(one.skew)
        send = partial(self._target.vendor.send, sender=one)
        client = OptixClient(SETTINGS, send, surroundings=staging.surroundings)
        return client, partial(self._opened, rows, deletes), staging, report

    def _options(self, one: Try, expected_plan: str | None = None) -> UploadOptions:
        # As templates are rendered: a retry has another one, and must send what was frozen.
        stamp = stamp_text({STAMP: f"{one.task.name}, {one.try_number}"}) if one.task.how.is_stamped else ""
        options = options_of(one.task, self._target.uuid, stamp, expected_plan)
        if one.task.name in self._raised:
            return replace(options, sending=replace(options.sending, max_bisect_requests=10_000))
        return options

    def _rows(self, task: Task) -> list[dict[str, Any]]:
        """What its source has."""
        words, deletes = self._target.words(task), "deletions" in task.kind
        there = [{"id": key, "value": cell.text} for key, cell in words.items() if not cell.is_gone]
        if not deletes:
            return there
        gone = [{"id": key, "value": None, DELETED: True} for key, cell in words.items() if cell.is_gone]
        return [{DELETED: False, **row} for row in there + gone]

    @contextmanager
    def _opened(self, rows: list[dict[str, Any]], deletes: bool) -> Iterator[Iterator[pa.RecordBatch]]:
        self._target.world.step("open the source")
        names = ["id", "value", *([DELETED] if deletes else [])]
        types = {DELETED: pa.bool_()}
        columns = {name: pa.array([row.get(name) for row in rows], types.get(name, pa.string())) for name in names}
        yield iter([pa.RecordBatch.from_pydict(columns)])

    # A dry run, and what is approved of it

    def _plan(self, one: Try) -> Report:
        staging = self._target.world.staging(one.skew)
        report = Report(str(staging.surroundings.new_id()), {"optix": self._target.uuid})
        plan(*self._what(one, self._rows(one.task), report), self._options(one))
        if as_staging(staging).names(f"loads/{report.load_id}"):
            raise WrongWorld(f"the dry run of {one.task.name} has left {report.load_id} in staging")
        return report

    def _carry_out(self, one: Try, report: Report) -> None:
        """The plan that was approved in this round, by a person who takes some minutes for it."""
        mark = (one.task.name, one.task.max_tries)
        if mark not in self._approved:
            self._approved[mark] = self._plan(one)
            raise Deferred(self._target.random.uniform(12.0, 900.0))
        told = self._approved[mark].plan
        load(*self._what(one, self._rows(one.task), report), self._options(one, told["digest"]), one.try_number)
        self._target.world.coverage.has("plan", "approved")
        planned = sum(told.get(name, 0) for name in PLANNED)
        if (
            planned != sum(report.plan.get(name, 0) for name in PLANNED)
            or report.stale + report.unchanged < told["stale"]
        ):
            raise WrongWorld(f"{one.task.name} was approved as {told}, and did {report.plan}")

    # By many workers

    def _group(self, one: Try, report: Report) -> None:
        """A group of tasks, of which this one is what lists the source, the plan, and what commits; between them it is
        as if deferred."""
        rows, options = self._rows(one.task), self._options(one)
        what = client, opened, staging, _ = self._what(one, rows, report)
        if one.load_id not in self._groups and self._target.reads_side_by_side(one.task):
            opened, options = self._read(one, rows, what, options)
        group = self._groups.get(one.load_id)
        if group is None:
            few = self._target.random.randint(1, 3)
            sharding = Sharding(8 if self._target.world.is_wide else few, 2, RESERVED_FOR)
            shards = plan_shards(client, opened, staging, report, options, sharding, one.try_number, one.resumed)
            if one.load_id in self._readers:
                remove_parts(staging, one.load_id)
            call = partial(self._send, options)
            group = self._groups[one.load_id] = MappedTasks(self._target, one, shards, call, "sent")
            if len(shards) == 8:
                self._target.world.coverage.has("shards", "eight of them")
        if group.is_under_way():
            raise Deferred(30.0)
        if group.error:
            if is_left(client, staging, options.target, one.load_id):
                give_up(client, staging, options.target, Report(one.load_id, report.target))
                self._target.world.coverage.has("shards", "given up")
            self._clear_alone(group)
            raise group.error
        load(*what, options, one.try_number, resumed=True)

    def _clear_alone(self, group: MappedTasks[Any]) -> None:
        """A person may clear the one that failed, with what comes after it."""
        if self._target.random.random() < 0.5:
            self._target.world.coverage.has("shards", "cleared alone")
            group.begin()
            raise Deferred(30.0)

    def _send(self, options: UploadOptions, one: Try, shard: Shard) -> None:
        client, _, staging, _ = self._what(one, [], Report(one.load_id, {}))
        send_shard(client, staging, options.target, shard, options.sending, RESERVED_FOR, one.try_number)

    def _read(
        self, one: Try, rows: list[dict[str, Any]], what: tuple[Any, ...], options: UploadOptions
    ) -> tuple[FrozenParts, UploadOptions]:
        """Let several tasks read and freeze the source; returns the rows that they have left, and how old these are."""
        client, _, staging, report = what
        readers = self._readers.get(one.load_id)
        if readers is None:
            cut = [Part(where=f"{share.start} {share.stop}") for share in shares([1] * len(rows), 3)]
            parts = list_parts(staging, one.load_id, cut or [Part(where="0 0")], settle(client, staging, options))
            deletes = "deletions" in one.task.kind

            def call(reader: Try, part: SourcePart) -> None:
                read_part(self._target.world.staging(reader.skew), part, partial(self._opened_part, rows, deletes))

            readers = self._readers[one.load_id] = MappedTasks(self._target, one, parts, call, "read")
        self._wait_for(readers, staging, report)
        freezers = self._freezers.get(one.load_id)
        if freezers is None:

            def frozen(freezer: Try, part: SourcePart) -> None:
                freeze_part(self._target.world.staging(freezer.skew), part)

            freezers = MappedTasks(self._target, one, readers.parts, frozen, "frozen")
            self._freezers[one.load_id] = freezers
        self._wait_for(freezers, staging, report)
        listing = readers.parts[0].listing
        known = settled(staging, one.load_id, listing)
        source = FrozenParts(partial(frozen_parts, staging, one.load_id, listing, options.encoding))
        return source, replace(options, read_from=known.opened, stamp=known.stamp)

    def _wait_for(self, tasks: MappedTasks[SourcePart], staging: Any, report: Report) -> None:
        if tasks.is_under_way():
            raise Deferred(30.0)
        if tasks.error:
            load_id = tasks.parts[0].load_id
            give_up_reading(staging, load_id, Report(load_id, report.target))
            self._clear_alone(tasks)
            raise tasks.error

    def _opened_part(
        self, rows: list[dict[str, Any]], deletes: bool, part: Part
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        first, end = map(int, part.where.split())
        return self._opened(rows[first:end], deletes)

    # Keys that are to go

    def _expire(self, one: Try, report: Report) -> None:
        task, report.mode = one.task, "expire"
        keys = task.how.suppressed or tuple(self._target.said[one.load_id])
        what = self._what(one, [{"id": key} for key in keys], report)
        upload = replace(self._options(one), stamp="", deleted_column=None, target=OptixTarget(self._target.uuid, "id"))
        expire_keys(*what, ExpireOptions(upload, task.kind == "suppress"), one.try_number, one.resumed)

    # Rejected rows, mended and sent again, as `tasks.replay` does

    def _replay(self, one: Try, report: Report) -> None:
        found = [told for told in self._target.reports.values() if told.rejected_file and told.replay]
        if not found:
            report.state = "nothing_to_send"
            self._target.said[one.load_id] = {}
            return
        told = self._replayed.setdefault(one.load_id, self._target.random.choice(found))
        staging = as_staging(self._target.world.staging(one.skew))
        with staging.open(f"reports/{told.load_id}.rejected.jsonl") as lines:
            rows = [_mended(json.loads(line)["record"]) for line in lines]
        said = self._target.said[told.load_id]
        self._target.said[one.load_id] = {row["id"]: _word(row, said) for row in rows}
        self._target.world.coverage.has("replay", "rejected rows")
        load(*self._what(one, rows, report), _options_of_replay(told.replay, one.task), one.try_number, one.resumed)


def _mended(record: Mapping[str, Any]) -> dict[str, Any]:
    value = record.get("value")
    return {**record, "value": value and re.sub(POISON, "well", value)}


def _word(row: Mapping[str, Any], said: Mapping[str, Cell]) -> Cell:
    return Cell(version_of(row["value"])) if row["value"] else said[row["id"]]


def _options_of_replay(known: Mapping[str, Any], task: Task) -> UploadOptions:
    given = dict(known)
    generation, opened = (datetime.fromisoformat(given.pop(name)) for name in ("generation", "opened"))
    resends = given.pop("resend_rejected")
    rest = {name: given.pop(name) for name in ("nulls", "stamp", "deleted_column")}
    return UploadOptions(
        OptixTarget(**given),
        **rest,
        generation=generation,
        opened=opened,
        max_rejected=99,
        all_may_be_bad=True,
        guards=NO_GUARDS,
        resend_rejected=resends,
        sending=replace(task.how.sending, owed_tries=0),
    )
