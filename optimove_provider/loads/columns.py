"""What is in the columns of records: how far they are filled, and what changes in them."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa


def filled_shares(records: Iterable[pa.Array]) -> dict[str, float]:
    """The share of records that have a value in a column, by column; null is no value."""
    total, filled = 0, Counter[str]()
    for some in records:
        for text in some.drop_null().to_pylist():
            total += 1
            filled.update(name for name, value in json.loads(text).items() if value is not None)
    return {name: round(count / total, 4) for name, count in sorted(filled.items())}


def samples(new: Iterable[pa.RecordBatch], old: Iterable[pa.RecordBatch]) -> Iterator[Mapping[str, Any]]:
    """Of rows of a load, and the same keys in the ledger: key, and [old, new] by each column that changes."""
    before = {row["key"]: json.loads(row["record"]) for batch in old for row in batch.to_pylist()}
    for row in (row for batch in new for row in batch.to_pylist()):
        was, is_now = before[row["_key"]], json.loads(row["_record"])
        differs = [name for name in sorted(was.keys() | is_now.keys()) if was.get(name) != is_now.get(name)]
        columns = {name: [was.get(name), is_now.get(name)] for name in differs}
        yield {"key": json.loads(row["_key"]), "columns": columns}
