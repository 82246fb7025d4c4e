"""The parts of an import of several files into a table of DCP, each of which one worker checks and uploads.

plan_files      lists the files; the lease of the table is the load's
  |
upload_shard    once for each shard, side by side: checks its files, sends them unseen, writes down what was found
  |
commit_files    judges all of it as one load, and completes the files, which were all checked and sent before
  |
give_up_files   at the end, whatever happened: what was never completed is aborted, and the lease given back
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.cells.datatypes import is_key_column
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import DataError, OptimoveProviderError, SettingsError
from optimove_provider.loads.dcp.full_import import FullImport
from optimove_provider.loads.dcp.invalidation import Invalidation, keys_observed
from optimove_provider.loads.dcp.options import TableImport
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.report.bookkeeping import kept_until_sent
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import Visibility, no_doubt
from optimove_provider.loads.sharded.reservation import Reservation, holder_for, reserve_again
from optimove_provider.loads.sharded.shard import MAX_SHARDS, SHORTEST
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.freeze import OpenRows
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.file import UploadFile, UploadLost
from optimove_provider.loads.upload.files import files_of
from optimove_provider.loads.upload.publication import remember_rows
from optimove_provider.loads.upload.sink import Sink
from optimove_provider.loads.upload.uploads import Uploads
from optimove_provider.loads.validation.csv_file import filed
from optimove_provider.loads.validation.row_check import RowCheck
from optimove_provider.loads.validation.row_sinks import refuse_too_many
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings.findings import ERROR, WARNING, Finding, Findings
from optimove_provider.records.observe.identifiers import ID_RULES, KeyObserver
from optimove_provider.records.observe.observer import ColumnObserver, ObserverFactory
from optimove_provider.surroundings import after

log = logging.getLogger(__name__)

OpenFiles = Callable[[Sequence[str]], OpenRows]
"""Gives what opens the rows of some files."""
NUMBERS = 100_000
"""Of the files that a shard may upload: far more than 10 GB each come to."""


class FilesOfAnotherPlan(OptimoveProviderError):
    """The load was planned anew since the shard was cut, or given up."""

    then = NextStep.CLEAR_GROUP


class ShardNotSent(UploadLost):
    """What a shard has uploaded is not there, and nothing of the load is visible. What else is sent stays."""

    then = NextStep.CLEAR_FAILED


@dataclass(frozen=True, slots=True)
class FilesShard:
    """The `number`-th of as many shards, from 1, of the files that a load's `plan` has listed."""

    load_id: str
    plan: str
    number: int
    of: int

    def __str__(self) -> str:
        return f"shard {self.number} of {self.of}"

    def as_json(self) -> dict[str, Any]:
        """For an XCom: small."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "FilesShard":
        """Read what `as_json` gave. Raises SettingsError for anything else."""
        try:
            return cls(**found)
        except TypeError:
            raise SettingsError(
                f"shard={found!r:.200} is none: pass what DcpPlanFilesOperator returns to .expand(shard=plan.output)"
            ) from None

    def files(self, every: Sequence[str]) -> Sequence[str]:
        """Its own: neighbours, as many as others have, or one more."""
        return every[len(every) * (self.number - 1) // self.of : len(every) * self.number // self.of]

    @property
    def named(self) -> str:
        """How the names of its files in staging begin."""
        return f"loads/{self.load_id}/shard-{self.number:04}"


def plan_files(load: TableImport, files: Sequence[str], reserved_for: timedelta) -> list[FilesShard]:
    """Write down which files are one load, and reserve the lease of the table for it; a shard for each file, and for
    several where there are more than Airflow maps. Raises SettingsError without a ledger, and TargetBusy."""
    if reserved_for < SHORTEST:
        raise SettingsError(f"reserved_for={reserved_for}: expected {SHORTEST} or more")
    ledger, journal, staging = _ledger(load), load.journal(), load.staging
    whose = (load.load_id, load.try_number, load.report.task)
    with kept_until_sent(load.report, journal, no_doubt), acquired(ledger.manifest_file, *whose) as lease:
        journal.take_up()
        now = ledger.now
        planned = {
            "plan": str(staging.surroundings.new_id()),
            "files": list(files),
            "shards": min(len(files), MAX_SHARDS),
            "opened": min(load.opened or now, now).isoformat(),
            "generation": load.generation and load.generation.isoformat(),
        }
        staging.write(_plan_path(load.load_id), planned)
        journal.begin_files()
        lease.reserve(after(staging.surroundings.now(), reserved_for))
    found = _shards(load.load_id, planned)
    log.info("%s in %s", how_many(len(files), "file"), how_many(len(found), "shard"))
    return found


def upload_shard(
    load: TableImport, shard: FilesShard, open_files: OpenFiles, reserved_for: timedelta, task: str = ""
) -> dict[str, Any]:
    """Check the rows of a shard's files and upload them, unseen; returns counts of its rows. `load.report` is of no
    load, and takes what is found.

    Where the files of the load are about to be completed, or are, nothing is done. Raises FilesOfAnotherPlan,
    TargetBusy, LeaseLost, and what checking and uploading raise.
    """
    journal = load.journal()
    if journal.result or journal.prepared_report:
        log.info("%s: every file of load %s was checked and sent; there is nothing to do", shard, shard.load_id)
        return {**shard.as_json(), "state": "sent before"}
    files, ledger = shard.files(_planned(load.staging, shard)["files"]), _ledger(load)
    reserve_again(ledger.manifest_file, shard.load_id, load.try_number, task, reserved_for)
    reservation = Reservation(ledger.manifest_file, shard.load_id, reserved_for)
    with _problem_told(load.staging, shard):
        found = _upload(load, shard, files, open_files(files), reservation)
    log.info("%s: %s, %d rejected", shard, how_many(load.report.rows, "row"), load.report.rejected)
    load.staging.write(_result_path(shard), found)
    return {**shard.as_json(), "state": "sent", "rows": load.report.rows, "rejected": load.report.rejected}


def _upload(
    load: TableImport, shard: FilesShard, files: Sequence[str], rows: OpenRows, reservation: Reservation
) -> dict[str, Any]:
    staging, columns = load.staging, list[str]()
    named = files[0] if len(files) == 1 else f"{files[0]} to {files[-1]}"
    staging.remove_folder(_result_path(shard))
    to = replace(load.destination, first=(shard.number - 1) * NUMBERS + 1)
    with Uploads(to, load.options.max_file_bytes) as uploads:
        with keys_observed(staging, _keys_folder(shard), columns.extend) as observers:
            options = replace(load.options, max_rejected=_of_one_shard(load.options.max_rejected))
            check = RowCheck(rows, options, staging, load.report, observers, named=shard.named, source_file=named)
            check.run(_WhileReserved(uploads, reservation))
        uploads.finish()
        reservation.check()
        remember_rows(uploads, load.remember)
        sent = {file.key: _seal(file) for file in uploads.files}
    return {"plan": shard.plan, "file": named, "columns": columns, "sent": sent, "report": load.report.as_json()}


def _of_one_shard(max_rejected: float | None) -> float | None:
    """How many rows of one shard may be rejected: of a share only all files can tell."""
    return None if max_rejected is not None and 0 < max_rejected < 1 else max_rejected


class _WhileReserved:
    """A sink that takes text only while the lease is the load's."""

    def __init__(self, to: Sink, reservation: Reservation) -> None:
        self._to, self._reservation, self.sent = to, reservation, 0
        self.discard = to.discard

    def write(self, text: bytes, /) -> int:
        self._reservation.check()
        taken, self.sent = self._to.write(text), self._to.sent
        return taken


