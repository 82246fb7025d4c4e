"""`make up`: Airflow and the emulator, to click around in, until Ctrl-C."""

import json
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from optimove_provider.demo import airflow_home, standalone, warehouse
from optimove_provider.demo.loopback import HOST
from optimove_provider.demo.terminal import last_error, step
from optimove_provider.disk.modes import PRIVATE, open_private
from optimove_provider.emulator.server import EmulatorServer

TRY_DAG = "warehouse_to_profiles"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def keep_up(folder: Path, dags: Path, port: int, emulator_port: int) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP, in a folder that is emptied first. Returns the exit code."""
    taken = [str(number) for number in (port, emulator_port, emulator_port + 1) if not _is_free(number)]
    if taken:
        print(f"Taken on {HOST}: port {', '.join(taken)}. Choose others: --port, --emulator-port", file=sys.stderr)
        return 1
    if port in (emulator_port, emulator_port + 1):
        told = f"--port {port} is one of the emulator's, which takes {emulator_port} and {emulator_port + 1}"
        print(f"{told}. Choose another one for Airflow", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(PRIVATE.folder, parents=True)
    log = folder / "airflow.log"
    with _interruptible():
        try:
            _serve(folder, dags, port, emulator_port)
        except standalone.NotRunning as trouble:
            print(f"{trouble}: {last_error(log)}\nAirflow's log: {log}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Stopped.", flush=True)
    return 0


def _serve(folder: Path, dags: Path, port: int, emulator_port: int) -> None:
    home, log, database = folder / "airflow", folder / "airflow.log", folder / "warehouse.db"
    with step("Loading CDNOW's orders into a SQLite warehouse"):
        warehouse.load_orders(database)
    with EmulatorServer(HOST, emulator_port) as emulator:
        airflow_home.enter(airflow_home.environment(home, dags) | standalone.settings(port, _free_ports()))
        with step("Making Airflow's database, with the connections and the pool in it"):
            standalone.airflow(log, "db", "migrate")
            connections = airflow_home.connections(emulator.url, emulator.s3_url, database)
            standalone.airflow(log, "connections", "import", str(_written(folder, connections)))
            standalone.airflow(log, "pools", "set", "optix", "2", "loads to Opti-X at a time")
        with standalone.running(log) as process:
            try:
                with step("Starting Airflow"):
                    standalone.wait_until_healthy(process, port, _tell)
                print(_welcome(port, standalone.password(home), emulator.url, log), flush=True)
                raise standalone.NotRunning(f"`airflow standalone` ended ({process.wait()})")
            finally:
                print("\nStopping Airflow and the emulator ...", flush=True)


def _written(folder: Path, connections: dict[str, dict[str, Any]]) -> Path:
    path = folder / "connections.json"
    with open_private(path) as file:
        file.write(json.dumps(connections, indent=2).encode())
    return path


def _tell(component: str) -> None:
    print(component, end=" ", flush=True)


def _welcome(port: int, password: str, emulator_url: str, log: Path) -> str:
    return f"""
Airflow    http://{HOST}:{port}
login      admin
password   {password}
emulator   {emulator_url}/_emulator/
log        {log}

Trigger the DAG {TRY_DAG}: http://{HOST}:{port}/dags/{TRY_DAG}
Ctrl-C stops everything."""


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the first signal into a KeyboardInterrupt. Later ones find us stopping already.

    Also where SIGINT was ignored, as in the background of a shell script; our children would inherit that.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody has: nobody needs to know them."""
    with socket.socket() as first, socket.socket() as second:
        first.bind((HOST, 0))
        second.bind((HOST, 0))
        return first.getsockname()[1], second.getsockname()[1]
