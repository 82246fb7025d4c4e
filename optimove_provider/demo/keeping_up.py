"""`make up`: Airflow and the emulator, to click around in, until Ctrl-C."""

import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from optimove_provider.addresses import IN_MENU
from optimove_provider.demo import airflow_home, standalone, warehouse
from optimove_provider.demo.loopback import HOST
from optimove_provider.demo.terminal import last_error, step
from optimove_provider.disk.modes import PRIVATE, open_private
from optimove_provider.emulator.server import EmulatorServer

TRY_DAG, BACKFILL_DAG, REJECTED_DAG = "warehouse_to_profiles", "optix_incremental", "demo_order"
OTHER_PORTS = 'make up UP="--port 8081 --emulator-port 8199"'
Connections = dict[str, dict[str, Any]]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def keep_up(folder: Path, dags: Path, port: int, emulator_port: int) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP, and go on with what the folder holds. Returns the exit code."""
    taken = [str(number) for number in (port, emulator_port, emulator_port + 1) if not _is_free(number)]
    if taken:
        print(f"Taken on {HOST}: port {', '.join(taken)}. Choose others: {OTHER_PORTS}", file=sys.stderr)
        return 1
    if port in (emulator_port, emulator_port + 1):
        told = f"--port {port} is one of the emulator's, which takes {emulator_port} and {emulator_port + 1}"
        print(f"{told}. Choose another one for Airflow", file=sys.stderr)
        return 1
    folder.mkdir(PRIVATE.folder, parents=True, exist_ok=True)
    log = folder / "airflow.log"
    with _interruptible():
        try:
            return _serve(folder, dags, port, emulator_port)
        except standalone.NotRunning as trouble:
            told = (
                f"{trouble}: {last_error(log)}\nAirflow's log: {log}\nTo start anew, without what it held: make clean"
            )
            print(told, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Stopped.", flush=True)
    return 0


def _serve(folder: Path, dags: Path, port: int, emulator_port: int) -> int:
    home, log, database = folder / "airflow", folder / "airflow.log", folder / "warehouse.db"
    with ExitStack() as serving:
        try:
            server = EmulatorServer(HOST, emulator_port, state_file=folder / "emulator.jsonl")
            emulator = serving.enter_context(server)
        except (OSError, RuntimeError) as trouble:  # another `make up` in this folder, too
            print(f"The emulator does not start: {trouble}", file=sys.stderr)
            return 1
        if log.exists():
            log.replace(folder / "airflow.log.1")  # of the start before
        if not warehouse.days(database):
            with step("Loading CDNOW's orders into a SQLite warehouse"):
                warehouse.load_orders(database)
        airflow_home.enter(airflow_home.environment(home, dags) | standalone.settings(port, _free_ports()))
        _prepare(folder, log, connections_to(emulator, database))
        with standalone.running(log) as process:
            try:
                with step("Starting Airflow"):
                    standalone.wait_until_healthy(process, port, _tell)
                print(_welcome(folder, dags, port, emulator), flush=True)
                raise standalone.NotRunning(f"`airflow standalone` ended ({process.wait()})")
            finally:
                print("\nStopping Airflow and the emulator ...", flush=True)


def connections_to(emulator: EmulatorServer, database: Path) -> Connections:
    """Those of the demo. What the emulator holds is the same on whatever ports it is, so ledgers and remembered data
    connections go on when these change."""
    made = airflow_home.connections(emulator.url, emulator.s3_url, database)
    for conn_id in ("optix_default", "dcp_default"):
        made[conn_id]["extra"]["target_alias"] = "same"
    return made


def _prepare(folder: Path, log: Path, connections: Connections) -> None:
    """Make Airflow's database, the connections and the pool, if they are not there yet. Later on, connections change
    only where they lead: to an emulator on other ports. One that was edited in Airflow stays as it is."""
    made = folder / "connections.json"  # written when all of it was made
    before: Connections = json.loads(made.read_text()) if made.exists() else {}
    if before == connections:
        return
    wanted = folder / "wanted.json"
    commands = [["connections", "import", "--overwrite", str(wanted)]]
    if not before:
        commands = [["db", "migrate"], ["pools", "set", "optix", "2", "loads to Opti-X at a time"], *commands]
    doing = "Leading the connections to other ports" if before else "Making Airflow's database, connections and pool"
    with step(doing):
        _written(wanted, _unedited(folder, log, before, connections) if before else connections)
        standalone.airflow_commands(log, commands)
        _written(wanted, connections).replace(made)


def _unedited(folder: Path, log: Path, before: Connections, now: Connections) -> Connections:
    """Those of the connections that Airflow still has as they were made, or not at all."""
    exported = folder / "exported.json"
    _written(exported, {})  # it holds passwords
    standalone.airflow(log, "connections", "export", "--file-format", "json", str(exported))
    found = json.loads(exported.read_text())
    exported.unlink()
    edited = [name for name in now if name in found and name in before and not _is_made_of(found[name], before[name])]
    if edited:
        print(f"edited, and left as they are: {', '.join(edited)}", end=" ", flush=True)
    return {name: fields for name, fields in now.items() if name not in edited}


def _is_made_of(found: dict[str, Any], fields: dict[str, Any]) -> bool:
    return all(_plain(found.get(name)) == _plain(value) for name, value in fields.items())


def _plain(value: Any) -> Any:
    """An extra is a text in Airflow; no port is 0 or None."""
    return (json.loads(value) if isinstance(value, str) and value.startswith("{") else value) or None


def _written(path: Path, connections: Connections) -> Path:
    with open_private(path) as file:
        file.write(json.dumps(connections, indent=2).encode())
    return path


def _tell(component: str) -> None:
    print(component, end=" ", flush=True)


def _welcome(folder: Path, dags: Path, port: int, emulator: EmulatorServer) -> str:
    first, last = warehouse.days(folder / "warehouse.db") or ("", "")
    airflow = f"http://{HOST}:{port}"
    return f"""
Airflow    {airflow}
login      admin
password   {standalone.password(folder / "airflow")}
emulator   {emulator.url}/_emulator/
log        {folder / "airflow.log"}
data       orders from {first} to {last}: the days that a backfill finds something for

1. Back-fill {BACKFILL_DAG} (Trigger > Backfill), from 1997/03/01 to 1997/03/03: {airflow}/dags/{BACKFILL_DAG}
2. What became of the rows (Browse > Sync history): {airflow}/plugin/{IN_MENU}
3. A row that is rejected, mended and sent: the text of {REJECTED_DAG} (the book beside its name) has the steps:
   {airflow}/dags/{REJECTED_DAG}
4. Both stores from one query: {airflow}/dags/{TRY_DAG}
5. Your own DAG file: save it in {dags}, and it shows after about half a minute.

Ctrl-C stops everything. The next `make up` goes on with all this; `make clean` empties it."""


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
