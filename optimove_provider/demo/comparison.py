"""Is what the two stores hold what the warehouse says? Compared value by value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimove_provider.demo.warehouse import profiles

TARGET = "CDNOW customers"  # the name of the Opti-X data connection and of the DCP table
KEY = "customerId"
FIELDS = ("orders", "cds", "lifetime_value", "first_order", "last_order")

# Customer -> field -> value.
Values = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Difference:
    """One value that is not what it should be; None where there is no value."""

    store: str
    customer: str
    field: str
    warehouse: Any
    held: Any

    def __str__(self) -> str:
        return (
            f"{self.store}, customer {self.customer}, {self.field}: "
            f"{self.warehouse!r} in the warehouse, {self.held!r} in the store"
        )


def differences(database: Path, state: Mapping[str, Any]) -> Iterator[Difference]:
    """All values in which the emulator's state (the JSON of `/_emulator/state`) differs from the warehouse."""
    wanted = {customer: dict(zip(FIELDS, values, strict=True)) for customer, *values in profiles(database)}
    with_key = {customer: {KEY: customer, **values} for customer, values in wanted.items()}
    yield from _compare("Opti-X", with_key, in_optix(state))
    yield from _compare("DCP", wanted, in_dcp(state))


def in_optix(state: Mapping[str, Any]) -> Values:
    """The records that are visible in the data connection; empty if there is none of that name."""
    return {
        customer: record["data"]
        for connection in state["connections"]
        if connection["name"] == TARGET
        for customer, record in connection["records"].items()
    }


def in_dcp(state: Mapping[str, Any]) -> Values:
    """The profiles in the table; empty if there is none of that name."""
    return {
        customer: values
        for table in state["tables"]
        if table["name"] == TARGET
        for customer, values in table["profiles"].items()
    }


def _compare(store: str, wanted: Values, held: Values) -> Iterator[Difference]:
    for customer in sorted(wanted.keys() | held.keys()):
        right, found = wanted.get(customer, {}), held.get(customer, {})
        for field in sorted(right.keys() | found.keys()):
            if right.get(field) != found.get(field):
                yield Difference(store, customer, field, right.get(field), found.get(field))
