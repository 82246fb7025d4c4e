"""What a connection holds, as the flat mapping that the clients' settings read."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import BaseHook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


def _flat(connection: "Connection", extra: Mapping[str, Any]) -> dict[str, Any]:
    own = {"host": connection.host, "port": connection.port, "password": connection.password}
    return {**extra, **own}


def read_fields(hook: BaseHook, conn_id: str) -> dict[str, Any]:
    """The connection's host, port, password and extras, by name."""
    connection = hook.get_connection(conn_id)
    return _flat(connection, connection.extra_dejson)


async def aread_fields(hook: BaseHook, conn_id: str) -> dict[str, Any]:
    """The same from an event loop, where the blocking call may deadlock."""
    connection = await get_async_connection(conn_id, hook=hook)
    return _flat(connection, await get_async_extra_dejson(connection))
