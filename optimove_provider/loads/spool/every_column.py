"""The rows of a source once more, when all of its columns are known: what a record with nulls is must not depend on
which rows came before it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from optimove_provider.loads.spool.freeze import OpenRows
from optimove_provider.records.read.waiting_rows import waiting_rows
from optimove_provider.records.rows import Reading, Rows, Unread


def columns_for(nulls: str, open_rows: OpenRows) -> OpenRows:
    """The source as `nulls` has to see it: where a null counts, every row has every column."""
    return open_rows if nulls == "omit" else with_every_column(open_rows)


def with_every_column(open_rows: OpenRows) -> OpenRows:
    """The same source, in which every batch has every column that any has, null where it had none.

    All rows are read first, and wait in a temporary file: memory stays that of a batch.
    """

    @contextmanager
    def opened() -> Iterator[Rows]:
        with waiting_rows() as waiting:
            with open_rows() as rows:
                waiting.put_aside(rows)
            yield completed(waiting.take_up(), waiting.names)

    return opened


def completed(rows: Rows, names: Sequence[str]) -> Reading:
    """Rows of which every batch has all these columns, null where it had none."""
    for item in rows:
        yield item if isinstance(item, Unread) else _with_columns(item, names)


def _with_columns(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    for name in names:
        if name not in batch.schema.names:
            batch = batch.append_column(name, pa.nulls(batch.num_rows))
    return batch.select(list(names))
