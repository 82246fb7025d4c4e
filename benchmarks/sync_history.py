"""How long the Sync history takes at 1,000 loads, against Airflow's own list of DAGs, in one run and one process.

python -m benchmarks.sync_history [loads]
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from optimove_provider.demo import airflow_home, journey

DAGS = Path(__file__).parent.parent / "dags"
TIMES = 15


def main(loads: int) -> None:
    """Print the medians and their ratio. Our page has 1,000 loads to look through; Airflow has the example DAGs."""
    with tempfile.TemporaryDirectory() as home:
        airflow_home.enter(airflow_home.environment(Path(home), DAGS))
        journey.initdb()
        for dag in journey.load_dags(DAGS).values():
            journey.register(dag)
        _file_reports(loads)
        _measure(loads)


def _file_reports(loads: int) -> None:
    from optimove_provider.loads.report.report import Report
    from optimove_provider.tasks.staging import staging

    place = staging()
    for number in range(loads):
        target = {"optix": f"{number % 7:08}-0000-4000-8000-000000000000", "host": "https://example.com"}
        run = {"dag_id": "optix_incremental", "task_id": "upload", "run_id": f"run {number}", "map_index": -1}
        report = Report(f"{number:08}-0000-4000-8000-000000000000", target, "committed", 5000, 4990, 10, run=run)
        report.began = report.ended = f"2026-11-28T{number % 24:02}:00:00+00:00"
        report.reasons = {f"reason {one}": 1 for one in range(10)}
        report.file(place)


def _measure(loads: int) -> None:
    from tests.support.ui.pages import ADMIN, Browser, api_server

    with api_server() as client:
        browser = Browser(client, ADMIN)
        began = time.perf_counter()
        assert browser.get("/optimove/").status_code == 200
        print(f"the first page, with {loads} reports to read: {time.perf_counter() - began:.3f} s")
        medians = {}
        for path in ("/optimove/", "/ui/dags?limit=50"):
            browser.get(path)
            medians[path] = statistics.median(_seconds(browser, path) for _ in range(TIMES))
            print(f"{path}: {medians[path] * 1000:.1f} ms, median of {TIMES}")
        ours, theirs = medians.values()
        print(f"the Sync history takes {ours / theirs:.2f} times what Airflow's list of DAGs takes")


def _seconds(browser, path: str) -> float:
    began = time.perf_counter()
    assert browser.get(path).status_code == 200
    return time.perf_counter() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
