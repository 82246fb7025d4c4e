"""Only the first rows of a source, for a first load: what is cut off, and what is said of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from optimove_provider.contract.how_many import how_many
from optimove_provider.loads.spool.freeze import OpenRows
from optimove_provider.records.rows import FirstRows, Rows


def opened_first(open_rows: OpenRows, first: FirstRows) -> OpenRows:
    """The same source, of which no more than the first rows are read."""

    @contextmanager
    def opened() -> Iterator[Rows]:
        with open_rows() as rows:
            yield first.of(rows)

    return opened


def limit_note(limit: int | None, has_more: bool) -> str:
    """What a report says of a load that is limited; "" of others."""
    if limit is None:
        return ""
    more = "more, which were not read" if has_more else "no more"
    return (
        f"limited to {how_many(limit, 'row')}; the source has {more}. It counts as a delta: of what it lacks nothing "
        "is taken for removed"
    )
