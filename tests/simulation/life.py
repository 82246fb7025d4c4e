"""Worlds from their beginning to their end, each with what it met, and what went wrong there; several at a time."""

import gc
import hashlib
import logging
import multiprocessing
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import repeat
from multiprocessing.util import Finalize
from pathlib import Path

import pyarrow as pa

from tests.simulation.chaos import DEATHS, MOVES
from tests.simulation.cut import WHOLE, Cut
from tests.simulation.liveness import Ended
from tests.simulation.world import World
from tests.support.crash.shared_duck import shared_duck

MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux has it
_INSIDE = re.compile(r"[{\[(].*[})\]]|\bk?\d+(\.\d+)?\b")
"""What differs between two worlds that break the same promise."""


@dataclass(frozen=True)
class Life:
    """One world at its end. `broken` is the promise that it broke, "" if none."""

    seed: int
    broken: str
    met: Counter[str]
    happened: tuple[str, ...]
    hours: float
    loads: int
    workers: int
    faults: int
    deaths: int
    trace: tuple[str, ...]
    ended: Ended | None = None

    @property
    def promise(self) -> str:
        """`broken` without what differs between worlds."""
        return _INSIDE.sub("#", self.broken)

    @property
    def is_trivial(self) -> bool:
        """Whether it shows little: hardly a load, or nothing went wrong."""
        return self.loads < 4 or not self.faults + self.deaths

    @property
    def digest(self) -> str:
        """Of the trace: the same wherever and whenever this world is lived."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


def lived(seed: int, cut: Cut = WHOLE) -> Life:
    """The world of a seed, or what a cut leaves of it."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(seed, Path(folder), cut)
        try:
            world.run()
        except Exception as error:
            return _life(world, f"{type(error).__name__}: {error}")
    return _life(world, "")


def _life(world: World, broken: str) -> Life:
    chaos, met = world.chaos, Counter(world.coverage.met)
    for name, count in chaos.met.items():
        met[f"{'move' if name in MOVES else 'fault'}: {name}"] += count
    deaths = sum(chaos.met[name] for name in DEATHS)
    moves = sum(chaos.met[name] for name in MOVES)
    return Life(
        seed=world.seed,
        broken=broken,
        met=met,
        happened=tuple(chaos.happened),
        hours=world.scheduler.clock / 3600,
        loads=len(world.coverage.loads),
        workers=len(world.airflow.workers),
        faults=chaos.met.total() - deaths - moves,
        deaths=deaths,
        trace=tuple(world.scheduler.trace),
        ended=world.ended,
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """While the block lasts, DuckDB and Arrow work in one thread, and temporary files lie in memory."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None))
        stack.callback(setattr, tempfile, "tempdir", tempfile.tempdir)
        stack.callback(pa.set_cpu_count, pa.cpu_count())
        stack.callback(logging.disable, logging.root.manager.disable)
        tempfile.tempdir = folder
        pa.set_cpu_count(1)
        logging.disable(logging.CRITICAL)
        stack.enter_context(shared_duck(threads=1))
        yield


def lives(seeds: Iterable[int], jobs: int, cut: Cut = WHOLE) -> Iterator[Life]:
    """The worlds of seeds, in their order, in so many processes, or what a cut leaves of them."""
    if jobs == 1:
        with one_thread():
            yield from (lived(seed, cut) for seed in seeds)
        return
    context = multiprocessing.get_context("spawn")
    with _fixed_hashes(), ProcessPoolExecutor(jobs, context, _begin_worker) as pool:
        yield from pool.map(lived, seeds, repeat(cut), chunksize=4)


@contextmanager
def _fixed_hashes() -> Iterator[None]:
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"
    try:
        yield
    finally:
        del os.environ["PYTHONHASHSEED"]
        if before is not None:
            os.environ["PYTHONHASHSEED"] = before


_of_worker = ExitStack()


def _begin_worker() -> None:
    _of_worker.enter_context(one_thread())
    Finalize(None, _end_worker, exitpriority=100)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _end_worker() -> None:
    _of_worker.close()
    os._exit(0)  # what died in a world is there still, and has databases open
