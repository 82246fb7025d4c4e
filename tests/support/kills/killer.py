"""Who kills processes of a running Airflow with SIGKILL, and starts its services again."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Self

import psutil

from optimove_provider.demo import standalone
from tests.support.backfill.cluster import Cluster

TASK = "task"
SUPERVISOR = "supervisor of a task"
SCHEDULER = "scheduler"
MACHINE = "scheduler with all workers"
TRIGGERER = "triggerer"
KINDS = (TASK, SUPERVISOR, SCHEDULER, MACHINE, TRIGGERER)
DEATHS_ARE_NOTICED_SOON = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "12",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "4",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
}
"""Airflow's settings: by default it takes five minutes."""

_TASK = "SELECT id::text, state FROM task_instance WHERE dag_id = %s AND run_id = %s"
_NEWEST_JOB = "SELECT max(id) FROM job WHERE lower(job_type) = %s || 'job' AND latest_heartbeat > start_date"
_WORKER, _LOCAL = "airflow worker -- ", "airflow worker -- LocalExecutor: "
_IDLE, _BURIED_EVERY = "<idle>", 2.0
_LONGEST = 600.0
"""So many seconds is waited for something to kill."""


class Killer:
    """Kills what a run needs, at a moment that chance decides. `kills` counts by kind.

    While the `with` block lasts, it buries what a death has left and nobody uses, as whoever runs services does. That
    is more than tidy: what a scheduler has forked has its connections to the database, where the dead one's open
    transaction would keep its locks for as long.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._lock = cluster, threading.Lock()
        self.kills: Counter[str] = Counter()
        self._over = threading.Event()
        self._undertaker = threading.Thread(target=self._bury_again_and_again, name="undertaker", daemon=True)

    def __enter__(self) -> Self:
        self._undertaker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._undertaker.join()

    def _bury_again_and_again(self) -> None:
        while not self._over.wait(_BURIED_EVERY):
            self._bury()

    def kill(self, kind: str, dag_id: str, run_id: str, chance: random.Random, under_way: Callable[[], bool]) -> None:
        """Kill a process of that kind once; nothing is killed where the run ends before that.

        `under_way` tells whether the target has got anything of the load: every other task dies right after that.
        """
        if kind in (TASK, SUPERVISOR):
            wait = chance.random() < 0.5
            self._wait_until(under_way if wait else lambda: True, dag_id, run_id)
            done = self._kill_process(kind, dag_id, run_id, chance.uniform(0, 1 if wait else 5))
        elif kind == TRIGGERER:
            is_deferred = lambda: self._state(dag_id, run_id) == "deferred"  # noqa: E731
            done = self._wait_until(is_deferred, dag_id, run_id) and self._kill_part("triggerer", chance, 3)
        else:
            done = self._kill_part("scheduler", chance, 12, whole=kind == MACHINE)
        self.kills[kind] += done

    def _kill_process(self, kind: str, dag_id: str, run_id: str, delay: float) -> bool:
        """The process that runs the task, or the one that watches over it, some time after it has begun.

        A worker of the LocalExecutor that dies before leaves its task queued until the scheduler starts anew: Airflow's
        own limit, as that executor cannot take a task back.
        """
        deadline = time.monotonic() + _LONGEST
        while time.monotonic() < deadline:
            for process in self._processes(kind, dag_id, run_id):
                time.sleep(delay)
                if kind == SUPERVISOR and self._state(dag_id, run_id) == "queued":
                    continue
                with suppress(psutil.NoSuchProcess):
                    if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                        process.kill()
                        return True
                delay /= 2  # it was too quick
            if self._state(dag_id, run_id) in ("success", "failed"):
                return False
            time.sleep(0.1)
        return False

    def _processes(self, kind: str, dag_id: str, run_id: str) -> Iterator[psutil.Process]:
        for task_id, _ in self._cluster.rows(_TASK, dag_id, run_id):
            wanted = f"{_WORKER if kind == TASK else _LOCAL}{task_id}"
            yield from (process for process in _ours(self._cluster) if _title(process).startswith(wanted))

    def _state(self, dag_id: str, run_id: str) -> str:
        return next((str(state) for _, state in self._cluster.rows(_TASK, dag_id, run_id)), "")

    def _wait_until(self, there: Callable[[], bool], dag_id: str, run_id: str) -> bool:
        """Wait for something to happen in a run; tells whether it did before the run was over."""
        deadline = time.monotonic() + _LONGEST
        while self._state(dag_id, run_id) not in ("success", "failed") and time.monotonic() < deadline:
            if there():
                return True
            time.sleep(0.1)
        return False

    def _kill_part(self, part: str, chance: random.Random, longest: float, whole: bool = False) -> bool:
        """Kill a service, with all its children if the `whole` machine dies, and start it again."""
        time.sleep(chance.uniform(0, longest))
        with self._lock:
            process = self._cluster.parts[part]
            members = standalone.family(process.pid) if whole else [psutil.Process(process.pid)]
            for member in members:
                with suppress(psutil.NoSuchProcess):
                    member.send_signal(signal.SIGKILL)
            process.wait()
            self._start_again(part)
        return True

    def _start_again(self, part: str) -> None:
        """Start a service, and return when it works: if it died more often than it can start, no load would get on."""
        ((before,),) = self._cluster.rows(_NEWEST_JOB, part)
        self._cluster.start(part)
        self._cluster.wait_for(part, lambda: self._cluster.rows(_NEWEST_JOB, part) > [(before,)])

    def _bury(self) -> None:
        """Kill what services that are dead have started, but for tasks and those that watch over one."""
        living = {process.pid for process in self._cluster.parts.values()}
        for process in _ours(self._cluster):
            is_busy = (title := _title(process)).startswith(_WORKER) and _IDLE not in title
            if standalone.session_of(process.pid) not in living and not is_busy:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def _ours(cluster: Cluster) -> Iterator[psutil.Process]:
    sessions = {process.pid for process in cluster.started}
    for process in psutil.process_iter():
        if standalone.session_of(process.pid) in sessions:
            yield process


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
