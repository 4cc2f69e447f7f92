"""Triage under load: 50 clients create jobs through the real door, and hear each one's result over their WebSocket.

    python -m scripts.bench.triage [--seconds N] [--rate N]

Each client waits for its turn, so that together they send ``rate`` requests a second; a job counts as done when its
client's socket says how it ended. The promised run is ``--seconds 300``.
"""

import argparse
import asyncio
import csv
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import websockets

from scripts.bench.percentiles import percentiles
from scripts.embedded.platform import Options, Platform, running, temporary_directory
from services.assistant.triage.taxonomy import SHIPPED

CLIENTS = 50
SETTLING_SECONDS = 60.0
ENDS = frozenset({"completed", "failed", "cancelled"})


def measure(seconds: int = 20, rate: int = 100) -> dict[str, Any]:
    """Requests a second, latencies of creating and of the whole way, and how every job ended. No model is asked: there
    is no key."""
    with temporary_directory() as directory:
        environment = {"QC_RATE_LIMIT_PER_SECOND": "1000000", "QC_RATE_LIMIT_BURST": "1000000"}
        with running(Options(directory, services=("intake", "assistant"), environment=environment)) as platform:
            return asyncio.run(_measure(platform, seconds, rate))


@dataclass
class _Tally:
    """``sent``: job to the moment it was asked for; ``ended``: job to the moment its end was heard, and the end."""

    statuses: Counter[int] = field(default_factory=Counter)
    creating: list[float] = field(default_factory=list)
    sent: dict[str, float] = field(default_factory=dict)
    ended: dict[str, tuple[float, str]] = field(default_factory=dict)
    refused: int = 0

    def hear(self, text: str | bytes) -> None:
        event = json.loads(text)
        if event.get("status") in ENDS:
            self.ended.setdefault(event["jobId"], (time.perf_counter(), event["status"]))


async def _measure(platform: Platform, seconds: int, rate: int) -> dict[str, Any]:
    texts = [row["text"] for row in csv.DictReader((SHIPPED / "building_maintenance_fresh.csv").open(encoding="utf-8"))]
    tally = _Tally()
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=platform.url(), timeout=30.0, limits=limits) as client:
        # The first training is part of the start, not of the load.
        first = await client.post("/api/ai/jobs", json=_body(texts[0]), headers={"Prefer": "wait=60"}, timeout=90.0)
        first.raise_for_status()
        before = _cpu_seconds(platform)
        began = time.perf_counter()
        pace = [(turn / rate, texts[turn % len(texts)]) for turn in range(rate * seconds)]
        await asyncio.gather(*(_client(platform, client, pace[n::CLIENTS], tally, began) for n in range(CLIENTS)))
    used = {name: seconds - before[name] for name, seconds in _cpu_seconds(platform).items()}
    return {
        **_report(tally, began, rate),
        "cpu_ms_per_request": {name: round(1_000 * s / max(1, len(tally.sent)), 2) for name, s in used.items()},
    }


def _cpu_seconds(platform: Platform) -> dict[str, float]:
    """Of each service so far: what a request costs does not depend on who else uses the machine."""
    return {
        name: sum(psutil.Process(process.pid).cpu_times()[:2])
        for name, process in platform.processes.items()
        if name in platform.options.services
    }


async def _client(
    platform: Platform, http: httpx.AsyncClient, pace: list[tuple[float, str]], tally: _Tally, began: float
) -> None:
    """Send at this client's own moments; stay until every job's end was heard, or ``SETTLING_SECONDS``."""
    url = f"{platform.url().replace('http', 'ws')}/api/ai/ws"
    async with websockets.connect(url, open_timeout=SETTLING_SECONDS) as socket:
        jobs: list[str] = []
        sent_all = asyncio.Event()

        def heard_all() -> bool:
            return sent_all.is_set() and all(job in tally.ended for job in jobs)

        listening = asyncio.create_task(_listen(socket, tally, heard_all))
        try:
            for due, text in pace:
                await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
                job = await _create(http, text, tally)
                if job:
                    jobs.append(job)
                    await socket.send(json.dumps({"subscribe": [job], "after": 0}))
            sent_all.set()
            if not heard_all():
                await asyncio.wait({listening}, timeout=SETTLING_SECONDS)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def _listen(socket: websockets.ClientConnection, tally: _Tally, heard_all: Callable[[], bool]) -> None:
    async for text in socket:
        tally.hear(text)
        if heard_all():
            return


async def _create(http: httpx.AsyncClient, text: str, tally: _Tally) -> str:
    """The job's id, or empty: the door did not take it."""
    sent = time.perf_counter()
    try:
        answer = await http.post("/api/ai/jobs", json=_body(text), headers={"Prefer": "respond-async"})
    except httpx.TransportError:
        tally.refused += 1
        return ""
    tally.creating.append(time.perf_counter() - sent)
    tally.statuses[answer.status_code] += 1
    if answer.status_code != httpx.codes.ACCEPTED:
        tally.refused += 1
        return ""
    job: str = answer.json()["jobId"]
    tally.sent[job] = sent
    return job


def _body(text: str) -> dict[str, Any]:
    return {"type": "triage", "query": text}


def _report(tally: _Tally, began: float, rate: int) -> dict[str, Any]:
    ways = [moment - tally.sent[job] for job, (moment, _) in tally.ended.items() if job in tally.sent]
    last = max((moment for moment, _ in tally.ended.values()), default=began)
    sending = max(tally.sent.values(), default=began) - began
    ends = Counter(status for _, status in tally.ended.values())
    return {
        "clients": CLIENTS,
        "asked_per_s": rate,
        "requests_per_s": round(len(tally.sent) / sending, 1) if sending else 0.0,
        "results_per_s": round(len(tally.ended) / (last - began), 1) if last > began else 0.0,
        "create_ms": _milliseconds(tally.creating),
        "request_to_websocket_ms": _milliseconds(ways),
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "ends": dict(ends),
        "errors": tally.refused + len(tally.sent) - ends["completed"],
    }


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    """Nothing of nothing: a run without an answer still reports how it failed."""
    return percentiles([each * 1_000 for each in seconds]) if len(seconds) > 1 else {}


def main() -> None:
    parser = argparse.ArgumentParser(description="Triage at a steady rate through the real door.")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=100)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.seconds, arguments.rate), indent=2))


if __name__ == "__main__":
    main()