@contextmanager
def _problem_told(staging: Staging, shard: FilesShard) -> Iterator[None]:
    """Why a shard failed for good is told in the report of its load, too."""
    try:
        yield
    except OptimoveProviderError as error:
        if not error.retry_helps:
            staging.write(_result_path(shard), {"plan": shard.plan, "problem": str(error)})
        raise


def _seal(file: UploadFile) -> str:
    """What tells that nobody has sent anything of a file since: another try of its shard that was taken for dead."""
    known = {name: value for name, value in asdict(file.progress).items() if name not in ("asked", "completed")}
    return hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=16).hexdigest()


def commit_files(load: TableImport) -> None:
    """Judge what the shards have found as one load, and complete all files; or finish what an earlier try has begun.

    Raises ShardNotSent, FilesOfAnotherPlan, DataError for what all files together must not have, and what a full import
    raises.
    """
    planned = load.staging.read(_plan_path(load.load_id))
    if planned:
        opened, generation = planned["opened"], planned["generation"]
        load = replace(
            load,
            opened=datetime.fromisoformat(opened),
            generation=generation and datetime.fromisoformat(generation),
        )
    _ImportOfFiles(load, planned).run()


class _ImportOfFiles(FullImport):
    """A full import whose rows others have checked and sent."""

    def __init__(self, load: TableImport, planned: dict[str, Any] | None) -> None:
        super().__init__(load)
        self._planned = planned

    def _run(self, invalidation: Invalidation) -> None:
        if not self._publication.resume():
            self._join(invalidation)
        self._publish(invalidation.of(self._journal.prepared_age))

    def _join(self, invalidation: Invalidation) -> None:
        """Put together what the shards have found, and judge it."""
        if self._planned is None:
            raise _given_up(self._load.load_id)
        found = self._found(self._planned)
        whole = _Whole(self._load, found)
        whole.refuse_other_columns()
        with invalidation.keys() as observers:
            whole.tell(observers)
        whole.judge()
        self._publication.prepare_sent([key for one in found.values() for key in one["sent"]], invalidation.age)

    def _found(self, planned: Mapping[str, Any]) -> dict[FilesShard, dict[str, Any]]:
        """What each shard has written down. Raises ShardNotSent unless all that it has sent is there still."""
        load, shards = self._load, _shards(self._load.load_id, planned)
        results = load.staging.read_together([_result_path(shard) for shard in shards])
        there = {file.key: _seal(file) for file in files_of(load.destination)}
        found = {shard: results.get(_result_path(shard)) or {} for shard in shards}
        missing = [
            shard
            for shard, one in found.items()
            if one.get("plan") != shard.plan or "sent" not in one or one["sent"].items() - there.items()
        ]
        if missing:
            files = [name for shard in missing for name in shard.files(planned["files"])]
            raise ShardNotSent(
                f"load {load.load_id}: of {how_many(len(missing), 'shard')} (map index "
                f"{', '.join(str(shard.number - 1) for shard in missing[:10])}) not everything that was sent is there: "
                f"{', '.join(files[:3])}. Nothing of the load is visible. Clear those uploads with what comes after "
                "them (Downstream)"
            )
        return found


