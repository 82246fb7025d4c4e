"""A connection's rate shared by processes through staging, against one that an Airflow pool divides among them.

    PYTHONPATH=. python -m benchmarks.rate --rate 200 --seconds 30 [--s3]

Each process sends as fast as it may, to nobody: what is noted is when. With the pool, each of four slots has a quarter
of the rate, whether others use theirs or not. `idle` of the processes send nothing.
"""

import argparse
import multiprocessing
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.http.drive import Budget
from optimove_provider.clients.settings import OptixSettings
from optimove_provider.emulator.s3 import S3Server
from optimove_provider.loads.state.shared_rate import SharedBudget
from optimove_provider.loads.state.staging import Staging

SLOTS = 4
SETTINGS = OptixSettings(conn_id="benchmark", host="http://nowhere", api_key="k", brand_api_key="b")


def staging(place: str, s3: str) -> Staging:
    """On a local disk, or on the emulator's S3 at that URL."""
    if not s3:
        return Staging(LocalFileSystem(), place)
    from s3fs import S3FileSystem

    keys = {"key": "emulator", "secret": "emulator", "client_kwargs": {"region_name": "us-east-1"}}
    fs = S3FileSystem(endpoint_url=s3, skip_instance_cache=True, **keys)
    return Staging(fs, f"{place}/staging")


def send(budget: Callable[[], Budget], seconds: float, sent: Any) -> None:
    """One process: note the instant of each request, and the longest time that asking took."""
    mine, until, instants, longest = budget(), time.time() + seconds, [], 0.0
    while time.time() < until:
        began = time.monotonic()
        wait = mine.reserve()
        longest = max(longest, time.monotonic() - began)
        time.sleep(wait)
        instants.append(time.time())
    sent.put((instants, longest))


class _Shared:
    def __init__(self, rate: float, place: str, s3: str) -> None:
        self.rate, self.place, self.s3 = rate, place, s3

    def __call__(self) -> Budget:
        return SharedBudget(staging(self.place, self.s3), replace(SETTINGS, requests_per_10s=self.rate))


class _Divided:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self) -> Budget:
        return Budget(self.rate / SLOTS)


def measure(budget: Callable[[], Budget], processes: int, seconds: float, rate: float) -> str:
    """Run them, and say how much of the rate was used, the most in any ten seconds, and how long asking took."""
    context = multiprocessing.get_context("spawn")
    sent = context.Queue()
    running = [context.Process(target=send, args=(budget, seconds, sent)) for _ in range(processes)]
    for one in running:
        one.start()
    found = [sent.get() for _ in running]
    for one in running:
        one.join()
    instants = sorted(instant for one, _ in found for instant in one)
    most = max(sum(1 for one in instants if start <= one < start + 10) for start in instants)
    used = len(instants) / ((instants[-1] - instants[0]) or 1) * 10 / rate
    longest = max(one for _, one in found)
    return f"{used:4.0%} of the rate used, at most {most} in 10 s, asking took {longest:.3f} s at most"


def main() -> None:
    """Both ways, with all processes busy, and with one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--s3", action="store_true", help="staging on the emulator's S3")
    options = parser.parse_args()
    server = S3Server("127.0.0.1", 0) if options.s3 else None
    url = f"http://127.0.0.1:{server.port}" if server else ""
    with tempfile.TemporaryDirectory() as folder:
        for processes in (SLOTS, 1):
            place = f"{folder}/{processes}"
            if server:
                place = f"rates-{uuid.uuid4()}"
                staging(place, url).fs.call_s3("create_bucket", Bucket=place)
            for name, budget in (("shared", _Shared(options.rate, place, url)), ("pool", _Divided(options.rate))):
                print(f"{processes} of {SLOTS} busy, {name}: ", end="", flush=True)
                print(measure(budget, processes, options.seconds, options.rate), flush=True)
    if server:
        server.stop()


if __name__ == "__main__":
    main()
