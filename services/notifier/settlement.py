"""After an attempt: its outcome written down, and who is told when that disabled the receiver."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import asyncpg

from services.kernel.alerts import alert
from services.kernel.database.unit_of_work import Database
from services.notifier.schedule import Failed, Outcome

_logger = logging.getLogger(__name__)


class Attempted(Protocol):
    """What was attempted: some deliveries to one receiver. ``user_id``: the receiver's owner."""

    @property
    def ids(self) -> tuple[int, ...]: ...
    @property
    def receiver_id(self) -> UUID: ...
    @property
    def user_id(self) -> str: ...
    @property
    def trace_id(self) -> str: ...


A = TypeVar("A", bound=Attempted)
Settle = Callable[[asyncpg.Connection, A, Outcome], Awaitable[bool]]
"""Writes the outcome on the caller's transaction; whether the receiver was disabled now."""


@dataclass(frozen=True)
class Settlement(Generic[A]):
    """``disabled``: the type of the alert that tells the owner of a receiver which wants nothing any more."""

    database: Database
    settle: Settle[A]
    disabled: str
    project_id: str

    async def __call__(self, claim: A, outcome: Outcome) -> None:
        """Raises what asyncpg raises; then nothing is written, and the lease will end."""
        async with self.database.transaction() as unit:
            disabled = await self.settle(unit.connection, claim, outcome)
            if disabled and isinstance(outcome, Failed):
                raised = alert(
                    self.disabled,
                    severity="warning",
                    source=self.database.source,
                    about=str(claim.receiver_id),
                    user_id=claim.user_id,
                    message=outcome.reason,
                    project_id=self.project_id,
                )
                unit.emit(raised.model_copy(update={"trace_id": claim.trace_id}))
        _logger.info(
            "%d deliveries to %s: %s",
            len(claim.ids),
            claim.receiver_id,
            outcome,
            extra={"action": "deliveries.attempted", "outcome": type(outcome).__name__.lower()},
        )