class _Whole:
    """What was found in all files of a load, in their order, as one pass over them would have found it."""

    def __init__(self, load: TableImport, found: Mapping[FilesShard, Mapping[str, Any]]) -> None:
        self._load, self._report, self._staging, self._found = load, load.report, load.staging, found
        self._findings = Findings("the source's files")

    def refuse_other_columns(self) -> None:
        """Raise DataError for files that have not the same columns, in whatever order; a file without a header has no
        rows."""
        first: Mapping[str, Any] = {}
        for one in self._found.values():
            first = first or (one if one["columns"] else {})
            if one["columns"] and (differs := set(one["columns"]) ^ set(first["columns"])):
                raise DataError(
                    f"source {one['file']!r} has other columns than {first['file']!r}: "
                    f"{', '.join(map(repr, sorted(differs)))} are in one of them only. Nothing is imported. Give all "
                    "files the same columns, or load them apart"
                )

    def tell(self, observers: ObserverFactory) -> None:
        """Tell the report, and write down the keys of all files. What is to be said of ids depends on all of them."""
        for shard, one in self._found.items():
            self._take(shard, one["report"])
        names: list[str] = next((one["columns"] for one in self._found.values() if one["columns"]), [])
        column = next((number for number, name in enumerate(names) if is_key_column(name)), None)
        if column is not None:
            self._compare_ids(KeyObserver(column, names[column]), observers(names, ()))

    def _compare_ids(self, ids: KeyObserver, observers: Sequence[ColumnObserver]) -> None:
        rows_before, seers = 0, [ids, *observers]
        for shard, one in self._found.items():
            for path in row_files.sendable_paths(self._staging, _keys_folder(shard)):
                for batch in row_files.read(self._staging, path, ["_row", "_key"]):
                    locations = _numbered(batch["_row"].to_numpy() + rows_before)
                    for seer in seers:
                        seer.see(locations, _cells(batch["_key"]))
            rows_before += one["report"]["rows"]
        for rule, count in ids.counts():
            self._findings.count(rule, "", WARNING, count)
        for finding in islice(ids.findings(), max(self._findings.room(WARNING), 0)):
            self._findings.keep(finding)
        for seer in seers:
            seer.close()

    def _take(self, shard: FilesShard, own: Mapping[str, Any]) -> None:
        """Take over counts and findings of a shard, but for those about ids."""
        findings, report, rows_before = self._findings, self._report, self._report.rows
        report.rows, report.rejected = report.rows + own["rows"], report.rejected + own["rejected"]
        report.reasons = dict(Counter(report.reasons) + Counter(own["reasons"]))
        for note in own["notes"]:
            if not note.startswith(_ABOUT_IDS):
                report.note(note)
        findings.rows, findings.valid_rows = report.rows, report.rows - report.rejected
        counted = [(rule, ERROR, count) for rule, count in own["reasons"].items()]
        counted += [(rule, WARNING, count) for rule, count in own["warnings"].items() if rule not in ID_RULES]
        for rule, severity, count in counted:
            findings.count(rule, "", severity, count)
        for one in (self._staging.read(f"{shard.named}-findings.json") or {}).get("findings", []):
            if one["rule"] not in ID_RULES:
                findings.keep(Finding(**{**one, "row": one["row"] and one["row"] + rows_before}))

    def judge(self) -> None:
        """Raise DataError if more rows were rejected than all files may have."""
        report, findings, most = self._report, self._findings, self._load.options.max_rejected
        if report.rejected:
            report.rejected_file = self._rejected_file()
        with filed(findings, self._staging, f"reports/{report.load_id}-findings.json") as url:
            report.tell_warnings(findings.warnings(), findings.warning_note(url))
            refuse_too_many(report, most, url)
        level = logging.WARNING if report.rejected else logging.INFO
        log.log(level, "%s\nFull report: %s", findings.describe(), url)

    def _rejected_file(self) -> str:
        """The rejected rows of all files as one file, with the header of the first."""
        path, has_header = f"reports/{self._report.load_id}.rejected.csv", False
        with self._staging.open_new(path) as out:
            for shard, one in self._found.items():
                if one["report"]["rejected_file"]:
                    with self._staging.open(f"{shard.named}.rejected.csv") as text:
                        header = text.readline()
                        out.write(b"" if has_header else header)
                        has_header = True
                        while block := text.read(1 << 20):
                            out.write(block)
        return self._staging.url(path)


