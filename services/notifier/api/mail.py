"""Managing e-mail subscriptions: signed-in users have their own; administrators may ask for everything."""

import hashlib
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request

from services.kernel.access import signed_in
from services.kernel.http import Problem
from services.kernel.identity import Identity, TokenVerifier
from services.kernel.problems import problems
from services.notifier.adapters.delivery_log import DeliveryLog
from services.notifier.adapters.mail_subscriptions import (
    CONFIRM_HOURS,
    AddressTaken,
    MailSubscriptionsTable,
    NewSubscription,
    Subscription,
    TooMany,
)
from services.notifier.api.access import Bearer
from services.notifier.api.mail_models import ConfirmRequest, SubscriptionRequest, SubscriptionView
from services.notifier.mail.compose import Reader, confirmation
from services.notifier.mail.mailer import Mailer
from services.notifier.schedule import Delivered, Failed

MAX_SUBSCRIPTIONS = 5
MAX_CONFIRMATIONS = 10
"""Confirmation mails a user may cause within a day."""
_COMMON = {"_401": "Sign in first", "_422": "The request is not valid", "_503": "Try again later"}
_ONE = {**_COMMON, "_404": "The caller has no such subscription"}


@dataclass(frozen=True)
class Mail:
    """``mailer`` and ``sender`` are None and empty where no SMTP server is set."""

    subscriptions: MailSubscriptionsTable
    deliveries: DeliveryLog
    mailer: Mailer | None
    sender: str
    due: Callable[[], None]


class MailOwner:
    """Who manages subscriptions: signed-in users, each their own."""

    def __init__(self, verifier: TokenVerifier, subscriptions: MailSubscriptionsTable) -> None:
        self._verifier = verifier
        self._subscriptions = subscriptions

    async def of(self, request: Request) -> Identity:
        """Raises Problem: 401, nobody signed in."""
        return await signed_in(request, self._verifier)

    async def subscription(self, request: Request, subscription_id: UUID) -> Subscription:
        """Raises Problem: 401 nobody signed in, 404 not the caller's."""
        user_id = (await self.of(request)).user_id
        return _found(await self._subscriptions.one(subscription_id, user_id), subscription_id)

    async def subscription_id(self, request: Request, subscription_id: UUID) -> UUID:
        """``subscription_id``, once it is known to be the caller's. Raises Problem: see ``subscription``."""
        return (await self.subscription(request, subscription_id)).id


def mail_routes(mail: Mail, owner: MailOwner) -> APIRouter:
    routes = APIRouter(tags=["email-subscriptions"], prefix="/email-subscriptions", dependencies=[Bearer])
    _add_creation(routes, mail, owner)
    _add_reading(routes, mail.subscriptions, owner)
    _add_changes(routes, mail.subscriptions, owner)
    return routes


def _add_creation(routes: APIRouter, mail: Mail, owner: MailOwner) -> None:
    @routes.post(
        "",
        status_code=201,
        responses=problems(
            **_COMMON,
            _400="The body is not JSON",
            _403="Only administrators receive everything",
            _409="The address has a subscription, or the caller has too many",
            _413="The body is too large",
            _501="This installation sends no e-mail",
        ),
    )
    async def create_subscription(request: Request, wanted: SubscriptionRequest) -> SubscriptionView:
        """Have notifications mailed. The address gets a code first, and nothing more before it is confirmed."""
        identity = await owner.of(request)
        if wanted.everything and not identity.is_admin:
            raise Problem(403, "not-allowed", "Only administrators receive everything")
        if mail.mailer is None:
            raise Problem(501, "no-email", "This installation sends no e-mail", "Its operator has set no SMTP server")
        token = secrets.token_urlsafe(24)
        made = await _add(mail.subscriptions, _new(wanted, identity.user_id, token))
        await _ask(mail, mail.mailer, made, token)
        return _view(made)


def _add_reading(routes: APIRouter, subscriptions: MailSubscriptionsTable, owner: MailOwner) -> None:
    @routes.get("", responses=problems(**_COMMON))
    async def list_subscriptions(request: Request) -> list[SubscriptionView]:
        return [_view(one) for one in await subscriptions.of((await owner.of(request)).user_id)]

    @routes.get("/{subscription_id}", responses=problems(**_ONE))
    async def read_subscription(request: Request, subscription_id: UUID) -> SubscriptionView:
        return _view(await owner.subscription(request, subscription_id))


