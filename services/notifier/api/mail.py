"""What only e-mail subscriptions have: creating one for an address, which its owner confirms."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from services.kernel.http import Problem
from services.kernel.problems import problems
from services.notifier.adapters.delivery_log import DeliveryLog
from services.notifier.adapters.mail_subscriptions import (
    CONFIRM_HOURS,
    AddressTaken,
    MailSubscriptionsTable,
    TooManyConfirmations,
)
from services.notifier.adapters.receivers import TooMany
from services.notifier.api.receivers import BODY, COMMON, ONE, Owner
from services.notifier.domain import PLAIN
from services.notifier.mail.compose import Reader, confirmation
from services.notifier.mail.mailer import Mailer
from services.notifier.receivers import Subscription, SubscriptionRequest
from services.notifier.schedule import Delivered, Failed

MAX_SUBSCRIPTIONS = 5
MAX_CONFIRMATIONS = 10
"""Confirmation mails a user may cause within a day."""


@dataclass(frozen=True)
class Mail:
    """``mailer`` and ``sender`` are None and empty where no SMTP server is set."""

    subscriptions: MailSubscriptionsTable
    deliveries: DeliveryLog
    mailer: Mailer | None
    sender: str
    due: Callable[[], None]


class ConfirmRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=100, pattern=PLAIN)]


def add_mail_routes(routes: APIRouter, owner: Owner[Subscription], mail: Mail) -> None:
    @routes.post(
        "",
        status_code=201,
        responses=problems(
            **COMMON,
            **BODY,
            _403="Only administrators receive everything",
            _409="The address has a subscription, or the caller has too many",
            _501="This installation sends no e-mail",
        ),
    )
    async def create(request: Request, wanted: SubscriptionRequest) -> Subscription:
        """Have notifications mailed. The address gets a code first, and nothing more before it is confirmed."""
        identity = await owner.asking(request, wanted)
        if mail.mailer is None:
            raise Problem(501, "no-email", "This installation sends no e-mail", "Its operator has set no SMTP server")
        token = secrets.token_urlsafe(24)
        made = await _add(mail.subscriptions, identity.user_id, wanted, token)
        await _ask(mail, mail.mailer, made, identity.user_id, token)
        return made

    @routes.post("/{receiver_id}/confirm", responses=problems(**ONE, **BODY))
    async def confirm(request: Request, receiver_id: UUID, wanted: ConfirmRequest) -> Subscription:
        """With the code from the mail; notifications from now on are mailed."""
        user_id = (await owner.of(request)).user_id
        confirmed = await mail.subscriptions.confirm(receiver_id, user_id, _hash(wanted.token))
        if confirmed is None:
            detail = (
                f"The code is wrong, was used, or is older than {CONFIRM_HOURS} hours; for a new one remove the "
                "subscription and create it again"
            )
            raise Problem(404, "not-found", "No such code", detail)
        return confirmed


async def _add(
    subscriptions: MailSubscriptionsTable, user_id: str, wanted: SubscriptionRequest, token: str
) -> Subscription:
    try:
        return await subscriptions.add(
            user_id, wanted, _hash(token), most=MAX_SUBSCRIPTIONS, most_confirmations=MAX_CONFIRMATIONS
        )
    except AddressTaken as error:
        raise Problem(409, "address-taken", "You have a subscription of this address; remove it first") from error
    except TooMany as error:
        title = f"One user may have {MAX_SUBSCRIPTIONS} subscriptions; remove one first"
        raise Problem(409, "too-many-subscriptions", title) from error
    except TooManyConfirmations as error:
        title = f"One user may ask for {MAX_CONFIRMATIONS} confirmations within a day; try again tomorrow"
        raise Problem(409, "too-many-confirmations", title) from error


async def _ask(mail: Mail, mailer: Mailer, made: Subscription, user_id: str, token: str) -> None:
    """Mail the code; a subscription whose address could not be asked does not stay.

    Raises:
        Problem: 422 the address does not exist or is refused, 503 the mail server does not take it now.
    """
    reader = Reader(made.address, made.locale, ZoneInfo(made.time_zone), made.everything)
    outcome = await mailer.send(confirmation(reader, mail.sender, made.id, token, CONFIRM_HOURS), attempt=1)
    if isinstance(outcome, Delivered):
        return
    await mail.subscriptions.remove(made.id, user_id)
    if isinstance(outcome, Failed):
        errors = [{"field": "address", "message": "the mail server refused this address"}]
        raise Problem(422, "invalid-request", "The request is not valid", errors=errors)
    raise Problem(503, "email-unavailable", "The mail server takes nothing now", headers={"Retry-After": "60"})


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
