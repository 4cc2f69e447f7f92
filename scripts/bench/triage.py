"""Triage under load: 50 clients create jobs through the real door, and every job must come to its end.

    python -m scripts.bench.triage [--seconds N] [--rate N]

Each client waits for its turn, so that together they send ``rate`` requests a second; a result counts as seen when
the job's own page says completed.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from typing import Any

import httpx

from scripts.embedded.platform import Options, Platform, running, temporary_directory

CLIENTS = 50
TEXTS = ("엘리베이터가 멈췄어요", "화장실 물이 새요", "복도 전등이 깜빡거려요", "에어컨이 시끄러워요", "주차 등록 문의")
SETTLING_SECONDS = 60.0


def measure(seconds: int = 30, rate: int = 100) -> dict[str, Any]:
    """Requests a second, latencies of creating, and how every job ended. No model is asked: there is no key."""
    with temporary_directory() as directory:
        environment = {"QC_RATE_LIMIT_PER_SECOND": "1000000", "QC_RATE_LIMIT_BURST": "1000000"}
        with running(Options(directory, services=("intake", "assistant"), environment=environment)) as platform:
            return asyncio.run(_measure(platform, seconds, rate))


async def _measure(platform: Platform, seconds: int, rate: int) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=platform.url(), timeout=30.0, limits=limits) as client:
        # The first training is part of the start, not of the load.
        first = await client.post("/api/ai/jobs", json=_body(0), headers={"Prefer": "wait=60"}, timeout=90.0)
        first.raise_for_status()
        began = time.perf_counter()
        clients = [_client(client, number, rate, seconds) for number in range(CLIENTS)]
        answers = [answer for part in await asyncio.gather(*clients) for answer in part]
        took = time.perf_counter() - began
        ends, settled = await _settle(client, [job for _, _, job in answers if job])
    latencies = sorted(latency for _, latency, _ in answers)
    return {
        "clients": CLIENTS,
        "seconds": round(took, 1),
        "requests_per_s": round(len(answers) / took, 1),
        "create_p50_ms": round(latencies[len(latencies) // 2] * 1_000, 2),
        "create_p99_ms": round(latencies[int(0.99 * len(latencies))] * 1_000, 2),
        "statuses": {str(status): count for status, count in sorted(Counter(s for s, _, _ in answers).items())},
        "errors": sum(not job for _, _, job in answers),
        "ends": dict(ends),
        "settled_after_s": round(settled, 1),
    }


def _body(number: int) -> dict[str, Any]:
    return {"type": "triage", "query": f"{TEXTS[number % len(TEXTS)]} ({number})"}


async def _client(client: httpx.AsyncClient, number: int, rate: int, seconds: int) -> list[tuple[int, float, str]]:
    """(status, seconds, job id or empty) of every request, sent at this client's own moments."""
    answers = []
    began = time.perf_counter()
    for turn in range(rate * seconds // CLIENTS):
        due = (turn * CLIENTS + number) / rate
        await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
        sent = time.perf_counter()
        headers = {"Prefer": "respond-async"}
        try:
            answer = await client.post("/api/ai/jobs", json=_body(turn * CLIENTS + number), headers=headers)
        except httpx.TransportError:
            answers.append((0, time.perf_counter() - sent, ""))
            continue
        job = answer.json()["jobId"] if answer.status_code == httpx.codes.ACCEPTED else ""
        answers.append((answer.status_code, time.perf_counter() - sent, job))
    return answers


async def _settle(client: httpx.AsyncClient, jobs: list[str]) -> tuple[Counter[str], float]:
    """How the jobs ended, and seconds after the last request until all had."""
    began, open_jobs = time.perf_counter(), list(jobs)
    ends: Counter[str] = Counter()
    while open_jobs and time.perf_counter() - began < SETTLING_SECONDS:
        still = []
        for job in open_jobs:
            status = (await client.get(f"/api/ai/jobs/{job}")).json()["status"]
            if status in ("queued", "processing"):
                still.append(job)
            else:
                ends[status] += 1
        open_jobs = still
    ends["unfinished"] += len(open_jobs)
    return +ends, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="Triage at a steady rate through the real door.")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=int, default=100)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.seconds, arguments.rate), indent=2))


if __name__ == "__main__":
    main()
