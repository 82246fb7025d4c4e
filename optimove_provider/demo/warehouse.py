"""The embedded warehouse: CDNOW's orders in a SQLite file, and the profile that each customer should have."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

CDNOW = Path(__file__).parent / "data" / "CDNOW_sample.txt"

# One order: customer_id as text with its zeros, ISO date, CDs, US dollars.
Order = tuple[str, str, int, float]

# One customer: customer_id, orders, cds, lifetime_value in US dollars, first_order and last_order as ISO dates.
Profile = tuple[str, int, int, float, str, str]

_TABLE = """
CREATE TABLE orders (
  customer_id TEXT NOT NULL, order_date TEXT NOT NULL, cds INTEGER NOT NULL, dollars REAL NOT NULL
)
"""

VIEW = """
CREATE VIEW customer_profiles AS
SELECT customer_id, COUNT(*) AS orders, SUM(cds) AS cds, ROUND(SUM(dollars), 2) AS lifetime_value,
  MIN(order_date) AS first_order, MAX(order_date) AS last_order
FROM orders GROUP BY customer_id
"""
"""One row a customer, for README's DAG and for anybody who looks around; in any SQL."""

_PROFILES = """
SELECT customer_id, count(*), sum(cds), round(sum(dollars), 2), min(order_date), max(order_date)
FROM orders GROUP BY customer_id ORDER BY customer_id
"""


def load_orders(database: Path, source: Path = CDNOW) -> int:
    """Fill the table `orders` of the SQLite file from a CDNOW text file; returns the rows loaded.

    Whatever the table held before is gone: loading twice leaves the rows once.
    Raises ValueError with the line's number if a line does not have the five columns.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DROP VIEW IF EXISTS customer_profiles")
        connection.execute("DROP TABLE IF EXISTS orders")
        connection.execute(_TABLE)
        connection.execute(VIEW)
        return connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", read_orders(source)).rowcount


def days(database: Path) -> tuple[str, str] | None:
    """The first and the last day with orders, as ISO dates; None if there are none, or no warehouse."""
    if not database.exists():
        return None
    with closing(sqlite3.connect(database)) as connection:
        try:
            first, last = connection.execute("SELECT MIN(order_date), MAX(order_date) FROM orders").fetchone()
        except sqlite3.OperationalError:  # it was never filled
            return None
    return (first, last) if first else None


def read_orders(source: Path) -> Iterator[Order]:
    """The orders of a CDNOW text file, one at a time."""
    with source.open(encoding="ascii") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                customer_id, _, day, cds, dollars = line.split()
                yield customer_id, f"{day[:4]}-{day[4:6]}-{day[6:]}", int(cds), float(dollars)
            except ValueError as error:
                raise ValueError(f"{source.name}, line {number}: {error}: {line.rstrip()!r}") from error


def profiles(database: Path) -> Iterator[Profile]:
    """One profile a customer, in the order of customer_id."""
    with closing(sqlite3.connect(database)) as connection:
        yield from connection.execute(_PROFILES)
