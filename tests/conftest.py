"""What all tests share: a home for Airflow that is nobody else's, and an emulator with connections to it."""

import gc
import json
import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
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


# Botocore parses its descriptions of S3 anew for each client, which takes a fifth of the time of tests with S3. It adds
# to what it has parsed, so that each client needs its own.
_load_file = JSONFileLoader.load_file
_described = cache(lambda path: pickle.dumps(_load_file(JSONFileLoader(), path)))
JSONFileLoader.load_file = lambda self, path: pickle.loads(_described(path))  # noqa: S301


BEGAN = time.monotonic()
FIRST = ("backfill", "dags", "endurance/test_workers.py", "loads/crash")
"""The longest files, so that at the end no process has one of its own while the others have nothing to do."""
LONGEST_FIRST = os.environ.get("LONGEST_FIRST") != "no"
"""`no` where time is over before these are: then others come in their turn."""
LAST = ("simulation", "endurance/test_kills.py", "endurance/test_soak.py")
"""In CI on a slow machine they are left out: they try much by chance, and what they find is nobody's who waits."""
SECONDS_FOR_ALL = float(os.environ.get("SECONDS_FOR_ALL", "inf"))
ORDER = os.environ.get("ORDER", "")
"""Any text: files come in an order of its own, so that what a slow machine leaves out is not the same each time."""
SECONDS_BEFORE_LAST = min(1000, SECONDS_FOR_ALL) if IN_CI else SECONDS_FOR_ALL


def _is_in(item: pytest.Item, *names: str) -> bool:
    return any(item.path.is_relative_to(ROOT / "tests" / name) for name in names)


def _place(item: pytest.Item) -> tuple[bool, bool, bytes]:
    order = sha256(f"{ORDER} {item.path.relative_to(ROOT)}".encode()).digest() if ORDER else b""
    return _is_in(item, *LAST), LONGEST_FIRST and not _is_in(item, *FIRST), order


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    # What is there now stays: to look for garbage in half a million objects takes an eighth of all time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_runtest_setup(item: pytest.Item) -> None:
    seconds = SECONDS_BEFORE_LAST if _is_in(item, *LAST) else SECONDS_FOR_ALL
    if time.monotonic() - BEGAN > seconds:
        pytest.skip(f"this machine is slow: what comes before has taken {seconds:.0f} s")


def pytest_unconfigure() -> None:
    gc.unfreeze()  # or what libraries look for when Python ends is still there
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
