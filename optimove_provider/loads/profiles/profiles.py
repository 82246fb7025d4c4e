"""Profiles over REST, for small sets: written one request each, and read back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.contract.cells.datatypes import KEY_COLUMN, Attribute, Verdict, is_key_column
from optimove_provider.contract.cells.ids import is_empty_id
from optimove_provider.contract.cells.registered import Registered, problems, usable
from optimove_provider.contract.cells.values import JsonValue, comparable, json_value
from optimove_provider.contract.dcp.config import Table, service_of
from optimove_provider.contract.dcp.profiles import UNADDRESSABLE
from optimove_provider.contract.wire.errors import ApiError, DataError, SettingsError, UnreadableAnswer
from optimove_provider.contract.wire.outside import cut
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.loads.profiles.profile_turn import profile_turn
from optimove_provider.loads.profiles.rest_load import MaySend, OnDoubt, Record, RestLoad, UnfitRecord
from optimove_provider.records.read.values import forms_of, is_unicode, shown_value
from optimove_provider.records.to_csv.columns import is_id


def customer_id(record: Record) -> str:
    """The record's customerId, in any case, as text. Raises UnfitRecord."""
    if not isinstance(record, Mapping):
        raise UnfitRecord(f"a mapping of attributes is expected, not a {type(record).__name__}")
    names: list[Any] = list(record)
    if odd := [name for name in names if not isinstance(name, str)]:
        raise UnfitRecord(f"{odd[0]!r} is no name of an attribute: text is expected")
    keys = [name for name in record if is_key_column(name)]
    if len(keys) != 1:
        raise UnfitRecord(f"expected one {KEY_COLUMN}, found {len(keys)}")
    return checked_id(KEY_COLUMN, record[keys[0]])


def checked_id(name: str, value: Any) -> str:
    """An id as text, fit for a URL; `name` is what errors call it. A whole number is one too. Raises UnfitRecord."""
    if isinstance(value, str) and not is_unicode(value):
        raise UnfitRecord(f"{name} {value!r:.200} has half a character, which no URL can carry: mend it in the source")
    forms = forms_of(value) if isinstance(value, str | int | float | Decimal | np.number) else None
    if forms and forms.no_id:
        raise UnfitRecord(
            f"{name} {shown_value(value)}: a float from 2^53 on may be another id: give an integer or a text"
        )
    text = "" if isinstance(value, bool) or not forms or forms.no_cell else str(forms.cell)
    if is_empty_id(text) or (not isinstance(value, str) and not text.lstrip("-").isdecimal()):
        raise UnfitRecord(f"{name} {shown_value(value)}: text that is not empty is expected, or a whole number")
    if text in UNADDRESSABLE:
        raise UnfitRecord(f"{name} {value!r} cannot be part of a URL: import it with a file")
    return text


@dataclass(frozen=True, slots=True)
class ProfileEncoder:
    """Values of records as a table's attributes want them. What the vendor disputes, such as an epoch in another unit,
    is an error if `strict`.
    """

    attributes: Mapping[str, Attribute]
    strict: bool = False
    problems: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def to(cls, attributes: Sequence[Registered], strict: bool = False) -> "ProfileEncoder":
        """The encoder for a table with these attributes."""
        live = {one.name: one for one in usable(attributes) if not one.archived}
        return cls(live, strict, problems(attributes))

    def encode(self, record: Record, on_doubt: OnDoubt) -> dict[str, JsonValue]:
        """The record's values as JSON carries them; null and empty text write nothing, like an empty cell.

        A value is judged as the cell that it would be in a CSV file; `on_doubt` takes the doubtful ones.
        Raises UnfitRecord.
        """
        found = {}
        for name, value in record.items():
            if is_key_column(name):
                continue
            attribute = self.attributes.get(name)
            if name in self.problems:
                raise UnfitRecord(f"leave {name!r} out: {self.problems[name]}")
            if attribute is None:
                raise UnfitRecord(f"attribute {name!r} is not registered, or archived: register it, or leave it out")
            if cell := _cell(attribute, value):
                self._judge(attribute, cell, on_doubt)
                found[name] = json_value(attribute, cell)
        return found

    def _judge(self, attribute: Attribute, cell: str, on_doubt: OnDoubt) -> None:
        rule, place = attribute.rule, f"attribute {attribute.name!r}, value {cell!r:.200}"
        verdict = rule.judge(cell, self.strict)
        if verdict is Verdict.INVALID:
            doubt = f" ({rule.doubt_about(cell)})" if rule.judge(cell) is Verdict.DISPUTED else ""
            raise UnfitRecord(f"{place}: expected {rule.expects}{doubt}")
        if verdict is not Verdict.VALID:
            on_doubt(f"{place}: {rule.doubt_about(cell)}")


_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def _cell(attribute: Attribute, value: Any) -> str:
    """The cell that a value would have in a CSV file, by the same rules; empty for None. Raises UnfitRecord."""
    forms = forms_of(value)
    if forms is None:
        return ""
    if reason := forms.no_cell or (forms.no_id if is_id(attribute) else None):
        raise UnfitRecord(f"attribute {attribute.name!r}, value {shown_value(value)}: {reason}")
    return str(forms.cell if forms.instant is None else _in_form(attribute, forms.instant, str(forms.cell)))


