"""The assets that loads update: one a data connection, one a table, each with one URI however its host is written.

    schedule=optix_asset("6f9c...")    runs after each load into that data connection
    schedule=OPTIX_LOADS               runs after each load into any

An event's `extra` is the account of its load: counts, load_id, batch_uuid, window, generation, report.
"""

from urllib.parse import SplitResult, urlsplit

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.targets import NoOneForm, connection_uuid, host_url, id_number

OPTIX_LOADS, DCP_LOADS = AssetAlias("optix_loads"), AssetAlias("dcp_loads")
"""What every load into Opti-X, or into DCP, updates: known when a DAG is parsed, where a target's id is not."""

LOADS = {"optix": OPTIX_LOADS, "dcp": DCP_LOADS}


def optix_asset(data_connection_uuid: str, host: str = optix.BASE_URL) -> Asset:
    """The asset of a data connection. Raises NoOneForm for what is no uuid, or no URL.

    :param data_connection_uuid: the data connection.
    :param host: what its connection has as base URL.
    """
    return Asset(uri=f"optix://{_place(host)}/data-connections/{connection_uuid(data_connection_uuid)}")


def dcp_asset(service_id: int, table_id: int, host: str = dcp.BASE_URL) -> Asset:
    """The asset of a table. Raises NoOneForm for what is no number, or no URL.

    :param service_id: the service that the table belongs to.
    :param table_id: the table.
    :param host: what its connection has as base URL.
    """
    service, table = id_number("service_id", service_id), id_number("table_id", table_id)
    return Asset(uri=f"dcp://{_place(host)}/services/{service}/tables/{table}")


def sanitize(uri: SplitResult) -> SplitResult:
    """An asset's URI as everybody else writes it: Airflow asks for it where it meets `optix://` and `dcp://`.

    Names that users give assets of their own stay what they are.
    """
    try:
        place = _place(f"https://{uri.netloc}")
    except NoOneForm:
        return uri
    head, _, last = uri.path.rpartition("/")
    if uri.scheme == "optix" and head == "/data-connections":
        try:
            return uri._replace(netloc=place, path=f"{head}/{connection_uuid(last)}")
        except NoOneForm:
            pass
    return uri._replace(netloc=place)


def _place(host: str) -> str:
    """The host, with its port where that is not the usual one: how it is talked to, and below which path, is no part of
    what is stored there."""
    return urlsplit(host_url(host)).netloc
