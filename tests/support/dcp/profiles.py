"""An emulated table for small loads of profiles, and what they are run with: fixtures."""

from functools import partial

import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.emulator import TOKEN, State, send
from optimove_provider.loads.profiles.rest_load import RestLoad
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from tests.support.virtual_time import ClientTime

SETTINGS = DcpSettings(
    conn_id="dcp_default", host="http://e/experiment/v1", profile_host="http://e/vis/api", token=TOKEN
)
ATTRIBUTES = [
    Attribute("ltv", "double"),
    Attribute("vip", "bool"),
    Attribute("since", "datetime", "epoch"),
    Attribute("note", "string"),
]


@pytest.fixture
def state():
    return State()


@pytest.fixture
def client(state):
    return DcpClient(SETTINGS, send=partial(send, state), surroundings=ClientTime().surroundings)


@pytest.fixture
def table(client):
    table = client.ensure_table(client.ensure_service("profiles").id, "customers", "uid").id
    client.ensure_attributes(table, ATTRIBUTES)
    return table


@pytest.fixture
def load(tmp_path):
    return RestLoad(Staging(LocalFileSystem(), str(tmp_path)), Report("load", {}))