def _in_form(attribute: Attribute, instant: datetime, cell: str) -> str:
    """An instant in UTC as the attribute's format has it, where that says it exactly; or else its cell."""
    if attribute.format == "epoch":
        unit = timedelta(milliseconds=1) if attribute.epoch_unit == "milliseconds" else timedelta(seconds=1)
        number, rest = divmod(instant.replace(tzinfo=UTC) - _1970, unit)
        return cell if rest else str(number)
    midnight = attribute.format == "yyyy-mm-dd" and instant.time() == datetime.min.time()
    return instant.date().isoformat() if midnight else cell


def write_profiles(
    client: DcpClient, table: Table, records: Sequence[Record], encoder: ProfileEncoder, load: RestLoad
) -> None:
    """Write one profile a record: {"customerId": ..., attribute: value, ...}. Attributes that it lacks stay.

    What the table's ledger has newer is left out, as stale; it learns which customers are written. Raises TargetBusy
    while another load works on the table.
    """
    service_id, settings = service_of(table), client.settings
    ledger = ledger_of(load.staging, "dcp", settings.host, str(table.id), settings.target_alias)

    def prepare(record: Record, on_doubt: OnDoubt) -> tuple[str, dict[str, JsonValue]]:
        return customer_id(record), encoder.encode(record, on_doubt)

    def about(record: Record) -> tuple[str, set[str]]:
        return customer_id(record), encoder.attributes.keys() & record.keys()

    def send(profile: tuple[str, dict[str, JsonValue]], may_send: MaySend) -> None:
        client.write_profile(service_id, table.id, *profile, may_send)

    load.run(records, prepare, send, profile_turn(ledger, load, about, client.in_doubt_for))


def create_aliases(client: DcpClient, service_id: int, records: Sequence[Record], load: RestLoad) -> None:
    """Create the aliases of one Optimizely user a record, which is
    {"optimizely_user_id": ..., "aliases": [{"table_id": ..., "customer_id": ...}, ...]}.

    They are no values of a profile, so no table's ledger is concerned. Raises DataError if the service has no
    Optimizely table, or several.
    """
    tables = client.list_tables(service_id)
    optimizely = [table.id for table in tables if table.is_optimizely and not table.archived]
    if len(optimizely) != 1:
        raise DataError(
            f"service {service_id}: aliases need its one Optimizely table; {len(optimizely)} are listed: check "
            "service_id"
        )
    known = {str(table.id) for table in tables if not table.archived}

    def prepare(record: Record, _: OnDoubt) -> tuple[str, dict[str, str]]:
        if not isinstance(record, Mapping):
            raise UnfitRecord(
                f"a mapping with optimizely_user_id and aliases is expected, not a {type(record).__name__}"
            )
        return checked_id("optimizely_user_id", record.get("optimizely_user_id")), _aliases(record, known)

    def send(aliases: tuple[str, dict[str, str]], _: MaySend) -> None:
        client.create_aliases(service_id, optimizely[0], *aliases)

    load.run(records, prepare, send)


def _aliases(record: Record, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    given = record.get("aliases") or []
    if not isinstance(given, list | tuple) or not all(isinstance(one, Mapping) for one in given):
        raise UnfitRecord("aliases: a list of mappings with table_id and customer_id is expected")
    for alias in given:
        table_id = str(alias.get("table_id"))
        if table_id not in known or table_id in found:
            raise UnfitRecord(
                f"table_id {table_id!r} is named twice, archived, or no table of the service: check the aliases"
            )
        found[table_id] = checked_id("customer_id", alias.get("customer_id"))
    if not found:
        raise UnfitRecord("aliases: at least one table_id with a customer_id is expected")
    return found


def missing_values(client: DcpClient, table_id: int, expected: Mapping[str, Record]) -> Iterator[str]:
    """Read profiles back; one sentence for each that is not there, or holds other values than those expected."""
    service_id = service_of(client.read_table(table_id))
    registered = client.list_attributes(table_id)
    attributes, unusable = {one.name: one for one in usable(registered)}, problems(registered)
    for customer, values in expected.items():
        if odd := [unusable[name] for name in values if name in unusable]:
            raise SettingsError(
                f"table {table_id} has attributes that cannot be compared, leave them out: {'; '.join(odd)}"
            )
        if unknown := [name for name in values if name not in attributes]:
            raise SettingsError(
                f"table {table_id} has no attribute {', '.join(map(repr, unknown))}: check the names, or register them"
            )
        profile = _read(client, service_id, table_id, customer)
        if profile is None:
            yield f"customer {customer!r} has no profile yet"
        elif other := [name for name, value in values.items() if not _same(attributes[name], value, profile.get(name))]:
            yield f"customer {customer!r} has other values of {', '.join(map(repr, other))}"


def _read(client: DcpClient, service_id: int, table_id: int, customer: str) -> dict[str, Any] | None:
    """A profile; an error says whose it is."""
    try:
        return client.read_profile(service_id, table_id, customer)
    except (ApiError, UnreadableAnswer) as error:
        error.args = (cut(f"the profile of customer {customer!r:.200} cannot be read: {error}"),)
        raise


def _same(attribute: Attribute, expected: Any, found: Any) -> bool:
    return comparable(attribute, _cell(attribute, expected)) == comparable(attribute, found)
