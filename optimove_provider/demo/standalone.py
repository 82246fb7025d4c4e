"""`airflow standalone` as a child: started, watched until it is healthy, and stopped with all that it started."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from optimove_provider.demo.loopback import HOST, get_json

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
START_SECONDS, STOP_SECONDS = 240, 45


class NotRunning(Exception):
    """Airflow ended, or did not become healthy."""


def settings(port: int, log_ports: tuple[int, int]) -> dict[str, str]:
    """Airflow's settings for a small standalone on loopback, with one user who may do everything."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # The records are published ones.
        "AIRFLOW__OPTIMOVE__SHOW_RECORDS": "True",
        # On a busy machine SQLite lets one wait for the other: a task would fail for that, and wait for its retry.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # A DAG file that is put into the folder shows after seconds instead of minutes.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__API__HOST": HOST,
        # Workers find the API by base_url, not by port: with only one of them set, every task fails.
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_ports[0]),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_ports[1]),
        # Standalone starts its parts by the name `airflow`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }


def airflow(log: Path, *arguments: str, variables: Mapping[str, str] = os.environ) -> None:
    """Run an `airflow` command to its end, its output in the log. Raises NotRunning if it fails."""
    airflow_commands(log, [arguments], variables)


_COMMANDS = """
import json, sys
from airflow.__main__ import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["airflow", *command]
    main()
"""


def airflow_commands(log: Path, commands: Sequence[Sequence[str]], variables: Mapping[str, str] = os.environ) -> None:
    """Run some `airflow` commands, one after the other, in one process: its start is most of what each takes."""
    command = [sys.executable, "-c", _COMMANDS, json.dumps(commands)]
    with log.open("ab") as output:
        done = subprocess.run(command, stdout=output, stderr=output, env=variables, check=False)
    if done.returncode:
        told = ", ".join(f"`airflow {' '.join(one)}`" for one in commands)
        raise NotRunning(f"{told} failed ({done.returncode})")


@contextmanager
def running(
    log: Path, command: str = "standalone", variables: Mapping[str, str] = os.environ
) -> Iterator[subprocess.Popen[bytes]]:
    """Airflow standalone, or one part of Airflow, while the block lasts."""
    process = start(log, command, variables=variables)
    try:
        yield process
    finally:
        stop(process)


def start(log: Path, *command: str, variables: Mapping[str, str] = os.environ) -> subprocess.Popen[bytes]:
    """Start Airflow standalone, or one part of Airflow, in a session of its own: a Ctrl-C reaches only us."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", *command],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End standalone and all its processes, politely if they let us."""
    # Only SIGINT makes standalone stop its parts; SIGTERM would orphan them.
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        members = family(process.pid)
        for member in members if number != signal.SIGINT else members[:1]:
            _send(member, number)
        if not psutil.wait_procs(members, timeout=seconds)[1] and not family(process.pid):
            break
    process.poll()


def family(pid: int) -> list[psutil.Process]:
    """The living processes of the session that `pid` leads, itself first, orphans included."""
    members = [member for member in psutil.process_iter() if session_of(member.pid) == pid]
    living = [member for member in members if _alive(member)]
    return sorted(living, key=lambda member: member.pid != pid)


def session_of(pid: int) -> int | None:
    """The session that a process belongs to; None if it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def wait_until_healthy(process: subprocess.Popen[bytes], port: int, tell: Callable[[str], None]) -> None:
    """Wait for the API and all components; `tell` gets each name when it is there. Raises NotRunning."""
    missing = dict.fromkeys(("api-server", *COMPONENTS))
    deadline = time.monotonic() + START_SECONDS
    while missing:
        if process.poll() is not None:
            raise NotRunning(f"Airflow ended ({process.returncode})")
        if time.monotonic() > deadline:
            raise NotRunning(f"after {START_SECONDS} s there is no healthy {', '.join(missing)}")
        for name in _healthy(port):
            if name in missing:
                del missing[name]
                tell(name)
        time.sleep(0.5)


def _healthy(port: int) -> Iterator[str]:
    try:
        health: Mapping[str, Mapping[str, str]] = get_json(f"http://{HOST}:{port}/api/v2/monitor/health")
    except (OSError, ValueError):
        return
    yield "api-server"
    yield from (name for name in COMPONENTS if health.get(name, {}).get("status") == "healthy")


def password(home: Path) -> str:
    """The password that Airflow made for the user admin. Raises OSError if it has not made it yet."""
    generated = home / "simple_auth_manager_passwords.json.generated"
    return str(json.loads(generated.read_text())["admin"])
