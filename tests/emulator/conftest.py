"""An emulator in process, with a clock that the test moves and ids that are the same in every run."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from optimove_provider.contract.wire.messages import Request, Response, json_body
from optimove_provider.emulator import API_KEY, BRAND_KEY, TOKEN, MemoryObjects, State, send

KEYS = {"x-api-key": API_KEY, "x-brand-key": BRAND_KEY, "Token": TOKEN}


class Clock:
    """Epoch seconds; `now` is set by the test."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """Asks an emulator in process, with all keys unless `headers` says otherwise."""

    def __init__(self, state: State, keys: Mapping[str, str]):
        self.state, self.keys = state, keys

    def __call__(self, method: str, url: str, value: Any = None, **options: Any) -> Response:
        body = options.get("body", None if value is None else json_body(value))
        answer = send(self.state, Request(method, url, options.get("headers", self.keys), body))
        assert isinstance(answer, Response)
        return answer

    def json(self, method: str, url: str, value: Any = None) -> Any:
        answer = self(method, url, value)
        assert answer.ok, answer.text
        return answer.json()

    def control(self, name: str) -> Any:
        return self.json("GET", f"/_emulator/{name}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def state(clock: Clock, objects: MemoryObjects) -> State:
    return State(clock=clock, objects=objects, seed="test")


@pytest.fixture
def keys() -> Mapping[str, str]:
    return KEYS


@pytest.fixture
def ask(state: State, keys: Mapping[str, str]) -> Caller:
    return Caller(state, keys)


@pytest.fixture
def caller(keys: Mapping[str, str]) -> Callable[[State], Caller]:
    """For tests that make their own state."""
    return lambda state: Caller(state, keys)


@pytest.fixture
def connection(ask: Caller) -> str:
    """The URL of a data connection whose primary key is `id`."""
    base = "/api/data-connections/v1/connections"
    created = ask.json("POST", base, {"name": "My Data Connection", "primary_key": "id"})
    return f"{base}/{created['data_connection_uuid']}"


@pytest.fixture
def table(ask: Caller) -> dict[str, Any]:
    """A DCP table with one attribute of each datatype, as the API returns it."""
    service = ask.json("POST", "/experiment/v1/dcp_services", {"name": "My service"})
    wanted = {"name": "My table", "keyfield_locator_type": "cookie", "keyfield_locator_name": "_id"}
    made = ask.json("POST", f"/experiment/v1/dcp_services/{service['id']}/dcp_datasources", wanted)
    url = f"/experiment/v1/dcp_datasources/{made['id']}"
    for name, datatype, format in (
        ("most_viewed_category", "string", None),
        ("LTV", "long", None),
        ("score", "double", None),
        ("vip", "bool", None),
        ("born", "datetime", "yyyy-mm-dd"),
        ("seen", "datetime", "yyyy-mm-ddThh:mm:ssZ"),
        ("since", "datetime", "epoch"),
    ):
        attribute = {"name": name, "datatype": datatype, "format": format}
        ask.json("POST", f"{url}/dcp_datasource_attributes", attribute)
    return dict(ask.json("GET", url))
