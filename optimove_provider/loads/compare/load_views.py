"""The rows of a load as views of a database, without their records."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ROWS
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.duck import quoted
from optimove_provider.records.arrow.types import Integers, Mask

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_VIEWED = ("_row", "_key", "_fingerprint")
_SEEN = pa.schema([ROWS.field(column) for column in _VIEWED])
_AT_ONCE = 1 << 20
_TO_MAKE = (*_VIEWED, "_record")
_LOADED_VIEW = """CREATE OR REPLACE VIEW loaded AS
    SELECT _row, _key, _fingerprint, false AS refused, {} AS suppressed, false AS deleted FROM fit
    UNION ALL SELECT _row, _key, _fingerprint, true, false, false FROM unfit
    UNION ALL SELECT _row, _key, _fingerprint, false, false, true FROM gone"""


def add_suppressed(connection: "DuckDBPyConnection", wanted: Mask | None) -> bool:
    """Make the numbers of the rows that are left out a table, `suppressed_rows`; tells whether there are any."""
    if wanted is None:
        return False
    add_numbers(connection, "suppressed_rows", wanted)
    return True


def add_numbers(connection: "DuckDBPyConnection", name: str, wanted: Mask) -> None:
    """Make a table of the numbers that a mask has, in its column `number`."""
    _add(connection, name, np.flatnonzero(wanted))


def add_other_numbers(connection: "DuckDBPyConnection", name: str, unwanted: Mask) -> None:
    """The same of the numbers that it has not; without another mask, of all rows."""
    parts = range(0, len(unwanted), _AT_ONCE)
    _add(connection, name, np.concatenate([np.flatnonzero(~unwanted[at : at + _AT_ONCE]) + at for at in parts]))


def _add(connection: "DuckDBPyConnection", name: str, numbers: Integers) -> None:
    connection.register("wanted_numbers", pa.table({"number": numbers}))
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM wanted_numbers")  # noqa: S608 - a name of ours
    connection.unregister("wanted_numbers")


def lacks_fingerprints(staging: Staging, folder: str) -> bool:
    """Whether some rows that can be sent have no fingerprints yet."""
    return not all(row_files.describe(staging, path)[1] for path in row_files.sendable_paths(staging, folder))


def view_rows(
    connection: "DuckDBPyConnection",
    staging: Staging,
    folder: str,
    makes: bool = False,
    has_suppressed: bool = False,
) -> bool:
    """Make the rows of a load the view `loaded`; `makes` the fingerprints that they lack. Where a view is made once
    more, it can be read once more.

    Tells whether the view `fit`, of those that can be sent, has whole rows and can be read again.
    """
    every, fit = row_files.paths(staging, folder), row_files.sendable_paths(staging, folder)
    gone = row_files.deleted_paths(staging, folder)
    has_stamps = all("_stamp" in row_files.columns(staging, path) for path in fit[:1])  # an older version froze none
    _view(connection, staging, "fit", fit, makes)
    _view(connection, staging, "unfit", [path for path in every if path not in (*fit, *gone)])
    _view(connection, staging, "gone", gone)
    connection.execute(_LOADED_VIEW.format("_row IN (FROM suppressed_rows)" if has_suppressed else "false"))
    return staging.is_local and has_stamps and not makes


def keep_of_fit(connection: "DuckDBPyConnection", wanted: str) -> None:
    """Let the view `fit` have the rows only whose numbers are in the table `wanted`, read once, with their records."""
    connection.execute(f"CREATE TABLE kept_fit AS FROM fit WHERE _row IN (FROM {wanted})")
    connection.execute("CREATE OR REPLACE VIEW fit AS FROM kept_fit")


def _view(
    connection: "DuckDBPyConnection", staging: Staging, name: str, paths: Sequence[str], makes: bool = False
) -> None:
    """Make a view of files of rows. From a local disk DuckDB reads them itself, on all cores."""
    if paths and staging.is_local and not makes:
        files = ", ".join(quoted(staging.path(path)) for path in paths)
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS FROM read_parquet([{files}])")
    elif not paths:
        connection.register(name, _SEEN.empty_table())
    else:
        found = (batch for path in paths for batch in row_files.read(staging, path, _TO_MAKE if makes else _VIEWED))
        batches = (_made(batch) if makes else batch for batch in found)
        connection.register(name, pa.RecordBatchReader.from_batches(_SEEN, batches))


def _made(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows with the fingerprints that they lack, and without their records."""
    made = pc.coalesce(batch["_fingerprint"], row_files.fingerprints(batch["_record"]))
    return pa.record_batch([batch["_row"], batch["_key"], made], names=list(_VIEWED))
