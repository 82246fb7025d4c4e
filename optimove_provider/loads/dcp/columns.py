"""The columns of the loads that a table's ledger is about: its one age for a row is true of those columns only."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from optimove_provider.contract.cells.datatypes import is_key_column
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.plan.columns import difference
from optimove_provider.loads.state.age import Age

COLUMNS_FILE = "columns.json"
_Columns = frozenset[str]
_Newest = Mapping[_Columns, Age]
_INSTEAD = (
    'Load all columns together; or these rows with mode="full" and overwrite_newer=True, which writes their own '
    "columns, and no others"
)


class OtherColumns(DataError):
    """A load has columns that newer loads of its table do not have, so their age says nothing of its values."""


class TableColumns:
    """The record beside a table's ledger, `columns.json`: each set of columns that was loaded, and the attributes that
    were written as profiles, each with the newest age of it. Whoever writes it has the lease."""

    def __init__(self, ledger: Ledger) -> None:
        self._staging = ledger.staging
        self._path = f"{ledger.manifest_file.folder}/{COLUMNS_FILE}"

    def write(self, columns: Sequence[str], age: Age) -> None:
        """Remember a load with these columns, its key among them: before anything of it is visible."""
        loads, own = self._loads(), attributes_of(columns)
        self._write({**loads, own: _later(age, loads.get(own))}, self._profiles())

    def write_profiles(self, names: Collection[str], age: Age) -> None:
        """Remember that attributes of these names were written as profiles."""
        profiles = self._profiles()
        before = next(iter(profiles), frozenset[str]())
        newest = _later(age, profiles.get(before))
        self._write(self._loads(), {before.union(names): newest})

    def concern(self, names: Collection[str]) -> bool:
        """Whether attributes of these names are in any load; while there is no load, all of them count."""
        loads = self._loads()
        return not loads or any(not some.isdisjoint(names) for some in loads)

    def beside(self, names: Collection[str]) -> frozenset[str]:
        """Those of these names that no load has."""
        return frozenset(names).difference(*self._loads())

    def newest(self, age: Age) -> Age:
        """The newest age of all, this one included."""
        return max([age, *self._loads().values(), *self._profiles().values()])

    def newer_overlap(self, columns: Collection[str], age: Age) -> bool:
        """Whether any of these columns was loaded, or written as a profile, with an age that is no older."""
        own, known = attributes_of(columns), [*self._loads().items(), *self._profiles().items()]
        return any(newest >= age and not own.isdisjoint(some) for some, newest in known)

    def check_stale(self, columns: Collection[str], age: Age, stale: int, instead: str = _INSTEAD) -> None:
        """Raise OtherColumns if rows are to be left out as stale, and a newer load lacks some of their columns.

        `instead` says what to do.
        """
        own = attributes_of(columns)
        lacking = [some for some, newest in self._loads().items() if newest >= age and not own <= some]
        if stale and lacking:
            rows = how_many(stale, f"row of {age} is", f"rows of {age} are")
            raise OtherColumns(
                f"{rows} older than rows of other columns: newer loads of this table lack "
                f"{_quoted(own - lacking[0])}, whose values would be lost with them. Nothing was sent. {instead}"
            )

    def difference(self, columns: Sequence[str]) -> str:
        """What columns a load has, or lacks, that the load before it had not, or had; "" if there is none."""
        known, own = self._loads(), attributes_of(columns)
        before = max(known, key=known.__getitem__, default=own)
        return difference(own, before)

    def _loads(self) -> _Newest:
        return self._read("loads")

    def _profiles(self) -> _Newest:
        return self._read("profiles")

    def _read(self, name: str) -> _Newest:
        sets = (self._staging.read(self._path) or {}).get(name, [])
        return {frozenset(one["columns"]): Age.from_json(one["newest"]) for one in sets}

    def _write(self, loads: _Newest, profiles: _Newest) -> None:
        self._staging.write(self._path, {"loads": _as_json(loads), "profiles": _as_json(profiles)})


def _later(age: Age, before: Age | None) -> Age:
    return max(age, before or age)


def _as_json(sets: _Newest) -> list[dict[str, Any]]:
    return [{"columns": sorted(some), "newest": newest.as_json()} for some, newest in sets.items()]


def attributes_of(columns: Collection[str]) -> _Columns:
    """The columns but for the key."""
    return frozenset(name for name in columns if not is_key_column(name))


def _quoted(names: Collection[str]) -> str:
    return ", ".join(map(repr, sorted(names)))
