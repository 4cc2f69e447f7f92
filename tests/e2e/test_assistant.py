"""Sorting, analysing and speeding up, asked for at the platform's door."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import websockets

from scripts.embedded.platform import Platform

pytestmark = pytest.mark.timeout(180)

DDL = ["CREATE TABLE orders (id INTEGER PRIMARY KEY, city VARCHAR, amount INTEGER)"]
ROWS = {"orders": [{"id": n, "city": ["Seoul", "Busan"][n % 2], "amount": n} for n in range(1, 41)]}


async def ended(http: httpx.AsyncClient, platform: Platform, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The jobs of ``bodies``, each followed to its end over one WebSocket."""
    answers = [await http.post("/api/ai/jobs", json=body, headers={"Prefer": "respond-async"}) for body in bodies]
    assert [answer.status_code for answer in answers] == [202] * len(bodies)
    jobs = [answer.json()["jobId"] for answer in answers]
    left = set(jobs)
    url = f"{platform.url().replace('http', 'ws')}/api/ai/ws"
    async with websockets.connect(url) as socket, asyncio.timeout(120):
        await socket.send(json.dumps({"subscribe": jobs, "after": 0}))
        while left:
            event = json.loads(await socket.recv())
            if event.get("status") in ("completed", "failed"):
                left.discard(event["jobId"])
    return [(await http.get(f"/api/ai/jobs/{job}")).json() for job in jobs]


async def test_the_assistants_three_kinds_of_job_through_the_door(http: httpx.AsyncClient, platform: Platform) -> None:
    data = {"ddl": DDL, "rows": ROWS}
    sorted_, analysed, refused, optimized = await ended(
        http,
        platform,
        [
            {"type": "triage", "query": "엘리베이터가 멈췄어요"},
            {"type": "analysis", "query": json.dumps({"question": "orders의 city별 amount 합계", **data})},
            {"type": "analysis", "query": json.dumps({"sql": "SELECT * FROM read_csv('/etc/passwd')", **data})},
            {"type": "optimization", "query": json.dumps({"sql": "SELECT DISTINCT id, city FROM orders", **data})},
        ],
    )
    assert (sorted_["result"]["category"], sorted_["result"]["priority"]) == ("other", "high")
    result = analysed["result"]
    assert [row[0] for row in result["rows"]] == ["Seoul", "Busan"]
    assert result["chart"]["png_base64"]
    assert (result["data"]["kind"], result["data"]["rows"]) == ("uploaded", 40)
    assert (refused["status"], optimized["status"]) == ("failed", "completed")
    assert "read_csv" in refused["error"]
    assert [finding["code"] for finding in optimized["result"]["findings"]] == ["needless_distinct"]
