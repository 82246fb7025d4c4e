"""`make demo`: real customers go through real Airflow into both stores, and are then compared value by value."""

import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from optimove_provider.demo import airflow_home, journey, loopback, warehouse
from optimove_provider.demo.comparison import Difference, differences, in_dcp, in_optix
from optimove_provider.demo.terminal import last_error, output_to, step
from optimove_provider.disk.modes import PRIVATE
from optimove_provider.emulator.server import EmulatorServer

DAG_IDS = ("optix_walkthrough", "dcp_csv_import", "warehouse_to_profiles")
SHOWN_DIFFERENCES = 10


def show(folder: Path, dags: Path) -> int:
    """Run the demo in a folder that is emptied first. Returns the exit code: 0 if every value arrived."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(PRIVATE.folder, parents=True)
    database, log = folder / "warehouse.db", folder / "airflow.log"
    with step("Loading CDNOW's orders into a SQLite warehouse"):
        orders = warehouse.load_orders(database)
    print(f"  {orders} orders in {database}")
    with EmulatorServer(loopback.HOST) as emulator:
        print(f"Emulator: {emulator.url}, S3: {emulator.s3_url}")
        connections = airflow_home.connections(emulator.url, emulator.s3_url, database)
        airflow_home.enter(airflow_home.environment(folder / "airflow", dags) | airflow_home.as_variables(connections))
        try:
            outcomes = list(_run_dags(log))
        except ImportError as error:
            print(f"A DAG file does not import.\n{error}", file=sys.stderr)
            return 1
        with step("Comparing both stores with the warehouse"):
            state = loopback.get_json(f"{emulator.url}/_emulator/state")
            found = list(differences(database, state))
    _print_table(outcomes)
    _print_verdict(found, len(in_optix(state)), len(in_dcp(state)))
    failed = [outcome.dag_id for outcome in outcomes if outcome.state != "success"]
    if failed:
        print(f"Failed: {', '.join(failed)}. Airflow's log: {log}", file=sys.stderr)
    return 1 if failed or found else 0


def _run_dags(log: Path) -> Iterator[journey.DagOutcome]:
    with step("Starting Airflow with a fresh database"), output_to(log):
        journey.initdb()
    for dag_id in DAG_IDS:
        with step(f"Running the DAG {dag_id}"), output_to(log):
            outcome = journey.run_dag(dag_id)
        for task, state in sorted(outcome.tasks.items()):
            if state != "success":
                print(f"  {task}: {state}")
        if outcome.state != "success":
            print(f"  {last_error(log)}")
        yield outcome


def _print_table(outcomes: list[journey.DagOutcome]) -> None:
    table = Table("target", "rows read", "accepted", "rejected", "seconds", title="What was sent")
    for column in table.columns[1:]:
        column.justify = "right"
    for outcome in outcomes:
        for task, result in outcome.results.items():
            if isinstance(result, dict) and "accepted" in result:
                numbers = [str(result.get(name, "")) for name in ("rows", "accepted", "rejected")]
                table.add_row(f"{outcome.dag_id}.{task}", *numbers, f"{outcome.seconds[task]:.1f}")
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def _print_verdict(found: list[Difference], in_optix: int, in_dcp: int) -> None:
    for difference in itertools.islice(found, SHOWN_DIFFERENCES):
        print(f"DIFFERENT: {difference}")
    if found:
        print(f"{len(found)} values differ, the first {min(len(found), SHOWN_DIFFERENCES)} are shown.")
    else:
        print(f"Every value is right: {in_optix} customers in Opti-X, {in_dcp} in DCP, as in the warehouse.")
