"""Keys that occur twice in the rows of a load: found in memory that does not grow with the rows.

Equal hashes are found ten times as fast as equal texts, and most loads have neither. So the texts are compared only
where there are equal hashes.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.spool.slices import RowFiles
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.duck import temporary_duck

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SHOWN_DUPLICATES = 5
KEYS_MEMORY = "128MB"
HASHES_AT_ONCE = 8_000_000
"""64 MB. The keys of a load with more rows are read several times, and each time a part of the hashes is compared."""

_TWICE = """
SELECT _key, min(_row) AS first, max(_row), count(*) AS times
FROM reader GROUP BY _key HAVING times > 1 ORDER BY first
"""


def refuse_duplicates(
    staging: Staging, parts: RowFiles, primary_key: str, hashes_at_once: int = HASHES_AT_ONCE, *others: RowFiles
) -> None:
    """Raise DataError, which names the first keys that occur twice, in these parts and others, and their rows."""
    every = [parts, *others]
    with temporary_duck(KEYS_MEMORY, threads=2) as db:
        if not _hashes_repeat(db, staging, every, hashes_at_once):
            return
        reader = _columns(staging, every, ["_row", "_key"])  # noqa: F841 - the query names it
        found = db.execute(_TWICE).fetchmany(SHOWN_DUPLICATES)
    if found:
        told = "; ".join(f"{key} in rows {first} and {last} ({times} times)" for key, first, last, times in found)
        raise DataError(
            f"the key column {primary_key!r} holds keys twice, and which row would win is not documented: {told}. "
            "Make the key unique in the query or file"
        )


def _columns(staging: Staging, every: Sequence[RowFiles], names: Sequence[str]) -> pa.RecordBatchReader:
    readers = [parts.columns(staging, names) for parts in every]
    return pa.RecordBatchReader.from_batches(readers[0].schema, chain.from_iterable(readers))


def _hashes_repeat(db: "DuckDBPyConnection", staging: Staging, every: Sequence[RowFiles], at_once: int) -> bool:
    """Whether a hash of 64 bits occurs twice: of different keys, that happens once in 400,000 loads of 10 million."""
    passes = -(-sum(parts.rows for parts in every) // at_once)
    return any(_repeat_among(_hashes(db, staging, every, passes, number), at_once) for number in range(passes))


def _hashes(
    db: "DuckDBPyConnection", staging: Staging, every: Sequence[RowFiles], passes: int, number: int
) -> Iterator[npt.NDArray[np.uint64]]:
    """The hashes that belong to one of the passes."""
    reader = _columns(staging, every, ["_key"])  # noqa: F841 - the query names it
    query = f"SELECT h FROM (SELECT hash(_key) AS h FROM reader) WHERE h % {passes} = {number}"  # noqa: S608 - numbers
    for batch in db.sql(query).to_arrow_reader(1 << 16):
        yield batch.column(0).to_numpy()


def _repeat_among(parts: Iterator[npt.NDArray[np.uint64]], at_once: int) -> bool:
    """Whether a number occurs twice. So many of them that hashes cannot explain it mean that one does."""
    numbers, count = np.empty(2 * at_once, np.uint64), 0  # what stays empty takes no memory
    for some in parts:
        if count + len(some) > len(numbers):
            return True
        numbers[count : count + len(some)] = some
        count += len(some)
    numbers = numbers[:count]
    numbers.sort()
    return bool((numbers[1:] == numbers[:-1]).any())
