"""Mails what is due: see ``dispatcher.Channel``."""

import hashlib
import logging
import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from contracts.alerts import AlertRaised
from services.kernel import telemetry
from services.kernel.database.unit_of_work import Database
from services.notifier.adapters.mail_deliveries import ClaimedMail, MailDeliveriesTable
from services.notifier.dispatcher import LEASE_SECONDS
from services.notifier.mail.compose import Reader, compose
from services.notifier.mail.mailer import Mailer
from services.notifier.schedule import Failed, Outcome

_logger = logging.getLogger(__name__)


class MailChannel:
    """``sender``: the address mails come from."""

    name = "e-mail"
    capacity = 8

    def __init__(
        self, deliveries: MailDeliveriesTable, database: Database, mailer: Mailer, *, sender: str, project_id: str
    ) -> None:
        self._deliveries = deliveries
        self._database = database
        self._mailer = mailer
        self._sender = sender
        self._project_id = project_id

    async def claim(self, free: int, under_way: Collection[ClaimedMail]) -> list[ClaimedMail]:
        return await self._deliveries.claim(uuid.uuid4(), LEASE_SECONDS, free)

    async def note(self) -> None:
        """Outcomes are written at once: a digest's many deliveries share one statement already."""

    async def hand_back(self, claims: Sequence[ClaimedMail]) -> None:
        for claim in claims:
            await self._deliveries.hand_back(claim)

    async def attempt(self, claim: ClaimedMail) -> None:
        now = datetime.now(UTC)
        if claim.quiet is not None and not claim.critical and claim.quiet.cover(now):
            # Planned for another hour, but late: after an outage, a refusal or a replay.
            await self._deliveries.hand_back(claim, claim.quiet.defer(now))
            return
        if not claim.shown:
            return  # pruned since the claim, and their deliveries with them
        reader = Reader(claim.address, claim.locale, ZoneInfo(claim.time_zone), claim.everything)
        message = compose(reader, self._sender, claim.shown, len(claim.ids), _identity(claim))
        with telemetry.span("e-mail", attributes={"subscription": str(claim.subscription_id)}):
            outcome = await self._mailer.send(message, claim.attempt)
        await self._settle(claim, outcome)

    async def _settle(self, claim: ClaimedMail, outcome: Outcome) -> None:
        async with self._database.transaction() as unit:
            disabled = await self._deliveries.settle(unit.connection, claim, outcome)
            if disabled and isinstance(outcome, Failed):
                unit.emit(self._disabled(claim, outcome))
        _logger.info(
            "mail of %d deliveries for subscription %s: %s",
            len(claim.ids),
            claim.subscription_id,
            outcome,
            extra={"action": "email.attempted", "outcome": type(outcome).__name__.lower()},
        )

    def _disabled(self, claim: ClaimedMail, outcome: Failed) -> AlertRaised:
        return AlertRaised(
            alert_id=str(uuid.uuid4()),
            alert_type="email_disabled",
            severity="warning",
            source=self._database.source,
            about=str(claim.subscription_id),
            user_id=claim.user_id,
            error_message=outcome.reason,
            project_id=self._project_id,
            trace_id=claim.shown[0].notification.trace_id,
            raised_at=datetime.now(UTC),
        )


def _identity(claim: ClaimedMail) -> str:
    return hashlib.sha256(repr(claim.ids).encode()).hexdigest()
