"""One target is one asset, however its host is written, in a DAG's file and by a load alike."""

import pytest
from airflow.sdk import Asset

from optimove_provider.assets import DCP_LOADS, OPTIX_LOADS, dcp_asset, optix_asset
from optimove_provider.contract.wire.errors import SettingsError

UUID = "34f8cfca-85fa-444f-97b2-a5b8cbff6907"
CANONICAL = f"optix://api.opti-x.optimove.net/data-connections/{UUID}"


@pytest.mark.parametrize(
    "asset",
    [
        optix_asset(UUID),
        optix_asset(UUID.upper()),
        optix_asset(UUID, "HTTPS://API.opti-x.optimove.net.:443/api/data-connections/v1/"),
        Asset(uri=CANONICAL),
        Asset(uri=f"optix://API.Opti-X.optimove.net:443/data-connections/{UUID.upper()}/"),
    ],
)
def test_every_spelling_of_a_data_connection_is_one_asset(asset):
    assert asset.uri == CANONICAL


@pytest.mark.parametrize(
    "asset",
    [
        dcp_asset(7, 42),
        dcp_asset("7", "42", "https://WWW.optimizelyapis.com"),
        Asset(uri="DCP://www.optimizelyapis.com:443/services/7/tables/42/"),
    ],
)
def test_every_spelling_of_a_table_is_one_asset(asset):
    assert asset.uri == "dcp://www.optimizelyapis.com/services/7/tables/42"


def test_another_port_is_another_asset_and_no_secret_is_in_it():
    assert (
        optix_asset(UUID, "http://user:secret@127.0.0.1:8099/x").uri
        == f"optix://127.0.0.1:8099/data-connections/{UUID}"
    )


@pytest.mark.parametrize("uri", ["optix://optix_default/customers-by-day", "dcp://shop/anything"])
def test_users_may_give_names_of_their_own(uri):
    assert Asset(uri=uri).uri == uri


@pytest.mark.parametrize(
    "wrong", [lambda: optix_asset("none"), lambda: optix_asset(UUID, "none"), lambda: dcp_asset(0, 1)]
)
def test_what_names_no_target_is_refused(wrong):
    with pytest.raises(SettingsError):
        wrong()


def test_loads_of_the_two_vendors_are_told_apart():
    assert (OPTIX_LOADS.name, DCP_LOADS.name) == ("optix_loads", "dcp_loads")
