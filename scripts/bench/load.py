"""A small closed-loop HTTP load generator: N keep-alive connections, each sends when it has its answer.

Raw asyncio protocols, because an HTTP client library costs more CPU than the servers measured here.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httptools

Request = Callable[[int], bytes]
"""The n-th request, head and body, ready for the wire."""


@dataclass
class LoadResult:
    """``latencies`` in seconds; ``statuses``: answers by HTTP status; ``errors``: broken connections."""

    seconds: float
    latencies: list[float]
    statuses: Counter[int]
    errors: int
    bodies: list[bytes] = field(default_factory=list, repr=False)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that ``share`` of the requests stayed under."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    def summary(self) -> dict[str, float | int | dict[str, int]]:
        return {
            "requests_per_s": round(self.rate, 1),
            "p50_ms": round(self.percentile(0.50), 2),
            "p99_ms": round(self.percentile(0.99), 2),
            "errors": self.errors,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
        }


def request(method: str, path: str, port: int, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    if body:
        lines.append("Content-Type: application/json")
    lines.extend(f"{name}: {value}" for name, value in (headers or {}).items())
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def run_load(port: int, make: Request, *, clients: int, total: int, keep_bodies: bool = False) -> LoadResult:
    """Send ``total`` requests over ``clients`` connections; every answer counts, whatever its status."""
    counter = iter(range(total))
    result = LoadResult(0.0, [], Counter(), 0)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    connections = []
    for _ in range(clients):
        _, protocol = await loop.create_connection(
            lambda: _Connection(counter, make, result, keep_bodies), "127.0.0.1", port
        )
        connections.append(protocol)
    await asyncio.gather(*(connection.done for connection in connections))
    result.seconds = time.perf_counter() - began
    return result


class _Connection(asyncio.Protocol):
    def __init__(self, counter: Iterator[int], make: Request, result: LoadResult, keep_bodies: bool) -> None:
        self._counter = counter
        self._make = make
        self._result = result
        self._keep_bodies = keep_bodies
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._result.errors += 1
            self.done.set_result(None)

    def on_body(self, body: bytes) -> None:
        if self._keep_bodies:
            self._body += body

    def on_message_complete(self) -> None:
        self._result.latencies.append(time.perf_counter() - self._sent)
        self._result.statuses[self._parser.get_status_code()] += 1
        if self._keep_bodies:
            self._result.bodies.append(self._body)
        self._send()

    def _send(self) -> None:
        number = next(self._counter, None)
        if number is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._sent = time.perf_counter()
        self._transport.write(self._make(number))
