"""The rows of a load, frozen in staging before the first request, so that every retry sends the same.

Rows that cannot travel are put aside with their reasons.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.optix.data_connections import has_formula
from optimove_provider.loads.progress import Progress
from optimove_provider.loads.spool.id_warnings import IdWarnings
from optimove_provider.loads.spool.row_files import DELETED, REFUSED, fingerprints, rows_batch
from optimove_provider.loads.spool.slices import RowFiles, RowFilesWriter
from optimove_provider.loads.spool.unique_keys import refuse_duplicates
from optimove_provider.loads.state.journal import Journal, Overtaken
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.filled import filled
from optimove_provider.records.arrow.shown import shown
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import Finding, Findings
from optimove_provider.records.rejected_lines import REJECTED_FILE, rejected_line, unread_line
from optimove_provider.records.rows import FirstRows, Rows, Unread
from optimove_provider.records.to_json.deletions import DeletedColumn, Encodes
from optimove_provider.records.to_json.encode import Unfit, missing_key
from optimove_provider.records.to_json.scalars import NoForm, refused_value, scalar_text, string_text
from optimove_provider.records.to_json.stamps import fields_of, refuse_collision
from optimove_provider.surroundings import Surroundings

log = logging.getLogger(__name__)

StandsFor = tuple[datetime | None, datetime | None]
"""The instant that rows stand for, and when they were read for the first time, if it is not now."""
NOW: StandsFor = (None, None)
READ_AHEAD = 3
"""Batches that are read while an earlier one is encoded and written."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """How rows are frozen. `stands_for`: how old they are, if they are older than now. `compared`: they will be
    compared with a ledger, so that fingerprints are made on the way. `stamp` is sent with each record, a JSON object.
    `deleted_column` says which rows are deletions; whoever makes the encoders takes them apart. `now` is the time as a
    ledger knows it, and `seed` what it makes digests of keys by. Where others freeze rows of the same load, there are
    so many `before` these, and so many `in_all`. `keys_as_they_are`: keys that are text travel as the text they are, so
    that two of them are one only where their texts are.
    """

    stands_for: StandsFor = NOW
    compared: bool = False
    stamp: str = ""
    deleted_column: DeletedColumn | None = None
    now: datetime | None = None
    seed: str = field(default="", repr=False)
    before: int = 0
    in_all: int = 0
    keys_as_they_are: bool = False


@dataclass(frozen=True, slots=True)
class Spool:
    """`rows` of the source, of which `fit` are frozen, `rejected` put aside, and `deleted` say that their key is to go;
    `columns` counts the cells of each that are filled.

    `warnings` about keys and columns are counted by rule; `warning_note` tells the first, and where all are. Of the
    rejected rows, `keyless` are without a key that could be told. The keys of the others lie beside the parts, without
    a record: a snapshot has them, although they are not sent. `has_more`: the load is limited, and its source has more
    rows.
    """

    rows: int
    fit: int
    rejected: int
    keyless: int
    columns: dict[str, int]
    parts: RowFiles
    warnings: dict[str, int] = field(default_factory=dict)
    warning_note: str = ""
    has_more: bool = False
    deleted: int = 0

    @property
    def filled(self) -> dict[str, float]:
        """The share of the rows that have a value in a column, by column."""
        return {name: count / self.rows for name, count in sorted(self.columns.items())} if self.rows else {}

    def as_json(self) -> dict[str, Any]:
        """For the journal."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Spool":
        """From the journal."""
        return cls(**{**found, "parts": RowFiles(**found["parts"])})


@dataclass(frozen=True, slots=True)
class Written:
    """Rows that are written to files: `rows` of the source, of which those in `fit` can be sent, those in `refused` are
    a part of the `rejected`, which lie aside, and those in `deleted` say that their key is to go; `columns` counts the
    cells of each that are filled."""

    rows: int
    rejected: int
    columns: dict[str, int]
    fit: RowFiles
    refused: RowFiles
    deleted: RowFiles

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Written":
        """From what `asdict` made of it."""
        return cls(**{**found, **{name: RowFiles(**found[name]) for name in ("fit", "refused", "deleted")}})


MakeEncoder = Callable[[pa.Schema], Encodes]
FreezeAs = Callable[[str, str, Frozen, Findings], Spool]
"""Freezes rows: into a folder, and into a file those that cannot travel; tells findings about keys and columns."""
OpenRows = Callable[[], AbstractContextManager[Rows]]
"""Opens the source: called when its rows are to be read, which a retry may not need."""


def open_spool(
    journal: Journal,
    open_rows: OpenRows,
    make_encoder: MakeEncoder,
    primary_key: str,
    resumed: bool = False,
    how: Frozen = Frozen(),
    first: FirstRows | None = None,
) -> Spool:
    """The rows of a load: those of an earlier try once a request was made, otherwise the source is read again.

    `resumed`: this try has read it before. Rows of an earlier try keep their age, and their stamp. `first` is asked,
    once the rows are read, whether the source has more.
    """

    def frozen(folder: str, aside: str, how: Frozen, findings: Findings) -> Spool:
        with open_rows() as rows:
            if journal.was_overtaken:  # while the source was opened: the other try's rows lie there
                raise Overtaken.of(journal.load_id)
            return freeze(rows, journal.staging, folder, aside, make_encoder, primary_key, how, findings)

    return kept_or_frozen(journal, frozen, resumed, how, first)


