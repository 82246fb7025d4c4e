"""A stand-in for Opti-X that costs next to nothing: it takes any upload, answers 200 after a while, and counts.

    python benchmarks/loopback.py [--latency 0.1] [--key customerId]

It prints its port. `GET /` answers how many rows and requests came, and when the first came and the last was answered.
Connections are kept open. Bodies are not parsed: a row is where the name of the key column stands.
"""

import argparse
import asyncio
import json
import time
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counts:
    rows: int = 0
    requests: int = 0
    first: float = 0.0
    last: float = 0.0


class Connection(asyncio.Protocol):
    """One connection: requests one after the other, each with a Content-Length."""

    def __init__(self, counts: Counts, latency: float, key: bytes) -> None:
        self._counts, self._latency, self._key = counts, latency, b'"' + key + b'":'
        self._head, self._body, self._left = bytearray(), [b""], 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._counts.first = self._counts.first or time.time()
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = bytearray()
            if head.startswith(b"GET"):
                return self._answer(json.dumps(asdict(self._counts)))
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            self._body, self._left = [], int(lengths[0].partition(b":")[2])
        self._body.append(data)
        self._left -= len(data)
        if not self._left:
            self._take(b"".join(self._body))

    def _take(self, body: bytes) -> None:
        self._counts.requests += 1
        self._counts.rows += body.count(self._key)
        asyncio.get_running_loop().call_later(self._latency, self._acknowledge)

    def _acknowledge(self) -> None:
        self._counts.last = time.time()
        self._answer('{"success": true}')

    def _answer(self, text: str) -> None:
        assert self._transport
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
        self._transport.write((head + text).encode())


async def serve(latency: float, key: bytes) -> None:
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts, latency, key), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--latency", type=float, default=0.1, help="seconds between a request's last byte and its answer"
    )
    parser.add_argument("--key", default="customerId", help="the key column")
    given = parser.parse_args()
    asyncio.run(serve(given.latency, given.key.encode()))


if __name__ == "__main__":
    main()
