"""What the person at the terminal sees: a line per step, and Airflow's own output in a file instead."""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EXCEPTION = re.compile(r"\s*[\w.]*(?:Error|Exception|Failed|Timeout)\b")


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print the text now, and the seconds when the block is through."""
    print(f"{text} ...", end=" ", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print("stopped", flush=True)
        raise
    print(f"{time.monotonic() - started:.1f} s", flush=True)


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Append everything that this process and its children write to stdout and stderr to a file.

    It works on the file descriptors, since loggers keep the streams that they found when they were made.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    terminal = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, stream in zip(terminal, (1, 2), strict=True):
            os.dup2(descriptor, stream)
            os.close(descriptor)


def last_error(log: Path) -> str:
    """The last line of a log that looks like an exception; else its last line; at most 500 characters."""
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = text.splitlines() or [f"{log} is empty"]
    found = [line for line in lines if (name := _EXCEPTION.match(line)) and ": " in line[name.end() :]] or lines
    return found[-1].strip()[:500]
