"""Profiles over REST, for small sets: written one request each, and read back."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pyarrow as pa

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.contract.datatypes import KEY_COLUMN, Attribute, Verdict, is_key_column
from optimove_provider.contract.errors import DataError, Refused, SettingsError
from optimove_provider.contract.profiles import UNADDRESSABLE
from optimove_provider.contract.values import JsonValue, comparable, json_value
from optimove_provider.loads.accounting import accounted
from optimove_provider.loads.progress import Progress
from optimove_provider.loads.rejects import check_max_rejected, count, judge
from optimove_provider.loads.report import Report
from optimove_provider.loads.staging import Staging
from optimove_provider.records.cells import csv_value
from optimove_provider.records.jsonlines import rejected_line

log = logging.getLogger(__name__)

MAX_RECORDS = 5000
"""One request each: what is longer belongs in a file, and in an import."""
MAX_NOTES = 20

Record = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that was not accepted: by us, with status None, or by the vendor."""

    row: int
    reason: str
    status: int | None
    record: Record = field(repr=False)

    def as_line(self) -> bytes:
        """One line of a rejected file."""
        record = json.dumps(self.record, ensure_ascii=False, default=str)
        return rejected_line(self.row, self.reason, self.status, record)


class Unfit(DataError):
    """A record or a value that must not be sent; the text says why."""


def customer_id(record: Record) -> str:
    """The record's customerId, in any case, as text. Raises Unfit."""
    keys = [name for name in record if is_key_column(name)]
    if len(keys) != 1:
        raise Unfit(f"expected one {KEY_COLUMN}, found {len(keys)}")
    return checked_id(KEY_COLUMN, record[keys[0]])


def checked_id(name: str, value: Any) -> str:
    """An id as text, fit for a URL; `name` is what errors call it. Raises Unfit."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise Unfit(f"{name} {value!r:.200}: text that is not empty is expected")
    if str(value) in UNADDRESSABLE:
        raise Unfit(f"{name} {value!r} cannot be part of a URL: import it with a file")
    return str(value)


@dataclass(frozen=True, slots=True)
class Writing:
    """How values are judged. What the vendor disputes, such as an epoch in another unit, is an error if `strict`."""

    attributes: Mapping[str, Attribute]
    strict: bool = False

    @classmethod
    def to(cls, attributes: Sequence[Attribute], strict: bool = False) -> "Writing":
        """Judge by a table's attributes."""
        return cls({one.name: one for one in attributes if not one.archived}, strict)

    def data(self, record: Record, doubts: list[str]) -> dict[str, JsonValue]:
        """The record's values as JSON carries them; null and empty text write nothing, like an empty cell.

        A value is judged as the cell that it would be in a CSV file. Adds doubtful ones to `doubts`. Raises Unfit.
        """
        found = {}
        for name, value in record.items():
            if is_key_column(name):
                continue
            attribute = self.attributes.get(name)
            if attribute is None:
                raise Unfit(f"attribute {name!r} is not registered, or archived")
            if cell := _cell(name, _in_form(attribute, value)):
                self._judge(attribute, cell, doubts)
                found[name] = json_value(attribute, cell)
        return found

    def _judge(self, attribute: Attribute, cell: str, doubts: list[str]) -> None:
        rule, told = attribute.rule, f"attribute {attribute.name!r}, value {cell!r:.200}"
        verdict = rule.judge(cell, self.strict)
        if verdict is Verdict.INVALID:
            doubt = f" ({rule.doubt})" if rule.judge(cell) is Verdict.DISPUTED else ""
            raise Unfit(f"{told}: expected {rule.expects}{doubt}")
        if verdict is Verdict.DISPUTED:
            doubts.append(f"{told}: {rule.doubt}")


_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def _in_form(attribute: Attribute, value: Any) -> Any:
    """An instant as the attribute's format has it, where that says it exactly; every other value as it is."""
    if not isinstance(value, datetime):
        return value
    utc = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if attribute.format == "epoch":
        unit = timedelta(milliseconds=1) if attribute.epoch_unit == "milliseconds" else timedelta(seconds=1)
        number, rest = divmod(utc - _1970, unit)
        return value if rest else number
    midnight = attribute.format == "yyyy-mm-dd" and utc.time() == datetime.min.time()
    return utc.date() if midnight else value


def _cell(name: str, value: Any) -> str:
    try:
        return csv_value(value)
    except ValueError as error:
        raise Unfit(f"attribute {name!r}, value {value!r:.200}: {error}") from None


def records_of(batches: Iterable[pa.RecordBatch]) -> list[Record]:
    """The rows of a source as mappings. Raises DataError if there are more than 5000."""
    records: list[Record] = []
    for batch in batches:
        records += batch.to_pylist()
        check_size(records)
    return records


def check_size(records: Sequence[Record]) -> None:
    """Raise DataError if there are more than 5000 records."""
    if len(records) > MAX_RECORDS:
        raise DataError(f"more than {MAX_RECORDS} records: import a file with DcpS3ImportOperator instead")


