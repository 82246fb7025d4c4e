"""Rows dealt into ranges of their keys, so that each range is compared apart, in memory that does not grow with them.

Which range a key is in, its digest in the manifest says: a standard one, so that it is the same for whoever works on a
part of the ranges, with whatever engine, now or later.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimove_provider.loads.ledger.manifest import KeyDigest
from optimove_provider.records.arrow.duck import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

AT_ONCE = 16_000_000
"""Rows of either side that are joined together: beyond the memory that it may take, DuckDB goes on in files."""
_BITS = 16


def ranges_for(rows: int) -> int:
    """In how many ranges so many rows are compared."""
    return min(-(-max(rows, 1) // AT_ONCE), 1 << _BITS)


def in_ranges(
    connection: "DuckDBPyConnection",
    current: str,
    loaded: str,
    ranges: int,
    digest: KeyDigest,
    place: str,
    picked: bool = False,
) -> Iterator[tuple[str, str]]:
    """Two queries, rows of the ledger and of the load, for each range of their keys; read each before the next.

    Where there are several ranges, or the queries have `picked` some of the rows, these are dealt once, into tables of
    the database that `place` names: what finds them takes memory that the join needs.
    """
    if ranges == 1 and not picked:
        yield current, loaded
        return
    dealt = [f"{place}.{name}" for name in ("dealt_current", "dealt_loaded")]
    for name, query, key in zip(dealt, (current, loaded), ("key", "_key"), strict=True):
        connection.execute(
            f"CREATE TABLE {name} AS SELECT *, {_range_of(key, ranges, digest)} AS key_range FROM ({query})"  # noqa: S608
        )
    for number in range(ranges):
        yield tuple(  # type: ignore[misc]
            f"SELECT * EXCLUDE key_range FROM {name} WHERE key_range = {number}"  # noqa: S608 - names of ours
            for name in dealt
        )


def _range_of(key: str, ranges: int, digest: KeyDigest) -> str:
    """In SQL, the range of a key: as many parts of the first bits of its digest."""
    first_bits = f"('0x' || sha256({quoted(digest.seed)} || {key})[1:{_BITS // 4}])::INTEGER"
    return f"({first_bits} * {ranges}) >> {_BITS}"
