"""Values of profiles as JSON, as they are written and read: documented for numbers and text only. No I/O here."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from optimove_provider.contract.cells.datatypes import Attribute, Verdict
from optimove_provider.contract.cells.values import json_value
from optimove_provider.emulator.model.dcp import CellValue, Table
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.replies import Refusal


def written_value(table: Table, name: str, value: Any, switches: Switches) -> CellValue:
    """A value of a write as it is stored. Raises Refusal."""
    registered = table.attributes.get(name)
    if registered is None or registered.attribute.archived:
        raise Refusal(400, f"attribute {name!r} is not registered")
    attribute = registered.attribute
    cell = _cell(attribute, value, switches)
    if cell is None or attribute.rule.judge(cell) is Verdict.INVALID:
        raise Refusal(400, f"attribute {name!r}: {attribute.kind} is expected")
    return json_value(attribute, cell)


def _cell(attribute: Attribute, value: Any, switches: Switches) -> str | None:
    """The value as a CSV cell; None for JSON of another type. Guess: numbers and booleans are no strings, nor null."""
    if attribute.datatype == "bool":
        return ("false", "true")[value] if isinstance(value, bool) else None
    kind = _kind(attribute, switches)
    return str(value) if isinstance(value, kind) and not isinstance(value, bool) else None


def _kind(attribute: Attribute, switches: Switches) -> type | tuple[type, ...]:
    if attribute.format == "epoch":
        return int if switches.write_epochs == "number" else str
    if attribute.datatype == "double":
        return (int, float)
    return int if attribute.datatype == "long" else str


def shown_values(table: Table, profile: Mapping[str, CellValue], switches: Switches) -> dict[str, CellValue]:
    """The values of a profile as they are read.

    "Once an attribute is archived, you can no longer update or read" its values (REST reference, dcpattributes/4).
    """
    live = {name: one.attribute for name, one in table.attributes.items() if not one.attribute.archived}
    return {name: _shown(live[name], value, switches) for name, value in profile.items() if name in live}


def _shown(attribute: Attribute, value: CellValue, switches: Switches) -> CellValue:
    if attribute.datatype == "datetime" and switches.read_dates != "as_written":
        value = _FORMS[switches.read_dates](_instant(attribute, value, switches))
    if isinstance(value, str) or switches.read_values == "typed":
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _instant(attribute: Attribute, value: CellValue, switches: Switches) -> datetime:
    if attribute.format == "epoch":
        return datetime.fromtimestamp(float(value) / (1000 if switches.epoch_unit == "milliseconds" else 1), UTC)
    found = datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


_FORMS: Mapping[str, Callable[[datetime], CellValue]] = {
    "iso": lambda instant: instant.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "seconds": lambda instant: int(instant.timestamp()),
    "milliseconds": lambda instant: int(instant.timestamp() * 1000),
}
