"""The tables of the sync log as a version makes and fills them, as SQL: users have them for years."""

import sqlite3
from contextlib import closing

from optimove_provider.tasks.telling.sync_log_tables import Database, loads_table, rejected_table

TABLES = (loads_table("sync_log"), rejected_table("sync_log"))
LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000f0f0"


def row(load_id):
    """A row that fits either table: a number or a text in each column."""
    told = {one.name: 1 if one.type else f"{one.name} of {load_id}" for table in TABLES for one in table.columns}
    return {**told, "load_id": load_id}


def log(connection, load_id):
    """Leave the rows of a load in both tables, as this version does."""
    database = Database(connection)
    for table in TABLES:
        database.ensure(table)
        database.replace(table, load_id, [row(load_id)], before=None)


def written():
    """The tables with a load in them, as SQL."""
    with closing(sqlite3.connect(":memory:")) as connection:
        log(connection, LOAD_ID)
        return "\n".join(connection.iterdump()) + "\n"


def rows(connection, table):
    """{load id: row} of a table."""
    cursor = connection.execute(f"SELECT * FROM {table.name}")  # noqa: S608 - a name of this file
    names = [one[0] for one in cursor.description]
    return {one["load_id"]: one for one in (dict(zip(names, values, strict=True)) for values in cursor)}
