"""A small load over REST: one request a record, each visible at once."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError, Refused
from optimove_provider.disk.room import keeping
from optimove_provider.loads.progress import Progress
from optimove_provider.loads.report.bookkeeping import keep_account, told_after
from optimove_provider.loads.report.max_rejected import NOTHING_SENT, check_max_rejected, count, judge
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import request_doubt
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.read.values import is_unicode, python_values
from optimove_provider.records.rejected_lines import REJECTED_ENDING, Marker, marked, rejected_line

log = logging.getLogger(__name__)
MAX_RECORDS = 5000
"""One request each: what is longer belongs in a file, and in an import."""
MAX_NOTES = 20
Record = Mapping[str, Any]
ODD = (ValueError, OverflowError, TypeError, RecursionError)
"""What preparing one record may raise of which nobody has thought: that record is unfit, the others are not."""
T = TypeVar("T")

OnDoubt = Callable[[str], None]
"""Takes a remark about the record that is being prepared."""

MaySend = Callable[[], None]
"""Raises where nothing may be sent any more."""

Send = Callable[[T, MaySend], None]
"""Sends a record, and asks before each request, as the same is sent again after a wait that may be long."""

Prepare = Callable[[Record, OnDoubt], T]
"""Makes what is sent of a record. Raises UnfitRecord where nothing must be."""

Prepared = tuple[int, Record, T]
"""A record with its number, from 1, and what is sent of it."""


@dataclass(frozen=True, slots=True)
class Turn(Generic[T]):
    """What of a load may be sent now. `check` is asked before each request, and raises where that holds no more."""

    records: Sequence[Prepared[T]]
    check: MaySend = lambda: None


TakeTurn = Callable[[Sequence[Prepared[T]], Sequence[Record]], AbstractContextManager[Turn[T]]]
"""Takes what is fit to be sent, and the records that are not; what of the fit is left out is stale. Raises TargetBusy.
"""


def no_turn(fit: Sequence[Prepared[T]], unfit: Sequence[Record] = ()) -> AbstractContextManager[Turn[T]]:
    """For what no ledger is about: everything may be sent, at any time."""
    return nullcontext(Turn(fit))


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that was not accepted: by us, with status None, or by the vendor."""

    row: int
    reason: str
    status: int | None
    record: Record = field(repr=False)

    def as_line(self) -> bytes:
        """One line of a rejected file."""
        return rejected_line(self.row, self.reason, self.status, _as_text(self.record))


def _as_text(record: Any) -> str:
    """A record as JSON, however odd it is; what JSON has no form for is told by its type."""
    try:
        text = json.dumps(record, ensure_ascii=False, default=str)
        return text if is_unicode(text) else json.dumps(record, default=str)
    except (ValueError, TypeError, RecursionError):
        return json.dumps({"unwritable": type(record).__name__})


class UnfitRecord(DataError):
    """A record or a value that must not be sent; the text says why."""


