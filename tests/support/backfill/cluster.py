"""Airflow as it is run for real: each part a process of its own, on PostgreSQL, with loads that run at once."""

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from optimove_provider.demo import airflow_home, standalone
from optimove_provider.demo.loopback import HOST, get_json
from tests.support.backfill.postgres import Postgres

PARTS = ("api-server", "dag-processor", "triggerer")
DATABASE = "airflow"
PATIENCE_SECONDS = 1800  # how long to wait for what must come; a busy machine is no failure


@dataclass(frozen=True)
class Cluster:
    """A running Airflow. `variables` is the environment of its `parts`; `started` has also those that are dead."""

    home: Path
    variables: Mapping[str, str]
    postgres: Postgres
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, part: str, *command: str) -> None:
        """Start a part, perhaps again; its `command` if that is not its name."""
        log = self.home / f"{part}.log"
        self.parts[part] = standalone.start(log, *(command or (part,)), variables=self.variables)
        self.started.append(self.parts[part])

    def stop(self) -> None:
        """End every part, also what is left of those that were killed."""
        with ThreadPoolExecutor(max(len(self.started), 1)) as pool:
            list(pool.map(standalone.stop, self.started))

    @property
    def port(self) -> int:
        """Where the API is."""
        return int(self.variables["AIRFLOW__API__PORT"])

    def cli(self, *arguments: str) -> None:
        """Run an `airflow` command. Raises NotRunning if it fails; its words are in commands.log."""
        standalone.airflow(self.home / "commands.log", *arguments, variables=self.variables)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a query of Airflow's database answers."""
        with closing(self.postgres.connect(DATABASE)) as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())

    def logged(self, *words: str) -> bool:
        """Whether the scheduler has logged a line with all these words."""
        lines = (self.home / "scheduler.log").read_text(errors="replace").splitlines()
        return any(all(word in line for word in words) for line in lines)

    def api(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What Airflow's REST API answers to its user."""
        login = {"username": "admin", "password": standalone.password(self.home)}
        token = self._request("POST", "/auth/token", login, {})["access_token"]
        return self._request(method, path, body, {"Authorization": f"Bearer {token}"})

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None, headers: dict[str, str]) -> Any:
        with closing(HTTPConnection(HOST, self.port, timeout=60)) as connection:
            content = None if body is None else json.dumps(body)
            connection.request(method, quote(path), content, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            text = answer.read().decode()
        if answer.status >= 300:
            raise standalone.NotRunning(f"{method} {path} answered {answer.status}: {text}")
        return json.loads(text)

    def wait_for(self, what: str, there: Callable[[], bool]) -> None:
        """Return when it is there. Raises NotRunning if it does not come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not there():
            if time.monotonic() > deadline:
                raise standalone.NotRunning(f"after {PATIENCE_SECONDS} s: no {what}. Logs: {self.home}")
            time.sleep(0.5)


@contextmanager
def running_cluster(
    folder: Path,
    dags: Path,
    postgres: Postgres,
    connections: dict[str, dict[str, Any]],
    pools: Mapping[str, int],
    more: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """Airflow with the DAGs of a folder, none of them paused, and with `more` variables, while the block lasts."""
    postgres.create(DATABASE)
    cluster = Cluster(folder, {**_variables(folder, dags, postgres, connections), **(more or {})}, postgres)
    cluster.cli("db", "migrate")
    with ExitStack() as stopping:
        stopping.callback(cluster.stop)
        for part in PARTS:
            cluster.start(part)
        api = cluster.parts["api-server"]
        # A task that starts before the API answers fails: with a scheduler of its own, that is a matter of seconds.
        cluster.wait_for("API", lambda: api.poll() is not None or _answers(cluster.port))
        for pool, slots in pools.items():
            cluster.api("POST", "/api/v2/pools", {"name": pool, "slots": slots})
        cluster.start("scheduler")
        standalone.wait_until_healthy(api, cluster.port, lambda name: None)
        yield cluster


def _answers(port: int) -> bool:
    try:
        get_json(f"http://{HOST}:{port}/api/v2/monitor/health")
    except (OSError, ValueError):
        return False
    return True


def processes_of(cluster: Cluster) -> list[str]:
    """The living processes that belong to it."""
    return [" ".join(process.cmdline()) for process in psutil.process_iter() if _home(process) == str(cluster.home)]


def _home(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("AIRFLOW_HOME") if process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _variables(folder: Path, dags: Path, postgres: Postgres, connections: dict[str, dict[str, Any]]) -> dict[str, str]:
    variables = dict(os.environ)
    port, *log_ports = _free_ports(3)
    airflow_home.enter(
        {
            **airflow_home.environment(folder, dags),
            **standalone.settings(port, (log_ports[0], log_ports[1])),
            **airflow_home.as_variables(connections),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.sqlalchemy_url(DATABASE),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            # The parts must agree on it; each would make one up.
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(16),
        },
        into=variables,
    )
    return variables


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
