"""`python -m tests.simulation --seeds 1000`, or `--seed 7 --trace`."""

import argparse
import os
import sys
import time
from collections import Counter

from tests.simulation.coverage import too_rare
from tests.simulation.cut import WHOLE, Cut
from tests.simulation.life import Life, lived, lives, one_thread
from tests.simulation.shrinking import shrunk
from tests.simulation.world import TO_BE_MET

ENOUGH = 1000
"""Worlds from which on one can say what is too rare."""


def main(arguments: list[str]) -> int:
    """The exit code: 1 if a world broke a promise, or too little was met."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many worlds")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes")
    parser.add_argument("--stop", action="store_true", help="end with the first world that broke a promise")
    parser.add_argument("--met", action="store_true", help="print how often everything was met")
    parser.add_argument("--seed", type=int, help="this world only")
    parser.add_argument("--only", type=Cut.parsed, default=WHOLE, help="what of it: names, with commas")
    parser.add_argument("--trace", action="store_true", help="print what happened in it")
    parser.add_argument("--no-shrinking", action="store_true", help="do not look for a smaller history that fails, too")
    given = parser.parse_args(arguments)
    if given.seed is None:
        return _many(given)
    with one_thread():
        return _one(given)


def _one(given: argparse.Namespace) -> int:
    life = lived(given.seed, given.only)
    if given.trace:
        _trace(life)
    if not life.broken:
        print(f"seed {life.seed}: no promise is broken")
        return 0
    print(f"seed {life.seed}: {life.broken}")
    if not given.no_shrinking:
        smallest, names = shrunk(life, given.only)
        print(f"shrunk to {len(names)} things: --seed {life.seed} --only '{', '.join(names)}'")
        if given.trace:
            _trace(smallest)
    return 1


def _trace(life: Life) -> None:
    print(*life.trace, sep="\n")
    print("trace", life.digest)


def _many(given: argparse.Namespace) -> int:
    all_lives, began, met = list[Life](), time.monotonic(), Counter[str]()
    for life in lives(range(given.first, given.first + given.seeds), given.jobs):
        all_lives.append(life)
        met.update(life.met)
        if life.broken:
            print(f"seed {life.seed}: {life.broken}", flush=True)
            if given.stop:
                break
    return _said(given, all_lives, time.monotonic() - began, met)


def _said(given: argparse.Namespace, all_lives: list[Life], took: float, met: Counter[str]) -> int:
    hours, count = sum(life.hours for life in all_lives), len(all_lives)
    pace = f"{hours:.0f} virtual hours in {took:.0f} s, {hours * 3600 / took:.0f} times as fast as real ones"
    print(f"{count} worlds ({sum(life.is_trivial for life in all_lives)} trivial), {pace}")
    for name in ("loads", "workers", "faults", "deaths"):
        print(f"{name} in each: {sum(getattr(life, name) for life in all_lives) / count:.1f}")
    if given.met:
        print(*(f"{met[name]:7} {name}" for name in sorted(met)), sep="\n")
    failed = [life.seed for life in all_lives if life.broken]
    rare = too_rare(met, TO_BE_MET, count) if count >= ENOUGH else {}
    if rare:
        print("met too rarely:", *(f"{count:7} {name}" for name, count in rare.items()), sep="\n")
    print(f"failed: {failed}" + (f"; replay one with --seed {failed[0]} --trace" if failed else ""))
    return 1 if failed or rare else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set would be another one each time
        os.execve(  # noqa: S606
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main(sys.argv[1:]))
