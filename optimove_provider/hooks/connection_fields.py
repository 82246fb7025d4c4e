"""What a connection holds, as the flat mapping that the clients' settings read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from optimove_provider.contract.wire.errors import SettingsError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


def _flat(connection: "Connection", extra: Mapping[str, Any]) -> dict[str, Any]:
    own = {"host": connection.host, "port": connection.port, "password": connection.password}
    return {**extra, **own}


@contextmanager
def known_connection(conn_id: str) -> Iterator[None]:
    """Say in one sentence that there is no such connection. Raises SettingsError: trying again does not help."""
    try:
        yield
    except AirflowNotFoundException:
        raise SettingsError(
            f"connection {conn_id!r} is not there: make it in Airflow under Admin > Connections, or set "
            f"AIRFLOW_CONN_{conn_id.upper()}; then clear the task"
        ) from None


def read_fields(hook: BaseHook, conn_id: str) -> dict[str, Any]:
    """The connection's host, port, password and extras, by name."""
    with known_connection(conn_id):
        connection = hook.get_connection(conn_id)
    return _flat(connection, connection.extra_dejson)


async def aread_fields(hook: BaseHook, conn_id: str) -> dict[str, Any]:
    """The same from an event loop, where the blocking call may deadlock."""
    with known_connection(conn_id):
        connection = await get_async_connection(conn_id, hook=hook)
    return _flat(connection, await get_async_extra_dejson(connection))
