"""Runs every benchmark at a small size, to see that each still runs: no figure is asserted.

`make bench`, or `python -m benchmarks [NAME ...]`. All are tried; those that failed are named at the end.
"""

import argparse
import subprocess
import sys
import time

SMALL = {
    "changed": "20000 --rounds 1",
    "encode": "--rows 10000 --rounds 1",
    "identifiers": "20000 --rounds 1 --repeated 0.1",
    "parts": "20000 --parts 2",
    "rate": "--rate 50 --seconds 2",
    "reliability": "--rows 5000 --only none",
    "s3_import": "--megabytes 5 --rounds 1 --latency 0 --only "
    "one_pass validate upload_file arrow_csv csv_module nothing arrow_to_s3 arrow_file_and_hook",
    "shapes": "--share 0.001 stripped many JSON",
    "sync_history": "20",
    "upload": "--rows 20000 --rounds 1",
    "validate": "--rows 20000 --rounds 1",
}
"""By module: arguments with which it takes seconds."""
LEFT_OUT = {
    "backfill": "starts a real Airflow on PostgreSQL, which takes minutes",
    "generate": "no benchmark: others write their files with it",
    "kills": "starts a real Airflow on PostgreSQL, which takes minutes",
    "loopback": "no benchmark: a server that others start",
    "mutation": "`make mutate`, which installs what it needs",
    "rivals": "needs other packages; `reliability` runs it where they are",
    "soak": "says of a short run that memory grows; tests/endurance runs its loads",
    "sensors": "waits for imports of two minutes",
    "vendor_script": "no benchmark: `upload` and `reliability` run it",
    "workers": "starts a real Airflow with Celery, which takes minutes",
}
"""Modules that are not run, and why."""


def runs(name: str) -> bool:
    """Run one of them, show what it prints if it fails, and say whether it ran."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *SMALL[name].split()]
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603
    if done.returncode:
        print(done.stdout)
    print(f"{name}: {'FAILED' if done.returncode else 'ran'}, {time.monotonic() - began:.1f} s", flush=True)
    return not done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SMALL)}; without any, all")
    given = parser.parse_args()
    if unknown := set(given.names) - set(SMALL):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    failed = [name for name in given.names or SMALL if not runs(name)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
