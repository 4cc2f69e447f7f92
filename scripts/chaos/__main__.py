"""2,000 jobs while things break, on both brokers; afterwards every promise is checked against the tables.

    python -m scripts.chaos [--jobs 2000] [--seed 7] [--broker embedded|pubsub]

On Pub/Sub the messages are fetched by unary pull. The emulator keeps for itself what it last sent over the streaming
pull of a process that was killed, for minutes or for good, whoever the client; with unary pull or push it delivers
again as the real service does. ``--delivery pull`` shows it.

Writes build/chaos.json; exit code 0 only when every promise held on every broker that was run.
"""

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import asyncpg
import httpx

from scripts.chaos import checks
from scripts.chaos.faults import Saboteur
from scripts.chaos.strays import Strays
from scripts.embedded.emulator import EmulatorUnavailable
from scripts.embedded.platform import PROJECT, Options, Platform, running, temporary_directory
from scripts.embedded.stand_in import EFFECTS
from scripts.emulators.pubsub import PubSubEmulator, emulator
from services.kernel.database.pool import OUTAGE
from services.kernel.messaging.broker import Broker

QUERIES = ("effect",) * 17 + ("flaky",) * 2 + ("poison",)
BREAKING_SECONDS = 25.0
SETTLE_SECONDS = 300.0
SETTINGS = {
    "QC_LEASE_SECONDS": "4",
    "QC_SILENCE_TIMEOUT": "15",
    "QC_START_TIMEOUT": "20",
    "QC_MAX_RELEASES": "50",
    "QC_RATE_LIMIT_PER_SECOND": "100000",
    "QC_RATE_LIMIT_BURST": "100000",
    "QC_STAND_IN_SECONDS": "0.05",
    "ENABLE_COMPLEXITY_ROUTING": "false",
}
"""Short waits, so that a run shows many recoveries; many releases, because here workers die all the time."""


async def submit(platform: Platform, total: int, seed: int) -> dict[str, int]:
    """Post ``total`` jobs as a careful client does: an idempotency key each, and again after any failure."""
    numbers = iter(range(total))
    chosen = random.Random(seed)
    queries = [chosen.choice(QUERIES) for _ in range(total)]

    async def client() -> None:
        async with httpx.AsyncClient(base_url=platform.url(), timeout=5.0) as http:
            for number in numbers:
                await _post(http, {"type": "grading", "query": queries[number]}, f"chaos-{seed}-{number}")
                await asyncio.sleep(0.05)

    await asyncio.gather(*(client() for _ in range(8)))
    return dict(Counter(queries))


