"""A source in parts, each of which one task reads: neighbouring files, row groups of a Parquet file, or the rows of a
query whose values in one column are in a range.

The parts of a source, one after the other, have the rows that the source has: of files in the same order, of a query
each row that is there while all of them are read.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Any, Self

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.records.read.parquet_files import Footer

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED = re.compile(r'"[^"\x00-\x1f]+"|`[^`\x00-\x1f]+`|\[[^\]\x00-\x1f]+\]')
_ODD = re.compile(r"[\\%\x00-\x1f]")
"""In a text, what some databases or their drivers take for something else than itself."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some `files`; or of one Parquet file, whose `footer` was that, the row groups from one to before another; or the
    rows of the query for which `where` holds, all where it is empty."""

    files: tuple[str, ...] = ()
    groups: tuple[int, int] | None = None
    footer: str = ""
    where: str = ""

    def __str__(self) -> str:
        if not self.files:
            return f"the rows of the query where {self.where}" if self.where else "the query"
        first, last = self.files[0], self.files[-1]
        if self.groups:
            return f"{first}, row groups {self.groups[0] + 1} to {self.groups[1]}"
        return first if first == last else f"{first} to {last}"

    def as_json(self) -> dict[str, Any]:
        """For staging."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """From staging."""
        groups = found["groups"] and tuple(found["groups"])
        return cls(tuple(found["files"]), groups, found["footer"], found["where"])


def shares(sizes: Sequence[int], count: int) -> list[range]:
    """Positions of neighbours of these sizes, in so many shares of about one size each; none of them is empty."""
    count = min(count, len(sizes))
    ends = list(accumulate(max(size, 1) for size in sizes))
    found, start = list[range](), 0
    for number in range(1, count + 1):
        # As many as come nearest to its share of all; but one at least, and one is left for each share after it.
        wanted = ends[-1] * number // count
        reached = bisect_left(ends, wanted)
        nearest = reached + (reached == 0 or ends[reached] - wanted <= wanted - ends[reached - 1])
        end = min(max(nearest, start + 1), len(sizes) - (count - number))
        found.append(range(start, end))
        start = end
    return found


def parts_of_files(sizes: Mapping[str, int], footers: Mapping[str, Footer], count: int) -> list[Part]:
    """So many parts of files, of which the bytes are given, or fewer. Where there are not enough files, those whose
    `footers` are given are taken apart by their row groups."""
    names = list(sizes)
    if len(names) >= count or not footers:
        return [Part(tuple(names[share.start : share.stop])) for share in shares(list(sizes.values()), count)]
    total = sum(sum(footer.group_bytes) for footer in footers.values()) or 1
    found: list[Part] = []
    for name, footer in footers.items():
        own = max(1, round(count * sum(footer.group_bytes) / total))
        cut = shares(footer.group_bytes, min(own, count - len(names) + 1))
        found += [Part((name,), (share.start, share.stop), footer.digest) for share in cut] or [Part((name,))]
    return found


def restricted(sql: str, where: str) -> str:
    """The query, of which only the rows are wanted for which a condition holds."""
    return f"SELECT * FROM (\n{_bare(sql)}\n) optimove_part WHERE {where}" if where else sql  # noqa: S608 - the user's


def extent_query(sql: str, column: str) -> str:
    """A query for the lowest and the highest value of a column of another query. Raises SettingsError."""
    named = column_name(column)
    return f"SELECT MIN({named}), MAX({named}) FROM (\n{_bare(sql)}\n) optimove_part"  # noqa: S608 - the user's


def _bare(sql: str) -> str:
    return sql.strip().rstrip(";").rstrip()


def column_name(column: str) -> str:
    """A column as SQL names it. Raises SettingsError for anything else."""
    if not (_PLAIN.fullmatch(column) or _QUOTED.fullmatch(column)):
        raise SettingsError(
            f"shard_by={column!r:.200}: expected the name of a column of the query; one with other characters than "
            "letters, digits and _ in the quotes that the database wants"
        )
    return column


def bounds_between(low: Any, high: Any, count: int, column: str) -> list[int]:
    """Where so many ranges of about the same width meet. None, if the query has no value there: it has one part.

    Raises SettingsError where the values are no whole numbers.
    """
    if low is None or high is None:
        return []
    first, last = (_whole(value) for value in (low, high))
    if first is None or last is None:
        raise SettingsError(
            f"shard_by={column!r}: its values are of the type {type(low).__name__}, and only whole numbers are cut "
            "into ranges by themselves: give shard_bounds=[...], the values at which one range ends and the next "
            "begins; or name another column"
        )
    width = last - first + 1
    points = dict.fromkeys(first + width * number // count for number in range(1, count))
    return [point for point in points if point > first]


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return int(value) if value == int(value) else None


def check_bounds(bounds: Sequence[Any]) -> list[int | str]:
    """Bounds as a DAG gives them. Raises SettingsError for what no database is sure to take as it is meant."""
    for bound in bounds:
        is_fine = isinstance(bound, int | str) and not isinstance(bound, bool)
        if not is_fine or (isinstance(bound, str) and _ODD.search(bound)):
            raise SettingsError(
                f"shard_bounds has {bound!r:.100}: expected whole numbers, or texts without backslashes, percent signs "
                "and control characters; an instant as a text that the database takes for one"
            )
    if len(set(bounds)) < len(bounds) or len({type(bound) for bound in bounds}) > 1:
        raise SettingsError(
            f"shard_bounds={list(bounds)!r:.200}: expected values of one type, each once, in rising order"
        )
    return list(bounds)


def parts_of_query(column: str, bounds: Iterable[int | str]) -> list[Part]:
    """The parts of a query: rows below the first bound, and those without a value; then from each bound to the next.

    Whatever the order in which the database has the bounds, no row is in none of them: on the way from below all
    values to above them, some step passes it. Where a row is in two, its key is there twice, which is refused. The
    first part has what is not above its bound, too: for some databases NaN is neither above nor below any number.
    """
    points = [_literal(bound) for bound in bounds]
    if not points:
        return [Part()]
    named = column_name(column)
    between = [f"{named} >= {low} AND {named} < {high}" for low, high in pairwise(points)]
    conditions = [f"(NOT ({named} >= {points[0]}) OR {named} IS NULL)", *between, f"{named} >= {points[-1]}"]
    return [Part(where=one) for one in conditions]


def _literal(bound: int | str) -> str:
    return str(bound) if isinstance(bound, int) else "'" + bound.replace("'", "''") + "'"
