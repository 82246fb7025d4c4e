"""Real ends of what Airflow sends on: a UDP socket for metrics, a file for lineage."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def metrics(environment: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Switch Airflow's own metrics on; at the end of the block the list has what was sent, a line each."""
    received: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for name, value in {"ON": "True", "HOST": "127.0.0.1", "PORT": str(listener.getsockname()[1])}.items():
            environment.setenv(f"AIRFLOW__METRICS__STATSD_{name}", value)
        environment.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "True")
        _begin_stats()
        try:
            yield received
        finally:
            _close_sockets()
            environment.setenv("AIRFLOW__METRICS__STATSD_ON", "False")
            _begin_stats()
            while True:
                try:
                    received += listener.recv(65536).decode().splitlines()
                except BlockingIOError:
                    break


def _begin_stats() -> None:
    """As the process of a task does it, in this version of Airflow."""
    from airflow.providers.common.compat.sdk import Stats
    from airflow.sdk.observability.metrics import stats_utils

    try:
        Stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
    except TypeError:  # 3.2
        Stats.initialize(factory=stats_utils.get_stats_factory(Stats))


def _close_sockets() -> None:
    """Of Airflow's core and of its task SDK, which each have their own copy of what sends."""
    for name, module in list(sys.modules.items()):
        if name.endswith("._shared.observability.metrics.stats"):
            holder, attribute = (module, "_backend") if hasattr(module, "_backend") else (module.Stats, "instance")
            backend = getattr(holder, attribute)
            if hasattr(backend, "statsd"):
                backend.statsd.close()
                setattr(holder, attribute, None)


@contextmanager
def lineage(environment: pytest.MonkeyPatch, file: Path) -> Iterator[list[dict[str, Any]]]:
    """Switch OpenLineage on, if Airflow has its provider; at the end of the block the list has the events of tasks."""
    from airflow.sdk.execution_time import task_runner

    events: list[dict[str, Any]] = []
    try:
        from airflow.providers.openlineage.plugins.listener import OpenLineageListener
    except ImportError:
        yield events
        return
    to = {"type": "file", "log_file_path": str(file), "append": True}
    environment.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(to))
    environment.setenv("AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD", "True")  # no fork of a process with a server in it
    manager = task_runner.get_listener_manager()
    if not _registered(manager, OpenLineageListener):  # else Airflow has found it by itself, with the transport
        manager.add_listener(OpenLineageListener())
    try:
        yield events
    finally:
        for listener in _registered(manager, OpenLineageListener):
            manager.pm.unregister(listener)
        environment.delenv("AIRFLOW__OPENLINEAGE__TRANSPORT")
        lines = file.read_text().splitlines() if file.exists() else []
        events += [event for event in map(json.loads, lines) if "." in event["job"]["name"]]


def _registered(manager: Any, kind: type) -> list[Any]:
    return [one for one in manager.pm.get_plugins() if isinstance(one, kind)]