async def _post(http: httpx.AsyncClient, body: dict[str, Any], key: str) -> None:
    while True:
        try:
            answer = await http.post("/api/ai/jobs", json=body, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            continue
        if answer.status_code == httpx.codes.ACCEPTED:
            return
        if answer.status_code < 500 and answer.status_code not in (409, 429):
            raise RuntimeError(f"a good job was refused: {answer.status_code} {answer.text}")
        await asyncio.sleep(0.1)


async def scatter_until(done: asyncio.Event, platform: Platform, strays: Strays) -> None:
    while not done.is_set():
        try:
            admin = await asyncpg.connect(platform.database_url())
            try:
                await strays.scatter(admin)
            finally:
                await admin.close()
        except OUTAGE:
            pass  # the database is being restarted: the next handful comes soon
        await asyncio.sleep(1.0)


async def settle(platform: Platform, unreadable: int) -> float:
    """Wait until no job is open and no message under way; how many seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_SECONDS:
        admin = await asyncpg.connect(platform.database_url())
        try:
            if await checks.is_settled(admin, unreadable):
                return time.monotonic() - began
        finally:
            await admin.close()
        await asyncio.sleep(0.5)
    return time.monotonic() - began


async def replay_twice(platform: Platform, admin: asyncpg.Connection) -> checks.Finding:
    """A dead letter that is good after all, replayed by two people at once: one effect."""
    alert_id, alert = str(uuid.uuid4()), "replayed twice"
    envelope_id = str(uuid.uuid4())
    await admin.execute(
        """
        INSERT INTO notifier.dead_letters
            (subscription, topic, message_id, source, attributes, data, error_code, reason, handler, attempt)
        VALUES
            ('notifier.alert-raised.v1', 'alert-raised.v1', $1, '/querycraft/grader', $2, $3, 'bug', 'mended', 'h', 1)
        """,
        envelope_id,
        json.dumps(
            {
                "ce-id": envelope_id,
                "ce-type": "querycraft.alert.raised.v1",
                "ce-source": "/querycraft/grader",
                "ce-specversion": "1.0",
            }
        ),
        _alert(alert_id, alert),
    )
    command = [sys.executable, "-m", "scripts.dead_letters", "replay", "--code", "bug", "--database-url"]
    for _ in range(2):
        url = platform.database_url("notifier")
        await asyncio.to_thread(subprocess.run, [*command, url], check=True, capture_output=True)
        for _ in range(200):
            if not await admin.fetchval(
                "SELECT count(*) FROM notifier.dead_letters WHERE error_code = 'bug' AND resolved_at IS NULL"
            ):
                break
            await asyncio.sleep(0.1)
    found = await admin.fetchval("SELECT count(*) FROM notifier.notifications WHERE error_message = $1", alert)
    return checks.Finding("effects of a dead letter replayed twice", 1, found)


def _alert(alert_id: str, message: str) -> bytes:
    from datetime import UTC, datetime

    from contracts.alerts import AlertRaised

    return AlertRaised(
        alert_id=alert_id,
        alert_type="chaos",
        severity="warning",
        source="grader",
        error_message=message,
        raised_at=datetime.now(UTC),
    ).to_bytes()


async def run(platform: Platform, pubsub: PubSubEmulator | None, jobs: int, seed: int) -> dict[str, Any]:
    admin = await asyncpg.connect(platform.database_url())
    await admin.execute(EFFECTS)
    await admin.execute("GRANT INSERT ON grader.stand_in_effects TO grader")
    await admin.close()
    broker, close = await _outsider(platform, pubsub)
    strays, done = Strays(broker, seed), asyncio.Event()
    saboteur = Saboteur(platform, pubsub, seed)
    began = time.monotonic()
    with saboteur.at_work():
        scattering = asyncio.create_task(scatter_until(done, platform, strays))
        submitted = await submit(platform, jobs, seed)
        # Keep breaking things while the rest is worked off.
        await asyncio.sleep(max(0.0, BREAKING_SECONDS - (time.monotonic() - began)))
        done.set()
        await scattering
    submitting = time.monotonic() - began
    unreadable = sum(strays.sent[kind] for kind in ("malformed", "no cloudevent", "future version"))
    settled = await settle(platform, unreadable)
    await close()
    admin = await asyncpg.connect(platform.database_url())
    try:
        found = [*await checks.findings(admin, submitted, unreadable), await replay_twice(platform, admin)]
        letters = await checks.dead_letters(admin)
    finally:
        await admin.close()
    return {
        "ok": all(finding.holds for finding in found),
        "findings": [{**asdict(finding), "holds": finding.holds} for finding in found],
        "faults": dict(saboteur.done),
        "restarts": {name: process.restarts for name, process in platform.processes.items()},
        "strays_sent": dict(strays.sent),
        "strays_refused": dict(strays.refused),
        "dead_letters": letters,
        "seconds": {"breaking": round(submitting, 1), "settling": round(settled, 1)},
    }


async def _outsider(platform: Platform, pubsub: PubSubEmulator | None) -> tuple[Broker, Any]:
    if pubsub is not None:
        from services.kernel.messaging.pubsub import PubSubBroker

        broker = PubSubBroker(PROJECT, publish_timeout=10.0)
        return broker, broker.close
    from services.kernel.messaging.embedded import EmbeddedBroker

    pool = await asyncpg.create_pool(platform.database_url("intake"), min_size=0, max_size=2)
    return EmbeddedBroker(pool), pool.close


def run_on(broker: str, delivery: Literal["pull", "poll", "push"], jobs: int, seed: int) -> dict[str, Any]:
    with temporary_directory() as directory, _emulator(broker) as pubsub:
        options = Options(
            directory,
            broker="pubsub" if pubsub else "embedded",
            pubsub_emulator_host=pubsub.host if pubsub else "",
            delivery=delivery if pubsub else "pull",
            services=("intake", "grader", "notifier"),
            environment=SETTINGS,
            modules={"grader": "scripts.embedded.stand_in"},
        )
        with running(options) as platform:
            return asyncio.run(run(platform, pubsub, jobs, seed))


@contextlib.contextmanager
def _emulator(broker: str) -> Iterator[PubSubEmulator | None]:
    if broker != "pubsub":
        yield None
        return
    with emulator() as started:
        yield started


def main() -> int:
    parser = argparse.ArgumentParser(description="Break things for a while and see whether every promise holds.")
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--broker", choices=("embedded", "pubsub"), action="append")
    parser.add_argument("--delivery", choices=("poll", "pull", "push"), default="poll", help="on Pub/Sub")
    parser.add_argument("--out", type=Path, default=Path("build/chaos.json"))
    arguments = parser.parse_args()
    report: dict[str, Any] = {
        "jobs": arguments.jobs,
        "seed": arguments.seed,
        "delivery": {"embedded": "pull", "pubsub": arguments.delivery},
        "brokers": {},
    }
    for broker in arguments.broker or ("embedded", "pubsub"):
        try:
            outcome = run_on(broker, arguments.delivery, arguments.jobs, arguments.seed)
        except EmulatorUnavailable as error:
            outcome = {"ok": False, "not_run": str(error)}
        report["brokers"][broker] = outcome
        _print(broker, outcome)
    report["ok"] = all(outcome["ok"] for outcome in report["brokers"].values())
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, ensure_ascii=False, indent=2), encoding="utf-8")
    return 0 if report["ok"] else 1


def _print(broker: str, outcome: dict[str, Any]) -> None:
    print(f"{broker}: {'every promise held' if outcome['ok'] else 'NOT every promise held'}")
    for finding in outcome.get("findings", ()):
        mark = "ok " if finding["holds"] else "BAD"
        print(f"  {mark} {finding['name']}: expected {finding['expected']}, found {finding['found']}")
    for key in ("not_run", "faults", "strays_sent", "strays_refused", "dead_letters", "seconds"):
        if key in outcome:
            print(f"      {key}: {outcome[key]}")


if __name__ == "__main__":
    sys.exit(main())