def kept_or_frozen(
    journal: Journal, freeze_as: FreezeAs, resumed: bool, how: Frozen, first: FirstRows | None = None
) -> Spool:
    """The same, whoever freezes the rows."""
    if found := journal.rows(resumed):
        log.info("going on with the rows that were read at %s", journal.opened)
        return Spool.from_json(found)
    folder = journal.begin_reading(*how.stands_for, how.stamp, how.now)
    aside, findings = f"{journal.folder}/{REJECTED_FILE}", Findings("the source's rows")
    spool = freeze_as(folder, aside, replace(how, stamp=journal.stamp), findings)
    _warn_of_columns([*spool.columns, *fields_of(journal.stamp)], findings)
    spool = _with_warnings(replace(spool, has_more=first is not None and first.has_more), findings, journal)
    journal.rows_read(spool.as_json())
    level = logging.WARNING if spool.rejected else logging.INFO
    log.log(level, "%s read, %d of them rejected", how_many(spool.rows, "row"), spool.rejected)
    return spool


def _warn_of_columns(columns: Iterable[str], findings: Findings) -> None:
    rule = file_rules.HEADER_COLON
    for name in columns:
        if not has_formula(name):
            findings.add(Finding(0, 1, 0, name, rule.name, name, file_rules.COLON, rule.severity))


def _with_warnings(spool: Spool, findings: Findings, journal: Journal) -> Spool:
    """Tell in the log and in staging what is odd about keys and columns, as an import does; the spool remembers it."""
    if not findings.total:
        return spool
    findings.rows, findings.valid_rows = spool.rows, spool.fit
    url = journal.staging.write(f"reports/{journal.load_id}-findings.json", findings.as_json())
    log.warning("%s\nFull report: %s", findings.describe(), url)
    told = findings.warnings()
    notes = [findings.warning_note(url)]
    if file_rules.HEADER_COLON.name in told:
        columns = [name for name in (*spool.columns, *fields_of(journal.stamp)) if not has_formula(name)]
        notes.append(f"columns {', '.join(map(repr, columns))}: {file_rules.COLON}")
    return replace(spool, warnings=told, warning_note=". ".join(filter(None, notes)))


def freeze(
    rows: Rows,
    staging: Staging,
    folder: str,
    aside_path: str,
    make_encoder: MakeEncoder,
    primary_key: str,
    how: Frozen = Frozen(),
    findings: Findings | None = None,
) -> Spool:
    """Write the rows to a folder, and those that cannot travel to the file `aside_path`.

    `findings` are told what is odd about the keys.

    Raises DataError where the source as a whole is wrong: no key column, a column that JSON has no form for, a key
    that occurs twice, a type that changes; SettingsError where the stamp is called like a column.
    """
    staging.remove_folder(folder)
    with IdWarnings(primary_key) as ids:
        written = write_rows(rows, staging, folder, aside_path, make_encoder, how, ids.see)
        return checked(written, staging, primary_key, how, ids, findings)


def write_rows(
    rows: Rows,
    staging: Staging,
    folder: str,
    aside_path: str,
    make_encoder: MakeEncoder,
    how: Frozen,
    see: Callable[[pa.RecordBatch, int], None],
) -> Written:
    """Write the rows to a folder, those that cannot travel to the file `aside_path`. What only all rows of a load tell
    is not looked at: `see` is given each batch, with how many rows there are before it."""
    with (
        RowFilesWriter(staging, folder, seed=how.seed if how.compared else "", in_all=how.in_all) as fit,
        RowFilesWriter(staging, folder, REFUSED) as refused,
        RowFilesWriter(staging, folder, DELETED) as deleted,
        staging.open_new(aside_path) as aside,
    ):
        progress = Progress(staging.surroundings.monotonic)
        freezing = _Freezing((fit, refused, deleted), aside, make_encoder, how, progress, see)
        _in_turn(freezing.take, rows, staging.surroundings)
    every = (writer.written for writer in (fit, refused, deleted))
    return Written(freezing.row - how.before, freezing.rejected, freezing.columns, *every)


def checked(
    written: Written,
    staging: Staging,
    primary_key: str,
    how: Frozen,
    ids: IdWarnings,
    findings: Findings | None = None,
) -> Spool:
    """All rows of a load, once it is known that they have keys, and each another one; `ids` has seen all of them.
    Raises DataError."""
    columns = dict(written.columns)
    if columns and primary_key not in columns:
        raise missing_key(primary_key, columns)
    if how.deleted_column and columns:
        how.deleted_column.check(columns)
        columns.pop(how.deleted_column.name, None)  # it is not sent
    fit, deleted = written.fit, written.deleted
    keyless = written.rejected - written.refused.rows
    if not (how.keys_as_they_are and ids.all_seen) or ids.repeat:  # else none is there twice
        refuse_duplicates(staging, primary_key, fit, deleted)
    if findings is not None:
        ids.add_to(findings)
    return Spool(written.rows, fit.rows, written.rejected, keyless, columns, fit, deleted=deleted.rows)


