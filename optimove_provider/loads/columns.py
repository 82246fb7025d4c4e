"""What changes in the columns of records."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa


def samples(new: Iterable[pa.RecordBatch], old: Iterable[pa.RecordBatch]) -> Iterator[Mapping[str, Any]]:
    """Of rows of a load, and the same keys in the ledger: key, and [old, new] by each column that changes."""
    before = {row["key"]: json.loads(row["record"]) for batch in old for row in batch.to_pylist()}
    for row in (row for batch in new for row in batch.to_pylist()):
        was, is_now = before[row["_key"]], json.loads(row["_record"])
        differs = [name for name in sorted(was.keys() | is_now.keys()) if was.get(name) != is_now.get(name)]
        columns = {name: [was.get(name), is_now.get(name)] for name in differs}
        yield {"key": json.loads(row["_key"]), "columns": columns}