@dataclass(frozen=True, slots=True)
class SmallLoad:
    """One request a record. What is refused is kept aside with its reason, and the others go on.

    `max_rejected` is a number of records, or a share of them if it is below 1.
    """

    staging: Staging
    report: Report
    max_rejected: float = 0

    def __post_init__(self) -> None:
        check_max_rejected(self.max_rejected)

    def run(
        self, records: Sequence[Record], prepare: Callable[[Record, list[str]], T], send: Callable[[T], None]
    ) -> None:
        """Prepare all records, then send those that are fit; `prepare` raises Unfit, and tells what it doubts.

        Raises TooManyRejected before anything is sent if too many are unfit, and at the end if too many were rejected.
        Anything but a refusal stops the load: what is not sent counts as unsent.
        """
        check_size(records)
        report, rejected = self.report, list[Rejected]()
        report.rows = len(records)
        with accounted(report):
            try:
                fit = list(self._fit(records, prepare, rejected))
                self._judge(rejected, "Nothing was sent")
                self._send(fit, send, rejected)
                self._judge(rejected, "Everything else was accepted")
                report.state = "committed" if report.accepted else "nothing_to_send"
            finally:
                self._keep(rejected)

    def _fit(
        self, records: Sequence[Record], prepare: Callable[[Record, list[str]], T], rejected: list[Rejected]
    ) -> Iterator[tuple[int, Record, T]]:
        for row, record in enumerate(records, 1):
            doubts: list[str] = []
            try:
                yield row, record, prepare(record, doubts)
            except Unfit as error:
                rejected.append(Rejected(row, str(error), None, record))
            self._note(row, doubts)

    def _note(self, row: int, doubts: Sequence[str]) -> None:
        notes = self.report.notes
        for doubt in doubts[: MAX_NOTES - len(notes)]:
            log.warning("row %d: %s", row, doubt)
            notes.append(f"row {row}: {doubt}")

    def _send(self, fit: Sequence[tuple[int, Record, T]], send: Callable[[T], None], rejected: list[Rejected]) -> None:
        progress = Progress()
        for row, record, prepared in fit:
            try:
                send(prepared)
                self.report.accepted += 1
            except Refused as error:
                rejected.append(Rejected(row, error.text or str(error), error.status, record))
            if progress.due():
                log.info("%d of %d records sent, %d rejected", row, len(fit), len(rejected))

    def _judge(self, rejected: Sequence[Rejected], otherwise: str) -> None:
        self._keep(rejected)
        judge(self.report, self.max_rejected, otherwise)

    def _keep(self, rejected: Sequence[Rejected]) -> None:
        report = self.report
        if len(rejected) == report.rejected:
            return  # written already, or nothing to write
        path = f"reports/{report.load_id}.rejected.jsonl"
        with self.staging.open_new(path) as out:
            out.writelines(one.as_line() for one in rejected)
        report.rejected, report.rejected_file = len(rejected), self.staging.url(path)
        report.reasons, report.examples = {}, []
        for one in rejected:
            count(report, one.row, one.reason)


def write_profiles(
    client: DcpClient, table_id: int, records: Sequence[Record], writing: Writing, load: SmallLoad
) -> None:
    """Write one profile a record: {"customerId": ..., attribute: value, ...}. Attributes that it lacks stay."""
    service_id = client.read_table(table_id).service_id

    def prepare(record: Record, doubts: list[str]) -> tuple[str, dict[str, JsonValue]]:
        return customer_id(record), writing.data(record, doubts)

    def send(profile: tuple[str, dict[str, JsonValue]]) -> None:
        client.write_profile(service_id, table_id, *profile)

    load.run(records, prepare, send)


def create_aliases(client: DcpClient, service_id: int, records: Sequence[Record], load: SmallLoad) -> None:
    """Create the aliases of one Optimizely user a record, which is
    {"optimizely_user_id": ..., "aliases": [{"table_id": ..., "customer_id": ...}, ...]}.

    Raises DataError if the service has no Optimizely table, or several.
    """
    tables = client.list_tables(service_id)
    optimizely = [table.id for table in tables if table.is_optimizely]
    if len(optimizely) != 1:
        raise DataError(f"service {service_id}: aliases need its one Optimizely table; {len(optimizely)} are listed")
    known = {str(table.id) for table in tables if not table.archived}

    def prepare(record: Record, doubts: list[str]) -> tuple[str, dict[str, str]]:
        return checked_id("optimizely_user_id", record.get("optimizely_user_id")), _aliases(record, known)

    def send(aliases: tuple[str, dict[str, str]]) -> None:
        client.create_aliases(service_id, optimizely[0], *aliases)

    load.run(records, prepare, send)


def _aliases(record: Record, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for alias in record.get("aliases") or ():
        table_id = str(alias.get("table_id"))
        if table_id not in known or table_id in found:
            raise Unfit(f"table_id {table_id!r} is named twice, or is no table of the service")
        found[table_id] = checked_id("customer_id", alias.get("customer_id"))
    if not found:
        raise Unfit("aliases: at least one table_id with a customer_id is expected")
    return found


def missing_values(client: DcpClient, table_id: int, wanted: Mapping[str, Record]) -> Iterator[str]:
    """Read profiles back; one sentence for each that is not there, or holds other values than those wanted."""
    service_id = client.read_table(table_id).service_id
    attributes = {one.name: one for one in client.list_attributes(table_id)}
    for customer, values in wanted.items():
        if unknown := [name for name in values if name not in attributes]:
            raise SettingsError(f"table {table_id} has no attribute {', '.join(map(repr, unknown))}")
        profile = client.read_profile(service_id, table_id, customer)
        if profile is None:
            yield f"customer {customer!r} has no profile yet"
        elif other := [name for name, value in values.items() if not _same(attributes[name], value, profile.get(name))]:
            yield f"customer {customer!r} has other values of {', '.join(map(repr, other))}"


def _same(attribute: Attribute, wanted: Any, found: Any) -> bool:
    return comparable(attribute, _cell(attribute.name, wanted)) == comparable(attribute, found)
