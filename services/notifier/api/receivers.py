"""Managing receivers, whatever their kind: signed-in users have their own; administrators may ask for everything."""

from collections.abc import Callable
from typing import Generic
from uuid import UUID

from fastapi import APIRouter, Request

from services.kernel.access import signed_in
from services.kernel.http import Problem
from services.kernel.identity import Identity, TokenVerifier
from services.kernel.problems import problems
from services.notifier.adapters.receivers import R, ReceiversTable
from services.notifier.api.access import Bearer
from services.notifier.receivers import PreferencesChange, ReceiverRequest

COMMON = {"_401": "Sign in first", "_422": "The request is not valid", "_503": "Try again later"}
ONE = {**COMMON, "_404": "The caller has none of this id"}
BODY = {"_400": "The body is not JSON", "_413": "The body is too large"}


class Owner(Generic[R]):
    """Who manages receivers of one kind: signed-in users, each their own. ``path``: of their collection."""

    def __init__(self, path: str, verifier: TokenVerifier, receivers: ReceiversTable[R]) -> None:
        self.path = path
        self._verifier = verifier
        self._receivers = receivers

    async def of(self, request: Request) -> Identity:
        """Raises Problem: 401, nobody signed in."""
        return await signed_in(request, self._verifier)

    async def asking(self, request: Request, wanted: ReceiverRequest) -> Identity:
        """Raises Problem: 401 nobody signed in, 403 ``wanted`` is not theirs to have."""
        identity = await self.of(request)
        if wanted.everything and not identity.is_admin:
            detail = "Leave everything out, or sign in as an administrator"
            raise Problem(403, "not-allowed", "Only administrators receive everything", detail)
        return identity

    async def receiver(self, request: Request, receiver_id: UUID) -> R:
        """Raises Problem: 401 nobody signed in, 404 not the caller's."""
        return self.found(await self._receivers.one(receiver_id, (await self.of(request)).user_id), receiver_id)

    async def receiver_id(self, request: Request, receiver_id: UUID) -> UUID:
        """``receiver_id``, once it is known to be the caller's. Raises Problem: see ``receiver``."""
        return (await self.receiver(request, receiver_id)).id

    def found(self, receiver: R | None, receiver_id: UUID) -> R:
        """Raises Problem: 404, there is none."""
        if receiver is None:
            raise self.unknown(receiver_id)
        return receiver

    def unknown(self, receiver_id: UUID) -> Problem:
        detail = f"You have none of the id {receiver_id}; GET /{self.path} lists yours"
        return Problem(404, "not-found", "There is no such receiver", detail)


def receiver_routes(owner: Owner[R], kind: type[R], receivers: ReceiversTable[R], due: Callable[[], None]) -> APIRouter:
    """Reading, changing, enabling and removing; creating is each kind's own. ``due``: see ``app.Parts``."""
    routes = APIRouter(tags=[owner.path], prefix=f"/{owner.path}", dependencies=[Bearer])
    _add_reading(routes, owner, kind, receivers)
    _add_changes(routes, owner, kind, receivers, due)
    return routes


def _add_reading(routes: APIRouter, owner: Owner[R], kind: type[R], receivers: ReceiversTable[R]) -> None:
    @routes.get("", response_model=list[kind], responses=problems(**COMMON))  # type: ignore[valid-type]
    async def list_all(request: Request) -> list[R]:
        """All that the caller has, the oldest first."""
        return await receivers.of((await owner.of(request)).user_id)

    @routes.get("/{receiver_id}", response_model=kind, responses=problems(**ONE))
    async def read_one(request: Request, receiver_id: UUID) -> R:
        return await owner.receiver(request, receiver_id)


def _add_changes(
    routes: APIRouter, owner: Owner[R], kind: type[R], receivers: ReceiversTable[R], due: Callable[[], None]
) -> None:
    @routes.patch("/{receiver_id}", response_model=kind, responses=problems(**ONE, **BODY))
    async def change(request: Request, receiver_id: UUID, wanted: PreferencesChange) -> R:
        """Change what it gets, or when. With a new grouping (``digest_seconds``, ``time_zone``, ``quiet_hours``)
        what waits in its groups leaves at once, or when the new quiet hours end."""
        user_id = (await owner.of(request)).user_id
        changed = owner.found(await receivers.change(receiver_id, user_id, wanted), receiver_id)
        due()
        return changed

    @routes.delete("/{receiver_id}", status_code=204, responses=problems(**ONE))
    async def remove(request: Request, receiver_id: UUID) -> None:
        """It gets nothing more; its delivery log goes with it."""
        if not await receivers.remove(receiver_id, (await owner.of(request)).user_id):
            raise owner.unknown(receiver_id)

    @routes.post("/{receiver_id}/enable", response_model=kind, responses=problems(**ONE))
    async def enable(request: Request, receiver_id: UUID) -> R:
        """Deliver to it again; replay what was cancelled meanwhile with the route below."""
        user_id = (await owner.of(request)).user_id
        return owner.found(await receivers.enable(receiver_id, user_id), receiver_id)