_ABOUT_IDS = "warnings about ids: "


def _numbered(rows: Any) -> Locations:
    nowhere = np.zeros(len(rows), np.int64)
    return Locations(rows, nowhere, nowhere)


def _cells(keys: pa.StringArray) -> pa.BinaryArray:
    """The cells of which these keys, JSON texts, were made."""
    if pc.any(pc.match_substring(keys, "\\")).as_py():
        return pa.array([json.loads(key).encode() for key in keys.to_pylist()], pa.binary())
    return pc.utf8_slice_codeunits(keys, 1, -1).cast(pa.binary())


def is_left(load: TableImport) -> bool:
    """Whether the lease is still reserved for a load, which nobody has committed then."""
    return holder_for(_ledger(load).manifest_file, load.load_id) is not None


def give_up_files(load: TableImport) -> None:
    """Abort what was never to be completed, and give the lease back that is reserved for the load; the report, of a
    load that failed, is filed. Its shards are of no use any more."""
    ledger, journal, report = _ledger(load), load.journal(), load.report
    holder, staging = holder_for(ledger.manifest_file, load.load_id), load.staging
    if holder is None:
        return  # who commits has it, or nobody needs it
    planned = staging.read(_plan_path(load.load_id)) or {"files": (), "shards": 0, "plan": ""}
    staging.remove_folder(_plan_path(load.load_id))
    load.publication(journal).abort()
    results = staging.read_together([_result_path(shard) for shard in _shards(load.load_id, planned)])
    _tell_failed(report, [results[path] for path in sorted(results)], planned["shards"])
    Lease(ledger.manifest_file, holder).release()
    log.error("load %s: %s. %s", report.load_id, report.problem, report.next_step)
    report.file(staging)


