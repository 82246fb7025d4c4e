"""What all tests share: a home for Airflow that is nobody else's, and an emulator with connections to it."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from optimove_provider.demo import airflow_home, journey, warehouse
from optimove_provider.emulator.server import EmulatorServer

ROOT = Path(__file__).parent.parent
DAGS = ROOT / "dags"

# No test is about how long something takes: a busy machine is no failure. In CI, examples are the same each time: new
# ones are looked for where somebody can look at what they find.
IN_CI = bool(os.environ.get("CI"))
settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=IN_CI,
    print_blob=IN_CI,
    max_examples=50 if IN_CI else 100,
)
settings.load_profile("patient")

# Airflow reads its settings when it is imported, which test modules do while they are collected: so set them here.
_home = tempfile.TemporaryDirectory(prefix="optimove-tests-")
HOME = Path(_home.name)
airflow_home.enter(airflow_home.environment(HOME, DAGS))


BEGAN = time.monotonic()
FIRST = ("backfill", "dags", "endurance/test_workers.py", "loads/crash")
"""The longest files, so that at the end no process has one of its own while the others have nothing to do."""
LAST = ("simulation", "endurance/test_kills.py", "endurance/test_soak.py")
"""In CI on a slow machine they are left out: they try much by chance, and what they find is nobody's who waits."""
SECONDS_FOR_ALL = float(os.environ.get("SECONDS_FOR_ALL", "inf"))
ORDER = os.environ.get("ORDER", "")
"""Any text: files come in an order of its own, so that what a slow machine leaves out is not the same each time."""
SECONDS_BEFORE_LAST = 1000 if IN_CI else SECONDS_FOR_ALL


def _is_in(item: pytest.Item, *names: str) -> bool:
    return any(item.path.is_relative_to(ROOT / "tests" / name) for name in names)


def _place(item: pytest.Item) -> bytes | bool:
    if ORDER:
        return sha256(f"{ORDER} {item.path.relative_to(ROOT)}".encode()).digest()
    return not _is_in(item, *FIRST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (_is_in(item, *LAST), _place(item)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    seconds = SECONDS_BEFORE_LAST if _is_in(item, *LAST) else SECONDS_FOR_ALL
    if time.monotonic() - BEGAN > seconds:
        pytest.skip(f"this machine is slow: what comes before has taken {seconds:.0f} s")


def pytest_unconfigure() -> None:
    _home.cleanup()


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Airflow's metadata database, made once."""
    journey.initdb()


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[EmulatorServer]:
    """Both APIs and S3 on real sockets, and Airflow's connections to them in the environment."""
    database = HOME / "warehouse.db"
    warehouse.load_orders(database)
    with EmulatorServer() as server:
        connections = airflow_home.connections(server.url, server.s3_url, database)
        os.environ.update(airflow_home.as_variables(connections))
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server: each module makes a database of its own there."""
    from tests.support.backfill.postgres import running_postgres

    with running_postgres(tmp_path_factory.mktemp("pg")) as server:
        yield server


@pytest.fixture
def emulator(running_emulator: EmulatorServer) -> EmulatorServer:
    """The running emulator, emptied; staging is emptied with it."""
    running_emulator.state.reset()
    staging = HOME / "optimove"
    if staging.exists():
        staging.rename(HOME / f"optimove-{len(list(HOME.iterdir()))}")
    return running_emulator


@pytest.fixture
def change_connection(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that changes fields of a connection: change("dcp_default", password="x", extra={...})."""

    def change(conn_id: str, extra: dict[str, Any] | None = None, **fields: Any) -> None:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        connection = json.loads(os.environ[name])
        connection["extra"] = {**connection["extra"], **(extra or {})}
        monkeypatch.setenv(name, json.dumps({**connection, **fields}))

    return change