def records_of(batches: Iterable[pa.RecordBatch]) -> list[Record]:
    """The rows of a source as mappings. Raises DataError if there are more than 5000."""
    records: list[Record] = []
    for batch in batches:
        columns = [python_values(column) for column in batch.columns]
        records += [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
        check_size(records)
    return records


def check_size(records: Sequence[Record]) -> None:
    """Raise DataError if there are more than 5000 records, or something else than a list of them."""
    if isinstance(records, str | bytes | Mapping) or not isinstance(records, Sequence):
        raise DataError(f"a {type(records).__name__} is no list of records: expected a list of mappings, one for each")
    if len(records) > MAX_RECORDS:
        raise DataError(f"more than {MAX_RECORDS} records: import a file with DcpS3ImportOperator instead")


@dataclass(frozen=True, slots=True)
class RestLoad:
    """One request a record. What is refused is kept aside with its reason, and the others go on.

    `max_rejected` is a number of records, or a share of them if it is below 1. `taken` is the instant at which the
    records were taken from where they come, None for now; `generation` the one that they stand for, if that is earlier.
    `now` is the time as the target's ledger has it, None where this worker's clock has to do.
    """

    staging: Staging
    report: Report
    max_rejected: float = 0
    taken: datetime | None = None
    generation: datetime | None = None
    now: InitVar[datetime | None] = None

    def __post_init__(self, now: datetime | None) -> None:
        check_max_rejected(self.max_rejected)
        now = now or self.staging.surroundings.now()
        object.__setattr__(self, "taken", min(self.taken or now, now))

    def run(
        self,
        records: Sequence[Record],
        prepare: Prepare[T],
        send: Send[T],
        take_turn: TakeTurn[T] = no_turn,
    ) -> None:
        """Prepare all records, then send those that are fit, when it is their turn.

        Raises TooManyRejected before anything is sent if too many are unfit, and at the end if too many were rejected.
        Anything but a refusal stops the load: what is not sent counts as unsent. Raises TargetBusy as `take_turn` does.
        """
        check_size(records)
        report, rejected, begun = self.report, list[Rejected](), set[int]()
        report.rows = len(records)
        with keep_account(report, self.staging, sends_again=True, in_doubt=request_doubt(lambda: bool(begun))):
            try:
                fit = list(self._prepared(records, prepare, rejected))
                self._judge(rejected, NOTHING_SENT)
                with take_turn(fit, [one.record for one in rejected]) as turn:
                    report.stale = len(fit) - len(turn.records)
                    self._send(turn, send, rejected, begun)
                with told_after(report, sends_again=True):
                    self._write_rejected(rejected)
                self._judge(rejected, "Everything else was accepted")
                report.state = "committed" if report.accepted else "nothing_to_send"
            except BaseException as error:
                with keeping(error, "to write the rejected records"):
                    self._write_rejected(rejected)
                raise

    def _prepared(
        self, records: Sequence[Record], prepare: Prepare[T], rejected: list[Rejected]
    ) -> Iterator[Prepared[T]]:
        for row, record in enumerate(records, 1):
            try:
                yield row, record, prepare(record, partial(self._note, row))
            except (UnfitRecord, *ODD) as error:
                rejected.append(Rejected(row, str(error), None, record))

    def _note(self, row: int, doubt: str) -> None:
        if len(self.report.notes) < MAX_NOTES:
            log.warning("row %d: %s", row, doubt)
            self.report.notes.append(f"row {row}: {doubt}")

    def _send(self, turn: Turn[T], send: Send[T], rejected: list[Rejected], begun: set[int]) -> None:
        progress = Progress(self.staging.surroundings.monotonic)
        for row, record, prepared in turn.records:
            turn.check()
            begun.add(row)
            try:
                send(prepared, turn.check)
                self.report.accepted += 1
            except Refused as error:
                rejected.append(Rejected(row, error.text or str(error), error.status, record))
            if progress.due():
                log.info("%d of %d records sent, %d rejected", row, len(turn.records), len(rejected))

    @property
    def age(self) -> Age:
        """How old the records are."""
        assert self.taken  # noqa: S101 - set when this was made
        return Age.of(self.taken, self.generation)

    @property
    def _marker(self) -> Marker:
        return Marker(self.report.load_id, self.age.generation, self.age.opened)

    def _judge(self, rejected: Sequence[Rejected], otherwise: str) -> None:
        self._write_rejected(rejected)
        judge(self.report, self.max_rejected, otherwise)

    def _write_rejected(self, rejected: Sequence[Rejected]) -> None:
        report = self.report
        if len(rejected) == report.rejected:
            return  # written already, or nothing to write
        path = f"reports/{report.load_id}{REJECTED_ENDING}"
        with self.staging.open_new(path) as out:
            out.writelines(marked(one.as_line(), self._marker) for one in rejected)
        report.rejected, report.rejected_file = len(rejected), self.staging.url(path)
        report.reasons, report.examples = {}, []
        for one in rejected:
            count(report, one.row, one.reason)