def _tell_failed(report: Report, results: Iterable[Mapping[str, Any]], shards: int) -> None:
    sent, problems = 0, list[str]()
    for one in results:
        if "problem" in one:
            problems.append(one["problem"])
            continue
        sent += 1
        report.rows, report.rejected = report.rows + one["report"]["rows"], report.rejected + one["report"]["rejected"]
    report.state, report.visibility, report.next_step = "failed", Visibility.NOT_VISIBLE, NextStep.CLEAR_GROUP
    report.problem = (
        "a task before the one that commits has failed for good, so no file of the load was completed, and what was "
        f"sent is aborted: {sent} of {how_many(shards, 'shard')} had been checked and sent"
    )
    if problems:
        report.problem += f". {how_many(len(problems), 'shard was', 'shards were')} refused: {problems[0]}"


def _planned(staging: Staging, shard: FilesShard) -> dict[str, Any]:
    """What the plan of a shard has written down. Raises FilesOfAnotherPlan where another one has, or none counts."""
    planned = staging.read(_plan_path(shard.load_id))
    if planned is None:
        raise _given_up(shard.load_id)
    if planned["plan"] != shard.plan:
        raise FilesOfAnotherPlan(
            f"{shard} of load {shard.load_id}: its files were listed anew since; nothing was sent from here. Clear the "
            "whole group"
        )
    return planned


def _given_up(load_id: str) -> FilesOfAnotherPlan:
    return FilesOfAnotherPlan(
        f"load {load_id}: its files are not planned any more, as it was given up, and what it had sent was aborted. "
        "Clear the whole group"
    )


def _shards(load_id: str, planned: Mapping[str, Any]) -> list[FilesShard]:
    count = planned["shards"]
    return [FilesShard(load_id, planned["plan"], number, count) for number in range(1, count + 1)]


def _ledger(load: TableImport) -> Ledger:
    if load.ledger is None:
        raise SettingsError(
            "an import in shards needs a lease, and [optimove] staging is on a storage without compare-and-swap: use a "
            "bucket, or a folder that all workers see; or one task"
        )
    return load.ledger


def _plan_path(load_id: str) -> str:
    return f"loads/{load_id}/shards.json"


def _result_path(shard: FilesShard) -> str:
    return f"{shard.named}.json"


def _keys_folder(shard: FilesShard) -> str:
    return f"{shard.named}-keys"
