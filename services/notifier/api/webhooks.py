"""Managing webhooks: signed-in users have their own; administrators may ask for everything."""

import uuid
from uuid import UUID

from fastapi import APIRouter, Request

from services.kernel.access import signed_in
from services.kernel.http import Problem
from services.kernel.identity import Identity, TokenVerifier
from services.kernel.problems import problems
from services.notifier.adapters.webhooks import NewWebhook, Webhook, WebhooksTable
from services.notifier.api.access import Bearer
from services.notifier.api.webhook_models import WebhookRequest, WebhookSecret, WebhookView
from services.notifier.webhooks.addresses import AddressRefused, check_url
from services.notifier.webhooks.signing import new_secret

MAX_WEBHOOKS = 10
_COMMON = {"_401": "Sign in first", "_422": "The request is not valid", "_503": "Try again later"}
ONE = {**_COMMON, "_404": "The caller has no such webhook"}


class Owner:
    """Who manages webhooks: signed-in users, each their own."""

    def __init__(self, verifier: TokenVerifier, webhooks: WebhooksTable) -> None:
        self._verifier = verifier
        self._webhooks = webhooks

    async def of(self, request: Request) -> Identity:
        """Raises Problem: 401, nobody signed in."""
        return await signed_in(request, self._verifier)

    async def webhook(self, request: Request, webhook_id: UUID) -> Webhook:
        """Raises Problem: 401 nobody signed in, 404 not the caller's."""
        return _found(await self._webhooks.one(webhook_id, (await self.of(request)).user_id), webhook_id)

    async def webhook_id(self, request: Request, webhook_id: UUID) -> UUID:
        """``webhook_id``, once it is known to be the caller's. Raises Problem: see ``webhook``."""
        return (await self.webhook(request, webhook_id)).id


def webhook_routes(webhooks: WebhooksTable, owner: Owner, *, allow_loopback: bool) -> APIRouter:
    routes = APIRouter(tags=["webhooks"], prefix="/webhooks", dependencies=[Bearer])
    _add_creation(routes, webhooks, owner, allow_loopback=allow_loopback)
    _add_reading(routes, webhooks, owner)
    _add_changes(routes, webhooks, owner)
    return routes


def _add_creation(routes: APIRouter, webhooks: WebhooksTable, owner: Owner, *, allow_loopback: bool) -> None:
    @routes.post(
        "",
        status_code=201,
        responses=problems(
            **_COMMON,
            _400="The body is not JSON",
            _403="Only administrators receive everything",
            _409="The caller has too many webhooks",
            _413="The body is too large",
        ),
    )
    async def create_webhook(request: Request, wanted: WebhookRequest) -> WebhookSecret:
        """Have notifications posted to a URL, signed as Standard Webhooks describe."""
        identity = await owner.of(request)
        if wanted.everything and not identity.is_admin:
            raise Problem(403, "not-allowed", "Only administrators receive everything")
        try:
            check_url(wanted.url, allow_loopback=allow_loopback)
        except AddressRefused as refused:
            errors = [{"field": "url", "message": str(refused)}]
            raise Problem(422, "invalid-request", "The request is not valid", errors=errors) from refused
        secret = new_secret()
        made = await webhooks.add(_new(wanted, identity.user_id, secret), most=MAX_WEBHOOKS)
        if made is None:
            raise Problem(409, "too-many-webhooks", f"One user may have {MAX_WEBHOOKS} webhooks; remove one first")
        return WebhookSecret(**_view(made).model_dump(), secret=secret)


def _add_reading(routes: APIRouter, webhooks: WebhooksTable, owner: Owner) -> None:
    @routes.get("", responses=problems(**_COMMON))
    async def list_webhooks(request: Request) -> list[WebhookView]:
        return [_view(webhook) for webhook in await webhooks.of((await owner.of(request)).user_id)]

    @routes.get("/{webhook_id}", responses=problems(**ONE))
    async def read_webhook(request: Request, webhook_id: UUID) -> WebhookView:
        return _view(await owner.webhook(request, webhook_id))


def _add_changes(routes: APIRouter, webhooks: WebhooksTable, owner: Owner) -> None:
    @routes.delete("/{webhook_id}", status_code=204, responses=problems(**ONE))
    async def remove_webhook(request: Request, webhook_id: UUID) -> None:
        """It gets nothing more; its delivery log goes with it."""
        if not await webhooks.remove(webhook_id, (await owner.of(request)).user_id):
            raise _unknown(webhook_id)

    @routes.post("/{webhook_id}/rotate", responses=problems(**ONE))
    async def rotate_secret(request: Request, webhook_id: UUID) -> WebhookSecret:
        """A new secret; for a day every post carries the signatures of both."""
        secret = new_secret()
        rotated = await webhooks.rotate(webhook_id, (await owner.of(request)).user_id, secret)
        return WebhookSecret(**_view(_found(rotated, webhook_id)).model_dump(), secret=secret)

    @routes.post("/{webhook_id}/enable", responses=problems(**ONE))
    async def enable_webhook(request: Request, webhook_id: UUID) -> WebhookView:
        """Post to it again; replay what was cancelled meanwhile with the route below."""
        return _view(_found(await webhooks.enable(webhook_id, (await owner.of(request)).user_id), webhook_id))


def _new(wanted: WebhookRequest, user_id: str, secret: str) -> NewWebhook:
    quiet = wanted.quiet_hours
    return NewWebhook(
        id=uuid.uuid4(),
        user_id=user_id,
        everything=wanted.everything,
        url=wanted.url,
        secret=secret,
        kinds=list(wanted.kinds),
        types=wanted.types,
        min_severity=wanted.min_severity,
        digest_seconds=wanted.digest_seconds,
        time_zone=wanted.time_zone,
        quiet_from=quiet.start if quiet else None,
        quiet_until=quiet.end if quiet else None,
    )


def _view(webhook: Webhook) -> WebhookView:
    fields = {name: value for name, value in vars(webhook).items() if name not in ("user_id", "previous_until")}
    return WebhookView(**fields, previous_secret_until=webhook.previous_until)


def _found(webhook: Webhook | None, webhook_id: UUID) -> Webhook:
    if webhook is None:
        raise _unknown(webhook_id)
    return webhook


def _unknown(webhook_id: UUID) -> Problem:
    return Problem(404, "not-found", "No such webhook", f"You have no webhook {webhook_id}")