def _in_turn(take: Callable[[pa.RecordBatch | Unread], None], rows: Rows, surroundings: Surroundings) -> None:
    """Take one item after the other in a thread, while this one reads on: most of both is done by Arrow, which lets
    threads run. The source is read here, since some databases serve only the thread that asked."""
    under_way: deque[Future[None]] = deque()
    with surroundings.pool(1, "optix-freeze") as worker:
        for item in rows:
            under_way.append(worker.submit(take, item))
            if len(under_way) > READ_AHEAD:
                under_way.popleft().result()
        for future in under_way:
            future.result()


class _Freezing:
    def __init__(
        self,
        writers: tuple[RowFilesWriter, RowFilesWriter, RowFilesWriter],
        aside: BinaryIO,
        make_encoder: MakeEncoder,
        how: Frozen,
        progress: Progress,
        see: Callable[[pa.RecordBatch, int], None],
    ) -> None:
        self._see, self._stamp, self._stamp_fields = see, how.stamp, fields_of(how.stamp)
        (self._fit, self._refused, self._deleted), self._aside = writers, aside
        self._make_encoder, self._compared = make_encoder, how.compared
        self._schema: pa.Schema | None = None
        self._encoder: Encodes | None = None
        self._progress = progress
        self._before = self.row = how.before
        self.rejected = 0
        self.columns: dict[str, int] = {}

    def take(self, item: pa.RecordBatch | Unread) -> None:
        if isinstance(item, Unread):
            self.row += 1
            self._put_aside(unread_line(self.row, item))
        else:
            self._take_batch(item)
        if self._progress.due():
            log.info("%d rows read, %d put aside", self.row - self._before, self.rejected)

    def _take_batch(self, batch: pa.RecordBatch) -> None:
        if self._encoder is None or batch.schema != self._schema:
            refuse_collision(self._stamp_fields, batch.schema.names)
            self._schema, self._encoder = batch.schema, self._make_encoder(batch.schema)
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            self.columns[name] = self.columns.get(name, 0) + int(np.count_nonzero(filled(column)))
        encoded = self._encoder.encode(batch)
        self._see(batch, self.row)
        numbers = pa.array(encoded.positions + (self.row + 1), pa.int64())
        made = fingerprints(encoded.records) if self._compared else None
        stamps = pa.repeat(self._stamp, len(numbers)) if self._stamp else None
        self._fit.add(rows_batch(numbers, encoded.keys, encoded.records, made, stamps))
        if len(encoded.deleted):
            numbers = pa.array(encoded.deleted + (self.row + 1), pa.int64())
            self._deleted.add(rows_batch(numbers, encoded.deleted_keys, pa.nulls(len(numbers), pa.string())))
        if encoded.unfit:
            self._refuse(batch, encoded.unfit)
        self.row += batch.num_rows

    def _refuse(self, batch: pa.RecordBatch, unfit: Sequence[Unfit]) -> None:
        keyed = [(self.row + one.position + 1, one.key) for one in unfit if one.key is not None]
        if keyed:
            numbers, keys = (pa.array(column) for column in zip(*keyed, strict=True))
            self._refused.add(rows_batch(numbers, keys, pa.nulls(len(keyed), pa.string())))
        for one in unfit:
            self._reject_unfit(batch, one)

    def _reject_unfit(self, batch: pa.RecordBatch, unfit: Unfit) -> None:
        row = self.row + unfit.position + 1
        reason = f"column {unfit.column!r}: {unfit.reason}"
        record = record_text(batch, unfit.position)
        line = rejected_line(row, reason, None, record) if record else None
        self._put_aside(line or unread_line(row, Unread(shown_row(batch, unfit.position), reason)))

    def _put_aside(self, line: bytes) -> None:
        self.rejected += 1
        self._aside.write(line)


def record_text(batch: pa.RecordBatch, position: int) -> str | None:
    """A row as JSON text for people, and for a replay that finds the same fault again: NaN stays NaN, null null.

    None if a value can only be shown: a replay would take what is shown for the value.
    """
    texts = [(name, _value_text(batch.column(name)[position])) for name in batch.schema.names]
    members = [f"{string_text(name)}:{text}" for name, text in texts if text is not None]
    return "{" + ",".join(members) + "}" if len(members) == len(texts) else None


def _value_text(value: pa.Scalar) -> str | None:
    if not value.is_valid:
        return "null"
    try:
        return scalar_text(value)
    except NoForm:
        return refused_value(value)


def shown_row(batch: pa.RecordBatch, position: int) -> str:
    """A row for people."""
    return ", ".join(f"{name}: {shown(batch.column(name)[position])}" for name in batch.schema.names)
