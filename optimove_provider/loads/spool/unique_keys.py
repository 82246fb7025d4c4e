"""Keys that occur twice in the rows of a load: found exactly, in memory that does not grow with the rows.

Most loads have none, and what finds that reads each key once. Where there are some, a query tells them.
"""

from collections.abc import Sequence
from contextlib import closing
from itertools import chain

import numpy as np
import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.spool.slices import RowFiles
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.duck import temporary_duck
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.repeated.repeated_texts import RepeatedTexts
from optimove_provider.records.repeated.text_hashes import text_hashes

SHOWN_DUPLICATES = 5
KEYS_MEMORY = "128MB"

_TWICE = """
SELECT _key, min(_row) AS first, max(_row), count(*) AS times
FROM reader GROUP BY _key HAVING times > 1 ORDER BY first
"""


def refuse_duplicates(staging: Staging, primary_key: str, *every: RowFiles) -> None:
    """Raise DataError, which names the first keys that occur twice in all these rows, and their rows."""
    if not _keys_repeat(staging, every):
        return
    with temporary_duck(KEYS_MEMORY, threads=2) as db:
        reader = _columns(staging, every)  # noqa: F841 - the query names it
        found = db.execute(_TWICE).fetchmany(SHOWN_DUPLICATES)
    told = "; ".join(f"{key} in rows {first} and {last} ({times} times)" for key, first, last, times in found)
    raise DataError(
        f"the key column {primary_key!r} holds keys twice, and which row would win is not documented: {told}. "
        "Make the key unique in the query or file"
    )


def _columns(staging: Staging, every: Sequence[RowFiles]) -> pa.RecordBatchReader:
    readers = [parts.columns(staging, ["_row", "_key"]) for parts in every]
    return pa.RecordBatchReader.from_batches(readers[0].schema, chain.from_iterable(readers))


def _keys_repeat(staging: Staging, every: Sequence[RowFiles]) -> bool:
    with closing(RepeatedTexts()) as keys:
        for batch in _columns(staging, every):
            rows, texts = batch["_row"].to_numpy(), batch["_key"].cast(pa.binary())
            nowhere, flags = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.uint8)
            keys.add(Locations(rows, nowhere, nowhere), texts, text_hashes(texts), flags)
        return bool(keys.compare(most=0).counts[0])
