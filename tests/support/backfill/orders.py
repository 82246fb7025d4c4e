"""CDNOW's orders in PostgreSQL, and, in plain SQL, what one pass over the days in their order leaves in the store."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import date
from typing import Any

from optimove_provider.demo.warehouse import CDNOW, Order, read_orders
from tests.support.backfill.postgres import Postgres

DATABASE = "warehouse"

# Day by day, each customer who ordered that day is written as of the day's end; so the last such day is what stays.
_ORDERED_PASS = """
SELECT customer_id, count(*), sum(cds), sum(dollars), min(order_date), max(order_date)
FROM orders JOIN (
    SELECT customer_id, max(order_date) AS last_day FROM orders
    WHERE order_date BETWEEN %(first)s AND %(last)s GROUP BY customer_id
) AS touched USING (customer_id)
WHERE order_date <= last_day GROUP BY customer_id
"""

_ROWS_A_DAY = """
SELECT count(DISTINCT (customer_id, order_date)), count(DISTINCT customer_id)
FROM orders WHERE order_date BETWEEN %s AND %s
"""

Profile = Mapping[str, Any]


class Orders:
    """The table `orders` of a warehouse."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def load(self) -> None:
        """Make the warehouse, with CDNOW's orders."""
        self._postgres.create(DATABASE)
        create = "CREATE TABLE orders (customer_id text, order_date date, cds integer, dollars numeric(10, 2))"
        with closing(self._postgres.connect(DATABASE)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(create)
        self.add(read_orders(CDNOW))

    def add(self, orders: Iterable[Order]) -> None:
        """Enter orders."""
        with closing(self._postgres.connect(DATABASE)) as connection, connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO orders VALUES (%s, %s, %s, %s)", orders)

    def after_an_ordered_pass(self, first: date, last: date) -> dict[str, Profile]:
        """Customer -> the record that the store holds after the days from `first` to `last`, one after the other."""
        names = ("customerId", "orders", "cds", "lifetime_value", "first_order", "last_order")
        found = self._rows(_ORDERED_PASS, {"first": first, "last": last})
        return {row[0]: dict(zip(names, _as_json(row), strict=True)) for row in found}

    def rows_and_customers(self, first: date, last: date) -> tuple[int, int]:
        """How many rows all days together select, and how many customers they are."""
        ((rows, customers),) = self._rows(_ROWS_A_DAY, (first, last))
        return rows, customers

    def _rows(self, query: str, parameters: Any) -> list[tuple[Any, ...]]:
        with closing(self._postgres.connect(DATABASE)) as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())


def _as_json(row: tuple[Any, ...]) -> tuple[Any, ...]:
    customer_id, orders, cds, dollars, *days = row
    return customer_id, orders, cds, float(dollars), *(day.isoformat() for day in days)
