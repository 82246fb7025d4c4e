"""One DuckDB for many small databases: to open one takes 20 ms, ten times as long as what a small load asks of it."""

from collections import deque
from contextlib import contextmanager
from itertools import count
from threading import Lock
from typing import Any

import duckdb
import pytest

_MAY_BE_OPEN = 20
"""Older ones are closed by now, and can go."""


class SharedDuck:
    """Stands in for `duckdb.connect`: each connection has an empty database in memory of its own, in one instance.

    What is told of memory and threads is not heeded: for tests that are about something else.
    """

    def __init__(self, threads: int | None = None) -> None:
        config: dict[str, Any] = {"preserve_insertion_order": False} | ({"threads": threads} if threads else {})
        self._instance = duckdb.connect(":memory:", config=config)
        self._numbers, self._last, self._lock = count(1), deque[str](), Lock()

    def connect(self, database: str, **_: Any) -> Any:
        """A connection to a new database in memory."""
        assert database == ":memory:"
        with self._lock:
            name, connection = f"db{next(self._numbers)}", self._instance.cursor()
            connection.execute(f"ATTACH ':memory:' AS {name}; USE {name}")
            self._last.append(name)
            if len(self._last) > _MAY_BE_OPEN:
                self._instance.execute(f"DETACH {self._last.popleft()}")
        return connection

    def close(self) -> None:
        """Close the instance."""
        self._instance.close()


@contextmanager
def shared_duck(threads: int | None = None):
    """While the block lasts, whoever opens a database gets one of these; all of them have so many threads together."""
    shared = SharedDuck(threads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", shared.connect)
        yield
    shared.close()
