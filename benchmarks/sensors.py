"""How late 1,000 deferred waits for imports are in one triggerer, which polls an upload history for each.

    PYTHONPATH=. python -m benchmarks.sensors [--sensors 1000] [--poll-seconds 60] [--latency 0.1]

All have one connection, and a table each. The triggers run in one event loop, as Airflow's triggerer runs them; the
history is served by a process of its own, which answers after `--latency` seconds. An import is done at a random
instant in the two minutes after the deferral. Had polls no delay, a trigger would fire at its first poll after that:
how much later it does is its lateness. `at once`: all are deferred in the same second, as after a backfill; `spread`:
within one interval of polling.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

FIRST_POLL, IMPORT_SECONDS = 12.0, 120.0
_NUMBERS = 10_000
"""Of waits that are done in the same millisecond."""


async def serve(latency: float) -> None:
    """Serve an upload history, GET /uploads/<table>: a table's id tells when its import is done."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            table = head.split()[1].decode().split("?")[0].rpartition("/")[2]
            await asyncio.sleep(latency)
            status = "completed" if time.time() * 1000 >= int(table) // _NUMBERS else "processing"
            body = json.dumps([{"file": f"{table}.csv", "status": status, "rows_processed": 1}]).encode()
            told = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            writer.write(told + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


@contextmanager
def history(latency: float) -> Iterator[int]:
    """The port of such a server."""
    command = [sys.executable, "-m", "benchmarks.sensors", "--serve", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout
        yield int(process.stdout.readline())
        process.terminate()


async def one(number: int, starts: float, done: float, poll_seconds: float) -> float:
    """One deferred wait; returns how late it fired."""
    from optimove_provider.triggers.dcp import DcpUploadTrigger

    await asyncio.sleep(max(starts - time.time(), 0))
    table = round(done * 1000) * _NUMBERS + number
    began = time.time()
    trigger = DcpUploadTrigger(table, [f"{table}.csv"], "dcp_default", poll_seconds, FIRST_POLL)
    event = await anext(trigger.run())
    fired = time.time()
    if "outcome" not in event.payload:
        raise SystemExit(f"a trigger said {event.payload}")
    ideal = began + FIRST_POLL
    while ideal < done:
        ideal += poll_seconds
    return fired - ideal


async def all_of(count: int, spread: float, poll_seconds: float) -> list[float]:
    """All of them, in one event loop."""
    chance, now = random.Random(1), time.time() + 1  # noqa: S311 - no secret
    starts = [now + chance.uniform(0, spread) for _ in range(count)]
    each = (one(number, at, at + chance.uniform(0, IMPORT_SECONDS), poll_seconds) for number, at in enumerate(starts))
    return sorted(await asyncio.gather(*each))


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sensors", type=int, default=1000)
    parser.add_argument("--poll-seconds", type=float, default=60)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        return asyncio.run(serve(options.serve))
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    for name, spread in (("spread", options.poll_seconds), ("at once", 0.0)):
        with history(options.latency) as port:
            extra = {"upload_history_url": f"http://127.0.0.1:{port}/uploads/{{table_id}}"}
            fields = {"conn_type": "optimizely_dcp", "host": "https://api.optimizely.com", "password": "token"}
            os.environ["AIRFLOW_CONN_DCP_DEFAULT"] = json.dumps({**fields, "extra": extra})
            before = time.process_time()
            late = asyncio.run(all_of(options.sensors, spread, options.poll_seconds))
        p50, p95 = (late[int(len(late) * share)] for share in (0.5, 0.95))
        cpu, peak = time.process_time() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        told = f"late by {p50:.1f} s (median), {p95:.1f} s (95 %), {late[-1]:.1f} s (most)"
        print(f"{name}: {told}; {cpu:.0f} s of CPU, {peak} MB", flush=True)
    return None


if __name__ == "__main__":
    main()
