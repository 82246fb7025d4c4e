"""Rows of a table in the matrix, and a file with all that is right by some of the vendor's words."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from optimove_provider.contract.cells.datatypes import Attribute

Row = Mapping[str, Any]

ATTRIBUTES = (
    Attribute("ltv", "double"),
    Attribute("visits", "long"),
    Attribute("vip", "bool"),
    Attribute("since", "datetime", "epoch"),
    Attribute("seen", "datetime", "yyyy-mm-ddThh:mm:ssZ"),
    Attribute("born", "datetime", "yyyy-mm-dd"),
    Attribute("note", "string"),
)

ODD_FILE = [
    "\ufeffcustomerId,ltv,visits,vip,since,seen,note",
    '1,1e5,-9223372036854775808,TRUE,0,1999-01-01T00:00:00,"a ""b"", c"',
    "2,2.5,2,false,1651676123,2022-05-02T10:10:59Z,",
    "1,3.5,3,False,1651676124,2022-05-02T10:10:59Z,x",
]
ODD_VALUES: Mapping[str, Row] = {
    "1": {
        "ltv": 3.5,
        "visits": 3,
        "vip": False,
        "since": 1651676124,
        "seen": "2022-05-02T10:10:59Z",
        "note": "x",
    },
    "2": {"ltv": 2.5, "visits": 2, "vip": False, "since": 1651676123, "seen": "2022-05-02T10:10:59Z"},
}
"""What it says of each customer in the last row."""
ODD_EARLIER: dict[str, dict[str, Any]] = {
    "1": {
        "ltv": 1e5,
        "visits": -(2**63),
        "vip": True,
        "since": 0,
        "seen": "1999-01-01T00:00:00",
        "note": 'a "b", c',
    }
}
"""The same in an earlier row."""


def row(customer: str, number: int, **changed: Any) -> dict[str, Any]:
    """A row with a value of each datatype."""
    seen = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=number)
    values = {"ltv": number + 0.5, "visits": number, "vip": number % 2 == 0, "since": seen, "seen": seen}
    return {"customerId": customer, **values, "born": date(1990, 1, 1 + number), "note": f"n{number}", **changed}


def values_of(record: Row) -> dict[str, Any]:
    """What a row says of its customer."""
    return {name: value for name, value in record.items() if name != "customerId"}
