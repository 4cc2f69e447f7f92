"""Sends what a group has due as one mail or one post: see ``dispatcher.Channel``."""

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.kernel import telemetry
from services.notifier.adapters.groups import GroupClaim, GroupsTable
from services.notifier.dispatcher import LEASE_SECONDS
from services.notifier.schedule import Outcome
from services.notifier.settlement import Settlement


@dataclass
class GroupChannel:
    """``send`` delivers a claim once and never raises for what the receiver does."""

    name: str
    groups: GroupsTable
    send: Callable[[GroupClaim], Awaitable[Outcome]]
    settlement: Settlement[GroupClaim]
    capacity: int = 8

    async def claim(self, free: int, under_way: Collection[GroupClaim]) -> list[GroupClaim]:
        return await self.groups.claim(uuid.uuid4(), LEASE_SECONDS, free)

    async def note(self) -> None:
        """Outcomes are written at once: a digest's many deliveries share one statement already."""

    async def hand_back(self, claims: Sequence[GroupClaim]) -> None:
        for claim in claims:
            await self.groups.hand_back(claim)

    async def attempt(self, claim: GroupClaim) -> None:
        now = datetime.now(UTC)
        quiet = claim.quiet
        if quiet is not None and not claim.critical and quiet.cover(now):
            # Planned for another hour, but late: after an outage, a refusal or a replay.
            await self.groups.hand_back(claim, quiet.defer(now))
            return
        if not claim.shown:
            return  # pruned since the claim, and their deliveries with them
        with telemetry.span(self.name, attributes={"receiver": str(claim.receiver_id), "attempt": claim.attempt}):
            outcome = await self.send(claim)
        await self.settlement(claim, outcome)


def identity(claim: GroupClaim) -> str:
    """The same for the same deliveries, so that a receiver knows them when they come again."""
    return hashlib.sha256(repr(claim.ids).encode()).hexdigest()
