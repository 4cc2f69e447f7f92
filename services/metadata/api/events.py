"""``POST /events/bigquery``: change events from Eventarc, from the Log Router's subscription, or by hand."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.kernel import metrics
from services.kernel.access import administrator
from services.kernel.alerts import alert
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import TransientError
from services.kernel.http import Problem
from services.kernel.identity import TokenVerifier
from services.kernel.messaging import dead_letters
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.oidc import Unauthenticated, Verifier
from services.kernel.problems import problems
from services.metadata.domain.envelopes import Arrival, arrival_of, log_entry
from services.metadata.domain.events import EventRefused, Hint, hints_in
from services.metadata.domain.tables import Scope
from services.metadata.ports import Hints

_logger = logging.getLogger(__name__)

SUBSCRIPTION = "metadata.bigquery-changes"
"""The Log Router topic's subscription; its dead letters are kept under this name, Eventarc's too."""
TOPIC = "bigquery-changes"
_HEADER = "header-"
"""Before the name of a header kept with a dead letter: some, such as ``ce-id``, are attributes of their own there."""
_KEPT_HEADERS = ("ce-", "content-type", "x-goog-pubsub-")


@dataclass(frozen=True)
class EventDoor:
    """``verifiers``: identities that may send events, beside administrators. ``window``: seconds of debouncing."""

    hints: Hints
    database: Database
    scope: Scope
    window: float
    verifiers: Sequence[Verifier]
    tokens: TokenVerifier
    project_id: str = ""

    async def admit(self, request: Request) -> None:
        """Raises Problem: the caller is nobody who may send events."""
        authorization = request.headers.get("authorization")
        for verifier in self.verifiers:
            try:
                await verifier.verify(authorization)
            except Unauthenticated:
                continue
            except TransientError as error:
                raise Problem(503, "verification-unavailable", "Deliver the event again", str(error)) from error
            return
        await administrator(request, self.tokens)

    async def take(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """What became of one event; a malformed one is kept as a dead letter before it is refused.

        Raises:
            EventRefused: see ``hints_in``.
        """
        arrival = arrival_of(headers, body)
        try:
            hints = hints_in(log_entry(headers, body))
        except EventRefused as refused:
            metrics.METADATA_EVENTS.add(1, {"outcome": "malformed"})
            await self._bury(_envelope(arrival, headers, body), arrival.attempt, refused)
            raise
        return await self._heed(hints)

    async def redeliver(self, delivery: Delivery) -> bool:
        """A dead letter again, as when what refused it has been mended. False: refused again, and kept."""
        kept = delivery.envelope.attributes.items()
        headers = {name.removeprefix(_HEADER): value for name, value in kept if name.startswith(_HEADER)}
        try:
            hints = hints_in(log_entry(headers, delivery.envelope.data))
        except EventRefused as refused:
            await self._bury(delivery.envelope, delivery.attempt, refused)
            return False
        await self._heed(hints)
        return True

    async def _heed(self, hints: Sequence[Hint]) -> dict[str, Any]:
        wanted = [hint for hint in hints if self.scope.covers(hint.table)]
        await self.hints.add(wanted, self.window)
        metrics.METADATA_EVENTS.add(1, {"outcome": "accepted" if wanted else "ignored"})
        return {
            "accepted": sorted({str(hint.table) for hint in wanted}),
            "ignored": sorted({str(hint.table) for hint in hints} - {str(hint.table) for hint in wanted}),
        }

    async def _bury(self, envelope: Envelope, attempt: int, refused: EventRefused) -> None:
        async with self.database.transaction() as unit:
            letter = await dead_letters.bury(
                unit.connection,
                SUBSCRIPTION,
                Delivery(envelope, attempt),
                code=refused.code,
                reason=str(refused),
                handler=f"{EventDoor.take.__qualname__}",
            )
            unit.emit(
                alert(
                    "dead_letter",
                    source="metadata",
                    about=envelope.id,
                    message=f"dead letter {letter} on {SUBSCRIPTION}: {refused}",
                    project_id=self.project_id,
                )
            )
        metrics.DEAD_LETTERS.add(1, {"subscription": SUBSCRIPTION})
        _logger.error("event refused: %s", refused, extra={"action": "message.dead", "message_id": envelope.id})


def _envelope(arrival: Arrival, headers: dict[str, str], body: bytes) -> Envelope:
    """The event as a dead letter keeps it: whole, with the headers that say how to read it."""
    kept = {f"{_HEADER}{name}": value for name, value in headers.items() if name.startswith(_KEPT_HEADERS)}
    return Envelope(TOPIC, {"ce-id": arrival.id[:512], "ce-source": arrival.source[:512], **kept}, body)


def events_router(door: EventDoor) -> APIRouter:
    router = APIRouter(tags=["events"])

    @router.post(
        "/events/bigquery",
        status_code=202,
        responses={200: {"description": "Nothing of ours, or set aside"}, **problems(400, 401, 413)},
    )
    async def event(request: Request) -> JSONResponse:
        """202: tables will be refreshed. 200: none of ours is concerned, or the event was set aside as a dead letter,
        which Pub/Sub and Eventarc must not deliver again. 400: the same, told to a caller who can read it."""
        await door.admit(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.body()
        try:
            taken = await door.take(headers, body)
        except EventRefused as refused:
            if arrival_of(headers, body).transport == "direct":
                raise Problem(400, "malformed-event", "This is no BigQuery change event", str(refused)) from refused
            return JSONResponse({"status": "dead_lettered", "reason": str(refused)}, 200)
        return JSONResponse({"status": "taken", **taken}, 202 if taken["accepted"] else 200)

    return router
