"""Messages nobody should have sent: duplicates, late, malformed, oversized, of a future version.

They are published as an outsider would, straight to the broker.
"""

import json
import random
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg

from contracts.jobs import JobProgressed, JobRequested, JobSucceeded
from services.kernel.errors import PermanentError
from services.kernel.messaging.broker import Broker
from services.kernel.messaging.envelope import Envelope, seal

_SOME_JOBS = "SELECT id, type, fence, query FROM intake.ai_jobs WHERE fence > 0 ORDER BY random() LIMIT $1"


class Strays:
    """``sent``: how many of each kind the broker took; ``refused``: how many it did not."""

    def __init__(self, broker: Broker, seed: int) -> None:
        self._broker = broker
        self._random = random.Random(seed)
        self.sent: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def scatter(self, admin: asyncpg.Connection) -> None:
        """One handful: repeats of real messages, stale reports, and rubbish."""
        for row in await admin.fetch(_SOME_JOBS, 5):
            job_id, fence = str(row["id"]), row["fence"]
            repeated = JobRequested(
                job_id=job_id, job_type=row["type"], query=row["query"], fence=fence, requested_at=_now()
            )
            await self._send("duplicate", seal(repeated, "intake", message_id=f"{job_id}:{fence}"))
            stale = JobProgressed(
                job_id=job_id,
                job_type=row["type"],
                fence=fence,
                sequence=1,
                progress=0,
                step="late",
                reported_at=_now(),
            )
            await self._send("reordered", seal(stale, "grader"))
        unknown = JobSucceeded(
            job_id=str(uuid.UUID(int=self._random.getrandbits(128))),
            job_type="grading",
            fence=1,
            result="{}",
            finished_at=_now(),
        )
        await self._send("about no job", seal(unknown, "grader"))
        good = seal(unknown, "grader")
        await self._send("malformed", replace(good, data=b"\xff\x00 not json", attributes=_renewed(good)))
        await self._send("malformed", replace(good, data=json.dumps({"job_id": 7}).encode(), attributes=_renewed(good)))
        await self._send("no cloudevent", replace(good, attributes={}))
        future = {**_renewed(good), "ce-type": "querycraft.job.succeeded.v9"}
        await self._send("future version", replace(good, attributes=future))
        await self._send("oversized", replace(good, data=b" " * 11_000_000, attributes=_renewed(good)))

    async def _send(self, kind: str, envelope: Envelope) -> None:
        [outcome] = await self._broker.publish([envelope])
        if outcome is None:
            self.sent[kind] += 1
        elif isinstance(outcome, PermanentError):
            self.refused[kind] += 1
        # Anything else is the outage of the moment: the handful is sent again with the next one.


def _renewed(envelope: Envelope) -> dict[str, str]:
    return {**envelope.attributes, "ce-id": str(uuid.uuid4())}


def _now() -> datetime:
    return datetime.now(UTC)
