"""Loads on a real Airflow on PostgreSQL whose processes are killed meanwhile: run, and judged one by one."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimove_provider.demo import airflow_home
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.server import EmulatorServer
from tests.support.backfill.cluster import Cluster, running_cluster
from tests.support.backfill.postgres import running_postgres
from tests.support.kills.killer import DEATHS_ARE_NOTICED_SOON, KINDS, SUPERVISOR, TASK, TRIGGERER, Killer
from tests.support.kills.lanes import WAREHOUSE, DcpLane, Lane, OptixLane, Verdict, client_of

DAGS = Path(__file__).parent / "dags"
WAYS = ("optix_changed", "dcp_changed", "optix_full", "dcp_full", "optix_changed", "dcp_changed")
SWITCHES = Switches(latency_seconds=0.5, import_after_seconds=8.0)
"""Answers take a while, so that most kills come while a load is under way."""

_STATE = "SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s"
_TRIES = """
SELECT count(*) FROM (
    SELECT try_number FROM task_instance WHERE dag_id = %s AND run_id = %s
    UNION SELECT try_number FROM task_instance_history WHERE dag_id = %s AND run_id = %s) AS tries
"""
_ACCOUNT = "SELECT value FROM xcom WHERE dag_id = %s AND run_id = %s AND key = 'return_value'"


@dataclass(frozen=True)
class Outcome:
    """One load: which way, whom it was to lose, how it ended for Airflow, and what became of its rows."""

    dag_id: str
    kind: str
    state: str
    tries: int
    seconds: float
    accepted: int
    verdict: Verdict


@dataclass
class Field:
    """What runs, and who kills."""

    cluster: Cluster
    emulator: EmulatorServer
    killer: Killer
    outcomes: list[Outcome] = field(default_factory=list)

    def load(self, lane: Lane, kind: str, chance: random.Random) -> Outcome:
        """One load, meanwhile one kill."""
        lane.move()
        lane.mark(self.emulator)
        began = time.monotonic()
        conf = {"target": lane.target, "table": lane.table, "key": lane.key}
        run = self.cluster.api("POST", f"/api/v2/dags/{lane.dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        ids = (lane.dag_id, run["dag_run_id"])
        self.killer.kill(kind, *ids, chance, lambda: lane.is_under_way(self.emulator))
        self.cluster.wait_for(f"end of {ids}", lambda: self._state(*ids) in ("success", "failed"))
        seconds = time.monotonic() - began
        ((tries,),) = self.cluster.rows(_TRIES, *ids, *ids)
        account = next((value for (value,) in self.cluster.rows(_ACCOUNT, *ids)), {})
        verdict = lane.judge(self.emulator, account)
        return Outcome(lane.dag_id, kind, self._state(*ids), tries, seconds, account.get("accepted", 0), verdict)

    def _state(self, *ids: str) -> str:
        ((state,),) = self.cluster.rows(_STATE, *ids)
        return str(state)


def kinds_for(dag_id: str) -> Sequence[str]:
    """Whom a load can lose: only imports wait in the triggerer for certain. Tasks die most often."""
    return (*KINDS, TASK, SUPERVISOR, TRIGGERER) if dag_id.startswith("dcp") else (TASK, SUPERVISOR, TASK, *KINDS[:4])


@contextmanager
def running_field(folder: Path, ways: Sequence[str] = WAYS) -> Iterator[tuple[Field, list[Lane]]]:
    """An Airflow on PostgreSQL, an emulator and the lanes, while the block lasts."""
    with ExitStack() as stopping:
        postgres = stopping.enter_context(running_postgres(folder / "postgres"))
        postgres.create(WAREHOUSE)
        # A killed scheduler's connections are open for as long as the workers live that it has forked.
        postgres.end_transactions_left_open("30s")
        emulator = stopping.enter_context(EmulatorServer())
        lanes = [_lane(dag_id, number, postgres) for number, dag_id in enumerate(ways)]
        client = stopping.enter_context(client_of(emulator, airflow_home.TOKEN))
        for lane in lanes:
            lane.make_target(emulator, client)
        emulator.state.switches = SWITCHES
        connections = {
            **airflow_home.connections(emulator.url, emulator.s3_url, folder),
            "warehouse_default": postgres.airflow_connection(WAREHOUSE),
        }
        more = {**DEATHS_ARE_NOTICED_SOON, "AIRFLOW__CORE__PARALLELISM": str(len(lanes))}
        cluster = stopping.enter_context(running_cluster(folder / "airflow", DAGS, postgres, connections, {}, more))
        known = "SELECT count(DISTINCT dag_id) FROM serialized_dag"
        cluster.wait_for("DAGs", lambda: cluster.rows(known) == [(len(set(WAYS)),)])
        yield Field(cluster, emulator, stopping.enter_context(Killer(cluster))), lanes


def _lane(dag_id: str, number: int, postgres: Any) -> Lane:
    kind = DcpLane if dag_id.startswith("dcp") else OptixLane
    return kind(dag_id, number, postgres, random.Random(number))  # noqa: S311 - no secret


def run_loads(
    found: Field,
    lanes: Sequence[Lane],
    plan: Mapping[int, Sequence[str]],
    seed: int,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> None:
    """In each lane, by its number, one load after the other, each with a kill of that kind; the lanes at once."""
    lock = threading.Lock()

    def run_lane(number: int) -> None:
        chance = random.Random(f"{seed} {number}")  # noqa: S311 - no secret
        for kind in plan[number]:
            outcome = found.load(lanes[number], kind, chance)
            with lock:
                found.outcomes.append(outcome)
                tell(outcome)

    with ThreadPoolExecutor(len(plan)) as pool:
        list(pool.map(run_lane, plan))
