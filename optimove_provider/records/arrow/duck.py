"""DuckDB databases in memory that go on, on disk, with what does not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from optimove_provider.disk.temporary import TemporaryFolder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


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


def quoted(text: str) -> str:
    """A text as a literal of SQL, where a parameter cannot stand."""
    return "'" + text.replace("'", "''") + "'"
