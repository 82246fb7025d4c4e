"""`python -m optimove_provider.demo.containers.surroundings`: is this a place where all of it can run?

Too little memory, too few processors or too little room are warned of; DAGs that cannot be read end the start.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

GB = 10**9
LEAST_MEMORY, LEAST_CPUS, LEAST_DISK = 4 * GB, 2, 5 * GB
HOME = Path(os.environ.get("AIRFLOW_HOME", "/opt/airflow"))


def lacks(memory: int, cpus: int, disk: int) -> Iterator[str]:
    """What is too little here, a sentence each; memory and disk in bytes."""
    if memory < LEAST_MEMORY:
        yield (
            f"{memory / GB:.1f} GB of memory, and {LEAST_MEMORY // GB} are advised: services may be killed, and start "
            "again. Give Docker more"
        )
    if cpus < LEAST_CPUS:
        yield f"{cpus} processor, and {LEAST_CPUS} are advised: the start takes minutes"
    if disk < LEAST_DISK:
        yield f"{disk / GB:.1f} GB of room are left, and {LEAST_DISK // GB} are advised: make room for Docker"


def unreadable(folder: Path) -> list[Path]:
    """The folder, or what is in it, that this user cannot read."""
    if not os.access(folder, os.R_OK | os.X_OK):
        return [folder]
    modes = {True: os.R_OK | os.X_OK, False: os.R_OK}
    return [path for path in sorted(folder.rglob("*")) if not os.access(path, modes[path.is_dir()])]


def check(home: Path) -> int:
    """Print what is wrong. Returns the exit code."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for text in lacks(memory, os.cpu_count() or 1, shutil.disk_usage(home).free):
        print(f"WARNING: {text}.", flush=True)
    if closed := unreadable(home / "dags"):
        print(
            f"ERROR: user {os.geteuid()} of the containers cannot read {closed[0]}, which is the folder dags beside "
            "docker-compose.yaml. Run there: chmod -R a+rX dags; or write AIRFLOW_UID=<your id, see `id -u`> to .env",
            file=sys.stderr,
        )
    return 1 if closed else 0


if __name__ == "__main__":
    sys.exit(check(HOME))
