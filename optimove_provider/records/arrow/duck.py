"""DuckDB databases in memory that go on, on disk, with what does not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from optimove_provider.disk.temporary import TemporaryFolder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TABLES = "tables"


def open_duck(folder: Path | str, max_memory: str, threads: int | None = None) -> "DuckDBPyConnection":
    """Open a database that keeps to `max_memory` ("96MB") and works in `folder` beyond that: close it before the folder
    goes.

    Each of the `threads` (without a number: one a processor) holds memory of its own. The order of a table's rows is
    that of ORDER BY alone.
    """
    import duckdb  # slow to load, and needed by a few only

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": max_memory,
        "temp_directory": f"{folder}/beyond-memory",
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
    }
    if threads:
        config["threads"] = threads
    return duckdb.connect(":memory:", config=config)


@contextmanager
def temporary_duck(max_memory: str, threads: int | None = None) -> Iterator["DuckDBPyConnection"]:
    """The same, with a folder of its own that is removed at the end. Raises NotWritten where its disk is full."""
    with (
        TemporaryFolder() as folder,
        folder.telling(),
        open_duck(folder.path, max_memory, threads) as database,
    ):
        yield database


def tables_in_file(connection: "DuckDBPyConnection") -> str:
    """A database in a file, for tables of many rows, attached by this name. It lies, and goes, with what `open_duck`
    keeps beyond memory.

    Of a table in memory DuckDB keeps some bytes of each hundred thousand rows of each column there, however little
    memory it may take: 3 of each row of such tables, and so 300 MB of a hundred million.
    """
    (temporary,) = connection.execute("SELECT current_setting('temp_directory')").fetchall()[0]
    connection.execute(f"ATTACH IF NOT EXISTS {quoted(f'{Path(temporary).parent}/{_TABLES}.duckdb')} AS {_TABLES}")
    return _TABLES


def quoted(text: str) -> str:
    """A text as a literal of SQL, where a parameter cannot stand."""
    return "'" + text.replace("'", "''") + "'"
