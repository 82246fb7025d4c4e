"""`python -m optimove_provider.demo.containers.warehouse`: the warehouse of docker-compose.yaml, in PostgreSQL.

The same orders as in the embedded warehouse, with the column types that a warehouse has.
"""

from contextlib import closing
from pathlib import Path

from airflow.providers.postgres.hooks.postgres import PostgresHook

from optimove_provider.demo.warehouse import CDNOW, VIEW, read_orders

CONN_ID = "warehouse_default"

_TABLE = """
CREATE TABLE orders (
  customer_id TEXT NOT NULL, order_date DATE NOT NULL, cds INTEGER NOT NULL, dollars NUMERIC(10, 2) NOT NULL
)
"""


def load_orders(conn_id: str = CONN_ID, source: Path = CDNOW) -> int:
    """Fill the table `orders` of the connection's database, which is made if need be; returns the rows loaded.

    Whatever the table held before is gone: loading twice leaves the rows once.
    """
    _ensure_database(conn_id)
    with closing(PostgresHook(conn_id).get_conn()) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS orders CASCADE")
        cursor.execute(_TABLE)
        cursor.execute(VIEW)
        cursor.executemany("INSERT INTO orders VALUES (%s, %s, %s, %s)", read_orders(source))
        cursor.execute("SELECT count(*) FROM orders")
        rows = cursor.fetchone()
        connection.commit()
    return int(rows[0])


def has_orders(conn_id: str = CONN_ID) -> bool:
    """Whether the warehouse was filled before."""
    _ensure_database(conn_id)
    return bool(PostgresHook(conn_id).get_first("SELECT to_regclass('customer_profiles')")[0])


def _ensure_database(conn_id: str) -> None:
    name = PostgresHook.get_connection(conn_id).schema
    server = PostgresHook(conn_id, database="postgres")
    if not server.get_first("SELECT 1 FROM pg_database WHERE datname = %s", parameters=(name,)):
        server.run(f'CREATE DATABASE "{name}"', autocommit=True)


if __name__ == "__main__":
    # What was changed in the warehouse since is kept.
    print("The warehouse is there" if has_orders() else f"{load_orders()} orders in the warehouse")
