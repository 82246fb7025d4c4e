"""How long a backfill of many days takes on a real Airflow: PostgreSQL, LocalExecutor, four runs at once, the emulator.

    python -m benchmarks.backfill [--days 100] [--backwards]

It prints the seconds once no task has failed and the store holds what one pass over the days in order leaves.
"""

import argparse
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from tests.support.backfill.days import ACTIVE_RUNS, INCREMENTAL, running_days

FIRST = date(1997, 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=100, help="how many daily intervals (default: %(default)s)")
    parser.add_argument("--backwards", action="store_true", help="the newest first")
    given = parser.parse_args()
    last = FIRST + timedelta(days=given.days - 1)
    with tempfile.TemporaryDirectory(prefix="backfill-") as folder, running_days(Path(folder)) as days:
        days.wait_for_runs(INCREMENTAL)  # the scheduled run of today
        began = time.monotonic()
        days.backfill(INCREMENTAL, FIRST, last, *["--run-backwards"] * given.backwards)
        days.wait_for_runs(INCREMENTAL)
        seconds = time.monotonic() - began
        results = days.results().values()
        assert days.not_successful(INCREMENTAL) == []
        assert days.emulator.state.violations == []
        assert days.stored("CDNOW customers by day") == days.orders.after_an_ordered_pass(FIRST, last)
    totals = ", ".join(f"{sum(r[name] for r in results):,} {name}" for name in ("rows", "accepted", "stale"))
    print(
        f"{given.days} days, {ACTIVE_RUNS} runs at once: {seconds:.0f} s, {seconds / given.days:.1f} s a day; {totals}"
    )


if __name__ == "__main__":
    main()