def _add_changes(routes: APIRouter, subscriptions: MailSubscriptionsTable, owner: MailOwner) -> None:
    @routes.delete("/{subscription_id}", status_code=204, responses=problems(**_ONE))
    async def remove_subscription(request: Request, subscription_id: UUID) -> None:
        """It gets nothing more; its delivery log goes with it."""
        if not await subscriptions.remove(subscription_id, (await owner.of(request)).user_id):
            raise _unknown(subscription_id)

    @routes.post(
        "/{subscription_id}/confirm",
        responses=problems(**_ONE, _400="The body is not JSON", _413="The body is too large"),
    )
    async def confirm_subscription(request: Request, subscription_id: UUID, wanted: ConfirmRequest) -> SubscriptionView:
        """With the code from the mail; notifications from now on are mailed."""
        user_id = (await owner.of(request)).user_id
        confirmed = await subscriptions.confirm(subscription_id, user_id, _hash(wanted.token))
        if confirmed is None:
            raise Problem(
                404, "not-found", "No such code", f"The code is wrong, was used, or is older than {CONFIRM_HOURS} hours"
            )
        return _view(confirmed)

    @routes.post("/{subscription_id}/enable", responses=problems(**_ONE))
    async def enable_subscription(request: Request, subscription_id: UUID) -> SubscriptionView:
        """Mail to it again; replay what was cancelled meanwhile with the route below."""
        user_id = (await owner.of(request)).user_id
        return _view(_found(await subscriptions.enable(subscription_id, user_id), subscription_id))


async def _add(subscriptions: MailSubscriptionsTable, new: NewSubscription) -> Subscription:
    try:
        return await subscriptions.add(new, most=MAX_SUBSCRIPTIONS, most_confirmations=MAX_CONFIRMATIONS)
    except AddressTaken as error:
        raise Problem(409, "address-taken", "You have a subscription of this address; remove it first") from error
    except TooMany as error:
        raise Problem(
            409,
            "too-many-subscriptions",
            f"One user may have {MAX_SUBSCRIPTIONS} subscriptions, and ask for {MAX_CONFIRMATIONS} a day",
        ) from error


async def _ask(mail: Mail, mailer: Mailer, made: Subscription, token: str) -> None:
    """Mail the code; a subscription whose address could not be asked does not stay.

    Raises:
        Problem: 422 the address does not exist or is refused, 503 the mail server does not take it now.
    """
    reader = Reader(made.address, made.locale, ZoneInfo(made.time_zone), made.everything)
    outcome = await mailer.send(confirmation(reader, mail.sender, made.id, token, CONFIRM_HOURS), attempt=1)
    if isinstance(outcome, Delivered):
        return
    await mail.subscriptions.remove(made.id, made.user_id)
    if isinstance(outcome, Failed):
        errors = [{"field": "address", "message": "the mail server refused this address"}]
        raise Problem(422, "invalid-request", "The request is not valid", errors=errors)
    raise Problem(503, "email-unavailable", "The mail server takes nothing now", headers={"Retry-After": "60"})


def _new(wanted: SubscriptionRequest, user_id: str, token: str) -> NewSubscription:
    quiet = wanted.quiet_hours
    return NewSubscription(
        id=uuid.uuid4(),
        user_id=user_id,
        everything=wanted.everything,
        address=wanted.address,
        locale=wanted.locale,
        kinds=wanted.kinds,
        types=wanted.types,
        min_severity=wanted.min_severity,
        digest_seconds=wanted.digest_seconds,
        time_zone=wanted.time_zone,
        quiet_from=quiet.start if quiet else None,
        quiet_until=quiet.end if quiet else None,
        token_hash=_hash(token),
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _view(subscription: Subscription) -> SubscriptionView:
    return SubscriptionView(**{name: value for name, value in vars(subscription).items() if name != "user_id"})


def _found(subscription: Subscription | None, subscription_id: UUID) -> Subscription:
    if subscription is None:
        raise _unknown(subscription_id)
    return subscription


def _unknown(subscription_id: UUID) -> Problem:
    return Problem(404, "not-found", "No such subscription", f"You have no subscription {subscription_id}")
