"""How fast and how small each service starts, and the whole platform."""

import asyncio
import time
from typing import Any

import httpx
import psutil

from scripts.embedded.platform import Options, running, temporary_directory

REPEATS = 3


def measure() -> dict[str, Any]:
    """Seconds from spawn to ready and resident MB per service; seconds for the whole platform, from nothing."""
    with temporary_directory() as directory, running(Options(directory)) as platform:
        whole = platform.seconds["ready"]
        alone = {name: _restart(platform, name) for name in platform.processes}
    return {"platform_ready_s": round(whole, 2), "services": alone}


def _restart(platform: Any, name: str) -> dict[str, float]:
    """Kill one service while the others idle; its supervisor starts it again."""
    seconds = []
    process = platform.processes[name]
    for _ in range(REPEATS):
        before = process.restarts
        process.kill()
        while process.restarts == before:
            time.sleep(0.001)
        began = time.monotonic()
        _await_ready(f"{platform.url(name)}/readyz")
        seconds.append(time.monotonic() - began)
    resident = _tree_memory(process.pid)
    return {"ready_s": round(sorted(seconds)[len(seconds) // 2], 2), "resident_mb": resident}


def _await_ready(url: str) -> None:
    async def wait() -> None:
        async with httpx.AsyncClient(timeout=1) as http:
            async with asyncio.timeout(30):
                while True:
                    try:
                        if (await http.get(url)).status_code == httpx.codes.OK:
                            return
                    except httpx.TransportError:
                        pass
                    await asyncio.sleep(0.01)

    asyncio.run(wait())


def _tree_memory(pid: int | None) -> float:
    if pid is None:
        raise RuntimeError("the service is not running")
    return round(float(psutil.Process(pid).memory_info().rss) / 2**20, 1)
