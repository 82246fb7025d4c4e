"""`python -m tests.simulation --seeds 1000`, or `--seed 7 --trace`."""

import argparse
import hashlib
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.simulation.world import World
from tests.support.crash.shared_duck import shared_duck

MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux has it


def lived(seed: int) -> tuple[World, Exception | None]:
    """A world at its end, and what went wrong there."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(seed, Path(folder))
        try:
            world.run()
        except Exception as error:
            return world, error
    return world, None


def main() -> int:
    """The exit code: 1 if a world broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many worlds")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="this world only")
    parser.add_argument("--trace", action="store_true", help="print what happened in it")
    parser.add_argument("--stop", action="store_true", help="end with the first world that broke a promise")
    wanted = parser.parse_args()
    logging.disable(logging.CRITICAL)
    seeds = [wanted.seed] if wanted.seed is not None else range(wanted.first, wanted.first + wanted.seeds)
    met, failed, began, hours = Counter[str](), list[int](), time.monotonic(), 0.0
    with shared_duck():
        for seed in seeds:
            world, error = lived(seed)
            met.update(world.chaos.met)
            hours += world.scheduler.clock / 3600
            if wanted.trace:
                print(*world.scheduler.trace, sep="\n")
                print("trace", hashlib.sha256("\n".join(world.scheduler.trace).encode()).hexdigest()[:16])
            if error:
                failed.append(seed)
                print(f"seed {seed}: {type(error).__name__}: {error}")
                if wanted.trace:
                    raise error
                if wanted.stop:
                    break
    took = time.monotonic() - began
    pace = f"{hours:.0f} virtual hours in {took:.0f} s, {hours * 3600 / took:.0f} times as fast as real ones"
    print(f"{len(seeds)} worlds, {pace}; met: {dict(met)}")
    print(f"failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
