"""Cells that are right by the contract's rules, and of which the guide says two things, or nothing. No I/O here."""

from collections.abc import Callable, Mapping

from optimove_provider.contract.cells.datatypes import Attribute, Verdict
from optimove_provider.emulator.model.switches import Switches


class Dropped(Exception):
    """The row of this cell is left out without a word."""


def is_refused(attribute: Attribute, cell: str, switches: Switches) -> bool:
    """Whether the importer takes a cell for none of the attribute's datatype. Raises Dropped."""
    rule = attribute.rule
    if rule.judge(cell) is Verdict.INVALID:
        return True
    doubt = _DOUBTS.get(rule.name)
    return doubt is not None and doubt(cell, switches)


def _bool(cell: str, switches: Switches) -> bool:
    return cell not in ("true", "false") and switches.bool_case == "lower"


def _double(cell: str, switches: Switches) -> bool:
    if "e" not in cell.lower():
        return False
    if switches.exponents == "drop_row":
        raise Dropped
    return switches.exponents == "refuse"


def _long(cell: str, switches: Switches) -> bool:
    return int(cell) == -(2**63) and switches.long_minimum == "refuse"


def _datetime(cell: str, switches: Switches) -> bool:
    return not cell.endswith("Z") and switches.missing_z == "refuse"


def _epoch(cell: str, switches: Switches) -> bool:
    return int(cell) == 0 and switches.epoch_zero == "refuse"


_DOUBTS: Mapping[str, Callable[[str, Switches], bool]] = {
    "bool": _bool,
    "double": _double,
    "long": _long,
    "datetime": _datetime,
    "epoch": _epoch,
}
"""By the name of the contract's rule."""
