"""No-op jobs from POST to completed, the wait before a job starts, progress to an SSE client, memory."""

import asyncio
import json
import statistics
import time
from typing import Any

import asyncpg
import httpx
import psutil

from scripts.bench.load import request, run_load
from scripts.embedded.platform import Options, Platform, running, temporary_directory

CLIENTS = 16
BODY = json.dumps({"type": "grading", "query": "noop"}).encode()
SETTINGS = {
    "QC_RATE_LIMIT_PER_SECOND": "1000000",
    "QC_RATE_LIMIT_BURST": "1000000",
    "ENABLE_COMPLEXITY_ROUTING": "false",
}
_COMPLETED = "SELECT count(*) FROM intake.ai_jobs WHERE status = 'completed'"
_SPAN = """
SELECT count(*) / extract(epoch FROM max(completed_at) - min(created_at)) FROM intake.ai_jobs WHERE query = 'noop'
"""


def measure(jobs: int = 10_000, more_for_memory: int = 40_000) -> dict[str, Any]:
    """``noop_jobs_per_s`` counts from the first POST to the last end; ``memory`` in MB before and after."""
    with temporary_directory() as directory:
        options = Options(
            directory,
            services=("intake", "grader"),
            environment=SETTINGS,
            modules={"grader": "scripts.embedded.stand_in"},
        )
        with running(options) as platform:
            return asyncio.run(_measure(platform, jobs, more_for_memory))


async def _measure(platform: Platform, jobs: int, more: int) -> dict[str, Any]:
    admin = await asyncpg.connect(platform.database_url())
    idle = await _submit_to_start(platform, admin, 60)
    progress = await _progress(platform, 12)
    await _flood(platform, admin, 1_000)
    await admin.execute("TRUNCATE intake.ai_jobs, intake.ai_job_logs")
    await _flood(platform, admin, jobs)
    rate = float(await admin.fetchval(_SPAN))
    before = _memory(platform)
    if more:
        await _flood(platform, admin, jobs + more)
    after = _memory(platform)
    await admin.close()
    return {
        "noop_jobs_per_s": round(rate, 1),
        "submit_to_start_ms_p50_idle": round(statistics.median(idle), 1),
        "progress_to_sse_ms": progress,
        "memory_mb": {
            name: {f"after_{jobs}_jobs": before[name], f"after_{jobs + more}_jobs": after[name]} for name in before
        },
    }


async def _flood(platform: Platform, admin: asyncpg.Connection, until_completed: int) -> None:
    """Post until ``until_completed`` jobs in all are completed."""
    port = platform.ports["intake"]
    missing = until_completed - await admin.fetchval("SELECT count(*) FROM intake.ai_jobs")
    load = await run_load(port, lambda _: request("POST", "/api/ai/jobs", port, BODY), clients=CLIENTS, total=missing)
    if load.errors or set(load.statuses) != {202}:
        raise RuntimeError(f"posting jobs failed: {load.statuses}, {load.errors} broken connections")
    deadline = time.monotonic() + 300
    while await admin.fetchval(_COMPLETED) < until_completed:
        if time.monotonic() > deadline:
            raise RuntimeError(f"jobs do not complete: {await admin.fetchval(_COMPLETED)} of {until_completed}")
        await asyncio.sleep(0.1)


async def _submit_to_start(platform: Platform, admin: asyncpg.Connection, samples: int) -> list[float]:
    """Milliseconds from the job's creation to its worker's claim, one job at a time."""
    waits = []
    async with httpx.AsyncClient(base_url=platform.url()) as http:
        for _ in range(samples):
            sent = time.time()
            answer = await http.post("/api/ai/jobs", content=BODY, headers={"Content-Type": "application/json"})
            job_id = answer.json()["jobId"]
            started = None
            while started is None:
                started = await admin.fetchval(
                    "SELECT extract(epoch FROM started_at) FROM grader.job_runs WHERE job_id = $1::text::uuid", job_id
                )
                await asyncio.sleep(0.002)
            waits.append((float(started) - sent) * 1000)
            await asyncio.sleep(0.05)
    return waits


async def _progress(platform: Platform, jobs: int, steps: int = 8) -> dict[str, float]:
    """Milliseconds from a worker's report to its arrival at an SSE client, over all steps of all jobs."""
    delays: list[float] = []

    async def follow() -> None:
        async with httpx.AsyncClient(base_url=platform.url(), timeout=60) as http:
            answer = await http.post("/api/ai/jobs", json={"type": "grading", "query": f"steps:{steps}"})
            job_id = answer.json()["jobId"]
            async with http.stream("GET", f"/api/ai/jobs/{job_id}/events") as stream:
                async for line in stream.aiter_lines():
                    arrived = time.time()
                    if not line.startswith("data:"):
                        continue
                    event = json.loads(line.removeprefix("data:"))
                    if str(event.get("currentStep") or "").startswith("step"):
                        delays.append((arrived - _seconds(event["reportedAt"])) * 1000)
                    if event.get("status") in ("completed", "failed"):
                        return

    await asyncio.gather(*(follow() for _ in range(jobs)))
    ordered = sorted(delays)
    return {
        "reports": len(ordered),
        "p50": round(ordered[len(ordered) // 2], 1),
        "p99": round(ordered[int(len(ordered) * 0.99)], 1),
    }


def _seconds(timestamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(timestamp).timestamp()


def _memory(platform: Platform) -> dict[str, float]:
    """Resident megabytes of each service process."""
    sizes = {}
    for name, process in platform.processes.items():
        if process.pid is None:
            raise RuntimeError(f"{name} is not running")
        sizes[name] = round(psutil.Process(process.pid).memory_info().rss / 2**20, 1)
    return sizes
